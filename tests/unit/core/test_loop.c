/* The loop's turn: what runs in it, in which order, and that nobody keeps others from their turn.
 */
#include "fiber_private.h"
#include "loop_private.h"

#include "core/clock.h"
#include "core/stream.h"
#include "tests/support/in_fiber.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char trace[64];
static void note(char c)
{
    const size_t len = strlen(trace);
    if (len + 1 < sizeof trace) {
        trace[len] = c;
        trace[len + 1] = '\0';
    }
}

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    return 0;
}

typedef struct letter {
    loop_task task;
    char letter;
    bool again; /* posts itself once more */
    bool at_turn_end;
} letter;

static void note_letter(loop_task *task)
{
    letter *l = CONTAINER_OF(task, letter, task);
    note(l->letter);
    if (!l->again)
        return;
    l->again = false;
    if (l->at_turn_end)
        loop_at_turn_end(loop_self(), task);
    else
        loop_post(loop_self(), task);
}

/* --- tasks ----------------------------------------------------------------------------------- */

static error note_in_fiber(void *arg)
{
    note(*(const char *)arg);
    return OK;
}

static void test_loop_tasks_run_once_and_the_turns_end_comes_last(void **state)
{
    (void)state;
    letter a = { .task.run = note_letter, .letter = 'a', .again = true };
    letter b = { .task.run = note_letter, .letter = 'b' };
    letter z = { .task.run = note_letter, .letter = 'z' };
    static char f[] = "f";
    loop_at_turn_end(loop_self(), &z.task);
    loop_post(loop_self(), &a.task);
    loop_post(loop_self(), &b.task);
    loop_post(loop_self(), &a.task); /* stands there already */
    loop_at_turn_end(loop_self(), &z.task);
    assert_ok(fiber_start(loop_self(), NULL, note_in_fiber, f, NULL));
    assert_string_equal(trace, "");
    assert_ok(fiber_yield());
    /* Tasks, fibers, what they have posted; and all in the turn that began before. */
    assert_string_equal(trace, "abfaz");
}

static void test_loop_task_at_the_turns_end_may_post_itself_again(void **state)
{
    (void)state;
    letter z = { .task.run = note_letter, .letter = 'z', .again = true, .at_turn_end = true };
    loop_at_turn_end(loop_self(), &z.task);
    assert_ok(fiber_yield());
    assert_string_equal(trace, "z");
    assert_ok(fiber_yield());
    assert_string_equal(trace, "zz");
    assert_ok(fiber_yield());
    assert_string_equal(trace, "zz");
}

enum {
    REMOTE_THREADS = 4,
    REMOTE_TASKS = 5000,
};
typedef struct remote {
    loop_task task;
    struct remote_total *total;
} remote;
typedef struct remote_total {
    loop *loop;
    uint32_t ran;
    remote tasks[REMOTE_THREADS][REMOTE_TASKS];
    _Atomic uint32_t next_thread;
} remote_total;

static void count_remote(loop_task *task)
{
    CONTAINER_OF(task, remote, task)->total->ran++;
}

static void *post_many(void *arg)
{
    remote_total *total = arg;
    const uint32_t self = total->next_thread++;
    for (uint32_t i = 0; i < REMOTE_TASKS; i++) {
        remote *r = &total->tasks[self][i];
        *r = (remote){ .task.run = count_remote, .total = total };
        loop_post_from_thread(total->loop, &r->task);
    }
    return NULL;
}

static void test_loop_tasks_of_other_threads_all_run_once(void **state)
{
    (void)state;
    static remote_total total;
    total.loop = loop_self();
    pthread_t threads[REMOTE_THREADS];
    for (uint32_t i = 0; i < REMOTE_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &total), 0);
    for (int i = 0; i < 20000 && total.ran < REMOTE_THREADS * REMOTE_TASKS; i++)
        assert_ok(fiber_sleep(1));
    for (uint32_t i = 0; i < REMOTE_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(total.ran, REMOTE_THREADS * REMOTE_TASKS);
}

/* --- nobody starves -------------------------------------------------------------------------- */

static bool enough;

static error yields_for_ever(void *arg)
{
    (void)arg;
    while (!enough)
        TRY(fiber_yield());
    return OK;
}

typedef struct ping_pong {
    fiber *fibers[2];
    bool parked[2];
} ping_pong;

/* Two fibers that wake each other are always ready. */
static error wakes_the_other(ping_pong *p, size_t self)
{
    while (!enough) {
        if (p->parked[1 - self]) {
            p->parked[1 - self] = false;
            fiber_wake(p->fibers[1 - self], OK);
        }
        p->parked[self] = true;
        TRY(fiber_park("the other", NULL, NULL));
    }
    if (p->parked[1 - self]) {
        p->parked[1 - self] = false;
        fiber_wake(p->fibers[1 - self], OK);
    }
    return OK;
}
static error ping(void *arg)
{
    return wakes_the_other(arg, 0);
}
static error pong(void *arg)
{
    return wakes_the_other(arg, 1);
}

