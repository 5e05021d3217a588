/* The inside of the engine: the server of one worker, its connections, and the request of each.
 *
 *   IDLE --first byte--> HEAD --whole head--> HANDLING --fiber ended, response queued--> IDLE |
 * closing
 *
 * A connection has one request at a time: what a client pipelines waits, unconsumed, in its stream.
 */
#ifndef HTTP_SRC_CONN_H
#define HTTP_SRC_CONN_H

#include "chunked.h"
#include "date.h"
#include "head.h"
#include "proxy.h"
#include "range.h"
#include "router.h"
#include "target.h"

#include "core/clock.h"
#include "core/crash.h"
#include "core/fiber.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metrics.h"
#include "core/stream.h"
#include "http/http.h"

#define HTTP_HEADERS_BYTES_MAX      8192 /* of all response fields that handlers set */
#define HTTP_CONTENT_TYPE_BYTES_MAX 1024
#define HTTP_LENGTH_UNKNOWN         UINT64_MAX
#define HTTP_DATE_FIELD_BYTES       (8 + HTTP_DATE_LEN) /* "\r\nDate: " */
#define HTTP_FIBERS_SPARE           64 /* for requests; only what is never shed may keep one */
#define HTTP_PROBES_MAX             16 /* connections of probes, a worker */
#define HTTP_OUTPUT_BYTES_HIGH      ((size_t)256 << 10) /* queued, past which writers wait */

typedef struct http_settings {
    str config_file;
    str listen; /* STR_NONE: host and port */
    str host;
    int64_t port;
    int64_t backlog;
    int64_t defer_accept_ms;
    int64_t workers; /* -1: one per core */
    int64_t request_line_bytes_max;
    int64_t header_bytes_max;
    int64_t header_fields_max;
    int64_t body_bytes_max;
    int64_t chunk_extension_bytes_max;
    int64_t trailer_bytes_max;
    str upload_dir;
    int64_t connection_requests_max;
    int64_t handler_timeout_ms;
    int64_t first_byte_timeout_ms;
    int64_t header_timeout_ms;
    int64_t body_timeout_ms;
    int64_t body_rate_min; /* bytes a second; 0: any */
    int64_t write_timeout_ms;
    int64_t write_rate_min; /* the same */
    int64_t idle_timeout_ms;
    int64_t drain_timeout_ms;
    int64_t retire_timeout_ms;
    int64_t connections_max;
    int64_t quarantine_faults; /* 0: none */
    int64_t quarantine_window_ms;
    int64_t shed_lag_ms;   /* 0: none */
    int64_t shed_requests; /* 0: none */
    int64_t requests_max;
    int64_t fibers_max;
    str debug_path;
    str debug_token;
    int64_t arena_bytes_max;
    bool access_log;
    bool contain_faults;
    int64_t log_level;
    int64_t log_format;
    str trusted_proxies;
    int64_t proxy_field; /* an http_proxy_field */
    http_trust trust;    /* what these two say */
    str tls_cert_file;
    str tls_key_file;
    str tls_other_cert_files;
    str tls_client_ca_file;
    int64_t tls_client_cert; /* an http_client_cert */
    int64_t tls_version_min; /* a tls_version */
    int64_t tls_handshake_timeout_ms;
    bool tls_kernel;
    int64_t tls_ticket_rotation_ms;
    struct tls_config *tls; /* what these say; NULL: no certificate */
} http_settings;

enum {
    HTTP_METRIC_REQUESTS_1XX,
    HTTP_METRIC_REQUESTS_2XX,
    HTTP_METRIC_REQUESTS_3XX,
    HTTP_METRIC_REQUESTS_4XX,
    HTTP_METRIC_REQUESTS_5XX,
    HTTP_METRIC_CONNECTIONS,
    HTTP_METRIC_CONNECTIONS_ACCEPTED,
    HTTP_METRIC_CONNECTIONS_REFUSED,
    HTTP_METRIC_CONNECTIONS_DISPLACED,
    HTTP_METRIC_PROXY_MALFORMED,
    HTTP_METRIC_PROXY_LATE,
    HTTP_METRIC_TLS_FULL,
    HTTP_METRIC_TLS_RESUMED,
    HTTP_METRIC_TLS_FAILED,
    HTTP_METRIC_TLS_LATE,
    HTTP_METRIC_FAULTS,
    HTTP_METRIC_QUARANTINED,
    HTTP_METRIC_SHED,
    HTTP_METRIC_LOG_DROPPED,
    HTTP_METRIC_DURATION,
    HTTP_METRIC_LOOP_LAG,
    HTTP_METRIC_COUNT,
};
extern const metrics_table HTTP_METRICS;

