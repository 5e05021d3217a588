/* A program for debuggers: fibers that wait for different things at known places, then one that
 * comes to stop_here, some calls deep, while the others are parked; `parked abort` ends there.
 * Afterwards everything is woken, joined and freed: valgrind must find nothing.
 *
 * Functions that a test looks for in a backtrace are not inlined. */
#include "core/fiber.h"
#include "core/loop.h"
#include "core/offload.h"
#include "core/scope.h"
#include "core/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS   3   /* stacks are used again */
#define CROWD    200 /* more than a slab of stacks */
#define DEPTH    40
#define ECHO_LEN 100000

#define KEPT __attribute__((noinline))

static ERROR_KIND(PARKED_WRONG, ERROR_INTERNAL, "the program went wrong");

/* --- parked at known places ------------------------------------------------------------------- */

static fiber *reader;

KEPT static error wait_for_reply(int number)
{
    const error e = fiber_park("a reply", NULL, NULL);
    return number == 42 ? e : error_set(&PARKED_WRONG, "number %d", number);
}

static error read_reply(void *arg)
{
    (void)arg;
    reader = fiber_self();
    const error e = wait_for_reply(42);
    return e;
}

KEPT static error sleep_in_the_cellar(uint32_t ms)
{
    const error e = fiber_sleep(ms);
    return e;
}

static error sleeper(void *arg)
{
    const error e = sleep_in_the_cellar(*(const uint32_t *)arg);
    return error_is(e, &CANCELED) ? OK : error_set(&PARKED_WRONG, "the sleeper woke");
}

static error joiner(void *arg)
{
    fiber **handle = arg;
    const error e = fiber_join(handle);
    return e;
}

static error never_ran(void *arg)
{
    (void)arg;
    return OK;
}

/* --- the one that runs ------------------------------------------------------------------------ */

static bool aborts;

KEPT static void stop_here(int depth)
{
    if (aborts && depth == 3)
        abort();
}

/* NOLINTNEXTLINE(misc-no-recursion): a backtrace needs depth */
KEPT static int go_down(int depth)
{
    volatile int below = 0;
    if (depth == 3)
        stop_here(depth);
    else
        below = go_down(depth + 1);
    return below + depth;
}

static error diver(void *arg)
{
    *(int *)arg = go_down(0);
    return OK;
}

static error start(const char *name, fiber_fn fn, void *arg, fiber **out)
{
    return fiber_start(loop_self(), &(fiber_options){ .name = name, .joinable = true }, fn, arg,
                       out);
}

static error stop_among_parked(void)
{
    const uint32_t ms = 3600000;
    fiber *asleep, *waiting, *reading, *diving, *fresh;
    int sum = 0;
    TRY(start("sleeper", sleeper, (void *)(uintptr_t)&ms, &asleep));
    fiber *const canceled_later = asleep;
    TRY(start("joiner", joiner, &asleep, &waiting));
    TRY(start("reader", read_reply, NULL, &reading));
    TRY(fiber_yield());
    TRY(start("diver", diver, &sum, &diving));
    TRY(start("fresh", never_ran, NULL, &fresh));
    TRY(fiber_join(&diving));
    TRY(fiber_join(&fresh));
    fiber_cancel(canceled_later, &CANCELED);
    fiber_wake(reader, OK);
    TRY(fiber_join(&waiting));
    TRY(fiber_join(&reading));
    return sum == 6 ? OK : error_set(&PARKED_WRONG, "sum %d", sum);
}

/* --- work for valgrind ------------------------------------------------------------------------ */

/* Fills frames with what only it knows, waits at the bottom, and looks at them on the way up. */
/* NOLINTNEXTLINE(misc-no-recursion): it is to use much stack */
KEPT static bool wait_deep(int depth, unsigned seed)
{
    volatile unsigned char frame[64];
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (unsigned char)(seed + i);
    const bool below = depth > 0 ? wait_deep(depth - 1, seed + 1) : error_is_ok(fiber_yield());
    bool same = true;
    for (size_t i = 0; i < sizeof frame; i++)
        same = same && frame[i] == (unsigned char)(seed + i);
    return below && same;
}

