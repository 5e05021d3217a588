/* Calling other servers: HTTP/1.1 over TCP and TLS, straight-line on any fiber.
 *
 *   static http_client *client;                          // one a worker: it keeps connections
 *   TRY(http_client_open(NULL, &client));                // in on_worker_start
 *
 *   http_client_reply reply;                             // anywhere
 *   TRY(http_client_get(client, STR("https://issuer.example/jwks.json"), &reply));
 *   jwks keys;
 *   TRY(http_client_body(&reply, jwks, &keys));
 *
 * A call that returns OK has an answer of any status; an error says that there is none. Everything
 * handed out lives in the fiber's arena; a fiber that calls for ever makes each call on one of its
 * own. A call belongs to the scope that began it: an early return, a deadline or a cancel ends it,
 * and its connection if the answer was not yet whole.
 *
 *   kept, or new --> sending --request out--> waiting --head--> reading --whole--> kept
 *                       `------ error, timeout, fuse, reply not read: closed ------'
 *
 * Connections are kept for the next call to the same scheme, host and port; the identity shown by
 * TLS is the client's, so it is theirs too. The one used last goes first. A call beyond
 * `connections_max` waits for its turn. A connection on which a server speaks unasked, or that it
 * closes, is dropped. When one that was kept dies before any byte of a reply, a call that may be
 * repeated (GET, HEAD, PUT, DELETE, OPTIONS, TRACE, or nothing was sent yet) goes out once more on
 * a fresh one.
 *
 * Strict like the server: what two parsers could read differently (two lengths, a length and a
 * coding, bare LF, folded lines) ends the connection with HTTP_CALL_BAD_REPLY. Proxies from the
 * environment, cookies and compression are not dealt with. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "core/metrics.h"
#include "core/tls.h"
#include "http/request.h"

typedef struct http_client http_client;
typedef struct http_call http_call;

/* Where a call fails: with these, with CANCELED, TIMED_OUT (the scope's deadline) and
 * OUT_OF_MEMORY; before anything is sent also with STREAM_CONNECT_FAILED (no such name, or no
 * address took the connection), OFFLOAD_FULL (too many names are being looked up) and TLS_FAILED
 * (the server proved not to be who it should be), each with the last address's reason. */
extern const error_kind HTTP_CALL_BAD_URL;   /* INVALID: not a URL of http or https */
extern const error_kind HTTP_CALL_TIMED_OUT; /* TIMED_OUT: one of the client's or call's times */
extern const error_kind HTTP_CALL_LOST;      /* UNAVAILABLE: the connection ended in the middle */
extern const error_kind HTTP_CALL_BAD_REPLY; /* UNAVAILABLE: malformed, or not what was asked for */
extern const error_kind HTTP_CALL_REPLY_TOO_LARGE; /* UNAVAILABLE: past a limit */
extern const error_kind HTTP_CALL_BAD_REDIRECT; /* UNAVAILABLE: too many, or not to be followed */
extern const error_kind HTTP_CLIENT_CLOSED;     /* UNAVAILABLE: http_client_close came first */

typedef struct http_client_options {
    uint32_t connections_max;    /* to one server; 0: 16 */
    uint32_t idle_max;           /* kept without a call, of all servers; 0: 64 */
    uint32_t idle_timeout_ms;    /* how long each is kept; 0: 30 s */
    uint32_t connect_timeout_ms; /* an address, the TLS handshake included; 0: 5 s */
    uint32_t reply_timeout_ms;   /* from the request's last byte to the reply's head; 0: 30 s */
    uint32_t stall_timeout_ms;   /* a pause within a body, either way; 0: 30 s */
    uint32_t timeout_ms;         /* a whole call, redirects included; 0: 60 s */
    uint32_t head_bytes_max;     /* of a reply; 0: 32 KiB */
    size_t body_bytes_max;       /* of a reply that is taken whole; 0: 8 MiB */
    uint32_t redirects_max;      /* followed by a call; 0: none, the answer is the redirect */
    str user_agent;              /* STR_NONE: "brio" */
    tls_client_options tls;      /* verification is full and the roots are the system's unless said
                                    otherwise; `alpn` and `handshake_ms_max` are the client's */
} http_client_options;

/* Makes a client on the running loop. Opens nothing yet.
 *   options  NULL: all defaults. Texts are copied
 *   fails    TLS_MISCONFIGURED, naming the file; HTTP_BAD_HEADER for the user agent; OUT_OF_MEMORY
 */
error http_client_open(const http_client_options *options, http_client **out);
/* Ends its connections; calls that other fibers have in flight fail with HTTP_CLIENT_CLOSED.
 *   yields  until all are closed
 * Nulls the pointer; NULL is allowed. For on_worker_stop, and before a command returns. */
YIELDS void http_client_close(http_client **owner);

/* What clients count, for http_app.metrics. */
extern const metrics_table HTTP_CLIENT_METRICS;

/* A client's connections now. */
typedef struct http_client_stats {
    uint32_t open;    /* connections, those that are being opened too */
    uint32_t idle;    /* of them */
    uint32_t waiting; /* calls that wait for their turn */
    uint32_t servers; /* schemes, hosts and ports of all these */
} http_client_stats;
/* A copy of them. */
http_client_stats http_client_stats_of(const http_client *client);

/* --- whole answers ---------------------------------------------------------------------------- */

#define HTTP_CLIENT_HEADERS_MAX  64
#define HTTP_CLIENT_LENGTH_NONE  UINT64_MAX
#define HTTP_CLIENT_TIMEOUT_NONE UINT32_MAX

