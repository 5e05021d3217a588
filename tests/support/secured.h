/* What the tests of the server `secured` share: how it is started, and its ways in. */
#ifndef TESTS_SUPPORT_SECURED_H
#define TESTS_SUPPORT_SECURED_H

#include "tests/support/http_test.h"
#include "tests/support/tls_client.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Waits for a condition that is sure to come. */
#define wait_until(condition_)                                                      \
    for (const uint64_t end_ms_ = test_clock_ms() + PEER_WAIT_MS; !(condition_);) { \
        if (test_clock_ms() >= end_ms_)                                             \
            server_print_log(&server);                                              \
        assert_true(test_clock_ms() < end_ms_);                                     \
        test_pause_ms(5);                                                           \
    }

/* For a group: makes the certificates, in a directory where the server starts, with its "site". */
UNUSED static int secured_begin(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* of OpenSSL's own writes */
    const bool made = tls_files_make() && chdir(tls_files_directory) == 0;
    return made && mkdir("site", 0700) == 0 ? 0 : -1;
}

UNUSED static int secured_end(void **state)
{
    (void)state;
    rmdir("site");
    const int moved = chdir("/");
    tls_files_remove();
    return moved;
}

/* The port that the server's listener of that scheme ("tls:") has chosen. */
UNUSED static uint16_t port_of(const char *scheme)
{
    static char log[65536];
    char wanted[64];
    const ssize_t got = pread(server.log_fd, log, sizeof log - 1, 0);
    log[got > 0 ? got : 0] = '\0';
    (void)snprintf(wanted, sizeof wanted, "\"%s127.0.0.1:", scheme);
    const char *at = strstr(log, wanted);
    assert_non_null(at);
    return (uint16_t)strtoul(at + strlen(wanted), NULL, 10);
}

/* "NAME=…/NAME.pem"; each result lasts for eight more calls. */
UNUSED static const char *file_variable(const char *name, const char *file)
{
    static char variables[8][160];
    static unsigned next;
    char *variable = variables[next++ % 8];
    (void)snprintf(variable, sizeof variables[0], "%s=%s", name, tls_file_path(file));
    return variable;
}

/* Asks for `path` on a connection; what was answered must be `text`. */
UNUSED static void expect_text_at(peer *p, const char *path, const char *text, const char *file,
                                  int line)
{
    answer a;
    peer_sendf(p, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    peer_read(p, false, &a);
    check_status_at(path, &a, 200, file, line);
    if (!str_eq(a.body, str_from_c(text))) {
        print_error("%s: \"%.*s\" instead of \"%s\"\n", path, STR_ARG(a.body), text);
        _fail(file, line);
    }
    answer_free(&a);
}
#define expect_text(peer_, path_, text_) \
    expect_text_at((peer_), (path_), (text_), __FILE__, __LINE__)

/* The metric's value with that label ("result=\"failed\""), asked for in plaintext. */
UNUSED static double counted(const char *name, const char *label)
{
    answer a;
    char line[128];
    http_get(server.port, "/metrics", &a);
    (void)snprintf(line, sizeof line, "\n%s{%s} ", name, label);
    const char *at = a.body.ptr ? memmem(a.body.ptr, a.body.len, line, strlen(line)) : NULL;
    const double value = at ? strtod(at + strlen(line), NULL) : -1;
    answer_free(&a);
    return value;
}

#endif
