/* PostgreSQL's own numbers: their text as the server writes it, and their bytes. */
#include "type_test.h"
#include "value.h"

typedef struct row {
    const char *text;
    const char *bytes;
} row;

/* Every row's text is read, from memory of its size, written as the row's bytes, and back. */
#define TEXT_AND_BYTES(name, oid_, rows, len_)                                    \
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {                                \
        name value_;                                                              \
        const str text_ = str_from_c((rows)[i].text);                             \
        PARSES(NULL, name, (oid_), text_, &value_);                               \
        assert_str_equal(name##_format(&memory, &value_), text_);                 \
        const pg_value parameter_ = pg_param(value_);                             \
        assert_int_equal(parameter_.oid, (oid_));                                 \
        char bytes_[len_];                                                        \
        assert_int_equal(pg_value_size(&parameter_), (len_));                     \
        assert_ptr_equal(pg_value_put(&parameter_, bytes_), bytes_ + (len_));     \
        assert_memory_equal(bytes_, (rows)[i].bytes, (len_));                     \
        name again_;                                                              \
        const pg_cell cell_ = { (oid_), PG_BINARY, { bytes_, (len_) } };          \
        assert_ok(pg_decode_##name(NULL, &cell_, &again_));                       \
        assert_str_equal(name##_format(&memory, &again_), text_);                 \
        const pg_cell short_ = { (oid_), PG_BINARY, { bytes_, (len_)-1 } };       \
        assert_fails(PG_TYPE_MISMATCH, pg_decode_##name(NULL, &short_, &again_)); \
        const pg_cell other_ = { PG_OID_TEXT, PG_TEXT, text_ };                   \
        assert_fails(PG_TYPE_MISMATCH, pg_decode_##name(NULL, &other_, &again_)); \
    }

#define REFUSES(name, texts)                                  \
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {           \
        name value_;                                          \
        const str copy_ = exact_copy(str_from_c((texts)[i])); \
        if (name##_parse(copy_, &value_))                     \
            fail_msg("\"%s\" parses as " #name, (texts)[i]);  \
        exact_free(copy_);                                    \
    }

static void test_identifier_text_and_bytes_agree(void **state)
{
    (void)state;
    static const row XIDS[] = {
        { "0", "\0\0\0\0\0\0\0\0" },
        { "4294967296", "\0\0\0\1\0\0\0\0" },
        { "18446744073709551615", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" },
    };
    TEXT_AND_BYTES(pg_xid8, PG_OID_XID8, XIDS, 8)
    static const row LSNS[] = {
        { "0/0", "\0\0\0\0\0\0\0\0" },
        { "16/B374D848", "\0\0\0\x16\xB3\x74\xD8\x48" },
        { "FFFFFFFF/FFFFFFFF", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" },
    };
    TEXT_AND_BYTES(pg_lsn, PG_OID_LSN, LSNS, 8)
    static const row TIDS[] = {
        { "(0,0)", "\0\0\0\0\0\0" },
        { "(1,258)", "\0\0\0\1\1\2" },
        { "(4294967295,65535)", "\xFF\xFF\xFF\xFF\xFF\xFF" },
    };
    TEXT_AND_BYTES(pg_tid, PG_OID_TID, TIDS, 6)
}

static void test_identifier_text_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const XIDS[] = { "", "-1", "1 ", "18446744073709551616", "0x1" };
    REFUSES(pg_xid8, XIDS)
    static const char *const LSNS[] = { "",     "0",    "/",     "0/",          "/0",
                                        "0/G",  "0/0 ", "0/0/0", "123456789/0", "0/123456789",
                                        "-1/0", "0x1/0" };
    REFUSES(pg_lsn, LSNS)
    static const char *const TIDS[] = {
        "",     "(",    ")",      "()",      "(1)",       "(1,)",   "(,1)",
        "(1,2", "1,2)", "(1,2) ", "(1,2,3)", "(1,65536)", "(-1,2)", "(4294967296,1)"
    };
    REFUSES(pg_tid, TIDS)
}

static void test_identifier_of_32_bits_is_an_int8(void **state)
{
    (void)state;
    static const pg_oid OIDS[] = { PG_OID_OID,      PG_OID_XID,     PG_OID_CID,
                                   PG_OID_REGCLASS, PG_OID_REGTYPE, PG_OID_REGCOLLATION };
    for (size_t i = 0; i < ARRAY_LEN(OIDS); i++) {
        int64_t n;
        int32_t narrow;
        const pg_cell cell = { OIDS[i], PG_BINARY, STR("\xFF\xFF\xFF\xFE") };
        assert_ok(pg_decode_int8(NULL, &cell, &n));
        assert_true(n == 4294967294);
        assert_fails(PG_TYPE_MISMATCH, pg_decode_int4(NULL, &cell, &narrow));
        const pg_cell text = { OIDS[i], PG_TEXT, STR("1234") };
        if (i < 3)
            assert_ok(pg_decode_int8(NULL, &text, &n));
        else /* the text of a reg… is a name */
            assert_fails(PG_TYPE_MISMATCH, pg_decode_int8(NULL, &text, &n));
        const pg_cell wide = { OIDS[i], PG_BINARY, STR("\0\0\0\0\0\0\0\1") };
        assert_fails(PG_TYPE_MISMATCH, pg_decode_int8(NULL, &wide, &n));
    }
    const pg_value values[] = { pg_param_oid(UINT32_MAX), pg_param_xid(UINT32_MAX),
                                pg_param_cid(UINT32_MAX) };
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char bytes[4];
        assert_int_equal(values[i].oid, OIDS[i]);
        assert_int_equal(pg_value_size(&values[i]), 4);
        assert_ptr_equal(pg_value_put(&values[i], bytes), bytes + 4);
        assert_memory_equal(bytes, "\xFF\xFF\xFF\xFF", 4);
    }
    int8_list several;
    const pg_cell xids = { PG_OID_XID_ARRAY, PG_BINARY,
                           STR("\0\0\0\1\0\0\0\0\0\0\0\x1C\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\7") };
    assert_ok(pg_decode_int8_list(&memory, &xids, &several));
    assert_int_equal(several.count, 1);
    assert_true(several.items[0] == 7);
}

int main(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_identifier_text_and_bytes_agree),
        TEST(test_identifier_text_that_is_none_is_refused),
        TEST(test_identifier_of_32_bits_is_an_int8),
    };
    return cmocka_run_group_tests_name("pg identifier", group, NULL, NULL);
}
