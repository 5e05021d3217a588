/* Calls that are ended at any point: by a cancel after each turn of the loop, and by every failure
 * of memory or of the system. Nothing may be left behind: no connection, no place in a line, no
 * memory, and the next call must go through. */
#include "core/fault.h"
#include "tests/support/called.h"
#include "tests/support/tls_files.h"

#include <fcntl.h>

static struct {
    listener *listener;
    tls_config *config; /* NULL: in plain text */
    uint32_t open;
} host;

/* Answers in steps, each in a turn of its own, so that there are many points to be ended at. */
static const char *const STEPS[] = {
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-",
    "Encoding: chunked\r\n\r\n",
    "3\r\nabc\r\n",
    "3\r\nd",
    "ef\r\n",
    "0\r\n",
    "\r\n",
};

typedef struct guest {
    loop_task task;
    stream *stream;
    size_t step;
} guest;

/* Not by a timer: a turn that waits for time is one in which nothing can go wrong. */
static void guest_step(loop_task *task)
{
    guest *g = CONTAINER_OF(task, guest, task);
    stream_write(g->stream, str_from_c(STEPS[g->step]));
    g->step = (g->step + 1) % ARRAY_LEN(STEPS);
    if (g->step > 0)
        loop_at_turn_end(loop_self(), task);
}

static size_t host_data(stream *s, str bytes)
{
    guest *g = stream_owner(s);
    if (stream_at_end(s)) {
        stream_close(s, 1000);
        return bytes.len;
    }
    if (!str_ends_with(bytes, STR("\r\n\r\n")) && !str_ends_with(bytes, STR("end")))
        return 0;
    loop_at_turn_end(loop_self(), &g->task);
    return bytes.len;
}

static void host_closed(stream *s, error why)
{
    guest *g = stream_owner(s);
    (void)why;
    list_remove(&g->task.node);
    free(g);
    host.open--;
}

static const stream_handler HOST = { .data = host_data, .closed = host_closed };

static void host_accepted(int fd, void *arg)
{
    (void)arg;
    guest *g = calloc(1, sizeof *g);
    if (!g || stream_from_fd(loop_self(), fd, &HOST, NULL, g, &g->stream).kind) {
        free(g);
        return;
    }
    g->task.run = guest_step;
    host.open++;
    if (host.config && stream_start_tls_server(g->stream, host.config).kind)
        stream_abort(g->stream);
}

static int setup(void **state)
{
    if (called_setup(state) != 0)
        return -1;
    return listener_start(loop_self(), listening, host_accepted, NULL, &host.listener).kind ? -1
                                                                                            : 0;
}

static int teardown(void **state)
{
    fault_clear();
    http_client_close(&client);
    for (int i = 0; i < 10000 && host.open > 0; i++) {
        if (fiber_sleep(1).kind)
            break;
    }
    listener_stop(&host.listener);
    tls_config_free(&host.config);
    return called_teardown(state);
}

/* --- what is done ------------------------------------------------------------------------------
 */

typedef struct deed {
    const char *name;
    const char *host; /* "127.0.0.1", or a name that is looked up */
    bool tls;
    bool kept; /* on a connection that was used before */
    error (*instead)(asked *a);
    http_method method;
    str body;
} deed;

static error in_pieces(asked *a)
{
    http_call *call;
    str piece;
    http_client_request request = a->request;
    request.body = STR_NONE;
    request.body_streamed = 6;
    TRY(http_call_begin(client, &request, &call));
    TRY(http_call_write(call, STR("the")));
    TRY(fiber_yield());
    TRY(http_call_write(call, STR("end")));
    TRY(http_call_receive(call, &a->reply));
    do
        TRY(http_call_read(call, &piece));
    while (piece.len > 0);
    http_call_end(&call);
    a->reply.body = STR("abcdef");
    return OK;
}

static error behind_another(asked *a)
{
    http_call *first;
    TRY(http_call_begin(client, &a->request, &first));
    http_call_end(&first);
    return http_client_send(client, &a->request, &a->reply);
}

static const deed DEEDS[] = {
    { "a fresh connection", "127.0.0.1" },
    { "a kept connection", "127.0.0.1", .kept = true },
    { "a name", "localhost" },
    { "TLS", "localhost", .tls = true },
    { "a kept connection over TLS", "localhost", .tls = true, .kept = true },
    { "a body", "127.0.0.1", .method = HTTP_POST, .body = { "\r\n\r\n", 4 } },
    { "a kept connection for a POST", "127.0.0.1", .kept = true, .method = HTTP_POST,
      .body = { "\r\n\r\n", 4 } },
    { "pieces", "127.0.0.1", .method = HTTP_POST, .instead = in_pieces },
    { "a call given up", "127.0.0.1", .instead = behind_another },
};

