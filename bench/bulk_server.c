/* A server of much: the directory "site" of where it is started, uploads that are thrown away or
 * hashed, and answers written in large pieces. */
#include <brio/http.h>

#define PIECE_BYTES ((int64_t)1 << 20)

static error discard(http_request *req)
{
    uint64_t bytes = 0;
    str piece;
    do {
        TRY(http_body_read(req, &piece));
        bytes += piece.len;
    } while (piece.len > 0);
    char text[32];
    return http_reply_text(req, 200, (str){ text, uint64_format(text, bytes) });
}

static error hash(http_request *req)
{
    uint64_t sum = 0;
    str piece;
    do {
        TRY(http_body_read(req, &piece));
        sum = str_hash(piece, sum);
    } while (piece.len > 0);
    char text[32];
    return http_reply_text(req, 200, (str){ text, uint64_format(text, sum) });
}

static error stream_bytes(http_request *req)
{
    static char piece[PIECE_BYTES];
    const int64_t bytes = http_path_int8(req, "bytes");
    TRY(http_reply_start_sized(req, 200, STR("application/octet-stream"), (uint64_t)bytes));
    for (int64_t left = bytes; left > 0; left -= PIECE_BYTES)
        TRY(http_reply_write(req,
                             (str){ piece, (size_t)(left < PIECE_BYTES ? left : PIECE_BYTES) }));
    return OK;
}

static const http_route routes[] = {
    HTTP_FILES("/site", "site", http_public),
    { HTTP_POST, "/discard", discard, http_public, .body_bytes_max = SIZE_MAX },
    { HTTP_POST, "/hash", hash, http_public, .body_bytes_max = SIZE_MAX },
    { HTTP_GET, "/stream/:bytes<int8>", stream_bytes, http_public },
};

int main(int argc, char **argv)
{
    return http_main(argc, argv,
                     &(http_app){ .name = "bulk_server", .routes = HTTP_ROUTES(routes) });
}
