/* In how many system calls answers leave. Each send on a loopback connection is a segment of its
 * own, as long as it has less than 32 KiB (half a first window); so the peer's count of segments
 * with data, which the kernel keeps, is the server's of its calls. */
#include "tests/support/http_test.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static uint32_t segments(const peer *p)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    assert_int_equal(getsockopt(p->fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    assert_true(len >= offsetof(struct tcp_info, tcpi_data_segs_in) + sizeof(uint32_t));
    return info.tcpi_data_segs_in;
}

typedef struct write_case {
    const char *name;
    const char *target[2]; /* asked for by turns, in one packet */
    int requests;
    int status; /* of the first */
    uint32_t writes;
    bool head; /* by HEAD */
} write_case;

static const write_case CASES[] = {
    { "a small body with its head", { "/fast" }, 1, 200, 1 },
    { "a body that fills a block", { "/big/16384" }, 1, 200, 1 },
    { "a body of several blocks", { "/big/30000" }, 1, 200, 1 },
    { "a head alone", { "/big/30000" }, 1, 200, 1, .head = true },
    { "no body", { "/empty" }, 1, 204, 1 },
    { "an error", { "/nothing" }, 1, 404, 1 },
    { "a file with its head", { "/static/page.html" }, 1, 200, 1 },
    { "pieces of one turn, and their end", { "/pieces/20000" }, 1, 200, 1 },
    { "a pipeline", { "/fast" }, 16, 200, 1 },
    { "a longer one", { "/fast" }, 32, 200, 1 },
    { "a pipeline of larger bodies", { "/big/1500" }, 16, 200, 1 },
    { "a pipeline of this and that", { "/nothing", "/empty" }, 16, 404, 1 },
    /* What is not done in one turn is not held back; and the count counts. */
    { "an answer that takes time behind one that does not", { "/fast", "/slow/20" }, 2, 200, 2 },
    { "three of the one, each with the other behind it", { "/slow/20", "/fast" }, 6, 200, 3 },
};

static void test_write_takes_along_all_that_is_ready(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1"));
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const write_case *c = &CASES[i];
        char asked[4096];
        size_t len = 0;
        peer p;
        peer_connect(&p, server.port);
        for (int n = 0; n < c->requests; n++)
            len += (size_t)snprintf(asked + len, sizeof asked - len,
                                    "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", c->head ? "HEAD" : "GET",
                                    c->target[c->target[1] ? n % 2 : 0]);
        assert_true(len < sizeof asked);
        peer_send(&p, (str){ asked, len });
        for (int n = 0; n < c->requests; n++) {
            answer a;
            peer_read(&p, c->head, &a);
            if (n == 0)
                check_status(c->name, &a, c->status);
            assert_true(a.status >= 200);
            answer_free(&a);
        }
        if (segments(&p) != c->writes)
            print_error("%s: %u writes instead of %u\n", c->name, segments(&p), c->writes);
        assert_int_equal(segments(&p), c->writes);
        peer_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_write_takes_along_all_that_is_ready, server_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
