/* Everything at once, for a while, under valgrind: servers without sanitizers, and clients who keep
 * connections, pipeline, upload, take streams, events and files, break off in the middle and send
 * nonsense. Each answer is checked; then the servers are told to end, and each of their processes
 * has made no error and lost no memory.
 *
 * Faults are left out: what a fiber that crashed had allocated is given up on purpose. */
#include "tests/support/http_test.h"
#include "tests/support/random.h"

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
    PROGRAMS,
} program;

static const char *const NAMES[PROGRAMS] = { "FAULTY", "STREAMER", "FILER", "COMPRESSOR" };

static char folder[64];
static server_process servers[PROGRAMS];
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

static void start_under_valgrind(program which)
{
    char log[96];
    (void)snprintf(log, sizeof log, "--log-file=%s/valgrind.%s.%%p", folder, NAMES[which]);
    server_process *s = &servers[which];
    program_launch(s,
                   ENVIRONMENT("/usr/bin/valgrind", "--leak-check=full", "--error-exitcode=9",
                               "--errors-for-leak-kinds=definite,possible", log,
                               getenv(NAMES[which])),
                   ENVIRONMENT("WORKERS=1", "HTTP_REQUEST_MEMORY_MAX=8M", "HTTP_WRITE_TIMEOUT=5s",
                               "LOG_FORMAT=json"));
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
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(command, sizeof command, "exec rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a folder of our own */
}

/* --- the clients ------------------------------------------------------------------------------ */

typedef struct client {
    soak *counts;
    peer peers[PROGRAMS]; /* kept while they live */
    random_state random;
} client;

static peer *to(client *c, program which)
{
    peer *p = &c->peers[which];
    if (p->fd < 0)
        peer_connect(p, servers[which].port);
    return p;
}

/* What was asked is answered with that status, and so many bytes unless -1. */
static void expect(client *c, program which, const char *what, int status, ssize_t bytes)
{
    answer a;
    peer *p = &c->peers[which];
    peer_read(p, false, &a);
    while (a.status == 100) {
        answer_free(&a);
        peer_read(p, false, &a);
    }
    const bool right = a.status == status && (bytes < 0 || a.body.len == (size_t)bytes);
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
static void break_off(client *c, program which, const char *request)
{
    peer p;
    peer_connect(&p, servers[which].port);
    peer_sendf(&p, "%s", request);
    test_pause_ms((long)random_below(&c->random, 20));
    if (random_below(&c->random, 2))
        peer_end(&p);
    else
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
    program which;
    const char *target;
    const char *lines; /* of a GET */
    const char *type;  /* of a POST; NULL: it is a GET */
    str body;
    int status;    /* 0: the answer is broken off */
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
};

static void do_exchange(client *c, size_t i)
{
    const program which = EXCHANGES[i].which;
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
static const char *const ABORTED[][PROGRAMS] = {
    { GET_("/slow/500"), GET_("/endless"), GET_("/static/large.txt"), GET_("/pieces/900000") },
    { GET_("/big/3000000"), GET_("/bytes/5000000"), GET_("/one/large.txt"),
      "GET /pieces/900000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: zstd\r\n\r\n" },
    { "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
      "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha", "GET /sta",
      "GET /events HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n" },
    { "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
      "POST /parts HTTP/1.1\r\nHost: x\r\nContent-Type: " FORM "\r\nContent-Length: 99\r\n\r\n--b",
      MALFORMED, "GET /pieces/900000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n" },
};

static void do_something(client *c)
{
    const size_t i = random_below(&c->random, ARRAY_LEN(EXCHANGES) + 5);
    if (i < ARRAY_LEN(EXCHANGES)) {
        do_exchange(c, i);
    } else if (i == ARRAY_LEN(EXCHANGES)) {
        pipeline(c);
    } else if (i <= ARRAY_LEN(EXCHANGES) + 2) {
        upload(c, i == ARRAY_LEN(EXCHANGES) + 1);
    } else {
        const program which = (program)random_below(&c->random, PROGRAMS);
        break_off(c, which, ABORTED[random_below(&c->random, ARRAY_LEN(ABORTED))][which]);
    }
}

NORETURN static void soak_client(soak *counts, random_state seed, uint64_t lasts_ms)
{
    client c = { .counts = counts, .random = seed };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (program which = 0; which < PROGRAMS; which++)
        c.peers[which].fd = -1;
    for (const uint64_t end_ms = test_clock_ms() + lasts_ms; test_clock_ms() < end_ms;)
        do_something(&c);
    for (program which = 0; which < PROGRAMS; which++)
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
    for (program which = 0; which < PROGRAMS; which++)
        start_under_valgrind(which);
    for (program which = 0; which < PROGRAMS; which++)
        server_await(&servers[which]);
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
