/* Documents of the full text search, in the server's text and bytes. In binary a document is a
 * count of lexemes; each is its word and a NUL, a count of positions in 16 bits, and those in 16
 * bits each, the weight in the upper two. A document whose lexemes are out of order or past the
 * server's limits is none. */
#include "decoder.h"
#include "reader.h"
#include "textsearch.h"

#define POSITION_BYTES 8 /* of its text: a comma, five digits, a weight */

/* --- words ------------------------------------------------------------------------------------ */

void pg_put_word(buf *b, str word)
{
    buf_append_char(b, '\'');
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\'' || word.ptr[i] == '\\')
            buf_append_char(b, word.ptr[i]);
        buf_append_char(b, word.ptr[i]);
    }
    buf_append_char(b, '\'');
}

/* The word without what was doubled in it. */
static bool undouble(arena *a, str doubled, str *word)
{
    char *text = arena_try_alloc(a, doubled.len, 1);
    if (!text)
        return false;
    size_t len = 0;
    for (size_t i = 0; i < doubled.len; i++) {
        if (doubled.ptr[i] == '\'' || doubled.ptr[i] == '\\')
            i++;
        text[len++] = doubled.ptr[i];
    }
    *word = (str){ text, len };
    return true;
}

bool pg_take_word(arena *a, str *rest, str *word)
{
    if (!pg_take_char(rest, '\''))
        return false;
    bool doubled = false;
    size_t len = 0;
    for (; len < rest->len; len++) {
        const char c = rest->ptr[len];
        const bool again = len + 1 < rest->len && rest->ptr[len + 1] == c;
        if (c == '\'' && !again)
            break;
        if (c != '\'' && c != '\\')
            continue;
        if (!again)
            return false;
        doubled = true;
        len++;
    }
    if (len == rest->len)
        return false;
    *word = str_slice(*rest, 0, len);
    *rest = str_slice(*rest, len + 1, rest->len);
    return !doubled || undouble(a, *word, word);
}

bool pg_take_small(str *rest, uint16_t *out)
{
    uint32_t value = 0;
    size_t len = 0;
    for (; len < rest->len && len < 5 && rest->ptr[len] >= '0' && rest->ptr[len] <= '9'; len++)
        value = value * 10 + (uint32_t)(rest->ptr[len] - '0');
    if (len == 0 || value > UINT16_MAX)
        return false;
    *out = (uint16_t)value;
    *rest = str_slice(*rest, len, rest->len);
    return true;
}

size_t pg_count_of(str text, const char *set)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] != 0 && strchr(set, text.ptr[i]) != NULL;
    return count;
}

/* --- documents -------------------------------------------------------------------------------- */

/* Whether the lexeme can stand behind the one before it, if there is one. */
static bool is_in_order(const pg_lexeme *lexeme, const pg_lexeme *before)
{
    if (lexeme->word.len > PG_LEXEME_BYTES_MAX || lexeme->count > PG_LEXEME_POSITIONS_MAX)
        return false;
    uint16_t last = 0;
    for (size_t i = 0; i < lexeme->count; i++) {
        const uint16_t position = lexeme->positions[i].position;
        if (position <= last || position > PG_LEXEME_POSITION_MAX)
            return false;
        last = position;
    }
    return !before || str_compare(before->word, lexeme->word) < 0;
}

str pg_tsvector_format(arena *a, const pg_tsvector *document)
{
    size_t bytes = 1;
    for (size_t i = 0; i < document->count; i++)
        bytes +=
            2 * document->lexemes[i].word.len + 4 + document->lexemes[i].count * POSITION_BYTES;
    buf b;
    buf_init_arena(&b, a, bytes);
    for (size_t i = 0; i < document->count; i++) {
        const pg_lexeme *lexeme = &document->lexemes[i];
        if (i > 0)
            buf_append_char(&b, ' ');
        pg_put_word(&b, lexeme->word);
        for (size_t k = 0; k < lexeme->count; k++) {
            buf_append_char(&b, k == 0 ? ':' : ',');
            buf_append_uint64(&b, lexeme->positions[k].position);
            if (lexeme->positions[k].weight != 'D')
                buf_append_char(&b, lexeme->positions[k].weight);
        }
    }
    return buf_str(&b);
}

