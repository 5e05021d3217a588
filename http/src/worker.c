/* One worker process: a loop, a listener, and the ways it ends.
 *
 *   STARTING --on_worker_start OK--> SERVING --SIGTERM--> draining --no connection left--> exit 0
 *   STARTING --SIGTERM--> as before for a second more
 *                                    SERVING --fault----> RETIRING --drained or 2 s-----> exit 3 */
#include "worker.h"

#include "debug.h"
#include "encoder.h"
#include "prebuilt.h"
#include "quarantine.h"
#include "room.h"
#include "roster.h"
#include "shed.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILES_BESIDE  200  /* a worker may open, beside its connections */
#define ROOM_CHECK_MS 20   /* while accepting pauses */
#define STOP_START_MS 1000 /* for on_worker_start, when told to stop meanwhile */

typedef struct worker_socket {
    listener *listener; /* NULL: not accepting */
    int fd;             /* -1: closed */
    http_entrance entrance;
} worker_socket;

struct worker_process {
    http_server server;
    http_shed shed;
    timer room_timer; /* while accepting pauses for want of room */
    worker_socket *sockets;
    uint32_t socket_count;
    const worker_start *start;
    fiber *starter;   /* runs on_worker_start; NULL when that is done */
    bool stop_wanted; /* told so while it ran */
    bool ended;       /* the loop has been told to stop */
    timer deadline;   /* of draining; before that, of a start that is no longer wanted */
    uint32_t rest;    /* of those who wait in the queues when it drains: so many may yet come */
    bool stopping;
    int exit_status;
};

static worker_process *process_of(http_server *server)
{
    return CONTAINER_OF(server, worker_process, server);
}

/* --- the end --------------------------------------------------------------------------------- */

static void end_loop(worker_process *p)
{
    p->ended = true;
    loop_stop(p->server.loop);
}

static error run_worker_stop(void *arg)
{
    const worker_process *p = arg;
    if (p->server.app->on_worker_stop)
        p->server.app->on_worker_stop();
    return OK;
}

static void worker_stopped(fiber *f, error result, void *arg)
{
    (void)f;
    (void)result;
    end_loop(arg);
}

static void drained(http_server *server)
{
    worker_process *p = process_of(server);
    if (p->stopping)
        return;
    p->stopping = true;
    loop_timer_cancel(server->loop, &p->deadline);
    const fiber_options options = {
        .name = "on_worker_stop", .ended = worker_stopped, .ended_arg = p, .deadline_ms = 5000
    };
    if (fiber_start(server->loop, &options, run_worker_stop, p, NULL).kind)
        end_loop(p);
}

static void drain_deadline(timer *t)
{
    worker_process *p = CONTAINER_OF(t, worker_process, deadline);
    if (p->starter) {
        fiber_cancel(p->starter, &CANCELED);
        return;
    }
    log_warn("connections left at the drain deadline", LOG_UINT("count", p->server.conn_count));
    p->stopping = true;
    end_loop(p);
}

/* --- accepting ------------------------------------------------------------------------------- */

static error start_accepting(worker_process *p)
{
    for (uint32_t i = 0; i < p->socket_count; i++) {
        worker_socket *s = &p->sockets[i];
        if (!s->listener)
            TRY(listener_start(p->server.loop, s->fd, http_server_accept, &s->entrance,
                               &s->listener));
    }
    return OK;
}

static void stop_listening(worker_process *p)
{
    for (uint32_t i = 0; i < p->socket_count; i++) {
        if (!p->sockets[i].entrance.probe)
            listener_stop(&p->sockets[i].listener);
    }
}

/* Clients wait in the queues until a connection has gone, or one has been idle for long enough; but
 * not probes. */
static void pause_accepting(http_server *server)
{
    worker_process *p = process_of(server);
    stop_listening(p);
    if (p->socket_count > 0)
        loop_timer_arm(server->loop, &p->room_timer, ROOM_CHECK_MS);
}

static void accept_rest(worker_process *p);

static void resume_accepting(http_server *server)
{
    worker_process *p = process_of(server);
    if (p->rest > 0)
        accept_rest(p);
    if (p->rest > 0 || !timer_armed(&p->room_timer))
        return;
    loop_timer_cancel(server->loop, &p->room_timer);
    if (start_accepting(p).kind)
        pause_accepting(server);
}

