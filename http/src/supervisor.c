/* The supervisor: binds one listening socket a worker, forks the workers, and never touches a
 * request. A worker that dies is replaced on the same socket, whose accept queue survives.
 *
 * It waits in sigtimedwait: SIGCHLD when a worker has gone, SIGUSR2 when one retires because of a
 * fault, SIGTERM or SIGINT to stop; and every TICK_MS it looks at the heartbeats. A worker that has
 * been in one fiber for longer than a handler may run is sent SIGUSR1, which its crash containment
 * turns into the end of that fiber; one that does not react is killed.
 *
 * Invariant: each socket has at most one worker that accepts. */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX      256
#define SLOTS_PER_WORKER 4 /* the accepting one, and those that retire */
#define TICK_MS          20
#define STALL_GRACE_MS   200  /* past the handler's own deadline */
#define KILL_GRACE_MS    2000 /* after SIGUSR1 */
#define RESPAWN_PAUSE_MS 500  /* after a worker that could not start */
#define FILES_BESIDE     200  /* a worker may open, beside its connections */

typedef struct child {
    pid_t pid; /* 0: free */
    uint32_t socket;
    uint64_t turns;       /* heartbeat seen last */
    uint64_t turns_at_ms; /* and since when */
    uint64_t told_at_ms;  /* SIGUSR1 was sent; 0: not */
} child;

typedef struct supervisor {
    const http_app *app;
    const http_settings *settings;
    const router *router;
    worker_slot *slots; /* shared; one a child */
    child *children;
    uint32_t child_count;
    int listen_fds[WORKERS_MAX];
    uint64_t respawn_at_ms[WORKERS_MAX]; /* 0: none is due */
    uint32_t workers;
    bool stopping;
    bool served; /* every worker has served once */
    int exit_status;
    uint64_t kill_at_ms;  /* when stopping */
    sigset_t worker_mask; /* of signals */
    pid_t pid;            /* of the supervisor itself */
} supervisor;

static uint64_t clock_ms(void)
{
    return http_clock_us() / 1000;
}

/* --- workers --------------------------------------------------------------------------------- */

static void pin_to_core(uint32_t index)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_COUNT(&allowed) == 0)
        return;
    uint32_t wanted = index % (uint32_t)CPU_COUNT(&allowed);
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || wanted-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one); /* only speed depends on it */
        return;
    }
}

NORETURN static void become_worker(const supervisor *s, uint32_t at)
{
    const uint32_t socket = s->children[at].socket;
    sigprocmask(SIG_SETMASK, &s->worker_mask, NULL);
    for (uint32_t i = 0; i < s->workers; i++) {
        if (i != socket)
            close(s->listen_fds[i]);
    }
    pin_to_core(socket);
    metrics_use_slot(at);
    const worker_start start = { .app = s->app,
                                 .settings = s->settings,
                                 .router = s->router,
                                 .slot = &s->slots[at],
                                 .index = socket,
                                 .listen_fd = s->listen_fds[socket],
                                 .supervisor = s->pid };
    exit(http_worker_run(&start));
}

static bool spawn(supervisor *s, uint32_t socket)
{
    uint32_t at = 0;
    while (at < s->child_count && s->children[at].pid != 0)
        at++;
    s->respawn_at_ms[socket] = 0;
    if (at == s->child_count) {
        s->respawn_at_ms[socket] = clock_ms() + RESPAWN_PAUSE_MS; /* too many still retire */
        return true;
    }
    s->children[at] = (child){ .socket = socket, .turns_at_ms = clock_ms() };
    atomic_store(&s->slots[at].state, WORKER_STARTING);
    atomic_store(&s->slots[at].heartbeat.busy_since_ms, 0);
    const pid_t pid = fork();
    if (pid == 0)
        become_worker(s, at);
    if (pid < 0) {
        s->respawn_at_ms[socket] = clock_ms() + RESPAWN_PAUSE_MS;
        return false;
    }
    s->children[at].pid = pid;
    return true;
}

static bool socket_has_worker(const supervisor *s, uint32_t socket)
{
    for (uint32_t i = 0; i < s->child_count; i++) {
        if (s->children[i].pid && s->children[i].socket == socket &&
            atomic_load(&s->slots[i].state) != WORKER_RETIRING)
            return true;
    }
    return s->respawn_at_ms[socket] != 0;
}

