/* Decimal numbers in digits of base 10000, the form in which the server holds and sends them, and
 * their text. Nothing is computed but positions, so nothing is rounded.
 *
 * A number comes from three sides, an integer, text and the server, and all go through `settle`,
 * which drops zeros at both ends: the form is canonical whoever made it. What is allocated is at
 * most the bytes received. */
#include "numeric.h"

#include "big_endian.h"
#include "reader.h"

#include "pg/error.h"

#include <string.h>

#define BASE        10000
#define BASE_DIGITS 4
#define WHOLE_MAX   131072 /* decimal digits before the point */

#define WIRE_NEGATIVE       0x4000
#define WIRE_NAN            0xC000
#define WIRE_INFINITY       0xD000
#define WIRE_MINUS_INFINITY 0xF000

static const uint16_t POWERS[] = { 1, 10, 100, 1000, BASE };

const uint16_t *pg_numeric_digits(const pg_numeric *n)
{
    return n->count > PG_NUMERIC_FEW_DIGITS ? n->digits.many : n->digits.few;
}

/* Where digits come from: the one at `index`, from the most significant. */
typedef struct digit_source {
    uint16_t (*at)(const struct digit_source *source, size_t index);
    str whole; /* of text; of a server's digits, all of them */
    str fraction;
    size_t count;
    int64_t weight; /* of the first digit */
} digit_source;

/* Takes the digits without the zeros around them. `out` has its kind and scale. False: no room. */
static bool settle(arena *a, const digit_source *source, pg_numeric *out)
{
    size_t from = 0;
    size_t end = source->count;
    while (from < end && source->at(source, from) == 0)
        from++;
    while (end > from && source->at(source, end - 1) == 0)
        end--;
    const size_t count = end - from;
    invariant(count <= UINT16_MAX);
    out->count = (uint16_t)count;
    out->weight = count == 0 ? 0 : (int16_t)(source->weight - (int64_t)from);
    uint16_t *digits = out->digits.few;
    if (count == 0)
        out->kind = PG_NUMERIC_POSITIVE;
    if (count > PG_NUMERIC_FEW_DIGITS) {
        invariant(a != NULL);
        digits = arena_try_alloc(a, count * sizeof *digits, _Alignof(uint16_t));
        if (!digits)
            return false;
        out->digits.many = digits;
    }
    for (size_t i = 0; i < count; i++)
        digits[i] = source->at(source, from + i);
    return true;
}

/* --- integers --------------------------------------------------------------------------------- */

#define INT128_DIGITS 11 /* 39 decimal ones, beginning anywhere in the first */

/* Of value / 10^scale kind, scale, weight and count; its digits, and zeros behind them, come lowest
 * first. Returns how many zeros there are. */
static size_t split(unsigned __int128 left, bool negative, unsigned scale, pg_numeric *n,
                    uint16_t lowest_first[INT128_DIGITS])
{
    *n = (pg_numeric){ .kind = left > 0 && negative, .scale = (uint16_t)scale };
    size_t count = 0, zeros = 0;
    const int weight = -(int)((scale + BASE_DIGITS - 1) / BASE_DIGITS); /* of the last digit */
    const unsigned part = scale % BASE_DIGITS;
    if (left == 0)
        return 0;
    if (part > 0) { /* the last digit has fewer places than four */
        lowest_first[count++] = (uint16_t)(left % POWERS[part] * POWERS[BASE_DIGITS - part]);
        left /= POWERS[part];
    }
    for (; left > 0; left /= BASE)
        lowest_first[count++] = (uint16_t)(left % BASE);
    while (lowest_first[zeros] == 0)
        zeros++;
    n->weight = (int16_t)(weight + (int)count - 1);
    n->count = (uint16_t)(count - zeros);
    return zeros;
}

