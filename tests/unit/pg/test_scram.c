/* SCRAM-SHA-256: the published exchange, byte for byte, and everything a server can get wrong. */
#include "scram_cache.h"

#include "tests/support/exact_copy.h"
#include "tests/support/in_fiber.h"

/* RFC 7677 section 3. */
#define USER         STR("user")
#define PASSWORD     STR("pencil")
#define CLIENT_NONCE STR("rOprNGfwEbeRWgbNEkqO")
#define NONCE        "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT         "W22ZaJ0SNY7soEsUEjb6gQ=="
#define SERVER_FIRST STR("r=" NONCE ",s=" SALT ",i=4096")
#define SIGNATURE    "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
#define SERVER_FINAL STR("v=" SIGNATURE)

static arena memory;

static int set_up(void **state)
{
    (void)state;
    arena_init(&memory, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&memory);
    return 0;
}

static pg_scram started(void)
{
    pg_scram s;
    str message;
    assert_ok(pg_scram_first_with(
        &s, &memory, &(pg_scram_vector){ .user = USER, .nonce = CLIENT_NONCE }, &message));
    assert_str_equal(message, STR("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    return s;
}

static error challenge(pg_scram *s, str message)
{
    const str copy = exact_copy(message);
    const error e = pg_scram_server_first(s, &memory, copy);
    exact_free(copy);
    return e;
}

static error verify(pg_scram *s, str message)
{
    const str copy = exact_copy(message);
    const error e = pg_scram_server_final(s, copy);
    exact_free(copy);
    return e;
}

/* Everything up to the client's proof. */
static pg_scram proved(str server_first, str password)
{
    pg_scram s = started();
    str message;
    assert_ok(challenge(&s, server_first));
    assert_ok(pg_scram_derive(&s, password));
    assert_ok(pg_scram_final(&s, &memory, &message));
    return s;
}

static void test_scram_published_exchange_is_reproduced(void **state)
{
    (void)state;
    pg_scram s = started();
    assert_ok(challenge(&s, SERVER_FIRST));
    assert_int_equal(s.iterations, 4096);
    assert_int_equal(s.salt_len, 16);
    assert_ok(pg_scram_derive(&s, PASSWORD));
    str message;
    assert_ok(pg_scram_final(&s, &memory, &message));
    assert_str_equal(message,
                     STR("c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
    assert_false(pg_scram_is_verified(&s));
    assert_ok(verify(&s, SERVER_FINAL));
    assert_true(pg_scram_is_verified(&s));
}

static void test_scram_first_has_a_fresh_printable_nonce_and_no_user(void **state)
{
    (void)state;
    pg_scram s;
    str one;
    str two;
    assert_ok(pg_scram_first(&s, &memory, &(pg_scram_channel){ 0 }, &one));
    assert_ok(pg_scram_first(&s, &memory, &(pg_scram_channel){ 0 }, &two));
    assert_true(str_starts_with(one, STR("n,,n=,r=")));
    assert_int_equal(one.len, 8 + 24);
    assert_false(str_eq(one, two));
    for (size_t i = 8; i < one.len; i++)
        assert_true(one.ptr[i] > ' ' && one.ptr[i] < 0x7F && one.ptr[i] != ',');
}

static void test_scram_malformed_challenges_fail(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *message;
    } rows[] = {
        { "empty", "" },
        { "no attribute", "hello" },
        { "only a nonce", "r=" NONCE },
        { "the client's nonce alone", "r=rOprNGfwEbeRWgbNEkqO,s=" SALT ",i=4096" },
        { "another nonce", "r=xOprNGfwEbeRWgbNEkqO123,s=" SALT ",i=4096" },
        { "a shorter nonce", "r=rOpr,s=" SALT ",i=4096" },
        { "an empty nonce", "r=,s=" SALT ",i=4096" },
        { "a space in the nonce", "r=rOprNGfwEbeRWgbNEkqO 1,s=" SALT ",i=4096" },
        { "a control character in the nonce", "r=rOprNGfwEbeRWgbNEkqO\x01,s=" SALT ",i=4096" },
        { "a DEL in the nonce", "r=rOprNGfwEbeRWgbNEkqO\x7F,s=" SALT ",i=4096" },
        { "UTF-8 in the nonce", "r=rOprNGfwEbeRWgbNEkqO\xC3\xA9,s=" SALT ",i=4096" },
        { "a mandatory extension", "m=x,r=" NONCE ",s=" SALT ",i=4096" },
        { "another order", "s=" SALT ",r=" NONCE ",i=4096" },
        { "no salt", "r=" NONCE ",i=4096" },
        { "an empty salt", "r=" NONCE ",s=,i=4096" },
        { "a salt without padding", "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ,i=4096" },
        { "a salt with too much padding", "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6g===,i=4096" },
        { "only padding", "r=" NONCE ",s====,i=4096" },
        { "padding within", "r=" NONCE ",s=W2==aJ0S,i=4096" },
        { "a salt of foreign characters", "r=" NONCE ",s=W22Za!0SNY7soEsUEjb6gQ==,i=4096" },
        { "a salt with a space", "r=" NONCE ",s= 22ZaJ0SNY7soEsUEjb6gQ==,i=4096" },
        { "a salt with a newline", "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ=\n,i=4096" },
        { "a salt in base64url", "r=" NONCE ",s=W22Za-_SNY7soEsUEjb6gQ==,i=4096" },
        { "a salt with loose bits", "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gR==,i=4096" },
        { "no count", "r=" NONCE ",s=" SALT },
        { "an empty count", "r=" NONCE ",s=" SALT ",i=" },
        { "no iterations", "r=" NONCE ",s=" SALT ",i=0" },
        { "negative iterations", "r=" NONCE ",s=" SALT ",i=-1" },
        { "one too many", "r=" NONCE ",s=" SALT ",i=1000001" },
        { "2^32 + 1", "r=" NONCE ",s=" SALT ",i=4294967297" },
        { "2^64 + 1", "r=" NONCE ",s=" SALT ",i=18446744073709551617" },
        { "a leading zero", "r=" NONCE ",s=" SALT ",i=04096" },
        { "a plus", "r=" NONCE ",s=" SALT ",i=+4096" },
        { "a space before", "r=" NONCE ",s=" SALT ",i= 4096" },
        { "a space behind", "r=" NONCE ",s=" SALT ",i=4096 " },
        { "hexadecimal", "r=" NONCE ",s=" SALT ",i=0x1000" },
        { "an extension", "r=" NONCE ",s=" SALT ",i=4096,x=1" },
        { "a comma at the end", "r=" NONCE ",s=" SALT ",i=4096," },
        { "two nonces", "r=" NONCE ",r=" NONCE ",s=" SALT ",i=4096" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        pg_scram s = started();
        const error e = challenge(&s, str_from_c(rows[i].message));
        if (!error_is(e, &PG_AUTH_FAILED))
            fail_msg("%s was taken", rows[i].name);
        assert_int_equal(s.step, PG_SCRAM_FAILED);
    }
}

static void test_scram_challenge_with_a_nul_fails(void **state)
{
    (void)state;
    pg_scram s = started();
    assert_fails(PG_AUTH_FAILED, challenge(&s, STR("r=" NONCE "\0,s=" SALT ",i=4096")));
    s = started();
    assert_fails(PG_AUTH_FAILED, challenge(&s, STR("r=" NONCE ",s=" SALT ",i=4096\0")));
    s = started();
    assert_fails(PG_AUTH_FAILED, challenge(&s, STR_NONE));
}

static void test_scram_challenge_cut_anywhere_fails(void **state)
{
    (void)state;
    const str whole = STR("r=" NONCE ",s=" SALT ",i=4");
    for (size_t len = 0; len < whole.len; len++) {
        pg_scram s = started();
        assert_fails(PG_AUTH_FAILED, challenge(&s, str_slice(whole, 0, len)));
    }
}

static void test_scram_bounds_are_taken_and_what_lies_past_them_is_not(void **state)
{
    (void)state;
    pg_scram s = started();
    assert_ok(challenge(&s, STR("r=" NONCE ",s=" SALT ",i=1")));
    s = started();
    assert_ok(challenge(&s, STR("r=" NONCE ",s=" SALT ",i=1000000")));
    assert_int_equal(s.iterations, PG_SCRAM_ITERATIONS_MAX);

    static char salt[4096];
    memset(salt, 'A', sizeof salt);
    s = started();
    assert_ok(challenge(&s, str_format(&memory, "r=%s,s=%.*sAA==,i=1", NONCE, 340, salt)));
    assert_int_equal(s.salt_len, PG_SCRAM_SALT_BYTES_MAX);
    s = started();
    assert_fails(PG_AUTH_FAILED,
                 challenge(&s, str_format(&memory, "r=%s,s=%.*sAAA=,i=1", NONCE, 340, salt)));
    s = started();
    assert_fails(PG_AUTH_FAILED,
                 challenge(&s, str_format(&memory, "r=%s,s=%.*s,i=1", NONCE, 4096, salt)));
    s = started();
    assert_fails(PG_AUTH_FAILED, challenge(&s, str_format(&memory, "r=%s%.*s%.*s,s=" SALT ",i=1",
                                                          NONCE, 4096, salt, 4096, salt)));
}

/* A message that differs in one bit either does not parse or ends with a signature that is not the
 * server's. */
static void test_scram_any_flipped_bit_of_a_challenge_is_found(void **state)
{
    (void)state;
    char text[128];
    const str whole = STR("r=" NONCE ",s=" SALT ",i=2");
    const pg_scram honest = proved(whole, PASSWORD);
    unsigned parsed = 0;
    for (size_t bit = 0; bit < whole.len * 8; bit++) {
        memcpy(text, whole.ptr, whole.len);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        pg_scram s = started();
        if (!error_is_ok(challenge(&s, (str){ text, whole.len })))
            continue;
        parsed++;
        str message;
        assert_ok(pg_scram_derive(&s, PASSWORD));
        assert_ok(pg_scram_final(&s, &memory, &message));
        assert_memory_not_equal(s.server_signature, honest.server_signature, PG_SCRAM_KEY_BYTES);
    }
    assert_in_range(parsed, 50, 500); /* of the server's nonce, the salt and the count */
}

static void test_scram_any_flipped_bit_of_a_signature_is_found(void **state)
{
    (void)state;
    const pg_scram honest = proved(SERVER_FIRST, PASSWORD);
    const str whole = SERVER_FINAL;
    char text[64];
    for (size_t bit = 0; bit < whole.len * 8; bit++) {
        memcpy(text, whole.ptr, whole.len);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        pg_scram s = honest;
        assert_fails(PG_AUTH_FAILED, verify(&s, (str){ text, whole.len }));
        assert_false(pg_scram_is_verified(&s));
    }
    pg_scram s = honest;
    assert_ok(verify(&s, whole));
}

static void test_scram_malformed_signatures_fail(void **state)
{
    (void)state;
    static const char *const ROWS[] = {
        "",
        "v",
        "v=",
        "v=====",
        "x=" SIGNATURE,
        "v=" SIGNATURE ",x=1",
        "v=" SIGNATURE ",",
        "v=" SIGNATURE "\n",
        " v=" SIGNATURE,
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==",             /* 31 bytes */
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4A",             /* 33 */
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",             /* loose bits */
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4",              /* no padding */
        "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",             /* zeros */
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=6rriTRBi23Wp", /* padding within */
    };
    const pg_scram honest = proved(SERVER_FIRST, PASSWORD);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        pg_scram s = honest;
        assert_fails(PG_AUTH_FAILED, verify(&s, str_from_c(ROWS[i])));
        assert_int_equal(s.step, PG_SCRAM_FAILED);
    }
}

static void test_scram_error_of_the_server_is_told_without_control_characters(void **state)
{
    (void)state;
    const pg_scram honest = proved(SERVER_FIRST, PASSWORD);
    pg_scram s = honest;
    error e = verify(&s, STR("e=invalid-proof"));
    assert_fails(PG_AUTH_FAILED, e);
    assert_true(str_ends_with(error_detail_of(e)->text, STR(": invalid-proof")));
    s = honest;
    e = verify(&s, STR("e=a\nforged line"));
    assert_fails(PG_AUTH_FAILED, e);
    assert_true(str_ends_with(error_detail_of(e)->text, STR(": ")));
    s = honest;
    assert_fails(PG_AUTH_FAILED, verify(&s, STR("e=")));
}

static void test_scram_wrong_password_gives_another_proof_and_signature(void **state)
{
    (void)state;
    static const char *const WRONG[] = { "pencil ", "Pencil", "penci", "\xFF\xFE",
                                         "p\xC3\xA9ncil" };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        pg_scram s = proved(SERVER_FIRST, str_from_c(WRONG[i]));
        assert_fails(PG_AUTH_FAILED, verify(&s, SERVER_FINAL));
    }
    pg_scram s = proved(SERVER_FIRST, STR("pen\0cil"));
    assert_fails(PG_AUTH_FAILED, verify(&s, SERVER_FINAL));
}

static void test_scram_without_a_password_fails(void **state)
{
    (void)state;
    pg_scram s = started();
    assert_ok(challenge(&s, SERVER_FIRST));
    assert_fails(PG_AUTH_FAILED, pg_scram_derive(&s, STR_NONE));
    assert_int_equal(s.step, PG_SCRAM_FAILED);
}

static void test_scram_messages_out_of_turn_fail(void **state)
{
    (void)state;
    pg_scram s = started();
    assert_fails(PG_PROTOCOL_VIOLATION, verify(&s, SERVER_FINAL));
    s = started();
    assert_ok(challenge(&s, SERVER_FIRST));
    assert_fails(PG_PROTOCOL_VIOLATION, challenge(&s, SERVER_FIRST));
    s = started();
    assert_ok(challenge(&s, SERVER_FIRST));
    assert_fails(PG_PROTOCOL_VIOLATION, verify(&s, SERVER_FINAL));
    s = proved(SERVER_FIRST, PASSWORD);
    assert_fails(PG_PROTOCOL_VIOLATION, challenge(&s, SERVER_FIRST));
    s = proved(SERVER_FIRST, PASSWORD);
    assert_ok(verify(&s, SERVER_FINAL));
    assert_fails(PG_PROTOCOL_VIOLATION, verify(&s, SERVER_FINAL));
    assert_false(pg_scram_is_verified(&s));
    pg_scram_wipe(&s);
    assert_fails(PG_PROTOCOL_VIOLATION, challenge(&s, SERVER_FIRST));
}

static void test_scram_wipe_leaves_no_key(void **state)
{
    (void)state;
    static const pg_scram ZERO;
    pg_scram s = proved(SERVER_FIRST, PASSWORD);
    pg_scram_wipe(&s);
    assert_memory_equal(s.client_key, ZERO.client_key, sizeof s.client_key);
    assert_memory_equal(s.server_key, ZERO.server_key, sizeof s.server_key);
    assert_memory_equal(s.server_signature, ZERO.server_signature, sizeof s.server_signature);
    assert_int_equal(s.step, PG_SCRAM_NEW);
    pg_scram_wipe(&s);
}

/* A connection authenticates on the loop, where an arena that is full must not end the fiber. */
static void test_scram_without_memory_fails(void **state)
{
    (void)state;
    arena none;
    arena_init(&none, 0);
    pg_scram s;
    str message;
    assert_fails(OUT_OF_MEMORY, pg_scram_first(&s, &none, &(pg_scram_channel){ 0 }, &message));
    s = started();
    assert_fails(OUT_OF_MEMORY, pg_scram_server_first(&s, &none, SERVER_FIRST));
    s = started();
    assert_ok(challenge(&s, SERVER_FIRST));
    assert_ok(pg_scram_derive(&s, PASSWORD));
    assert_fails(OUT_OF_MEMORY, pg_scram_final(&s, &none, &message));
    arena_deinit(&none);
}

/* The values were computed apart, by Python's hmac and hashlib, from the exchange above. */
static void test_scram_proof_covers_the_channel(void **state)
{
    (void)state;
    static const char HASH[] = "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17"
                               "\20\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37";
    static const struct {
        pg_scram_channel channel;
        const char *first;
        const char *final;
        const char *signature;
    } rows[] = {
        { { PG_SCRAM_NOT_OFFERED, { NULL, 0 } },
          "y,,n=user,r=rOprNGfwEbeRWgbNEkqO",
          "c=eSws,r=" NONCE ",p=FoqiHTtQEDE8lz1CdaEe3tK4mS+iMDTl77SPyDS53DY=",
          "v=dI4KpiQJwBr1+V+K6U1dA6l6I4I9DUNXWND4pcpRU3U=" },
        { { PG_SCRAM_BOUND, { HASH, 32 } },
          "p=tls-server-end-point,,n=user,r=rOprNGfwEbeRWgbNEkqO",
          "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,r=" NONCE
          ",p=nY1Wus9a+gM2DrbQ1msXFgyhW6KM5ktOxWiU+/P/EGY=",
          "v=RwppMGddhz/J0lFYaRReBjXcQeNUFP5Qc76Lo5Exrig=" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        pg_scram s;
        str message;
        const pg_scram_vector vector = { rows[i].channel, USER, CLIENT_NONCE };
        assert_ok(pg_scram_first_with(&s, &memory, &vector, &message));
        assert_str_equal(message, str_from_c(rows[i].first));
        assert_ok(challenge(&s, SERVER_FIRST));
        assert_ok(pg_scram_derive(&s, PASSWORD));
        assert_ok(pg_scram_final(&s, &memory, &message));
        assert_str_equal(message, str_from_c(rows[i].final));
        assert_fails(PG_AUTH_FAILED, verify(&s, SERVER_FINAL)); /* that of another channel */
    }
    pg_scram s;
    str message;
    const pg_scram_vector vector = { rows[1].channel, USER, CLIENT_NONCE };
    assert_ok(pg_scram_first_with(&s, &memory, &vector, &message));
    assert_ok(challenge(&s, SERVER_FIRST));
    assert_ok(pg_scram_derive(&s, PASSWORD));
    assert_ok(pg_scram_final(&s, &memory, &message));
    assert_ok(verify(&s, str_from_c(rows[1].signature)));
}

static void test_scram_kept_keys_answer_without_the_password(void **state)
{
    (void)state;
    pg_scram_cache cache = { 0 };
    pg_scram s = started();
    assert_ok(challenge(&s, SERVER_FIRST));
    assert_false(pg_scram_cache_find(&cache, PASSWORD, &s));
    assert_ok(pg_scram_derive(&s, PASSWORD));
    pg_scram_cache_keep(&cache, PASSWORD, &s);

    s = started();
    assert_ok(challenge(&s, SERVER_FIRST));
    assert_false(pg_scram_cache_find(&cache, STR("other"), &s));
    assert_true(pg_scram_cache_find(&cache, PASSWORD, &s));
    str message;
    assert_ok(pg_scram_final(&s, &memory, &message));
    assert_ok(verify(&s, SERVER_FINAL));

    s = started();
    assert_ok(challenge(&s, STR("r=" NONCE ",s=" SALT ",i=4097")));
    assert_false(pg_scram_cache_find(&cache, PASSWORD, &s));
    s = started();
    assert_ok(challenge(&s, STR("r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gA==,i=4096")));
    assert_false(pg_scram_cache_find(&cache, PASSWORD, &s));

    /* The oldest makes room. */
    for (int i = 0; i < PG_SCRAM_CACHE_MAX; i++) {
        s = started();
        assert_ok(challenge(&s, str_format(&memory, "r=%s,s=" SALT ",i=%d", NONCE, i + 1)));
        assert_ok(pg_scram_derive(&s, PASSWORD));
        pg_scram_cache_keep(&cache, PASSWORD, &s);
    }
    s = started();
    assert_ok(challenge(&s, SERVER_FIRST));
    assert_false(pg_scram_cache_find(&cache, PASSWORD, &s));
    pg_scram_cache_wipe(&cache);
    for (size_t i = 0; i < sizeof cache; i++)
        assert_int_equal(((const uint8_t *)&cache)[i], 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_scram_published_exchange_is_reproduced),
        TEST(test_scram_first_has_a_fresh_printable_nonce_and_no_user),
        TEST(test_scram_malformed_challenges_fail),
        TEST(test_scram_challenge_with_a_nul_fails),
        TEST(test_scram_challenge_cut_anywhere_fails),
        TEST(test_scram_bounds_are_taken_and_what_lies_past_them_is_not),
        TEST(test_scram_any_flipped_bit_of_a_challenge_is_found),
        TEST(test_scram_any_flipped_bit_of_a_signature_is_found),
        TEST(test_scram_malformed_signatures_fail),
        TEST(test_scram_error_of_the_server_is_told_without_control_characters),
        TEST(test_scram_wrong_password_gives_another_proof_and_signature),
        TEST(test_scram_without_a_password_fails),
        TEST(test_scram_messages_out_of_turn_fail),
        TEST(test_scram_wipe_leaves_no_key),
        TEST(test_scram_without_memory_fails),
        TEST(test_scram_proof_covers_the_channel),
        TEST(test_scram_kept_keys_answer_without_the_password),
    };
    return cmocka_run_group_tests_name("scram", tests, NULL, NULL);
}
