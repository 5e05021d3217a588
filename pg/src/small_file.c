/* Small files, whole and at once, and where they are. */
#include "small_file.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES   768 /* of frames of 2 KiB */
#define PASSWD_BYTES 1024

static bool path_to_c(str path, char out[PATH_BYTES])
{
    if (path.len == 0 || path.len >= PATH_BYTES || str_index(path, '\0') < path.len)
        return false;
    memcpy(out, path.ptr, path.len);
    out[path.len] = '\0';
    return true;
}

/* Reads up to its end; false when it is longer than `bytes` after all. */
static bool read_whole(int fd, char *to, size_t bytes, size_t *len)
{
    *len = 0;
    ssize_t n;
    while (*len <= bytes && (n = read(fd, to + *len, bytes + 1 - *len)) > 0)
        *len += (size_t)n;
    return *len <= bytes;
}

static error read_open(arena *a, int fd, bool is_secret, pg_file_state *state, str *out)
{
    struct stat facts;
    *state = PG_FILE_UNREADABLE;
    if (fstat(fd, &facts) != 0)
        return OK;
    if (!S_ISREG(facts.st_mode))
        *state = PG_FILE_NOT_REGULAR;
    else if (is_secret && (facts.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        *state = PG_FILE_EXPOSED;
    else if (facts.st_size > PG_SMALL_FILE_BYTES_MAX)
        *state = PG_FILE_TOO_LARGE;
    else
        *state = PG_FILE_READ;
    if (*state != PG_FILE_READ)
        return OK;
    const size_t bytes = (size_t)facts.st_size;
    char *to = arena_try_alloc(a, bytes + 1, 1);
    if (!to)
        return error_set(&OUT_OF_MEMORY, "no memory for a file");
    size_t len;
    if (read_whole(fd, to, bytes, &len))
        *out = (str){ to, len };
    else
        *state = PG_FILE_TOO_LARGE;
    return OK;
}

error pg_small_file_read(arena *a, str path, bool is_secret, pg_file_state *state, str *out)
{
    char name[PATH_BYTES];
    *state = PG_FILE_MISSING;
    *out = STR("");
    if (!path_to_c(path, name))
        return OK;
    /* A pipe must not keep us waiting for its writer. */
    const int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        *state = access(name, F_OK) == 0 ? PG_FILE_UNREADABLE : PG_FILE_MISSING;
        return OK;
    }
    const error e = read_open(a, fd, is_secret, state, out);
    (void)close(fd);
    return e;
}

error pg_small_file_at_home(arena *a, const char *name, str *out)
{
    struct passwd entry, *found = NULL;
    char room[PASSWD_BYTES], path[PATH_BYTES];
    const char *home = getenv("HOME");
    *out = STR_NONE;
    if ((!home || !home[0]) && getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 &&
        found)
        home = found->pw_dir;
    if (!home || !home[0])
        return OK;
    const int len = snprintf(path, sizeof path, "%s/%s", home, name);
    if (len < 0 || (size_t)len >= sizeof path)
        return OK;
    char *to = arena_try_alloc(a, (size_t)len, 1);
    if (!to)
        return error_set(&OUT_OF_MEMORY, "no memory for a file's name");
    memcpy(to, path, (size_t)len);
    *out = (str){ to, (size_t)len };
    return OK;
}

bool pg_small_file_exists(str path)
{
    char name[PATH_BYTES];
    return path_to_c(path, name) && access(name, F_OK) == 0;
}
