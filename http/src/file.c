/* Files of a directory as answers. The kernel keeps the path below the root (openat2 with
 * RESOLVE_BENEATH and no symbolic links); blocking calls run on offload threads. */
#include "conn.h"

#include "core/offload.h"
#include "core/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_BYTES_MAX (16 << 20)

static ERROR_KIND(HTTP_FILE_TOO_LARGE, ERROR_INTERNAL,
                  "The server could not complete the request.");

typedef struct file_read {
    const char *root;
    const char *path;
    int fd; /* -1: not open */
    char *bytes;
    size_t len;
} file_read;

static str type_of(str path)
{
    static const struct {
        str extension;
        str type;
    } types[] = {
        { { ".html", 5 }, { "text/html; charset=utf-8", 24 } },
        { { ".css", 4 }, { "text/css; charset=utf-8", 23 } },
        { { ".js", 3 }, { "text/javascript; charset=utf-8", 30 } },
        { { ".json", 5 }, { "application/json", 16 } },
        { { ".txt", 4 }, { "text/plain; charset=utf-8", 25 } },
        { { ".svg", 4 }, { "image/svg+xml", 13 } },
        { { ".png", 4 }, { "image/png", 9 } },
        { { ".jpg", 4 }, { "image/jpeg", 10 } },
        { { ".webp", 5 }, { "image/webp", 10 } },
        { { ".ico", 4 }, { "image/x-icon", 12 } },
        { { ".woff2", 6 }, { "font/woff2", 10 } },
        { { ".wasm", 5 }, { "application/wasm", 16 } },
        { { ".pdf", 4 }, { "application/pdf", 15 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (str_ends_with(path, types[i].extension))
            return types[i].type;
    }
    return STR("application/octet-stream");
}

/* Relative, without empty segments, dotfiles or NUL. */
static bool is_servable(str path)
{
    if (str_index(path, '\0') < path.len)
        return false;
    while (path.ptr) {
        const str segment = str_cut(&path, '/');
        if (segment.len == 0 || segment.ptr[0] == '.')
            return false;
    }
    return true;
}

/* On an offload thread: opens a regular file and tells its size. */
static error file_open(void *arg)
{
    file_read *f = arg;
    const int root = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "directory %s", f->root);
    const struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    f->fd = (int)syscall(SYS_openat2, root, f->path, &how, sizeof how);
    const int why = errno;
    close(root);
    if (f->fd < 0)
        return error_set_errno(&HTTP_NOT_FOUND, why, "file %s", f->path);
    struct stat st;
    if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return error_set(&HTTP_NOT_FOUND, "%s is no regular file", f->path);
    if (st.st_size > FILE_BYTES_MAX)
        return error_set(&HTTP_FILE_TOO_LARGE, "%s has %ld bytes", f->path, (long)st.st_size);
    f->len = (size_t)st.st_size;
    return OK;
}

/* On an offload thread. A file that shrank meanwhile gives what is left of it. */
static error file_load(void *arg)
{
    file_read *f = arg;
    size_t done = 0;
    while (done < f->len) {
        const ssize_t got = pread(f->fd, f->bytes + done, f->len - done, (off_t)done);
        if (got < 0)
            return error_set_errno(&SYSTEM_FAILED, errno, "reading %s", f->path);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    f->len = done;
    return OK;
}

static error file_close(void *arg)
{
    const file_read *f = arg;
    if (f->fd >= 0)
        close(f->fd);
    return OK;
}

static void file_abandon(void *arg)
{
    const file_read *f = arg;
    if (f->fd >= 0)
        close(f->fd);
}

static const cleanup FILE_CLOSE = { .run = file_close, .abandon = file_abandon, .name = "file" };

error http_reply_file(http_request *req, const char *root, str path)
{
    arena *a = http_request_arena(req);
    if (!is_servable(path))
        return error_set(&HTTP_NOT_FOUND, "path is not servable");
    file_read *f = ARENA_NEW(a, file_read);
    f->root = root;
    f->path = str_to_c(a, path);
    f->fd = -1;
    scope_defer(&FILE_CLOSE, f);
    TRY(offload(file_open, f));
    f->bytes = arena_alloc(a, f->len, 1);
    TRY(offload(file_load, f));
    return http_reply_bytes(req, 200, type_of(path), (str){ f->bytes, f->len });
}
