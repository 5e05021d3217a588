/* Cells as JSON. Each kind comes in the one format that is nearest to its JSON: numbers as text, so
 * that they are checked and copied; what the session's settings would change as text (dates,
 * instants, bytes) in binary.
 *
 * Bytes of a server are checked here, all of them: what is appended is one JSON value. */
#include "json_cell.h"

#include "big_endian.h"
#include "decoder.h"

#include "core/json.h"

#include <string.h>

static pg_json_type scalar_of(pg_oid oid)
{
    switch (oid) {
    case PG_OID_INT2:
    case PG_OID_INT4:
    case PG_OID_INT8:
    case PG_OID_OID:
    case PG_OID_NUMERIC:
    case PG_OID_FLOAT4:
    case PG_OID_FLOAT8:
        return (pg_json_type){ PG_JSON_NUMBER, PG_TEXT, 0 };
    case PG_OID_BOOL:
        return (pg_json_type){ PG_JSON_BOOL, PG_BINARY, 0 };
    case PG_OID_TEXT: /* the same in both formats; arrays are easier in binary */
    case PG_OID_VARCHAR:
    case PG_OID_BPCHAR:
    case PG_OID_NAME:
        return (pg_json_type){ PG_JSON_STRING, PG_BINARY, 0 };
    case PG_OID_JSON:
        return (pg_json_type){ PG_JSON_DOCUMENT, PG_BINARY, 0 };
    case PG_OID_JSONB:
        return (pg_json_type){ PG_JSON_DOCUMENT_VERSIONED, PG_BINARY, 0 };
    case PG_OID_BYTEA:
        return (pg_json_type){ PG_JSON_BYTES, PG_BINARY, 0 };
    case PG_OID_DATE:
        return (pg_json_type){ PG_JSON_DATE, PG_BINARY, 0 };
    case PG_OID_TIMESTAMP:
        return (pg_json_type){ PG_JSON_TIMESTAMP, PG_BINARY, 0 };
    case PG_OID_TIMESTAMPTZ:
        return (pg_json_type){ PG_JSON_TIMESTAMPTZ, PG_BINARY, 0 };
    default:
        return (pg_json_type){ PG_JSON_STRING, PG_TEXT, 0 };
    }
}

#define OID_OF_DATABASE 16384 /* from here on types are a database's own */

pg_json_type pg_json_type_of(pg_oid oid)
{
    pg_json_type type = scalar_of(oid);
    const bool may_be_array = type.kind == PG_JSON_STRING && type.format == PG_TEXT;
    const pg_oid element = may_be_array && oid < OID_OF_DATABASE ? pg_type_element(oid) : 0;
    if (element) {
        type = scalar_of(element);
        type.element = element;
    }
    return type;
}

/* --- words ------------------------------------------------------------------------------------ */

/* Sixteen bytes that are looked at together. */
typedef int8_t word __attribute__((vector_size(16)));
#define WORD_BYTES sizeof(word)

