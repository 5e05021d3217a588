/* Everything at once, for a while, under valgrind: servers without sanitizers, and clients who keep
 * connections, pipeline, upload, take streams, events and files, pass through layers, come over TLS
 * and behind a PROXY header, have one server call another, break off in the middle and send
 * nonsense. Each answer is checked; then the servers are told to end, and each of their processes
 * has made no error and lost no memory.
 *
 * Faults are left out: what a fiber that crashed had allocated is given up on purpose. */
#include "tests/support/http_test.h"
#include "tests/support/random.h"
#include "tests/support/tls_client.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS    4
#define LASTS_S    20 /* unless BRIO_SOAK_SECONDS says another time */
#define FILE_BYTES 400000

typedef enum program {
    FAULTY_ONE,
    STREAMER_ONE,
    FILER_ONE,
    COMPRESSOR_ONE,
    SHIELDED_ONE,
    CALLER_ONE, /* of the streamer */
    SECURED_ONE,
    PROGRAMS,
} program;

static const char *const NAMES[PROGRAMS] = { "FAULTY",   "STREAMER", "FILER",  "COMPRESSOR",
                                             "SHIELDED", "CALLER",   "SECURED" };

/* The ways in: to each program, and to some by other listeners. */
typedef enum way {
    OVER_TLS = PROGRAMS,
    PROXIED,
    PROXIED_TLS,
    WAYS,
} way;

static const struct {
    const char *scheme;
    bool proxy, tls;
} LISTENERS[WAYS] = {
    [OVER_TLS] = { "\"tls:127.0.0.1:", false, true },
    [PROXIED] = { "\"proxy:127.0.0.1:", true, false },
    [PROXIED_TLS] = { "\"proxy+tls:127.0.0.1:", true, true },
};

static char folder[64];
static server_process servers[PROGRAMS];
static uint16_t ports[WAYS];
static char large[FILE_BYTES];

typedef struct soak {
    _Atomic uint64_t done;
    _Atomic uint64_t wrong;
} soak;

/* --- the servers ------------------------------------------------------------------------------ */

