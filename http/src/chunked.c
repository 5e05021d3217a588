/* The chunked decoder, a byte at a time but for data, which is lent in runs.
 *
 *   SIZE -> (extensions) -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE …
 *   SIZE 0 -> … SIZE_LF -> TRAILER_START -> TRAILER_NAME -> TRAILER -> TRAILER_LF -> TRAILER_START
 * … TRAILER_START -> TRAILER_LF -> END at the empty line
 *
 * Extensions (RFC 9112, 7.1.1), with white space where the grammar has BWS:
 *
 *   SIZE, EXT --;--> NAME_START -> NAME -> (NAME_END) --=--> VALUE_START
 *   VALUE_START -> VALUE, or --"--> QUOTED -> (QUOTED_PAIR) --"--> VALUE_END
 *   NAME, VALUE, VALUE_END --;--> NAME_START   --CR--> SIZE_LF   --white space--> NAME_END or EXT
 *
 * Sizes are hexadecimal digits only, at most 15 of them, so they cannot overflow. */
#include "chunked.h"

#include "scan.h"

enum {
    CHUNK_SIZE = 0,
    CHUNK_EXT, /* white space behind a size or an extension: another is next */
    CHUNK_EXT_NAME_START,
    CHUNK_EXT_NAME,
    CHUNK_EXT_NAME_END, /* white space behind a name */
    CHUNK_EXT_VALUE_START,
    CHUNK_EXT_VALUE,
    CHUNK_EXT_QUOTED,
    CHUNK_EXT_QUOTED_PAIR,
    CHUNK_EXT_VALUE_END, /* behind the closing quote */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER_START,
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER, /* behind the colon */
    CHUNK_TRAILER_LF,
    CHUNK_END,
    CHUNK_BAD,
};

static http_chunked_result bad(http_chunked *c)
{
    c->state = CHUNK_BAD;
    return HTTP_CHUNKED_BAD;
}

void http_chunked_init(http_chunked *c, const http_chunked_limits *limits)
{
    *c = (http_chunked){ .state = CHUNK_SIZE,
                         .extension_bytes_left = limits->extension_bytes_max,
                         .trailer_bytes_left = limits->trailer_bytes_max };
}

static bool go(http_chunked *c, uint8_t state)
{
    c->state = state;
    return true;
}

static bool is_token(char byte)
{
    return http_is_token((str){ &byte, 1 });
}

/* A byte between quotes (RFC 9110, 5.6.4). */
static bool take_quoted(http_chunked *c, char byte)
{
    if (c->state == CHUNK_EXT_QUOTED_PAIR)
        c->state = CHUNK_EXT_QUOTED;
    else if (byte == '"')
        c->state = CHUNK_EXT_VALUE_END;
    else if (byte == '\\')
        c->state = CHUNK_EXT_QUOTED_PAIR;
    return http_is_value((str){ &byte, 1 });
}

/* A byte behind a name or a value, where white space leads to `then`. */
static bool take_separator(http_chunked *c, char byte, uint8_t then)
{
    if (byte == ' ' || byte == '\t')
        return go(c, then);
    return byte == ';' && go(c, CHUNK_EXT_NAME_START);
}

static bool take_extension_byte(http_chunked *c, char byte)
{
    const bool is_blank = byte == ' ' || byte == '\t';
    switch (c->state) {
    case CHUNK_EXT_NAME_START:
        return is_blank || (is_token(byte) && go(c, CHUNK_EXT_NAME));
    case CHUNK_EXT_NAME:
        if (is_token(byte))
            return true;
        __attribute__((fallthrough));
    case CHUNK_EXT_NAME_END:
        if (byte == '=')
            return go(c, CHUNK_EXT_VALUE_START);
        return take_separator(c, byte, CHUNK_EXT_NAME_END);
    case CHUNK_EXT_VALUE_START:
        if (byte == '"')
            return go(c, CHUNK_EXT_QUOTED);
        return is_blank || (is_token(byte) && go(c, CHUNK_EXT_VALUE));
    case CHUNK_EXT_VALUE:
        if (is_token(byte))
            return true;
        __attribute__((fallthrough));
    case CHUNK_EXT:
    case CHUNK_EXT_VALUE_END:
        return take_separator(c, byte, CHUNK_EXT);
    default:
        return take_quoted(c, byte);
    }
}

