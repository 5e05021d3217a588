/* What a test's process has logged, as text: one line each, in JSON. */
#ifndef TESTS_SUPPORT_LOGGED_H
#define TESTS_SUPPORT_LOGGED_H

#include "core/log.h"
#include "tests/support/in_fiber.h"

#include <sys/mman.h>
#include <unistd.h>

typedef struct logged {
    int fd;
    char text[65536];
} logged;

/* From here on lines go to it, of that level and above. */
UNUSED static void logged_begin(logged *l, log_level level)
{
    l->fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(l->fd >= 0);
    assert_ok(log_open(l->fd, level, LOG_JSON));
}

/* Ends it; the text lives in `l`. */
UNUSED static const char *logged_end(logged *l)
{
    assert_true(log_flush(10000));
    log_close();
    const ssize_t got = pread(l->fd, l->text, sizeof l->text - 1, 0);
    assert_true(got >= 0);
    l->text[got] = '\0';
    close(l->fd);
    return l->text;
}

/* How often `what` stands in the text. */
UNUSED static size_t logged_count(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        count++;
    return count;
}

#endif
