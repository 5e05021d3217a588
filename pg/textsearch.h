/* PostgreSQL's full text search: what tsvector and tsquery consist of.
 *
 *   // a search as one types, "fat ca": words in order, the last one only begun
 *   pg_tsquery_token tokens[] = {
 *       { .word = STR("fat") },
 *       { .word = STR("ca"), .prefix = true },
 *       { .kind = PG_TSQUERY_PHRASE, .distance = 1 },
 *   };
 *   str text = pg_tsquery_format(fiber_arena(), &(pg_tsquery){ tokens, 3 });
 *   TRY(pg_query(db, &rows, "select title from notes where words @@ to_tsquery('english', $1)",
 * text));
 *
 * Both are read from a column of their type. Neither is a parameter: they go to the server as text,
 * as above, with every word quoted whatever is in it. There the server checks limits, puts words in
 * order and merges equal ones, which it does not for the binary form; and to_tsquery, which finds
 * the stems of words, wants text anyway.
 *
 * Every format function gives what the server writes; the text lives in `a`. Every parse function
 * reads the whole of such a text; what it gives lives in `a` or is a view of the text. It returns
 * false on anything else, or when there is no room in `a`, and then leaves `*out` alone. */
#ifndef PG_TEXTSEARCH_H
#define PG_TEXTSEARCH_H

#include "core/arena.h"
#include "core/scalar.h"

/* --- documents -------------------------------------------------------------------------------- */

#define PG_LEXEME_BYTES_MAX     2047
#define PG_LEXEME_POSITIONS_MAX 256
#define PG_LEXEME_POSITION_MAX  16383

/* One place of a word in its document. */
typedef struct pg_lexeme_position {
    uint16_t position; /* 1 to PG_LEXEME_POSITION_MAX */
    char weight;       /* 'A' to 'D', which is the usual one */
} pg_lexeme_position;

typedef struct pg_lexeme {
    str word;
    const pg_lexeme_position *positions; /* in order */
    size_t count;                        /* 0: they were stripped */
} pg_lexeme;

/* The words of a document, each once, in the order of str_compare. */
typedef struct pg_tsvector {
    const pg_lexeme *lexemes;
    size_t count;
} pg_tsvector;
SCALAR_OPTIONAL(pg_tsvector, pg_tsvector);
SCALAR_LIST(pg_tsvector, pg_tsvector);

/* "'cat':3 'fat':2A,4". */
str pg_tsvector_format(arena *a, const pg_tsvector *document);
bool pg_tsvector_parse(arena *a, str text, pg_tsvector *out);

/* --- queries ---------------------------------------------------------------------------------- */

typedef enum pg_tsquery_kind {
    PG_TSQUERY_WORD = 0,
    PG_TSQUERY_NOT,
    PG_TSQUERY_AND,
    PG_TSQUERY_OR,
    PG_TSQUERY_PHRASE,
} pg_tsquery_kind;

#define PG_TSQUERY_WEIGHT_A     8
#define PG_TSQUERY_WEIGHT_B     4
#define PG_TSQUERY_WEIGHT_C     2
#define PG_TSQUERY_WEIGHT_D     1
#define PG_TSQUERY_DISTANCE_MAX 16384

typedef struct pg_tsquery_token {
    pg_tsquery_kind kind;
    str word;          /* of a word */
    bool prefix;       /* of a word: any that begins so */
    uint8_t weights;   /* of a word: PG_TSQUERY_WEIGHT_A | …, 0 for any */
    uint16_t distance; /* of a phrase: the second word is so many positions behind the first */
} pg_tsquery_token;

/* Operators stand behind what they join: fat cat & dog ! | is (fat & cat) | !dog. Without tokens it
 * finds nothing. */
typedef struct pg_tsquery {
    const pg_tsquery_token *tokens;
    size_t count;
} pg_tsquery;
SCALAR_OPTIONAL(pg_tsquery, pg_tsquery);
SCALAR_LIST(pg_tsquery, pg_tsquery);

/* "'fat' & 'cat' | !'dog'", "'fat' <-> 'ca':*". Every operator must have its operands, an
 * invariant. */
str pg_tsquery_format(arena *a, const pg_tsquery *query);
bool pg_tsquery_parse(arena *a, str text, pg_tsquery *out);

#endif
