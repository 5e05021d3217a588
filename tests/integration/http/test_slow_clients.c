/* Two thousand clients that take their time on purpose: before the first byte, in the head, in the
 * body, and in taking the answer. Others, who behave, are all answered meanwhile, about as fast as
 * before where there is room for everybody, and every slow one is cut off.
 *
 * The slow ones are a few processes, each with its own epoll: every TICK_MS they send one more byte
 * on each connection, or take a few. What became of them is counted in memory that all share. When
 * the server has let go of all, those that read do so at full speed, through what the kernel still
 * holds for them, to see the end. */
#include "tests/support/http_load.h"
#include "tests/support/http_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PROCESSES        4
#define SLOW_EACH        500
#define SLOW             (PROCESSES * SLOW_EACH)
#define TICK_MS          250
#define TICKS_MAX        400 /* catches a server that waits for ever */
#define CLIENTS          3
#define LET_GO_MS        90000 /* far longer than it takes */
#define BEFORE           500   /* good requests, before the slow clients come */
/* What a good request may take beside them: a bound for servers that hang on slow clients, wide
 * enough for a machine that does other work too. */
#define MEDIAN_US_MAX    50000
#define MEDIAN_TIMES_MAX 20

/* --- the slow ones ---------------------------------------------------------------------------- */

typedef enum slow_kind {
    SLOW_SILENT, /* says nothing at all */
    SLOW_HEAD,
    SLOW_BODY,
    SLOW_READER, /* of an answer in pieces */
    SLOW_TAKER,  /* of one that was made at once: its handler has long ended */
    SLOW_KINDS,
} slow_kind;

typedef struct slow_conn {
    int fd; /* -1: it has ended */
    slow_kind kind;
    size_t taken; /* bytes of the answer */
    char answer[16];
} slow_conn;

typedef struct slow_counts {
    _Atomic int begun;                  /* connected, and said as much as they ever say at once */
    _Atomic int refused[SLOW_KINDS];    /* told so by a status, then closed */
    _Atomic int broken_off[SLOW_KINDS]; /* closed without */
    _Atomic int served[SLOW_KINDS];     /* got an answer to half a request */
    _Atomic int left;                   /* still there at the end */
    _Atomic bool hurry;                 /* the server has let go of all */
} slow_counts;

static const char *const BEGINNING[SLOW_KINDS] = {
    [SLOW_SILENT] = "",
    [SLOW_HEAD] = "GET /fast HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    [SLOW_BODY] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n",
    [SLOW_READER] = "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n",
    [SLOW_TAKER] = "GET /big/300000 HTTP/1.1\r\nHost: x\r\n\r\n",
};

static void slow_begin(slow_conn *c, slow_kind kind, uint16_t port, int epoll_fd)
{
    const int little = 2048;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct epoll_event event = { .events = EPOLLRDHUP, .data.ptr = c };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *c = (slow_conn){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .kind = kind };
    if (c->fd < 0 || setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little) < 0 ||
        connect(c->fd, (struct sockaddr *)(void *)&to, sizeof to) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        _exit(2);
    const char *text = BEGINNING[kind];
    if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        _exit(3);
}

static void slow_ended(slow_conn *c, slow_counts *counts)
{
    close(c->fd);
    c->fd = -1;
    const bool told = c->taken >= 12 && memcmp(c->answer, "HTTP/1.1 408", 12) == 0;
    const bool asked = c->kind == SLOW_READER || c->kind == SLOW_TAKER;
    _Atomic int *what = told                     ? counts->refused
                        : c->taken > 0 && !asked ? counts->served
                                                 : counts->broken_off;
    atomic_fetch_add(&what[c->kind], 1);
}

/* Takes up to `most` bytes of what came; false when there is nothing now, or the end. */
static bool slow_take(slow_conn *c, size_t most, slow_counts *counts)
{
    char some[32768];
    const ssize_t got = recv(c->fd, some, most, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        slow_ended(c, counts);
        return false;
    }
    for (size_t i = 0; i < (size_t)got && c->taken + i < sizeof c->answer; i++)
        c->answer[c->taken + i] = some[i];
    c->taken += (size_t)got;
    return true;
}

