/* What a SQLSTATE means: its kind, and what that tells a client. */
#include "pg/error.h"
#include "tests/support/in_fiber.h"

static void test_error_kind_follows_the_sqlstate(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        const error_kind *kind;
        error_class class;
    } rows[] = {
        { "00000", &PG_FAILED, ERROR_INTERNAL },
        { "08000", &PG_CONNECTION_LOST, ERROR_UNAVAILABLE },
        { "08006", &PG_CONNECTION_LOST, ERROR_UNAVAILABLE },
        { "08P01", &PG_PROTOCOL_VIOLATION, ERROR_INTERNAL },
        { "0A000", &PG_FAILED, ERROR_INTERNAL },
        { "22001", &PG_DATA_EXCEPTION, ERROR_INVALID },
        { "22003", &PG_DATA_EXCEPTION, ERROR_INVALID },
        { "22P02", &PG_DATA_EXCEPTION, ERROR_INVALID },
        { "23000", &PG_FAILED, ERROR_INTERNAL },
        { "23001", &PG_FOREIGN_KEY_VIOLATION, ERROR_CONFLICT },
        { "23502", &PG_NOT_NULL_VIOLATION, ERROR_INVALID },
        { "23503", &PG_FOREIGN_KEY_VIOLATION, ERROR_CONFLICT },
        { "23505", &PG_UNIQUE_VIOLATION, ERROR_CONFLICT },
        { "23514", &PG_CHECK_VIOLATION, ERROR_INVALID },
        { "23P01", &PG_EXCLUSION_VIOLATION, ERROR_CONFLICT },
        { "25006", &PG_READ_ONLY, ERROR_UNAVAILABLE },
        { "25P01", &PG_FAILED, ERROR_INTERNAL },
        { "25P02", &PG_IN_FAILED_TRANSACTION, ERROR_INTERNAL },
        { "25P03", &PG_CONNECTION_LOST, ERROR_UNAVAILABLE },
        { "25P04", &PG_QUERY_CANCELED, ERROR_TIMED_OUT },
        { "26000", &PG_FAILED, ERROR_INTERNAL },
        { "28000", &PG_AUTH_FAILED, ERROR_INTERNAL },
        { "28P01", &PG_AUTH_FAILED, ERROR_INTERNAL },
        { "3D000", &PG_CONNECT_FAILED, ERROR_UNAVAILABLE },
        { "3F000", &PG_UNDEFINED_OBJECT, ERROR_INTERNAL },
        { "40001", &PG_SERIALIZATION_FAILURE, ERROR_UNAVAILABLE },
        { "40002", &PG_FAILED, ERROR_INTERNAL },
        { "40P01", &PG_DEADLOCK, ERROR_UNAVAILABLE },
        { "42501", &PG_PERMISSION_DENIED, ERROR_INTERNAL },
        { "42601", &PG_SYNTAX, ERROR_INTERNAL },
        { "42703", &PG_UNDEFINED_COLUMN, ERROR_INTERNAL },
        { "42704", &PG_UNDEFINED_OBJECT, ERROR_INTERNAL },
        { "42804", &PG_SYNTAX, ERROR_INTERNAL },
        { "42883", &PG_UNDEFINED_FUNCTION, ERROR_INTERNAL },
        { "42P01", &PG_UNDEFINED_TABLE, ERROR_INTERNAL },
        { "42P05", &PG_FAILED, ERROR_INTERNAL },
        { "53100", &PG_OUT_OF_RESOURCES, ERROR_UNAVAILABLE },
        { "53300", &PG_OUT_OF_RESOURCES, ERROR_UNAVAILABLE },
        { "55P03", &PG_LOCK_NOT_AVAILABLE, ERROR_UNAVAILABLE },
        { "57014", &PG_QUERY_CANCELED, ERROR_TIMED_OUT },
        { "57P01", &PG_ADMIN_SHUTDOWN, ERROR_UNAVAILABLE },
        { "57P02", &PG_ADMIN_SHUTDOWN, ERROR_UNAVAILABLE },
        { "57P03", &PG_CANNOT_CONNECT_NOW, ERROR_UNAVAILABLE },
        { "57P04", &PG_CONNECT_FAILED, ERROR_UNAVAILABLE },
        { "57P05", &PG_CONNECTION_LOST, ERROR_UNAVAILABLE },
        { "58030", &PG_FAILED, ERROR_INTERNAL },
        { "P0001", &PG_FAILED, ERROR_INTERNAL },
        { "XX000", &PG_FAILED, ERROR_INTERNAL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const error_kind *kind = pg_error_kind(str_from_c(rows[i].sqlstate));
        if (kind != rows[i].kind || kind->class != rows[i].class)
            fail_msg("%s is %s", rows[i].sqlstate, kind->name);
    }
}

static void test_error_malformed_sqlstates_are_failures_of_no_kind(void **state)
{
    (void)state;
    assert_ptr_equal(pg_error_kind(STR_NONE), &PG_FAILED);
    assert_ptr_equal(pg_error_kind(STR("")), &PG_FAILED);
    assert_ptr_equal(pg_error_kind(STR("22")), &PG_FAILED);
    assert_ptr_equal(pg_error_kind(STR("2350")), &PG_FAILED);
    assert_ptr_equal(pg_error_kind(STR("235055")), &PG_FAILED);
    assert_ptr_equal(pg_error_kind(STR("23p01")), &PG_FAILED);
    assert_ptr_equal(pg_error_kind(STR("\0\0\0\0\0")), &PG_FAILED);
    assert_ptr_equal(pg_error_kind(STR("\xFF\xFF\xFF\xFF\xFF")), &PG_FAILED);
}

static void test_error_retryable_are_the_two_that_a_new_transaction_may_cure(void **state)
{
    (void)state;
    assert_true(pg_error_retryable((error){ &PG_SERIALIZATION_FAILURE }));
    assert_true(pg_error_retryable((error){ &PG_DEADLOCK }));
    assert_false(pg_error_retryable((error){ &PG_COMMIT_UNKNOWN }));
    assert_false(pg_error_retryable((error){ &PG_CONNECTION_LOST }));
    assert_false(pg_error_retryable((error){ &PG_QUERY_CANCELED }));
    assert_false(pg_error_retryable(OK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_kind_follows_the_sqlstate),
        cmocka_unit_test(test_error_malformed_sqlstates_are_failures_of_no_kind),
        cmocka_unit_test(test_error_retryable_are_the_two_that_a_new_transaction_may_cure),
    };
    return cmocka_run_group_tests_name("pg error", tests, NULL, NULL);
}
