/* A server with compression around everything: what test_compression.c talks to. */
#include <brio/http.h>
#include <core/offload.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define ROW_FIELDS(F) F(id, int8) F(title, text)
SHAPE(row, ROW_FIELDS)

/* Bytes that compress well, or not at all; the same for the same number. */
static str make_text(http_request *req, size_t bytes, bool noise)
{
    char *text = arena_alloc(http_request_arena(req), bytes + 1, 1);
    uint64_t state = 1;
    for (size_t i = 0; i < bytes; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        text[i] = noise ? (char)(state >> 56) : "abcdefghijklmnop"[(state >> 60) & (i / 64 & 15)];
    }
    return (str){ text, bytes };
}

static str text_of(http_request *req)
{
    return make_text(req, (size_t)http_path_int8(req, "bytes"), false);
}

static error text(http_request *req)
{
    return http_reply_text(req, 200, text_of(req));
}

static error noise(http_request *req)
{
    return http_reply_text(req, 200, make_text(req, (size_t)http_path_int8(req, "bytes"), true));
}

/* ?type=… and, of fields, ?name=…&value=… */
static error typed(http_request *req)
{
    const str name = http_query(req, STR("name"));
    if (name.ptr)
        TRY(http_set_header(req, name, http_query(req, STR("value"))));
    return http_reply_bytes(req, 200, http_query(req, STR("type")), text_of(req));
}

static error told(http_request *req)
{
    http_reply_uncompressed(req);
    return text(req);
}

static error told_in_pieces(http_request *req)
{
    http_reply_uncompressed(req);
    TRY(http_reply_start(req, 200, STR("text/plain")));
    return http_reply_write(req, text_of(req));
}

static error partial(http_request *req)
{
    TRY(http_set_header(req, STR("Content-Range"), STR("bytes 0-4095/9000")));
    return http_reply_bytes(req, 206, STR("text/plain"), make_text(req, 4096, false));
}

static error with_status(http_request *req)
{
    const int status = (int)http_path_int8(req, "status");
    return http_reply_bytes(req, status, STR("text/plain"), make_text(req, 4096, false));
}

/* 422 with a long list. */
static error fails(http_request *req)
{
    error_field *fields = ARENA_NEW_ARRAY(http_request_arena(req), error_field, 100);
    for (size_t i = 0; i < 100; i++)
        fields[i] = (error_field){ STR("path"), STR("code"), STR("a message of the field") };
    return error_set_fields(&HTTP_BAD_REQUEST, fields, 100);
}

static error varied(http_request *req)
{
    TRY(http_set_header(req, STR("Vary"), STR("Origin")));
    TRY(http_set_header(req, STR("vary"), STR("Accept-Language, X-Other")));
    return http_reply_text(req, 200, make_text(req, 4096, false));
}

/* As many fields as there may be. */
static error crowded(http_request *req)
{
    while (error_is_ok(http_set_header(req, STR("X-F"), STR("value"))))
        continue;
    return http_reply_text(req, 200, make_text(req, 4096, false));
}

/* What a handler sees of the tags that a client has. */
static error conditions(http_request *req)
{
    const str none = http_header(req, STR("If-None-Match")),
              match = http_header(req, STR("If-Match"));
    return http_reply_text(
        req, 200, str_format(http_request_arena(req), "%.*s|%.*s", STR_ARG(none), STR_ARG(match)));
}

static error versioned(http_request *req)
{
    TRY(http_set_header(req, STR("ETag"), http_query(req, STR("tag"))));
    return http_reply_text(req, 200, make_text(req, 4096, false));
}

/* ?piece=… bytes at a time */
static error pieces(http_request *req)
{
    const str all = text_of(req);
    int64_t piece = 1000;
    (void)str_to_int64(http_query(req, STR("piece")), &piece);
    TRY(http_set_header(req, STR("ETag"), STR("\"pieces\"")));
    TRY(http_reply_start(req, 200, STR("text/plain")));
    for (size_t at = 0; at < all.len; at += (size_t)piece)
        TRY(http_reply_write(req, str_slice(all, at, (size_t)piece)));
    return OK;
}

/* One byte more, or one fewer, than is announced when ?off= says so. */
static error sized(http_request *req)
{
    const str all = text_of(req);
    int64_t off = 0;
    (void)str_to_int64(http_query(req, STR("off")), &off);
    TRY(http_reply_start_sized(req, 200, STR("text/plain"), (uint64_t)((int64_t)all.len + off)));
    return http_reply_write(req, all);
}

static error rows(http_request *req)
{
    TRY(http_reply_items_start(req, 200));
    for (row r = { .title = STR("a row of a list") }; r.id < http_path_int8(req, "count"); r.id++)
        TRY(http_reply_item(req, row, &r));
    return OK;
}

/* A second event, and the end, once the client has asked for /go. */
static bool gone_on;

static error go(http_request *req)
{
    gone_on = true;
    return http_reply_empty(req, 204);
}

static error events(http_request *req)
{
    gone_on = false;
    TRY(http_events_start(req));
    TRY(http_event_send(req, &(http_event){ .data = STR("first") }));
    while (!gone_on)
        TRY(fiber_sleep(5));
    return http_event_send(req, &(http_event){ .data = STR("second") });
}

static error endless(http_request *req)
{
    const str some = make_text(req, 60000, true);
    TRY(http_reply_start(req, 200, STR("text/plain")));
    for (;;)
        TRY(http_reply_write(req, some));
}

static error breaks(http_request *req)
{
    TRY(http_reply_start(req, 200, STR("text/plain")));
    TRY(http_reply_write(req, make_text(req, 5000, false)));
    return error_set(&HTTP_BAD_REQUEST, "in the middle");
}

