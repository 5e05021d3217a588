/* The stream: input kept in one block, output in a queue of slices of blocks, and the states
 * between connecting and gone. Transports move the bytes (backend.h).
 *
 * Input: bytes [in_from, in_to) of `in` are not yet consumed. They grow in place; when the block is
 * full they move to the front or to a larger block. A block that nobody else keeps and whose bytes
 * are consumed goes back to the pool, so an idle stream holds none.
 *
 * Output: a queue of slices of blocks and files (stream_queue.h).
 *
 * A layer (stream_layer.h), if there is one, stands between both and the transport: what is read
 * goes to it, what is sent comes from it, and input and queue stay the owner's plain bytes.
 *
 * A peer that takes too little is found out by a timer of its own, which runs only while the kernel
 * has refused output: what the peer has acknowledged is the kernel's to say, whatever its buffers.
 *
 *   CONNECTING -> OPEN -> ENDING (write side ends once flushed) -> LINGERING (drops input) -> GONE
 *
 * Invariant: GONE is entered once; the descriptor is closed there, and closed() follows from a
 * task. */
#include "core/stream.h"

#include "stream_private.h"

#include "core/clock.h"
#include "core/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX   1048576
#define OUTPUT_BYTES_HIGH 262144
#define INPUT_SPACE_MIN   512 /* a read of less is not worth the call */

ERROR_KIND(STREAM_CONNECT_FAILED, ERROR_UNAVAILABLE,
           "A service behind the server cannot be reached.");
ERROR_KIND(STREAM_CLOSED, ERROR_UNAVAILABLE, "The connection was closed.");
ERROR_KIND(STREAM_STALLED, ERROR_TIMED_OUT, "The peer takes too little of what it is sent.");
ERROR_KIND(STREAM_INPUT_FULL, ERROR_TOO_LARGE, "The peer sent more than is accepted at once.");

/* --- small answers --------------------------------------------------------------------------- */

void *stream_owner(const stream *s)
{
    return s->owner;
}

loop *stream_loop(const stream *s)
{
    return s->loop;
}

bool stream_at_end(const stream *s)
{
    return s->at_end;
}

bool stream_peer_has_ended(const stream *s)
{
    return s->at_end || s->io.peer_ended;
}

size_t stream_queued(const stream *s)
{
    return s->queued;
}

int stream_fd(const stream *s)
{
    return s->fd;
}

stream_io_flags *stream_flags(stream *s)
{
    return &s->io;
}

bool stream_is_connecting(const stream *s)
{
    return s->state == STREAM_CONNECTING;
}

stream *stream_of_unread(list_node *n)
{
    return CONTAINER_OF(n, stream, unread);
}

void *stream_transport_state(const stream *s)
{
    return s->transport_state;
}

bool stream_resets(const stream *s)
{
    return s->resets;
}

address stream_peer(const stream *s)
{
    return s->state == STREAM_GONE ? (address){ 0 } : s->transport->peer(s);
}

/* Whether `data` may be called: the owner wants input, and our output is not in the way. */
bool stream_takes_input(const stream *s)
{
    return s->state == STREAM_OPEN && !s->paused && (!s->choked || s->full_duplex);
}

/* Whether nothing more can come from the socket. */
static bool peer_has_ended(const stream *s)
{
    return s->at_end || (s->layer && s->layer->wire_end);
}

static bool is_opening(const stream *s)
{
    return s->layer && s->layer->opening;
}

bool stream_wants_input(const stream *s)
{
    if (peer_has_ended(s))
        return false;
    if (s->state == STREAM_LINGERING)
        return true;
    if (s->layer && (s->layer->blocked || s->layer->holding))
        return false; /* stream_read_again sees to these first */
    return is_opening(s) ? s->state == STREAM_OPEN || s->state == STREAM_ENDING
                         : stream_takes_input(s);
}

/* --- the end --------------------------------------------------------------------------------- */

static void told_gone(loop_task *task)
{
    stream *s = CONTAINER_OF(task, stream, gone);
    s->loop->streams--;
    /* Recorded here, because others may have failed since. */
    s->handler->closed(s, s->why ? error_set_errno(s->why, s->why_errno, "%s", s->why_text) : OK);
    block_release(&s->in);
    stream_queue_deinit(&s->queue);
    if (s->layer)
        s->layer->ops->free(s->layer);
    free(s);
}

