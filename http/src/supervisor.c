/* The supervisor: binds the listening sockets, forks the workers, and never touches a request. A
 * worker that dies is replaced on the same sockets, whose accept queues survive.
 *
 * It waits in sigtimedwait: SIGCHLD when a worker has gone, SIGUSR2 when one retires because of a
 * fault, SIGHUP to reload, SIGTERM or SIGINT to stop; and every TICK_MS it looks at the heartbeats.
 * A worker that has been in one fiber for longer than a handler may run is sent SIGUSR1, which its
 * crash containment turns into the end of that fiber; one that does not react is killed.
 *
 *   reload:  SIGHUP -> rehearsal -> exec -> new workers serve -> old workers finish
 *
 * The rehearsal is the program started anew as a child, on the configuration as it is now: it does
 * all that a start does but serve. Only when it has succeeded does the supervisor replace itself by
 * the program, in the same process, so that whoever minds its pid notices nothing. Its workers stay
 * its children and go on accepting beside the new ones, from the same sockets; when every new one
 * serves, the old ones are told to finish (SIGUSR2).
 *
 * Invariant: each TCP socket has at most one worker of a program that accepts, and while it is open
 * somebody does or soon will. */
#include "app.h"
#include "quarantine.h"
#include "reload.h"
#include "roster.h"
#include "tickets.h"
#include "worker.h"

#include "core/ledger.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#define RELOAD_BYTES_MAX ((size_t)16 << 20)
#define RESPAWN_PAUSE_MS 500   /* after a worker that could not start */
#define FILES_BESIDE     200   /* a worker may open, beside its connections */
#define REHEARSAL_MS     40000 /* on_worker_start has 30 s of it */
#define OLD_WORKERS_MAX  1024  /* that have yet to finish; past it a reload waits */

typedef struct child {
    pid_t pid;            /* 0: free */
    uint32_t place;       /* among the workers */
    uint64_t turns;       /* heartbeat seen last */
    uint64_t turns_at_ms; /* and since when */
    uint64_t told_at_ms;  /* SIGUSR1 was sent; 0: not */
} child;

typedef struct supervisor {
    const http_app *app;
    const http_settings *settings;
    const router *router;
    const http_program *program;
    arena arena;        /* of what lasts as long as the supervisor */
    worker_slot *slots; /* shared; one a child */
    child *children;
    uint32_t child_count;
    http_listening listening;
    http_quarantine *quarantine;         /* shared */
    http_roster *roster;                 /* shared; NULL: nobody may ask */
    http_tickets *tickets;               /* shared; NULL: there is no certificate */
    uint64_t respawn_at_ms[WORKERS_MAX]; /* 0: none is due */
    uint32_t workers;
    bool stopping;
    bool has_served[WORKERS_MAX]; /* a worker at that place */
    bool served;                  /* and at every place */
    int exit_status;
    uint64_t kill_at_ms;  /* when stopping */
    sigset_t worker_mask; /* of signals */
    pid_t pid;            /* of the supervisor itself */

    http_inheritance inherited;
    bool settled; /* the workers of the former program were told to finish */
    bool reload_wanted;
    pid_t rehearsal; /* 0: none */
    uint64_t rehearsal_end_ms;
} supervisor;

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

/* The sockets of `place`, in a new array; all others are closed. NULL without memory. */
static worker_door *take_sockets(supervisor *s, uint32_t place, uint32_t *count)
{
    worker_door *doors = MEMORY_NEW_ARRAY(worker_door, s->listening.socket_count);
    if (!doors)
        return NULL;
    *count = 0;
    for (uint32_t i = 0; i < s->listening.socket_count; i++) {
        const http_socket *one = &s->listening.sockets[i];
        const http_address *at = &s->listening.addresses[one->address];
        if (http_socket_is_of(&s->listening, one, place, s->workers))
            doors[(*count)++] = (worker_door){ one->fd, at->proxy, at->tls, at->probe };
        else
            close(one->fd);
    }
    return doors;
}