static void room_timer_fired(timer *t)
{
    worker_process *p = CONTAINER_OF(t, worker_process, room_timer);
    loop_timer_arm(p->server.loop, t, ROOM_CHECK_MS);
    if (http_room_is_there(&p->server))
        resume_accepting(&p->server);
}

/* The sockets live on where the supervisor still holds them; where it does not, the next client is
 * refused at once instead of waiting in a queue that nobody serves. */
static void stop_accepting(worker_process *p)
{
    for (uint32_t i = 0; i < p->socket_count; i++) {
        listener_stop(&p->sockets[i].listener);
        close(p->sockets[i].fd);
    }
    loop_timer_cancel(p->server.loop, &p->room_timer);
    p->socket_count = 0;
    p->rest = 0;
}

/* Takes one who waits at a socket; false when nobody does. */
static bool accept_one(worker_process *p, worker_socket *s)
{
    const int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    p->rest--;
    http_server_accept(fd, &s->entrance);
    return true;
}

/* Takes who is connected already, as far as there is room: nobody whom the kernel accepted is lost.
 * Who finds none waits in the queue, and is taken when somebody has gone. */
static void accept_rest(worker_process *p)
{
    for (uint32_t i = 0; i < p->socket_count; i++) {
        do {
            if (!p->sockets[i].entrance.probe && !http_room_is_there(&p->server))
                return;
        } while (p->rest > 0 && accept_one(p, &p->sockets[i]));
    }
    stop_accepting(p);
}

/* The queues are served to their end, and no longer: while some still wait for room, others come
 * after them, so there is a bound. */
static void begin_rest(worker_process *p)
{
    const uint64_t most = (uint64_t)p->server.settings->backlog * p->socket_count;
    p->rest = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    stop_listening(p);
    accept_rest(p);
    if (p->rest > 0)
        loop_timer_arm(p->server.loop, &p->room_timer, ROOM_CHECK_MS);
}

/* Told to stop, or by SIGUSR2 to make way for the worker of another program, which accepts from the
 * same sockets: then there is no hurry with those who may be about to send a request. */
static void stop_gracefully(int signo, void *arg)
{
    worker_process *p = arg;
    const bool hurry = signo != SIGUSR2;
    if (p->starter) { /* clients may wait for it in the queue already: it gets a moment more */
        if (!p->stop_wanted)
            loop_timer_arm(p->server.loop, &p->deadline, STOP_START_MS);
        p->stop_wanted = true;
        return;
    }
    if (!p->server.draining) {
        if (hurry && p->socket_count > 0)
            begin_rest(p);
        else
            stop_accepting(p);
        loop_timer_arm(p->server.loop, &p->deadline,
                       (uint32_t)p->server.settings->drain_timeout_ms);
    } else if (!hurry || p->stopping) {
        return;
    }
    http_server_drain(&p->server, hurry);
}

/* --- faults ---------------------------------------------------------------------------------- */

/* `req` is NULL when the fiber was not a request's. */
static void log_fault(const http_request *req, const crash_report *report)
{
    log_set_request_id(req ? req->shown_id : STR_NONE);
    log_error(report->signo == SIGUSR1 ? "stopped: it did not yield" : "crashed",
              LOG_CSTR("fiber", fiber_name(report->fiber)),
              LOG_CSTR("route", req ? req->match.pattern : NULL),
              LOG_CSTR("signal", strsignal(report->signo)),
              LOG_UINT("address", (uint64_t)(uintptr_t)report->address));
    if (report->invariant.ptr)
        log_error("invariant failed", LOG_STR("what", report->invariant));
    for (uint32_t i = 0; i < report->frame_count; i++) {
        char frame[256];
        crash_describe_frame(report->frames[i], frame, sizeof frame);
        log_error("backtrace", LOG_UINT("frame", i), LOG_CSTR("at", frame));
    }
    log_set_request_id(STR_NONE);
}

