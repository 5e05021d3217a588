/* Passwords: hashes there and back, hashes of other implementations, everything malformed, and that
 * an unknown account costs the same work. */
#include "phc.h"

#include "auth/auth.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/offload.h"
#include "tests/support/in_fiber.h"

#include <semaphore.h>
#include <unistd.h>

/* The cost of the tests: the least that the settings allow. */
#define START "$argon2id$v=19$m=1024,t=1,p=1$"
#define SALT  "c29tZXNhbHQ"
#define HASH  "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

static int clear_faults(void **state)
{
    (void)state;
    fault_clear();
    return 0;
}

/* --- round trip ------------------------------------------------------------------------------ */

static void test_password_hashed_verifies(void **state)
{
    (void)state;
    str hash;
    assert_ok(auth_hash_password(STR("correct horse"), &hash));
    assert_true(str_starts_with(hash, STR(START)));
    auth_phc phc;
    assert_true(auth_phc_parse(fiber_arena(), hash, &phc));
    assert_int_equal(phc.salt.len, 16);
    assert_int_equal(phc.hash.len, 32);
    assert_ok(auth_verify_password(STR("correct horse"), hash));
}

static void test_password_wrong_is_refused(void **state)
{
    (void)state;
    str hash;
    assert_ok(auth_hash_password(STR("correct horse"), &hash));
    static const str WRONG[] = { { "correct hors", 12 },
                                 { "correct horse ", 14 },
                                 { "Correct horse", 13 },
                                 { "correct\0horse", 13 },
                                 { "", 0 },
                                 { NULL, 0 } };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        const error e = auth_verify_password(WRONG[i], hash);
        assert_fails(AUTH_WRONG_CREDENTIALS, e);
        assert_int_equal(error_class_of(e), ERROR_UNAUTHENTICATED);
    }
}

static void test_password_hashed_twice_has_two_salts(void **state)
{
    (void)state;
    str a, b;
    assert_ok(auth_hash_password(STR("same"), &a));
    assert_ok(auth_hash_password(STR("same"), &b));
    assert_false(str_eq(a, b));
}

static void test_password_of_any_bytes_verifies(void **state)
{
    (void)state;
    static const str ODD[] = { { "\0", 1 }, { "a\0b", 3 }, { "\xff\xfe", 2 }, { "пароль", 12 } };
    for (size_t i = 0; i < ARRAY_LEN(ODD); i++) {
        str hash;
        assert_ok(auth_hash_password(ODD[i], &hash));
        assert_ok(auth_verify_password(ODD[i], hash));
    }
}

static void test_password_empty_or_huge_is_refused(void **state)
{
    (void)state;
    static char huge[AUTH_PASSWORD_BYTES_MAX + 1];
    memset(huge, 'x', sizeof huge);
    const str longest = { huge, AUTH_PASSWORD_BYTES_MAX };
    const str longer = { huge, AUTH_PASSWORD_BYTES_MAX + 1 };
    str hash;
    assert_fails(AUTH_PASSWORD_REFUSED, auth_hash_password(STR(""), &hash));
    assert_fails(AUTH_PASSWORD_REFUSED, auth_hash_password(longer, &hash));
    assert_ok(auth_hash_password(longest, &hash));
    assert_ok(auth_verify_password(longest, hash));
    /* What is cut for the work must not be what is compared. */
    assert_fails(AUTH_WRONG_CREDENTIALS, auth_verify_password(longer, hash));
}

static void test_password_at_default_cost_verifies(void **state)
{
    (void)state;
    const auth_cost cost = { 19456, 2, 1 };
    uint8_t derived[32];
    const bytea salt = { (const uint8_t *)"somesalt", 8 };
    assert_ok(auth_kdf_run(&(auth_kdf_input){ cost, STR("p"), salt }, derived, sizeof derived));
    const auth_phc phc = { cost, salt, { derived, sizeof derived } };
    assert_ok(auth_verify_password(STR("p"), auth_phc_format(fiber_arena(), &phc)));
}

/* --- hashes of others ------------------------------------------------------------------------- */

