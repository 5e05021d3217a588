/* The inside of the client: its servers and their connections, and calls.
 *
 * A connection, whose slot counts against its origin's `connections_max` until it is dropped:
 *
 *   OPENING --connected, TLS done--> BUSY --reply whole, may go on--> IDLE --next call--> BUSY
 *   any --error, timeout, cancel, unasked bytes, idle for too long--> dropped -> freed, when its
 *   streams are closed
 *
 * A call:
 *
 *   CONNECTING --head written--> ASKING --head read--> READING --body read--> WHOLE
 *        `----- any --connection broke, bad reply--> FAILED --retry, redirect--> CONNECTING
 *
 * Calls and the fiber that makes them run straight on; what connections bring is taken on the loop,
 * noted in the call, and the fiber woken to look.
 *
 * Invariant: a connection has at most one call and a call at most one connection, each knows the
 * other, and neither outlives that knowledge. */
#ifndef HTTP_SRC_CLIENT_H
#define HTTP_SRC_CLIENT_H

#include "reply_body.h"
#include "url.h"

#include "core/loop.h"
#include "core/scope.h"
#include "http/client.h"

#define HTTP_ADDRESSES_MAX    8                   /* of a name that are tried */
#define HTTP_CALL_OUTPUT_HIGH ((size_t)256 << 10) /* queued, past which writers wait */

enum {
    HTTP_CLIENT_METRIC_2XX,
    HTTP_CLIENT_METRIC_3XX,
    HTTP_CLIENT_METRIC_4XX,
    HTTP_CLIENT_METRIC_5XX,
    HTTP_CLIENT_METRIC_ERRORS_CONNECT,
    HTTP_CLIENT_METRIC_ERRORS_TLS,
    HTTP_CLIENT_METRIC_ERRORS_TIMEOUT,
    HTTP_CLIENT_METRIC_ERRORS_LOST,
    HTTP_CLIENT_METRIC_ERRORS_REPLY,
    HTTP_CLIENT_METRIC_ERRORS_OTHER,
    HTTP_CLIENT_METRIC_CONNECTIONS,
    HTTP_CLIENT_METRIC_OPENED,
    HTTP_CLIENT_METRIC_REUSED,
    HTTP_CLIENT_METRIC_RETRIED,
    HTTP_CLIENT_METRIC_WAITING,
    HTTP_CLIENT_METRIC_DURATION,
    HTTP_CLIENT_METRIC_COUNT,
};

struct http_client {
    loop *loop;
    uint32_t references;         /* its owner, connections, calls, lookups */
    http_client_options options; /* no default is left to fill in */
    tls_config *tls;
    list origins;
    list conns; /* all that are not yet freed */
    list idle;  /* of them, the one idle longest first */
    uint32_t idle_count;
    uint32_t open; /* that are not dropped */
    uint32_t waiting;
    uint32_t lookups; /* that run */
    bool closed;
    fiber *closer; /* in http_client_close */
    metrics_cells metrics;
    char user_agent[256];
};

/* A scheme, host and port that has connections or calls that wait for one. */
typedef struct http_origin {
    list_node node;
    http_client *client;
    list idle;     /* of http_client_conn, the one used last at the end */
    list turns;    /* of http_call, first come first served */
    uint32_t open; /* connections, opening ones too */
    bool tls;
    uint16_t port;
    size_t host_len;
    char host[HTTP_HOST_BYTES_MAX];
} http_origin;

typedef struct http_client_conn {
    list_node node;     /* in client->conns */
    list_node idle;     /* in origin->idle */
    list_node idle_any; /* in client->idle */
    http_client *client;
    http_origin *origin; /* NULL once dropped */
    http_call *call;     /* NULL when idle or dropped */
    stream *stream;      /* NULL before and after */
    uint32_t streams;    /* that have not closed: an address given up may still be closing */
    bool opened;
} http_client_conn;

/* A name on its way to be addresses. Belongs to its call once done, to its fiber before. */
typedef struct http_lookup {
    http_client *client;
    http_call *call; /* NULL: nobody waits any more */
    bool done;
    uint16_t port;
    size_t count;
    address found[HTTP_ADDRESSES_MAX];
    const error_kind *why; /* NULL: found */
    size_t host_len;
    char host[HTTP_HOST_BYTES_MAX];
    char why_text[256];
} http_lookup;

typedef enum http_call_state {
    HTTP_CALL_CONNECTING = 0,
    HTTP_CALL_ASKING,
    HTTP_CALL_READING,
    HTTP_CALL_WHOLE,
    HTTP_CALL_FAILED,
} http_call_state;

