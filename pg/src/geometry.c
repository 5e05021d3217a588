/* Points and what is made of them. Each type has one function that takes its text off a cursor and
 * one that reads its bytes; numbers are the shortest that read back the same, in the server's
 * notation (1e+15 where core writes 1000000000000000). Points are counted before room is made for
 * them: their text takes at least two bytes for each, and they 16. */
#include "geometry.h"

#include "decoder.h"
#include "reader.h"
#include "text.h"

#include "core/buf.h"

#include <math.h>
#include <stdio.h>

#define NUMBER_BYTES   32   /* of a number's text, at most */
#define EXPONENT_MAX   15   /* from here on a number is written as 1e+15, */
#define EXPONENT_LEAST (-4) /* and below this as 1e-05 */

/* --- numbers ---------------------------------------------------------------------------------- */

/* value = 0.digits * 10^point */
typedef struct decimal {
    char digits[NUMBER_BYTES];
    int count;
    int point;
} decimal;

/* Takes a text of a number apart that is finite, not zero and without a sign: core's, or of %e. */
static decimal decimal_of(str text)
{
    decimal d = { 0 };
    bool fraction = false;
    for (; text.len > 0 && text.ptr[0] != 'e'; text = str_slice(text, 1, text.len)) {
        const char c = text.ptr[0];
        if (c == '.') {
            fraction = true;
            continue;
        }
        if (d.count > 0 || c != '0')
            d.digits[d.count++] = c;
        d.point += fraction ? -(d.count == 0) : d.count > 0;
    }
    while (d.count > 1 && d.digits[d.count - 1] == '0')
        d.count--;
    int64_t exponent = 0;
    const size_t sign = text.len > 1 && text.ptr[1] == '+';
    if (text.len > 0)
        invariant(str_to_int64(str_slice(text, 1 + sign, text.len), &exponent));
    d.point += (int)exponent;
    return d;
}

/* Whether the decimal is midway between the value and one of its neighbours, as integers from 2^53
 * on can be: it reads back as the value only because that is the even one. Both are an odd number
 * times a power of two, and so close that the odd numbers tell. */
static bool is_midway(const decimal *d, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    const uint64_t significand = fraction | UINT64_C(1) << 52;
    if ((bits >> 52 & 0x7FF) <= 1075 || d->point < d->count)
        return false;
    uint64_t odd = 0;
    for (int i = 0; i < d->count; i++)
        odd = odd * 10 + (uint64_t)(d->digits[i] - '0');
    for (int i = d->count; i < d->point && odd < UINT64_C(1) << 60; i++)
        odd *= 5;
    while (odd % 2 == 0)
        odd /= 2;
    const uint64_t below = fraction == 0 ? 4 * significand - 1 : 2 * significand - 1;
    return odd == below || odd == 2 * significand + 1;
}

/* The fewest digits that read back as the value, which is positive, by whatever rule its reader
 * rounds a tie: the server does not count on the usual one. */
static decimal shortest(double value)
{
    char text[FLOAT8_TEXT_MAX];
    decimal d = decimal_of((str){ text, float8_format(text, value) });
    for (int digits = d.count + 1; digits <= 17 && is_midway(&d, value); digits++) {
        const int len = snprintf(text, sizeof text, "%.*e", digits - 1, value);
        d = decimal_of((str){ text, (size_t)len });
    }
    return d;
}