/* The process may be damaged: it accepts no more, lets its other requests finish, and goes. */
static void retire(worker_process *p)
{
    if (p->start->settings->workers == 0 || p->exit_status == WORKER_EXIT_RETIRED)
        return; /* alone, it is all there is */
    p->exit_status = WORKER_EXIT_RETIRED;
    atomic_store(&p->start->slot->state, WORKER_RETIRING);
    if (getppid() == p->start->supervisor)
        kill(p->start->supervisor, SIGUSR2);
    stop_accepting(p);
    loop_timer_arm(p->server.loop, &p->deadline, (uint32_t)p->server.settings->retire_timeout_ms);
}

static void count_fault(const worker_process *p, const http_request *req)
{
    const http_settings *settings = p->start->settings;
    if (http_quarantine_count(p->start->quarantine, req->match.route, clock_ms(),
                              (uint32_t)settings->quarantine_faults,
                              (uint64_t)settings->quarantine_window_ms))
        log_error("quarantined until a reload: it crashes again and again",
                  LOG_STR("method", req->head.method_name), LOG_CSTR("route", req->match.pattern));
}

static void crashed(const crash_report *report, void *arg)
{
    worker_process *p = arg;
    /* Not by its name: an app may call its own fibers what it likes. */
    http_request *req = report->fiber_fn == http_request_run ? report->fiber_arg : NULL;
    metrics_add(p->server.metrics, HTTP_METRIC_FAULTS, 1);
    log_fault(req, report);
    if (req && req->match.route)
        count_fault(p, req);
    if (report->fiber == p->starter) { /* still STARTING, so the supervisor does not try for ever */
        p->exit_status = WORKER_EXIT_START;
        end_loop(p);
        return;
    }
    if (p->stopping) { /* on_worker_stop, after which there is nothing */
        end_loop(p);
        return;
    }
    if (req)
        http_conn_crashed(req, report->signo == SIGUSR1 ? 504 : 500);
    retire(p);
    if (p->exit_status == WORKER_EXIT_RETIRED)
        http_server_drain(&p->server, true);
}

/* --- the start ------------------------------------------------------------------------------- */

static error run_worker_start(void *arg)
{
    const worker_process *p = arg;
    return p->server.app->on_worker_start ? p->server.app->on_worker_start() : OK;
}

static void worker_started(fiber *f, error result, void *arg)
{
    (void)f;
    worker_process *p = arg;
    p->starter = NULL;
    loop_timer_cancel(p->server.loop, &p->deadline);
    error e = result;
    if (e.kind && p->stop_wanted) {
        end_loop(p);
        return;
    }
    if (error_is_ok(e))
        e = start_accepting(p);
    if (e.kind) {
        log_error("worker cannot start", LOG_ERR(e));
        p->exit_status = WORKER_EXIT_START;
        end_loop(p);
        return;
    }
    atomic_store(&p->start->slot->state, WORKER_SERVING);
    if (p->start->rehearsal)
        drained(&p->server);
    else if (p->stop_wanted)
        stop_gracefully(SIGTERM, p);
}

/* Logs on the fiber, where the details are, then hands the error on. */
static error start_and_log(void *arg)
{
    const error e = run_worker_start(arg);
    if (e.kind)
        log_error("on_worker_start failed", LOG_ERR(e));
    return e;
}

/* What the limit of open files leaves room for. */
static uint32_t connections_max(const http_settings *settings)
{
    struct rlimit limit;
    const uint32_t wanted = (uint32_t)settings->connections_max;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;
    const uint64_t files = limit.rlim_cur;
    const uint64_t room = files - (files / 2 < FILES_BESIDE ? files / 2 : FILES_BESIDE);
    return room < wanted ? (uint32_t)room : wanted;
}

static error hear_signals(worker_process *p)
{
    TRY(loop_on_signal(p->server.loop, SIGTERM, stop_gracefully, p));
    TRY(loop_on_signal(p->server.loop, SIGINT, stop_gracefully, p));
    if (p->start->supervisor)
        TRY(loop_on_signal(p->server.loop, SIGUSR2, stop_gracefully, p));
    if (!p->start->roster)
        return OK;
    p->server.roster = p->start->roster;
    p->server.place = p->start->place;
    TRY(loop_on_signal(p->server.loop, HTTP_ROSTER_SIGNAL, http_debug_tell, &p->server));
    http_roster_enter(p->server.roster, p->server.place);
    return OK;
}

