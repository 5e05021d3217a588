/* Full text search against a real server: random documents and queries go there as text, and come
 * back as text and in the binary form; what we write of them is what the server writes. */
#include "round_trip.h"

#define ROUNDS     200
#define WORDS_MAX  20
#define TOKENS_MAX 41

/* The server's text of $1::type, its bytes, and the text of an array of it, in the first row. */
#define ASK(rows, sql_type, text)                                                          \
    assert_ok(pg_query(db, (rows),                                                         \
                       "select x, format('%s', x), " sql_type "send(x), array[x, x] from " \
                       "(select $1::text::" sql_type ") as y(x)",                          \
                       (text)))

/* The value, read from text, from bytes and from an array, is written as the server does. */
#define CHECK_ANSWER(name, rows, oid_)                                                         \
    do {                                                                                       \
        name value_;                                                                           \
        name##_list several_;                                                                  \
        str server_;                                                                           \
        bytea bytes_;                                                                          \
        assert_ok(pg_get((rows), 0, 1, &server_));                                             \
        assert_ok(pg_get((rows), 0, 0, &value_));                                              \
        assert_str_equal(name##_format(fiber_arena(), &value_), server_);                      \
        assert_ok(pg_get((rows), 0, 2, &bytes_));                                              \
        const pg_cell cell_ = { (oid_), PG_BINARY, { (const char *)bytes_.ptr, bytes_.len } }; \
        assert_ok(pg_decode_##name(fiber_arena(), &cell_, &value_));                           \
        assert_str_equal(name##_format(fiber_arena(), &value_), server_);                      \
        assert_ok(pg_get((rows), 0, 3, &several_));                                            \
        assert_int_equal(several_.count, 2);                                                   \
        assert_str_equal(name##_format(fiber_arena(), &several_.items[1]), server_);           \
    } while (0)

static str random_word(random_state *r)
{
    static const char *const PIECES[] = { "a", "b",  "cat", "'", "\\",       " ",  ":",
                                          "*", "&",  "!",   "(", "\xC3\xA9", "\"", ",",
                                          "{", "\n", "1",   "A", "<->" };
    str word = STR("");
    const size_t pieces = 1 + random_below(r, 6);
    for (size_t i = 0; i < pieces; i++)
        word = str_format(fiber_arena(), "%.*s%s", STR_ARG(word),
                          PIECES[random_below(r, ARRAY_LEN(PIECES))]);
    return word;
}

static pg_lexeme random_lexeme(random_state *r)
{
    pg_lexeme lexeme = { .word = random_word(r), .count = random_below(r, 8) };
    pg_lexeme_position *positions =
        arena_alloc(fiber_arena(), (lexeme.count + 1) * sizeof *positions, 2);
    uint16_t position = 0;
    for (size_t i = 0; i < lexeme.count; i++) {
        position = (uint16_t)(position + 1 + random_below(r, i % 2 ? 3 : 2000));
        positions[i] = (pg_lexeme_position){ position, (char)('A' + random_below(r, 4)) };
    }
    lexeme.positions = positions;
    return lexeme;
}

static void test_tsvector_is_read_as_the_server_has_it(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        pg_lexeme lexemes[WORDS_MAX];
        const pg_tsvector sent = { lexemes, random_below(&r, WORDS_MAX) };
        for (size_t k = 0; k < sent.count;
             k++) /* in any order, and some twice: the server's work */
            lexemes[k] = random_lexeme(&r);
        pg_rows rows;
        ASK(&rows, "tsvector", pg_tsvector_format(fiber_arena(), &sent));
        CHECK_ANSWER(pg_tsvector, &rows, PG_OID_TSVECTOR);
    }
}

static void test_tsvector_of_a_text_tells_its_words(void **state)
{
    (void)state;
    pg_rows rows;
    pg_tsvector document;
    assert_ok(pg_query(db, &rows,
                       "select setweight(to_tsvector('english', 'The fat cats'), 'B'), "
                       "strip(to_tsvector('english', 'The fat cats')), "
                       "array_agg(to_tsvector('simple', repeat('w ', n))) "
                       "from generate_series(0, 300, 300) as n"));
    assert_ok(pg_get(&rows, 0, 0, &document));
    assert_int_equal(document.count, 2);
    assert_str_equal(document.lexemes[0].word, STR("cat"));
    assert_int_equal(document.lexemes[0].positions[0].position, 3);
    assert_int_equal(document.lexemes[0].positions[0].weight, 'B');
    assert_ok(pg_get(&rows, 0, 1, &document));
    assert_int_equal(document.lexemes[1].count, 0);
    pg_tsvector_list documents;
    assert_ok(pg_get(&rows, 0, 2, &documents));
    assert_int_equal(documents.items[0].count, 0);
    assert_true(documents.items[1].lexemes[0].count >= 255); /* as many as the server keeps */
}

/* A random tree, as tokens behind their operands. */
static pg_tsquery random_query(random_state *r, pg_tsquery_token *tokens)
{
    size_t count = 0;
    size_t trees = 0;
    const size_t least = 1 + random_below(r, TOKENS_MAX / 2);
    while (count < least || trees > 1) {
        pg_tsquery_token token = { .kind = PG_TSQUERY_WORD };
        if (trees > 1 && (count >= least || random_below(r, 2))) {
            token.kind = (pg_tsquery_kind)(PG_TSQUERY_AND + random_below(r, 3));
            trees--;
            token.distance = (uint16_t)(random_below(r, 2) ? 1 : random_below(r, 16385));
        } else if (trees > 0 && count < least && random_below(r, 4) == 0) {
            token.kind = PG_TSQUERY_NOT;
        } else {
            token.word = random_word(r);
            token.prefix = random_below(r, 3) == 0;
            token.weights = (uint8_t)(random_below(r, 2) ? random_below(r, 16) : 0);
            trees++;
        }
        tokens[count++] = token;
    }
    return (pg_tsquery){ tokens, count };
}

static void test_tsquery_is_read_and_written_as_the_server_does(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        pg_tsquery_token tokens[TOKENS_MAX];
        const pg_tsquery sent = random_query(&r, tokens);
        const str text = pg_tsquery_format(fiber_arena(), &sent);
        pg_rows rows;
        str server;
        ASK(&rows, "tsquery", text);
        assert_ok(pg_get(&rows, 0, 1, &server));
        assert_str_equal(text, server);
        CHECK_ANSWER(pg_tsquery, &rows, PG_OID_TSQUERY);
    }
}

static void test_tsquery_of_words_finds_documents(void **state)
{
    (void)state;
    static const pg_tsquery_token TOKENS[] = {
        { .word = { "fat", 3 } },
        { .word = { "ca", 2 }, .prefix = true },
        { .kind = PG_TSQUERY_PHRASE, .distance = 1 },
        { .word = { "dog's | 'cat", 12 } },
        { .kind = PG_TSQUERY_NOT },
        { .kind = PG_TSQUERY_AND },
    };
    const str text = pg_tsquery_format(fiber_arena(), &(pg_tsquery){ TOKENS, ARRAY_LEN(TOKENS) });
    pg_rows rows;
    bool found;
    assert_ok(
        pg_query(db, &rows,
                 "select to_tsvector('english', 'The fat cats sat') @@ to_tsquery('english', $1),"
                 " to_tsvector('english', 'The cat is fat') @@ to_tsquery('english', $1)",
                 text));
    assert_ok(pg_get(&rows, 0, 0, &found));
    assert_true(found);
    assert_ok(pg_get(&rows, 0, 1, &found));
    assert_false(found);
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_tsvector_is_read_as_the_server_has_it),
        cmocka_unit_test(test_tsvector_of_a_text_tells_its_words),
        cmocka_unit_test(test_tsquery_is_read_and_written_as_the_server_does),
        cmocka_unit_test(test_tsquery_of_words_finds_documents),
    };
    return cmocka_run_group_tests(group, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
