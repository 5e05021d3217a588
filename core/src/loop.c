/* The turn of the loop, its clock, its tasks and its signals.
 *
 * Within a turn, posted tasks, streams with unread input and ready fibers are run until nothing is
 * left (or TURN_ROUNDS_MAX, so that no one starves the sockets), and only then the end-of-turn
 * tasks: so all that a turn wrote to one stream leaves in one system call.
 *
 * Invariant: everything in struct loop is touched by its own thread only, but for `remote`, which
 * is under remote_lock. */
#include "core/loop.h"

#include "backend.h"
#include "fiber_private.h"
#include "loop_private.h"
#include "worker.h"

#include "core/block.h"
#include "core/clock.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TURN_ROUNDS_MAX  256
#define STREAMS_WAIT_MS  10000 /* for closed streams, at a program's end */
#define SETTLE_TURNS_MAX 10000 /* fibers that yield for ever do not settle */
#define LOOK_US_MAX      10    /* from one look to the next, where nobody else wants the core */

uint64_t loop_now_ms(const loop *l)
{
    return l->now_ms;
}

uint64_t loop_now_us(const loop *l)
{
    return l->now_us;
}

loop *loop_self(void)
{
    return worker_self.loop;
}

const char *loop_backend_name(const loop *l)
{
    return l->backend->name;
}

void loop_stop(loop *l)
{
    l->stopping = true;
}

void loop_busy_poll_begin(loop *l, uint32_t answers)
{
    l->busy_poll.awaited += answers;
}

void loop_busy_poll_end(loop *l, uint32_t answers)
{
    invariant(l->busy_poll.awaited >= answers);
    l->busy_poll.awaited -= answers;
}

void loop_timer_arm(loop *l, timer *t, uint32_t ms)
{
    timer_wheel_arm(&l->timers, t, clock_deadline_ms(ms));
}

void loop_timer_cancel(loop *l, timer *t)
{
    timer_wheel_cancel(&l->timers, t);
}

/* --- tasks ----------------------------------------------------------------------------------- */

void loop_post(loop *l, loop_task *task)
{
    if (!list_linked(&task->node))
        list_append(&l->posted, &task->node);
}

void loop_at_turn_end(loop *l, loop_task *task)
{
    if (!list_linked(&task->node))
        list_append(&l->turn_end, &task->node);
}

void loop_post_from_thread(loop *l, loop_task *task)
{
    pthread_mutex_lock(&l->remote_lock);
    const bool first = list_is_empty(&l->remote);
    list_append(&l->remote, &task->node);
    pthread_mutex_unlock(&l->remote_lock);
    const uint64_t one = 1;
    /* The counter cannot overflow: one is added each time the list turns non-empty. */
    if (first && write(l->wake.fd, &one, sizeof one) < 0)
        invariant(errno == EAGAIN);
}

static void woken(watch *w)
{
    loop *l = w->arg;
    uint64_t count;
    if (read(w->fd, &count, sizeof count) < 0)
        invariant(errno == EAGAIN || errno == EINTR);
    pthread_mutex_lock(&l->remote_lock);
    list_append_all(&l->posted, &l->remote);
    pthread_mutex_unlock(&l->remote_lock);
}

static void run_tasks(list *tasks)
{
    list batch;
    list_init(&batch);
    list_append_all(&batch, tasks);
    for (list_node *n; (n = list_take_first(&batch));) {
        loop_task *task = CONTAINER_OF(n, loop_task, node);
        task->run(task);
    }
}

/* --- signals --------------------------------------------------------------------------------- */

static void signal_arrived(watch *w)
{
    loop *l = w->arg;
    struct signalfd_siginfo info;
    while (read(w->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        for (uint32_t i = 0; i < LOOP_SIGNALS; i++) {
            if (l->handlers[i].on_signal && l->handlers[i].signo == (int)info.ssi_signo)
                l->handlers[i].on_signal(l->handlers[i].signo, l->handlers[i].arg);
        }
    }
}

static int handler_of(loop *l, int signo)
{
    int unused = -1;
    for (int i = 0; i < LOOP_SIGNALS; i++) {
        if (l->handlers[i].signo == signo)
            return i;
        if (l->handlers[i].signo == 0 && unused < 0)
            unused = i;
    }
    return unused;
}

/* The signals that have a handler. */
static sigset_t handled(const loop *l)
{
    sigset_t all;
    sigemptyset(&all);
    for (uint32_t i = 0; i < LOOP_SIGNALS; i++) {
        if (l->handlers[i].on_signal)
            sigaddset(&all, l->handlers[i].signo);
    }
    return all;
}

error loop_on_signal(loop *l, int signo, void (*on_signal)(int signo, void *arg), void *arg)
{
    const int at = handler_of(l, signo);
    invariant(at >= 0);
    l->handlers[at].signo = on_signal ? signo : 0;
    l->handlers[at].on_signal = on_signal;
    l->handlers[at].arg = arg;

    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signo);
    const sigset_t all = handled(l);
    const bool fresh = l->signals.fd < 0;
    const int fd = signalfd(l->signals.fd, &all, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "signalfd");
    pthread_sigmask(on_signal ? SIG_BLOCK : SIG_UNBLOCK, &one, NULL);
    if (!fresh)
        return OK;
    l->signals = (watch){ .readable = signal_arrived, .arg = l, .fd = fd };
    return l->backend->watch(l, &l->signals);
}

