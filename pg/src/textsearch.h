/* Words between quotes, as tsvector and tsquery have them in their text. */
#ifndef PG_SRC_TEXTSEARCH_H
#define PG_SRC_TEXTSEARCH_H

#include "core/buf.h"
#include "pg/textsearch.h"

/* 'it''s', with every quote and backslash doubled: at most twice the word and two bytes. */
void pg_put_word(buf *b, str word);
/* Takes such a word off the text; it is a view of that, or lives in `a` where something was
 * doubled. */
bool pg_take_word(arena *a, str *rest, str *word);

/* Takes `c`, if that is next. */
static inline bool pg_take_char(str *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    return true;
}
/* Takes one to five digits. */
bool pg_take_small(str *rest, uint16_t *out);
/* How many bytes of the text are one of `set`: room for what each of them may begin. */
size_t pg_count_of(str text, const char *set);

#endif