static char take_weight(str *rest)
{
    for (int i = 0; i < 4; i++) {
        if (pg_take_char(rest, (char)('A' + i)))
            return (char)('A' + i);
    }
    return 'D';
}

/* "'fat':2A,4", its positions into `positions`. */
static bool take_lexeme(arena *a, str *rest, pg_lexeme_position *positions, pg_lexeme *out)
{
    *out = (pg_lexeme){ .positions = positions };
    if (!pg_take_word(a, rest, &out->word))
        return false;
    char separator = ':';
    while (pg_take_char(rest, separator)) {
        pg_lexeme_position *at = &positions[out->count++];
        if (!pg_take_small(rest, &at->position))
            return false;
        at->weight = take_weight(rest);
        separator = ',';
    }
    return true;
}

bool pg_tsvector_parse(arena *a, str text, pg_tsvector *out)
{
    if (text.len == 0) {
        *out = (pg_tsvector){ 0 };
        return true;
    }
    const size_t room = pg_count_of(text, "'") / 2;
    const size_t positions_room = pg_count_of(text, ":,");
    pg_lexeme *lexemes = arena_try_alloc(a, room * sizeof *lexemes, _Alignof(pg_lexeme));
    pg_lexeme_position *positions =
        arena_try_alloc(a, positions_room * sizeof *positions, _Alignof(pg_lexeme_position));
    if (!lexemes || !positions)
        return false;
    size_t count = 0;
    do {
        if (count == room || !take_lexeme(a, &text, positions, &lexemes[count]) ||
            !is_in_order(&lexemes[count], count > 0 ? &lexemes[count - 1] : NULL))
            return false;
        positions += lexemes[count++].count;
    } while (pg_take_char(&text, ' '));
    if (text.len > 0)
        return false;
    *out = (pg_tsvector){ lexemes, count };
    return true;
}

static bool read_lexeme(arena *a, pg_reader *r, pg_lexeme *out)
{
    out->word = pg_reader_cstring(r);
    out->count = pg_reader_u16(r);
    if (r->failed || pg_reader_left(r) / 2 < out->count)
        return false;
    pg_lexeme_position *positions = NULL;
    if (out->count > 0)
        positions = arena_try_alloc(a, out->count * sizeof *positions, 2);
    if (out->count > 0 && !positions)
        return false;
    for (size_t i = 0; i < out->count; i++) {
        const uint16_t entry = pg_reader_u16(r);
        positions[i] =
            (pg_lexeme_position){ entry & PG_LEXEME_POSITION_MAX, (char)('D' - (entry >> 14)) };
    }
    out->positions = positions;
    return true;
}

static bool read_binary(arena *a, str bytes, pg_tsvector *out)
{
    pg_reader r = pg_reader_of(bytes);
    const uint32_t count = pg_reader_u32(&r);
    if (r.failed || count > pg_reader_left(&r) / 3)
        return false;
    pg_lexeme *lexemes = arena_try_alloc(a, count * sizeof *lexemes, _Alignof(pg_lexeme));
    if (!lexemes)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!read_lexeme(a, &r, &lexemes[i]) ||
            !is_in_order(&lexemes[i], i > 0 ? &lexemes[i - 1] : NULL))
            return false;
    }
    if (!pg_reader_done(&r))
        return false;
    *out = (pg_tsvector){ lexemes, count };
    return true;
}

static bool read_pg_tsvector(arena *a, const pg_cell *cell, void *out)
{
    if (cell->oid != PG_OID_TSVECTOR)
        return false;
    return cell->format == PG_TEXT ? pg_tsvector_parse(a, cell->bytes, out)
                                   : read_binary(a, cell->bytes, out);
}

PG_DECODERS(pg_tsvector, pg_tsvector, PG_OID_TSVECTOR)