static bool any_of(word found)
{
    uint64_t halves[2];
    memcpy(halves, &found, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

static word word_of(uint64_t front, uint64_t back)
{
    const uint64_t halves[] = { front, back };
    word w;
    memcpy(&w, halves, sizeof w);
    return w;
}

/* Copies 1 to 16 bytes, and returns them, some of them several times. */
static inline word copy_short(char *to, const char *from, size_t len)
{
    if (len >= 8) {
        uint64_t front, back;
        memcpy(&front, from, 8);
        memcpy(&back, from + len - 8, 8);
        memcpy(to, &front, 8);
        memcpy(to + len - 8, &back, 8);
        return word_of(front, back);
    }
    uint32_t front, back;
    if (len >= 4) {
        memcpy(&front, from, 4);
        memcpy(&back, from + len - 4, 4);
        memcpy(to, &front, 4);
        memcpy(to + len - 4, &back, 4);
    } else {
        const unsigned char first = (unsigned char)from[0];
        const unsigned char middle = (unsigned char)from[len / 2];
        const unsigned char last = (unsigned char)from[len - 1];
        to[0] = (char)first;
        to[len / 2] = (char)middle;
        to[len - 1] = (char)last;
        front = back = (uint32_t)first << 24 | (uint32_t)middle << 16 | (uint32_t)last << 8 | first;
    }
    const uint64_t both = (uint64_t)front << 32 | back;
    return word_of(both, both);
}

/* --- text ------------------------------------------------------------------------------------- */

/* Where a string has to be escaped, or is not ASCII: signed, those bytes are below the space too.
 */
static inline word special_in(word w)
{
    return (word)((w < 0x20) | (w == '"') | (w == '\\'));
}

/* Copies a string between quotes; 0: it is not plain. */
static size_t put_plain(char *to, str text)
{
    char *at = to + 1;
    word special = { 0 };
    if (text.len >= WORD_BYTES) {
        word w;
        for (size_t i = 0; i + WORD_BYTES < text.len; i += WORD_BYTES) {
            memcpy(&w, text.ptr + i, WORD_BYTES);
            memcpy(at + i, &w, WORD_BYTES);
            special |= special_in(w);
        }
        const size_t last = text.len - WORD_BYTES;
        memcpy(&w, text.ptr + last, WORD_BYTES);
        memcpy(at + last, &w, WORD_BYTES);
        special |= special_in(w);
    } else if (text.len > 0) {
        special = special_in(copy_short(at, text.ptr, text.len));
    }
    to[0] = at[text.len] = '"';
    return any_of(special) ? 0 : text.len + 2;
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* What JSON has no number for. */
static bool is_no_number(str text)
{
    return str_eq(text, STR("NaN")) || str_eq(text, STR("Infinity")) ||
           str_eq(text, STR("-Infinity"));
}

static size_t put_text(char *to, str text)
{
    memcpy(to, text.ptr, text.len);
    return text.len;
}

/* Whole numbers of up to 16 digits, which is what most are; a sign is looked for later. */
static inline bool put_digits(char *to, str text)
{
    if (text.len - 1 >= WORD_BYTES || (text.ptr[0] == '0' && text.len > 1))
        return false;
    const word w = copy_short(to, text.ptr, text.len);
    return !any_of((word)((w < '0') | (w > '9')));
}

/* Apart, as is all that needs a stack: what most cells are is then written without one. */
__attribute__((noinline)) static size_t put_other_number(char *to, str text)
{
    to[0] = '-';
    if (text.len > 1 && text.ptr[0] == '-' && put_digits(to + 1, str_slice(text, 1, text.len)))
        return text.len;
    if (json_is_number(text))
        return put_text(to, text);
    return is_no_number(text) ? put_text(to, STR("null")) : 0;
}

/* --- days and instants ------------------------------------------------------------------------ */

static size_t put_date(char *to, int32_t days)
{
    if (days == INT32_MAX)
        return put_text(to, STR("infinity"));
    if (days == INT32_MIN)
        return put_text(to, STR("-infinity"));
    return scalar_civil_format(to, days);
}

/* What stands between the quotes; 0: it is none. */
static size_t put_bare_when(char *to, pg_json_kind kind, str cell)
{
    if (kind == PG_JSON_DATE)
        return cell.len == 4 ? put_date(to, (int32_t)pg_get32(cell.ptr)) : 0;
    if (cell.len != 8)
        return 0;
    const timestamptz t = { (int64_t)pg_get64(cell.ptr) };
    const size_t len = timestamptz_format(to, t);
    const bool zoned = kind == PG_JSON_TIMESTAMPTZ || timestamptz_is_infinite(t);
    return zoned ? len : len - 1; /* without the Z */
}

__attribute__((noinline)) static size_t put_when(char *to, pg_json_kind kind, str cell)
{
    static_assert(TIMESTAMPTZ_TEXT_MAX + 2 <= PG_JSON_CELL_BYTES, "there is room for it");
    static_assert(SCALAR_CIVIL_TEXT_MAX + 2 <= PG_JSON_CELL_BYTES, "and for a day");
    const size_t len = put_bare_when(to + 1, kind, cell);
    if (len == 0)
        return 0;
    to[0] = to[len + 1] = '"';
    return len + 2;
}

/* --- cells ------------------------------------------------------------------------------------ */

static size_t put_bool(char *to, str cell)
{
    if (cell.len != 1 || (unsigned char)cell.ptr[0] > 1)
        return 0;
    return put_text(to, cell.ptr[0] ? STR("true") : STR("false"));
}

size_t pg_json_put(char *to, pg_json_kind kind, str cell)
{
    switch (kind) {
    case PG_JSON_NUMBER:
        return LIKELY(put_digits(to, cell)) ? cell.len : put_other_number(to, cell);
    case PG_JSON_STRING:
        return put_plain(to, cell);
    case PG_JSON_BOOL:
        return put_bool(to, cell);
    case PG_JSON_DATE:
    case PG_JSON_TIMESTAMP:
    case PG_JSON_TIMESTAMPTZ:
        return put_when(to, kind, cell);
    case PG_JSON_DOCUMENT:
    case PG_JSON_DOCUMENT_VERSIONED:
    case PG_JSON_BYTES:
        return 0;
    }
    unreachable();
}

static bool append_document(buf *out, str text)
{
    if (!json_is_valid(text))
        return false;
    buf_append(out, text);
    return true;
}

bool pg_json_append(buf *out, pg_json_kind kind, str cell)
{
    switch (kind) {
    case PG_JSON_STRING:
        if (cell.len > 0 && memchr(cell.ptr, 0, cell.len))
            return false; /* no text has one, and few who read JSON take it */
        json_write_string(out, cell);
        return true;
    case PG_JSON_DOCUMENT:
        return append_document(out, cell);
    case PG_JSON_DOCUMENT_VERSIONED:
        return cell.len > 0 && cell.ptr[0] == 1 &&
               append_document(out, str_slice(cell, 1, cell.len));
    case PG_JSON_BYTES:
        json_write_bytea(out, (bytea){ (const uint8_t *)cell.ptr, cell.len });
        return true;
    case PG_JSON_NUMBER:
    case PG_JSON_BOOL:
    case PG_JSON_DATE:
    case PG_JSON_TIMESTAMP:
    case PG_JSON_TIMESTAMPTZ: {
        char *to = buf_reserve(out, cell.len + PG_JSON_CELL_BYTES);
        if (!to)
            return true; /* who asks the buffer is told */
        const size_t len = pg_json_put(to, kind, cell);
        buf_commit(out, len);
        return len > 0;
    }
    }
    unreachable();
}
