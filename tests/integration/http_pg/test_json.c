/* Rows as JSON on their way from the database's socket to the client's: a client that takes them
 * slowly holds up the server of the database, and in between there is never more than a piece. */
#include "core/json.h"
#include "tests/support/database.h"
#include "tests/support/secured.h"

#include <sys/socket.h>

static pg_pool *db; /* the test's own look at what happens */

static int open_group(void **state)
{
    (void)state;
    return error_is_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &db)) ? 0 : -1;
}

static int close_group(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    server_start(&server, getenv("LISTER"), ENVIRONMENT("WORKERS=1"));
    return 0;
}

static int64_t statements(const char *how)
{
    pg_rows rows;
    int64_t found = -1;
    assert_ok(pg_query(db, &rows,
                       str_format(fiber_arena(),
                                  "select count(*) from pg_stat_activity where %s and query like "
                                  "'select n, ''row%%'",
                                  how)));
    assert_ok(pg_get(&rows, 0, 0, &found));
    return found;
}

/* The database's server can send no more. */
static bool is_held_up(void)
{
    return statements("wait_event = 'ClientWrite'") == 1;
}

/* At most, of the only worker. */
static long resident_kib(void)
{
    char path[64], line[256];
    int worker = 0;
    long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)server.pid,
                   (int)server.pid);
    FILE *children = fopen(path, "r");
    assert_non_null(children);
    assert_int_equal(fscanf(children, "%d", &worker), 1);
    (void)fclose(children);
    (void)snprintf(path, sizeof path, "/proc/%d/status", worker);
    FILE *status = fopen(path, "r");
    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        (void)sscanf(line, "VmHWM: %ld", &kib);
    (void)fclose(status);
    return kib;
}

/* --- reading ---------------------------------------------------------------------------------- */

typedef struct reader {
    peer p;
    char bytes[65536];
    size_t at;
    size_t len;
} reader;

/* The next byte; false at the end. */
static bool next(reader *r, char *out)
{
    if (r->at == r->len) {
        const ssize_t got = recv(r->p.fd, r->bytes, sizeof r->bytes, 0);
        if (got <= 0)
            return false;
        r->at = 0;
        r->len = (size_t)got;
    }
    *out = r->bytes[r->at++];
    return true;
}

static void expect(reader *r, str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = 0;
        if (!next(r, &c) || c != text.ptr[i])
            fail_msg("instead of byte %zu of %.*s: %c", i, STR_ARG(text), c);
    }
}

/* Asks for an answer that ends with its connection, and reads its head. */
static void ask(reader *r, const char *path, int64_t count)
{
    r->at = r->len = 0;
    peer_connect(&r->p, server.port);
    peer_sendf(&r->p, "GET /%s/%lld HTTP/1.0\r\n\r\n", path, (long long)count);
    expect(r, STR("HTTP/1."));
    char c = 0;
    for (char before[4] = ""; memcmp(before, "\r\n\r\n", 4) != 0;) {
        assert_true(next(r, &c));
        memmove(before, before + 1, 3);
        before[3] = c;
    }
}

static void expect_row(reader *r, int64_t n)
{
    char text[160];
    const int len = snprintf(text, sizeof text,
                             "%s{\"n\":%lld,\"label\":\"row \\\"%lld\\\"\",\"part\":%.3f,"
                             "\"day\":\"2026-01-%02d\"}",
                             n > 1 ? "," : "[", (long long)n, (long long)n, (double)(n % 8) / 8,
                             (int)(n % 31) + 1);
    expect(r, (str){ text, (size_t)len });
}

static void expect_end(reader *r)
{
    char c;
    assert_false(next(r, &c));
    peer_close(&r->p);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_json_at_once_and_in_pieces_is_the_same(void **state)
{
    (void)state;
    static const int64_t COUNTS[] = { 0, 1, 1000, 40000 };
    static reader r;
    for (size_t i = 0; i < 2 * ARRAY_LEN(COUNTS); i++) {
        const int64_t count = COUNTS[i / 2];
        ask(&r, i % 2 ? "any" : "list", count);
        for (int64_t n = 1; n <= count; n++)
            expect_row(&r, n);
        expect(&r, count > 0 ? STR("]") : STR("[]"));
        expect_end(&r);
    }
}

#define MANY INT64_C(1000000) /* rows, some 60 MB */

static void test_json_of_any_size_takes_little_memory(void **state)
{
    (void)state;
    static reader r;
    ask(&r, "any", 1000);
    for (int64_t n = 1; n <= 1000; n++)
        expect_row(&r, n);
    expect(&r, STR("]"));
    expect_end(&r);
    const long before = resident_kib();
    ask(&r, "any", MANY);
    for (int64_t n = 1; n <= MANY; n++) {
        if (n < MANY / 2 && n % (MANY / 8) == 1)
            wait_until(is_held_up()); /* nothing is read until then */
        expect_row(&r, n);
    }
    expect(&r, STR("]"));
    expect_end(&r);
    const long grown = resident_kib() - before;
    assert_in_range(before, 1, LONG_MAX);
    print_message("%ld KiB more\n", grown);
    assert_true(grown < 24576);
}

static void test_json_that_a_client_leaves_is_canceled(void **state)
{
    (void)state;
    static reader r;
    ask(&r, "any", MANY);
    for (int64_t n = 1; n <= 1000; n++)
        expect_row(&r, n);
    wait_until(is_held_up());
    peer_close(&r.p);
    wait_until(http_metric(server.port, "pg_cancels_total") >= 1);
    wait_until(statements("state = 'active'") == 0);
    check_get("/list/1", 200);
}

/* What was sent are whole rows, and that there were to be more is seen. */
static void test_json_that_fails_on_its_way_breaks_off(void **state)
{
    (void)state;
    static reader r;
    peer_connect(&r.p, server.port);
    peer_sendf(&r.p, "GET /lines/50000 HTTP/1.1\r\nHost: x\r\n\r\n");
    buf all;
    buf_init(&all, (size_t)16 << 20);
    for (char c; next(&r, &c);)
        buf_append_char(&all, c);
    peer_close(&r.p);
    assert_true(str_starts_with(buf_str(&all), STR("HTTP/1.1 200 ")));
    assert_false(str_ends_with(buf_str(&all), STR("0\r\n\r\n")));
    size_t lines = 0;
    for (str rest = buf_str(&all); rest.ptr;) {
        const str line = str_trim(str_cut(&rest, '\n'), STR("\r"));
        if (!str_starts_with(line, STR("{")))
            continue;
        assert_true(json_is_valid(line));
        lines++;
    }
    assert_in_range(lines, 1, 49999);
    buf_deinit(&all);
    check_get("/list/1", 200);
}

#define JSON_TEST(name) cmocka_unit_test_setup_teardown(name, setup, server_teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        JSON_TEST(test_json_at_once_and_in_pieces_is_the_same),
        JSON_TEST(test_json_of_any_size_takes_little_memory),
        JSON_TEST(test_json_that_a_client_leaves_is_canceled),
        JSON_TEST(test_json_that_fails_on_its_way_breaks_off),
    };
    return cmocka_run_group_tests_name("rows as JSON", tests, open_group, close_group);
}

int main(void)
{
    return run_with_database(run);
}
