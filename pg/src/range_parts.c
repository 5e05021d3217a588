/* A range's bytes and text: flags, and bounds that nobody has read yet.
 *
 * A bound that is not there is not exclusive nor inclusive either, so that equal ranges have equal
 * flags. No range of a multirange is empty. */
#include "range_parts.h"

#include "quoted.h"
#include "reader.h"

#define FLAG_EMPTY           0x01
#define FLAG_LOWER_INCLUSIVE 0x02
#define FLAG_UPPER_INCLUSIVE 0x04
#define FLAG_LOWER_UNBOUNDED 0x08
#define FLAG_UPPER_UNBOUNDED 0x10
#define FLAGS                0x1F

uint8_t pg_range_flags_byte(pg_range_flags flags)
{
    int byte = 0;
    if (flags.empty)
        return FLAG_EMPTY;
    if (flags.lower_unbounded)
        byte |= FLAG_LOWER_UNBOUNDED;
    else if (!flags.lower_exclusive)
        byte |= FLAG_LOWER_INCLUSIVE;
    if (flags.upper_unbounded)
        byte |= FLAG_UPPER_UNBOUNDED;
    else if (flags.upper_inclusive)
        byte |= FLAG_UPPER_INCLUSIVE;
    return (uint8_t)byte;
}

static pg_range_parts with_its_flags(pg_range_parts p)
{
    p.is.lower_exclusive = p.is.lower_exclusive && !p.is.lower_unbounded;
    p.is.upper_inclusive = p.is.upper_inclusive && !p.is.upper_unbounded;
    return p;
}

static bool take_bytes(str bytes, pg_range_parts *out)
{
    pg_reader r = pg_reader_of(bytes);
    const uint8_t flags = pg_reader_u8(&r);
    pg_range_parts p = { .is = { .lower_exclusive = !(flags & FLAG_LOWER_INCLUSIVE),
                                 .upper_inclusive = flags & FLAG_UPPER_INCLUSIVE,
                                 .lower_unbounded = flags & FLAG_LOWER_UNBOUNDED,
                                 .upper_unbounded = flags & FLAG_UPPER_UNBOUNDED } };
    if (r.failed || (flags & ~FLAGS))
        return false;
    if (flags & FLAG_EMPTY) {
        *out = (pg_range_parts){ .is.empty = true };
        return pg_reader_done(&r);
    }
    if (!p.is.lower_unbounded)
        p.lower = pg_reader_bytes(&r, pg_reader_u32(&r));
    if (!p.is.upper_unbounded)
        p.upper = pg_reader_bytes(&r, pg_reader_u32(&r));
    *out = with_its_flags(p);
    return pg_reader_done(&r);
}

/* Takes "empty" or "[lower,upper)" off `rest`. */
static bool take_text(arena *a, str *rest, pg_range_parts *out)
{
    pg_range_parts p = { 0 };
    if (str_starts_with(*rest, STR("empty"))) {
        p.is.empty = true;
        *rest = str_slice(*rest, 5, rest->len);
        *out = p;
        return true;
    }
    if (rest->len == 0 || (rest->ptr[0] != '[' && rest->ptr[0] != '('))
        return false;
    p.is.lower_exclusive = rest->ptr[0] == '(';
    *rest = str_slice(*rest, 1, rest->len);
    if (!pg_quoted_take(a, rest, ",", &p.lower))
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    if (!pg_quoted_take(a, rest, "])", &p.upper))
        return false;
    p.is.upper_inclusive = rest->ptr[0] == ']';
    *rest = str_slice(*rest, 1, rest->len);
    p.is.lower_unbounded = !p.lower.ptr;
    p.is.upper_unbounded = !p.upper.ptr;
    *out = with_its_flags(p);
    return true;
}

bool pg_range_take_apart(arena *a, str bytes, pg_format format, pg_range_parts *out)
{
    if (format == PG_BINARY)
        return take_bytes(bytes, out);
    return take_text(a, &bytes, out) && bytes.len == 0;
}

void pg_range_put_text(buf *out, const pg_range_parts *p)
{
    if (p->is.empty) {
        buf_append(out, STR("empty"));
        return;
    }
    buf_append_char(out, p->is.lower_exclusive || p->is.lower_unbounded ? '(' : '[');
    if (!p->is.lower_unbounded)
        pg_quoted_put(out, p->lower, "()[],");
    buf_append_char(out, ',');
    if (!p->is.upper_unbounded)
        pg_quoted_put(out, p->upper, "()[],");
    buf_append_char(out, p->is.upper_inclusive && !p->is.upper_unbounded ? ']' : ')');
}

bool pg_multirange_next(arena *a, str *rest, pg_format format, bool first, pg_range_parts *out)
{
    if (format == PG_BINARY) {
        pg_reader r = pg_reader_of(*rest);
        const str bytes = pg_reader_bytes(&r, pg_reader_u32(&r));
        if (r.failed || !pg_range_take_apart(a, bytes, PG_BINARY, out))
            return false;
        *rest = pg_reader_rest(&r);
        return true;
    }
    if (!first) {
        if (rest->len == 0 || rest->ptr[0] != ',')
            return false;
        *rest = str_slice(*rest, 1, rest->len);
    }
    return take_text(a, rest, out);
}

bool pg_multirange_open(str *bytes, pg_format format, size_t *count)
{
    if (format == PG_BINARY) {
        pg_reader r = pg_reader_of(*bytes);
        *count = pg_reader_u32(&r);
        if (r.failed || *count > pg_reader_left(&r) / 5)
            return false;
        *bytes = pg_reader_rest(&r);
        return true;
    }
    if (bytes->len < 2 || bytes->ptr[0] != '{' || bytes->ptr[bytes->len - 1] != '}')
        return false;
    *bytes = str_slice(*bytes, 1, bytes->len - 2);
    *count = bytes->len > 0;
    for (size_t i = 0; i < bytes->len; i++)
        *count += bytes->ptr[i] == ',';
    *count =
        (*count + 1) / 2; /* a comma in each range, and one between two; those quoted are more */
    return true;
}
