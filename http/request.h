/* What a handler sees of a request, and how it answers.
 *
 * A handler is straight-line code on a fiber: `error handler(http_request *req)`. It answers by one
 * http_reply… call, which only stages the response: it leaves when the handler has returned OK and
 * its scope is closed. Returning an error discards it and answers problem+json (RFC 9457) by the
 * error's class. Everything handed out lives as long as the request. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "core/arena.h"
#include "core/error.h"
#include "core/json.h"
#include "core/page.h"
#include "core/shape.h"

typedef struct http_request http_request;
typedef struct http_route http_route;

typedef enum http_method {
    HTTP_GET = 1,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_TRACE,
    HTTP_CONNECT,
    HTTP_METHOD_OTHER,
} http_method;

extern const error_kind HTTP_BAD_REQUEST;         /* INVALID: 400 */
extern const error_kind HTTP_BODY_TOO_LARGE;      /* TOO_LARGE: 413 */
extern const error_kind HTTP_UNSUPPORTED_MEDIA;   /* INVALID: 415 */
extern const error_kind HTTP_NOT_FOUND;           /* NOT_FOUND: 404 */
extern const error_kind HTTP_METHOD_NOT_ALLOWED;  /* INVALID: 405 */
extern const error_kind HTTP_PRECONDITION_FAILED; /* INVALID: 412 */
extern const error_kind HTTP_CLIENT_GONE;         /* CANCELED: nobody is there to answer */

/* --- what came ------------------------------------------------------------------------------- */

/* As it was sent: HTTP_HEAD where a route of GET answers it. */
http_method http_request_method(const http_request *req);
/* The method's name as sent: "GET". */
str http_request_method_name(const http_request *req);
/* The path, percent-decoded and without dot-segments: "/notes/7". */
str http_request_path(const http_request *req);
/* The route that was matched, or NULL. */
const http_route *http_request_route(const http_request *req);
/* Its pattern behind its group's prefix, which is what metrics and logs name; NULL without a route.
 */
const char *http_request_pattern(const http_request *req);
/* The request's id in the log: the engine's, or what http_request_ids has taken over. */
str http_request_id(const http_request *req);
/* The client's IP address: the peer's, or the one that its PROXY header has; when that is one of
 * HTTP_TRUSTED_PROXIES, the one that these proxies vouch for. STR_NONE when there is none, as for a
 * Unix socket. */
str http_client_address(http_request *req);

/* What protects the connection that a request came by. */
typedef struct http_tls {
    str version;          /* "TLSv1.3" */
    str server_name;      /* that the client asked for (SNI); STR_NONE: none */
    bool resumed;         /* by a ticket of an earlier connection */
    bool client_verified; /* it has shown a certificate that TLS_CLIENT_CA_FILE vouches for */
    str client_subject;   /* of that, as RFC 2253 writes it ("CN=ada,O=Brio"); else STR_NONE */
} http_tls;
/* NULL in plaintext; what a proxy in front does with its clients is not seen here. The same for the
 * whole request. When the client has gone before the first call, there is only that it was TLS. */
const http_tls *http_request_tls(http_request *req);

/* Where a request stands in a journey through several services (W3C Trace Context). */
typedef struct http_trace {
    str trace_id;  /* of the journey: 32 hexadecimal digits; new when none came, or a bad one */
    str parent_id; /* of the caller's step: 16 of them; STR_NONE when the journey begins here */
    str span_id;   /* of this step */
    bool sampled;  /* the caller records it */
    str parent;    /* the header traceparent for calls that this request makes */
    str state;     /* their tracestate, or STR_NONE */
} http_trace;
/* What the header traceparent says. Never NULL; the same for the whole request. */
const http_trace *http_request_trace(http_request *req);
/* The request's memory. */
arena *http_request_arena(const http_request *req);

/* The first header field of that name (compared without case), or STR_NONE. Host is valid, "" or
 * uri-host [ ":" port ] (RFC 9110, 7.2); beside a target that is a whole URL it is that one's. */
str http_header(const http_request *req, str name);
/* A path parameter of the route's pattern, decoded. An unknown name is a programmer's error. */
str http_path_text(const http_request *req, const char *name);
/* One declared `:name<int8>`; the router has checked it. */
int64_t http_path_int8(const http_request *req, const char *name);
/* One declared `:name<uuid>`. */
uuid http_path_uuid(const http_request *req, const char *name);
/* The first query parameter of that name, decoded; STR_NONE when absent or not decodable. */
str http_query(const http_request *req, str name);
/* `limit` (1..PAGE_LIMIT_MAX, else `invalid`) and `cursor` of the query. */
page_query http_page_query(const http_request *req);

