/* The chunked decoder, a byte at a time but for data, which is lent in runs.
 *
 *   SIZE -> (EXTENSION) -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE …
 *   SIZE 0 -> … SIZE_LF -> TRAILER_START -> TRAILER_NAME -> TRAILER -> TRAILER_LF -> TRAILER_START
 * … TRAILER_START -> TRAILER_LF -> END at the empty line
 *
 * Sizes are hexadecimal digits only, at most 16 of them, so they cannot overflow. */
#include "chunked.h"

#include "scan.h"

enum {
    CHUNK_SIZE = 0,
    CHUNK_EXTENSION,
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
    if (byte == ';')
        c->state = CHUNK_EXTENSION;
    else if (byte == '\r')
        c->state = CHUNK_SIZE_LF;
    else
        return false;
    return true;
}

static bool take_extension(http_chunked *c, char byte)
{
    if (byte == '\r') {
        c->state = CHUNK_SIZE_LF;
        return true;
    }
    return http_is_value((str){ &byte, 1 }) && ++c->extension_bytes <= CHUNK_EXTENSION_BYTES_MAX;
}

/* A trailer is dropped, but what is no field is refused: other parsers may see another end. */
static bool take_trailer(http_chunked *c, char byte)
{
    if (byte == '\r' && c->state != CHUNK_TRAILER_NAME) {
        c->trailer_line_empty = c->state == CHUNK_TRAILER_START;
        c->state = CHUNK_TRAILER_LF;
        return true;
    }
    if (++c->trailer_bytes > CHUNK_TRAILER_BYTES_MAX)
        return false;
    if (c->state == CHUNK_TRAILER)
        return http_is_value((str){ &byte, 1 });
    if (byte == ':' && c->state == CHUNK_TRAILER_NAME) {
        c->state = CHUNK_TRAILER;
        return true;
    }
    c->state = CHUNK_TRAILER_NAME;
    return http_is_token((str){ &byte, 1 });
}

/* One byte outside the data; false when it may not stand there. */
static bool take(http_chunked *c, char byte)
{
    switch (c->state) {
    case CHUNK_SIZE:
        return take_size(c, byte);
    case CHUNK_EXTENSION:
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
