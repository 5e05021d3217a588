/* A resolver that hangs: it holds up nobody for longer than connect_timeout, a late answer does no
 * harm, and it does not get one more thread to hang in with every attempt. The resolver is the
 * test's: it knows one name, "slow", which is this host, and answers when it is let. */
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdatomic.h>
#include <unistd.h>

#define COLUMN     "n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\0" /* n int8 */
#define ONE_COLUMN "T\0\0\0\32\0\1" COLUMN
#define PREPARED   "1\0\0\0\4t\0\0\0\6\0\0" ONE_COLUMN MOCK_READY
#define ANSWER     "2\0\0\0\4D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0\7C\0\0\0\15SELECT 1\0" MOCK_READY

static const mock_pg_step ANSWERS[] = { MOCK_ACCEPT,        MOCK_SEND(MOCK_WELCOME),
                                        MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED),
                                        MOCK_EXPECT("BES"), MOCK_SEND(ANSWER) };

/* --- the resolver ----------------------------------------------------------------------------- */

static atomic_bool hangs;
static atomic_uint calls;

typedef struct known {
    struct addrinfo info;
    struct sockaddr_in at;
} known;

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs are reserved */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)service;
    calls++;
    while (hangs)
        usleep(1000);
    known *k = strcmp(name, "slow") == 0 ? calloc(1, sizeof *k) : NULL;
    if (!k)
        return EAI_NONAME;
    k->at =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    k->info = (struct addrinfo){ .ai_family = AF_INET,
                                 .ai_socktype = hints->ai_socktype,
                                 .ai_addr = (struct sockaddr *)(void *)&k->at,
                                 .ai_addrlen = sizeof k->at };
    *out = &k->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
    free(info);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

/* --- asking ----------------------------------------------------------------------------------- */

static mock_pg server;
static pg_pool *db;

static const char *port(void)
{
    const char *at = strstr(server.conninfo, "port=");
    assert_non_null(at);
    return at + 5;
}

/* `hosts` as in a connection string; all on the server's port. */
static void open_pool(const char *hosts)
{
    const str conninfo =
        str_format(fiber_arena(), "%s host=%s port=%.*s connect_timeout=2", server.conninfo, hosts,
                   (int)strspn(port(), "0123456789"), port());
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = conninfo }, &db));
}

static error ask(void)
{
    pg_rows rows;
    int64_t n = 0;
    TRY(pg_query(db, &rows, "select n"));
    TRY(pg_get(&rows, 0, 0, &n));
    return n == 7 ? OK : error_set(&PG_FAILED, "another row");
}

static error ask_until_it_answers(void)
{
    error e = ask();
    for (int i = 0; i < 3000 && error_is(e, &PG_CONNECT_FAILED); i++) {
        TRY(fiber_sleep(10));
        e = ask();
    }
    return e;
}

static int setup(void **state)
{
    (void)state;
    hangs = true;
    calls = 0;
    mock_pg_start(&server, &(mock_pg_options){ ANSWERS, ARRAY_LEN(ANSWERS) });
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hangs = false;
    pg_pool_close(&db);
    const char *problem = mock_pg_stop(&server);
    if (problem)
        print_error("%s\n", problem);
    return problem ? -1 : 0;
}

static void test_lookup_that_hangs_fails_at_the_timeout(void **state)
{
    (void)state;
    open_pool("slow");
    assert_fails(PG_CONNECT_FAILED, ask());
    hangs = false; /* the late answer is dropped, or used by the attempt after it */
    assert_ok(ask_until_it_answers());
}

static void test_lookup_that_hangs_does_not_keep_from_other_hosts(void **state)
{
    (void)state;
    open_pool("slow,127.0.0.1");
    assert_ok(ask());
}

static void test_lookup_that_hangs_is_not_begun_again_and_again(void **state)
{
    (void)state;
    open_pool("slow");
    assert_fails(PG_CONNECT_FAILED, ask());
    for (int i = 0; i < 40; i++) { /* meanwhile there is another attempt, or two */
        assert_ok(fiber_sleep(100));
        assert_fails(PG_CONNECT_FAILED, ask());
    }
    assert_int_equal(calls, 1);
    hangs = false;
    assert_ok(ask_until_it_answers());
}

static error let_go(void *arg)
{
    (void)arg;
    TRY(fiber_sleep(100));
    hangs = false;
    return OK;
}

static void test_pool_closed_during_a_lookup_fails_who_waits(void **state)
{
    (void)state;
    open_pool("slow");
    assert_ok(fiber_sleep(20));
    assert_ok(fiber_start(loop_self(), NULL, let_go, NULL, NULL));
    pg_pool_close(&db); /* when the resolver has come back */
    assert_false(hangs);
    open_pool("127.0.0.1");
    assert_ok(ask());
}

static void test_lookup_of_an_unknown_name_says_which(void **state)
{
    (void)state;
    char text[1024];
    hangs = false;
    open_pool("nowhere");
    const error e = ask();
    assert_fails(PG_CONNECT_FAILED, e);
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "nowhere"));
    pg_pool_close(&db);
    open_pool("slow");
    assert_ok(ask());
}

static int run(void)
{
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_lookup_that_hangs_fails_at_the_timeout),
        WITH_SERVER(test_lookup_that_hangs_does_not_keep_from_other_hosts),
        WITH_SERVER(test_lookup_that_hangs_is_not_begun_again_and_again),
        WITH_SERVER(test_pool_closed_during_a_lookup_fails_who_waits),
        WITH_SERVER(test_lookup_of_an_unknown_name_says_which),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
