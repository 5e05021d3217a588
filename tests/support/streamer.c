/* A server of bodies and responses in pieces: what test_streams.c talks to. */
#include <brio/http.h>

#define NUMBER_FIELDS(F) F(n, int8)
SHAPE(number, NUMBER_FIELDS)

#define GIGABYTES ((size_t)1 << 30)

/* "pieces bytes hash", the hash being FNV-1a of all bytes. */
static error upload(http_request *req)
{
    uint64_t bytes = 0, pieces = 0, hash = 0xcbf29ce484222325U;
    str piece;
    for (;;) {
        TRY(http_body_read(req, &piece));
        if (piece.len == 0)
            break;
        pieces++;
        bytes += piece.len;
        for (size_t i = 0; i < piece.len; i++)
            hash = (hash ^ (unsigned char)piece.ptr[i]) * 0x100000001b3U;
    }
    TRY(http_body_read(req, &piece)); /* the end stays the end */
    if (piece.len > 0)
        return http_reply_text(req, 500, STR("more behind the end"));
    return http_reply_text(req, 200,
                           str_format(http_request_arena(req), "%llu %llu %016llx",
                                      (unsigned long long)pieces, (unsigned long long)bytes,
                                      (unsigned long long)hash));
}

/* Reads one piece and leaves the rest. */
static error glance(http_request *req)
{
    str piece;
    TRY(http_body_read(req, &piece));
    return http_reply_text(req, 200, piece.len > 0 ? STR("something") : STR("nothing"));
}

/* "name=bytes;" of each part, or "name:text;" of a field of at most ten bytes. */
static error parts(http_request *req)
{
    http_multipart *form;
    http_part part;
    buf out;
    buf_init_arena(&out, http_request_arena(req), 65536);
    TRY(http_multipart_start(req, NULL, &form));
    for (;;) {
        TRY(http_multipart_next(form, &part));
        if (!part.name.ptr)
            break;
        buf_append(&out, part.name);
        if (!part.filename.ptr) {
            str text;
            TRY(http_part_bytes(form, 10, &text));
            buf_append_format(&out, ":%.*s;", STR_ARG(text));
            continue;
        }
        uint64_t bytes = 0;
        str piece;
        do {
            TRY(http_part_read(form, &piece));
            bytes += piece.len;
        } while (piece.len > 0);
        buf_append_format(&out, "=%llu;", (unsigned long long)bytes);
    }
    return http_reply_text(req, 200, buf_str(&out));
}

static error numbers(http_request *req)
{
    const int64_t count = http_path_int8(req, "count");
    TRY(http_reply_items_start(req, 200));
    for (number n = { 0 }; n.n < count; n.n++)
        TRY(http_reply_item(req, number, &n));
    return OK;
}

static error bytes(http_request *req)
{
    char piece[1000];
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (char)('a' + i % 26);
    int64_t left = http_path_int8(req, "count");
    TRY(http_set_header(req, STR("X-Before"), STR("yes")));
    TRY(http_reply_start(req, 200, STR("text/plain")));
    for (; left > 0; left -= 1000)
        TRY(http_reply_write(req, (str){ piece, left < 1000 ? (size_t)left : 1000 }));
    return OK;
}

static error events(http_request *req)
{
    const str last = http_header(req, STR("last-event-id"));
    TRY(http_events_start(req));
    TRY(http_event_send(req, &(http_event){ .data = STR("plain") }));
    TRY(http_event_send(req, &(http_event){ .name = STR("note"),
                                            .id = STR("7"),
                                            .data = STR("two\nlines\r\nor three\r"),
                                            .retry_ms = 1500 }));
    TRY(http_event_keep_alive(req));
    if (last.ptr)
        TRY(http_event_send(req, &(http_event){ .data = last }));
    const error forged = http_event_send(req, &(http_event){ .id = STR("1\ndata: forged") });
    return error_is(forged, &HTTP_BAD_HEADER) ? OK : forged;
}

static error breaks(http_request *req)
{
    TRY(http_reply_start(req, 200, STR("text/plain")));
    TRY(http_reply_write(req, STR("half")));
    TRY(fiber_sleep(50));
    return error_set(&HTTP_BAD_REQUEST, "in the middle");
}

/* Hidden from the sanitizers: what is tested is the signal. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static error crashes(
    http_request *req)
{
    TRY(http_reply_start(req, 200, STR("text/plain")));
    TRY(http_reply_write(req, STR("half")));
    TRY(fiber_sleep(50));
    *(volatile int *)NULL = 1; /* NOLINT(clang-analyzer-core.NullDereference): it is the point */
    return OK;
}

static error endless(http_request *req)
{
    static char zeros[65536];
    TRY(http_reply_start(req, 200, STR("application/octet-stream")));
    for (;;)
        TRY(http_reply_write(req, (str){ zeros, sizeof zeros }));
}

static const http_route routes[] = {
    { HTTP_POST, "/upload", upload, http_public, .body_bytes_max = 20 * GIGABYTES,
      .timeout_ms = 600000 },
    { HTTP_POST, "/small", upload, http_public, .body_bytes_max = 1000 },
    { HTTP_POST, "/parts", parts, http_public, .body_bytes_max = 20 * GIGABYTES },
    { HTTP_POST, "/glance", glance, http_public },
    { HTTP_GET, "/numbers/:count<int8>", numbers, http_public },
    { HTTP_GET, "/bytes/:count<int8>", bytes, http_public, .timeout_ms = 600000 },
    { HTTP_GET, "/events", events, http_public },
    { HTTP_GET, "/breaks", breaks, http_public },
    { HTTP_GET, "/crashes", crashes, http_public },
    { HTTP_GET, "/endless", endless, http_public, .timeout_ms = 600000 },
};

int main(int argc, char **argv)
{
    return http_main(argc, argv, &(http_app){ .name = "streamer", .routes = HTTP_ROUTES(routes) });
}
