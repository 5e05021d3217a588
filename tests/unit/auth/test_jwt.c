/* Tokens: the vector of RFC 7515, every byte tampered with, every claim wrong, and the clock on
 * both sides of every date. */
#include "claims.h"

#include "auth/auth.h"
#include "core/fault.h"
#include "core/json.h"
#include "tests/support/in_fiber.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define FORMER "the-secret-before-that-had-32-bytes"
#define NOW    INT64_C(1800000000)

static auth_mac *secret_mac, *former_mac, *rfc_mac;
static auth_policy policy;
static const auth_identity ALICE = { 7, { "member", 6 } };

static int setup(void **state)
{
    (void)state;
    assert_ok(auth_mac_new(STR(SECRET), &secret_mac));
    assert_ok(auth_mac_new(STR(FORMER), &former_mac));
    policy = (auth_policy){ .keys = { secret_mac, NULL }, .lifetime_s = 3600 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    auth_mac_free(&secret_mac);
    auth_mac_free(&former_mac);
    auth_mac_free(&rfc_mac);
    return 0;
}

static error read_at(str token, int64_t now_s)
{
    auth_identity who;
    return auth_token_read(fiber_arena(), &policy, token, now_s, &who);
}

static str make(const auth_identity *who)
{
    str token;
    assert_ok(auth_token_make(fiber_arena(), &policy, who, NOW, &token));
    return token;
}

static str encode(str text)
{
    return base64url_encode(fiber_arena(), (bytea){ (const uint8_t *)text.ptr, text.len });
}

/* Adds a signature to any text. */
static str sign(auth_mac *key, str text)
{
    uint8_t mac[AUTH_MAC_BYTES];
    assert_ok(auth_mac_sign(key, text, mac));
    const str signature = base64url_encode(fiber_arena(), (bytea){ mac, sizeof mac });
    return str_format(fiber_arena(), "%.*s.%.*s", STR_ARG(text), STR_ARG(signature));
}

/* Signs any two texts with a key. */
static str forge(auth_mac *key, str header, str claims)
{
    const str first = encode(header), second = encode(claims);
    return sign(key, str_format(fiber_arena(), "%.*s.%.*s", STR_ARG(first), STR_ARG(second)));
}

#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS "\"sub\":\"7\",\"role\":\"member\""
#define DATES  ",\"iat\":1800000000,\"exp\":1800003600"

static error read_claims(const char *claims)
{
    return read_at(forge(secret_mac, STR(HEADER), str_from_c(claims)), NOW);
}

static error read_header(const char *header)
{
    return read_at(forge(secret_mac, str_from_c(header), STR("{" CLAIMS DATES "}")), NOW);
}

/* --- signatures ------------------------------------------------------------------------------- */

static const auth_keys *rfc_keys(void)
{
    static auth_keys keys;
    bytea key;
    assert_true(base64url_decode(fiber_arena(),
                                 STR("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
                                     "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
                                 &key));
    auth_mac_free(&rfc_mac);
    assert_ok(auth_mac_new((str){ (const char *)key.ptr, key.len }, &rfc_mac));
    keys.current = rfc_mac;
    return &keys;
}

#define RFC_TOKEN                                                                             \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."                                               \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp" \
    "0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

/* RFC 7515 appendix A.1 */
static void test_signature_of_the_rfc_holds(void **state)
{
    (void)state;
    str payload;
    assert_ok(auth_jws_verify(fiber_arena(), rfc_keys(), STR(RFC_TOKEN), &payload));
    assert_str_equal(payload, STR("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n "
                                  "\"http://example.com/is_root\":true}"));
}

static void test_token_made_reads_back(void **state)
{
    (void)state;
    static const auth_identity WHO[] = { { 7, { "member", 6 } },
                                         { 0, { "a", 1 } },
                                         { -1, { "quote\" and \\ and \n", 17 } },
                                         { INT64_MAX, { "роль", 8 } },
                                         { INT64_MIN, { "admin", 5 } } };
    for (size_t i = 0; i < ARRAY_LEN(WHO); i++) {
        auth_identity who = { 0 };
        assert_ok(auth_token_read(fiber_arena(), &policy, make(&WHO[i]), NOW, &who));
        assert_true(who.id == WHO[i].id);
        assert_str_equal(who.role, WHO[i].role);
    }
}

static void test_token_made_says_what_it_must(void **state)
{
    (void)state;
    str payload;
    assert_ok(auth_jws_verify(fiber_arena(), &policy.keys, make(&ALICE), &payload));
    assert_str_equal(payload, STR("{" CLAIMS DATES "}"));
}

static void test_token_of_longest_role_is_inside_the_limit(void **state)
{
    (void)state;
    char role[AUTH_ROLE_BYTES_MAX];
    memset(role, 1, sizeof role); /* six bytes each, escaped */
    const auth_identity who = { INT64_MIN, { role, sizeof role } };
    const str token = make(&who);
    assert_true(token.len <= AUTH_JWS_BYTES_MAX);
    assert_ok(read_at(token, NOW));
}

/* Any other byte at any place: header, dots, payload and signature. */
static void test_token_tampered_at_any_byte_is_refused(void **state)
{
    (void)state;
    const str token = make(&ALICE);
    char copy[1024];
    assert_true(token.len < sizeof copy);
    memcpy(copy, token.ptr, token.len);
    const str tampered = { copy, token.len };
    arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < token.len; i++) {
        for (int c = 0; c < 256; c++) {
            auth_identity who;
            if ((char)c == token.ptr[i])
                continue;
            copy[i] = (char)c;
            if (!error_is(auth_token_read(&a, &policy, tampered, NOW, &who), &AUTH_TOKEN_INVALID))
                fail_msg("byte %zu as 0x%02x was taken", i, (unsigned)c);
            arena_reset(&a);
        }
        copy[i] = token.ptr[i];
    }
    arena_deinit(&a);
    assert_ok(read_at(tampered, NOW));
}

static void test_token_cut_or_lengthened_is_refused(void **state)
{
    (void)state;
    const str token = make(&ALICE);
    for (size_t len = 0; len < token.len; len++) {
        assert_fails(AUTH_TOKEN_INVALID, read_at(str_slice(token, 0, len), NOW));
        assert_fails(AUTH_TOKEN_INVALID, read_at(str_slice(token, len + 1, token.len), NOW));
    }
    static const char *const MORE[] = { ".", "A", "AA", "=", "==", " ", "\n", ".AAAA" };
    for (size_t i = 0; i < ARRAY_LEN(MORE); i++) {
        assert_fails(AUTH_TOKEN_INVALID,
                     read_at(str_format(fiber_arena(), "%.*s%s", STR_ARG(token), MORE[i]), NOW));
        assert_fails(AUTH_TOKEN_INVALID,
                     read_at(str_format(fiber_arena(), "%s%.*s", MORE[i], STR_ARG(token)), NOW));
    }
}

static void test_token_that_is_none_is_refused(void **state)
{
    (void)state;
    static const str NONE[] = { { NULL, 0 },
                                { "", 0 },
                                { ".", 1 },
                                { "..", 2 },
                                { "...", 3 },
                                { "a.b.c", 5 },
                                { "\0.\0.\0", 5 },
                                { "a.b", 3 },
                                { "eyJ9.eyJ9.", 10 },
                                { ".eyJ9.A", 7 },
                                { "\xff.\xff.\xff", 5 } };
    for (size_t i = 0; i < ARRAY_LEN(NONE); i++)
        assert_fails(AUTH_TOKEN_INVALID, read_at(NONE[i], NOW));
}

static void test_token_too_long_is_refused(void **state)
{
    (void)state;
    char *claims = arena_alloc(fiber_arena(), 9000, 1);
    size_t len = (size_t)snprintf(claims, 9000, "{" CLAIMS DATES ",\"x\":\"");
    const size_t start = len;
    /* Base64 is four bytes for three, and the rest of the token has 81. */
    while (len < (AUTH_JWS_BYTES_MAX - 81) / 4 * 3 - 2)
        claims[len++] = 'x';
    memcpy(claims + len, "\"}", 2);
    const str longest = forge(secret_mac, STR(HEADER), (str){ claims, len + 2 });
    assert_true(longest.len > AUTH_JWS_BYTES_MAX - 8 && longest.len <= AUTH_JWS_BYTES_MAX);
    assert_ok(read_at(longest, NOW));
    memset(claims + start, 'x', len + 10 - start);
    memcpy(claims + len + 10, "\"}", 2);
    const str longer = forge(secret_mac, STR(HEADER), (str){ claims, len + 12 });
    assert_true(longer.len > AUTH_JWS_BYTES_MAX);
    assert_fails(AUTH_TOKEN_INVALID, read_at(longer, NOW));
}

/* --- keys ------------------------------------------------------------------------------------- */

static void test_token_of_another_key_is_refused(void **state)
{
    (void)state;
    const str token = forge(former_mac, STR(HEADER), STR("{" CLAIMS DATES "}"));
    assert_fails(AUTH_TOKEN_INVALID, read_at(token, NOW));
}

static void test_token_of_old_key_is_taken_but_not_made(void **state)
{
    (void)state;
    const str old = forge(former_mac, STR(HEADER), STR("{" CLAIMS DATES "}"));
    policy.keys.old = former_mac;
    assert_ok(read_at(old, NOW));
    const str made = make(&ALICE);
    policy.keys.old = NULL;
    assert_ok(read_at(made, NOW));
    assert_fails(AUTH_TOKEN_INVALID, read_at(old, NOW));
}

/* --- headers ---------------------------------------------------------------------------------- */

static void test_header_as_allowed_is_taken(void **state)
{
    (void)state;
    assert_ok(read_header("{\"alg\":\"HS256\"}"));
    assert_ok(read_header("{\"alg\":\"HS256\",\"typ\":\"jwt\"}"));
    assert_ok(read_header("{\"typ\":\"JWT\", \"kid\":\"1\",\r\n \"alg\":\"HS256\"}"));
}

/* Each is signed by our key: it is the header that must be refused. */
static void test_header_of_other_algorithm_is_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"NONE\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"HS256 \"}",
        "{\"alg\":\"HS384\"}",
        "{\"alg\":\"HS512\"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":\"ES256\"}",
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":null}",
        "{\"alg\":256}",
        "{\"typ\":\"JWT\"}",
        "{}",
        "[]",
        "\"HS256\"",
        "null",
        "{\"alg\":\"HS256\"",
        "{\"alg\":\"HS256\"}x",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"none\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"HS256\",\"typ\":null}",
        "{\"alg\":\"HS256\",\"typ\":1}",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"crit\":[],\"b64\":false}",
        "{\"alg\":\"HS256\",\"crit\":null}",
    };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        if (!error_is(read_header(BAD[i]), &AUTH_TOKEN_INVALID))
            fail_msg("taken: %s", BAD[i]);
    }
}