struct http_call {
    http_client *client;
    arena *arena;                /* of the fiber that made it */
    http_client_request request; /* as it goes out now: a redirect may have changed it */
    http_url url;
    deferred *left;
    uint64_t deadline_ms; /* UINT64_MAX: none */
    uint64_t started_us;
    uint64_t body_left; /* of a streamed body of known length, still to be written */

    fiber *fiber; /* while it waits */
    timer timer;
    bool rang;

    http_origin *origin; /* while it stands in its line */
    list_node turn;
    bool fresh; /* takes no connection that was used before */
    http_client_conn *conn;
    http_lookup *lookup;

    http_call_state state;
    bool reused; /* the connection has carried a reply before */
    bool retried;
    bool streamed; /* some of the body was given by http_call_write */
    bool ended;    /* all of the request is written */
    bool answered; /* some byte of a reply came */
    bool choked;   /* waits until the output is taken */
    bool wants;    /* waits for a piece */
    bool unasked;  /* something came behind the reply, or the server's end */
    bool counted;  /* in the metrics */
    bool foreign;  /* has been sent to another origin: secrets stay behind */
    bool bodiless; /* a redirect has made it a GET */
    uint32_t redirects;
    uint32_t interims; /* 1xx replies */
    uint64_t written;  /* bytes given to the present stream */

    http_reply_head head;
    http_reply_pieces pieces;
    str piece;
    block *piece_block; /* keeps the piece's bytes until the next is asked for */

    const error_kind *why; /* when FAILED */
    int why_errno;
    char why_text[256];
};

/* --- client.c: who gets which connection ------------------------------------------------------ */

http_client *http_client_ref(http_client *client);
/* Nulls the pointer; frees the client with the last reference. */
void http_client_unref(http_client **owner);
/* Wakes who waits in http_client_close when nothing is left. */
void http_client_settle(http_client *client);
/* `n`: -1 for what a gauge lost. */
void http_client_count(const http_client *client, uint32_t which, int64_t n);

/* A connection for the call: one that was used before (`call->reused`), or one to be opened.
 *   yields  until it is its turn
 *   fails   HTTP_CLIENT_CLOSED, OUT_OF_MEMORY; as http_call_wait */
YIELDS error http_client_acquire(http_call *call);
/* Leaves the line it stands in, if any. */
void http_client_leave_line(http_call *call);
/* Takes the call's connection back, `keeps` it for the next. */
void http_client_release(http_call *call, bool keeps);
/* Ends a connection; its call has none any more. */
void http_client_drop(http_client_conn *conn);

/* --- client_conn.c: streams ------------------------------------------------------------------- */

/* A connection without a stream, in client->conns. NULL without memory. */
http_client_conn *http_client_conn_new(http_origin *origin);
/* Frees a dropped connection whose streams are closed. */
void http_client_conn_settle(http_client_conn *conn);
/* Opens the call's connection: finds the addresses of its host and tries one after the other.
 *   fails  STREAM_CONNECT_FAILED, TLS_FAILED, HTTP_CALL_TIMED_OUT; as http_call_wait */
YIELDS error http_client_connect(http_call *call);
/* Forgets a lookup that the call waits for. */
void http_lookup_forget(http_call *call);

/* --- call.c: one exchange --------------------------------------------------------------------- */

/* The running fiber waits until http_call_wake, for `ms` at most (UINT32_MAX: as long as the call
 * may take).
 *   fails  HTTP_CALL_TIMED_OUT; TIMED_OUT, CANCELED */
YIELDS error http_call_wait(http_call *call, const char *what, uint32_t ms);
/* Lets the fiber look, if it waits. */
void http_call_wake(http_call *call);
/* Notes why there will be no answer, and wakes the fiber. The first reason stays. */
void http_call_fail(http_call *call, const error_kind *why, int system_errno, const char *text);
/* What was noted, as an error. */
error http_call_failure(const http_call *call);
/* Takes what the server sends; returns how many bytes. */
size_t http_call_take(http_call *call, str bytes);

/* --- call_send.c: what goes out --------------------------------------------------------------- */

/* Whether a request may be sent.
 *   fails  HTTP_BAD_HEADER */
error http_call_check(const http_client_request *request);
/* Queues the head. */
error http_call_send_head(http_call *call);
/* Queues body bytes, as they are or as a chunk.
 *   yields  while too many are queued */
YIELDS error http_call_send_bytes(http_call *call, str bytes);
/* Completes the request. */
void http_call_send_end(http_call *call);

#endif
