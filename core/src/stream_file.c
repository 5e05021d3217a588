/* Files that streams send ranges of. Sending reads what is not in memory from the disk, and the
 * loop would wait for it: so whoever sends a file has its ranges loaded before, which looks into
 * the kernel's cache and reads on an offload thread what is not there.
 *
 * The look takes one byte each PROBE_BYTES, without waiting: what lies between two of them that are
 * there was read together with them, and rarely goes without them. Where it has, sending waits for
 * that one read.
 *
 * Invariant: the descriptor is open while there are references, and closed with the last. */
#include "stream_file.h"

#include "worker.h"

#include "core/fault.h"
#include "core/memory.h"
#include "core/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

ERROR_KIND(STREAM_FILE_FAILED, ERROR_INTERNAL, "The server could not complete the request.");

#define PROBE_BYTES 131072 /* what kernels read ahead at least, unless told otherwise */

/* sendfile, unlike sendmsg, cannot be told to spare the process when the peer has gone. */
static void ignore_broken_pipes(void)
{
    struct sigaction now;
    if (worker_self.pipes_looked_at)
        return;
    worker_self.pipes_looked_at = true;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

error stream_file_new(int fd, stream_file **out)
{
    stream_file *f = fault_point("stream.file") ? NULL : MEMORY_NEW(stream_file);
    if (!f) {
        close(fd);
        return error_set(&OUT_OF_MEMORY, "no memory for a file to be sent");
    }
    ignore_broken_pipes();
    f->fd = fd;
    f->references = 1;
    *out = f;
    return OK;
}

stream_file *stream_file_keep(stream_file *f)
{
    f->references++;
    return f;
}

void stream_file_release(stream_file **owner)
{
    stream_file *f = *owner;
    *owner = NULL;
    if (!f)
        return;
    invariant(f->references > 0);
    if (--f->references > 0)
        return;
    close(f->fd);
    memory_free(f);
}

int stream_file_fd(const stream_file *f)
{
    return f->fd;
}

ssize_t stream_file_read(const stream_file *f, uint64_t at, char *to, size_t len)
{
    ssize_t got;
    do
        got = pread(f->fd, to, len, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got;
}

/* --- loading ---------------------------------------------------------------------------------- */

static bool is_cached_at(int fd, uint64_t at)
{
    char byte;
    const struct iovec into = { &byte, 1 };
    return preadv2(fd, &into, 1, (off_t)at, RWF_NOWAIT) == 1;
}

static bool is_cached(const stream_range *r)
{
    if (fault_point("stream.file_cold"))
        return false;
    for (uint64_t i = 0; i < r->bytes; i += PROBE_BYTES) {
        if (!is_cached_at(r->file->fd, r->at + i))
            return false;
    }
    return is_cached_at(r->file->fd, r->at + r->bytes - 1);
}

/* On an offload thread, whose block pool is its own. */
static error read_range(void *arg)
{
    const stream_range *r = arg;
    block *b = block_acquire(BLOCK_CAPACITY);
    if (!b)
        return error_set(&OUT_OF_MEMORY, "no memory to read a file into");
    (void)readahead(r->file->fd, (off_t)r->at, (size_t)r->bytes);
    error e = OK;
    for (uint64_t done = 0; done < r->bytes && !e.kind;) {
        const uint64_t left = r->bytes - done;
        const ssize_t got = stream_file_read(r->file, r->at + done, b->data,
                                             left < b->capacity ? (size_t)left : b->capacity);
        if (got < 0)
            e = error_set_errno(&STREAM_FILE_FAILED, errno, "reading a file");
        else if (got == 0)
            e = error_set(&STREAM_FILE_FAILED, "the file ends at byte %llu",
                          (unsigned long long)(r->at + done));
        done += got > 0 ? (uint64_t)got : 0;
    }
    block_release(&b);
    return e;
}

error stream_file_load(stream_file *f, uint64_t offset, uint64_t bytes)
{
    stream_range r = { f, offset, bytes };
    invariant(bytes <= INT64_MAX && offset <= INT64_MAX - bytes);
    return bytes == 0 || is_cached(&r) ? OK : offload(read_range, &r);
}