typedef struct http_server {
    loop *loop;
    uint64_t log_dropped_counted; /* of the lines this process's log has dropped */
    const http_app *app;
    const http_settings *settings;
    const router *router;
    list conns;
    uint32_t conn_count;
    list idle_conns; /* see room.c */
    uint32_t connections_max;
    uint32_t probe_count; /* connections of probes, for which there is room */
    uint32_t displaced;   /* to make room, and not yet gone */
    void (*on_full)(struct http_server *server); /* no connection can come */
    void (*on_room)(struct http_server *server); /* one can */
    struct http_quarantine *quarantine;
    struct http_shed *shed;
    struct http_roster *roster;   /* NULL: this worker is the only one, or nobody may ask */
    uint32_t place;               /* of this worker in it */
    struct http_tickets *tickets; /* NULL: no listener has TLS */
    bool rotates_tickets;         /* there is no supervisor who does */
    bool draining;                /* no connection outlives its request */
    metrics_cells metrics;
    metrics_cells route_metrics; /* see route_metrics.c */
    uint64_t request_seed;
    uint64_t request_count;
    void (*on_fault)(struct http_server *server, const crash_report *report);
    void (*on_drained)(struct http_server *server); /* when draining and no connection is left */
    char date_field[HTTP_DATE_FIELD_BYTES];         /* as of date_at_ms; "" before the first */
    uint64_t date_at_ms;
    struct http_encoders *encoders;  /* of http_compress; NULL before its first */
    struct http_prebuilt *constants; /* that were sent: see constant.c */
} http_server;

/* How connections of an address begin. */
typedef struct http_entrance {
    http_server *server;
    bool proxy; /* with the header of a proxy */
    bool tls;   /* then with a handshake */
    bool probe; /* they are probes': see room.c */
} http_entrance;

/* What a connection waits for: see entrance.c. */
typedef enum http_stage {
    HTTP_STAGE_REQUESTS = 0,
    HTTP_STAGE_PROXY_HEADER,
    HTTP_STAGE_HANDSHAKE,
} http_stage;

typedef struct http_conn {
    list_node node;
    http_server *server;
    stream *stream;          /* NULL once closed */
    http_request *request;   /* NULL when idle */
    arena arena;             /* of the request */
    loop_task crash_settled; /* frees the connection of a crashed fiber whose client has gone */
    uint32_t request_count;
    struct http_row *row; /* while requests are taken one after another */
    uint64_t now_us;      /* when that began; 0: not known yet */
    list_node idle;       /* in server->idle_conns */
    uint64_t idle_since_ms;
    bool displaced;
    bool closing;
    bool proxied; /* it came with the header of a proxy */
    bool tls;
    bool probe;
    http_stage stage;
} http_conn;

typedef enum body_state {
    BODY_NONE = 0, /* the request has none */
    BODY_WAITING,  /* nobody has asked for it */
    BODY_READING,
    BODY_PIECES, /* a handler takes it piece by piece */
    BODY_COMPLETE,
    BODY_BROKEN, /* bad chunking, or the peer ended early */
    BODY_TOO_LARGE,
    BODY_LATE, /* the peer paused for too long, or trickled */
} body_state;

/* Of a streamed JSON list. */
typedef enum reply_items {
    ITEMS_NOT = 0,
    ITEMS_NONE_YET,
    ITEMS_SOME,
} reply_items;

typedef struct http_stored {
    const http_key *key;
    void *value;
    struct http_stored *next;
} http_stored;

/* What a layer makes of an answer as it leaves, when all layers have returned. */
typedef struct http_filter {
    YIELDS void (*staged)(http_request *req); /* it is whole, and sealed */
    /* The head of one in pieces is about to leave. From here on `filtered` says whether its bytes
     * become others, of another length. */
    void (*start)(http_request *req);
    YIELDS error (*write)(http_request *req, str bytes); /* of one that is filtered */
    YIELDS error (*finish)(http_request *req);
    void (*release)(http_request *req); /* the request goes, however it ended */
} http_filter;

struct http_request {
    http_conn *conn;
    http_head head;
    router_match match;
    /* all from here on begins as zero */
    http_target target;
    str path;            /* decoded */
    block *head_block;   /* keeps the head's bytes, and the body's when it came along */
    fiber *fiber;        /* NULL before and after */
    uint64_t started_us; /* with its first byte */
    uint64_t whole_us;   /* its head was there */
    uint8_t probes;      /* see departure.c */
    char id[16];
    str shown_id; /* what the log and the client know it by: `id`, or one that came along */

    body_state body_state;
    uint64_t body_left; /* of a body with Content-Length */
    size_t body_bytes_max;
    http_chunked chunked;
    buf body_parts; /* a body that came in pieces */
    str body;       /* when COMPLETE */
    fiber *body_waiter;
    uint64_t body_read; /* bytes given out as pieces */
    uint64_t body_waits_since_ms;
    uint64_t body_waited_ms; /* before that: how long the client was waited for */
    str piece;               /* what woke the waiter; empty: the end */
    block *piece_block;      /* keeps the piece's bytes until the next is asked for */