/* Hidden from the sanitizers: what is tested is the signal. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static error crashes(
    http_request *req)
{
    TRY(http_reply_start(req, 200, STR("text/plain")));
    TRY(http_reply_write(req, make_text(req, 5000, false)));
    *(volatile int *)NULL = 1; /* NOLINT(clang-analyzer-core.NullDereference): it is the point */
    return OK;
}

static error filed(http_request *req)
{
    return http_reply_file(req, getenv("FILES"), http_path_text(req, "path"));
}

/* Keeps offload threads from everybody else until /free, ten seconds at most. */
static atomic_bool threads_are_free;
static atomic_int threads_wanted, threads_held;

static error hold_thread(void *arg)
{
    (void)arg;
    atomic_fetch_add(&threads_held, 1);
    const struct timespec pause = { .tv_nsec = 5000000 };
    for (int i = 0; i < 2000 && !atomic_load(&threads_are_free); i++)
        nanosleep(&pause, NULL);
    return OK;
}

static error hold(http_request *req)
{
    atomic_fetch_add(&threads_wanted, 1);
    TRY(offload(hold_thread, NULL));
    return http_reply_empty(req, 204);
}

/* "held wanted" */
static error held(http_request *req)
{
    return http_reply_text(req, 200,
                           str_format(http_request_arena(req), "%d %d", atomic_load(&threads_held),
                                      atomic_load(&threads_wanted)));
}

static error let_go(http_request *req)
{
    atomic_store(&threads_are_free, true);
    return http_reply_empty(req, 204);
}

static const http_route routes[] = {
    { HTTP_GET, "/text/:bytes<int8>", text, http_public },
    { HTTP_GET, "/noise/:bytes<int8>", noise, http_public },
    { HTTP_GET, "/typed/:bytes<int8>", typed, http_public },
    { HTTP_GET, "/secret/:bytes<int8>", text, http_public, .uncompressed = true },
    { HTTP_GET, "/secret-pieces/:bytes<int8>", pieces, http_public, .uncompressed = true },
    { HTTP_GET, "/told/:bytes<int8>", told, http_public },
    { HTTP_GET, "/told-pieces/:bytes<int8>", told_in_pieces, http_public },
    { HTTP_GET, "/partial", partial, http_public },
    { HTTP_GET, "/status/:status<int8>", with_status, http_public },
    { HTTP_GET, "/fails", fails, http_public },
    { HTTP_GET, "/varied", varied, http_public },
    { HTTP_GET, "/crowded", crowded, http_public },
    { HTTP_PUT, "/conditions", conditions, http_public },
    { HTTP_GET, "/versioned", versioned, http_public },
    { HTTP_GET, "/pieces/:bytes<int8>", pieces, http_public },
    { HTTP_GET, "/sized/:bytes<int8>", sized, http_public },
    { HTTP_GET, "/rows/:count<int8>", rows, http_public },
    { HTTP_GET, "/events", events, http_public },
    { HTTP_GET, "/go", go, http_public },
    { HTTP_GET, "/endless", endless, http_public, .timeout_ms = 600000 },
    { HTTP_GET, "/breaks", breaks, http_public },
    { HTTP_GET, "/crashes", crashes, http_public },
    { HTTP_GET, "/hold", hold, http_public },
    { HTTP_GET, "/held", held, http_public },
    { HTTP_GET, "/let-go", let_go, http_public },
    { HTTP_GET, "/files/*path", filed, http_public },
};

static const http_compress_options OTHERWISE = {
    .body_bytes_min = 10,
    .body_bytes_max = 100000,
    .types = { "application/json", "image/*" },
    .codings = { "gzip", "br" },
    .br_level = 1,
    .gzip_level = 9,
};
static const http_compress_options SLOW = { .zstd_level = 19, .br_level = 11, .gzip_level = 9 };
static const http_compress_options FEW = { .pieces_max = 1 };
static const http_route some[] = {
    { HTTP_GET, "/text/:bytes<int8>", text, http_public },
    { HTTP_GET, "/typed/:bytes<int8>", typed, http_public },
    { HTTP_GET, "/versioned", versioned, http_public },
    { HTTP_GET, "/events", events, http_public },
    { HTTP_GET, "/pieces/:bytes<int8>", pieces, http_public },
};
static const http_group groups[] = {
    { "/otherwise", HTTP_ROUTES(some), { { http_compress, &OTHERWISE } } },
    { "/slow", HTTP_ROUTES(some), { { http_compress, &SLOW } } },
    { "/few", HTTP_ROUTES(some), { { http_compress, &FEW } } },
    { "/tagged-inside", HTTP_ROUTES(some), { { http_compress }, { http_etag } } },
    { "/tagged-outside", HTTP_ROUTES(some), { { http_etag }, { http_compress } } },
};

/* For the tests of programs that do not start. */
static const http_compress_options WRONG[] = {
    { .gzip_level = 10 },
    { .codings = { "zstd", "deflate" } },
    { .codings = { "br", "br" } },
    { .types = { "json" } },
    { .body_bytes_min = 2000, .body_bytes_max = 1000 },
};

int main(int argc, char **argv)
{
    const char *wrong = getenv("WRONG");
    if (wrong)
        return http_main(argc, argv,
                         &(http_app){ .name = "wrong",
                                      .layers = { { http_compress, &WRONG[wrong[0] - '0'] } } });
    return http_main(argc, argv,
                     &(http_app){ .name = "compressor",
                                  .routes = HTTP_ROUTES(routes),
                                  .groups = HTTP_GROUPS(groups),
                                  .layers = { { http_compress } } });
}