static void put_scientific(buf *b, const decimal *d)
{
    buf_append_char(b, d->digits[0]);
    if (d->count > 1) {
        buf_append_char(b, '.');
        buf_append(b, (str){ d->digits + 1, (size_t)d->count - 1 });
    }
    const int exponent = d->point - 1;
    buf_append_format(b, "e%c%02d", exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
}

static void put_fixed(buf *b, const decimal *d)
{
    if (d->point <= 0)
        buf_append(b, STR("0."));
    for (int i = d->point; i < 0; i++)
        buf_append_char(b, '0');
    for (int i = 0; i < d->count || i < d->point; i++) {
        if (i == d->point && i > 0)
            buf_append_char(b, '.');
        buf_append_char(b, i < d->count ? d->digits[i] : '0');
    }
}

static void put_number(buf *b, double value)
{
    if (!isfinite(value)) {
        char text[FLOAT8_TEXT_MAX];
        buf_append(b, (str){ text, float8_format(text, value) });
        return;
    }
    if (signbit(value))
        buf_append_char(b, '-');
    if (fpclassify(value) == FP_ZERO) {
        buf_append_char(b, '0');
        return;
    }
    const decimal d = shortest(fabs(value));
    if (d.point - 1 < EXPONENT_LEAST || d.point - 1 >= EXPONENT_MAX)
        put_scientific(b, &d);
    else
        put_fixed(b, &d);
}

/* A number up to the next byte that belongs to none. */
static bool take_number(str *rest, double *out)
{
    size_t len = 0;
    while (len < rest->len && !memchr(",()[]{}<>", rest->ptr[len], 9))
        len++;
    const str text = str_slice(*rest, 0, len);
    *rest = str_slice(*rest, len, rest->len);
    return pg_float8_parse(text, out);
}

/* --- points ----------------------------------------------------------------------------------- */

static void put_point(buf *b, const pg_point *point)
{
    buf_append_char(b, '(');
    put_number(b, point->x);
    buf_append_char(b, ',');
    put_number(b, point->y);
    buf_append_char(b, ')');
}

static void put_points(buf *b, const pg_point *points, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(b, ',');
        put_point(b, &points[i]);
    }
}

static bool take(str *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    return true;
}

static bool take_point(str *rest, pg_point *out)
{
    return take(rest, '(') && take_number(rest, &out->x) && take(rest, ',') &&
           take_number(rest, &out->y) && take(rest, ')');
}

/* "(1,2),(3,4)", all that is left but for one byte; at least one point. */
static bool take_points(arena *a, str *rest, const pg_point **out, size_t *count)
{
    size_t room = 0;
    for (size_t i = 0; i < rest->len; i++)
        room += rest->ptr[i] == '(';
    pg_point *points = arena_try_alloc(a, room * sizeof *points, _Alignof(pg_point));
    if (room == 0 || !points)
        return false;
    size_t n = 0;
    do {
        if (n == room || !take_point(rest, &points[n++]))
            return false;
    } while (take(rest, ','));
    *out = points;
    *count = n;
    return true;
}

