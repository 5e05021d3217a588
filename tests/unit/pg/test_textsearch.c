/* Documents and queries of the full text search: their text as the server writes it, and their
 * bytes. */
#include "type_test.h"

typedef struct row {
    const char *text;
    const char *bytes;
    size_t size;
} row;

/* Text and bytes, each from memory of its size, give the text; cut bytes are refused. */
#define TEXT_AND_BYTES(name, oid_, rows)                                                     \
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {                                           \
        const str text_ = exact_copy(str_from_c((rows)[i].text));                            \
        name value_;                                                                         \
        assert_ok(pg_decode_##name(&memory, &(pg_cell){ (oid_), PG_TEXT, text_ }, &value_)); \
        assert_str_equal(name##_format(&memory, &value_), text_);                            \
        for (size_t len_ = 0; len_ <= (rows)[i].size; len_++) {                              \
            const str bytes_ = exact_copy((str){ (rows)[i].bytes, len_ });                   \
            const pg_cell cell_ = { (oid_), PG_BINARY, bytes_ };                             \
            const error e_ = pg_decode_##name(&memory, &cell_, &value_);                     \
            if (len_ < (rows)[i].size) {                                                     \
                assert_fails(PG_TYPE_MISMATCH, e_);                                          \
            } else {                                                                         \
                assert_ok(e_);                                                               \
                assert_str_equal(name##_format(&memory, &value_), text_);                    \
            }                                                                                \
            exact_free(bytes_);                                                              \
        }                                                                                    \
        const pg_cell other_ = { PG_OID_TEXT, PG_TEXT, text_ };                              \
        assert_fails(PG_TYPE_MISMATCH, pg_decode_##name(&memory, &other_, &value_));         \
        exact_free(text_);                                                                   \
    }

#define REFUSES(name, texts)                                  \
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {           \
        name value_ = { 0 };                                  \
        const str copy_ = exact_copy(str_from_c((texts)[i])); \
        if (name##_parse(&memory, copy_, &value_))            \
            fail_msg("\"%s\" parses as " #name, (texts)[i]);  \
        exact_free(copy_);                                    \
    }

#define ROW(text, bytes)                   \
    {                                      \
        (text), (bytes), sizeof(bytes) - 1 \
    }

/* --- documents -------------------------------------------------------------------------------- */

static void test_tsvector_text_and_bytes_agree(void **state)
{
    (void)state;
    static const row ROWS[] = {
        ROW("", "\0\0\0\0"),
        ROW("'cat'", "\0\0\0\1cat\0\0\0"),
        ROW("'cat':3 'fat':2A,4", "\0\0\0\2cat\0\0\1\0\3"
                                  "fat\0\0\2\xC0\2\0\4"),
        ROW("'a':1A,2B,3C,16383", "\0\0\0\1a\0\0\4\xC0\1\x80\2\x40\3\x3F\xFF"),
        ROW("'it''s' 'ta\\\\b' 'two words'", "\0\0\0\3it's\0\0\0ta\\b\0\0\0two words\0\0\0"),
        ROW("'caf\xC3\xA9':1", "\0\0\0\1caf\xC3\xA9\0\0\1\0\1"),
    };
    TEXT_AND_BYTES(pg_tsvector, PG_OID_TSVECTOR, ROWS)
}

static void test_tsvector_tells_words_places_and_weights(void **state)
{
    (void)state;
    pg_tsvector document;
    assert_true(pg_tsvector_parse(&memory, STR("'cat':3 'don''t' 'fat':2A,4"), &document));
    assert_int_equal(document.count, 3);
    assert_str_equal(document.lexemes[1].word, STR("don't"));
    assert_int_equal(document.lexemes[1].count, 0);
    assert_str_equal(document.lexemes[2].word, STR("fat"));
    assert_int_equal(document.lexemes[2].count, 2);
    assert_int_equal(document.lexemes[2].positions[0].position, 2);
    assert_int_equal(document.lexemes[2].positions[0].weight, 'A');
    assert_int_equal(document.lexemes[2].positions[1].position, 4);
    assert_int_equal(document.lexemes[2].positions[1].weight, 'D');
}

static void test_tsvector_text_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        " ",        "cat",       "'cat",      "'",           "'cat'' ",     "'cat' ",
        " 'cat'",   "'cat':",    "'cat':0",   "'cat':16384", "'cat':99999", "'cat':1E",
        "'cat':1,", "'cat':2,1", "'cat':1,1", "'cat':A",     "'cat'x",      "'b' 'a'",
        "'a' 'a'",  "'cat\\'",   "'c\\at'",   "'a'  'b'",    "'a':1 2",     "'a':-1",
    };
    REFUSES(pg_tsvector, TEXTS)
    char *text = malloc(4096);
    assert_non_null(text);
    pg_tsvector document;
    memset(text, 'x', 4096);
    text[0] = '\'';
    text[1 + PG_LEXEME_BYTES_MAX] = '\'';
    assert_true(pg_tsvector_parse(&memory, (str){ text, PG_LEXEME_BYTES_MAX + 2 }, &document));
    text[1 + PG_LEXEME_BYTES_MAX] = 'x';
    text[2 + PG_LEXEME_BYTES_MAX] = '\'';
    assert_false(pg_tsvector_parse(&memory, (str){ text, PG_LEXEME_BYTES_MAX + 3 }, &document));
    free(text);
}

static void test_tsvector_bytes_that_are_none_are_refused(void **state)
{
    (void)state;
    const str bytes[] = {
        STR("\0\0\0\2b\0\0\0a\0\0\0"),    /* out of order */
        STR("\0\0\0\2a\0\0\0a\0\0\0"),    /* twice the same */
        STR("\0\0\0\1a\0\0\1\0\0"),       /* at place 0 */
        STR("\0\0\0\1a\0\0\2\0\2\0\1"),   /* places out of order */
        STR("\0\0\0\1a\0\0\2\0\1\xC0\1"), /* twice the same place */
        STR("\0\0\0\1a\0\0\0x"),          /* a byte behind */
        STR("\xFF\xFF\xFF\xFF"
            "a\0\0\0"),        /* many */
        STR("\0\0\0\1aaaaaa"), /* a word without an end */
    };
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
        pg_tsvector document;
        const str copy = exact_copy(bytes[i]);
        const pg_cell cell = { PG_OID_TSVECTOR, PG_BINARY, copy };
        assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_tsvector(&memory, &cell, &document));
        exact_free(copy);
    }
}

/* --- queries ---------------------------------------------------------------------------------- */

static void test_tsquery_text_and_bytes_agree(void **state)
{
    (void)state;
    static const row ROWS[] = {
        ROW("", "\0\0\0\0"),
        ROW("'cat'", "\0\0\0\1\1\0\0cat\0"),
        ROW("'ca':*AD", "\0\0\0\1\1\x09\1ca\0"),
        ROW("!'cat'", "\0\0\0\2\2\1\1\0\0cat\0"),
        ROW("'a' & 'b'", "\0\0\0\3\2\2\1\0\0b\0\1\0\0a\0"),
        ROW("'a' | 'b'", "\0\0\0\3\2\3\1\0\0b\0\1\0\0a\0"),
        ROW("'a' <-> 'b'", "\0\0\0\3\2\4\0\1\1\0\0b\0\1\0\0a\0"),
        ROW("'a' <16384> 'b'", "\0\0\0\3\2\4\x40\0\1\0\0b\0\1\0\0a\0"),
        ROW("!( 'a' & 'b' )", "\0\0\0\4\2\1\2\2\1\0\0b\0\1\0\0a\0"),
        ROW("'it''s' & '\\\\'", "\0\0\0\3\2\2\1\0\0\\\0\1\0\0it's\0"),
        ROW("'a' <-> ( 'b' <-> 'c' )", "\0\0\0\5\2\4\0\1\2\4\0\1\1\0\0c\0\1\0\0b\0\1\0\0a\0"),
        ROW("( 'a' | 'b' ) & !'c'", "\0\0\0\6\2\2\2\1\1\0\0c\0\2\3\1\0\0b\0\1\0\0a\0"),
    };
    TEXT_AND_BYTES(pg_tsquery, PG_OID_TSQUERY, ROWS)
}

static void test_tsquery_operators_stand_behind_their_operands(void **state)
{
    (void)state;
    pg_tsquery query;
    assert_true(pg_tsquery_parse(&memory, STR("'fat' & 'ca':*B | !'dog'"), &query));
    static const pg_tsquery_kind KINDS[] = { PG_TSQUERY_WORD, PG_TSQUERY_WORD, PG_TSQUERY_AND,
                                             PG_TSQUERY_WORD, PG_TSQUERY_NOT,  PG_TSQUERY_OR };
    assert_int_equal(query.count, ARRAY_LEN(KINDS));
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
        assert_int_equal(query.tokens[i].kind, KINDS[i]);
    assert_str_equal(query.tokens[0].word, STR("fat"));
    assert_true(query.tokens[1].prefix);
    assert_int_equal(query.tokens[1].weights, PG_TSQUERY_WEIGHT_B);
    assert_str_equal(query.tokens[3].word, STR("dog"));
}

static void test_tsquery_words_are_quoted_whatever_is_in_them(void **state)
{
    (void)state;
    static const char *const WORDS[] = {
        "", "'", "\\", "' | 'x", "a:*", "\\' & '", "(", "!x", " "
    };
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        const pg_tsquery_token token = { .word = str_from_c(WORDS[i]), .prefix = true };
        const str text = pg_tsquery_format(&memory, &(pg_tsquery){ &token, 1 });
        pg_tsquery query;
        assert_true(pg_tsquery_parse(&memory, text, &query));
        assert_int_equal(query.count, 1);
        assert_str_equal(query.tokens[0].word, token.word);
    }
}

/* Of a depth that would end a function that calls itself. */
static void test_tsquery_of_any_depth_is_read_and_written(void **state)
{
    (void)state;
    const size_t depth = 50000;
    const size_t len = depth + 3 + 2 * depth;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, '!', depth);
    memcpy(text + depth, "'a'", 3);
    pg_tsquery query;
    assert_true(pg_tsquery_parse(&memory, (str){ text, depth + 3 }, &query));
    assert_int_equal(query.count, depth + 1);
    assert_str_equal(pg_tsquery_format(&memory, &query), ((str){ text, depth + 3 }));
    memset(text, '(', depth);
    memset(text + depth + 3, ')', depth);
    assert_true(pg_tsquery_parse(&memory, (str){ text, 2 * depth + 3 }, &query));
    assert_int_equal(query.count, 1);
    free(text);
}

