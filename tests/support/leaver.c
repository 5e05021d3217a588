/* A server whose handlers wait for a database, some of which end when their client leaves: what
 * http_pg/test_departure.c talks to. A statement's text has a number by which the test knows it. */
#include <brio/http.h>
#include <brio/pg.h>

static pg_pool *db;

static str marked(http_request *req, const char *seconds)
{
    return str_format(http_request_arena(req), "select pg_sleep(%s) /* leaver %lld */", seconds,
                      (long long)http_path_int8(req, "mark"));
}

static error sleep_long(http_request *req)
{
    TRY(pg_execute(db, NULL, marked(req, "60")));
    return http_reply_text(req, 200, STR("slept"));
}

static error sleep_shortly(http_request *req)
{
    TRY(pg_execute(db, NULL, marked(req, "0.5")));
    return http_reply_text(req, 200, STR("slept"));
}

static error sleep_and_write(http_request *req)
{
    TRY(pg_execute(db, NULL, marked(req, "0.5")));
    TRY(pg_execute(db, NULL, "insert into leaver values ($1)", http_path_int8(req, "mark")));
    return http_reply_empty(req, 204);
}

static error write_and_sleep(http_request *req)
{
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into leaver values ($1)", http_path_int8(req, "mark")));
    TRY(pg_execute(tx, NULL, marked(req, "60")));
    TRY(pg_commit(&tx));
    return http_reply_empty(req, 204);
}

static const http_route routes[] = {
    { HTTP_GET, "/sleep/:mark<int8>", sleep_long, http_public, .on_disconnect = HTTP_ENDS },
    { HTTP_GET, "/nap/:mark<int8>", sleep_shortly, http_public, .on_disconnect = HTTP_ENDS },
    { HTTP_POST, "/written/:mark<int8>", sleep_and_write, http_public,
      .on_disconnect = HTTP_FINISHES },
    { HTTP_POST, "/undone/:mark<int8>", write_and_sleep, http_public, .on_disconnect = HTTP_ENDS },
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
                     &(http_app){ .name = "leaver",
                                  .routes = HTTP_ROUTES(routes),
                                  .on_worker_start = on_worker_start,
                                  .on_worker_stop = on_worker_stop,
                                  .settings = { PG_SETTINGS },
                                  .metrics = { &PG_METRICS } });
}
