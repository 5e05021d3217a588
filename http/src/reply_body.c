/* Bodies by their kind: so many bytes, chunks, or all until the connection ends.
 *
 * Invariant: a body is at its end only when it is whole; a connection that ends earlier is told
 * apart, but for a body whose only end that is. */
#include "reply_body.h"

static const http_chunked_limits LIMITS = { .extension_bytes_max = 1024,
                                            .trailer_bytes_max = 4096 };

void http_reply_pieces_init(http_reply_pieces *p, const http_reply_head *head, http_method asked)
{
    *p = (http_reply_pieces){ .kind = http_reply_body_of(head, asked),
                              .left = head->framing.content_length };
    http_chunked_init(&p->chunked, &LIMITS);
}

static http_piece_result cut_or_more(bool at_end)
{
    return at_end ? HTTP_PIECE_CUT : HTTP_PIECE_MORE;
}

static http_piece_result next_sized(http_reply_pieces *p, str *input, bool at_end, str *data)
{
    if (p->left == 0)
        return HTTP_PIECE_END;
    if (input->len == 0)
        return cut_or_more(at_end);
    const size_t part = p->left < input->len ? (size_t)p->left : input->len;
    *data = str_slice(*input, 0, part);
    *input = str_slice(*input, part, input->len);
    p->left -= part;
    return HTTP_PIECE_DATA;
}

static http_piece_result next_chunked(http_reply_pieces *p, str *input, bool at_end, str *data)
{
    switch (http_chunked_next(&p->chunked, input, data)) {
    case HTTP_CHUNKED_DATA:
        return HTTP_PIECE_DATA;
    case HTTP_CHUNKED_END:
        return HTTP_PIECE_END;
    case HTTP_CHUNKED_BAD:
        return HTTP_PIECE_BAD;
    case HTTP_CHUNKED_MORE:
        return cut_or_more(at_end);
    }
    unreachable();
}

static http_piece_result next_until_close(str *input, bool at_end, str *data)
{
    if (input->len == 0)
        return at_end ? HTTP_PIECE_END : HTTP_PIECE_MORE;
    *data = *input;
    *input = str_slice(*input, input->len, 0);
    return HTTP_PIECE_DATA;
}

http_piece_result http_reply_pieces_next(http_reply_pieces *p, str *input, bool at_end, str *data)
{
    switch (p->kind) {
    case HTTP_REPLY_NO_BODY:
        return HTTP_PIECE_END;
    case HTTP_REPLY_SIZED:
        return next_sized(p, input, at_end, data);
    case HTTP_REPLY_CHUNKED:
        return next_chunked(p, input, at_end, data);
    case HTTP_REPLY_UNTIL_CLOSE:
        return next_until_close(input, at_end, data);
    }
    unreachable();
}