static void test_token_without_signature_is_refused(void **state)
{
    (void)state;
    static const char *const HEADERS[] = { HEADER, "{\"alg\":\"none\"}" };
    for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++) {
        const str unsigned_token =
            str_format(fiber_arena(), "%.*s.%.*s.", STR_ARG(encode(str_from_c(HEADERS[i]))),
                       STR_ARG(encode(STR("{" CLAIMS DATES "}"))));
        assert_fails(AUTH_TOKEN_INVALID, read_at(unsigned_token, NOW));
        assert_fails(AUTH_TOKEN_INVALID,
                     read_at(str_slice(unsigned_token, 0, unsigned_token.len - 1), NOW));
    }
}

/* Each is signed by our key as it stands. */
static void test_parts_that_are_not_base64url_are_refused(void **state)
{
    (void)state;
    const str header = encode(STR(HEADER));
    const str claims = encode(STR("{" CLAIMS DATES "}"));
    static const char *const AFTER[] = { "=", "==", "A", "!", "+", "/", " ", "\n", "\x80" };
    for (size_t i = 0; i < ARRAY_LEN(AFTER); i++) {
        const str bad_header =
            str_format(fiber_arena(), "%.*s%s.%.*s", STR_ARG(header), AFTER[i], STR_ARG(claims));
        const str bad_claims =
            str_format(fiber_arena(), "%.*s.%.*s%s", STR_ARG(header), STR_ARG(claims), AFTER[i]);
        assert_fails(AUTH_TOKEN_INVALID, read_at(sign(secret_mac, bad_header), NOW));
        assert_fails(AUTH_TOKEN_INVALID, read_at(sign(secret_mac, bad_claims), NOW));
    }
    const str good = str_format(fiber_arena(), "%.*s.%.*s", STR_ARG(header), STR_ARG(claims));
    assert_ok(read_at(sign(secret_mac, good), NOW));
}