pg_numeric pg_numeric_of_int8(int64_t value, unsigned scale)
{
    pg_numeric n;
    uint16_t lowest_first[INT128_DIGITS];
    invariant(scale <= 18);
    const uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    const size_t zeros = split(size, value < 0, scale, &n, lowest_first);
    for (size_t i = 0; i < n.count; i++)
        n.digits.few[i] = lowest_first[zeros + n.count - 1 - i];
    return n;
}

pg_numeric pg_numeric_of_int128(arena *a, __int128 value, unsigned scale)
{
    pg_numeric n;
    uint16_t lowest_first[INT128_DIGITS];
    invariant(scale <= PG_NUMERIC_SCALE_MAX);
    const unsigned __int128 size =
        value < 0 ? 0 - (unsigned __int128)value : (unsigned __int128)value;
    const size_t zeros = split(size, value < 0, scale, &n, lowest_first);
    uint16_t *digits = n.digits.few;
    if (n.count > PG_NUMERIC_FEW_DIGITS)
        n.digits.many = digits = arena_alloc(a, n.count * sizeof *digits, _Alignof(uint16_t));
    for (size_t i = 0; i < n.count; i++)
        digits[i] = lowest_first[zeros + n.count - 1 - i];
    return n;
}

COLD static error not_integer(const char *why)
{
    return error_set(&PG_DATA_EXCEPTION, "a numeric that is %s as an integer", why);
}

/* The number times 10^scale, without its sign; `most`: of those above zero the largest. */
static error scaled(const pg_numeric *n, unsigned scale, unsigned __int128 most,
                    unsigned __int128 *out)
{
    invariant(scale <= PG_NUMERIC_SCALE_MAX);
    if (n->kind > PG_NUMERIC_NEGATIVE)
        return not_integer("not finite");
    const uint16_t *digits = pg_numeric_digits(n);
    unsigned __int128 total = 0;
    int exponent = BASE_DIGITS * n->weight + (int)scale; /* ten's, of the digit at hand */
    for (size_t i = 0; i < n->count; i++, exponent -= BASE_DIGITS) {
        if (exponent <= -BASE_DIGITS)
            return not_integer("too precise");
        const unsigned dropped = exponent < 0 ? (unsigned)-exponent : 0;
        if (digits[i] % POWERS[dropped] != 0)
            return not_integer("too precise");
        if (__builtin_mul_overflow(total, POWERS[BASE_DIGITS - dropped], &total) ||
            __builtin_add_overflow(total, digits[i] / POWERS[dropped], &total))
            return not_integer("too large");
    }
    for (exponent += BASE_DIGITS; exponent > 0 && total > 0; exponent--) {
        if (__builtin_mul_overflow(total, 10, &total))
            return not_integer("too large");
    }
    if (total > most + (n->kind == PG_NUMERIC_NEGATIVE))
        return not_integer("too large");
    *out = total;
    return OK;
}

error pg_numeric_to_int8(const pg_numeric *n, unsigned scale, int64_t *out)
{
    unsigned __int128 size = 0;
    TRY(scaled(n, scale, INT64_MAX, &size));
    const uint64_t low = (uint64_t)size;
    *out = (int64_t)(n->kind == PG_NUMERIC_NEGATIVE ? 0 - low : low);
    return OK;
}

error pg_numeric_to_int128(const pg_numeric *n, unsigned scale, __int128 *out)
{
    unsigned __int128 size = 0;
    TRY(scaled(n, scale, ~(unsigned __int128)0 >> 1, &size));
    *out = (__int128)(n->kind == PG_NUMERIC_NEGATIVE ? 0 - size : size);
    return OK;
}

/* --- text ------------------------------------------------------------------------------------- */