static double read_number(pg_reader *r)
{
    const int64_t bits = pg_reader_i64(r);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static pg_point read_point(pg_reader *r)
{
    const double x = read_number(r);
    return (pg_point){ x, read_number(r) };
}

static bool read_points(arena *a, pg_reader *r, const pg_point **out, size_t *count)
{
    const uint32_t n = pg_reader_u32(r);
    if (r->failed || n == 0 || pg_reader_left(r) != (size_t)n * 16)
        return false;
    pg_point *points = arena_try_alloc(a, n * sizeof *points, _Alignof(pg_point));
    if (!points)
        return false;
    for (uint32_t i = 0; i < n; i++)
        points[i] = read_point(r);
    *out = points;
    *count = n;
    return true;
}

/* The text of one value. */
static buf text_of(arena *a, size_t points)
{
    buf b;
    buf_init_arena(&b, a, (points + 1) * (2 * NUMBER_BYTES + 4));
    return b;
}

/* --- values of some numbers ------------------------------------------------------------------- */

str pg_point_format(arena *a, const pg_point *point)
{
    buf b = text_of(a, 1);
    put_point(&b, point);
    return buf_str(&b);
}

bool pg_point_parse(str text, pg_point *out)
{
    pg_point point;
    if (!take_point(&text, &point) || text.len > 0)
        return false;
    *out = point;
    return true;
}

str pg_line_format(arena *a, const pg_line *line)
{
    buf b = text_of(a, 2);
    buf_append_char(&b, '{');
    put_number(&b, line->a);
    buf_append_char(&b, ',');
    put_number(&b, line->b);
    buf_append_char(&b, ',');
    put_number(&b, line->c);
    buf_append_char(&b, '}');
    return buf_str(&b);
}

bool pg_line_parse(str text, pg_line *out)
{
    pg_line line;
    if (!take(&text, '{') || !take_number(&text, &line.a) || !take(&text, ',') ||
        !take_number(&text, &line.b) || !take(&text, ',') || !take_number(&text, &line.c) ||
        !take(&text, '}') || text.len > 0)
        return false;
    *out = line;
    return true;
}

str pg_lseg_format(arena *a, const pg_lseg *lseg)
{
    buf b = text_of(a, 2);
    buf_append_char(&b, '[');
    put_point(&b, &lseg->from);
    buf_append_char(&b, ',');
    put_point(&b, &lseg->to);
    buf_append_char(&b, ']');
    return buf_str(&b);
}

bool pg_lseg_parse(str text, pg_lseg *out)
{
    pg_lseg lseg;
    if (!take(&text, '[') || !take_point(&text, &lseg.from) || !take(&text, ',') ||
        !take_point(&text, &lseg.to) || !take(&text, ']') || text.len > 0)
        return false;
    *out = lseg;
    return true;
}

str pg_box_format(arena *a, const pg_box *box)
{
    buf b = text_of(a, 2);
    put_point(&b, &box->high);
    buf_append_char(&b, ',');
    put_point(&b, &box->low);
    return buf_str(&b);
}

bool pg_box_parse(str text, pg_box *out)
{
    pg_box box;
    if (!take_point(&text, &box.high) || !take(&text, ',') || !take_point(&text, &box.low) ||
        text.len > 0)
        return false;
    *out = box;
    return true;
}

str pg_circle_format(arena *a, const pg_circle *circle)
{
    buf b = text_of(a, 2);
    buf_append_char(&b, '<');
    put_point(&b, &circle->center);
    buf_append_char(&b, ',');
    put_number(&b, circle->radius);
    buf_append_char(&b, '>');
    return buf_str(&b);
}

bool pg_circle_parse(str text, pg_circle *out)
{
    pg_circle circle;
    if (!take(&text, '<') || !take_point(&text, &circle.center) || !take(&text, ',') ||
        !take_number(&text, &circle.radius) || circle.radius < 0 || !take(&text, '>') ||
        text.len > 0)
        return false;
    *out = circle;
    return true;
}

/* A value of `count` numbers, of the size of its type. */
static bool read_numbers(const pg_cell *cell, pg_oid oid, size_t count, double *out)
{
    if (!pg_cell_is(cell, oid, count * 8))
        return false;
    pg_reader r = pg_reader_of(cell->bytes);
    for (size_t i = 0; i < count; i++)
        out[i] = read_number(&r);
    return true;
}

static bool read_pg_point(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_POINT && pg_point_parse(cell->bytes, out);
    return read_numbers(cell, PG_OID_POINT, 2, out);
}

static bool read_pg_line(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_LINE && pg_line_parse(cell->bytes, out);
    return read_numbers(cell, PG_OID_LINE, 3, out);
}

static bool read_pg_lseg(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_LSEG && pg_lseg_parse(cell->bytes, out);
    return read_numbers(cell, PG_OID_LSEG, 4, out);
}

static bool read_pg_box(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_BOX && pg_box_parse(cell->bytes, out);
    return read_numbers(cell, PG_OID_BOX, 4, out);
}

static bool read_pg_circle(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_CIRCLE && pg_circle_parse(cell->bytes, out);
    double numbers[3];
    if (!read_numbers(cell, PG_OID_CIRCLE, 3, numbers) || numbers[2] < 0)
        return false;
    *(pg_circle *)out = (pg_circle){ { numbers[0], numbers[1] }, numbers[2] };
    return true;
}

/* --- values of many points -------------------------------------------------------------------- */

str pg_path_format(arena *a, const pg_path *path)
{
    buf b = text_of(a, path->count);
    buf_append_char(&b, path->closed ? '(' : '[');
    put_points(&b, path->points, path->count);
    buf_append_char(&b, path->closed ? ')' : ']');
    return buf_str(&b);
}

bool pg_path_parse(arena *a, str text, pg_path *out)
{
    pg_path path = { .closed = take(&text, '(') };
    if ((!path.closed && !take(&text, '[')) || !take_points(a, &text, &path.points, &path.count) ||
        !take(&text, path.closed ? ')' : ']') || text.len > 0)
        return false;
    *out = path;
    return true;
}

str pg_polygon_format(arena *a, const pg_polygon *polygon)
{
    return pg_path_format(a, &(pg_path){ polygon->points, polygon->count, true });
}

bool pg_polygon_parse(arena *a, str text, pg_polygon *out)
{
    pg_path path;
    if (!pg_path_parse(a, text, &path) || !path.closed)
        return false;
    *out = (pg_polygon){ path.points, path.count };
    return true;
}

static bool read_pg_path(arena *a, const pg_cell *cell, void *out)
{
    if (cell->oid != PG_OID_PATH)
        return false;
    if (cell->format == PG_TEXT)
        return pg_path_parse(a, cell->bytes, out);
    pg_reader r = pg_reader_of(cell->bytes);
    const uint8_t closed = pg_reader_u8(&r);
    pg_path path = { .closed = closed == 1 };
    if (closed > 1 || !read_points(a, &r, &path.points, &path.count))
        return false;
    *(pg_path *)out = path;
    return true;
}

static bool read_pg_polygon(arena *a, const pg_cell *cell, void *out)
{
    if (cell->oid != PG_OID_POLYGON)
        return false;
    if (cell->format == PG_TEXT)
        return pg_polygon_parse(a, cell->bytes, out);
    pg_reader r = pg_reader_of(cell->bytes);
    pg_polygon polygon;
    if (!read_points(a, &r, &polygon.points, &polygon.count))
        return false;
    *(pg_polygon *)out = polygon;
    return true;
}

/* More points than any message holds count as so many, so that sums of sizes do not overflow. */
size_t pg_polygon_size(const pg_polygon *polygon)
{
    return 4 + 16 * (polygon->count < UINT32_MAX ? polygon->count : UINT32_MAX);
}

size_t pg_path_size(const pg_path *path)
{
    return 1 + pg_polygon_size(&(pg_polygon){ path->points, path->count });
}

char *pg_polygon_put(const pg_polygon *polygon, char *at)
{
    at = pg_put32(at, (uint32_t)polygon->count);
    for (size_t i = 0; i < polygon->count; i++) {
        uint64_t bits[2];
        memcpy(bits, &polygon->points[i], sizeof bits);
        at = pg_put64(pg_put64(at, bits[0]), bits[1]);
    }
    return at;
}

char *pg_path_put(const pg_path *path, char *at)
{
    at = pg_put8(at, path->closed);
    return pg_polygon_put(&(pg_polygon){ path->points, path->count }, at);
}

static_assert(sizeof(pg_point) == 2 * sizeof(double) && sizeof(pg_line) == 3 * sizeof(double) &&
                  sizeof(pg_lseg) == 4 * sizeof(double) && sizeof(pg_box) == 4 * sizeof(double),
              "are read as so many numbers");

PG_DECODERS(pg_point, pg_point, PG_OID_POINT)
PG_DECODERS(pg_line, pg_line, PG_OID_LINE)
PG_DECODERS(pg_lseg, pg_lseg, PG_OID_LSEG)
PG_DECODERS(pg_box, pg_box, PG_OID_BOX)
PG_DECODERS(pg_circle, pg_circle, PG_OID_CIRCLE)
PG_DECODERS(pg_path, pg_path, PG_OID_PATH)
PG_DECODERS(pg_polygon, pg_polygon, PG_OID_POLYGON)
