/* The body of a reply, taken out of bytes that are cut anywhere. */
#ifndef HTTP_SRC_REPLY_BODY_H
#define HTTP_SRC_REPLY_BODY_H

#include "chunked.h"
#include "reply_head.h"

typedef enum http_piece_result {
    HTTP_PIECE_MORE = 1, /* the input is used up */
    HTTP_PIECE_DATA,     /* `*data` is the next piece, and not empty */
    HTTP_PIECE_END,
    HTTP_PIECE_CUT, /* the connection has ended before the body */
    HTTP_PIECE_BAD, /* malformed chunks */
} http_piece_result;

typedef struct http_reply_pieces {
    http_reply_body kind;
    uint64_t left; /* of a sized one */
    http_chunked chunked;
} http_reply_pieces;

/* For the body that follows `head`, the reply to a request of that method. */
void http_reply_pieces_init(http_reply_pieces *pieces, const http_reply_head *head,
                            http_method asked);
/* Takes the next piece off the front of `*input`, behind which nothing comes if `at_end`. */
http_piece_result http_reply_pieces_next(http_reply_pieces *pieces, str *input, bool at_end,
                                         str *data);

#endif