static void replace_missing(supervisor *s)
{
    const uint64_t now_ms = clock_ms();
    for (uint32_t i = 0; i < s->workers && !s->stopping; i++) {
        if (s->respawn_at_ms[i] && now_ms >= s->respawn_at_ms[i])
            s->respawn_at_ms[i] = 0;
        if (!socket_has_worker(s, i))
            spawn(s, i);
    }
}

/* --- the end --------------------------------------------------------------------------------- */

static void stop(supervisor *s, int exit_status)
{
    if (s->stopping)
        return;
    s->stopping = true;
    s->exit_status = exit_status;
    s->kill_at_ms = clock_ms() + (uint64_t)s->settings->drain_timeout_ms + KILL_GRACE_MS;
    for (uint32_t i = 0; i < s->child_count; i++) {
        if (s->children[i].pid)
            kill(s->children[i].pid, SIGTERM);
    }
    for (uint32_t i = 0; i < s->workers; i++)
        close(s->listen_fds[i]);
}

static void tell_end(const supervisor *s, pid_t pid, int status)
{
    const int expected = s->stopping ? 0 : WORKER_EXIT_RETIRED;
    if (WIFSIGNALED(status))
        log_error("worker died", LOG_INT("pid", pid), LOG_INT("signal", WTERMSIG(status)));
    else if (WEXITSTATUS(status) != WORKER_EXIT_RETIRED && WEXITSTATUS(status) != expected)
        log_error("worker ended", LOG_INT("pid", pid), LOG_INT("status", WEXITSTATUS(status)));
}

static void child_ended(supervisor *s, pid_t pid, int status)
{
    for (uint32_t i = 0; i < s->child_count; i++) {
        child *c = &s->children[i];
        if (c->pid != pid)
            continue;
        c->pid = 0;
        metrics_use_slot(i); /* what it held is gone: its gauges are zero */
        const bool could_not_start = atomic_load(&s->slots[i].state) == WORKER_STARTING;
        tell_end(s, pid, status);
        if (could_not_start && !s->served)
            stop(s, 1);
        else if (could_not_start)
            s->respawn_at_ms[c->socket] = clock_ms() + RESPAWN_PAUSE_MS;
        return;
    }
}

static bool reap(supervisor *s)
{
    for (;;) {
        int status;
        const pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return pid == 0 || errno != ECHILD;
        child_ended(s, pid, status);
    }
}

/* --- heartbeats ------------------------------------------------------------------------------ */

static void watch_child(supervisor *s, uint32_t i, uint64_t now_ms)
{
    child *c = &s->children[i];
    const loop_heartbeat *beat = &s->slots[i].heartbeat;
    const uint64_t turns = atomic_load_explicit(&beat->turns, memory_order_relaxed);
    const bool busy = atomic_load_explicit(&beat->busy_since_ms, memory_order_relaxed) != 0;
    if (!busy || turns != c->turns) {
        c->turns = turns;
        c->turns_at_ms = now_ms;
        c->told_at_ms = 0;
        return;
    }
    const uint64_t stall_ms = (uint64_t)s->settings->handler_timeout_ms + STALL_GRACE_MS;
    if (c->told_at_ms == 0 && now_ms - c->turns_at_ms > stall_ms) {
        c->told_at_ms = now_ms;
        kill(c->pid, SIGUSR1);
    } else if (c->told_at_ms != 0 && now_ms - c->told_at_ms > KILL_GRACE_MS) {
        kill(c->pid, SIGKILL);
    }
}

static void watch_children(supervisor *s)
{
    const uint64_t now_ms = clock_ms();
    bool all_served = true;
    for (uint32_t i = 0; i < s->child_count; i++) {
        if (!s->children[i].pid)
            continue;
        if (s->settings->contain_faults)
            watch_child(s, i, now_ms);
        all_served &= atomic_load(&s->slots[i].state) != WORKER_STARTING;
        if (s->stopping && now_ms > s->kill_at_ms)
            kill(s->children[i].pid, SIGKILL);
    }
    s->served |= all_served;
}

/* --- life ------------------------------------------------------------------------------------ */

static void wait_for_signal(supervisor *s, const sigset_t *set)
{
    const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
    const int signo = sigtimedwait(set, NULL, &tick);
    if (signo == SIGTERM || signo == SIGINT)
        stop(s, 0);
}

static int mind(supervisor *s, const sigset_t *set)
{
    replace_missing(s);
    for (;;) {
        wait_for_signal(s, set);
        if (!reap(s) && s->stopping)
            return s->exit_status;
        watch_children(s);
        replace_missing(s);
    }
}

