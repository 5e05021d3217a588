/* The wire of a TLS session: a ring of blocks that are filled one after the other, so that it goes
 * out in one system call, and never takes more than its blocks however much a peer makes OpenSSL
 * answer.
 *
 * Invariant: all blocks but the newest are full; the bytes are [from, to) across them. */
#include "tls_wire.h"

#include <string.h>

static block *newest(const tls_wire *w)
{
    return w->blocks[(w->first + w->count - 1) % TLS_WIRE_BLOCKS];
}

size_t tls_wire_room(const tls_wire *w)
{
    const size_t whole = (TLS_WIRE_BLOCKS - w->count) * BLOCK_CAPACITY;
    return whole + (w->count > 0 ? BLOCK_CAPACITY - w->to : 0);
}

size_t tls_wire_add(tls_wire *w, const char *bytes, size_t len)
{
    size_t added = 0;
    while (added < len) {
        if (w->count == 0 || w->to == BLOCK_CAPACITY) {
            if (w->count == TLS_WIRE_BLOCKS)
                break;
            block *b = block_acquire(BLOCK_CAPACITY);
            if (!b)
                return added > 0 ? added : SIZE_MAX;
            if (w->count == 0)
                w->from = 0;
            w->blocks[(w->first + w->count++) % TLS_WIRE_BLOCKS] = b;
            w->to = 0;
        }
        const size_t room = BLOCK_CAPACITY - w->to;
        const size_t part = len - added < room ? len - added : room;
        memcpy(newest(w)->data + w->to, bytes + added, part);
        w->to += (uint32_t)part;
        w->bytes += part;
        added += part;
    }
    return added;
}

/* Where the oldest block's bytes end. */
static uint32_t oldest_to(const tls_wire *w)
{
    return w->count == 1 ? w->to : (uint32_t)BLOCK_CAPACITY;
}

int tls_wire_view(const tls_wire *w, struct iovec *iov, int max)
{
    int count = 0;
    for (uint32_t i = 0; i < w->count && count < max; i++) {
        const uint32_t from = i == 0 ? w->from : 0;
        const uint32_t to = i + 1 == w->count ? w->to : (uint32_t)BLOCK_CAPACITY;
        block *b = w->blocks[(w->first + i) % TLS_WIRE_BLOCKS];
        iov[count++] = (struct iovec){ b->data + from, to - from };
    }
    return count;
}

void tls_wire_drop(tls_wire *w, size_t bytes)
{
    invariant(bytes <= w->bytes);
    w->bytes -= bytes;
    while (w->count > 0) {
        const uint32_t to = oldest_to(w);
        const size_t part = bytes < to - w->from ? bytes : to - w->from;
        w->from += (uint32_t)part;
        bytes -= part;
        if (w->from < to)
            return;
        block_release(&w->blocks[w->first]);
        w->first = (w->first + 1) % TLS_WIRE_BLOCKS;
        w->count--;
        w->from = 0;
    }
}

void tls_wire_deinit(tls_wire *w)
{
    tls_wire_drop(w, w->bytes);
}