/* Four decimal places of the number, from the places before the point to those behind it. */
static uint16_t text_digit(const digit_source *source, size_t index)
{
    const size_t whole_len = source->whole.len;
    const size_t lead = (BASE_DIGITS - whole_len % BASE_DIGITS) % BASE_DIGITS;
    unsigned digit = 0;
    for (size_t i = 0; i < BASE_DIGITS; i++) {
        const size_t place = index * BASE_DIGITS + i; /* counted with `lead` zeros in front */
        char c = '0';
        if (place >= lead && place < lead + whole_len)
            c = source->whole.ptr[place - lead];
        else if (place >= lead + whole_len && place - lead - whole_len < source->fraction.len)
            c = source->fraction.ptr[place - lead - whole_len];
        digit = digit * 10 + (unsigned)(c - '0');
    }
    return (uint16_t)digit;
}

static bool is_digits(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    }
    return true;
}

static bool parse_special(str text, pg_numeric *out)
{
    static const struct {
        str text;
        pg_numeric_kind kind;
    } SPECIALS[] = {
        { STR("NaN"), PG_NUMERIC_NAN },
        { STR("Infinity"), PG_NUMERIC_INFINITY },
        { STR("-Infinity"), PG_NUMERIC_MINUS_INFINITY },
    };
    for (size_t i = 0; i < ARRAY_LEN(SPECIALS); i++) {
        if (str_eq(text, SPECIALS[i].text)) {
            *out = (pg_numeric){ .kind = (uint8_t)SPECIALS[i].kind };
            return true;
        }
    }
    return false;
}

bool pg_numeric_parse(arena *a, str text, pg_numeric *out)
{
    if (parse_special(text, out))
        return true;
    const bool negative = text.len > 0 && text.ptr[0] == '-';
    str fraction = text;
    if (text.len > 0 && (negative || text.ptr[0] == '+'))
        fraction = str_slice(text, 1, text.len);
    str whole = str_cut(&fraction, '.');
    if (whole.len + fraction.len == 0 || !is_digits(whole) || !is_digits(fraction))
        return false;
    while (whole.len > 0 && whole.ptr[0] == '0')
        whole = str_slice(whole, 1, whole.len);
    if (whole.len > WHOLE_MAX || fraction.len > PG_NUMERIC_SCALE_MAX)
        return false;
    const size_t whole_count = (whole.len + BASE_DIGITS - 1) / BASE_DIGITS;
    const digit_source source = {
        .at = text_digit,
        .whole = whole,
        .fraction = fraction,
        .count = whole_count + (fraction.len + BASE_DIGITS - 1) / BASE_DIGITS,
        .weight = (int64_t)whole_count - 1,
    };
    pg_numeric n = { .kind = negative, .scale = (uint16_t)fraction.len };
    if (!settle(a, &source, &n))
        return false;
    *out = n;
    return true;
}

static char *put_digit(char *at, unsigned digit)
{
    for (size_t i = BASE_DIGITS; i > 0; i--, digit /= 10)
        at[i - 1] = (char)('0' + digit % 10);
    return at + BASE_DIGITS;
}

/* The digit that counts 10000^power. */
static unsigned digit_of_power(const pg_numeric *n, int power)
{
    const int index = n->weight - power;
    return index >= 0 && index < n->count ? pg_numeric_digits(n)[index] : 0;
}

str pg_numeric_format(arena *a, const pg_numeric *n)
{
    if (n->kind == PG_NUMERIC_NAN)
        return STR("NaN");
    if (n->kind >= PG_NUMERIC_INFINITY)
        return n->kind == PG_NUMERIC_INFINITY ? STR("Infinity") : STR("-Infinity");
    const int highest = n->count > 0 && n->weight > 0 ? n->weight : 0;
    const size_t room = 2 + ((size_t)highest + 1) * BASE_DIGITS + n->scale + BASE_DIGITS;
    char *text = arena_alloc(a, room, 1);
    char *at = text;
    if (n->kind == PG_NUMERIC_NEGATIVE)
        *at++ = '-';
    char *first = at;
    for (int power = highest; power >= 0; power--)
        at = put_digit(at, digit_of_power(n, power));
    size_t zeros = 0;
    while (first[zeros] == '0' && first + zeros + 1 < at)
        zeros++;
    memmove(first, first + zeros, (size_t)(at - first) - zeros);
    at -= zeros;
    if (n->scale == 0)
        return str_between(text, at);
    *at++ = '.';
    char *end = at + n->scale;
    for (int power = -1; at < end; power--)
        at = put_digit(at, digit_of_power(n, power));
    return str_between(text, end);
}