static error bind_all(supervisor *s, address at)
{
    if (s->settings->port != 0) {
        /* Without SO_REUSEPORT: what another server has bound would be shared with it, unnoticed.
         */
        int probe;
        TRY(listener_bind(&at, false, &probe));
        close(probe);
    }
    for (uint32_t i = 0; i < s->workers; i++) {
        TRY(listener_bind(&at, true, &s->listen_fds[i]));
        if (i == 0)
            at = listener_address(s->listen_fds[0]); /* port 0: all share the one that was chosen */
    }
    return OK;
}

static error bind_sockets(supervisor *s)
{
    arena a;
    arena_init(&a, 65536);
    address at;
    const str host = s->settings->host;
    const bool is_ipv6 = str_index(host, ':') < host.len;
    const str text =
        str_format(&a, is_ipv6 ? "[%.*s]:%ld" : "%.*s:%ld", STR_ARG(host), (long)s->settings->port);
    error e = address_parse(text, &at) ? bind_all(s, at)
                                       : error_set(&CONFIG_INVALID, "HOST must be an IP address");
    if (error_is(e, &SYSTEM_FAILED))
        e = error_wrap(e, &SYSTEM_FAILED, "listening on %.*s", STR_ARG(text));
    arena_deinit(&a);
    return e;
}

static error supervisor_open(supervisor *s)
{
    s->child_count = s->workers * SLOTS_PER_WORKER;
    s->children = MEMORY_NEW_ARRAY(child, s->child_count);
    void *slots = mmap(NULL, s->child_count * sizeof(worker_slot), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!s->children || slots == MAP_FAILED)
        return error_set(&OUT_OF_MEMORY, "no memory for %u workers", s->workers);
    s->slots = slots;
    const metrics_table *tables[1 + HTTP_APP_METRICS_MAX] = { &HTTP_METRICS };
    uint32_t count = 1;
    for (size_t i = 0; i < HTTP_APP_METRICS_MAX && s->app->metrics[i]; i++)
        tables[count++] = s->app->metrics[i];
    TRY(metrics_open(tables, count, s->child_count));
    return bind_sockets(s);
}

/* The 1,024 open files that shells give are for programs that use select. */
static void raise_file_limit(const http_settings *settings)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < (uint64_t)settings->connections_max + FILES_BESIDE)
        log_warn("fewer open files are allowed than HTTP_CONNECTIONS_MAX needs",
                 LOG_INT("connections_max", settings->connections_max),
                 LOG_UINT("open_files_max", limit.rlim_max));
}

static void tell_address(const supervisor *s)
{
    arena a;
    arena_init(&a, 65536);
    const address at = listener_address(s->listen_fds[0]);
    log_info("serving", LOG_CSTR("app", s->app->name), LOG_STR("address", address_text(&a, &at)),
             LOG_UINT("workers", s->workers));
    arena_deinit(&a);
}

static int run_alone(supervisor *s)
{
    metrics_use_slot(0);
    const worker_start start = { .app = s->app,
                                 .settings = s->settings,
                                 .router = s->router,
                                 .slot = &s->slots[0],
                                 .listen_fd = s->listen_fds[0] };
    return http_worker_run(&start) == 0 ? 0 : 1;
}

static int run_workers(supervisor *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return mind(s, &set);
}

/* From here on a signal to stop waits for the loop that will hear it: that of the supervisor, and
 * in a worker its own. */
static void hold_stop_signals(supervisor *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigprocmask(SIG_BLOCK, NULL, &s->worker_mask);
}

int http_supervisor_run(const http_app *app, const http_settings *settings, const router *routes)
{
    supervisor *s = MEMORY_NEW(supervisor);
    if (!s)
        return 1;
    s->app = app;
    s->settings = settings;
    s->router = routes;
    s->pid = getpid();
    log_set_direct(STDERR_FILENO, (log_level)settings->log_level, (log_format)settings->log_format);
    (void)signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to die */
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    s->workers = settings->workers > 0                ? (uint32_t)settings->workers
                 : settings->workers < 0 && cores > 1 ? (uint32_t)cores
                                                      : 1;
    if (s->workers > WORKERS_MAX)
        s->workers = WORKERS_MAX;
    raise_file_limit(settings);
    hold_stop_signals(s);
    const error e = supervisor_open(s);
    if (e.kind) {
        log_error("cannot start", LOG_ERR(e));
        memory_free(s->children);
        memory_free(s);
        return 1;
    }
    tell_address(s);
    const int status = settings->workers == 0 ? run_alone(s) : run_workers(s);
    memory_free(s->children);
    memory_free(s);
    return status;
}