/* Shared numbers that say what a worker holds begin at zero in its slot. */
static void use_slot(uint32_t at)
{
    metrics_use_slot(at);
    ledger_use_slot(at);
}

NORETURN static void become_worker(supervisor *s, uint32_t at)
{
    worker_start start = { .app = s->app,
                           .settings = s->settings,
                           .router = s->router,
                           .slot = &s->slots[at],
                           .quarantine = s->quarantine,
                           .roster = s->roster,
                           .place = at,
                           .tickets = s->tickets,
                           .index = s->children[at].place,
                           .supervisor = s->pid };
    (void)signal(SIGHUP, SIG_IGN); /* a terminal sends it to all */
    sigprocmask(SIG_SETMASK, &s->worker_mask, NULL);
    start.doors = take_sockets(s, start.index, &start.door_count);
    if (!start.doors)
        exit(WORKER_EXIT_START);
    pin_to_core(start.index);
    use_slot(at);
    exit(http_worker_run(&start));
}

static bool spawn(supervisor *s, uint32_t place)
{
    uint32_t at = 0;
    while (at < s->child_count && s->children[at].pid != 0)
        at++;
    s->respawn_at_ms[place] = 0;
    if (at == s->child_count) {
        s->respawn_at_ms[place] = clock_ms() + RESPAWN_PAUSE_MS; /* too many still retire */
        return true;
    }
    s->children[at] = (child){ .place = place, .turns_at_ms = clock_ms() };
    atomic_store(&s->slots[at].state, WORKER_STARTING);
    atomic_store(&s->slots[at].heartbeat.busy_since_ms, 0);
    const pid_t pid = fork();
    if (pid == 0)
        become_worker(s, at);
    if (pid < 0) {
        s->respawn_at_ms[place] = clock_ms() + RESPAWN_PAUSE_MS;
        return false;
    }
    s->children[at].pid = pid;
    return true;
}

static bool place_has_worker(const supervisor *s, uint32_t place)
{
    for (uint32_t i = 0; i < s->child_count; i++) {
        if (s->children[i].pid && s->children[i].place == place &&
            atomic_load(&s->slots[i].state) != WORKER_RETIRING)
            return true;
    }
    return s->respawn_at_ms[place] != 0;
}

static void replace_missing(supervisor *s)
{
    const uint64_t now_ms = clock_ms();
    for (uint32_t i = 0; i < s->workers && !s->stopping; i++) {
        if (s->respawn_at_ms[i] && now_ms >= s->respawn_at_ms[i])
            s->respawn_at_ms[i] = 0;
        if (!place_has_worker(s, i))
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
    for (uint32_t i = 0; i < s->inherited.worker_count; i++) {
        if (s->inherited.workers[i].pid)
            kill(s->inherited.workers[i].pid, SIGTERM);
    }
    if (s->rehearsal)
        kill(s->rehearsal, SIGKILL);
    http_listening_close(&s->listening);
}

/* --- reloading ------------------------------------------------------------------------------- */

static const char *inheritance(supervisor *s, arena *a, bool rehearsal)
{
    const uint32_t max = s->child_count + s->inherited.worker_count;
    http_old_worker *workers = ARENA_NEW_ARRAY(a, http_old_worker, max);
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->child_count; i++) {
        if (s->children[i].pid)
            workers[count++].pid = s->children[i].pid;
    }
    for (uint32_t i = 0; i < s->inherited.worker_count; i++) {
        if (s->inherited.workers[i].pid)
            workers[count++] = s->inherited.workers[i];
    }
    return http_inheritance_text(a, rehearsal, s->pid, &s->listening, http_tickets_fd(s->tickets),
                                 workers, count);
}

static void start_program(supervisor *s, bool rehearsal)
{
    arena a;
    arena_init(&a, RELOAD_BYTES_MAX);
    const char *text = inheritance(s, &a, rehearsal);
    if (text)
        http_program_exec(s->program, &a, &s->listening, http_tickets_fd(s->tickets), text);
    else
        errno = E2BIG;
    log_error("reload failed", LOG_CSTR("program", s->program->arguments[0]),
              LOG_CSTR("why", strerror(errno)));
    arena_deinit(&a);
}