static void test_tsquery_text_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        " ",
        "cat",
        "'cat",
        "&",
        "'a' &",
        "& 'a'",
        "'a' 'b'",
        "!",
        "( )",
        "('a'",
        "'a')",
        "'a' & | 'b'",
        "'a' <> 'b'",
        "'a' <-1> 'b'",
        "'a' <16385> 'b'",
        "'a' <-> ",
        "'a' <- > 'b'",
        "'a':",
        "'a':E",
        "'a':DA",
        "'a':**",
        "'a' !'b'",
        "('a'))",
        "'a' <1 'b'",
    };
    REFUSES(pg_tsquery, TEXTS)
}

static void test_tsquery_bytes_that_are_none_are_refused(void **state)
{
    (void)state;
    const str bytes[] = {
        STR("\0\0\0\1\2\1"),                         /* not what? */
        STR("\0\0\0\2\2\2\1\0\0a\0"),                /* one of two operands */
        STR("\0\0\0\2\1\0\0a\0\1\0\0b\0"),           /* two words */
        STR("\0\0\0\1\1\x10\0a\0"),                  /* a weight that there is not */
        STR("\0\0\0\1\1\0\2a\0"),                    /* a prefix is one or not */
        STR("\0\0\0\1\3\0\0a\0"),                    /* neither word nor operator */
        STR("\0\0\0\2\2\5\1\0\0a\0"),                /* an operator that there is not */
        STR("\0\0\0\2\2\0\1\0\0a\0"),                /* and another */
        STR("\0\0\0\3\2\4\x40\1\1\0\0b\0\1\0\0a\0"), /* too far */
        STR("\0\0\0\1\1\0\0a\0x"),                   /* a byte behind */
        STR("\xFF\xFF\xFF\xFF\1\0\0a\0"),            /* many */
    };
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
        pg_tsquery query;
        const str copy = exact_copy(bytes[i]);
        const pg_cell cell = { PG_OID_TSQUERY, PG_BINARY, copy };
        assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_tsquery(&memory, &cell, &query));
        exact_free(copy);
    }
}