static void post_for_ever(loop_task *task)
{
    if (!enough)
        loop_post(loop_self(), task);
}

static size_t took;
static size_t take(stream *s, str bytes)
{
    (void)s;
    took += bytes.len;
    return bytes.len;
}
static void stream_is_closed(stream *s, error why)
{
    (void)why;
    *(bool *)stream_owner(s) = true;
}

static void test_loop_busy_fibers_and_tasks_starve_nobody(void **state)
{
    (void)state;
    static const stream_handler handler = { .data = take, .closed = stream_is_closed };
    fiber *yielder;
    ping_pong p = { 0 };
    const fiber_options options = { .name = "busy", .joinable = true };
    loop_task busy = { .run = post_for_ever };
    bool closed = false;
    int ends[2];
    enough = false;
    took = 0;
    assert_ok(fiber_start(loop_self(), &options, yields_for_ever, NULL, &yielder));
    assert_ok(fiber_start(loop_self(), &options, ping, &p, &p.fibers[0]));
    assert_ok(fiber_start(loop_self(), &options, pong, &p, &p.fibers[1]));
    loop_post(loop_self(), &busy);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    stream *s;
    assert_ok(stream_from_fd(loop_self(), ends[0], &handler, NULL, &closed, &s));
    for (size_t i = 1; i <= 5; i++) {
        assert_int_equal(write(ends[1], "x", 1), 1);
        for (int turns = 0; turns < 1000 && took < i; turns++)
            assert_ok(fiber_sleep(1)); /* the timers have their turn, and so has the socket */
        assert_int_equal(took, i);
    }
    enough = true;
    assert_ok(fiber_join(&yielder));
    for (size_t i = 0; i < 2; i++)
        assert_ok(fiber_join(&p.fibers[i]));
    stream_abort(s);
    close(ends[1]);
    while (!closed)
        assert_ok(fiber_yield());
}

/* --- time ------------------------------------------------------------------------------------ */

static void test_loop_timers_are_never_early(void **state)
{
    (void)state;
    for (uint32_t ms = 0; ms < 30; ms++) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        assert_ok(fiber_sleep(ms));
        clock_gettime(CLOCK_MONOTONIC, &after);
        const int64_t ns =
            (after.tv_sec - before.tv_sec) * 1000000000 + (after.tv_nsec - before.tv_nsec);
        assert_true(ns >= (int64_t)ms * 1000000);
        assert_true(loop_now_ms(loop_self()) <= clock_ms());
    }
}

/* --- signals --------------------------------------------------------------------------------- */

static void note_signal(int signo, void *arg)
{
    assert_ptr_equal(arg, trace);
    note(signo == SIGUSR2 ? '2' : signo == SIGHUP ? 'h' : '?');
}

static void wait_for_trace(size_t len)
{
    for (int i = 0; i < 5000 && strlen(trace) < len; i++)
        assert_ok(fiber_sleep(1));
}

static void test_loop_signals_come_on_the_loop_until_given_back(void **state)
{
    (void)state;
    assert_ok(loop_on_signal(loop_self(), SIGUSR2, note_signal, trace));
    assert_ok(loop_on_signal(loop_self(), SIGHUP, note_signal, trace));
    assert_int_equal(kill(getpid(), SIGUSR2), 0);
    wait_for_trace(1);
    assert_string_equal(trace, "2");
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    wait_for_trace(2);
    assert_string_equal(trace, "2h");
    assert_ok(loop_on_signal(loop_self(), SIGUSR2, NULL, NULL));
    (void)signal(SIGUSR2, SIG_IGN);
    assert_int_equal(kill(getpid(), SIGUSR2), 0);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    wait_for_trace(3);
    assert_string_equal(trace, "2hh");
    assert_ok(loop_on_signal(loop_self(), SIGHUP, NULL, NULL));
    (void)signal(SIGUSR2, SIG_DFL);
}

/* --- its life -------------------------------------------------------------------------------- */

static ERROR_KIND(BOOM, ERROR_INTERNAL, "boom");

static error fails_with_detail(void *arg)
{
    return error_set(&BOOM, "with %s", (const char *)arg);
}

static void test_loop_run_fiber_hands_the_error_detail_over(void **state)
{
    (void)state;
    char why[] = "details";
    const error e = loop_run_fiber(fails_with_detail, why);
    assert_fails(BOOM, e);
    assert_str_equal(error_detail_of(e)->text, STR("with details"));
    assert_null(loop_self());
}

