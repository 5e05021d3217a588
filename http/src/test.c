/* The test client: one worker whose loop is turned by hand, and clients at the other ends of
 * streams in memory. An object of its own, so that only tests link it.
 *
 * Answers are taken out of what a connection has received by the parsers of the HTTP client's side;
 * what they do not understand is an answer that is not whole.
 *
 * Waiting turns the loop until what is waited for is there, or nothing but time could bring it: the
 * loop has settled, and neither sockets nor threads could wake it. With sockets on the loop only
 * patience, in real time, says when to give up.
 *
 *   opened --app's start--> serving --http_test_close--> stopping --app's stop--> freed
 *
 * Invariant: a connection's stream is NULL exactly when it is closed. */
#include "http/test.h"

#include "app.h"
#include "quarantine.h"
#include "reply_body.h"
#include "reply_head.h"
#include "worker.h"

#include "core/json.h"
#include "core/ledger.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS     10000
#define TURN_MS         10 /* of real time: how long to sleep before looking again */
#define RECEIVED_MAX    ((size_t)1 << 30)
#define ARENA_BYTES_MAX ((size_t)4 << 30)
#define HEAD_BYTES_MAX  65536
#define CLIENT_DEFAULT  "127.0.0.1:50000"
#define REQUEST_MAX     ((size_t)1 << 30)

ERROR_KIND(HTTP_TEST_FAILED, ERROR_INTERNAL, "The app under test failed.");

typedef struct saved_setting {
    const char *name;  /* NULL: none */
    const char *value; /* NULL: unset */
} saved_setting;

struct http_test {
    arena arena; /* of answers, routes and all */
    http_settings settings;
    worker_slot slot;
    http_quarantine *quarantine;
    router *router;
    worker_start start;
    worker_process *worker; /* NULL: not begun */
    list conns;
    address client;
    uint32_t patience_ms;
    bool real_clock;
    saved_setting saved[HTTP_TEST_SETTINGS_MAX + 1];
};

struct http_test_conn {
    list_node node;
    http_test *test;
    stream *stream; /* NULL: closed */
    buf received;
    size_t taken; /* of it, by answers */
    bool at_end;
    bool broken;
    buf asked;       /* a byte a request that http_test_request has written: whether it is a HEAD */
    size_t answered; /* of them */
    http_reply_head head; /* of the answer that is looked for */
};

static loop *loop_of(const http_test *t)
{
    return http_worker_server(t->worker)->loop;
}

/* --- waiting --------------------------------------------------------------------------------- */

/* Until `there(arg)`; whether it is. */
static bool wait_until(http_test *t, bool (*there)(void *arg), void *arg)
{
    loop *l = loop_of(t);
    const uint64_t end_ms = clock_real_ms() + t->patience_ms;
    bool is_there;
    while (!(is_there = there(arg)) && clock_real_ms() < end_ms) {
        const bool only_time = loop_is_settled(l) && !loop_has_io(l);
        if (only_time && !t->real_clock)
            break;
        loop_turn(l, TURN_MS);
    }
    return is_there;
}

/* The same, and time goes by while nothing else happens: for the app's start and stop. */
static bool let_time_pass_until(http_test *t, bool (*there)(void *arg), void *arg)
{
    loop *l = loop_of(t);
    const uint64_t end_ms = clock_real_ms() + t->patience_ms;
    while (!there(arg) && clock_real_ms() < end_ms) {
        loop_turn(l, TURN_MS);
        if (!t->real_clock && loop_is_settled(l) && !there(arg))
            loop_advance(l, TURN_MS);
    }
    return there(arg);
}

/* Does what can be done at once. */
static void settle(http_test *t)
{
    if (!t->real_clock)
        loop_advance(loop_of(t), 0);
    else
        loop_turn(loop_of(t), 0);
}

void http_test_advance(http_test *t, uint32_t ms)
{
    loop_advance(loop_of(t), ms);
}

loop *http_test_loop(http_test *t)
{
    return loop_of(t);
}

/* --- the environment -------------------------------------------------------------------------- */

static error set_setting(http_test *t, saved_setting *saved, const http_test_setting *s)
{
    const char *before = getenv(s->name);
    saved->name = s->name;
    if (before)
        saved->value = str_format(&t->arena, "%s%c", before, '\0').ptr;
    const int failed = s->value ? setenv(s->name, s->value, 1) : unsetenv(s->name);
    return failed ? error_set(&HTTP_TEST_FAILED, "%s cannot be set", s->name) : OK;
}

