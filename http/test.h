/* Tests of an app in their own process: requests without sockets, answers as values, and a clock
 * that says what the test says.
 *
 *   http_test *t;
 *   assert_true(error_is_ok(http_test_open(&app, NULL, &t)));
 *   http_test_reply r = http_test_get(t, "/hello/Ada");
 *   assert_int_equal(r.status, 200);
 *   assert_true(str_eq(r.body, STR("Hello, Ada.\n")));
 *   assert_true(error_is_ok(http_test_close(&t)));
 *
 * The app runs as one worker of http_main would: the same routes, layers, limits, timeouts, metrics
 * and containment of faults, on a loop that the calling thread turns while it waits in one of these
 * functions. Whatever else is on that loop, connections to PostgreSQL say, goes on as ever.
 *
 * Time stands still (core/clock.h) but for http_test_advance, so an answer that takes time is asked
 * for (http_test_request), time moved on, and the answer read (http_test_read). Only while
 * on_worker_start or on_worker_stop wait for something does time go by as it pleases.
 *
 * Not for fibers: call from the test's main thread; one at a time. In production nothing of this is
 * linked. */
#ifndef HTTP_TEST_H
#define HTTP_TEST_H

#include "http/http.h"

typedef struct http_test http_test;
typedef struct http_test_conn http_test_conn;

extern const error_kind HTTP_TEST_FAILED; /* INTERNAL: see http_test_open and http_test_close */

/* A variable of the environment while the test is open. */
typedef struct http_test_setting {
    const char *name;  /* NULL ends the list */
    const char *value; /* NULL: unset */
} http_test_setting;

#define HTTP_TEST_SETTINGS_MAX 32

typedef struct http_test_options {
    http_test_setting settings[HTTP_TEST_SETTINGS_MAX];
    int64_t starts_at_s;  /* time of day, seconds since 1970; 0: the present */
    const char *client;   /* address of the clients, "192.0.2.1:5000"; NULL: "127.0.0.1:50000" */
    uint32_t patience_ms; /* real time that an answer may take that needs I/O; 0: 10 s */
    bool real_clock;      /* time goes by, and http_test_advance is a programmer's error */
} http_test_options;

/* Starts the app: settings, routes and layers are checked as by http_main, and on_worker_start
 * runs. `app` must outlive it. LOG_LEVEL is "warn" unless something says otherwise. `options` may
 * be NULL. fails  CONFIG_INVALID, HTTP_ROUTES_INVALID, HTTP_LAYER_INVALID; HTTP_TEST_FAILED when
 *          on_worker_start does (standard error has why) */
error http_test_open(const http_app *app, const http_test_options *options, http_test **out);
/* Ends all connections, stops the app as SIGTERM does, on_worker_stop included, and gives back
 * everything, the clock and the environment too. Nulls the pointer; NULL is allowed.
 *   fails  HTTP_TEST_FAILED when handlers go on all the same; then the loop is lost */
error http_test_close(http_test **owner);
/* The clock goes on by `ms`: all that is due meanwhile happens, each at its own time and in order,
 * with everything that follows from it but what needs I/O with others. */
void http_test_advance(http_test *t, uint32_t ms);
/* What an app's own parts may be given in a test. */
loop *http_test_loop(http_test *t);

/* --- answers --------------------------------------------------------------------------------- */

/* Its bytes live until http_test_close. */
typedef struct http_test_reply {
    int status; /* 0: none came, or what came was none */
    bool whole; /* up to its end */
    str head;   /* status line and fields, with the empty line */
    str body;   /* without the framing; what came of it when not whole */
} http_test_reply;

/* The first header field of that name, in any case; STR_NONE when absent. */
str http_test_header(const http_test_reply *r, const char *name);
/* The body as JSON into `*out_`, a struct of the shape, strings and all for as long as the reply:
 * http_test_body(t, &r, note, &n).
 *   fails  JSON_MALFORMED, JSON_INVALID */
#define http_test_body(t_, reply_, shape_, out_) \
    http_test_body_shape((t_), (reply_), SHAPE_OF(shape_), _Generic((out_), shape_ * : (out_)))
error http_test_body_shape(http_test *t, const http_test_reply *r, shape_fn *of, void *out);

/* --- requests -------------------------------------------------------------------------------- */

/* Sends a request on a connection of its own and waits for the whole answer, or until only time
 * could bring it (http_test_request is for that), or patience is over: then the status is 0.
 *   fields  "Name: value\r\n"…, may be STR_NONE; Host, and Content-Length where there is a body or
 *           the method usually has one, are there already */
http_test_reply http_test_send(http_test *t, const char *method, const char *target, str fields,
                               str body);
/* A GET without fields. */
http_test_reply http_test_get(http_test *t, const char *target);
/* A struct of a shape as JSON, with its Content-Type:
 * http_test_send_as(t, "POST", "/notes", STR_NONE, note_input, &in). */
#define http_test_send_as(t_, method_, target_, fields_, shape_, value_) \
    http_test_send_shape((t_), (method_), (target_), (fields_), SHAPE_OF(shape_), \
                         _Generic((value_), shape_ *: (value_), const shape_ *: (value_)))
http_test_reply http_test_send_shape(http_test *t, const char *method, const char *target,
                                     str fields, shape_fn *of, const void *value);

/* --- connections ----------------------------------------------------------------------------- */

/* A connection; NULL when the app takes no more. It ends with http_test_disconnect or the test. */
http_test_conn *http_test_connect(http_test *t);
/* Writes a request on it, as http_test_send, and waits for nothing. */
void http_test_request(http_test_conn *c, const char *method, const char *target, str fields,
                       str body);
/* Writes any bytes. The app has had them when this returns, and done what it does without I/O. */
void http_test_write(http_test_conn *c, str bytes);
/* The next answer on it, 1xx ones too; waits as http_test_send. */
http_test_reply http_test_read(http_test_conn *c);
/* The same after a HEAD that http_test_write has written: its answer has no body. */
http_test_reply http_test_read_head(http_test_conn *c);
/* What has come and no http_test_read has taken, as it is. Valid until the next call. */
str http_test_received(const http_test_conn *c);
/* Whether the app has ended its side, or the connection is broken. */
bool http_test_has_ended(const http_test_conn *c);
/* Whether it was broken: by a reset, or an answer that is cut off. */
bool http_test_is_broken(const http_test_conn *c);
/* Stops and restarts taking what the app sends; 64 KiB are on their way then. */
void http_test_pause(http_test_conn *c);
void http_test_resume(http_test_conn *c);
/* Ends the client's side; the app may still answer. */
void http_test_end(http_test_conn *c);
/* Breaks it off. */
void http_test_reset(http_test_conn *c);
/* Closes and frees it. A handler that has not answered yet goes on, as for any client that has only
 * ended its side, unless its route says HTTP_ENDS. Nulls the pointer; NULL is allowed.
 */
void http_test_disconnect(http_test_conn **owner);

#endif