static error worker_open(worker_process *p)
{
    http_server *server = &p->server;
    const loop_options options = { .fibers_max = (uint32_t)server->settings->fibers_max,
                                   .fibers_spare = HTTP_FIBERS_SPARE,
                                   .heartbeat = &p->start->slot->heartbeat };
    TRY(loop_new(&options, &server->loop));
    list_init(&server->conns);
    list_init(&server->idle_conns);
    http_shed_init(&p->shed, server);
    server->shed = &p->shed;
    server->quarantine = p->start->quarantine;
    server->connections_max = connections_max(server->settings);
    server->on_full = pause_accepting;
    server->on_room = resume_accepting;
    p->room_timer.fire = room_timer_fired;
    server->tickets = p->start->tickets;
    server->rotates_tickets = p->start->tickets && p->start->supervisor == 0;
    p->sockets = MEMORY_NEW_ARRAY(worker_socket, p->start->door_count ? p->start->door_count : 1);
    if (!p->sockets)
        return error_set(&OUT_OF_MEMORY, "no memory for sockets");
    for (; p->socket_count < p->start->door_count; p->socket_count++) {
        const worker_door *door = &p->start->doors[p->socket_count];
        p->sockets[p->socket_count] =
            (worker_socket){ .fd = door->fd,
                             .entrance = { server, door->proxy, door->tls, door->probe } };
    }
    server->metrics = metrics_cells_of(&HTTP_METRICS);
    server->route_metrics = metrics_cells_of(http_router_metrics(server->router));
    if (getrandom(&server->request_seed, sizeof server->request_seed, 0) < 0)
        server->request_seed = clock_us();
    if (server->settings->contain_faults)
        TRY(crash_contain(server->loop, crashed, p));
    if (!p->start->by_hand)
        TRY(hear_signals(p));
    const fiber_options start = {
        .name = "on_worker_start", .ended = worker_started, .ended_arg = p, .deadline_ms = 30000
    };
    return fiber_start(server->loop, &start, start_and_log, p, &p->starter);
}

error http_worker_open(const worker_start *start, worker_process **out)
{
    worker_process *p = MEMORY_NEW(worker_process);
    if (!p)
        return error_set(&OUT_OF_MEMORY, "no memory for a worker");
    p->start = start;
    p->deadline.fire = drain_deadline;
    p->server.app = start->app;
    p->server.settings = start->settings;
    p->server.router = start->router;
    p->server.on_drained = drained;
    const error e = worker_open(p);
    if (e.kind) {
        p->exit_status = WORKER_EXIT_START;
        (void)http_worker_close(&p);
        return e;
    }
    *out = p;
    return OK;
}

http_server *http_worker_server(worker_process *p)
{
    return &p->server;
}

bool http_worker_has_ended(const worker_process *p)
{
    return p->ended;
}

void http_worker_stop(worker_process *p)
{
    stop_gracefully(SIGTERM, p);
}

int http_worker_close(worker_process **owner)
{
    worker_process *p = *owner;
    *owner = NULL;
    const int status = p->exit_status;
    if ((status == 0 || p->start->by_hand) && p->server.conn_count == 0)
        loop_free(&p->server.loop); /* else it goes with the process */
    http_encoders_free(&p->server.encoders);
    http_constants_free(&p->server);
    memory_free(p->sockets);
    memory_free(p);
    return status;
}

int http_worker_run(const worker_start *start)
{
    if (start->supervisor) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* a supervisor that was killed takes its workers along */
        if (getppid() != start->supervisor)
            (void)raise(SIGTERM); /* it was killed before that */
    }
    worker_process *p = NULL;
    error e = log_open(STDERR_FILENO, (log_level)start->settings->log_level,
                       (log_format)start->settings->log_format);
    if (error_is_ok(e))
        e = http_worker_open(start, &p);
    if (p)
        e = loop_run(p->server.loop);
    (void)signal(SIGTERM, SIG_IGN); /* told again, at the end */
    (void)signal(SIGINT, SIG_IGN);
    if (e.kind)
        log_error("worker failed", LOG_ERR(e));
    log_close();
    if (p && e.kind)
        p->exit_status = WORKER_EXIT_START;
    return p ? http_worker_close(&p) : WORKER_EXIT_START;
}