/* --- claims ----------------------------------------------------------------------------------- */

static void test_claims_as_allowed_are_taken(void **state)
{
    (void)state;
    assert_ok(read_claims("{" CLAIMS DATES "}"));
    assert_ok(read_claims("{" CLAIMS ",\"exp\":1800003600}"));
    assert_ok(read_claims("{" CLAIMS DATES ",\"nbf\":1800000000,\"jti\":\"x\",\"x\":{\"y\":[1]}}"));
    assert_ok(read_claims("{" CLAIMS ",\"exp\":1800000000.5,\"iat\":1.8e9}"));
    assert_ok(read_claims(" {" CLAIMS DATES "} "));
    assert_ok(read_claims("{" CLAIMS ",\"exp\":9223372036854775807}"));
    assert_ok(read_claims("{" CLAIMS DATES ",\"iss\":\"anyone\"}"));
}

static void test_claims_wrong_are_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "",
        "{}",
        "[]",
        "null",
        "7",
        "{" CLAIMS DATES,
        "{" CLAIMS DATES "}}",
        "{" CLAIMS DATES ",}",
        "{" CLAIMS DATES ",\"x\":\"\xff\"}",
        "{\"role\":\"member\"" DATES "}",
        "{\"sub\":\"7\"" DATES "}",
        "{" CLAIMS "}",
        "{" CLAIMS ",\"iat\":1800000000}",
        "{\"sub\":7,\"role\":\"member\"" DATES "}",
        "{\"sub\":null,\"role\":\"member\"" DATES "}",
        "{\"sub\":\"\",\"role\":\"member\"" DATES "}",
        "{\"sub\":\"07\",\"role\":\"member\"" DATES "}",
        "{\"sub\":\"-0\",\"role\":\"member\"" DATES "}",
        "{\"sub\":\"+7\",\"role\":\"member\"" DATES "}",
        "{\"sub\":\" 7\",\"role\":\"member\"" DATES "}",
        "{\"sub\":\"7x\",\"role\":\"member\"" DATES "}",
        "{\"sub\":\"7.0\",\"role\":\"member\"" DATES "}",
        "{\"sub\":\"9223372036854775808\",\"role\":\"member\"" DATES "}",
        "{\"sub\":\"7\",\"role\":\"\"" DATES "}",
        "{\"sub\":\"7\",\"role\":1" DATES "}",
        "{\"sub\":\"7\",\"role\":null" DATES "}",
        "{\"sub\":\"7\",\"role\":[\"member\"]" DATES "}",
        "{\"sub\":\"7\",\"role\":\"mem\\u0000ber\"" DATES "}",
        "{" CLAIMS ",\"sub\":\"8\"" DATES "}",
        "{" CLAIMS ",\"role\":\"admin\"" DATES "}",
        "{" CLAIMS ",\"\\u0072ole\":\"admin\"" DATES "}",
        "{" CLAIMS DATES ",\"exp\":1900000000}",
        "{" CLAIMS ",\"exp\":\"1800003600\"}",
        "{" CLAIMS ",\"exp\":null}",
        "{" CLAIMS ",\"exp\":true}",
        "{" CLAIMS ",\"exp\":1e400}",
        "{" CLAIMS ",\"exp\":1e300}",
        "{" CLAIMS DATES ",\"nbf\":\"0\"}",
        "{" CLAIMS DATES ",\"nbf\":9223372036854775807}",
        "{" CLAIMS ",\"iat\":null,\"exp\":1800003600}",
        "{" CLAIMS DATES ",\"aud\":\"another\"}",
        "{" CLAIMS DATES ",\"aud\":[]}",
        "{" CLAIMS DATES ",\"iss\":1}",
    };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        if (!error_is(read_claims(BAD[i]), &AUTH_TOKEN_INVALID))
            fail_msg("taken: %s", BAD[i]);
    }
}

