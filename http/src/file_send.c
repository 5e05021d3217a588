/* Sending a staged file: its header fields, then its bytes, whole or in parts.
 *
 * It runs when the handler has returned and its scope is closed, so a slow client holds a fiber and
 * a descriptor, but no transaction, no connection of a pool and no offload thread. A small file is
 * read and leaves with its head. A larger one is handed to the stream a window at a time, and the
 * next window is loaded (by an offload thread, if the kernel does not have it in memory) while the
 * client takes the one before: so a file of any size takes the same memory, and no disk holds the
 * loop up.
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

#define SMALL_BYTES  16384 /* up to which reading costs less: docs/decisions/0017 */
#define WINDOW_BYTES 1048576
#define PATIENCE     200 /* times that the offload threads may be busy in the middle of a response */
#define PAUSE_MS     5

/* --- bytes ------------------------------------------------------------------------------------ */

/* Brings a range into memory. A response that has begun waits for a thread; one that has not may be
 * 503. */
static error load(const http_request *req, const http_range *r)
{
    for (int i = 0;; i++) {
        const error e = stream_file_load(req->file->source, r->at, r->bytes);
        if (!error_is(e, &OFFLOAD_FULL) || !req->streaming || i == PATIENCE)
            return e;
        TRY(fiber_sleep(PAUSE_MS));
    }
}

/* Reads a whole range `into` room for just that: at once when it is in memory. */
static error read_range(const http_request *req, const http_range *r, const struct iovec *into)
{
    const int fd = stream_file_fd(req->file->source);
    if (preadv2(fd, into, 1, (off_t)r->at, RWF_NOWAIT) == (ssize_t)r->bytes)
        return OK;
    TRY(load(req, r));
    const ssize_t got = preadv(fd, into, 1, (off_t)r->at);
    if (got < 0)
        return error_set_errno(&STREAM_FILE_FAILED, errno, "reading a file");
    return got == (ssize_t)r->bytes ? OK
                                    : error_set(&STREAM_FILE_FAILED, "the file has become shorter");
}

static http_range window_at(const http_range *part, uint64_t done)
{
    const uint64_t left = part->bytes - done;
    return (http_range){ part->at + done, left < WINDOW_BYTES ? left : WINDOW_BYTES };
}

/* The part's first window is loaded. */
static error send_loaded(http_request *req, const http_range *part)
{
    for (uint64_t done = 0; done < part->bytes;) {
        http_range window = window_at(part, done);
        TRY(http_reply_write_file(req, req->file->source, &window));
        done += window.bytes;
        window = window_at(part, done);
        TRY(load(req, &window));
        TRY(http_reply_wait(req));
    }
    return OK;
}

static error load_first(const http_request *req, const http_range *part)
{
    const http_range window = window_at(part, 0);
    return load(req, &window);
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
                      part == f->parts ? "" : "\r\n", STR_ARG(boundary), STR_ARG(req->content_type),
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
    req->own_type = STR_NONE; /* which is that of each part */
    TRY(http_reply_start_sized(req, req->status, type, total));
    char *small = arena_alloc(a, SMALL_BYTES, 1);
    for (size_t i = 0; i < f->part_count; i++) {
        const http_range *part = &f->parts[i];
        TRY(http_reply_write(req, frames[i]));
        if (part->bytes <= SMALL_BYTES) {
            const struct iovec into = { small, (size_t)part->bytes };
            TRY(read_range(req, part, &into));
            TRY(http_reply_write(req, (str){ small, (size_t)part->bytes }));
        } else {
            TRY(load_first(req, part));
            TRY(send_loaded(req, part));
        }
    }
    return http_reply_write(req, frames[f->part_count]);
}

error http_file_send(http_request *req)
{
    const http_file *f = req->file;
    arena *a = &req->conn->arena;
    const http_range *part = &f->parts[0];
    invariant(f && f->source && !req->streaming);
    http_reply_uncompressed(req); /* but for its neighbours */
    if (req->status == 304) {
        TRY(set_fields(req, f));
        return http_reply_empty(req, 304);
    }
    const bool reads = req->head.method != HTTP_HEAD;
    if (reads && f->part_count == 1 && part->bytes <= SMALL_BYTES) {
        const size_t len = (size_t)part->bytes;
        const struct iovec into = { arena_alloc(a, len, 1), len };
        TRY(read_range(req, part, &into));
        TRY(set_fields(req, f)); /* not before: a read that fails is another answer */
        return http_reply_bytes(req, req->status, f->type, (str){ into.iov_base, len });
    }
    if (reads)
        TRY(load_first(req, part)); /* for the same reason */
    TRY(set_fields(req, f));
    if (f->part_count > 1) /* of a GET */
        return send_parts(req, f);
    TRY(http_reply_start_sized(req, req->status, f->type, part->bytes));
    return reads ? send_loaded(req, part) : OK;
}
