/* The queue of a stream's output: an array that moves to its front when it has run out of room at
 * its end, and grows when it is full. Few streams ever have more than the inline slices.
 *
 * Invariant: every slice holds a reference to its block or its file, and has one of the two. A
 * slice of a block may be empty (room that was reserved); it goes when those before it have gone.
 */
#include "stream_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void stream_queue_init(stream_queue *q)
{
    *q = (stream_queue){ .capacity = STREAM_QUEUE_INLINE };
    q->slices = q->inline_slices;
}

static_assert(sizeof(size_t) == sizeof(uint64_t), "a slice may be as long as a file");

static void drop_slice(stream_slice *slice)
{
    block_release(&slice->block);
    stream_file_release(&slice->file);
}

void stream_queue_clear(stream_queue *q)
{
    for (uint32_t i = 0; i < q->count; i++)
        drop_slice(&q->slices[q->first + i]);
    q->first = q->count = 0;
}

void stream_queue_deinit(stream_queue *q)
{
    stream_queue_clear(q);
    if (q->slices != q->inline_slices)
        free(q->slices);
    stream_queue_init(q);
}

/* A new newest slice; NULL without memory. */
static stream_slice *push(stream_queue *q)
{
    if (q->first + q->count == q->capacity) {
        if (q->first > 0) {
            memmove(q->slices, q->slices + q->first, q->count * sizeof *q->slices);
            q->first = 0;
        } else {
            const uint32_t capacity = q->capacity * 2;
            stream_slice *more = malloc(capacity * sizeof *more);
            if (!more)
                return NULL;
            memcpy(more, q->slices, q->count * sizeof *more);
            if (q->slices != q->inline_slices)
                free(q->slices);
            q->slices = more;
            q->capacity = capacity;
        }
    }
    return &q->slices[q->first + q->count++];
}

char *stream_queue_reserve(stream_queue *q, size_t bytes)
{
    const stream_slice *last = q->count > 0 ? &q->slices[q->first + q->count - 1] : NULL;
    if (last && last->block) {
        const char *end = last->block->data + last->block->capacity;
        const char *free_from = last->ptr + last->len;
        if (last->block->references == 1 && (size_t)(end - free_from) >= bytes)
            return last->block->data + (free_from - last->block->data);
    }
    block *b = block_acquire(BLOCK_CAPACITY);
    stream_slice *slice = b ? push(q) : NULL;
    if (!slice) {
        block_release(&b);
        return NULL;
    }
    *slice = (stream_slice){ .block = b, .ptr = b->data };
    return b->data;
}

void stream_queue_commit(stream_queue *q, size_t bytes)
{
    invariant(q->count > 0);
    q->slices[q->first + q->count - 1].len += bytes;
}

bool stream_queue_add(stream_queue *q, block *b, str bytes)
{
    stream_slice *slice = push(q);
    if (!slice)
        return false;
    *slice = (stream_slice){ .block = block_keep(b), .ptr = bytes.ptr, .len = bytes.len };
    return true;
}

bool stream_queue_add_file(stream_queue *q, const stream_range *range)
{
    stream_slice *slice = push(q);
    if (!slice)
        return false;
    *slice = (stream_slice){ .file = stream_file_keep(range->file),
                             .at = range->at,
                             .len = range->bytes };
    return true;
}

/* The oldest slice that is not empty; NULL when there is none. */
static const stream_slice *oldest(const stream_queue *q)
{
    for (uint32_t i = 0; i < q->count; i++) {
        const stream_slice *slice = &q->slices[q->first + i];
        if (slice->len > 0)
            return slice;
    }
    return NULL;
}

str stream_queue_front(const stream_queue *q)
{
    const stream_slice *slice = oldest(q);
    return slice && slice->block ? (str){ slice->ptr, slice->len } : STR("");
}

stream_range stream_queue_front_file(const stream_queue *q)
{
    const stream_slice *slice = oldest(q);
    return slice && slice->file ? (stream_range){ slice->file, slice->at, slice->len }
                                : (stream_range){ 0 };
}

bool stream_queue_has_file(const stream_queue *q, uint64_t bytes_min)
{
    for (uint32_t i = q->first; i < q->first + q->count; i++) {
        const stream_slice *slice = &q->slices[i];
        if (slice->file && !slice->file->copies && slice->len >= bytes_min)
            return true;
    }
    return false;
}

int stream_queue_view(const stream_queue *q, struct iovec *iov, int max, bool *file_follows)
{
    int count = 0;
    *file_follows = false;
    for (uint32_t i = 0; i < q->count && count < max && !*file_follows; i++) {
        const stream_slice *slice = &q->slices[q->first + i];
        *file_follows = slice->file != NULL;
        if (slice->len == 0 || slice->file)
            continue;
        block *b = slice->block;
        iov[count++] = (struct iovec){ b->data + (slice->ptr - b->data), slice->len };
    }
    return count;
}

void stream_queue_drop(stream_queue *q, size_t bytes)
{
    while (q->count > 0) {
        stream_slice *slice = &q->slices[q->first];
        const size_t part = bytes < slice->len ? bytes : slice->len;
        if (slice->file)
            slice->at += part;
        else
            slice->ptr += part;
        slice->len -= part;
        bytes -= part;
        if (slice->len > 0)
            break;
        drop_slice(slice);
        q->first++;
        q->count--;
    }
    if (q->count == 0)
        q->first = 0;
}

size_t stream_queue_bytes(const stream_queue *q)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < q->count; i++)
        bytes += q->slices[q->first + i].len;
    return bytes;
}
