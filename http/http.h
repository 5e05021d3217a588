/* An HTTP application: a constant table of routes, and the program around it.
 *
 *   static const http_route routes[] = {
 *       { HTTP_GET, "/notes/:id<int8>", show_note, auth_required, .reply = SHAPE_OF(note) },
 *   };
 *   int main(int argc, char **argv)
 *   {
 *       return http_main(argc, argv, &(http_app){ .name = "notes", .routes = HTTP_ROUTES(routes)
 * });
 *   }
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "core/command.h"
#include "core/config.h"
#include "core/fiber.h"
#include "core/log.h"
#include "core/metrics.h"
#include "http/client.h"    // IWYU pragma: export
#include "http/constant.h"  // IWYU pragma: export
#include "http/multipart.h" // IWYU pragma: export
#include "http/request.h"

/* Handlers and guards. A guard runs before the handler and before the body is read; an error from
 * it is the answer. */
typedef error http_handler(http_request *req);

/* Which requests a worker that cannot keep up answers with 503, before their body is read. */
typedef enum http_priority {
    HTTP_PRIORITY_NORMAL = 0, /* past HTTP_REQUESTS_MAX requests in flight */
    HTTP_PRIORITY_LOW,        /* before: past HTTP_SHED_LAG or HTTP_SHED_REQUESTS too */
    HTTP_PRIORITY_HIGH,       /* never */
} http_priority;

/* What becomes of a handler whose client has left before the answer. "Ends" is: its waits fail with
 * HTTP_CLIENT_GONE, and a statement that it waits for is canceled. */
typedef enum http_on_disconnect {
    HTTP_ENDS_IF_BROKEN = 0, /* ends when the connection breaks; one that is closed in good order
                                looks like that of a client that waits for its answer */
    HTTP_ENDS,               /* ends; what of the two it is will be found out, see docs/http.md */
    HTTP_FINISHES,           /* goes on, but for reading a body and writing an answer in pieces */
} http_on_disconnect;

/* One route. Every one names its guard; http_public is the guard that lets everybody in. */
struct http_route {
    http_method method;
    const char *pattern; /* "/notes/:id<int8>", "/static/" then "*rest"; types: text (default),
                            int8, uuid */
    http_handler *handler;
    http_handler *guard;
    shape_fn *body;        /* what http_body reads; NULL: no JSON body */
    shape_fn *reply;       /* what it answers with, for the reader: nothing looks at it yet */
    size_t body_bytes_max; /* 0: HTTP_BODY_BYTES_MAX of the configuration */
    uint32_t timeout_ms;   /* 0: HTTP_HANDLER_TIMEOUT of the configuration, which is also how long
                              any handler may run without yielding */
    http_priority priority;
    bool uncompressed; /* whatever layers say: a secret in its answers stands beside what others can
                          make a client send, and must not be told by a length (BREACH) */
    http_on_disconnect on_disconnect;
    const char *files; /* of http_files: the directory. HTTP_FILES sets it */
};

/* Lets everybody in. */
error http_public(http_request *req);

typedef struct http_routes {
    const http_route *items;
    size_t count;
} http_routes;
#define HTTP_ROUTES(table) ((http_routes){ (table), ARRAY_LEN(table) })

/* Serves a directory under a prefix, both string literals, as http_reply_file does each file; two
 * rows of a table of routes: HTTP_FILES("/static", "apps/hello/static", http_public). A path that
 * ends with a slash stands for the index.html there, and one that names a directory without it is
 * redirected (301) to the one with it. A program whose directory is missing does not start. */
#define HTTP_FILES(prefix_, directory_, guard_)                                 \
    { HTTP_GET, prefix_, http_files, (guard_), .files = (directory_) },         \
    {                                                                           \
        HTTP_GET, prefix_ "/*path", http_files, (guard_), .files = (directory_) \
    }
/* Its handler, for patterns of another form that end with a *name: a directory as the whole site
 * has a "/" before it and nothing else. */
YIELDS error http_files(http_request *req);

/* Layers: functions around the handlers of an app or a group (others call them middleware). Each
 * does its part, calls http_proceed for what is inside it, and may do more with the result; one
 * that does not proceed answers itself. They run before the guard, the outermost first: static
 * error time_it(http_request *req, const http_next *next)
 *   {
 *       const uint64_t from = now();
 *       const error e = http_proceed(req, next);
 *       log_info("took", LOG_UINT("us", now() - from));
 *       return e;
 *   }
 *   .layers = { { time_it }, { http_cors, &CORS } } */
typedef struct http_next http_next;
typedef YIELDS error http_layer_fn(http_request *req, const http_next *next);
typedef struct http_layer {
    http_layer_fn *run;  /* NULL ends a list */
    const void *options; /* what `run` finds as next->options */
} http_layer;
struct http_next {
    const void *options;    /* of the layer that is running */
    const http_layer *rest; /* those inside it */
};
/* Runs what is inside: further layers, then guard and handler, and returns their result. At most
 * once a layer. A request that no route wants meets the app's layers too, and those of the group
 * when its path has routes of other methods; its result is HTTP_NOT_FOUND, or
 * HTTP_METHOD_NOT_ALLOWED. */
YIELDS error http_proceed(http_request *req, const http_next *next);

#define HTTP_LAYERS_MAX 16

/* Routes under a prefix, with layers of their own inside the app's. */
typedef struct http_group {
    const char *prefix; /* "/api/v1", parameters and all; NULL: none. Goes before every pattern,
                           which may then be "" too */
    http_routes routes;
    http_layer layers[HTTP_LAYERS_MAX];
} http_group;

typedef struct http_groups {
    const http_group *items;
    size_t count;
} http_groups;
#define HTTP_GROUPS(table) ((http_groups){ (table), ARRAY_LEN(table) })

#define HTTP_APP_COMMANDS_MAX 8
#define HTTP_APP_SETTINGS_MAX 8
#define HTTP_APP_METRICS_MAX  8

typedef struct http_app {
    const char *name;
    http_routes routes;
    http_groups groups;
    http_layer layers[HTTP_LAYERS_MAX]; /* around all of them */
    /* Runs on a fiber of each worker before it accepts; an error ends the worker, and at the first
     * start the program. */
    YIELDS error (*on_worker_start)(void);
    /* Runs on a fiber of each worker after its last request. */
    YIELDS void (*on_worker_stop)(void);
    /* `app NAME …`, beside serving; a NULL name ends the list. */
    command commands[HTTP_APP_COMMANDS_MAX];
    /* Environment variables of the libraries in use, for --help and for checking at the start. */
    const config_entry *settings[HTTP_APP_SETTINGS_MAX];
    /* What the libraries in use and the program itself count, for /metrics. */
    const metrics_table *metrics[HTTP_APP_METRICS_MAX];
} http_app;

/* The whole program: reads the configuration, checks the routes, then runs a command or serves with
 * a supervisor and its workers until SIGTERM or SIGINT.
 *   app              serves
 *   app --help       prints commands and environment variables
 *   app NAME …       runs a command
 * Returns the exit status: 0, 1 for a failure, 2 for wrong usage or configuration. */
int http_main(int argc, char **argv, const http_app *app);

#include "http/layers.h" // IWYU pragma: export

#endif