/* --- the binary form -------------------------------------------------------------------------- */

static uint16_t wire_digit(const digit_source *source, size_t index)
{
    return pg_get16(source->whole.ptr + 2 * index);
}

/* No digit is over 9999, and none is behind the places that are shown. */
static bool digits_fit(const digit_source *source, uint16_t scale)
{
    for (size_t i = 0; i < source->count; i++) {
        const int64_t places = BASE_DIGITS * ((int64_t)i - source->weight); /* after the point */
        const uint16_t digit = wire_digit(source, i);
        const int64_t past = places - scale;
        if (digit >= BASE || (past >= BASE_DIGITS && digit != 0))
            return false;
        if (past > 0 && past < BASE_DIGITS && digit % POWERS[past] != 0)
            return false;
    }
    return true;
}

static bool kind_of_wire(uint16_t sign, uint8_t *out)
{
    switch (sign) {
    case 0:
        *out = PG_NUMERIC_POSITIVE;
        return true;
    case WIRE_NEGATIVE:
        *out = PG_NUMERIC_NEGATIVE;
        return true;
    case WIRE_NAN:
        *out = PG_NUMERIC_NAN;
        return true;
    case WIRE_INFINITY:
        *out = PG_NUMERIC_INFINITY;
        return true;
    case WIRE_MINUS_INFINITY:
        *out = PG_NUMERIC_MINUS_INFINITY;
        return true;
    default:
        return false;
    }
}

bool pg_numeric_read(arena *a, str bytes, pg_numeric *out)
{
    pg_reader r = pg_reader_of(bytes);
    const uint16_t count = pg_reader_u16(&r);
    const int16_t weight = pg_reader_i16(&r);
    const uint16_t sign = pg_reader_u16(&r);
    const uint16_t scale = pg_reader_u16(&r);
    const str digits = pg_reader_bytes(&r, (size_t)count * 2);
    pg_numeric n = { .scale = scale };
    if (!pg_reader_done(&r) || scale > PG_NUMERIC_SCALE_MAX || !kind_of_wire(sign, &n.kind))
        return false;
    if (n.kind > PG_NUMERIC_NEGATIVE) {
        *out = (pg_numeric){ .kind = n.kind };
        return true;
    }
    const digit_source source = { wire_digit, .whole = digits, .count = count, .weight = weight };
    /* weights wrap nowhere: dropped zeros must leave one that fits */
    if ((int64_t)weight - count < INT16_MIN || !digits_fit(&source, scale) ||
        !settle(a, &source, &n))
        return false;
    *out = n;
    return true;
}

size_t pg_numeric_size(const pg_numeric *n)
{
    return 8 + (size_t)n->count * 2;
}

char *pg_numeric_put(const pg_numeric *n, char *at)
{
    static const uint16_t SIGNS[] = { 0, WIRE_NEGATIVE, WIRE_NAN, WIRE_INFINITY,
                                      WIRE_MINUS_INFINITY };
    invariant(n->kind < ARRAY_LEN(SIGNS) && n->scale <= PG_NUMERIC_SCALE_MAX);
    at = pg_put16(at, n->count);
    at = pg_put16(at, (uint16_t)n->weight);
    at = pg_put16(at, SIGNS[n->kind]);
    at = pg_put16(at, n->scale);
    const uint16_t *digits = pg_numeric_digits(n);
    for (size_t i = 0; i < n->count; i++)
        at = pg_put16(at, digits[i]);
    return at;
}