/* From the test suite of the Argon2 reference implementation. */
static void test_password_reference_hash_verifies(void **state)
{
    (void)state;
    static const struct {
        const char *password, *hash;
    } known[] = {
        { "password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ"
                      "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc" },
        { "password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ"
                      "$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4" },
        { "password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ"
                      "$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc" },
        { "password", "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ"
                      "$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg" },
        { "password", "$argon2id$v=19$m=65536,t=4,p=1$c29tZXNhbHQ"
                      "$kCXUjmjvc5XMqQedpMTsOv+zyJEf5PhtGiUghW9jFyw" },
        { "differentpassword", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ"
                               "$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94" },
        { "password", "$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ"
                      "$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw" },
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const str hash = str_from_c(known[i].hash);
        assert_ok(auth_verify_password(str_from_c(known[i].password), hash));
        assert_fails(AUTH_WRONG_CREDENTIALS, auth_verify_password(STR("passwore"), hash));
    }
}

/* --- malformed hashes ------------------------------------------------------------------------- */

static void test_hash_malformed_is_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "",
        "$",
        "plain text",
        "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$argon2id$v=19$",
        "$argon2id$v=19$m=1024,t=1,p=1",
        "$argon2id$v=19$m=1024,t=1,p=1$",
        START SALT,
        START SALT "$",
        START "$" HASH,
        START SALT "$" HASH "$",
        START SALT "$" HASH " ",
        " " START SALT "$" HASH,
        START SALT "$" HASH "=",
        START SALT "=$" HASH,
        START "c29tZXNhbH*$" HASH,
        START "c29tZXNhbHR$" HASH, /* trailing bits */
        START SALT "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPd",
        START SALT "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPP-",
        START "c29tZX$" HASH,               /* four bytes of salt */
        START SALT "$CTFhFdXPJO1aFaMaO6Mm", /* fifteen bytes of hash */
        "$argon2i$v=19$m=1024,t=1,p=1$" SALT "$" HASH,
        "$argon2d$v=19$m=1024,t=1,p=1$" SALT "$" HASH,
        "$ARGON2ID$v=19$m=1024,t=1,p=1$" SALT "$" HASH,
        "$argon2id$m=1024,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=16$m=1024,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=20$m=1024,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$t=1,m=1024,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=1024,t=1$" SALT "$" HASH,
        "$argon2id$v=19$m=1024,t=1,p=1,x=1$" SALT "$" HASH,
        "$argon2id$v=19$m=01024,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=+1024,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=-1,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=1024,t=1,p=$" SALT "$" HASH,
        "$argon2id$v=19$m=4294968320,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=18446744073709551617,t=1,p=1$" SALT "$" HASH,
    };
    auth_phc phc;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        if (auth_phc_parse(fiber_arena(), str_from_c(BAD[i]), &phc))
            fail_msg("parsed: %s", BAD[i]);
        assert_fails(AUTH_WRONG_CREDENTIALS,
                     auth_verify_password(STR("password"), str_from_c(BAD[i])));
    }
    assert_true(auth_phc_parse(fiber_arena(), STR(START SALT "$" HASH), &phc));
    assert_false(auth_phc_parse(fiber_arena(), STR(START "c29tZXNhbHQ\0$" HASH), &phc));
}

static void test_hash_of_absurd_cost_is_not_run(void **state)
{
    (void)state;
    static const char *const COSTS[] = {
        "m=262145,t=1,p=1", "m=4194304,t=1,p=1", "m=4294967295,t=1,p=1",
        "m=1024,t=17,p=1",  "m=1024,t=0,p=1",    "m=1024,t=4294967295,p=1",
        "m=1024,t=1,p=0",   "m=1024,t=1,p=17",   "m=1024,t=1,p=16777215",
        "m=7,t=1,p=1",      "m=15,t=1,p=2",      "m=0,t=1,p=1",
    };
    for (size_t i = 0; i < ARRAY_LEN(COSTS); i++) {
        const str hash = str_format(fiber_arena(), "$argon2id$v=19$%s$" SALT "$" HASH, COSTS[i]);
        auth_phc phc;
        if (auth_phc_parse(fiber_arena(), hash, &phc))
            fail_msg("allowed: %s", COSTS[i]);
        assert_fails(AUTH_WRONG_CREDENTIALS, auth_verify_password(STR("password"), hash));
    }
    const auth_cost greatest = { AUTH_MEMORY_KIB_MAX, AUTH_PASSES_MAX, AUTH_LANES_MAX };
    assert_true(auth_cost_is_allowed(&greatest));
}