static asked asked_for(const deed *d)
{
    const str at = address_text(fiber_arena(), &listening_at);
    return (asked){
        .request = { .method = d->method,
                     .body = d->body,
                     .url =
                         str_format(fiber_arena(), "http%s://%s%.*s/", d->tls ? "s" : "", d->host,
                                    STR_ARG(str_slice(at, str_index(at, ':'), at.len))) },
        .instead = d->instead,
    };
}

static void must_succeed(const deed *d)
{
    asked a = asked_for(d);
    ask(&a);
    assert_answer(&a, 200, "abcdef");
}

static void prepare(const deed *d)
{
    http_client_close(&client);
    tls_config_free(&host.config);
    if (d->tls)
        assert_ok(tls_config_server(
            &(tls_server_options){ .certificate.cert_file = tls_file_name("server") },
            &host.config));
    open_client(&(http_client_options){ .connections_max = 1, .tls.ca_file = tls_file_name("ca") });
    if (d->kept)
        must_succeed(d);
}

/* After a call that was ended: everything is as before it, or idle. */
static void assert_nothing_left(const deed *d, const asked *a)
{
    const http_client_stats stats = http_client_stats_of(client);
    if (stats.open != stats.idle || stats.waiting > 0 || stats.servers != stats.open)
        fail_msg("%s: %u open, %u idle, %u waiting, %u servers, after %s", d->name, stats.open,
                 stats.idle, stats.waiting, stats.servers, a->result.kind ? a->why : "success");
    must_succeed(d);
}

/* --- ended by a cancel -------------------------------------------------------------------------
 */

static void test_call_canceled_at_any_turn_leaves_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(DEEDS); i++) {
        uint32_t canceled = 0;
        for (uint32_t turns = 0;; turns++) {
            prepare(&DEEDS[i]);
            asked a = asked_for(&DEEDS[i]);
            ask(&a);
            for (uint32_t n = 0; n < turns && !a.done; n++)
                assert_ok(fiber_yield());
            fiber_cancel(a.fiber, &CANCELED);
            answered(&a);
            assert_nothing_left(&DEEDS[i], &a);
            if (!a.result.kind)
                break;
            assert_ptr_equal(a.result.kind, &CANCELED);
            canceled++;
        }
        assert_true(canceled >= 3); /* there was something to cancel */
    }
}

/* --- ended by a failure ------------------------------------------------------------------------
 */

static void test_call_without_memory_or_luck_leaves_nothing(void **state)
{
    (void)state;
    static const char *const points[] = { "memory",        "stream.new",  "stream.send",
                                          "block.acquire", "tls.session", "offload.thread",
                                          "fiber.mmap" };
    uint32_t failed = 0;
    for (size_t i = 0; i < ARRAY_LEN(DEEDS); i++) {
        for (size_t p = 0; p < ARRAY_LEN(points); p++) {
            for (uint32_t n = 1;; n++) {
                prepare(&DEEDS[i]);
                asked a = asked_for(&DEEDS[i]);
                fault_at(points[p], n);
                ask(&a);
                answered(&a);
                const bool was_passed = fault_passed(points[p]) >= n;
                fault_clear();
                failed += a.result.kind != NULL;
                assert_nothing_left(&DEEDS[i], &a);
                if (!was_passed)
                    break;
            }
        }
    }
    assert_true(failed >= 10);
}

/* A fiber at its arena's cap ends on the spot. */
static error until_full(asked *a)
{
    http_call *call;
    TRY(http_call_begin(client, &a->request, &call));
    for (;;)
        (void)arena_alloc(fiber_arena(), 1 << 20, 1);
}

static void test_call_of_a_fiber_that_ends_on_the_spot_is_ended(void **state)
{
    (void)state;
    const deed d = { "full", "127.0.0.1" };
    prepare(&d);
    asked a = asked_for(&d);
    a.instead = until_full;
    const fiber_options options = { .joinable = true };
    assert_ok(fiber_start(loop_self(), &options, asked_run, &a, &a.fiber));
    assert_fails(ARENA_FULL, fiber_join(&a.fiber));
    assert_nothing_left(&d, &a);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_canceled_at_any_turn_leaves_nothing),
        cmocka_unit_test(test_call_without_memory_or_luck_leaves_nothing),
        cmocka_unit_test(test_call_of_a_fiber_that_ends_on_the_spot_is_ended),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

int main(void)
{
    if (!tls_files_make())
        return 1;
    const int failed = run_in_fiber(run);
    tls_files_remove();
    return failed;
}
