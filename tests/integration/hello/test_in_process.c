/* apps/hello in the test's own process: the same exchanges as over sockets, and what takes time. */
#include "exchanges.h"

#include "apps/hello/hello.h"
#include "http/test.h"
#include "tests/support/in_fiber.h"

static http_test *t;

static int setup(void **state)
{
    (void)state;
    assert_ok(http_test_open(&hello_app, NULL, &t));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(http_test_close(&t));
    return 0;
}

static void check(const struct exchange *e, http_test_reply r)
{
    if (r.status != e->status)
        print_error("%s: %.*s%.*s\n", e->name, STR_ARG(r.head), STR_ARG(r.body));
    assert_int_equal(r.status, e->status);
    assert_true(r.whole);
    assert_str_equal(http_test_header(&r, "Content-Type"), str_from_c(e->type));
    if (e->body)
        assert_str_equal(r.body, str_from_c(e->body));
}

static void test_hello_routes_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(EXCHANGES); i++) {
        const struct exchange *e = &EXCHANGES[i];
        http_test_conn *c = http_test_connect(t);
        http_test_write(c, e->request);
        check(e, e->is_head ? http_test_read_head(c) : http_test_read(c));
        http_test_disconnect(&c);
    }
}

/* All on one connection, byte by byte. */
static void test_hello_routes_answer_byte_by_byte(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    for (size_t i = 0; i < ARRAY_LEN(EXCHANGES); i++) {
        const struct exchange *e = &EXCHANGES[i];
        for (size_t at = 0; at < e->request.len; at++)
            http_test_write(c, str_slice(e->request, at, 1));
        check(e, e->is_head ? http_test_read_head(c) : http_test_read(c));
        if (http_test_has_ended(c)) { /* what it did not want to read of a body */
            http_test_disconnect(&c);
            c = http_test_connect(t);
        }
    }
}

static void test_hello_counts_what_it_answered(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(http_test_get(t, "/json").status, 200);
    assert_int_equal(http_test_get(t, "/nothing").status, 404);
    const http_test_reply r = http_test_get(t, "/metrics");
    assert_int_equal(r.status, 200);
    static const char *const lines[] = { "\nhttp_connections 1\n",
                                         "\nhttp_connections_accepted_total 5\n" };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (!memmem(r.body.ptr, r.body.len, lines[i], strlen(lines[i])))
            print_error("no %s in\n%.*s\n", lines[i], STR_ARG(r.body));
        assert_non_null(memmem(r.body.ptr, r.body.len, lines[i], strlen(lines[i])));
    }
}

static void test_hello_keeps_a_connection_as_long_as_it_says(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    for (int i = 0; i < 10; i++) {
        http_test_request(c, "GET", "/plaintext", STR_NONE, STR_NONE);
        assert_str_equal(http_test_read(c).body, STR("Hello, World!"));
        http_test_advance(t, 74999);
        assert_false(http_test_has_ended(c));
    }
    http_test_advance(t, 1);
    assert_true(http_test_has_ended(c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hello_routes_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hello_routes_answer_byte_by_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hello_counts_what_it_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hello_keeps_a_connection_as_long_as_it_says, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
