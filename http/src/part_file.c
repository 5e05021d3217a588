/* Parts of a form in files that no directory names: O_TMPFILE, or where a file system has none of
 * these, a name that is taken away at once. So nothing is left behind, however the process ends.
 *
 * A write into the page cache is fast until the kernel holds writers up for a disk that cannot
 * follow, and then takes as long as it takes; closing frees what may be gigabytes. So the disk is
 * only ever touched on an offload thread, with what pieces were gathered to be worth the way there:
 * the client sends as fast as it is written. When all threads are taken, an upload waits.
 *
 * Invariant: a file is closed once, by the clean-up of the scope that it was opened in. */
#include "multipart.h"

#include "core/fault.h"
#include "core/offload.h"
#include "core/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ERROR_KIND(HTTP_STORAGE_FULL, ERROR_UNAVAILABLE, "There is no room for this upload at present.");

#define BUSY_PAUSE_MS 5 /* before the next try for a thread */
#define NAME_TEMPLATE "/brio-XXXXXX"

/* What the threads work on. */
typedef struct part_file {
    const char *directory;
    char *name;           /* a template in it */
    str bytes;            /* to be written */
    int fd;               /* -1: not open yet, or no more */
    bool without_tmpfile; /* as a test wishes */
} part_file;

static error failed(const part_file *f, int why, const char *what)
{
    const bool full = why == ENOSPC || why == EDQUOT || why == EFBIG;
    const bool busy = why == EMFILE || why == ENFILE || why == ENOMEM;
    const error_kind *kind = full   ? &HTTP_STORAGE_FULL
                             : busy ? &HTTP_TOO_MANY_FILES
                                    : &SYSTEM_FAILED;
    return error_set_errno(kind, why, "%s in %s", what, f->directory);
}

/* --- on a thread ------------------------------------------------------------------------------ */

/* For file systems that answer O_TMPFILE with one of these. */
static bool lacks_tmpfile(int why)
{
    return why == EOPNOTSUPP || why == EISDIR || why == EINVAL;
}

static error open_file(part_file *f)
{
    int why = EOPNOTSUPP;
    if (!f->without_tmpfile) {
        f->fd = open(f->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        why = errno;
    }
    if (f->fd < 0 && lacks_tmpfile(why)) {
        f->fd = mkostemp(f->name, O_CLOEXEC);
        why = errno;
        if (f->fd >= 0 && unlink(f->name) < 0)
            return failed(f, errno, "unlink"); /* the clean-up closes it */
    }
    return f->fd < 0 ? failed(f, why, "a file for an upload") : OK;
}

static error write_bytes(void *arg)
{
    part_file *f = arg;
    if (f->fd < 0)
        TRY(open_file(f));
    for (str rest = f->bytes; rest.len > 0;) {
        const ssize_t count = write(f->fd, rest.ptr, rest.len);
        if (count < 0 && errno != EINTR)
            return failed(f, errno, "write");
        if (count > 0)
            rest = str_slice(rest, (size_t)count, rest.len);
    }
    return OK;
}

static error close_file(void *arg)
{
    part_file *f = arg;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    return OK;
}

/* --- on the fiber ----------------------------------------------------------------------------- */

/* What waits for a thread is the client's upload, not the client: only the fiber's fuses end it. */
static error write_in_turn(part_file *f)
{
    for (;;) {
        const error e = offload(write_bytes, f);
        if (!error_is(e, &OFFLOAD_FULL))
            return e;
        TRY(fiber_sleep(BUSY_PAUSE_MS));
    }
}

static error close_at_the_end(void *arg)
{
    const error e = offload(close_file, arg);
    return e.kind ? close_file(arg) : OK;
}

static void close_abandoned(void *arg)
{
    (void)close_file(arg).kind;
}

static const cleanup CLOSE = { .run = close_at_the_end,
                               .abandon = close_abandoned,
                               .name = "file of an upload" };

static error too_large(uint64_t bytes_max, const char *what)
{
    return error_set(&HTTP_BODY_TOO_LARGE, "%s of over %llu bytes", what,
                     (unsigned long long)bytes_max);
}

/* Writes what was gathered; opens the file first, also for nothing. */
static error flush(http_multipart *m, part_file *f)
{
    if (fault_point("http.part_file.write"))
        return failed(f, ENOSPC, "write");
    f->bytes = buf_str(&m->gathered);
    TRY(write_in_turn(f));
    buf_reset(&m->gathered);
    return OK;
}

static error save_pieces(http_multipart *m, part_file *f, uint64_t bytes_max, uint64_t *bytes)
{
    str piece;
    buf_reset(&m->gathered); /* of a part that failed */
    for (*bytes = 0;; *bytes += piece.len, m->saved_bytes += piece.len) {
        TRY(http_part_read(m, &piece));
        if (piece.len == 0)
            break;
        if (piece.len > bytes_max - *bytes)
            return too_large(bytes_max, "a part");
        if (piece.len > m->options.files_bytes_max - m->saved_bytes)
            return too_large(m->options.files_bytes_max, "files");
        if (m->gathered.len + piece.len > m->gathered.bytes_max)
            TRY(flush(m, f));
        buf_append(&m->gathered, piece);
    }
    TRY(flush(m, f));
    return lseek(f->fd, 0, SEEK_SET) < 0 ? failed(f, errno, "seek") : OK;
}

error http_part_save(http_multipart *m, uint64_t bytes_max, http_part_file *out)
{
    uint64_t bytes;
    part_file *f = ARENA_NEW(m->arena, part_file);
    invariant(m->options.directory != NULL);
    const size_t name_bytes = strlen(m->options.directory) + sizeof NAME_TEMPLATE;
    *out = (http_part_file){ .fd = -1 };
    *f = (part_file){ .directory = m->options.directory,
                      .name = arena_alloc(m->arena, name_bytes, 1),
                      .fd = -1,
                      .without_tmpfile = fault_point("http.part_file.tmpfile") };
    (void)snprintf(f->name, name_bytes, "%s" NAME_TEMPLATE, m->options.directory);
    scope_defer(&CLOSE, f); /* first: a fuse may blow while a thread opens the file */
    TRY(save_pieces(m, f, bytes_max, &bytes));
    *out = (http_part_file){ f->fd, bytes };
    return OK;
}