/* Unblocks what loop_on_signal had blocked. */
static void signals_restore(const loop *l)
{
    const sigset_t all = handled(l);
    pthread_sigmask(SIG_UNBLOCK, &all, NULL);
}

/* --- life ------------------------------------------------------------------------------------ */

static error loop_open(loop *l)
{
    TRY(fibers_open(l));
    TRY(l->backend->open(l));
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "eventfd");
    l->wake = (watch){ .readable = woken, .arg = l, .fd = fd };
    return l->backend->watch(l, &l->wake);
}

error loop_new(const loop_options *options, loop **out)
{
    invariant(worker_self.loop == NULL);
    loop *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(&OUT_OF_MEMORY, "no memory for a loop");
    l->backend = &backend_epoll;
    l->wake.fd = l->signals.fd = -1;
    if (options) {
        l->fibers_max = options->fibers_max;
        l->fibers_spare = options->fibers_spare;
        l->heartbeat = options->heartbeat;
    }
    l->now_us = clock_us();
    l->now_ms = l->now_us / 1000;
    timer_wheel_init(&l->timers, l->now_ms);
    list_init(&l->posted);
    list_init(&l->turn_end);
    list_init(&l->unread);
    list_init(&l->remote);
    pthread_mutex_init(&l->remote_lock, NULL);
    worker_self.loop = l;
    const error e = loop_open(l);
    if (e.kind) {
        loop_free(&l);
        return e;
    }
    *out = l;
    return OK;
}

void loop_free(loop **owner)
{
    loop *l = *owner;
    *owner = NULL;
    if (!l)
        return;
    invariant(l->fiber_stats.running == 0);
    invariant(l->streams == 0);
    offload_free(&l->offload);
    signals_restore(l);
    if (l->signals.fd >= 0)
        close(l->signals.fd);
    if (l->wake.fd >= 0)
        close(l->wake.fd);
    if (l->backend_state)
        l->backend->close(l);
    fibers_close(l);
    while (l->lost) {
        block *b = l->lost;
        l->lost = b->next;
        block_release(&b);
    }
    pthread_mutex_destroy(&l->remote_lock);
    worker_self.loop = NULL;
    block_pool_trim();
    free(l);
}

/* --- the turn -------------------------------------------------------------------------------- */

static void beat(loop *l, bool busy)
{
    if (!l->heartbeat)
        return;
    atomic_store_explicit(&l->heartbeat->busy_since_ms, busy ? l->now_ms : 0, memory_order_relaxed);
    loop_count_turn(l);
}

void loop_woke(loop *l)
{
    l->now_us = clock_us();
    l->now_ms = l->now_us / 1000;
    beat(l, true);
}

static int wait_ms(const loop *l)
{
    if (l->stopping || !list_is_empty(&l->posted) || !list_is_empty(&l->unread) ||
        !list_is_empty(&l->ready) || !list_is_empty(&l->yielded) || !list_is_empty(&l->turn_end))
        return 0;
    const uint64_t next_ms = timer_wheel_next_ms(&l->timers);
    if (next_ms == UINT64_MAX)
        return -1;
    const uint64_t now_ms = clock_ms();
    if (next_ms <= now_ms)
        return 0;
    if (clock_is_fake())
        return -1; /* it moves in loop_advance, not while we wait */
    return next_ms - now_ms < INT32_MAX ? (int)(next_ms - now_ms) : INT32_MAX;
}

static void read_again(loop *l)
{
    list batch;
    list_init(&batch);
    list_append_all(&batch, &l->unread);
    for (list_node *n; (n = list_take_first(&batch));)
        stream_read_again(stream_of_unread(n));
}

/* Looks for I/O without sleeping, and lets others have the core who want it. Whether some came. */
static bool look(loop *l)
{
    bool found = false, lost_core = false;
    const uint64_t from_us = clock_us();
    for (uint64_t now_us = from_us; !found && now_us - from_us < LOOP_BUSY_POLL_US;) {
        found = l->backend->wait(l, 0);
        lost_core = lost_core || l->now_us - now_us > LOOK_US_MAX;
        now_us = l->now_us;
        if (!found)
            sched_yield();
    }
    busy_poll_ended(&l->busy_poll, found, lost_core);
    return found;
}

