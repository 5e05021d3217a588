/* Streams without sockets: the transport over a connection in memory (duplex.h).
 *
 * It is a readiness backend of its own, in the manner of loop_epoll.c: that the other end has done
 * something is noted, and looked at in the loop's next round of tasks. So nothing of one stream's
 * happens inside a call of the other's, and both see what they would see over a socket.
 *
 * Invariant: after stop, no task of the end's is left. */
#include "backend.h"
#include "duplex.h"
#include "stream_layer.h"

#include "core/memory.h"
#include "core/stream.h"

#include <errno.h>
#include <stdlib.h>

#define MEMORY_BYTES 65536 /* on their way, each way */

typedef struct memory {
    duplex_end *end;
    loop_task look; /* something has changed */
    loop *loop;
    stream *stream;
    address peer;
} memory;

static memory *memory_of(const stream *s)
{
    return stream_transport_state(s);
}

static void memory_changed(duplex_end *e)
{
    memory *m = e->owner;
    loop_post(m->loop, &m->look);
}

static void memory_receive(loop *l, stream *s)
{
    (void)l;
    while (stream_flags(s)->readable && stream_wants_input(s)) {
        duplex_end *e = memory_of(s)->end;
        if (e->len == 0 && !e->other_ended) {
            stream_flags(s)->readable = false;
            return;
        }
        if (e->len == 0 && e->broken) {
            stream_failed(s, ECONNRESET);
            return;
        }
        size_t space;
        char *into = stream_input_space(s, &space);
        if (!into)
            return;
        stream_received(s, duplex_read(e, into, space));
    }
}

/* The peer is gone, but its last words may be there to be read. */
static void send_failed(loop *l, stream *s)
{
    stream_flags(s)->writable = false;
    stream_flags(s)->readable = true;
    memory_receive(l, s);
    stream_failed(s, EPIPE);
}

static size_t send_bytes(stream *s, duplex_end *e, const stream_outgoing *out)
{
    size_t sent = 0;
    for (int i = 0; i < out->count && stream_flags(s)->writable; i++) {
        const size_t taken = duplex_write(e, (str){ out->iov[i].iov_base, out->iov[i].iov_len });
        stream_flags(s)->writable = taken == out->iov[i].iov_len;
        sent += taken;
    }
    return sent;
}

/* Reads straight into what is on the way; -1 when the file is at fault, with errno, 0 if it ends.
 */
static ssize_t send_file(stream *s, duplex_end *e, const stream_range *r)
{
    size_t space;
    char *to = duplex_space(e, &space);
    if (space == 0) {
        stream_flags(s)->writable = false;
        return 0;
    }
    errno = 0;
    const ssize_t got = stream_file_read(r->file, r->at, to, r->bytes < space ? r->bytes : space);
    if (got > 0)
        duplex_commit(e, (size_t)got);
    return got > 0 ? got : -1;
}

static void memory_send(loop *l, stream *s)
{
    stream_outgoing out;
    while (stream_flags(s)->writable && stream_output(s, &out)) {
        duplex_end *e = memory_of(s)->end;
        if (!e->other) {
            send_failed(l, s);
            return;
        }
        const ssize_t sent =
            out.count > 0 ? (ssize_t)send_bytes(s, e, &out) : send_file(s, e, &out.file);
        if (sent < 0) {
            stream_file_ended(s, errno);
            return;
        }
        if (sent > 0)
            stream_sent(s, (size_t)sent);
    }
}

/* As a socket's hang-up: both sides have ended. */
static bool hung_up(const duplex_end *e)
{
    return !e->other || (e->ended && e->other_ended);
}

static void memory_look(loop_task *task)
{
    memory *m = CONTAINER_OF(task, memory, look);
    loop *l = m->loop;
    stream *s = m->stream;
    const bool had_ended = stream_flags(s)->peer_ended;
    stream_flags(s)->peer_ended = m->end->other_ended;
    stream_flags(s)->readable = true;
    if (!stream_flags(s)->writable) {
        stream_flags(s)->writable = true;
        memory_send(l, s);
    }
    if (stream_is_gone(s))
        return;
    if (!hung_up(m->end) || stream_wants_input(s))
        memory_receive(l, s);
    else if (m->end->broken || stream_at_end(s)) /* nobody reads who would find it out */
        stream_failed(s, m->end->broken ? ECONNRESET : 0);
    if (!stream_is_gone(s) && stream_flags(s)->peer_ended && !had_ended)
        stream_peer_ended(s);
}

static error memory_start(loop *l, stream *s)
{
    (void)l;
    (void)s;
    return OK; /* there is nothing to be told to anybody */
}

static void memory_stop(loop *l, stream *s)
{
    (void)l;
    memory *m = memory_of(s);
    list_remove(&m->look.node);
    duplex_close(&m->end, stream_resets(s));
    memory_free(m);
}

static void memory_end(stream *s)
{
    memory *m = memory_of(s);
    duplex_end_side(m->end);
    if (hung_up(m->end))
        memory_changed(m->end);
}

static address memory_peer(const stream *s)
{
    return memory_of(s)->peer;
}

static int64_t memory_kept(const stream *s)
{
    const duplex_end *e = memory_of(s)->end;
    return e->other ? (int64_t)e->other->len : 0;
}

static const stream_transport MEMORY = {
    .start = memory_start,
    .stop = memory_stop,
    .send = memory_send,
    .receive = memory_receive,
    .end = memory_end,
    .peer = memory_peer,
    .kept = memory_kept,
};

stream *stream_make_on_duplex(loop *l, duplex_end *end, const stream_pair_end *of)
{
    memory *m = MEMORY_NEW(memory);
    stream *s = m ? stream_make(l, &MEMORY, m, of->handler, of->options, of->owner) : NULL;
    if (!s) {
        memory_free(m);
        return NULL;
    }
    *m = (memory){ .end = end, .look.run = memory_look, .loop = l, .stream = s };
    if (of->peer)
        m->peer = *of->peer;
    end->owner = m;
    end->changed = memory_changed;
    return s;
}

/* Of one that has not begun. */
static void unmake(stream *s)
{
    if (!s)
        return;
    memory_free(memory_of(s));
    free(s);
}

static error no_memory(void)
{
    return error_set(&OUT_OF_MEMORY, "no memory for a pair of streams");
}

error stream_pair(loop *l, const stream_pair_end ends[2], size_t bytes, stream *out[2])
{
    duplex_end *both[2];
    if (!duplex_open(bytes ? bytes : MEMORY_BYTES, both))
        return no_memory();
    for (int i = 0; i < 2; i++)
        out[i] = stream_make_on_duplex(l, both[i], &ends[i]);
    if (!out[0] || !out[1]) {
        for (int i = 0; i < 2; i++) {
            unmake(out[i]);
            both[i]->changed = NULL;
        }
        duplex_close(&both[0], false);
        duplex_close(&both[1], false);
        return no_memory();
    }
    for (int i = 0; i < 2; i++) {
        const error e = stream_begin(out[i]);
        invariant(error_is_ok(e)); /* as memory_start */
    }
    return OK;
}