static void begin_rehearsal(supervisor *s)
{
    log_info("reload begins", LOG_CSTR("app", s->app->name));
    s->reload_wanted = false;
    s->rehearsal_end_ms = clock_ms() + REHEARSAL_MS;
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_SETMASK, &s->worker_mask, NULL);
        if (getppid() == s->pid)
            start_program(s, true);
        _exit(127);
    }
    if (pid < 0)
        log_error("reload failed", LOG_CSTR("why", strerror(errno)));
    else
        s->rehearsal = pid;
}

static void rehearsal_ended(supervisor *s, int status)
{
    s->rehearsal = 0;
    if (s->stopping)
        return;
    if (status != 0) {
        log_error("reload refused: the program would not start; the present one goes on",
                  LOG_INT(WIFSIGNALED(status) ? "signal" : "status",
                          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
        return;
    }
    if (!s->reload_wanted) /* else what was rehearsed may be out of date */
        start_program(s, false);
}

/* The old workers let go, now that there are others. */
static void settle(supervisor *s)
{
    s->settled = true;
    for (uint32_t i = 0; i < s->inherited.worker_count; i++) {
        http_old_worker *old = &s->inherited.workers[i];
        if (!old->pid || old->kill_at_ms)
            continue;
        old->kill_at_ms = clock_ms() + (uint64_t)s->settings->drain_timeout_ms + KILL_GRACE_MS;
        kill(old->pid, SIGUSR2);
    }
    if (s->inherited.given)
        log_info("reloaded", LOG_CSTR("app", s->app->name), LOG_UINT("workers", s->workers));
}

static uint32_t watch_old_workers(const supervisor *s)
{
    uint32_t left = 0;
    const uint64_t now_ms = clock_ms();
    for (uint32_t i = 0; i < s->inherited.worker_count; i++) {
        const http_old_worker *old = &s->inherited.workers[i];
        left += old->pid != 0;
        if (old->pid && old->kill_at_ms && now_ms > old->kill_at_ms)
            kill(old->pid, SIGKILL);
    }
    return left;
}

static bool every_place_serves(const supervisor *s)
{
    uint32_t serving = 0;
    for (uint32_t i = 0; i < s->child_count; i++)
        serving += s->children[i].pid && atomic_load(&s->slots[i].state) == WORKER_SERVING;
    return serving == s->workers; /* a place has at most one that serves */
}

static void mind_reload(supervisor *s)
{
    const uint32_t old_workers = watch_old_workers(s);
    if (s->stopping)
        return;
    if (!s->settled && every_place_serves(s))
        settle(s);
    if (s->rehearsal && clock_ms() > s->rehearsal_end_ms)
        kill(s->rehearsal, SIGKILL);
    if (s->reload_wanted && s->settled && !s->rehearsal && old_workers < OLD_WORKERS_MAX)
        begin_rehearsal(s);
}

/* --- ended processes ------------------------------------------------------------------------- */

static void note_served(supervisor *s, uint32_t child_index)
{
    if (s->served || atomic_load(&s->slots[child_index].state) == WORKER_STARTING)
        return;
    s->has_served[s->children[child_index].place] = true;
    s->served = true;
    for (uint32_t i = 0; i < s->workers; i++)
        s->served &= s->has_served[i];
}

static void tell_end(const supervisor *s, pid_t pid, int status)
{
    const int expected = s->stopping ? 0 : WORKER_EXIT_RETIRED;
    if (WIFSIGNALED(status))
        log_error("worker died", LOG_INT("pid", pid), LOG_INT("signal", WTERMSIG(status)));
    else if (WEXITSTATUS(status) != WORKER_EXIT_RETIRED && WEXITSTATUS(status) != expected)
        log_error("worker ended", LOG_INT("pid", pid), LOG_INT("status", WEXITSTATUS(status)));
}

static bool old_worker_ended(supervisor *s, pid_t pid, int status)
{
    for (uint32_t i = 0; i < s->inherited.worker_count; i++) {
        http_old_worker *old = &s->inherited.workers[i];
        if (old->pid != pid)
            continue;
        old->pid = 0;
        if (WIFSIGNALED(status) ||
            (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != WORKER_EXIT_RETIRED))
            tell_end(s, pid, status);
        return true;
    }
    return false;
}

static bool some_old_worker_accepts(const supervisor *s)
{
    for (uint32_t i = 0; i < s->inherited.worker_count; i++) {
        if (s->inherited.workers[i].pid && s->inherited.workers[i].kill_at_ms == 0)
            return true;
    }
    return false;
}

static void child_ended(supervisor *s, pid_t pid, int status)
{
    if (pid == s->rehearsal) {
        rehearsal_ended(s, status);
        return;
    }
    if (old_worker_ended(s, pid, status))
        return;
    for (uint32_t i = 0; i < s->child_count; i++) {
        child *c = &s->children[i];
        if (c->pid != pid)
            continue;
        c->pid = 0;
        use_slot(i); /* what it held is gone */
        if (s->roster)
            http_roster_leave(s->roster, i);
        const bool could_not_start = atomic_load(&s->slots[i].state) == WORKER_STARTING;
        note_served(s, i);
        tell_end(s, pid, status);
        if (could_not_start && !s->served && !some_old_worker_accepts(s))
            stop(s, 1);
        else if (could_not_start)
            s->respawn_at_ms[c->place] = clock_ms() + RESPAWN_PAUSE_MS;
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
    for (uint32_t i = 0; i < s->child_count; i++) {
        if (!s->children[i].pid)
            continue;
        if (s->settings->contain_faults)
            watch_child(s, i, now_ms);
        note_served(s, i);
        if (s->stopping && now_ms > s->kill_at_ms)
            kill(s->children[i].pid, SIGKILL);
    }
}

/* --- life ------------------------------------------------------------------------------------ */

static void wait_for_signal(supervisor *s, const sigset_t *set)
{
    const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
    const int signo = sigtimedwait(set, NULL, &tick);
    if (signo == SIGTERM || signo == SIGINT)
        stop(s, 0);
    if (signo == SIGHUP)
        s->reload_wanted = true;
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
        if (s->tickets)
            http_tickets_rotate(s->tickets, clock_ms(),
                                (uint64_t)s->settings->tls_ticket_rotation_ms);
        mind_reload(s);
    }
}

/* What a former program leaves, then what is missing. */
static error open_sockets(supervisor *s)
{
    http_listening *l = &s->listening;
    TRY(http_listening_parse(&s->arena, s->settings, l));
    TRY(http_listening_open(l, s->workers, s->inherited.socket_count));
    for (uint32_t i = 0; i < s->inherited.socket_count; i++) {
        const http_heir_socket *heir = &s->inherited.sockets[i];
        if (http_listening_adopt(l, heir->fd, heir->text) || s->inherited.rehearsal)
            continue;
        http_listening_forget(heir->text);
        log_info("no longer listening", LOG_STR("address", heir->text));
    }
    return s->inherited.rehearsal ? http_listening_rehearse(l)
                                  : http_listening_bind(l, s->settings, s->workers);
}

static error open_tickets(supervisor *s)
{
    if (s->settings->tls)
        return http_tickets_open(s->inherited.tickets_fd, clock_ms(), &s->tickets);
    if (s->inherited.tickets_fd >= 0)
        close(s->inherited.tickets_fd);
    return OK;
}

static error supervisor_open(supervisor *s)
{
    TRY(http_inheritance_take(&s->arena, &s->inherited));
    if (s->inherited.given && s->settings->workers == 0)
        return error_set(&CONFIG_INVALID, "WORKERS cannot become 0 by a reload");
    s->child_count = s->workers * SLOTS_PER_WORKER;
    s->children = MEMORY_NEW_ARRAY(child, s->child_count);
    void *slots = mmap(NULL, s->child_count * sizeof(worker_slot), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!s->children || slots == MAP_FAILED)
        return error_set(&OUT_OF_MEMORY, "no memory for %u workers", s->workers);
    s->slots = slots;
    const metrics_table *tables[HTTP_TABLES_MAX];
    const uint32_t count = http_app_metrics(s->app, s->router, tables);
    TRY(http_quarantine_new(&s->quarantine));
    if (s->settings->workers != 0 && s->settings->debug_path.len > 0)
        TRY(http_roster_new(s->child_count, &s->roster));
    TRY(open_tickets(s));
    TRY(metrics_open(tables, count, s->child_count));
    TRY(ledger_open(s->child_count));
    return open_sockets(s);
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

static void tell_addresses(const supervisor *s)
{
    arena a;
    arena_init(&a, 65536);
    for (uint32_t i = 0; i < s->listening.socket_count; i++) {
        const http_socket *one = &s->listening.sockets[i];
        if (one->turn > 0)
            continue;
        log_info("serving", LOG_CSTR("app", s->app->name),
                 LOG_STR("address", http_socket_text(&a, &s->listening, one)),
                 LOG_UINT("workers", s->workers));
    }
    arena_deinit(&a);
}

/* Everything in one process; also how a rehearsal tries a worker's start, which has no sockets. */
static int run_alone(supervisor *s)
{
    use_slot(0);
    worker_start start = { .app = s->app,
                           .settings = s->settings,
                           .router = s->router,
                           .slot = &s->slots[0],
                           .quarantine = s->quarantine,
                           .tickets = s->tickets,
                           .rehearsal = s->inherited.rehearsal };
    if (!start.rehearsal)
        start.doors = take_sockets(s, 0, &start.door_count);
    const int status = start.rehearsal || start.doors ? http_worker_run(&start) : 1;
    memory_free(start.doors);
    s->listening.socket_count = 0; /* closed */
    return status == 0 ? 0 : 1;
}

/* All that waits for the supervisor's own loop. */
static sigset_t supervisor_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR2);
    return set;
}

static int run_workers(supervisor *s)
{
    const sigset_t set = supervisor_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
    return mind(s, &set);
}

/* From here on a signal to stop waits for the loop that will hear it: that of the supervisor, and
 * in a worker its own. After a reload the former program's mask is in force. */
static void hold_stop_signals(supervisor *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigprocmask(SIG_BLOCK, NULL, &s->worker_mask);
    sigdelset(&s->worker_mask, SIGCHLD);
    sigdelset(&s->worker_mask, SIGHUP);
    sigdelset(&s->worker_mask, SIGUSR2);
}

static uint32_t workers_wanted(const http_settings *settings)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const int64_t wanted = settings->workers >= 0 ? settings->workers : (int64_t)cores;
    return wanted < 1 ? 1 : wanted > WORKERS_MAX ? WORKERS_MAX : (uint32_t)wanted;
}

