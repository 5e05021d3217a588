/* A server that answers with rows as JSON: what http_pg/test_json.c talks to. */
#include <brio/http.h>
#include <brio/pg.h>

#define ROWS                                                            \
    "select n, 'row \"' || n || '\"' as label, n % 8 * 0.125 as part, " \
    "date '2026-01-01' + (n % 31)::int as day from generate_series(1, $1::int8) as n"

static pg_pool *db;

/* All of them at once. */
static error list_all(http_request *req)
{
    pg_rows rows;
    str body;
    TRY(pg_query(db, &rows, PG_AS_JSON(ROWS), http_path_int8(req, "count")));
    TRY(pg_rows_json(&rows, &body));
    return http_reply_bytes(req, 200, STR("application/json"), body);
}

/* As they come, as fast as they are taken. */
static error list_any(http_request *req)
{
    pg_stream *s;
    pg_rows rows;
    str piece;
    pg_json *pieces = pg_json_new();
    TRY(pg_stream_open(db, &s, PG_AS_JSON(ROWS), http_path_int8(req, "count")));
    TRY(http_reply_start(req, 200, STR("application/json")));
    do {
        TRY(pg_stream_next(s, &rows));
        TRY(pg_json_next(pieces, &rows, &piece));
        TRY(http_reply_write(req, piece));
    } while (rows.count > 0);
    return pg_stream_close(&s);
}

/* A row a line; the last one cannot be divided. */
static error list_lines(http_request *req)
{
    pg_stream *s;
    pg_rows rows;
    buf out;
    pg_json *pieces = pg_json_new();
    buf_init_arena(&out, fiber_arena(), PG_JSON_BYTES_MAX);
    TRY(pg_stream_open(
        db, &s, PG_AS_JSON("select n, 1 / ($1::int8 - n) as x from generate_series(1, $1) as n"),
        http_path_int8(req, "count")));
    TRY(http_reply_start(req, 200, STR("application/x-ndjson")));
    do {
        TRY(pg_stream_next(s, &rows));
        buf_reset(&out);
        for (size_t i = 0; i < rows.count; i++) {
            TRY(pg_json_write_row(&out, pieces, &rows, i));
            buf_append_char(&out, '\n');
        }
        TRY(buf_status(&out));
        TRY(http_reply_write(req, buf_str(&out)));
    } while (rows.count > 0);
    return pg_stream_close(&s);
}

static const http_route routes[] = {
    { HTTP_GET, "/list/:count<int8>", list_all, http_public },
    { HTTP_GET, "/any/:count<int8>", list_any, http_public, .timeout_ms = 300000 },
    { HTTP_GET, "/lines/:count<int8>", list_lines, http_public },
};

static error on_worker_start(void)
{
    return pg_pool_open(NULL, &db);
}

static void on_worker_stop(void)
{
    pg_pool_close(&db);
}

int main(int argc, char **argv)
{
    return http_main(argc, argv,
                     &(http_app){ .name = "lister",
                                  .routes = HTTP_ROUTES(routes),
                                  .on_worker_start = on_worker_start,
                                  .on_worker_stop = on_worker_stop,
                                  .settings = { PG_SETTINGS },
                                  .metrics = { &PG_METRICS } });
}
