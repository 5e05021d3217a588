/* Addresses of IP and Ethernet: their text as the server writes it, and their bytes. */
#include "type_test.h"
#include "value.h"

static pg_inet inet_of(pg_oid oid, str text)
{
    pg_inet inet;
    PARSES(NULL, pg_inet, oid, text, &inet);
    return inet;
}

static void test_inet_text_and_bytes_agree(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *bytes;
    } ROWS[] = {
        { "10.1.2.3", "\2\x20\0\4\x0A\1\2\3" },
        { "10.1.2.3/8", "\2\x08\0\4\x0A\1\2\3" },
        { "0.0.0.0/0", "\2\0\0\4\0\0\0\0" },
        { "::1", "\3\x80\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" },
        { "2001:db8::/32", "\3\x20\0\x10\x20\1\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\0" },
        { "::ffff:10.1.2.3", "\3\x80\0\x10\0\0\0\0\0\0\0\0\0\0\xFF\xFF\x0A\1\2\3" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const str text = str_from_c(ROWS[i].text);
        const pg_inet inet = inet_of(PG_OID_INET, text);
        assert_str_equal(pg_inet_format(&memory, &inet), text);
        const pg_value value = pg_param(inet);
        char bytes[20];
        const size_t size = pg_value_size(&value);
        assert_int_equal(size, inet.version == 4 ? 8 : 20);
        assert_ptr_equal(pg_value_put(&value, bytes), bytes + size);
        const str written = { bytes, size };
        const str expected = { ROWS[i].bytes, size };
        assert_str_equal(written, expected);
        for (size_t len = 0; len <= size; len++) {
            pg_inet again;
            const str copy = exact_copy((str){ bytes, len });
            const error e =
                pg_decode_pg_inet(NULL, &(pg_cell){ PG_OID_INET, PG_BINARY, copy }, &again);
            exact_free(copy);
            if (len < size)
                assert_fails(PG_TYPE_MISMATCH, e);
            else
                assert_ok(e);
            if (len == size)
                assert_str_equal(pg_inet_format(&memory, &again), text);
        }
    }
}

static void test_inet_cidr_has_its_prefix_and_nothing_behind_it(void **state)
{
    (void)state;
    const pg_inet host = inet_of(PG_OID_CIDR, STR("10.1.2.3/32"));
    assert_true(host.cidr);
    assert_str_equal(pg_inet_format(&memory, &host), STR("10.1.2.3/32"));
    const pg_inet network = inet_of(PG_OID_CIDR, STR("10.128.0.0/9"));
    assert_str_equal(pg_inet_format(&memory, &network), STR("10.128.0.0/9"));
    pg_inet inet;
    const pg_cell behind = { PG_OID_CIDR, PG_TEXT, STR("10.1.2.3/31") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_inet(NULL, &behind, &inet));
    const pg_cell behind_too = { PG_OID_CIDR, PG_BINARY, STR("\2\x1F\1\4\x0A\1\2\3") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_inet(NULL, &behind_too, &inet));
}

static void test_inet_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "",        "/",          "10.1.2",     "10.1.2.3/",
        "/8",      "1.2.3.4/33", "1.2.3.4/08", "1.2.3.4/-1",
        "::/129",  ":::",        "1.2.3.256",  "1.2.3.4 ",
        "::1/8/8", "fe80::1%lo", "1.2.3.4/+8", "1111:1111:1111:1111:1111:1111:1111:1111:1111"
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        pg_inet inet;
        const str copy = exact_copy(str_from_c(TEXTS[i]));
        if (pg_inet_parse(copy, &inet))
            fail_msg("\"%s\" parses", TEXTS[i]);
        exact_free(copy);
    }
    static const char *const BYTES[] = { "\1\x20\0\4\x0A\1\2\3", "\2\x21\0\4\x0A\1\2\3",
                                         "\2\x20\2\4\x0A\1\2\3", "\2\x20\0\5\x0A\1\2\3",
                                         "\3\x20\0\4\x0A\1\2\3" };
    for (size_t i = 0; i < ARRAY_LEN(BYTES); i++) {
        pg_inet inet;
        const pg_cell cell = { PG_OID_INET, PG_BINARY, { BYTES[i], 8 } };
        assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_inet(NULL, &cell, &inet));
    }
}

static void test_macaddr_text_and_bytes_agree(void **state)
{
    (void)state;
    pg_macaddr six;
    pg_macaddr8 eight;
    const pg_cell text6 = { PG_OID_MACADDR, PG_TEXT, STR("08:00:2b:01:02:ff") };
    const pg_cell text8 = { PG_OID_MACADDR8, PG_TEXT, STR("08:00:2b:01:02:03:04:ff") };
    assert_ok(pg_decode_pg_macaddr(NULL, &text6, &six));
    assert_ok(pg_decode_pg_macaddr8(NULL, &text8, &eight));
    assert_memory_equal(six.bytes, "\x08\0\x2B\1\2\xFF", 6);
    assert_memory_equal(eight.bytes, "\x08\0\x2B\1\2\3\4\xFF", 8);
    assert_str_equal(pg_macaddr_format(&memory, &six), text6.bytes);
    assert_str_equal(pg_macaddr8_format(&memory, &eight), text8.bytes);
    const pg_cell short8 = { PG_OID_MACADDR8, PG_BINARY, STR("\x08\0\x2B\1\2\xFF") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_macaddr8(NULL, &short8, &eight));
    static const char *const WRONG[] = { "", "08:00:2b:01:02", "08-00-2b-01-02-ff",
                                         "08:00:2b:01:02:fg", "08:00:2b:01:02:ff:" };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        const str copy = exact_copy(str_from_c(WRONG[i]));
        if (pg_macaddr_parse(copy, &six))
            fail_msg("\"%s\" parses", WRONG[i]);
        exact_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_inet_text_and_bytes_agree),
        TEST(test_inet_cidr_has_its_prefix_and_nothing_behind_it),
        TEST(test_inet_that_is_none_is_refused),
        TEST(test_macaddr_text_and_bytes_agree),
    };
    return cmocka_run_group_tests_name("pg network", group, NULL, NULL);
}