    int status; /* 0: nothing staged */
    str content_type;
    str own_type; /* Content-Type as it was set, which goes before what is staged; STR_NONE: it was
                     not */
    str reply;
    const struct http_prebuilt *constant; /* it is what is staged; NULL: it is not one */
    buf headers;                          /* "Name: value\r\n"…, all but Content-Type */
    bool challenges;                      /* WWW-Authenticate is among them */
    bool says_when;                       /* Retry-After is */
    /* a response that is written in pieces: see reply_stream.c */
    bool streaming;
    uint64_t length;      /* of its body; HTTP_LENGTH_UNKNOWN: as long as it gets */
    uint64_t length_left; /* of a known one, still to be written */
    bool closes;          /* as its head has said */
    bool events;
    reply_items items;
    buf scratch; /* an item or event on its way; used again for the next */
    fiber *write_waiter;
    http_stored *values;
    struct http_file *file;    /* opened for an answer; closed with the request; NULL: none */
    bool sends_file;           /* it is what is staged */
    const http_filter *filter; /* NULL: none */
    void *filter_state;
    bool filtered;     /* what the client gets in pieces is the filter's, not the handler's */
    bool uncompressed; /* nothing is to be compressed */
};

/* What listener_start calls, with an http_entrance. */
void http_server_accept(int fd, void *entrance_arg);
/* A connection in memory from `peer` (NULL: unknown), whose other end is `*out`.
 *   fails  STREAM_CONNECT_FAILED at the cap; OUT_OF_MEMORY */
error http_server_pair(http_server *server, const stream_pair_end *client, const address *peer,
                       stream **out);
/* Closes idle connections in a moment, or without `hurry` in a while, and the others with their
 * next response. */
void http_server_drain(http_server *server, bool hurry);
/* Turns defaults into header fields: the head is about to leave.
 *   fails  as http_set_header */
error http_reply_seal(http_request *req);
/* What all http_reply… end with. The content type is good. */
error http_reply_stage(http_request *req, int status, str content_type, str body);
/* Whether it may be one.
 *   fails  as http_reply_bytes */
error http_content_type_check(str content_type);
/* Whether a handler may set that field.
 *   fails  as http_set_header */
error http_field_check(str name, str value);
/* Takes back what was said of a body that is not sent after all; see http_set_header. `status` is
 * that of the answer in its place. */
void http_reply_disown(http_request *req, int status);
/* All values of the fields of that name that were set so far, as one list; STR_NONE without one. */
str http_reply_list(const http_request *req, str name);
/* Whether `member` is in that list, compared without case. */
bool http_reply_lists(const http_request *req, str name, str member);
/* The length of a body in pieces as the client is told. */
uint64_t http_reply_length(const http_request *req);
/* Sends bytes of a body in pieces as they are.
 *   yields, fails  as http_reply_write */
YIELDS error http_reply_send(http_request *req, str bytes);
/* Sends the staged head, for a body that follows in pieces. */
void http_conn_start_reply(http_request *req);
/* The client has taken what was queued. */
void http_reply_drained(http_request *req);
/* As http_reply_write, of a response with a known length: a range of a file, which leaves as
 * stream_write_file says. Does not wait. */
error http_reply_write_file(http_request *req, stream_file *f, const http_range *range);
/* Waits until the client has taken what is queued, when that is much.
 *   fails  HTTP_CLIENT_GONE, HTTP_CLIENT_SLOW */
YIELDS error http_reply_wait(http_request *req);
/* What still belongs to a streamed response whose handler has ended well. On its fiber. */
YIELDS error http_reply_finish(http_request *req);
/* Breaks off a connection whose stream is open: what is queued for the client is dropped. */
void http_conn_abort(http_conn *c);
/* Answers for a fiber that crashed. */
void http_conn_crashed(http_request *req, int status);

/* Stages problem+json for an error, and logs what is ours. */
void http_problem_stage(http_request *req, error e);
int http_status_of(error e);
/* "{"type":"about:blank",…}" for an answer without a request; returns its length. */
size_t http_problem_brief(char *out, size_t bytes, int status, const char *detail);

/* "a=1&b=2" into a struct, which is set to zero first; fails as http_form. */
error http_pairs_bind(arena *a, str text, const shape *of, void *out);

/* Routes, guards and handles, on the request's fiber. */
error http_request_run(void *arg);
/* Takes body bytes; returns how many. */
size_t http_body_take(http_request *req, str bytes);
/* Gives up on a body that is waited for and does not come. */
void http_body_late(http_request *req);
extern const error_kind HTTP_BODY_LATE; /* TIMED_OUT: 408 */

/* Built-in routes: /health and /metrics. */
extern const http_routes HTTP_BUILT_IN;

#endif