static void test_role_too_long_is_refused(void **state)
{
    (void)state;
    char claims[512];
    for (int len = AUTH_ROLE_BYTES_MAX; len <= AUTH_ROLE_BYTES_MAX + 1; len++) {
        (void)snprintf(claims, sizeof claims, "{\"sub\":\"7\",\"role\":\"%0*d\"" DATES "}", len, 0);
        assert_int_equal(error_is_ok(read_claims(claims)), len == AUTH_ROLE_BYTES_MAX);
    }
}

static void test_token_expires_after_lifetime_and_leeway(void **state)
{
    (void)state;
    const str token = make(&ALICE);
    assert_ok(read_at(token, NOW + 3600 + AUTH_LEEWAY_S - 1));
    const error e = read_at(token, NOW + 3600 + AUTH_LEEWAY_S);
    assert_fails(AUTH_TOKEN_EXPIRED, e);
    assert_int_equal(error_class_of(e), ERROR_UNAUTHENTICATED);
    assert_fails(AUTH_TOKEN_EXPIRED, read_at(token, NOW + 1000000000));
    assert_fails(AUTH_TOKEN_EXPIRED, read_claims("{" CLAIMS ",\"exp\":0}"));
    assert_fails(AUTH_TOKEN_EXPIRED, read_claims("{" CLAIMS ",\"exp\":-1.5}"));
    assert_fails(AUTH_TOKEN_EXPIRED, read_claims("{" CLAIMS ",\"exp\":-9223372036854775808}"));
}