static error set_settings(http_test *t, const http_test_options *options)
{
    static const http_test_setting quiet = { "LOG_LEVEL", "warn" };
    size_t count = 0;
    for (; count < HTTP_TEST_SETTINGS_MAX && options->settings[count].name; count++)
        TRY(set_setting(t, &t->saved[count], &options->settings[count]));
    return getenv(quiet.name) ? OK : set_setting(t, &t->saved[count], &quiet);
}

static void restore_settings(const http_test *t)
{
    size_t count = 0;
    while (count < ARRAY_LEN(t->saved) && t->saved[count].name)
        count++;
    while (count-- > 0) {
        const saved_setting *s = &t->saved[count];
        if (s->value)
            (void)setenv(s->name, s->value, 1);
        else
            (void)unsetenv(s->name);
    }
}

/* --- the app ---------------------------------------------------------------------------------- */

static bool is_serving(void *arg)
{
    http_test *t = arg;
    return atomic_load(&t->slot.state) != WORKER_STARTING || http_worker_has_ended(t->worker);
}

static bool has_ended(void *arg)
{
    const http_test *t = arg;
    return http_worker_has_ended(t->worker);
}

static error begin(http_test *t, const http_app *app, const http_test_options *options)
{
    const metrics_table *tables[HTTP_TABLES_MAX];
    TRY(set_settings(t, options));
    if (!address_parse(str_from_c(options->client ? options->client : CLIENT_DEFAULT), &t->client))
        return error_set(&HTTP_TEST_FAILED, "the client's address cannot be read");
    TRY(http_app_read_settings(app, &t->settings));
    t->settings.workers = 0;
    TRY(http_app_build_router(app, &t->settings, &t->arena, &t->router));
    TRY(http_quarantine_new(&t->quarantine));
    metrics_close(); /* of what the test did before: its pools, say, are gone with their loop */
    ledger_close();
    TRY(metrics_open(tables, http_app_metrics(app, t->router, tables), 1));
    metrics_use_slot(0);
    TRY(log_open(STDERR_FILENO, (log_level)t->settings.log_level,
                 (log_format)t->settings.log_format));
    t->start = (worker_start){ .app = app,
                               .settings = &t->settings,
                               .router = t->router,
                               .slot = &t->slot,
                               .quarantine = t->quarantine,
                               .by_hand = true };
    TRY(http_worker_open(&t->start, &t->worker));
    if (!let_time_pass_until(t, is_serving, t))
        return error_set(&HTTP_TEST_FAILED, "on_worker_start does not return");
    return atomic_load(&t->slot.state) == WORKER_SERVING
               ? OK
               : error_set(&HTTP_TEST_FAILED, "on_worker_start failed");
}

/* Everything but the worker; in reverse. */
static void give_back(http_test *t)
{
    log_close();
    metrics_close();
    ledger_close();
    http_quarantine_free(&t->quarantine);
    restore_settings(t);
    arena_deinit(&t->arena);
    memory_free(t);
}

error http_test_open(const http_app *app, const http_test_options *options, http_test **out)
{
    static const http_test_options defaults = { 0 };
    const http_test_options *o = options ? options : &defaults;
    http_test *t = MEMORY_NEW(http_test);
    if (!t)
        return error_set(&OUT_OF_MEMORY, "no memory for a test");
    arena_init(&t->arena, ARENA_BYTES_MAX);
    list_init(&t->conns);
    t->patience_ms = o->patience_ms ? o->patience_ms : PATIENCE_MS;
    t->real_clock = o->real_clock;
    if (!t->real_clock)
        clock_fake_begin(o->starts_at_s ? o->starts_at_s : -1);
    const error e = begin(t, app, o);
    if (error_is_ok(e)) {
        *out = t;
        return OK;
    }
    if (t->worker && http_worker_has_ended(t->worker))
        (void)http_worker_close(&t->worker);
    if (!t->worker) {
        clock_fake_end();
        give_back(t);
    }
    return e;
}

static void conn_free(http_test_conn *c)
{
    list_remove(&c->node);
    buf_deinit(&c->received);
    buf_deinit(&c->asked);
    memory_free(c);
}

