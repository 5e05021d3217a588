/* apps/hello: each of its routes, and what it says to those that are none. */
#include "exchanges.h"

#include "tests/support/http_test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int setup(void **state)
{
    (void)state;
    server_start(&server, getenv("HELLO"), ENVIRONMENT("WORKERS=1"));
    return 0;
}

/* Sends one request and reads its answer. */
static void ask(str request, bool is_head, answer *out)
{
    peer p;
    peer_connect(&p, server.port);
    peer_send(&p, request);
    peer_read(&p, is_head, out);
    peer_close(&p);
}

static void check_field(const char *what, str is, const char *want)
{
    if (!str_eq(is, str_from_c(want)))
        print_error("%s: \"%.*s\" instead of \"%s\"\n", what, STR_ARG(is), want);
    assert_true(str_eq(is, str_from_c(want)));
}

static void test_hello_routes_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(EXCHANGES); i++) {
        const struct exchange *e = &EXCHANGES[i];
        answer a;
        ask(e->request, e->is_head, &a);
        check_status(e->name, &a, e->status);
        check_field(e->name, answer_header(&a, "content-type"), e->type);
        if (e->body)
            check_field(e->name, a.body, e->body);
        answer_free(&a);
    }
}

static void test_hello_echo_returns_every_byte(void **state)
{
    (void)state;
    char body[256], request[512];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)i;
    const int head =
        snprintf(request, sizeof request,
                 "POST /echo HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", sizeof body);
    memcpy(request + head, body, sizeof body);
    answer a;
    ask((str){ request, (size_t)head + sizeof body }, false, &a);
    check_status("every byte", &a, 200);
    assert_int_equal(a.body.len, sizeof body);
    assert_memory_equal(a.body.ptr, body, sizeof body);
    answer_free(&a);
}

static void test_hello_ends_cleanly(void **state)
{
    (void)state;
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_routes_answer),
        cmocka_unit_test(test_hello_echo_returns_every_byte),
        cmocka_unit_test(test_hello_ends_cleanly),
    };
    return cmocka_run_group_tests(tests, setup, server_teardown);
}
