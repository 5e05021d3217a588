/* The kernel keeps the path below the root where it can (openat2, Linux 5.6); where it cannot, or a
 * sandbox forbids the call, each component is opened from the one before, never following a link.
 *
 * What it promises: no rename and no link that anybody makes meanwhile leads out of the root. */
#include "beneath.h"

#include "core/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_BYTES_MAX 255
#define RACES_MAX      16 /* openat2 gives EAGAIN when something was renamed meanwhile */

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

static int call_openat2(int root, const char *path, int flags, uint64_t resolve)
{
    const struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC), .resolve = resolve };
    if (fault_point("http.openat2")) {
        errno = ENOSYS;
        return -1;
    }
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static int open_in_kernel(int root, const char *path, int flags)
{
    int fd = -1;
    for (int i = 0; i < RACES_MAX; i++) {
        fd = call_openat2(root, path, flags, BENEATH);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd;
}

/* Kernels before 5.12 do not know the question. */
static int open_cached(int root, const char *path, int flags, uint64_t resolve)
{
    const int fd = call_openat2(root, path, flags, resolve | RESOLVE_CACHED);
    if (fd < 0 && (errno == EINVAL || errno == ENOSYS || errno == EPERM || errno == EINTR))
        errno = EAGAIN;
    return fd;
}

/* One component below `at`; the last is opened with `flags`. */
static int open_component(int at, const char *name, size_t len, bool last, int flags)
{
    char text[NAME_BYTES_MAX + 1];
    if (len == 0 || len > NAME_BYTES_MAX || (len <= 2 && memcmp(name, "..", len) == 0)) {
        errno = len > NAME_BYTES_MAX ? ENAMETOOLONG : ENOENT;
        return -1;
    }
    memcpy(text, name, len);
    text[len] = '\0';
    return openat(at, text, O_NOFOLLOW | O_CLOEXEC | (last ? flags : O_PATH | O_DIRECTORY));
}

static int walk(int root, const char *path, int flags)
{
    int at = root;
    for (;;) {
        const size_t len = strcspn(path, "/");
        const bool last = path[len] == '\0';
        const int next = open_component(at, path, len, last, flags);
        const int why = errno;
        if (at != root)
            close(at);
        errno = why;
        if (last || next < 0)
            return next;
        at = next;
        path += len + 1;
    }
}

int http_beneath_root(const char *path)
{
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int http_beneath_try_root(const char *path)
{
    return open_cached(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
}

int http_beneath_try_open(int root, const char *path, int flags)
{
    return open_cached(root, path, flags, BENEATH);
}

int http_beneath_open(int root, const char *path, int flags)
{
    const int fd = open_in_kernel(root, path, flags);
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
        return fd;
    return walk(root, path, flags);
}