error http_test_close(http_test **owner)
{
    http_test *t = *owner;
    *owner = NULL;
    if (!t)
        return OK;
    LIST_EACH (http_test_conn, c, &t->conns, node) {
        if (c->stream)
            stream_reset(c->stream); /* a mere end would let handlers go on */
    }
    settle(t);
    http_worker_stop(t->worker);
    if (!let_time_pass_until(t, has_ended, t))
        return error_set(&HTTP_TEST_FAILED, "the app does not stop: %u fibers are running",
                         fiber_stats_of(loop_of(t)).running);
    for (list_node *n; (n = list_take_first(&t->conns));)
        conn_free(CONTAINER_OF(n, http_test_conn, node));
    const uint32_t left = http_worker_server(t->worker)->conn_count;
    const int status = http_worker_close(&t->worker);
    if (left == 0)
        clock_fake_end();
    give_back(t);
    return left == 0 && status == 0
               ? OK
               : error_set(&HTTP_TEST_FAILED, "%u requests were left at the end", left);
}

/* --- connections ----------------------------------------------------------------------------- */

static size_t client_data(stream *s, str bytes)
{
    http_test_conn *c = stream_owner(s);
    buf_append(&c->received, bytes);
    c->at_end = stream_at_end(s);
    return bytes.len;
}

static void client_closed(stream *s, error why)
{
    http_test_conn *c = stream_owner(s);
    c->stream = NULL;
    c->at_end = true;
    c->broken = c->broken || why.kind;
}

static const stream_handler CLIENT = { .data = client_data, .closed = client_closed };

http_test_conn *http_test_connect(http_test *t)
{
    http_test_conn *c = MEMORY_NEW(http_test_conn);
    if (!c)
        return NULL;
    c->test = t;
    buf_init(&c->received, RECEIVED_MAX);
    buf_init(&c->asked, RECEIVED_MAX);
    const stream_pair_end end = { .handler = &CLIENT, .owner = c };
    const error e = http_server_pair(http_worker_server(t->worker), &end, &t->client, &c->stream);
    list_append(&t->conns, &c->node);
    if (error_is_ok(e)) {
        settle(t);
        return c;
    }
    conn_free(c);
    return NULL;
}

void http_test_write(http_test_conn *c, str bytes)
{
    if (c->stream)
        stream_write(c->stream, bytes);
    settle(c->test);
}

str http_test_received(const http_test_conn *c)
{
    const str all = buf_str(&c->received);
    return str_slice(all, c->taken, all.len - c->taken);
}

bool http_test_has_ended(const http_test_conn *c)
{
    return c->at_end;
}

bool http_test_is_broken(const http_test_conn *c)
{
    return c->broken;
}

void http_test_pause(http_test_conn *c)
{
    if (c->stream)
        stream_pause(c->stream);
}

void http_test_resume(http_test_conn *c)
{
    if (c->stream)
        stream_resume(c->stream);
    settle(c->test);
}

void http_test_end(http_test_conn *c)
{
    if (c->stream)
        stream_end(c->stream);
    settle(c->test);
}

void http_test_reset(http_test_conn *c)
{
    if (c->stream)
        stream_reset(c->stream);
    settle(c->test);
}

static bool is_closed(void *arg)
{
    const http_test_conn *c = arg;
    return !c->stream;
}

void http_test_disconnect(http_test_conn **owner)
{
    http_test_conn *c = *owner;
    *owner = NULL;
    if (!c)
        return;
    if (c->stream)
        stream_abort(c->stream);
    const bool closed = wait_until(c->test, is_closed, c);
    invariant(closed);
    settle(c->test);
    conn_free(c);
}

/* --- requests -------------------------------------------------------------------------------- */

static bool usually_has_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

void http_test_request(http_test_conn *c, const char *method, const char *target, str fields,
                       str body)
{
    buf out;
    buf_init(&out, REQUEST_MAX);
    buf_append_format(&out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, target);
    if (fields.ptr)
        buf_append(&out, fields);
    if (body.len > 0 || usually_has_body(method))
        buf_append_format(&out, "Content-Length: %zu\r\n", body.len);
    buf_append(&out, STR("\r\n"));
    if (body.ptr)
        buf_append(&out, body);
    buf_append(&c->asked, strcmp(method, "HEAD") == 0 ? STR("h") : STR("-"));
    http_test_write(c, buf_str(&out));
    buf_deinit(&out);
}

/* --- answers --------------------------------------------------------------------------------- */

/* Of the oldest request that has none; what this file has not written may be anything. */
static http_method asked(const http_test_conn *c)
{
    const bool is_head = c->answered < c->asked.len && c->asked.data[c->answered] == 'h';
    return is_head ? HTTP_HEAD : HTTP_GET;
}