/* The whole body.
 *   yields  until it is there
 *   fails   HTTP_BODY_TOO_LARGE past the route's limit, HTTP_BAD_REQUEST on bad chunking,
 *           HTTP_CLIENT_GONE, TIMED_OUT */
YIELDS error http_body_bytes(http_request *req, str *out);
/* The body piece by piece, for one that is too large to hold: each call gives the next bytes, and
 * no bytes at the end. The client is read only as fast as this is called. Not together with the two
 * others. Set the route's `body_bytes_max` and `timeout_ms`.
 *   yields  until there are some
 *   owns    `*piece` is valid until the next call
 *   fails   as http_body_bytes */
YIELDS error http_body_read(http_request *req, str *piece);
/* The body as JSON into `*out`, a struct of the shape the route declares as `.body`.
 *   fails  as http_body_bytes; HTTP_UNSUPPORTED_MEDIA unless the type is application/json;
 *          JSON_MALFORMED (400); JSON_INVALID (422 naming each bad field) */
#define http_body(req_, shape_, out_) \
    http_body_shape((req_), SHAPE_OF(shape_), _Generic((out_), shape_ * : (out_)))
YIELDS error http_body_shape(http_request *req, shape_fn *of, void *out);
/* The same for a body of application/x-www-form-urlencoded: scalar fields, their opt_X, which are
 * absent when no pair has the name, and X_list, which takes every pair of its name.
 *   fails  as http_body_bytes; HTTP_FORM_EXPECTED for another type (415); HTTP_BAD_REQUEST for a
 * pair that cannot be decoded, or over 1,000 of them; 422 naming each bad field */
#define http_form(req_, shape_, out_) \
    http_form_shape((req_), SHAPE_OF(shape_), _Generic((out_), shape_ * : (out_)))
YIELDS error http_form_shape(http_request *req, shape_fn *of, void *out);
extern const error_kind HTTP_FORM_EXPECTED; /* INVALID: 415 */
/* The same for the query of the target. Parameters that the shape does not have are refused.
 *   fails  HTTP_BAD_REQUEST; 422 naming each bad field */
#define http_query_as(req_, shape_, out_) \
    http_query_shape((req_), SHAPE_OF(shape_), _Generic((out_), shape_ * : (out_)))
error http_query_shape(http_request *req, shape_fn *of, void *out);

/* --- answers --------------------------------------------------------------------------------- */

/* A struct of a shape as JSON: http_reply(req, 200, note, &n). The status is any from 200 to 599,
 * known to the registry or not.
 *   fails  HTTP_BAD_STATUS for another one, like all http_reply… that take a status */
#define http_reply(req_, status_, shape_, value_) \
    http_reply_shape((req_), (status_), SHAPE_OF(shape_), \
                     _Generic((value_), shape_ *: (value_), const shape_ *: (value_)))
