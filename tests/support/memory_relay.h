/* A bare socket for a stream in memory, so that the stream's suite runs over that unchanged: the
 * test drives one end of a TCP connection byte by byte; a timer and a watch of the loop carry what
 * goes over it to and from the memory's other end.
 *
 * An end of one side becomes an end of the other, a reset a reset. What is on its way is at most a
 * buffer each way, so back-pressure passes through. */
#ifndef TESTS_SUPPORT_MEMORY_RELAY_H
#define TESTS_SUPPORT_MEMORY_RELAY_H

#include "backend.h"
#include "duplex.h"

#include "tests/support/stream_pair.h"

#define MEMORY_RELAY_BYTES 65536

typedef struct memory_relay {
    timer tick;
    watch watch; /* of the socket while there is room for what it has */
    bool watched;
    duplex_end *end;
    int fd;
    char bytes[MEMORY_RELAY_BYTES]; /* from memory, not yet sent */
    size_t from, to;
    bool in_ended, out_ended;
    bool broken; /* the socket */
} memory_relay;

static int memory_relays; /* that run */

static inline void memory_relay_watch(memory_relay *r, bool on)
{
    loop *l = loop_self();
    if (on && !r->watched)
        invariant(error_is_ok(l->backend->watch(l, &r->watch)));
    else if (!on && r->watched)
        l->backend->unwatch(l, &r->watch);
    r->watched = on;
}

static inline void memory_relay_free(memory_relay *r)
{
    memory_relay_watch(r, false);
    duplex_close(&r->end, r->broken);
    if (r->broken)
        peer_reset(&r->fd);
    else
        close(r->fd);
    free(r);
    memory_relays--;
}

/* From the socket. */
static inline void memory_relay_in(memory_relay *r)
{
    static char bytes[MEMORY_RELAY_BYTES];
    while (!r->in_ended && r->end->other) {
        const duplex_end *to = r->end->other;
        const size_t room = to->capacity - to->len;
        if (room == 0)
            return;
        const ssize_t got = recv(r->fd, bytes, room < sizeof bytes ? room : sizeof bytes, 0);
        if (got < 0) {
            r->broken = r->broken || errno != EAGAIN;
            return;
        }
        if (got > 0)
            invariant(duplex_write(r->end, (str){ bytes, (size_t)got }) == (size_t)got);
        else
            duplex_end_side(r->end);
        r->in_ended = got == 0;
    }
}

/* To the socket. */
static inline void memory_relay_out(memory_relay *r)
{
    for (;;) {
        if (r->from == r->to) {
            r->from = 0;
            r->to = duplex_read(r->end, r->bytes, sizeof r->bytes);
        }
        if (r->from == r->to)
            break;
        const ssize_t sent = send(r->fd, r->bytes + r->from, r->to - r->from, MSG_NOSIGNAL);
        if (sent < 0) {
            r->broken = r->broken || errno != EAGAIN;
            return;
        }
        r->from += (size_t)sent;
    }
    r->broken = r->broken || r->end->broken;
    if (r->end->other_ended && !r->out_ended && !r->broken)
        shutdown(r->fd, SHUT_WR);
    r->out_ended = r->end->other_ended;
}

static inline bool memory_relay_sees_reset(const memory_relay *r)
{
    int pending = 0;
    socklen_t len = sizeof pending;
    return getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &pending, &len) < 0 || pending != 0;
}

static inline void memory_relay_readable(watch *w)
{
    memory_relay *r = w->arg;
    memory_relay_in(r);
    memory_relay_watch(r, !r->broken && !r->in_ended && r->end->other &&
                              r->end->other->len < r->end->other->capacity);
}

static inline void memory_relay_tick(timer *t)
{
    memory_relay *r = CONTAINER_OF(t, memory_relay, tick);
    memory_relay_in(r);
    memory_relay_out(r);
    r->broken = r->broken || (r->in_ended && memory_relay_sees_reset(r));
    if (r->broken || (r->out_ended && (r->in_ended || !r->end->other))) {
        memory_relay_free(r);
        return;
    }
    memory_relay_watch(r, !r->in_ended && r->end->other && r->end->other->len == 0);
    loop_timer_arm(loop_self(), t, 1);
}

static inline int memory_relay_open(const stream_options *options, int buffer_bytes, side *s)
{
    address at;
    const int listening = pair_listen(false, &at);
    const int hop_bytes = buffer_bytes ? buffer_bytes : MEMORY_RELAY_BYTES;
    peer_buffers(listening, hop_bytes);
    const int bare = peer_connect(&at, hop_bytes);
    memory_relay *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->fd = peer_accept(listening);
    close(listening);
    peer_small_steps(r->fd, false);
    peer_small_steps(bare, false);
    duplex_end *ends[2];
    assert_true(duplex_open((size_t)hop_bytes, ends));
    r->end = ends[1];
    s->stream = stream_make_on_duplex(
        loop_self(), ends[0],
        &(stream_pair_end){ .handler = &SIDE_HANDLER, .options = options, .owner = s });
    assert_non_null(s->stream);
    assert_ok(stream_begin(s->stream));
    memory_relays++;
    r->watch = (watch){ .readable = memory_relay_readable, .arg = r, .fd = r->fd };
    r->tick.fire = memory_relay_tick;
    loop_timer_arm(loop_self(), &r->tick, 1);
    memory_relay_watch(r, true);
    return bare;
}

/* After a group: until all have found out that their ends are gone. */
static inline void memory_relays_wait(void)
{
    for (int i = 0; i < 10000 && memory_relays > 0; i++) {
        if (!error_is_ok(fiber_sleep(1)))
            break;
    }
}

static const pair_kind MEMORY_KIND = { .name = "memory", .open = memory_relay_open };

#endif