/* Takes the body behind a head; HTTP_PIECE_MORE: it is not whole yet, and `input` to be given again
 * with more. */
static http_piece_result take_body(const http_test_conn *c, const http_reply_head *head, str *input,
                                   buf *body)
{
    http_reply_pieces pieces;
    http_reply_pieces_init(&pieces, head, asked(c));
    if (pieces.kind == HTTP_REPLY_SIZED && input->len < pieces.left && !c->at_end)
        return HTTP_PIECE_MORE; /* not worth a copy yet */
    for (;;) {
        str data;
        const http_piece_result result = http_reply_pieces_next(&pieces, input, c->at_end, &data);
        if (result != HTTP_PIECE_DATA)
            return result;
        buf_append(body, data);
    }
}

typedef struct reading {
    http_test_conn *conn;
    http_test_reply reply;
} reading;

static void keep(http_test_conn *c, http_test_reply *r, str head, str body)
{
    r->head = str_copy(&c->test->arena, head);
    r->body = str_copy(&c->test->arena, body);
}

/* Whether there is an answer, or never will be one. */
static bool has_answer(void *arg)
{
    reading *r = arg;
    http_test_conn *c = r->conn;
    const str bytes = http_test_received(c);
    http_reply_head *head = &c->head;
    http_reply_head_init(head);
    if (bytes.len == 0 || http_reply_head_parse(head, bytes, HEAD_BYTES_MAX) != HTTP_REPLY_DONE)
        return c->at_end;
    str rest = str_slice(bytes, head->bytes, bytes.len - head->bytes);
    buf body;
    buf_init(&body, RECEIVED_MAX);
    const http_piece_result result = take_body(c, head, &rest, &body);
    const bool over = result != HTTP_PIECE_MORE;
    if (over) {
        r->reply.status = head->status;
        r->reply.whole = result == HTTP_PIECE_END;
        keep(c, &r->reply, str_slice(bytes, 0, head->bytes), buf_str(&body));
        c->taken += bytes.len - rest.len;
        c->answered += head->status >= 200 && c->answered < c->asked.len;
        c->broken = c->broken || !r->reply.whole;
    }
    buf_deinit(&body);
    return over;
}

http_test_reply http_test_read(http_test_conn *c)
{
    reading r = { .conn = c };
    (void)wait_until(c->test, has_answer, &r);
    return r.reply;
}

http_test_reply http_test_read_head(http_test_conn *c)
{
    if (c->answered == c->asked.len)
        buf_append(&c->asked, STR("h"));
    return http_test_read(c);
}

http_test_reply http_test_send(http_test *t, const char *method, const char *target, str fields,
                               str body)
{
    http_test_reply r = { 0 };
    http_test_conn *c = http_test_connect(t);
    if (!c)
        return r;
    http_test_request(c, method, target, fields, body);
    do
        r = http_test_read(c);
    while (r.status >= 100 && r.status < 200);
    if (r.status == 0)
        http_test_reset(c);
    http_test_disconnect(&c);
    return r;
}

http_test_reply http_test_get(http_test *t, const char *target)
{
    return http_test_send(t, "GET", target, STR_NONE, STR_NONE);
}

http_test_reply http_test_send_shape(http_test *t, const char *method, const char *target,
                                     str fields, shape_fn *of, const void *value)
{
    buf all, body;
    buf_init(&all, REQUEST_MAX);
    buf_init(&body, REQUEST_MAX);
    buf_append(&all, STR("Content-Type: application/json\r\n"));
    if (fields.ptr)
        buf_append(&all, fields);
    json_write_shape(&body, of(), value);
    const http_test_reply r = http_test_send(t, method, target, buf_str(&all), buf_str(&body));
    buf_deinit(&all);
    buf_deinit(&body);
    return r;
}

str http_test_header(const http_test_reply *r, const char *name)
{
    str value = STR_NONE;
    http_reply_head *head = MEMORY_NEW(http_reply_head); /* larger than a frame may be */
    invariant(head != NULL);
    http_reply_head_init(head);
    if (r->status != 0 && http_reply_head_parse(head, r->head, HEAD_BYTES_MAX) == HTTP_REPLY_DONE)
        value = http_fields_find(&head->fields, str_from_c(name));
    memory_free(head);
    return value;
}

error http_test_body_shape(http_test *t, const http_test_reply *r, shape_fn *of, void *out)
{
    return json_parse_shape(&t->arena, r->body, of(), out);
}