static int run(supervisor *s)
{
    const error e = supervisor_open(s);
    if (e.kind) {
        log_error("cannot start", LOG_ERR(e));
        return 1;
    }
    if (s->inherited.rehearsal)
        return run_alone(s);
    tell_addresses(s);
    return s->settings->workers == 0 ? run_alone(s) : run_workers(s);
}

int http_supervisor_run(const supervisor_start *start)
{
    supervisor *s = MEMORY_NEW(supervisor);
    if (!s)
        return 1;
    const http_settings *settings = start->settings;
    s->app = start->app;
    s->settings = settings;
    s->router = start->router;
    s->program = &start->program;
    s->pid = getpid();
    s->workers = workers_wanted(settings);
    arena_init(&s->arena, RELOAD_BYTES_MAX);
    log_set_direct(STDERR_FILENO, (log_level)settings->log_level, (log_format)settings->log_format);
    (void)signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to die */
    raise_file_limit(settings);
    hold_stop_signals(s);
    const int status = run(s);
    http_listening_close(&s->listening);
    http_listening_unlink(&s->listening);
    http_roster_free(&s->roster);
    http_tickets_free(&s->tickets);
    memory_free(s->listening.sockets);
    memory_free(s->children);
    arena_deinit(&s->arena);
    memory_free(s);
    return status;
}