/* `why` NULL: as the owner wanted. `text` is a literal. */
static void finish(stream *s, const error_kind *why, int system_errno, const char *text)
{
    if (s->state == STREAM_GONE)
        return;
    s->state = STREAM_GONE;
    s->why = why;
    s->why_errno = system_errno;
    s->why_text = text;
    s->transport->stop(s->loop, s);
    s->transport_state = NULL;
    stream_queue_clear(&s->queue);
    s->queued = 0; /* the layer's too */
    if (s->layer)
        s->layer->ops->stop(s->layer);
    list_remove(&s->unread);
    list_remove(&s->flush.node);
    loop_timer_cancel(s->loop, &s->timer);
    loop_timer_cancel(s->loop, &s->send_timer);
    loop_post(s->loop, &s->gone);
}

/* As the owner wanted, or as the layer has failed before. */
static void finish_well(stream *s)
{
    finish(s, s->why, s->why_errno, s->why_text);
}

void stream_peer_ended(stream *s)
{
    if (s->state == STREAM_OPEN && !s->at_end && s->handler->ended)
        s->handler->ended(s);
}

void stream_failed(stream *s, int system_errno)
{
    if (s->state == STREAM_GONE)
        return;
    if (s->state == STREAM_ENDING || s->state == STREAM_LINGERING)
        finish_well(s); /* the owner is done with it: how the peer goes is no news */
    else if (s->state == STREAM_CONNECTING)
        finish(s, &STREAM_CONNECT_FAILED, system_errno, "connect");
    else
        finish(s, &STREAM_CLOSED, system_errno, "connection broke");
}

void stream_abort(stream *s)
{
    finish_well(s);
}

void stream_reset(stream *s)
{
    s->resets = true;
    finish_well(s);
}

static void set_timer(stream *s, uint32_t ms);

/* Until when a peer that does nothing is waited for, once the owner has closed. One that has output
 * to take is watched already. */
static void wait_for_peer(stream *s)
{
    const bool watched = s->queued > 0 && s->send_timeout_ms > 0;
    set_timer(s, watched ? 0 : s->linger_ms ? s->linger_ms : 1);
}

static void end_side(stream *s)
{
    if (s->end_sent)
        return;
    s->end_sent = true;
    s->transport->end(s);
}

/* Everything queued is with the kernel: what was waiting for that happens now. */
static void output_drained(stream *s)
{
    const bool was_choked = s->choked;
    s->choked = false;
    s->send_watched = false;
    if (s->end_wanted)
        end_side(s);
    if (s->state == STREAM_ENDING) {
        end_side(s);
        if (peer_has_ended(s)) {
            finish_well(s);
            return;
        }
        s->state = STREAM_LINGERING;
        s->in_from = s->in_to = 0;
        block_release(&s->in);
        if (s->layer)
            s->layer->ops->drop_input(s->layer);
        wait_for_peer(s);
        stream_read_later(s->loop, s);
        return;
    }
    if (was_choked) {
        stream_read_later(s->loop, s);
        if (s->handler->drained)
            s->handler->drained(s);
    }
}

void stream_close(stream *s, uint32_t linger_ms)
{
    if (s->state == STREAM_GONE || s->state == STREAM_ENDING || s->state == STREAM_LINGERING)
        return;
    if (s->state == STREAM_CONNECTING) {
        finish_well(s);
        return;
    }
    s->state = STREAM_ENDING;
    s->linger_ms = linger_ms;
    wait_for_peer(s);
    loop_at_turn_end(s->loop, &s->flush);
}

void stream_end(stream *s)
{
    if (s->state != STREAM_OPEN && s->state != STREAM_CONNECTING)
        return;
    s->end_wanted = true;
    loop_at_turn_end(s->loop, &s->flush);
}

/* --- timeout --------------------------------------------------------------------------------- */

static void timer_fired(timer *t)
{
    stream *s = CONTAINER_OF(t, stream, timer);
    if (s->timeout_at_ms == 0)
        return;
    if (s->loop->now_ms < s->timeout_at_ms) {
        timer_wheel_arm(&s->loop->timers, t, s->timeout_at_ms);
        return;
    }
    s->timeout_at_ms = 0;
    if (s->state == STREAM_ENDING || s->state == STREAM_LINGERING)
        finish_well(s);
    else if (s->handler->timeout)
        s->handler->timeout(s);
}

/* Moves the deadline only: the wheel is touched when the armed time is too late, not when it is too
 * early, because most timeouts are moved again before they pass. */