static error member(void *arg)
{
    const unsigned seed = *(const unsigned *)arg;
    memset(arena_alloc(fiber_arena(), 1000, 8), 1, 1000);
    for (int i = 0; i < 3; i++) {
        if (!wait_deep(DEPTH, seed))
            return error_set(&PARKED_WRONG, "a stack has changed");
        TRY(fiber_sleep(1));
    }
    return seed % 7 == 0 ? error_set(&CANCELED, "member %u", seed) : OK;
}

static error crowd(void)
{
    static fiber *handles[CROWD];
    static unsigned seeds[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
        seeds[i] = i;
        TRY(start("member", member, &seeds[i], &handles[i]));
    }
    for (unsigned i = 0; i < CROWD; i++) {
        const error e = fiber_join(&handles[i]);
        if (error_is(e, &CANCELED) != (i % 7 == 0))
            return error_set(&PARKED_WRONG, "member %u gave the wrong result", i);
    }
    return OK;
}

static error add(void *arg)
{
    ++*(int *)arg;
    return OK;
}

static error offload_add(void *arg)
{
    return offload(add, arg);
}

static error offloaded(void)
{
    int numbers[5] = { 0, 1, 2, 3, 4 };
    wait_group group;
    wait_group_init(&group);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        TRY(wait_group_start(&group, offload_add, &numbers[i]));
    TRY(wait_group_wait(&group));
    for (int i = 0; i < (int)ARRAY_LEN(numbers); i++) {
        if (numbers[i] != i + 1)
            return error_set(&PARKED_WRONG, "number %d is %d", i, numbers[i]);
    }
    return OK;
}

typedef struct end {
    fiber *waiting;
    size_t got;
    bool closed;
} end;

static size_t echo(stream *s, str bytes)
{
    stream_write(s, bytes);
    if (stream_at_end(s))
        stream_close(s, 1000);
    return bytes.len;
}

static size_t count(stream *s, str bytes)
{
    end *e = stream_owner(s);
    e->got += bytes.len;
    if (stream_at_end(s))
        stream_close(s, 1000);
    return bytes.len;
}

static void closed(stream *s, error why)
{
    (void)why;
    end *e = stream_owner(s);
    e->closed = true;
    if (e->waiting)
        fiber_wake(e->waiting, OK);
}

static error echoed(void)
{
    static const stream_handler echoes = { .data = echo, .closed = closed };
    static const stream_handler counts = { .data = count, .closed = closed };
    static const char bytes[ECHO_LEN];
    end far = { 0 }, near = { .waiting = fiber_self() };
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return error_set(&SYSTEM_FAILED, "socketpair");
    stream *s;
    TRY(stream_from_fd(loop_self(), fds[0], &echoes, NULL, &far, &s));
    TRY(stream_from_fd(loop_self(), fds[1], &counts, NULL, &near, &s));
    stream_write(s, (str){ bytes, sizeof bytes });
    stream_end(s);
    TRY(fiber_park("the echo", NULL, NULL));
    while (!far.closed)
        TRY(fiber_sleep(1));
    return near.got == ECHO_LEN ? OK : error_set(&PARKED_WRONG, "%zu bytes", near.got);
}

static error run(void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        TRY(crowd());
        TRY(offloaded());
        TRY(echoed());
    }
    return stop_among_parked();
}

int main(int argc, char **argv)
{
    aborts = argc > 1 && strcmp(argv[1], "abort") == 0;
    const error e = loop_run_fiber(run, NULL);
    if (error_is_ok(e))
        return 0;
    char text[512];
    error_describe(e, text, sizeof text);
    (void)fprintf(stderr, "parked: %s\n", text);
    return 1;
}