static void test_token_of_the_future_is_refused(void **state)
{
    (void)state;
    const str token = make(&ALICE);
    assert_ok(read_at(token, NOW - AUTH_LEEWAY_S));
    assert_fails(AUTH_TOKEN_INVALID, read_at(token, NOW - AUTH_LEEWAY_S - 1));
    assert_ok(read_claims("{" CLAIMS DATES ",\"nbf\":1800000030}"));
    assert_fails(AUTH_TOKEN_INVALID, read_claims("{" CLAIMS DATES ",\"nbf\":1800000031}"));
}

static void test_issuer_when_set_must_be_ours(void **state)
{
    (void)state;
    policy.issuer = STR("https://notes.example/\"");
    auth_identity who;
    assert_ok(auth_token_read(fiber_arena(), &policy, make(&ALICE), NOW, &who));
    assert_fails(AUTH_TOKEN_INVALID, read_claims("{" CLAIMS DATES "}"));
    assert_fails(AUTH_TOKEN_INVALID, read_claims("{" CLAIMS DATES ",\"iss\":\"\"}"));
    assert_fails(AUTH_TOKEN_INVALID,
                 read_claims("{" CLAIMS DATES ",\"iss\":\"https://notes.example/\"}"));
    assert_fails(AUTH_TOKEN_INVALID,
                 read_claims("{" CLAIMS DATES ",\"iss\":[\"https://notes.example/\\\"\"]}"));
    policy.issuer = STR_NONE;
}

/* --- by the settings -------------------------------------------------------------------------- */

static error issue_into(void *arg)
{
    str *token = arg;
    *token = str_copy(fiber_arena(), auth_issue(7, STR("member")));
    return OK;
}

static error issue_on_fiber(str *token)
{
    fiber *f;
    const fiber_options options = { .joinable = true, .arena = fiber_arena() };
    TRY(fiber_start(loop_self(), &options, issue_into, token, &f));
    return fiber_join(&f);
}

/* Runs first: settings are read once. */
static void test_token_without_settings_is_an_error_of_ours(void **state)
{
    (void)state;
    auth_identity who;
    str token = STR_NONE;
    unsetenv("AUTH_SECRET");
    error e = auth_verify_token(STR("a.b.c"), &who);
    assert_fails(AUTH_NOT_CONFIGURED, e);
    assert_int_equal(error_class_of(e), ERROR_INTERNAL);
    assert_fails(AUTH_NOT_CONFIGURED, issue_on_fiber(&token));
    assert_null(token.ptr);
    setenv("AUTH_SECRET", "too short", 1);
    assert_fails(AUTH_NOT_CONFIGURED, issue_on_fiber(&token));
    setenv("AUTH_SECRET", SECRET, 1);
    setenv("AUTH_SECRET_OLD", "too short", 1);
    e = auth_verify_token(STR("a.b.c"), &who);
    assert_fails(AUTH_NOT_CONFIGURED, e);
    char text[1024];
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "AUTH_SECRET_OLD"));
    assert_null(strstr(text, "too short"));
}