typedef struct http_client_field {
    str name;
    str value;
} http_client_field;
typedef struct http_client_fields {
    const http_client_field *items;
    size_t count;
} http_client_fields;
/* .headers = HTTP_CLIENT_HEADERS({ STR("Accept"), STR("text/csv") }, { STR("X-Key"), key }): a list
 * that lives as long as the block it stands in. */
#define HTTP_CLIENT_HEADERS(...)                                                \
    ((http_client_fields){ (const http_client_field[]){ __VA_ARGS__ },          \
                           sizeof((const http_client_field[]){ __VA_ARGS__ }) / \
                               sizeof(http_client_field) })

/* One request. Its texts live until the answer's head is there. */
typedef struct http_client_request {
    http_method method; /* 0: GET. Not HTTP_CONNECT, not HTTP_METHOD_OTHER */
    str url;            /* "https://host:port/path?query", percent-encoded; at most 8 KiB. A user
                           name in it is refused, a fragment is not sent */
    http_client_fields headers; /* but Host, Content-Length, Transfer-Encoding, Connection and what
                                   else belongs to the connection */
    str content_type;           /* of the body; STR_NONE: none is named */
    str body;                   /* STR_NONE: none */
    /* http_call_begin only: the body follows by http_call_write, so many bytes of it, or with
     * HTTP_CLIENT_LENGTH_NONE chunked; 0: `body` is all */
    uint64_t body_streamed;
    uint32_t timeout_ms; /* 0: the client's; HTTP_CLIENT_TIMEOUT_NONE: only the scope's deadline */
    size_t body_bytes_max; /* of the reply; 0: the client's */
} http_client_request;

typedef struct http_client_reply {
    int status; /* 200..599 */
    str body;   /* whole; empty for http_call_receive */
    str url;    /* that answered, where redirects were followed */
    const struct http_reply_head *head;
} http_client_reply;

/* Asks and takes the whole answer.
 *   yields  until it is there
 *   fails   as said above; HTTP_BAD_HEADER for a header field that must not be sent */
YIELDS error http_client_send(http_client *client, const http_client_request *request,
                              http_client_reply *out);
/* GET of a URL. */
YIELDS error http_client_get(http_client *client, str url, http_client_reply *out);
/* The first header field of that name (compared without case), or STR_NONE. */
str http_client_header(const http_client_reply *reply, str name);

/* A request whose body is a struct of a shape as JSON; `body` and `content_type` are set by it:
 * http_client_send_as(client, &(http_client_request){ … }, order, &o, &reply)
 *   fails  as http_client_send; BUF_FULL past 64 MiB */
#define http_client_send_as(client_, request_, shape_, value_, out_) \
    http_client_send_shape((client_), (request_), SHAPE_OF(shape_),         \
                           _Generic((value_), shape_ *: (value_),           \
                                    const shape_ *: (value_)), (out_))
YIELDS error http_client_send_shape(http_client *client, const http_client_request *request,
                                    shape_fn *of, const void *value, http_client_reply *out);
/* The body of a 2xx reply as JSON into `*out`, a struct of the shape. Read as another's output, not
 * as input to us: members that the shape does not have are passed over, and generated and read-only
 * fields are taken; see json_parse_shape_foreign.
 *   fails  HTTP_CALL_BAD_REPLY for another status, another media type than application/json (or
 *          …+json), or JSON that is malformed or not of the shape; the cause says what */
#define http_client_body(reply_, shape_, out_) \
    http_client_body_shape((reply_), SHAPE_OF(shape_), _Generic((out_), shape_ * : (out_)))
error http_client_body_shape(const http_client_reply *reply, shape_fn *of, void *out);

/* --- piece by piece --------------------------------------------------------------------------- */

/* For bodies too large to hold:
 *
 *   http_call *call;
 *   TRY(http_call_begin(client, &(http_client_request){ …, .body_streamed = bytes }, &call));
 *   TRY(http_call_write(call, piece));                    // …
 *   TRY(http_call_receive(call, &reply));                 // the request is complete
 *   do TRY(http_call_read(call, &piece)); while (piece.len > 0);
 *
 * Connects and sends the head, and `body`. The connection failing after that is told by the calls
 * that follow. Ends with the scope; http_call_end ends it before.
 *   fails  as http_client_send */
YIELDS error http_call_begin(http_client *client, const http_client_request *request,
                             http_call **out);
/* The next bytes of the request's body, copied. Once the server has answered, what is left is not
 * sent: the answer is why.
 *   yields  while more than 256 KiB wait to be taken
 *   fails   HTTP_CALL_LOST, HTTP_CALL_TIMED_OUT */
YIELDS error http_call_write(http_call *call, str bytes);
/* Ends the request and waits for the answer's head. Writing less or more than `body_streamed` is a
 * programmer's error, unless the server has answered before.
 *   fails  as http_client_send */
YIELDS error http_call_receive(http_call *call, http_client_reply *out);
/* The next bytes of the answer's body, and none at its end. The server is read only as fast as this
 * is called; no limit but the call's times applies.
 *   owns   `*piece` is valid until the next call
 *   fails  HTTP_CALL_LOST when the server ended before the end, HTTP_CALL_BAD_REPLY,
 *          HTTP_CALL_TIMED_OUT */
YIELDS error http_call_read(http_call *call, str *piece);
/* Ends a call; one whose answer was not read to its end costs the connection. Nulls the pointer;
 * NULL is allowed. */
void http_call_end(http_call **owner);

#endif