static void test_hash_cut_or_changed_anywhere_never_matches(void **state)
{
    (void)state;
    str hash;
    assert_ok(auth_hash_password(STR("password"), &hash));
    auth_phc phc;
    for (size_t len = 0; len < hash.len; len++) {
        /* A shorter hash may parse, as one of fewer bytes; it must still not match. */
        const str cut = str_slice(hash, 0, len);
        if (auth_phc_parse(fiber_arena(), cut, &phc))
            assert_fails(AUTH_WRONG_CREDENTIALS, auth_verify_password(STR("password"), cut));
    }
    char changed[256];
    for (size_t i = sizeof START - 1; i < hash.len; i++) {
        memcpy(changed, hash.ptr, hash.len);
        changed[i] = changed[i] == 'A' ? 'E' : 'A';
        const str text = { changed, hash.len };
        assert_fails(AUTH_WRONG_CREDENTIALS, auth_verify_password(STR("password"), text));
    }
}

static void test_hash_formatted_parses_to_the_same(void **state)
{
    (void)state;
    uint8_t bytes[AUTH_DERIVED_BYTES_MAX];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 200);
    for (size_t len = AUTH_DERIVED_BYTES_MIN; len <= AUTH_DERIVED_BYTES_MAX; len++) {
        const auth_phc phc = { { 262144, 16, 16 }, { bytes, len }, { bytes, len } };
        const str text = auth_phc_format(fiber_arena(), &phc);
        auth_phc back;
        assert_true(auth_phc_parse(fiber_arena(), text, &back));
        assert_int_equal(back.cost.memory_kib, 262144);
        assert_int_equal(back.salt.len, len);
        assert_memory_equal(back.hash.ptr, bytes, len);
    }
}

/* --- the same work ---------------------------------------------------------------------------- */

static void test_verification_always_derives_once(void **state)
{
    (void)state;
    str good;
    assert_ok(auth_hash_password(STR("password"), &good));
    const str hashes[] = { good, STR_NONE, STR(""), STR("garbage"),
                           STR("$argon2id$v=19$m=4294967295,t=1,p=1$" SALT "$" HASH) };
    fault_at("auth.kdf", UINT32_MAX); /* only counts */
    for (uint32_t i = 0; i < ARRAY_LEN(hashes); i++) {
        const uint32_t before = fault_passed("auth.kdf");
        assert_fails(AUTH_WRONG_CREDENTIALS, auth_verify_password(STR("wrong"), hashes[i]));
        assert_int_equal(fault_passed("auth.kdf"), before + 1);
    }
}

/* The stand-in's hash is zero bytes: it must not match even what derives to it. */
static void test_verification_without_account_never_succeeds(void **state)
{
    (void)state;
    assert_fails(AUTH_WRONG_CREDENTIALS, auth_verify_password(STR(""), STR_NONE));
    assert_fails(AUTH_WRONG_CREDENTIALS, auth_verify_password(STR_NONE, STR_NONE));
    assert_fails(AUTH_WRONG_CREDENTIALS, auth_verify_password(STR("password"), STR_NONE));
}

/* --- failures --------------------------------------------------------------------------------- */

static void test_password_without_memory_fails_as_unavailable(void **state)
{
    (void)state;
    str hash = STR_NONE;
    fault_at("auth.kdf", 1);
    assert_fails(OUT_OF_MEMORY, auth_hash_password(STR("password"), &hash));
    assert_null(hash.ptr);
    fault_at("auth.kdf", 1);
    assert_fails(OUT_OF_MEMORY, auth_verify_password(STR("password"), STR_NONE));
}

static void test_password_without_random_bytes_is_not_hashed(void **state)
{
    (void)state;
    str hash = STR_NONE;
    fault_at("auth.random", 1);
    assert_fails(SYSTEM_FAILED, auth_hash_password(STR("password"), &hash));
    assert_null(hash.ptr);
}

/* Runs first: settings are read once, when they are good. */
static void test_password_at_bad_settings_is_an_error_of_ours(void **state)
{
    (void)state;
    str hash = STR_NONE;
    setenv("AUTH_ARGON2_MEMORY", "1K", 1);
    assert_fails(AUTH_NOT_CONFIGURED, auth_hash_password(STR("password"), &hash));
    assert_fails(AUTH_NOT_CONFIGURED, auth_verify_password(STR("password"), STR_NONE));
    assert_null(hash.ptr);
    setenv("AUTH_ARGON2_MEMORY", "1M", 1);
}

static error canceled_hash(void *arg)
{
    return auth_hash_password(STR("password"), arg);
}

static void test_password_after_deadline_is_not_hashed(void **state)
{
    (void)state;
    str hash = STR_NONE;
    fiber *f;
    const fiber_options options = { .joinable = true, .arena = fiber_arena() };
    assert_ok(fiber_start(loop_self(), &options, canceled_hash, &hash, &f));
    fiber_cancel(f, &CANCELED);
    assert_fails(CANCELED, fiber_join(&f));
    assert_null(hash.ptr);
}

