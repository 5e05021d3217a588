/* The connection in memory: two rings, one for each end's input.
 *
 * Invariant: each end knows the other, or neither does. */
#include "duplex.h"

#include "core/memory.h"

#include <string.h>

bool duplex_open(size_t bytes, duplex_end *out[2])
{
    for (int i = 0; i < 2; i++) {
        out[i] = memory_new(1, sizeof *out[i] + bytes);
        if (out[i])
            out[i]->capacity = bytes;
    }
    if (!out[0] || !out[1]) {
        for (int i = 0; i < 2; i++) {
            memory_free(out[i]);
            out[i] = NULL;
        }
        return false;
    }
    out[0]->other = out[1];
    out[1]->other = out[0];
    return true;
}

static void tell(duplex_end *e)
{
    if (e->changed)
        e->changed(e);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

char *duplex_space(duplex_end *e, size_t *bytes)
{
    duplex_end *to = e->other;
    invariant(to && !e->ended);
    const size_t at = (to->from + to->len) % to->capacity;
    *bytes = least(to->capacity - to->len, to->capacity - at);
    return to->bytes + at;
}

void duplex_commit(duplex_end *e, size_t bytes)
{
    e->other->len += bytes;
    tell(e->other);
}

size_t duplex_write(duplex_end *e, str bytes)
{
    size_t written = 0;
    while (written < bytes.len) {
        size_t space;
        char *to = duplex_space(e, &space);
        const size_t part = least(bytes.len - written, space);
        if (part == 0)
            break;
        memcpy(to, bytes.ptr + written, part);
        duplex_commit(e, part);
        written += part;
    }
    return written;
}

size_t duplex_read(duplex_end *e, char *to, size_t bytes)
{
    const size_t part = least(bytes, e->len);
    const size_t behind = least(part, e->capacity - e->from);
    if (part == 0)
        return 0;
    memcpy(to, e->bytes + e->from, behind);
    memcpy(to + behind, e->bytes, part - behind);
    e->from = (e->from + part) % e->capacity;
    e->len -= part;
    if (e->other)
        tell(e->other);
    return part;
}

void duplex_end_side(duplex_end *e)
{
    if (e->ended)
        return;
    e->ended = true;
    if (!e->other)
        return;
    e->other->other_ended = true;
    tell(e->other);
}

void duplex_close(duplex_end **owner, bool breaks)
{
    duplex_end *e = *owner;
    *owner = NULL;
    if (!e)
        return;
    duplex_end *other = e->other;
    if (other) {
        other->other = NULL;
        other->other_ended = true;
        other->broken = breaks || e->len > 0;
        tell(other);
    }
    memory_free(e);
}
