/* What a layer may do to its stream: take what the socket brought, give the owner its bytes, take
 * the owner's from the queue, and say that it has opened or failed. */
#include "stream_layer.h"

#include "stream_file.h"
#include "stream_private.h"

#include <errno.h>
#include <string.h>

#define LAYER_LINGER_MS 500 /* for a peer to take the reason why its layer failed */

error stream_add_layer(stream *s, stream_layer *y)
{
    if (s->layer || !stream_writable(s) || s->at_end)
        return error_set(&STREAM_CLOSED, "the stream is closing, ended, or has a layer already");
    s->layer = y;
    y->stream = s;
    y->opening = true;
    y->fresh = s->in_data;
    stream_send_later(s);
    return OK;
}

stream_layer *stream_layer_of(const stream *s)
{
    return s->layer;
}

size_t stream_input_left(const stream *s)
{
    return s->in_data ? 0 : s->in_to - s->in_from;
}

bool stream_is_ending(const stream *s)
{
    return s->end_wanted || s->state == STREAM_ENDING;
}

bool stream_is_gone(const stream *s)
{
    return s->state == STREAM_GONE;
}

void stream_layer_take_input(stream *s, char *to, size_t bytes)
{
    invariant(s->in && bytes == s->in_to - s->in_from);
    memcpy(to, s->in->data + s->in_from, bytes);
    s->in_from = s->in_to;
    stream_input_idle(s);
    stream_read_later(s->loop, s);
}

void stream_layer_filled(stream *s, size_t bytes)
{
    s->in_to += (uint32_t)bytes;
}

void stream_layer_deliver(stream *s, bool at_end)
{
    s->at_end = at_end;
    stream_input_idle(s);
    stream_lend(s);
}

str stream_layer_queue(const stream *s)
{
    return stream_queue_front(&s->queue);
}

bool stream_layer_has_file(const stream *s, uint64_t bytes_min)
{
    return stream_queue_has_file(&s->queue, bytes_min);
}

int stream_layer_socket(const stream *s)
{
    return stream_fd(s);
}

bool stream_layer_read(stream *s, char *to, size_t bytes)
{
    while (bytes > 0 && s->state != STREAM_GONE) {
        const str next = str_slice(stream_queue_front(&s->queue), 0, bytes);
        size_t part = next.len;
        if (part > 0) {
            memcpy(to, next.ptr, part);
        } else {
            const stream_range r = stream_queue_front_file(&s->queue);
            invariant(r.file);
            const ssize_t got =
                stream_file_read(r.file, r.at, to, r.bytes < bytes ? r.bytes : bytes);
            if (got <= 0) {
                stream_file_ended(s, got < 0 ? errno : 0);
                return false;
            }
            part = (size_t)got;
        }
        stream_layer_taken(s, part);
        to += part;
        bytes -= part;
    }
    return s->state != STREAM_GONE;
}

void stream_layer_taken(stream *s, size_t bytes)
{
    s->queued -= bytes;
    stream_queue_drop(&s->queue, bytes);
}

void stream_layer_queued(stream *s, size_t bytes)
{
    s->queued += bytes;
    if (!s->layer->filling)
        stream_send_later(s);
}

void stream_layer_opened(stream *s)
{
    s->layer->opening = false;
    stream_send_later(s);
    if (s->state == STREAM_OPEN && s->handler->opened)
        s->handler->opened(s);
}

void stream_layer_failed(stream *s, const error_kind *why, int system_errno, const char *text)
{
    if (s->state == STREAM_GONE)
        return;
    const bool by_owner = s->state == STREAM_ENDING || s->state == STREAM_LINGERING;
    s->layer->opening = false;
    s->queued -= stream_queue_bytes(&s->queue);
    stream_queue_clear(&s->queue);
    if (by_owner) {
        stream_abort(s);
        return;
    }
    s->why = why;
    s->why_errno = system_errno;
    s->why_text = text;
    if (s->queued == 0 || s->layer->wire_end) {
        stream_abort(s);
        return;
    }
    stream_close(s, LAYER_LINGER_MS);
}