static error verify_slowly(void *arg)
{
    return auth_verify_password(STR("password"), *(const str *)arg);
}

/* Keeps an offload thread until the flood is over. */
typedef struct gate {
    sem_t entered;
    sem_t open;
} gate;

static error wait_at_gate(void *arg)
{
    gate *g = arg;
    sem_post(&g->entered);
    sem_wait(&g->open);
    return OK;
}

static error offload_gate(void *arg)
{
    return offload(wait_at_gate, arg);
}

static error open_gate(void *arg)
{
    gate *g = arg;
    for (int i = 0; i < OFFLOAD_THREADS; i++)
        sem_post(&g->open);
    return OK;
}

/* While every thread is taken, the queue takes what it holds and refuses the rest; none is answered
 * wrongly. */
static void test_password_flood_is_refused_past_the_queue(void **state)
{
    (void)state;
    enum {
        SURPLUS = 20,
        FLOOD = OFFLOAD_QUEUE_MAX + SURPLUS
    };
    str hash;
    gate g;
    fiber *at_gate[OFFLOAD_THREADS], *flood[FLOOD], *opener;
    uint32_t good = 0, full = 0;
    const fiber_options options = { .joinable = true };
    assert_ok(auth_hash_password(STR("password"), &hash));
    sem_init(&g.entered, 0, 0);
    sem_init(&g.open, 0, 0);
    for (int i = 0; i < OFFLOAD_THREADS; i++)
        assert_ok(fiber_start(loop_self(), &options, offload_gate, &g, &at_gate[i]));
    assert_ok(fiber_yield());
    for (int i = 0; i < OFFLOAD_THREADS; i++)
        sem_wait(&g.entered); /* now no thread takes from the queue */
    for (int i = 0; i < FLOOD; i++)
        assert_ok(fiber_start(loop_self(), &options, verify_slowly, &hash, &flood[i]));
    assert_ok(fiber_start(loop_self(), &options, open_gate, &g, &opener));
    for (int i = 0; i < FLOOD; i++) {
        const error e = fiber_join(&flood[i]);
        good += error_is_ok(e);
        full += error_is(e, &OFFLOAD_FULL);
    }
    assert_int_equal(good, OFFLOAD_QUEUE_MAX);
    assert_int_equal(full, SURPLUS);
    assert_ok(fiber_join(&opener));
    for (int i = 0; i < OFFLOAD_THREADS; i++)
        assert_ok(fiber_join(&at_gate[i]));
    sem_destroy(&g.entered);
    sem_destroy(&g.open);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password_at_bad_settings_is_an_error_of_ours),
        cmocka_unit_test(test_password_hashed_verifies),
        cmocka_unit_test(test_password_wrong_is_refused),
        cmocka_unit_test(test_password_hashed_twice_has_two_salts),
        cmocka_unit_test(test_password_of_any_bytes_verifies),
        cmocka_unit_test(test_password_empty_or_huge_is_refused),
        cmocka_unit_test(test_password_at_default_cost_verifies),
        cmocka_unit_test(test_password_reference_hash_verifies),
        cmocka_unit_test(test_hash_malformed_is_refused),
        cmocka_unit_test(test_hash_of_absurd_cost_is_not_run),
        cmocka_unit_test(test_hash_cut_or_changed_anywhere_never_matches),
        cmocka_unit_test(test_hash_formatted_parses_to_the_same),
        cmocka_unit_test_teardown(test_verification_always_derives_once, clear_faults),
        cmocka_unit_test(test_verification_without_account_never_succeeds),
        cmocka_unit_test_teardown(test_password_without_memory_fails_as_unavailable, clear_faults),
        cmocka_unit_test_teardown(test_password_without_random_bytes_is_not_hashed, clear_faults),
        cmocka_unit_test(test_password_after_deadline_is_not_hashed),
        cmocka_unit_test(test_password_flood_is_refused_past_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    if (log_open(STDERR_FILENO, LOG_OFF, LOG_AUTO).kind) /* damaged hashes are logged */
        return 1;
    /* Passwords need none of the settings of tokens. */
    unsetenv("AUTH_SECRET");
    setenv("AUTH_ARGON2_PASSES", "1", 1);
    setenv("AUTH_ARGON2_LANES", "1", 1);
    const int status = run_in_fiber(run);
    log_close();
    return status;
}