static void test_token_without_memory_for_keys_fails_as_unavailable(void **state)
{
    (void)state;
    auth_identity who;
    setenv("AUTH_SECRET", SECRET, 1);
    setenv("AUTH_SECRET_OLD", FORMER, 1);
    for (uint32_t n = 1; n <= 2; n++) {
        fault_at("memory", n);
        assert_fails(OUT_OF_MEMORY, auth_verify_token(STR("a.b.c"), &who));
    }
}

static void test_token_without_mac_is_an_error_of_ours(void **state)
{
    (void)state;
    auth_identity who;
    str token = STR_NONE, good;
    const str other = forge(rfc_keys()->current, STR(HEADER), STR("{}"));
    fault_at("auth.mac", 1);
    assert_fails(SYSTEM_FAILED, issue_on_fiber(&token));
    assert_null(token.ptr);
    assert_ok(issue_on_fiber(&good));
    for (uint32_t n = 1; n <= 2; n++) { /* with the present key, and with the former one */
        fault_at("auth.mac", n);
        assert_fails(SYSTEM_FAILED, auth_verify_token(other, &who));
    }
    assert_ok(auth_verify_token(good, &who));
}

static int clear_faults(void **state)
{
    (void)state;
    fault_clear();
    return 0;
}

static void test_token_issued_now_verifies(void **state)
{
    (void)state;
    str token = STR_NONE;
    auth_identity who = { 0 };
    setenv("AUTH_SECRET", SECRET, 1);
    setenv("AUTH_SECRET_OLD", FORMER, 1);
    assert_ok(issue_on_fiber(&token));
    assert_ok(auth_verify_token(token, &who));
    assert_int_equal(who.id, 7);
    assert_str_equal(who.role, STR("member"));
    /* One of the former key, written before the change. */
    const auth_policy former = { .keys = { former_mac, NULL }, .lifetime_s = 3600 };
    const int64_t now_s = timestamptz_to_unix(timestamptz_now());
    assert_ok(auth_token_make(fiber_arena(), &former, &ALICE, now_s - 60, &token));
    assert_ok(auth_verify_token(token, &who));
    assert_ok(auth_token_make(fiber_arena(), &former, &ALICE, now_s - 7200, &token));
    assert_fails(AUTH_TOKEN_EXPIRED, auth_verify_token(token, &who));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_without_settings_is_an_error_of_ours),
        cmocka_unit_test_teardown(test_token_without_memory_for_keys_fails_as_unavailable,
                                  clear_faults),
        cmocka_unit_test(test_token_issued_now_verifies),
        cmocka_unit_test_teardown(test_token_without_mac_is_an_error_of_ours, clear_faults),
        cmocka_unit_test(test_signature_of_the_rfc_holds),
        cmocka_unit_test(test_token_made_reads_back),
        cmocka_unit_test(test_token_made_says_what_it_must),
        cmocka_unit_test(test_token_of_longest_role_is_inside_the_limit),
        cmocka_unit_test(test_token_tampered_at_any_byte_is_refused),
        cmocka_unit_test(test_token_cut_or_lengthened_is_refused),
        cmocka_unit_test(test_token_that_is_none_is_refused),
        cmocka_unit_test(test_token_too_long_is_refused),
        cmocka_unit_test(test_token_of_another_key_is_refused),
        cmocka_unit_test(test_token_of_old_key_is_taken_but_not_made),
        cmocka_unit_test(test_header_as_allowed_is_taken),
        cmocka_unit_test(test_header_of_other_algorithm_is_refused),
        cmocka_unit_test(test_token_without_signature_is_refused),
        cmocka_unit_test(test_parts_that_are_not_base64url_are_refused),
        cmocka_unit_test(test_claims_as_allowed_are_taken),
        cmocka_unit_test(test_claims_wrong_are_refused),
        cmocka_unit_test(test_role_too_long_is_refused),
        cmocka_unit_test(test_token_expires_after_lifetime_and_leeway),
        cmocka_unit_test(test_token_of_the_future_is_refused),
        cmocka_unit_test(test_issuer_when_set_must_be_ours),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

int main(void)
{
    return run_in_fiber(run);
}