static void test_textsearch_lists_are_read_from_text(void **state)
{
    (void)state;
    pg_tsvector_list documents;
    const pg_cell cell = { PG_OID_TSVECTOR_ARRAY, PG_TEXT,
                           STR("{'a':1,\"'b' 'c\\\\\\\\d':2\",\"'e\\\"':3A,4\"}") };
    assert_ok(pg_decode_pg_tsvector_list(&memory, &cell, &documents));
    assert_int_equal(documents.count, 3);
    assert_str_equal(documents.items[1].lexemes[1].word, STR("c\\d"));
    assert_str_equal(documents.items[2].lexemes[0].word, STR("e\""));
}

static void test_textsearch_without_memory_is_refused(void **state)
{
    (void)state;
    arena none;
    arena_init(&none, 0);
    pg_tsvector document;
    pg_tsquery query;
    assert_false(pg_tsvector_parse(&none, STR("'a':1"), &document));
    assert_false(pg_tsquery_parse(&none, STR("'a'"), &query));
    const pg_cell words = { PG_OID_TSVECTOR, PG_BINARY, STR("\0\0\0\1a\0\0\1\0\1") };
    const pg_cell tree = { PG_OID_TSQUERY, PG_BINARY, STR("\0\0\0\1\1\0\0a\0") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_tsvector(&none, &words, &document));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_tsquery(&none, &tree, &query));
    arena_deinit(&none);
}

int main(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_tsvector_text_and_bytes_agree),
        TEST(test_tsvector_tells_words_places_and_weights),
        TEST(test_tsvector_text_that_is_none_is_refused),
        TEST(test_tsvector_bytes_that_are_none_are_refused),
        TEST(test_tsquery_text_and_bytes_agree),
        TEST(test_tsquery_operators_stand_behind_their_operands),
        TEST(test_tsquery_words_are_quoted_whatever_is_in_them),
        TEST(test_tsquery_of_any_depth_is_read_and_written),
        TEST(test_tsquery_text_that_is_none_is_refused),
        TEST(test_tsquery_bytes_that_are_none_are_refused),
        TEST(test_textsearch_lists_are_read_from_text),
        TEST(test_textsearch_without_memory_is_refused),
    };
    return cmocka_run_group_tests_name("pg textsearch", group, NULL, NULL);
}
