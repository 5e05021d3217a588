/* JSON's tokens. Strict: control characters, bad escapes, lone surrogates, \u0000 and invalid UTF-8
 * are malformed, and so are numbers with leading zeros or bare points. */
#include "json_cursor.h"

#include "json_scan.h"
#include "utf8.h"

#include <string.h>

ERROR_KIND(JSON_MALFORMED, ERROR_INVALID, "The body is not valid JSON.");

void json_cursor_init(json_cursor *c, arena *a, str text)
{
    const char *start = text.ptr ? text.ptr : "";
    *c = (json_cursor){ .start = start, .at = start, .end = start + text.len, .arena = a };
}

bool json_cursor_fail(json_cursor *c, const char *reason)
{
    if (!c->reason) {
        c->reason = reason;
        c->bad = c->at;
    }
    return false;
}

error json_cursor_error(const json_cursor *c)
{
    return error_set(&JSON_MALFORMED, "%s at byte %zu", c->reason, (size_t)(c->bad - c->start));
}

char json_cursor_peek(json_cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
        c->at++;
    return c->at < c->end ? *c->at : '\0';
}

bool json_cursor_take(json_cursor *c, char byte)
{
    if (json_cursor_peek(c) != byte || c->at == c->end)
        return false;
    c->at++;
    return true;
}

bool json_cursor_finish(json_cursor *c)
{
    json_cursor_peek(c);
    return c->at == c->end || json_cursor_fail(c, "something follows the value");
}

bool json_cursor_literal(json_cursor *c, str word)
{
    const str there = { c->at, (size_t)(c->end - c->at) };
    if (!str_starts_with(there, word))
        return json_cursor_fail(c, "unknown word");
    c->at += word.len;
    return true;
}

void *json_cursor_room(json_cursor *c, void *items, size_t count, size_t bytes)
{
    if (count != 0 && (count < 4 || (count & (count - 1)) != 0))
        return items;
    const size_t capacity = count < 4 ? 4 : 2 * count;
    return arena_grow(c->arena, items, count * bytes, capacity * bytes, 16);
}

/* --- numbers --------------------------------------------------------------------------------- */

static bool digits(json_cursor *c)
{
    const char *first = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > first || json_cursor_fail(c, "a digit is missing");
}

bool json_cursor_number(json_cursor *c, str *out, bool *integer)
{
    const char *first = c->at;
    *integer = true;
    if (c->at < c->end && *c->at == '-')
        c->at++;
    const bool zero = c->at < c->end && *c->at == '0';
    if (zero)
        c->at++;
    else if (!digits(c))
        return false;
    if (zero && c->at < c->end && *c->at >= '0' && *c->at <= '9')
        return json_cursor_fail(c, "a number begins with 0");
    if (c->at < c->end && *c->at == '.') {
        *integer = false;
        c->at++;
        if (!digits(c))
            return false;
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        *integer = false;
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
            c->at++;
        if (!digits(c))
            return false;
    }
    *out = str_between(first, c->at);
    return true;
}

/* --- strings --------------------------------------------------------------------------------- */

static bool hex4(json_cursor *c, uint32_t *out)
{
    uint32_t value = 0;
    if (c->end - c->at < 4)
        return json_cursor_fail(c, "\\u needs four hexadecimal digits");
    for (int i = 0; i < 4; i++) {
        const int digit = str_hex_digit(c->at[i]);
        if (digit < 0)
            return json_cursor_fail(c, "\\u needs four hexadecimal digits");
        value = value << 4 | (uint32_t)digit;
    }
    c->at += 4;
    *out = value;
    return true;
}

