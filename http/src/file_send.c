/* Sending a staged file: its header fields, then its bytes, whole or in parts.
 *
 * It runs when the handler has returned and its scope is closed, so a slow client holds a fiber and
 * a descriptor, but no transaction, no connection of a pool and no offload thread. What the kernel
 * has in memory is read at once, the rest on an offload thread, 64 KiB at a time; the next piece is
 * read when the client has taken what is queued. So a file of any size takes the same memory.
 *
 * What it promises: as many bytes as were announced, all of them of the one file that was opened. A
 * file that has become shorter meanwhile breaks the connection off. */
#include "conn.h"
#include "date.h"
#include "file.h"

#include "core/offload.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static ERROR_KIND(HTTP_FILE_CHANGED, ERROR_INTERNAL, "The server could not complete the request.");

#define PIECE_BYTES 65536
#define PATIENCE    200 /* times that the offload threads may be busy in the middle of a response */
#define PAUSE_MS    5

typedef struct file_read {
    int fd;
    uint64_t at;
    char *bytes;
    size_t len;
    size_t done;
} file_read;

/* --- reading ---------------------------------------------------------------------------------- */

/* On an offload thread. */
static error read_all(void *arg)
{
    file_read *r = arg;
    while (r->done < r->len) {
        const ssize_t got =
            pread(r->fd, r->bytes + r->done, r->len - r->done, (off_t)(r->at + r->done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(&SYSTEM_FAILED, errno, "reading a file");
        if (got == 0)
            return error_set(&HTTP_FILE_CHANGED, "it ends at byte %llu",
                             (unsigned long long)(r->at + r->done));
        r->done += (size_t)got;
    }
    return OK;
}

/* What needs no waiting for a disk. */
static void read_cached(file_read *r)
{
    const struct iovec into = { r->bytes, r->len };
    const ssize_t got = preadv2(r->fd, &into, 1, (off_t)r->at, RWF_NOWAIT);
    r->done = got > 0 ? (size_t)got : 0;
}

/* Reads `r->len` bytes. A response that has begun waits for a thread; one that has not may be 503.
 */
static error read_piece(const http_request *req, file_read *r)
{
    read_cached(r);
    if (r->done == r->len)
        return OK;
    for (int i = 0;; i++) {
        const error e = offload(read_all, r);
        if (!error_is(e, &OFFLOAD_FULL) || !req->streaming || i == PATIENCE)
            return e;
        TRY(fiber_sleep(PAUSE_MS));
    }
}

static error send_part(http_request *req, const http_range *part, void *piece)
{
    uint64_t done = 0;
    while (done < part->bytes) {
        const uint64_t left = part->bytes - done;
        file_read r = { .fd = req->file->fd,
                        .at = part->at + done,
                        .bytes = piece,
                        .len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES };
        TRY(read_piece(req, &r));
        TRY(http_reply_write(req, (str){ piece, r.len }));
        done += r.len;
    }
    return OK;
}

/* --- header fields -----------------------------------------------------------------------------
 */

static str content_range(arena *a, const http_file *f, const http_range *part)
{
    return str_format(a, "bytes %llu-%llu/%llu", (unsigned long long)part->at,
                      (unsigned long long)(part->at + part->bytes - 1),
                      (unsigned long long)f->bytes);
}

/* Those of 304 are fewer (RFC 9110, 15.4.5). */
static error set_fields(http_request *req, const http_file *f)
{
    TRY(http_replace_header(req, STR("ETag"), f->etag));
    if (f->varies)
        TRY(http_set_header(req, STR("Vary"), STR("Accept-Encoding")));
    if (req->status == 304)
        return OK;
    char date[HTTP_DATE_LEN + 1];
    http_date_format(date, f->modified_s);
    TRY(http_replace_header(req, STR("Last-Modified"), (str){ date, HTTP_DATE_LEN }));
    if (f->coding != HTTP_CODING_IDENTITY)
        return http_replace_header(req, STR("Content-Encoding"), http_coding_name(f->coding));
    TRY(http_replace_header(req, STR("Accept-Ranges"), STR("bytes")));
    if (req->status == 206 && f->part_count == 1)
        TRY(http_replace_header(req, STR("Content-Range"),
                                content_range(&req->conn->arena, f, &f->parts[0])));
    return OK;
}

/* --- several parts: RFC 9110, 14.6 -------------------------------------------------------------
 */

/* What stands before a part; behind the last, with `part` NULL, the end. */
static str make_frame(http_request *req, const http_file *f, str boundary, const http_range *part)
{
    arena *a = &req->conn->arena;
    if (!part)
        return str_format(a, "\r\n--%.*s--\r\n", STR_ARG(boundary));
    const str range = content_range(a, f, part);
    return str_format(a, "%s--%.*s\r\nContent-Type: %.*s\r\nContent-Range: %.*s\r\n\r\n",
                      part == f->parts ? "" : "\r\n", STR_ARG(boundary), STR_ARG(f->type),
                      STR_ARG(range));
}

static error send_parts(http_request *req, const http_file *f)
{
    arena *a = &req->conn->arena;
    str frames[HTTP_RANGES_MAX + 1];
    uint64_t total = 0;
    /* As good as random to whoever wrote the file: ids begin at a seed of the worker's own. */
    const str boundary = str_format(a, "brio-%.*s", (int)sizeof req->id, req->id);
    for (size_t i = 0; i < f->part_count; i++) {
        frames[i] = make_frame(req, f, boundary, &f->parts[i]);
        total += frames[i].len + f->parts[i].bytes;
    }
    frames[f->part_count] = make_frame(req, f, boundary, NULL);
    total += frames[f->part_count].len;
    const str type = str_format(a, "multipart/byteranges; boundary=%.*s", STR_ARG(boundary));
    TRY(http_reply_start_sized(req, req->status, type, total));
    char *piece = arena_alloc(a, PIECE_BYTES, 1);
    for (size_t i = 0; i < f->part_count; i++) {
        TRY(http_reply_write(req, frames[i]));
        TRY(send_part(req, &f->parts[i], piece));
    }
    return http_reply_write(req, frames[f->part_count]);
}

error http_file_send(http_request *req)
{
    const http_file *f = req->file;
    arena *a = &req->conn->arena;
    const http_range *part = &f->parts[0];
    invariant(f && f->fd >= 0 && !req->streaming);
    if (req->status == 304) {
        TRY(set_fields(req, f));
        return http_reply_empty(req, 304);
    }
    const bool small = f->part_count == 1 && part->bytes <= PIECE_BYTES;
    if (small && req->head.method != HTTP_HEAD) {
        file_read r = { .fd = f->fd, .at = part->at, .len = (size_t)part->bytes };
        r.bytes = arena_alloc(a, r.len, 1);
        TRY(read_piece(req, &r));
        TRY(set_fields(req, f)); /* not before: a read that fails is another answer */
        return http_reply_bytes(req, req->status, f->type, (str){ r.bytes, r.len });
    }
    TRY(set_fields(req, f));
    if (f->part_count > 1)
        return send_parts(req, f);
    TRY(http_reply_start_sized(req, req->status, f->type, part->bytes));
    if (req->head.method == HTTP_HEAD)
        return OK;
    return send_part(req, part, arena_alloc(a, PIECE_BYTES, 1));
}