static void set_deadline(stream *s, uint64_t at_ms)
{
    s->timeout_at_ms = at_ms;
    if (at_ms && (!timer_armed(&s->timer) || s->timer.expires_ms > at_ms))
        timer_wheel_arm(&s->loop->timers, &s->timer, at_ms);
}

static void set_timer(stream *s, uint32_t ms)
{
    set_deadline(s, ms ? clock_deadline_ms(ms) : 0);
}

void stream_set_timeout(stream *s, uint32_t ms)
{
    if (s->state == STREAM_OPEN || s->state == STREAM_CONNECTING)
        set_timer(s, ms);
}

void stream_set_deadline(stream *s, uint64_t at_ms)
{
    if (s->state == STREAM_OPEN || s->state == STREAM_CONNECTING)
        set_deadline(s, at_ms);
}

/* --- a peer that takes too little ------------------------------------------------------------- */

/* Bytes that the peer has taken, as near as is known. */
static int64_t bytes_taken(const stream *s)
{
    return (int64_t)s->sent - s->transport->kept(s);
}

/* Output is left over: the peer has to take some for the rest to leave. */
static void watch_on(stream *s)
{
    s->send_watched = true;
    s->taken = bytes_taken(s);
    loop_timer_arm(s->loop, &s->send_timer, s->send_timeout_ms);
}

static void send_timer_fired(timer *t)
{
    stream *s = CONTAINER_OF(t, stream, send_timer);
    const int64_t wanted = (int64_t)s->send_rate_min * s->send_timeout_ms / 1000;
    if (!s->send_watched)
        return;
    if (bytes_taken(s) - s->taken >= (wanted > 0 ? wanted : 1))
        watch_on(s);
    else if (s->state == STREAM_ENDING)
        finish_well(s);
    else
        finish(s, &STREAM_STALLED, 0, "the peer takes too little");
}

/* --- input ----------------------------------------------------------------------------------- */

static void no_memory_to_read(stream *s)
{
    finish(s, &OUT_OF_MEMORY, 0, "no memory to read into");
}

/* Where the owner's next bytes go. */
char *stream_layer_space(stream *s, size_t *bytes)
{
    const size_t kept = s->in_to - s->in_from;
    if (s->in && s->in->capacity - s->in_to < INPUT_SPACE_MIN && s->in->references == 1 &&
        s->in_from >= INPUT_SPACE_MIN) {
        memmove(s->in->data, s->in->data + s->in_from, kept);
        s->in_from = 0;
        s->in_to = (uint32_t)kept;
    }
    if (!s->in || s->in->capacity - s->in_to < INPUT_SPACE_MIN) {
        block *b = block_acquire(2 * kept > BLOCK_CAPACITY ? 2 * kept : BLOCK_CAPACITY);
        if (!b) {
            no_memory_to_read(s);
            return NULL;
        }
        if (s->in && kept)
            memcpy(b->data, s->in->data + s->in_from, kept);
        block_release(&s->in);
        s->in = b;
        s->in_from = 0;
        s->in_to = (uint32_t)kept;
    }
    *bytes = s->in->capacity - s->in_to;
    return s->in->data + s->in_to;
}

void stream_input_idle(stream *s)
{
    if (s->in_from == s->in_to) {
        s->in_from = s->in_to = 0;
        block_release(&s->in);
    }
}

char *stream_input_space(stream *s, size_t *bytes)
{
    if (!s->layer)
        return stream_layer_space(s, bytes);
    char *to = s->layer->ops->input_space(s->layer, bytes);
    if (!to)
        no_memory_to_read(s);
    return to;
}

void stream_input_unused(stream *s)
{
    if (s->layer)
        s->layer->ops->received(s->layer, 0);
    else
        stream_input_idle(s);
}

/* Lends the owner what is not consumed. */
void stream_lend(stream *s)
{
    invariant(!s->in_data);
    const str bytes = s->in ? (str){ s->in->data + s->in_from, s->in_to - s->in_from } : STR("");
    s->in_data = true;
    const size_t consumed = s->handler->data(s, bytes);
    s->in_data = false;
    s->end_told = s->at_end && !s->paused; /* one that pauses is told again */
    invariant(consumed <= bytes.len);
    s->in_from += (uint32_t)consumed;
    if (s->state == STREAM_LINGERING || s->state == STREAM_ENDING)
        s->in_from = s->in_to;
    stream_input_idle(s);
    if (s->layer && s->layer->fresh) {
        s->layer->fresh = false;
        s->layer->ops->begin(s->layer, s->in_to - s->in_from);
    }
    if (s->state == STREAM_OPEN && s->in && s->in_to - s->in_from >= s->input_bytes_max &&
        !s->paused)
        finish(s, &STREAM_INPUT_FULL, 0, "input_bytes_max bytes are not consumed");
}

