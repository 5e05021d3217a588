/* What a stream's owner has written and nobody has sent: slices of blocks and of files, oldest
 * first, each with a reference to its block or file. */
#ifndef CORE_SRC_STREAM_QUEUE_H
#define CORE_SRC_STREAM_QUEUE_H

#include "stream_file.h"

#include "core/block.h"
#include "core/str.h"

#include <sys/uio.h>

#define STREAM_QUEUE_INLINE 4 /* entries without memory of their own */

typedef struct stream_slice {
    block *block;      /* NULL: of `file` */
    stream_file *file; /* NULL: of `block` */
    union {
        const char *ptr; /* into the block */
        uint64_t at;     /* in the file */
    };
    size_t len;
} stream_slice;

typedef struct stream_queue {
    stream_slice *slices; /* [first, first + count) */
    uint32_t first;
    uint32_t count;
    uint32_t capacity;
    stream_slice inline_slices[STREAM_QUEUE_INLINE];
} stream_queue;

void stream_queue_init(stream_queue *q);
/* Drops everything; safe twice. */
void stream_queue_deinit(stream_queue *q);
/* Drops all slices. */
void stream_queue_clear(stream_queue *q);

/* Room for up to `bytes` (at most BLOCK_CAPACITY) at the end, in the newest slice's block while
 * that is ours alone; NULL without memory. */
char *stream_queue_reserve(stream_queue *q, size_t bytes);
/* `bytes` of that room were written. */
void stream_queue_commit(stream_queue *q, size_t bytes);
/* Adds a slice of `b` and a reference to it; false without memory. */
bool stream_queue_add(stream_queue *q, block *b, str bytes);
/* Adds a range of a file, not empty, and a reference to it; false without memory. */
bool stream_queue_add_file(stream_queue *q, const stream_range *range);

/* The oldest bytes that lie together in memory; empty when there are none, or a file's are older.
 */
str stream_queue_front(const stream_queue *q);
/* The oldest bytes if they are a file's; else of 0 bytes. */
stream_range stream_queue_front_file(const stream_queue *q);
/* Whether there is a range of so many bytes of a file that the kernel can send. */
bool stream_queue_has_file(const stream_queue *q, uint64_t bytes_min);
/* The oldest slices up to a file's, in at most `max` entries; returns their number.
 * `*file_follows`: a file's come next. */
int stream_queue_view(const stream_queue *q, struct iovec *iov, int max, bool *file_follows);
/* Takes the oldest `bytes` off. */
void stream_queue_drop(stream_queue *q, size_t bytes);
/* Bytes in all of it. */
size_t stream_queue_bytes(const stream_queue *q);

#endif