static void make_file(const char *path, const char *bytes, size_t len)
{
    const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

/* What else a program is told. */
static const char *setting_of(program which)
{
    static char text[160];
    text[0] = '\0';
    if (which == CALLER_ONE)
        (void)snprintf(text, sizeof text, "UPSTREAM=http://127.0.0.1:%u", ports[STREAMER_ONE]);
    if (which == SECURED_ONE)
        (void)snprintf(text, sizeof text,
                       "LISTEN=127.0.0.1:0 tls:127.0.0.1:0 proxy:127.0.0.1:0 "
                       "proxy+tls:127.0.0.1:0");
    return text[0] ? text : "SOAK=1";
}

static void start_under_valgrind(program which)
{
    char log[96], certificate[160];
    (void)snprintf(log, sizeof log, "--log-file=%s/valgrind.%s.%%p", folder, NAMES[which]);
    (void)snprintf(certificate, sizeof certificate, "TLS_CERT_FILE=%s",
                   which == SECURED_ONE ? tls_file_path("server") : "");
    server_process *s = &servers[which];
    program_launch(s,
                   ENVIRONMENT("/usr/bin/valgrind", "--leak-check=full", "--error-exitcode=9",
                               "--errors-for-leak-kinds=definite,possible", log,
                               getenv(NAMES[which])),
                   ENVIRONMENT("WORKERS=1", "HTTP_REQUEST_MEMORY_MAX=8M", "HTTP_WRITE_TIMEOUT=5s",
                               "LOG_FORMAT=json", setting_of(which), certificate));
}

static uint16_t logged_port(const server_process *s, const char *before)
{
    static char log[65536];
    const ssize_t got = pread(s->log_fd, log, sizeof log - 1, 0);
    log[got > 0 ? got : 0] = '\0';
    const char *at = strstr(log, before);
    assert_non_null(at);
    return (uint16_t)strtoul(at + strlen(before), NULL, 10);
}

/* Who calls another is told where that is, so it starts when the others do. */
static void start_all(void)
{
    for (program which = 0; which < PROGRAMS; which++) {
        if (which != CALLER_ONE)
            start_under_valgrind(which);
    }
    for (program which = 0; which < PROGRAMS; which++) {
        if (which == CALLER_ONE)
            start_under_valgrind(which);
        server_await(&servers[which]);
        ports[which] = servers[which].port;
    }
    for (way w = OVER_TLS; w < WAYS; w++)
        ports[w] = logged_port(&servers[SECURED_ONE], LISTENERS[w].scheme);
}

static int setup(void **state)
{
    (void)state;
    if (access("/usr/bin/valgrind", X_OK) != 0) {
        (void)fprintf(stderr, "valgrind is not installed\n");
        exit(77);
    }
    (void)snprintf(folder, sizeof folder, "/tmp/brio-soak-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    (void)signal(SIGPIPE, SIG_IGN); /* of OpenSSL's own writes */
    assert_true(tls_files_make());
    assert_int_equal(mkdir("site", 0700), 0);
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)('a' + i % 26);
    make_file("site/large.txt", large, sizeof large);
    make_file("site/ten.txt", "0123456789", 10);
    make_file("site/index.html", "<p>", 3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (program which = 0; which < PROGRAMS; which++)
        server_kill(&servers[which]);
    char command[128];
    tls_files_remove();
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(command, sizeof command, "exec rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a folder of our own */
}

/* --- the clients ------------------------------------------------------------------------------ */

typedef struct client {
    soak *counts;
    peer peers[WAYS]; /* kept while they live */
    random_state random;
} client;

static void connect_to(peer *p, int which)
{
    peer_connect(p, ports[which]);
    if (LISTENERS[which].proxy)
        peer_sendf(p, "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n");
    if (LISTENERS[which].tls && !tls_peer_start(p, &(tls_ask){ .name = NULL })) {
        print_error("no handshake\n");
        _exit(1);
    }
}

static peer *to(client *c, int which)
{
    peer *p = &c->peers[which];
    if (p->fd < 0)
        connect_to(p, which);
    return p;
}

/* What was asked is answered with that status, and so many bytes unless -1. */
static void expect(client *c, int which, const char *what, int status, ssize_t bytes)
{
    answer a;
    peer *p = &c->peers[which];
    peer_read(p, false, &a);
    while (a.status == 100) {
        answer_free(&a);
        peer_read(p, false, &a);
    }
    const bool right =
        (status < 0 || a.status == status) && (bytes < 0 || a.body.len == (size_t)bytes);
    atomic_fetch_add(right ? &c->counts->done : &c->counts->wrong, 1);
    if (!right)
        print_error("%s: %d with %zu bytes instead of %d with %zd: %.*s\n", what, a.status,
                    a.body.len, status, bytes,
                    STR_ARG(str_slice(a.body, 0, a.body.len < 200 ? a.body.len : 200)));
    if (a.closes || a.status == 0)
        peer_close(p);
    answer_free(&a);
}

static void pipeline(client *c)
{
    static const char *const paths[] = { "/fast", "/slow/2", "/big/70000", "/query?q=a" };
    const int count = 1 + (int)random_below(&c->random, 30);
    peer *p = to(c, FAULTY_ONE);
    for (int i = 0; i < count; i++)
        peer_sendf(p, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i % 4]);
    for (int i = 0; i < count; i++)
        expect(c, FAULTY_ONE, paths[i % 4], 200, i % 4 == 2 ? 70000 : -1);
}

static void upload(client *c, bool chunked)
{
    const size_t bytes = random_below(&c->random, FILE_BYTES);
    peer *p = to(c, STREAMER_ONE);
    peer_sendf(p, "POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n");
    if (chunked) {
        peer_sendf(p, "Transfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0; at < bytes; at += 30000) {
            const size_t piece = bytes - at < 30000 ? bytes - at : 30000;
            peer_sendf(p, "%zx;x=y\r\n", piece);
            peer_send(p, (str){ large + at, piece });
            peer_send(p, STR("\r\n"));
        }
        peer_send(p, STR("0\r\nX-Trailer: 1\r\n\r\n"));
    } else {
        peer_sendf(p, "Content-Length: %zu\r\n\r\n", bytes);
        peer_send(p, (str){ large, bytes });
    }
    expect(c, STREAMER_ONE, "/upload", 200, -1);
}

/* Asks, and goes before the end, with or without a word. */
static void break_off(client *c, int which, const char *request)
{
    peer p;
    connect_to(&p, which);
    peer_sendf(&p, "%s", request);
    test_pause_ms((long)random_below(&c->random, 20));
    if (random_below(&c->random, 2))
        peer_end(&p);
    else
        peer_reset(&p);
    peer_close(&p);
    atomic_fetch_add(&c->counts->done, 1);
}

/* Goes before it is in. */
static void break_off_at_the_door(client *c)
{
    static const struct {
        way way;
        str says;
    } rows[] = {
        { OVER_TLS, { "GET /fast HTTP/1.1\r\n\r\n", 22 } },
        { OVER_TLS, { "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half", 15 } },
        { OVER_TLS, { "", 0 } },
        { PROXIED, { "PROXY TCP4 192.0.2.1 127.0.", 27 } },
        { PROXIED, { "PROXY TCP4 nonsense\r\nGET / HTTP/1.1\r\n", 37 } },
        { PROXIED_TLS, { "PROXY UNKNOWN\r\n\x16\x03\x01\x02", 19 } },
        { PROXIED_TLS, { "PROXY UNKNOWN\r\nnonsense", 23 } },
    };
    const size_t i = random_below(&c->random, ARRAY_LEN(rows));
    peer p;
    peer_connect(&p, ports[rows[i].way]);
    peer_send(&p, rows[i].says);
    test_pause_ms((long)random_below(&c->random, 20));
    if (random_below(&c->random, 2))
        peer_reset(&p);
    peer_close(&p);
    atomic_fetch_add(&c->counts->done, 1);
}

#define BYTES(literal_)                   \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    }
#define GET_(target_) "GET " target_ " HTTP/1.1\r\nHost: x\r\n\r\n"
#define JSON          "application/json"
#define FORM          "multipart/form-data; boundary=b"
#define PART(headers_, body_) \
    "--b\r\nContent-Disposition: form-data; " headers_ "\r\n\r\n" body_ "\r\n"
#define GOOD_FORM PART("name=a", "1") PART("name=f; filename=g", "bytes") "--b--\r\n"
#define MALFORMED "GET /fast HTTP/1.1\nHost: x\n\n"

/* One request, one answer. */
static const struct {
    int which; /* a program, or a way */
    const char *target;
    const char *lines; /* of a GET */
    const char *type;  /* of a POST; NULL: it is a GET */
    str body;
    int status;    /* 0: the answer is broken off; -1: whatever */
    ssize_t bytes; /* of the answer; -1: whatever */
} EXCHANGES[] = {
    { STREAMER_ONE, "/events", "Last-Event-ID: 7\r\n", .status = 200, .bytes = -1 },
    { STREAMER_ONE, "/bytes/200000", "", .status = 200, .bytes = 200000 },
    { STREAMER_ONE, "/numbers/2000", "", .status = 200, .bytes = -1 },
    { STREAMER_ONE, "/breaks", "", .status = 0, .bytes = -1 },
    { STREAMER_ONE, "/parts", .type = FORM, BYTES(GOOD_FORM), 200, -1 },
    { STREAMER_ONE, "/parts", .type = FORM, BYTES("--b\r\nnonsense"), 400, -1 },
    { STREAMER_ONE, "/small", .type = FORM, { large, 2000 }, 413, -1 },
    { FILER_ONE, "/static/large.txt", "", .status = 200, .bytes = FILE_BYTES },
    { FILER_ONE, "/static/", "Range: bytes=0-1\r\n", .status = 206, .bytes = 2 },
    { FILER_ONE, "/static/large.txt", "Range: bytes=0-9,99-900\r\n", .status = 206, .bytes = -1 },
    { FILER_ONE, "/static/ten.txt", "If-None-Match: *\r\n", .status = 304, .bytes = 0 },
    { FILER_ONE, "/static/ten.txt", "Range: bytes=99-\r\n", .status = 416, .bytes = -1 },
    { FILER_ONE, "/sized/9", "", .status = 0, .bytes = -1 },
    { FILER_ONE, "/static/../static/nothing", "", .status = 404, .bytes = -1 },
    { COMPRESSOR_ONE, "/text/50000", "Accept-Encoding: br\r\n", .status = 200, .bytes = -1 },
    { COMPRESSOR_ONE, "/text/50000", "Accept-Encoding: zstd\r\n", .status = 200, .bytes = -1 },
    { COMPRESSOR_ONE, "/pieces/90000", "Accept-Encoding: gzip\r\n", .status = 200, .bytes = -1 },
    { FAULTY_ONE, "/items", .type = JSON, BYTES("{\"name\":\"a\",\"count\":1}"), 201, -1 },
    { FAULTY_ONE, "/items", .type = JSON, BYTES("{\"name\":1,\"count\":\"\"}"), 422, -1 },
    { FAULTY_ONE, "/items", .type = JSON, BYTES("{\"name\":"), 400, -1 },
    { FAULTY_ONE, "/echo/late", .type = JSON, { large, 90000 }, 200, 90000 },
    { FAULTY_ONE, "/memory", "", .status = 503, .bytes = -1 },
    { FAULTY_ONE, "/no-answer", "", .status = 500, .bytes = -1 },
    { FAULTY_ONE, "/header?value=a", "Connection: close\r\n", .status = 200, .bytes = 3 },
    { OVER_TLS, "/tls", "", .status = 200, .bytes = -1 },
    { OVER_TLS, "/big/100000", "Connection: close\r\n", .status = 200, .bytes = 100000 },
    { OVER_TLS, "/pieces/90000", "", .status = 200, .bytes = 90000 },
    { OVER_TLS, "/static/large.txt", "", .status = 200, .bytes = FILE_BYTES },
    { OVER_TLS, "/echo", .type = JSON, { large, 90000 }, 200, 90000 },
    { PROXIED, "/client", "", .status = 200, .bytes = 9 },
    { PROXIED, "/client", "Connection: close\r\n", .status = 200, .bytes = 9 },
    { PROXIED_TLS, "/client", "Connection: close\r\n", .status = 200, .bytes = 9 },
    { PROXIED_TLS, "/echo", .type = JSON, { large, 9000 }, 200, 9000 },
    { SHIELDED_ONE, "/tagged/hello", "", .status = 200, .bytes = 5 },
    { SHIELDED_ONE, "/tagged/hello", "If-None-Match: *\r\n", .status = 304, .bytes = 0 },
    { SHIELDED_ONE, "/tagged/streamed", "", .status = 200, .bytes = 5 },
    { SHIELDED_ONE, "/listed/hello", "Origin: https://app.example\r\n", .status = 200, .bytes = 5 },
    { SHIELDED_ONE, "/everybody/fails", "Origin: https://x\r\n", .status = 400, .bytes = -1 },
    { SHIELDED_ONE, "/keys/which?key=a", "", .status = -1, .bytes = -1 },
    { SHIELDED_ONE, "/named/whence", "X-Request-Id: soak\r\n", .status = 200, .bytes = 4 },
    { SHIELDED_ONE, "/replaced", "", .status = 200, .bytes = -1 },
    { SHIELDED_ONE, "/nowhere", "", .status = 404, .bytes = -1 },
    { CALLER_ONE, "/ask", "", .status = 200, .bytes = -1 },
    { CALLER_ONE, "/misread", "", .status = 503, .bytes = -1 },
    { CALLER_ONE, "/nobody", "", .status = 503, .bytes = -1 },
    { CALLER_ONE, "/glance", "", .status = 200, .bytes = 9 },
    { CALLER_ONE, "/endless", "", .status = 504, .bytes = -1 },
};

static void do_exchange(client *c, size_t i)
{
    const int which = EXCHANGES[i].which;
    const str body = EXCHANGES[i].body;
    peer *p = to(c, which);
    if (EXCHANGES[i].type) {
        peer_sendf(p,
                   "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                   EXCHANGES[i].target, EXCHANGES[i].type, body.len);
        peer_send(p, body);
    } else {
        peer_sendf(p, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", EXCHANGES[i].target,
                   EXCHANGES[i].lines);
    }
    expect(c, which, EXCHANGES[i].target, EXCHANGES[i].status, EXCHANGES[i].bytes);
}

/* Requests whose clients go before they are answered, or before they are whole. */
static const struct {
    int which;
    const char *request;
} ABORTED[] = {
    { FAULTY_ONE, GET_("/slow/500") },
    { FAULTY_ONE, GET_("/big/3000000") },
    { FAULTY_ONE, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf" },
    { FAULTY_ONE,
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" },
    { STREAMER_ONE, GET_("/endless") },
    { STREAMER_ONE, GET_("/bytes/5000000") },
    { STREAMER_ONE,
      "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha" },
    { STREAMER_ONE, "POST /parts HTTP/1.1\r\nHost: x\r\nContent-Type: " FORM
                    "\r\nContent-Length: 99\r\n\r\n--b" },
    { FILER_ONE, GET_("/static/large.txt") },
    { FILER_ONE, GET_("/one/large.txt") },
    { FILER_ONE, "GET /sta" },
    { FILER_ONE, MALFORMED },
    { COMPRESSOR_ONE, GET_("/pieces/900000") },
    { COMPRESSOR_ONE, "GET /pieces/900000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: zstd\r\n\r\n" },
    { COMPRESSOR_ONE, "GET /events HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n" },
    { COMPRESSOR_ONE, "GET /pieces/900000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n" },
    { OVER_TLS, GET_("/pieces/900000") },
    { OVER_TLS, GET_("/static/large.txt") },
    { OVER_TLS, GET_("/slow/500") },
    { PROXIED, GET_("/big/3000000") },
    { PROXIED_TLS, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf" },
    { SHIELDED_ONE, GET_("/tagged/streamed") },
    { CALLER_ONE, GET_("/endless") },
    { CALLER_ONE, GET_("/ask") },
};

static void do_something(client *c)
{
    const size_t i = random_below(&c->random, ARRAY_LEN(EXCHANGES) + 8);
    if (i < ARRAY_LEN(EXCHANGES)) {
        do_exchange(c, i);
    } else if (i == ARRAY_LEN(EXCHANGES)) {
        pipeline(c);
    } else if (i <= ARRAY_LEN(EXCHANGES) + 2) {
        upload(c, i == ARRAY_LEN(EXCHANGES) + 1);
    } else if (i == ARRAY_LEN(EXCHANGES) + 3) {
        break_off_at_the_door(c);
    } else {
        const size_t which = random_below(&c->random, ARRAY_LEN(ABORTED));
        break_off(c, ABORTED[which].which, ABORTED[which].request);
    }
}

NORETURN static void soak_client(soak *counts, random_state seed, uint64_t lasts_ms)
{
    client c = { .counts = counts, .random = seed };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int which = 0; which < WAYS; which++)
        c.peers[which].fd = -1;
    for (const uint64_t end_ms = test_clock_ms() + lasts_ms; test_clock_ms() < end_ms;)
        do_something(&c);
    for (int which = 0; which < WAYS; which++)
        peer_close(&c.peers[which]);
    _exit(0);
}

/* --- what valgrind says ----------------------------------------------------------------------- */

/* Every process of the servers has left a log, and each says that nothing was wrong. */
static int count_clean_logs(void)
{
    static char text[65536]; /* the end of it: what valgrind says of unknown system calls is long */
    int clean = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char path[512];
        if (strncmp(entry->d_name, "valgrind.", 9) != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        const off_t all = lseek(fd, 0, SEEK_END), most = sizeof text - 1;
        const ssize_t got = pread(fd, text, (size_t)most, all > most ? all - most : 0);
        close(fd);
        text[got > 0 ? got : 0] = '\0';
        const bool no_leak =
            strstr(text, "All heap blocks were freed") ||
            (strstr(text, "definitely lost: 0 bytes") && strstr(text, "indirectly lost: 0 bytes") &&
             strstr(text, "possibly lost: 0 bytes"));
        if (no_leak && strstr(text, "ERROR SUMMARY: 0 errors"))
            clean++;
        else
            print_error("%s:\n%s\n", entry->d_name, text);
    }
    closedir(dir);
    return clean;
}

static void test_soak_under_valgrind_makes_no_error_and_loses_nothing(void **state)
{
    (void)state;
    random_state seeds = random_start();
    const char *lasts = getenv("BRIO_SOAK_SECONDS");
    const uint64_t lasts_ms = (lasts ? strtoull(lasts, NULL, 10) : LASTS_S) * 1000;
    pid_t pids[CLIENTS];
    soak *counts =
        mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(counts != MAP_FAILED);
    start_all();
    for (int i = 0; i < CLIENTS; i++) {
        const random_state seed = { random_next(&seeds) };
        pids[i] = fork();
        if (pids[i] == 0)
            soak_client(counts, seed, lasts_ms);
        assert_true(pids[i] > 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    print_message("%lu requests were answered as they must be, %lu were not\n",
                  (unsigned long)counts->done, (unsigned long)counts->wrong);
    assert_true(counts->done > 100);
    assert_int_equal(counts->wrong, 0);
    munmap(counts, sizeof *counts);
    for (program which = 0; which < PROGRAMS; which++) {
        kill(servers[which].pid, SIGTERM);
        assert_int_equal(server_wait(&servers[which]), 0);
    }
    assert_int_equal(count_clean_logs(), 2 * PROGRAMS); /* supervisor and worker */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_soak_under_valgrind_makes_no_error_and_loses_nothing,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