/* As stream_received, of a stream with a layer. */
static void wire_received(stream *s, size_t bytes)
{
    stream_layer *y = s->layer;
    y->ops->received(y, bytes);
    y->wire_end = bytes == 0;
    if (s->state != STREAM_LINGERING) {
        y->ops->advance(y);
        return;
    }
    y->ops->drop_input(y);
    if (bytes == 0)
        finish_well(s);
}

void stream_received(stream *s, size_t bytes)
{
    if (s->layer) {
        wire_received(s, bytes);
        return;
    }
    if (bytes == 0) {
        s->at_end = true;
        stream_input_unused(s);
    }
    if (s->state == STREAM_LINGERING) {
        stream_input_unused(s);
        if (s->at_end)
            finish_well(s);
        return;
    }
    s->in_to += (uint32_t)bytes;
    stream_lend(s);
}

void stream_read_later(loop *l, stream *s)
{
    if (!list_linked(&s->unread))
        list_append(&l->unread, &s->unread);
}

void stream_read_again(stream *s)
{
    if (stream_takes_input(s) && (s->in_to > s->in_from || (s->at_end && !s->end_told)))
        stream_lend(s);
    if (s->layer && s->state != STREAM_GONE && s->state != STREAM_CONNECTING)
        s->layer->ops->advance(s->layer);
    if (s->state != STREAM_GONE)
        s->transport->receive(s->loop, s);
}

void stream_pause(stream *s)
{
    s->paused = true;
}

void stream_resume(stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    if (s->state == STREAM_OPEN)
        stream_read_later(s->loop, s);
}

block *stream_keep_block(stream *s)
{
    invariant(s->in_data);
    return s->in ? block_keep(s->in) : NULL;
}

/* --- output ---------------------------------------------------------------------------------- */

bool stream_writable(const stream *s)
{
    return (s->state == STREAM_OPEN || s->state == STREAM_CONNECTING) && !s->end_wanted;
}

static void no_memory(stream *s)
{
    finish(s, &OUT_OF_MEMORY, 0, "no memory to write from");
}

/* Counts bytes in, and has them sent at the turn's end. */
static void queued_more(stream *s, size_t bytes)
{
    s->queued += bytes;
    if (s->queued > s->output_bytes_high)
        s->choked = true;
    loop_at_turn_end(s->loop, &s->flush);
}

char *stream_reserve(stream *s, size_t bytes)
{
    invariant(bytes <= BLOCK_CAPACITY);
    if (!stream_writable(s))
        return NULL;
    char *to = stream_queue_reserve(&s->queue, bytes);
    if (!to)
        no_memory(s);
    return to;
}

void stream_commit(stream *s, size_t bytes)
{
    stream_queue_commit(&s->queue, bytes);
    queued_more(s, bytes);
}

void stream_write(stream *s, str bytes)
{
    while (bytes.len > 0) {
        const size_t part = bytes.len < BLOCK_CAPACITY ? bytes.len : BLOCK_CAPACITY;
        char *to = stream_reserve(s, part);
        if (!to)
            return;
        memcpy(to, bytes.ptr, part);
        stream_commit(s, part);
        bytes = str_slice(bytes, part, bytes.len - part);
    }
}

void stream_write_block(stream *s, block *b, str bytes)
{
    if (!stream_writable(s) || bytes.len == 0)
        return;
    if (!stream_queue_add(&s->queue, b, bytes)) {
        no_memory(s);
        return;
    }
    queued_more(s, bytes.len);
}

void stream_write_file(stream *s, stream_file *f, uint64_t offset, uint64_t bytes)
{
    const stream_range range = { f, offset, bytes };
    invariant(bytes <= INT64_MAX && offset <= INT64_MAX - bytes);
    if (!stream_writable(s) || bytes == 0)
        return;
    if (!stream_queue_add_file(&s->queue, &range)) {
        no_memory(s);
        return;
    }
    queued_more(s, bytes);
}

void stream_file_ended(stream *s, int system_errno)
{
    finish(s, &STREAM_FILE_FAILED, system_errno,
           system_errno ? "reading a file" : "a file ends before the range that was to be sent");
}