static size_t put_utf8(char *to, uint32_t point)
{
    if (point < 0x80) {
        to[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        to[0] = (char)(0xC0 | point >> 6);
        to[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        to[0] = (char)(0xE0 | point >> 12);
        to[1] = (char)(0x80 | (point >> 6 & 0x3F));
        to[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    to[0] = (char)(0xF0 | point >> 18);
    to[1] = (char)(0x80 | (point >> 12 & 0x3F));
    to[2] = (char)(0x80 | (point >> 6 & 0x3F));
    to[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

/* Behind "\u": one code point, from a surrogate pair where need be. */
static bool unicode_escape(json_cursor *c, uint32_t *point)
{
    if (!hex4(c, point))
        return false;
    if (*point == 0)
        return json_cursor_fail(c, "\\u0000 is not text");
    if (*point < 0xD800 || *point > 0xDFFF)
        return true;
    uint32_t low;
    if (*point > 0xDBFF || c->end - c->at < 2 || c->at[0] != '\\' || c->at[1] != 'u')
        return json_cursor_fail(c, "a surrogate stands alone");
    c->at += 2;
    if (!hex4(c, &low))
        return false;
    if (low < 0xDC00 || low > 0xDFFF)
        return json_cursor_fail(c, "a surrogate stands alone");
    *point = 0x10000 + ((*point - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* Behind a backslash: decodes one escape to `to`; `*len` is what it made. */
static bool escape(json_cursor *c, char *to, size_t *len)
{
    static const char FROM[] = "\"\\/bfnrt";
    static const char TO[] = "\"\\/\b\f\n\r\t";
    if (c->at == c->end)
        return json_cursor_fail(c, "the text ends in a string");
    const char *known = *c->at ? strchr(FROM, *c->at) : NULL;
    if (known) {
        c->at++;
        *to = TO[known - FROM];
        *len = 1;
        return true;
    }
    if (*c->at != 'u')
        return json_cursor_fail(c, "unknown escape");
    c->at++;
    uint32_t point;
    if (!unicode_escape(c, &point))
        return false;
    *len = put_utf8(to, point);
    return true;
}

/* Moves to the first byte at or behind the cursor that begins no well-formed sequence. */
static void seek_malformed(json_cursor *c)
{
    for (size_t len = 1; c->at < c->end && len > 0; c->at += len)
        len = utf8_sequence((const unsigned char *)c->at, (size_t)(c->end - c->at));
}

/* Takes plain and non-ASCII bytes up to a quote or backslash. */
static bool run(json_cursor *c)
{
    const char *first = c->at;
    bool ascii;
    c->at += json_scan_text(c->at, (size_t)(c->end - c->at), &ascii);
    if (!ascii && !str_is_utf8(str_between(first, c->at))) {
        c->at = first;
        seek_malformed(c);
        return json_cursor_fail(c, "a string is not UTF-8");
    }
    if (c->at == c->end)
        return json_cursor_fail(c, "the text ends in a string");
    return (unsigned char)*c->at >= 0x20 ||
           json_cursor_fail(c, "a control character stands in a string");
}

/* How far the closing quote is, or the end: no string gets longer by decoding. */
static size_t raw_len(const json_cursor *c)
{
    const size_t left = (size_t)(c->end - c->at);
    size_t at = 0;
    while (at < left && c->at[at] != '"') {
        at += c->at[at] == '\\' ? 2 : 1;
        if (at < left)
            at += json_scan_plain(c->at + at, left - at);
    }
    return at < left ? at : left;
}

/* The rest of a string whose first escape is at the cursor; `first` is where its content began. */
static bool decode(json_cursor *c, const char *first, str *out)
{
    size_t len = (size_t)(c->at - first);
    char *to = NULL;
    if (c->arena) {
        to = arena_alloc(c->arena, len + raw_len(c), 1);
        memcpy(to, first, len);
    }
    while (*c->at == '\\') {
        char one[4];
        size_t one_len = 0;
        c->at++;
        if (!escape(c, one, &one_len))
            return false;
        const char *from = c->at;
        if (!run(c))
            return false;
        const size_t more = (size_t)(c->at - from);
        if (to) {
            memcpy(to + len, one, one_len);
            memcpy(to + len + one_len, from, more);
        }
        len += one_len + more;
    }
    *out = (str){ to, len };
    return true;
}

bool json_cursor_string(json_cursor *c, str *out)
{
    if (!json_cursor_take(c, '"'))
        return json_cursor_fail(c, "a string is missing");
    const char *first = c->at;
    if (!run(c))
        return false;
    *out = str_between(first, c->at);
    if (*c->at == '\\' && !decode(c, first, out))
        return false;
    c->at++; /* the closing quote */
    return true;
}

/* --- any value ------------------------------------------------------------------------------- */

/* What follows an element: true when another comes, false at the end or on a fault. */
static bool another(json_cursor *c, char closing)
{
    if (json_cursor_take(c, ','))
        return true;
    if (!json_cursor_take(c, closing))
        json_cursor_fail(c, closing == ']' ? "',' or ']' is missing" : "',' or '}' is missing");
    return false;
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool skip_container(json_cursor *c, uint32_t depth, char closing)
{
    if (depth >= JSON_DEPTH_MAX)
        return json_cursor_fail(c, "nested too deeply");
    c->at++;
    if (json_cursor_take(c, closing))
        return true;
    do {
        str key;
        if (closing == '}') {
            if (!json_cursor_string(c, &key))
                return false;
            if (!json_cursor_take(c, ':'))
                return json_cursor_fail(c, "':' is missing");
        }
        if (!json_cursor_skip(c, depth + 1, NULL))
            return false;
    } while (another(c, closing));
    return c->reason == NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
bool json_cursor_skip(json_cursor *c, uint32_t depth, str *out)
{
    const char first = json_cursor_peek(c);
    const char *from = c->at;
    arena *kept = c->arena;
    str text;
    bool integer, good;
    c->arena = NULL; /* nothing is decoded for nobody */
    switch (first) {
    case '{':
        good = skip_container(c, depth, '}');
        break;
    case '[':
        good = skip_container(c, depth, ']');
        break;
    case '"':
        good = json_cursor_string(c, &text);
        break;
    case 't':
        good = json_cursor_literal(c, STR("true"));
        break;
    case 'f':
        good = json_cursor_literal(c, STR("false"));
        break;
    case 'n':
        good = json_cursor_literal(c, STR("null"));
        break;
    default:
        good = (first == '-' || (first >= '0' && first <= '9'))
                   ? json_cursor_number(c, &text, &integer)
                   : json_cursor_fail(c, c->at == c->end ? "the text ends too early"
                                                         : "a value is missing");
    }
    c->arena = kept;
    if (good && out)
        *out = str_between(from, c->at);
    return good;
}

bool json_is_valid(str text)
{
    json_cursor c;
    json_cursor_init(&c, NULL, text);
    return json_cursor_skip(&c, 0, NULL) && json_cursor_finish(&c);
}

bool json_is_number(str text)
{
    json_cursor c;
    str number;
    bool integer;
    json_cursor_init(&c, NULL, text);
    return json_cursor_number(&c, &number, &integer) && c.at == c.end;
}