static void turn(loop *l, int timeout_ms)
{
    if (timeout_ms == 0 || !busy_poll_is_due(&l->busy_poll) || clock_is_fake() || !look(l)) {
        beat(l, false);
        l->backend->wait(l, timeout_ms);
    }
    list_append_all(&l->ready, &l->yielded);
    timer_wheel_advance(&l->timers, l->now_ms);
    for (int round = 0; round < TURN_ROUNDS_MAX; round++) {
        run_tasks(&l->posted);
        read_again(l);
        fibers_run(l);
        if (list_is_empty(&l->posted) && list_is_empty(&l->unread) && list_is_empty(&l->ready))
            break;
    }
    run_tasks(&l->turn_end);
}

error loop_run(loop *l)
{
    invariant(worker_self.loop == l && worker_self.fiber == NULL);
    l->stopping = false;
    while (!l->stopping)
        turn(l, wait_ms(l));
    beat(l, false);
    return OK;
}

/* --- turned by hand -------------------------------------------------------------------------- */

void loop_turn(loop *l, uint32_t wait_ms_max)
{
    invariant(worker_self.loop == l && worker_self.fiber == NULL);
    const int ms = wait_ms(l);
    turn(l, ms < 0 || (uint32_t)ms > wait_ms_max ? (int)wait_ms_max : ms);
}

bool loop_is_settled(const loop *l)
{
    return list_is_empty(&l->posted) && list_is_empty(&l->unread) && list_is_empty(&l->ready) &&
           list_is_empty(&l->yielded) && list_is_empty(&l->turn_end) && l->offloaded == 0 &&
           timer_wheel_next_ms(&l->timers) > clock_ms();
}

bool loop_has_io(const loop *l)
{
    const uint32_t own = (uint32_t)(l->wake.fd >= 0) + (uint32_t)(l->signals.fd >= 0);
    return l->descriptors > own || l->offloaded > 0;
}

/* An offloaded call is waited for, other I/O only looked at. */
static void settle(loop *l)
{
    int turns = 0;
    do
        turn(l, l->offloaded > 0 ? wait_ms(l) : 0);
    while (!loop_is_settled(l) && ++turns < SETTLE_TURNS_MAX);
}

void loop_advance(loop *l, uint32_t ms)
{
    invariant(worker_self.loop == l && worker_self.fiber == NULL);
    const uint64_t end_us = clock_us() + (uint64_t)ms * 1000;
    settle(l);
    for (uint64_t next_ms; (next_ms = timer_wheel_next_ms(&l->timers)) <= end_us / 1000;) {
        const uint64_t now_us = clock_us();
        if (next_ms * 1000 > now_us)
            clock_fake_advance(next_ms * 1000 - now_us);
        settle(l);
    }
    clock_fake_advance(end_us - clock_us());
    settle(l);
}

/* --- a program of one fiber ------------------------------------------------------------------ */

typedef struct main_fiber {
    error (*fn)(void *arg);
    void *arg;
    loop *loop;
    error result;
} main_fiber;

static error main_fiber_run(void *arg)
{
    const main_fiber *m = arg;
    return m->fn(m->arg);
}

static void main_fiber_ended(fiber *f, error result, void *arg)
{
    main_fiber *m = arg;
    m->result = result;
    if (result.kind && f->errors) {
        error_slot_copy(&worker_self.errors, f->errors);
        error_slot_drop_arena(&worker_self.errors);
    }
    loop_stop(m->loop);
}

static void streams_waited_for(timer *t)
{
    (void)t;
    loop_stop(worker_self.loop);
}

/* Those that were closed by the last statements may still be sending, or wait for their peer. */
static void wait_for_streams(loop *l)
{
    timer enough = { .fire = streams_waited_for };
    loop_timer_arm(l, &enough, STREAMS_WAIT_MS);
    l->stopping = false;
    while (l->streams > 0 && !l->stopping)
        turn(l, wait_ms(l));
    loop_timer_cancel(l, &enough);
}

error loop_run_fiber(error (*fn)(void *arg), void *arg)
{
    main_fiber m = { .fn = fn, .arg = arg };
    TRY(loop_new(NULL, &m.loop));
    const fiber_options options = {
        .name = "main",
        .ended = main_fiber_ended,
        .ended_arg = &m,
    };
    error e = fiber_start(m.loop, &options, main_fiber_run, &m, NULL);
    if (error_is_ok(e))
        e = loop_run(m.loop);
    wait_for_streams(m.loop);
    loop_free(&m.loop);
    return e.kind ? e : m.result;
}
