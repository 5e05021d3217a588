/* pgvector's types against the real one, a server that tools/pgvector.sh finds and
 * BRIO_TEST_PGVECTOR names; skipped without it. */
#include "round_trip.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS   100
#define START_MS 120000

typedef struct server {
    pid_t pid;
    int input;  /* it ends when this is closed */
    int output; /* the port, in a line */
} server;

static server vector_server;

static error start_server(const char *program)
{
    int in[2];
    int out[2];
    if (pipe(in) != 0 || pipe(out) != 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "pipe");
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[1]);
        close(out[0]);
        execlp("node", "node", program, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    vector_server = (server){ pid, in[1], out[0] };
    return pid > 0 ? OK : error_set_errno(&SYSTEM_FAILED, errno, "fork");
}

/* The port that the server has printed, 0 when it did not start. */
static int port_of_server(void)
{
    char line[32];
    size_t len = 0;
    struct pollfd wait = { .fd = vector_server.output, .events = POLLIN };
    while (len + 1 < sizeof line && poll(&wait, 1, START_MS) == 1) {
        if (read(vector_server.output, line + len, 1) != 1)
            return 0;
        if (line[len] == '\n') {
            line[len] = '\0';
            return atoi(line);
        }
        len++;
    }
    return 0;
}

static int open_vector_pool(void **state)
{
    (void)state;
    const int port = port_of_server();
    assert_true(port > 0);
    const str conninfo =
        str_format(fiber_arena(),
                   "host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable", port);
    const pg_pool_options options = { .conninfo = conninfo,
                                      .connections_max = 1,
                                      .acquire_timeout_ms = 60000 };
    return error_is_ok(pg_pool_open(&options, &db)) ? 0 : -1;
}

static float random_float(random_state *r)
{
    const uint32_t bits = (uint32_t)random_next(r) & 0xBFFFFFFF; /* up to 2 */
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void test_vector_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        float items[64];
        const pg_vector sent = { items, 1 + random_below(&r, ARRAY_LEN(items)) };
        for (size_t j = 0; j < sent.count; j++)
            items[j] = random_float(&r);
        pg_rows rows;
        pg_vector got;
        float4_list reals;
        str text;
        assert_ok(pg_query(db, &rows, "select x, x::text, x::real[] from (select $1::vector) t(x)",
                           sent));
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_int_equal(got.count, sent.count);
        assert_memory_equal(got.items, items, sent.count * sizeof *items);
        assert_ok(pg_get(&rows, 0, 1, &text));
        assert_str_equal(pg_vector_format(fiber_arena(), &sent), text);
        assert_ok(pg_get(&rows, 0, 2, &reals));
        assert_memory_equal(reals.items, items, sent.count * sizeof *items);
    }
}

/* Numbers of a halfvec have 11 bits: those that have no more come back as they went. */
static void test_halfvec_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        float items[16];
        const pg_vector sent = { items, ARRAY_LEN(items) };
        for (size_t j = 0; j < sent.count; j++)
            items[j] = (float)((int)random_below(&r, 4095) - 2047) / 64.0F;
        pg_rows rows;
        pg_vector got;
        str text;
        assert_ok(pg_query(db, &rows, "select x, x::text from (select $1::halfvec) t(x)", sent));
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_memory_equal(got.items, items, sizeof items);
        assert_ok(pg_get(&rows, 0, 1, &text));
        assert_str_equal(pg_vector_format(fiber_arena(), &got), text);
    }
}

static void test_sparsevec_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        pg_sparsevec_item items[16];
        pg_sparsevec sent = { items, random_below(&r, ARRAY_LEN(items) + 1), 0 };
        uint32_t index = 0;
        for (size_t j = 0; j < sent.count; j++) {
            index += 1 + (uint32_t)random_below(&r, 1000);
            items[j] = (pg_sparsevec_item){ index, 1.0F + fabsf(random_float(&r)) };
        }
        sent.dimensions = index + 1 + (uint32_t)random_below(&r, 5);
        pg_rows rows;
        pg_sparsevec got;
        str text;
        assert_ok(pg_query(db, &rows, "select x, x::text from (select $1::sparsevec) t(x)", sent));
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_ok(pg_get(&rows, 0, 1, &text));
        assert_int_equal(got.dimensions, sent.dimensions);
        assert_str_equal(pg_sparsevec_format(fiber_arena(), &got), text);
        assert_str_equal(pg_sparsevec_format(fiber_arena(), &sent), text);
    }
}

static void test_vectors_are_searched_by_distance(void **state)
{
    (void)state;
    pg_rows rows;
    int32_t nearest;
    float floats[3] = { 1.0F, 2.0F, 3.5F };
    assert_ok(pg_execute(db, NULL, "create table notes (id int, embedding vector(3))"));
    assert_ok(pg_execute(db, NULL, "insert into notes values (1, '[9,9,9]'), (2, $1)",
                         ((pg_vector){ floats, 3 })));
    floats[2] = 4.0F;
    assert_ok(pg_query(db, &rows, "select id from notes order by embedding <-> $1 limit 1",
                       ((pg_vector){ floats, 3 })));
    assert_ok(pg_get(&rows, 0, 0, &nearest));
    assert_int_equal(nearest, 2);
    assert_fails(PG_DATA_EXCEPTION, pg_execute(db, NULL, "insert into notes values (3, $1)",
                                               ((pg_vector){ floats, 2 })));
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_vector_goes_there_and_back),
        cmocka_unit_test(test_halfvec_goes_there_and_back),
        cmocka_unit_test(test_sparsevec_goes_there_and_back),
        cmocka_unit_test(test_vectors_are_searched_by_distance),
    };
    return cmocka_run_group_tests(group, open_vector_pool, close_pool);
}

int main(void)
{
    const char *program = getenv("BRIO_TEST_PGVECTOR");
    if (!program || !program[0]) {
        (void)fprintf(stderr, "skipped: BRIO_TEST_PGVECTOR is not set\n");
        return EXIT_SKIPPED;
    }
    if (!error_is_ok(start_server(program)))
        return 1;
    const int status = run_in_fiber(run);
    close(vector_server.input);
    kill(vector_server.pid, SIGTERM);
    waitpid(vector_server.pid, NULL, 0);
    return status;
}