/* They are dropped, but what is none is refused: other parsers may see the line end elsewhere. */
static bool take_extension(http_chunked *c, char byte)
{
    const bool may_end = c->state == CHUNK_EXT_NAME || c->state == CHUNK_EXT_VALUE ||
                         c->state == CHUNK_EXT_VALUE_END;
    if (byte == '\r')
        return may_end && go(c, CHUNK_SIZE_LF);
    if (c->extension_bytes_left == 0)
        return false;
    c->extension_bytes_left--;
    return take_extension_byte(c, byte);
}

/* A byte of the size line. */
static bool take_size(http_chunked *c, char byte)
{
    const int digit = str_hex_digit(byte);
    if (digit >= 0) {
        c->left = c->left << 4 | (uint64_t)digit;
        return ++c->size_digits <= 15; /* 2^60 at most */
    }
    if (c->size_digits == 0)
        return false;
    if (byte == '\r')
        return go(c, CHUNK_SIZE_LF);
    c->state = CHUNK_EXT;
    return take_extension(c, byte);
}

/* A trailer is dropped, but what is no field is refused: other parsers may see another end. */
static bool take_trailer(http_chunked *c, char byte)
{
    if (byte == '\r' && c->state != CHUNK_TRAILER_NAME) {
        c->trailer_line_empty = c->state == CHUNK_TRAILER_START;
        c->state = CHUNK_TRAILER_LF;
        return true;
    }
    if (c->trailer_bytes_left == 0)
        return false;
    c->trailer_bytes_left--;
    if (c->state == CHUNK_TRAILER)
        return http_is_value((str){ &byte, 1 });
    if (byte == ':' && c->state == CHUNK_TRAILER_NAME) {
        c->state = CHUNK_TRAILER;
        return true;
    }
    c->state = CHUNK_TRAILER_NAME;
    return is_token(byte);
}

/* One byte outside the data; false when it may not stand there. */
static bool take(http_chunked *c, char byte)
{
    switch (c->state) {
    case CHUNK_SIZE:
        return take_size(c, byte);
    case CHUNK_EXT:
    case CHUNK_EXT_NAME_START:
    case CHUNK_EXT_NAME:
    case CHUNK_EXT_NAME_END:
    case CHUNK_EXT_VALUE_START:
    case CHUNK_EXT_VALUE:
    case CHUNK_EXT_QUOTED:
    case CHUNK_EXT_QUOTED_PAIR:
    case CHUNK_EXT_VALUE_END:
        return take_extension(c, byte);
    case CHUNK_SIZE_LF:
        c->state = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_START;
        return byte == '\n';
    case CHUNK_DATA_CR:
        c->state = CHUNK_DATA_LF;
        return byte == '\r';
    case CHUNK_DATA_LF:
        c->state = CHUNK_SIZE;
        c->size_digits = 0;
        return byte == '\n';
    case CHUNK_TRAILER_START:
    case CHUNK_TRAILER_NAME:
    case CHUNK_TRAILER:
        return take_trailer(c, byte);
    case CHUNK_TRAILER_LF:
        c->state = c->trailer_line_empty ? CHUNK_END : CHUNK_TRAILER_START;
        return byte == '\n';
    default:
        return false;
    }
}

http_chunked_result http_chunked_next(http_chunked *c, str *input, str *data)
{
    while (c->state != CHUNK_END && input->len > 0) {
        if (c->state == CHUNK_BAD)
            return HTTP_CHUNKED_BAD;
        if (c->state == CHUNK_DATA) {
            const size_t part = c->left < input->len ? (size_t)c->left : input->len;
            *data = str_slice(*input, 0, part);
            *input = str_slice(*input, part, input->len);
            c->left -= part;
            if (c->left == 0)
                c->state = CHUNK_DATA_CR;
            return HTTP_CHUNKED_DATA;
        }
        const char byte = input->ptr[0];
        *input = str_slice(*input, 1, input->len);
        if (!take(c, byte))
            return bad(c);
    }
    if (c->state == CHUNK_BAD)
        return HTTP_CHUNKED_BAD;
    return c->state == CHUNK_END ? HTTP_CHUNKED_END : HTTP_CHUNKED_MORE;
}