/* The next bit of what this one does slowly. */
static void slow_go_on(slow_conn *c, slow_counts *counts)
{
    if (atomic_load(&counts->hurry)) {
        const int much = 1 << 20;
        (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
        while (slow_take(c, 32768, counts))
            ;
    } else if (c->kind == SLOW_READER || c->kind == SLOW_TAKER) {
        slow_take(c, 16, counts);
    } else if (c->kind == SLOW_SILENT) {
        slow_take(c, 32768, counts);
    } else {
        (void)send(c->fd, "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        slow_take(c, 32768, counts);
    }
}

/* The server's end is noticed at once; it is what the kernel tells by itself. */
static void slow_wait(int epoll_fd, slow_counts *counts)
{
    struct epoll_event events[64];
    for (const uint64_t end_ms = test_clock_ms() + TICK_MS; test_clock_ms() < end_ms;) {
        const int count = epoll_wait(epoll_fd, events, 64, TICK_MS);
        for (int i = 0; i < count; i++) {
            while (slow_take(events[i].data.ptr, 32768, counts))
                ;
        }
    }
}

NORETURN static void slow_process(slow_counts *counts, uint16_t port)
{
    static slow_conn conns[SLOW_EACH];
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int left = SLOW_EACH;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < SLOW_EACH; i++) {
        slow_begin(&conns[i], (slow_kind)(i % SLOW_KINDS), port, epoll_fd);
        atomic_fetch_add(&counts->begun, 1);
    }
    for (int tick = 0; tick < TICKS_MAX && left > 0; tick++) {
        slow_wait(epoll_fd, counts);
        left = 0;
        for (int i = 0; i < SLOW_EACH; i++) {
            if (conns[i].fd >= 0)
                slow_go_on(&conns[i], counts);
            left += conns[i].fd >= 0;
        }
    }
    atomic_fetch_add(&counts->left, left);
    _exit(0);
}

/* Waits for a condition that is sure to come. */
#define wait_until(condition_)                                                   \
    for (const uint64_t end_ms_ = test_clock_ms() + LET_GO_MS; !(condition_);) { \
        if (test_clock_ms() >= end_ms_)                                          \
            server_print_log(&server);                                           \
        assert_true(test_clock_ms() < end_ms_);                                  \
        test_pause_ms(100);                                                      \
    }

/* --- both at once ----------------------------------------------------------------------------- */

/* Slow and good clients together until the server has let go of all slow ones. */
static void run(slow_counts *counts, int per_conn, bool is_room)
{
    pid_t pids[PROCESSES];
    http_load *load = load_start_with(server.port, CLIENTS, per_conn);
    wait_until(atomic_load(&load->timed) >= BEFORE);
    const uint32_t median_us = load_median_us(load, 0, BEFORE);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            slow_process(counts, server.port);
        assert_true(pids[i] > 0);
    }
    wait_until(counts->begun == SLOW);
    const uint32_t from = atomic_load(&load->timed);
    wait_until(http_metric(server.port, "http_connections") <= CLIENTS + 1);
    const uint32_t to = atomic_load(&load->timed);
    const uint32_t median_beside_us = load_median_us(load, from, to);
    assert_true(to > from);
    atomic_store(&counts->hurry, true);
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_true(load_end(load));
    print_message("%d slow clients: %d heads, %d bodies refused, %d others broken off; "
                  "%lu good requests answered, %lu failed\n",
                  counts->begun, counts->refused[SLOW_HEAD], counts->refused[SLOW_BODY],
                  counts->broken_off[SLOW_SILENT] + counts->broken_off[SLOW_READER] +
                      counts->broken_off[SLOW_TAKER],
                  (unsigned long)load->answered, (unsigned long)load->failed);
    print_message("a good request takes %u us in the median, beside slow clients %u us (of %u)\n",
                  median_us, median_beside_us, to - from);
    if (is_room)
        assert_true(median_beside_us <= MEDIAN_US_MAX ||
                    median_beside_us <= MEDIAN_TIMES_MAX * median_us);
    if (load->failed > 0)
        server_print_log(&server);
    assert_int_equal(load->failed, 0);
    load_free(load);
}

static slow_counts *counts_new(void)
{
    slow_counts *counts =
        mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(counts != MAP_FAILED);
    return counts;
}

/* Nobody was served, nobody is left, and the server ends well. */
static void check_all_cut_off(slow_counts *counts)
{
    int cut_off = 0;
    for (int kind = 0; kind < SLOW_KINDS; kind++) {
        assert_int_equal(counts->served[kind], 0);
        cut_off += counts->refused[kind] + counts->broken_off[kind];
    }
    assert_int_equal(counts->begun, SLOW);
    assert_int_equal(counts->left, 0);
    assert_int_equal(cut_off, SLOW);
    munmap(counts, sizeof *counts);
    assert_int_equal((int)http_metric(server.port, "http_connections_refused_total"), 0);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

static void test_slow_clients_are_cut_off_while_others_are_answered(void **state)
{
    (void)state;
    slow_counts *counts = counts_new();
    serve(ENVIRONMENT("WORKERS=2", "HTTP_FIRST_BYTE_TIMEOUT=4s", "HTTP_HEADER_TIMEOUT=4s",
                      "HTTP_BODY_TIMEOUT=4s", "HTTP_WRITE_TIMEOUT=4s", "HTTP_IDLE_TIMEOUT=4s"));
    run(counts, LOAD_PER_CONN_MAX, true);
    /* There was room for all: who said half a request was told. */
    assert_int_equal(counts->refused[SLOW_HEAD] + counts->refused[SLOW_BODY],
                     SLOW * 2 / SLOW_KINDS);
    check_all_cut_off(counts);
}

/* Room for a quarter of them: the others wait, and good clients with them, and all get their turn.
 */
static void test_slow_clients_past_the_cap_only_delay_the_others(void **state)
{
    (void)state;
    slow_counts *counts = counts_new();
    serve(ENVIRONMENT("WORKERS=2", "HTTP_CONNECTIONS_MAX=250", "HTTP_FIRST_BYTE_TIMEOUT=2s",
                      "HTTP_HEADER_TIMEOUT=2s", "HTTP_BODY_TIMEOUT=2s", "HTTP_WRITE_TIMEOUT=2s",
                      "HTTP_IDLE_TIMEOUT=2s"));
    run(counts, 1, false);
    check_all_cut_off(counts);
}

#define slow_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        slow_test(test_slow_clients_are_cut_off_while_others_are_answered),
        slow_test(test_slow_clients_past_the_cap_only_delay_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