/* Whoever calls it sends what it adds. */
static void fill_wire(stream *s)
{
    s->layer->filling = true;
    s->layer->ops->fill(s->layer);
    s->layer->filling = false;
}

/* Whether the bytes that go out next are the layer's. */
static bool layer_sends(const stream *s)
{
    return s->layer && (!s->layer->below || s->queue.count == 0);
}

bool stream_output(stream *s, stream_outgoing *out)
{
    out->file = (stream_range){ 0 };
    out->file_follows = false;
    out->control = STR("");
    if (s->layer) {
        fill_wire(s);
        if (s->state == STREAM_GONE)
            return false;
    }
    if (layer_sends(s)) {
        out->control = s->layer->control;
        out->count = s->layer->ops->output(s->layer, out->iov, STREAM_IOV_MAX);
        return out->count > 0;
    }
    out->count = stream_queue_view(&s->queue, out->iov, STREAM_IOV_MAX, &out->file_follows);
    if (out->count == 0)
        out->file = stream_queue_front_file(&s->queue);
    return out->count > 0 || out->file.bytes > 0;
}

void stream_send_later(stream *s)
{
    loop_at_turn_end(s->loop, &s->flush);
}

/* All is sent, as far as is known: unless the layer has more to say. */
static void sent_all(stream *s)
{
    if (s->layer) {
        fill_wire(s);
        if (s->queued > 0 || s->layer->opening || s->state == STREAM_GONE)
            return;
    }
    output_drained(s);
}

void stream_sent(stream *s, size_t bytes)
{
    s->queued -= bytes;
    s->sent += bytes;
    if (s->state == STREAM_ENDING)
        wait_for_peer(s); /* it reads: linger_ms is for one that does not */
    if (!layer_sends(s)) {
        stream_queue_drop(&s->queue, bytes);
    } else {
        const bool was_blocked = s->layer->blocked;
        s->layer->ops->sent(s->layer, bytes);
        s->layer->blocked = false;
        if (was_blocked)
            stream_read_later(s->loop, s);
    }
    if (s->queued == 0)
        sent_all(s);
}

static void flush(loop_task *task)
{
    stream *s = CONTAINER_OF(task, stream, flush);
    if (s->state == STREAM_CONNECTING)
        return;
    if (fault_point("stream.send")) {
        stream_failed(s, ECONNRESET);
        return;
    }
    if (s->queued == 0)
        sent_all(s);
    if (s->queued > 0)
        s->transport->send(s->loop, s);
    if (s->queued > 0 && s->send_timeout_ms > 0 && !s->send_watched)
        watch_on(s);
}

/* --- birth ----------------------------------------------------------------------------------- */

void stream_connected(stream *s)
{
    const int pending = stream_socket_error(s);
    if (pending) {
        stream_failed(s, pending);
        return;
    }
    s->state = STREAM_OPEN;
    if (is_opening(s)) {
        loop_at_turn_end(s->loop, &s->flush);
        return;
    }
    if (s->handler->opened)
        s->handler->opened(s);
    if (s->state != STREAM_GONE && (s->queued > 0 || s->end_wanted))
        loop_at_turn_end(s->loop, &s->flush);
}

stream *stream_make(loop *l, const stream_transport *transport, void *transport_state,
                    const stream_handler *handler, const stream_options *options, void *owner)
{
    invariant(handler->data && handler->closed);
    stream *s = fault_point("stream.new") ? NULL : calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->loop = l;
    s->transport = transport;
    s->transport_state = transport_state;
    s->fd = -1;
    s->state = STREAM_OPEN;
    s->io.writable = true;
    s->handler = handler;
    s->owner = owner;
    s->input_bytes_max =
        options && options->input_bytes_max ? options->input_bytes_max : INPUT_BYTES_MAX;
    s->output_bytes_high =
        options && options->output_bytes_high ? options->output_bytes_high : OUTPUT_BYTES_HIGH;
    s->full_duplex = options && options->full_duplex;
    s->send_timeout_ms = options ? options->send_timeout_ms : 0;
    s->send_rate_min = options ? options->send_rate_min : 0;
    stream_queue_init(&s->queue);
    s->timer.fire = timer_fired;
    s->send_timer.fire = send_timer_fired;
    s->flush.run = flush;
    s->gone.run = told_gone;
    return s;
}

error stream_begin(stream *s)
{
    TRY(s->transport->start(s->loop, s));
    s->loop->streams++;
    return OK;
}