static bool last_closed;
static error leaves_a_stream_lingering(void *arg)
{
    static const stream_handler handler = { .data = take, .closed = stream_is_closed };
    static const char bytes[4000000];
    int *end = arg;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        return error_set(&BOOM, "socketpair");
    *end = ends[1];
    stream *s;
    TRY(stream_from_fd(loop_self(), ends[0], &handler, NULL, &last_closed, &s));
    stream_write(s, (str){ bytes, sizeof bytes });
    stream_close(s, 5000);
    return OK;
}

static void *read_slowly(void *arg)
{
    static char bytes[100000];
    size_t got = 0;
    const int *end = arg;
    usleep(20000);
    for (ssize_t n = -1; n != 0;) {
        n = *end < 0 ? -1 : read(*end, bytes, sizeof bytes);
        if (n > 0)
            got += (size_t)n;
        else
            usleep(1000);
    }
    close(*end);
    return got == 4000000 ? arg : NULL;
}

/* What was written last by a program arrives, though its main fiber has ended. */
static void test_loop_run_fiber_waits_for_streams_that_linger(void **state)
{
    (void)state;
    static volatile int end = -1;
    pthread_t reader;
    void *all = NULL;
    last_closed = false;
    assert_int_equal(pthread_create(&reader, NULL, read_slowly, (void *)(uintptr_t)&end), 0);
    assert_ok(loop_run_fiber(leaves_a_stream_lingering, (void *)(uintptr_t)&end));
    assert_true(last_closed);
    assert_int_equal(pthread_join(reader, &all), 0);
    assert_non_null(all);
}

static void stop_later(timer *t)
{
    (void)t;
    loop_stop(loop_self());
}

static void test_loop_can_be_run_again_and_beats_while_it_runs(void **state)
{
    (void)state;
    loop_heartbeat beat = { 0 };
    loop *l;
    assert_ok(loop_new(&(loop_options){ .heartbeat = &beat }, &l));
    assert_ptr_equal(loop_self(), l);
    assert_string_equal(loop_backend_name(l), "epoll");
    uint64_t before = 0;
    for (int i = 0; i < 3; i++) {
        timer t = { .fire = stop_later };
        loop_timer_arm(l, &t, 2);
        assert_ok(loop_run(l));
        assert_true(beat.turns > before);
        assert_int_equal(beat.busy_since_ms, 0);
        before = beat.turns;
    }
    loop_free(&l);
    loop_free(&l);
    assert_null(loop_self());
}

/* Whatever a loop cannot get leaves nothing behind. */
static void test_loop_without_descriptors_is_an_error(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const int next = dup(STDERR_FILENO);
    assert_true(next >= 0);
    close(next);
    loop *l = NULL;
    for (rlim_t allowed = 0; !l; allowed++) {
        const struct rlimit few = { .rlim_cur = (rlim_t)next + allowed,
                                    .rlim_max = before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        const error e = loop_new(NULL, &l);
        if (e.kind) {
            assert_fails(SYSTEM_FAILED, e);
            assert_int_equal(error_detail_of(e)->system_errno, EMFILE);
            assert_null(loop_self());
        }
        assert_true(allowed < 10);
        assert_true((allowed == 0) <= (e.kind != NULL)); /* without any there is no loop */
    }
    /* The loop has taken all there are. */
    address at;
    stream *s;
    int fd;
    static const stream_handler handler = { .data = take, .closed = stream_is_closed };
    assert_true(address_parse(STR("127.0.0.1:9"), &at));
    assert_fails(STREAM_CONNECT_FAILED, stream_connect(l, &at, &handler, NULL, NULL, &s));
    assert_fails(SYSTEM_FAILED, listener_bind(&at, false, &fd));
    assert_fails(SYSTEM_FAILED, loop_on_signal(l, SIGHUP, note_signal, trace));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    loop_free(&l);
    const int after = dup(STDERR_FILENO);
    assert_int_equal(after, next); /* nothing is left open */
    close(after);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_loop_tasks_run_once_and_the_turns_end_comes_last, setup),
        cmocka_unit_test_setup(test_loop_task_at_the_turns_end_may_post_itself_again, setup),
        cmocka_unit_test_setup(test_loop_tasks_of_other_threads_all_run_once, setup),
        cmocka_unit_test_setup(test_loop_busy_fibers_and_tasks_starve_nobody, setup),
        cmocka_unit_test_setup(test_loop_timers_are_never_early, setup),
        cmocka_unit_test_setup(test_loop_signals_come_on_the_loop_until_given_back, setup),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest outside[] = {
        cmocka_unit_test(test_loop_run_fiber_hands_the_error_detail_over),
        cmocka_unit_test(test_loop_run_fiber_waits_for_streams_that_linger),
        cmocka_unit_test(test_loop_can_be_run_again_and_beats_while_it_runs),
        cmocka_unit_test(test_loop_without_descriptors_is_an_error),
    };
    const int failed = run_in_fiber(run);
    return cmocka_run_group_tests_name("loops", outside, NULL, NULL) + failed != 0;
}