error http_reply_shape(http_request *req, int status, shape_fn *of, const void *value);
/* A page of them: http_reply_page(req, note, &page). */
#define http_reply_page(req_, shape_, page_) \
    http_reply_shape((req_), 200, PAGE_OF(shape_), \
                     _Generic((page_), shape_##_page *: (page_), const shape_##_page *: (page_)))
extern const error_kind HTTP_BAD_STATUS; /* INTERNAL */
/* Bytes of a media type; both must live as long as the request.
 *   fails  HTTP_BAD_HEADER when the type has over 1 KiB, or CR, LF or NUL */
error http_reply_bytes(http_request *req, int status, str content_type, str body);
/* Plain text in UTF-8. */
error http_reply_text(http_request *req, int status, str text);
/* No body: 204, or a status that says all. */
error http_reply_empty(http_request *req, int status);
/* A file of the directory `root`, of any size, by its path below it: no way out of `root`, by dots
 * or by links, and no dotfiles. The type is told by the extension. To a GET or HEAD it answers 304
 * where the client's copy is still good, and to a GET 206 with the ranges that were asked for. A
 * neighbour name.br, .zst or .gz goes out in its place to clients that prefer it. The file leaves
 * after the handler has returned, as fast as the client takes it: no timeout of the route bounds
 * that, only HTTP_WRITE_TIMEOUT. Header fields of the handler's own are set before.
 *   yields  while it is opened on an offload thread
 *   fails   HTTP_NOT_FOUND, HTTP_PRECONDITION_FAILED, HTTP_RANGE_UNSATISFIABLE; SYSTEM_FAILED
 *           without `root`; HTTP_TOO_MANY_FILES; OFFLOAD_FULL */
YIELDS error http_reply_file(http_request *req, const char *root, str path);
extern const error_kind HTTP_RANGE_UNSATISFIABLE; /* INVALID: 416, behind the end of the file */
extern const error_kind HTTP_TOO_MANY_FILES;      /* UNAVAILABLE: out of descriptors */

/* Sends the client elsewhere: 301 and 302 (a browser makes a POST into a GET), 303 (always GET),
 * 307 and 308 (the same method); 301 and 308 are remembered. Any other status is a programmer's
 * error. The location is a URL or a path; what no URL may contain is percent-encoded. One that
 * comes from the client is for the handler to check: "//evil.example" is another site. fails
 * HTTP_BAD_HEADER when it is empty, over 4 KiB encoded, or has a control character */
error http_redirect(http_request *req, int status, str location);

/* An interim answer, sent at once and before the handler's own: what 103 names a browser fetches
 * while the handler still works (RFC 8297):
 *
 *   TRY(http_reply_interim(req, 103, STR("Link"), STR("</app.css>; rel=preload; as=style")));
 *
 * It has that field, or with STR_NONE none; for more of them it is called again. Any number may
 * come before the answer, and no http_set_header has to do with them. Clients of HTTP/1.0 get none.
 *   yields  as http_reply_write
 *   fails   HTTP_BAD_STATUS but for 102 to 199 (100 is the server's to send, 101 is not to be had);
 *           HTTP_BAD_HEADER as http_set_header; HTTP_CLIENT_GONE, HTTP_CLIENT_SLOW */
YIELDS error http_reply_interim(http_request *req, int status, str name, str value);

/* --- cookies ---------------------------------------------------------------------------------- */

/* The first cookie of that name as the client sent it, or STR_NONE (RFC 6265, 5.4). */
str http_cookie(const http_request *req, str name);

typedef enum http_same_site {
    HTTP_SAME_SITE_LAX = 0,
    HTTP_SAME_SITE_STRICT,
    HTTP_SAME_SITE_NONE,
} http_same_site;

typedef struct http_cookie_options {
    str name;
    str value;         /* visible ASCII but " , ; \\; base64url_encode makes anything fit */
    str path;          /* STR_NONE: "/" */
    str domain;        /* STR_NONE: this host only */
    int64_t max_age_s; /* 0: until the browser ends; negative: the cookie is deleted */
    http_same_site same_site;
    bool over_plain_http;     /* without Secure */
    bool readable_by_scripts; /* without HttpOnly */
} http_cookie_options;

extern const error_kind HTTP_BAD_COOKIE; /* INTERNAL */

/* Sets a cookie: Secure, HttpOnly and SameSite=Lax unless said otherwise.
 *   fails  HTTP_BAD_COOKIE: a character that a cookie cannot hold, over 4 KiB, or what its prefix
 *          or SameSite=None forbids: __Secure- and None without Secure, __Host- also a domain or a
 *          path but "/", in any case of letters (RFC 6265bis, 4.1.3) */
error http_set_cookie(http_request *req, const http_cookie_options *cookie);

/* --- answers in pieces ------------------------------------------------------------------------ */

extern const error_kind
    HTTP_CLIENT_SLOW; /* CANCELED: it takes less than HTTP_WRITE_RATE_MIN, see HTTP_WRITE_TIMEOUT */

/* Begins a response whose length is not known yet: from here on the head is on its way, and an
 * error that the handler returns breaks the connection off, so that the client sees that the answer
 * is not whole. Header fields are set before. It ends when the handler returns OK. The route's
 * `timeout_ms` bounds all of it.
 *   fails  HTTP_CLIENT_GONE; HTTP_BAD_STATUS for one without a body too (204, 205, 304);
 *          HTTP_BAD_HEADER for the content type */
error http_reply_start(http_request *req, int status, str content_type);
/* The same for a response whose length is known: it has a Content-Length, and the connection
 * breaks off unless the handler writes just as many bytes. */
error http_reply_start_sized(http_request *req, int status, str content_type, uint64_t bytes);
/* The next bytes of it, copied.
 *   yields  while the client has more than 256 KiB still to take
 *   fails   HTTP_CLIENT_GONE, HTTP_CLIENT_SLOW; TIMED_OUT */
YIELDS error http_reply_write(http_request *req, str bytes);

/* A JSON list, item by item: http_reply_items_start once, then http_reply_item(req, note, &n) for
 * each; the list is closed when the handler returns OK. Small items leave together.
 *   fails  as http_reply_start and http_reply_write; BUF_FULL for an item of over 64 MiB */
error http_reply_items_start(http_request *req, int status);
#define http_reply_item(req_, shape_, value_) \
    http_reply_item_shape((req_), SHAPE_OF(shape_), \
                          _Generic((value_), shape_ *: (value_), const shape_ *: (value_)))
YIELDS error http_reply_item_shape(http_request *req, shape_fn *of, const void *value);

/* One server-sent event (WHATWG HTML, 9.2). What is STR_NONE is left out. */
typedef struct http_event {
    str name;          /* "message" when left out */
    str id;            /* comes back as the header Last-Event-ID when the client reconnects */
    str data;          /* any lines */
    uint32_t retry_ms; /* how long the client shall wait before it reconnects; 0: its own choice */
} http_event;
/* Begins a stream of events, then sends each at once. Cache-Control is no-store unless it is set.
 *   fails  as http_reply_start and http_reply_write; HTTP_BAD_HEADER for a line break in name or id
 */
error http_events_start(http_request *req);
YIELDS error http_event_send(http_request *req, const http_event *event);
/* An empty comment, which keeps proxies from closing a silent connection; every 15 s, say. */
YIELDS error http_event_keep_alive(http_request *req);

/* Adds a response header field. Content-Type there is but once: what is set here goes before what
 * http_reply… names, whichever comes first, and a second one replaces it (of events, and around the
 * ranges of a file, it is not heeded).
 *
 * An error that the handler returns keeps the fields, Set-Cookie and Vary and your own, but for
 * those about the answer that it discards: Accept-Ranges, Content-Type, -Encoding, -Language,
 * -Location, -Disposition, -Range (which 416 keeps) and the digests, ETag, Expires, Last-Modified,
 * Location. Of any Cache-Control it makes no-store.
 *
 *   fails  HTTP_BAD_HEADER when the name has anything but letters, digits, - and _, or is one that
 *          the server sets itself (Connection, Content-Length, Date, Transfer-Encoding);
 *          when the value has a control character; and past 8 KiB of fields */
error http_set_header(http_request *req, str name, str value);
extern const error_kind HTTP_BAD_HEADER; /* INTERNAL */
/* The value of the first field of that name that was set so far, or STR_NONE; valid until the next
 * field is set. */
str http_reply_header(const http_request *req, str name);
/* Sets the field in the place of all of that name.
 *   fails  as http_set_header; then nothing has changed */
error http_replace_header(http_request *req, str name, str value);
/* A field for the answer unless one of that name is set before it leaves. A later default replaces
 * an earlier one. Both texts must live as long as the request; a bad one fails the request when the
 * answer leaves, as http_set_header says. */
void http_default_header(http_request *req, str name, str value);

/* Keeps http_compress from this answer, as `.uncompressed` does from a route's. Of one in pieces it
 * is said before that begins. */
void http_reply_uncompressed(http_request *req);

/* --- values between layers, guards and handlers ----------------------------------------------- */

/* A value of a type of your own, which a request carries from a layer or guard to the handler. At
 * file scope, in a header or a source:
 *
 *   HTTP_VALUE(shop_customer, customer)
 *
 * defines two functions, and only a customer passes through them:
 *
 *   void shop_customer_set(http_request *req, customer *value);   a second one replaces the first
 *   customer *shop_customer(const http_request *req);             NULL when nobody has set it
 *
 * The value is kept, not copied: it must live as long as the request, as what is in its arena does.
 * The type may be const. A header may be read by several sources: all mean the same value. */
#define HTTP_VALUE(name_, type_)                                             \
    extern const http_key name_##_key;                                       \
    __attribute__((weak)) const http_key name_##_key = { #name_ };           \
    UNUSED static inline void name_##_set(http_request *req_, type_ *value_) \
    {                                                                        \
        http_set_value(req_, &name_##_key, (void *)(uintptr_t)value_);       \
    }                                                                        \
    UNUSED static inline type_ *name_(const http_request *req_)              \
    {                                                                        \
        return http_value(req_, &name_##_key);                               \
    }                                                                        \
    struct name_##_value /* takes the semicolon */

/* What it is made of. A key is the address of a static object; what it holds is the owner's
 * business. */
typedef struct http_key {
    const char *name;
} http_key;
/* Keeps `value` under the key for the rest of the request; a second one replaces the first. */
void http_set_value(http_request *req, const http_key *key, void *value);
/* NULL when nobody has set it. */
void *http_value(const http_request *req, const http_key *key);

#endif
