/* A connection in memory: two ends of one process, bounded each way, with the manners of a socket.
 * What is in the way when an end closes is still read by the other; an end that closes with bytes
 * unread, or says so, breaks the connection.
 *
 * Invariant: `changed` is called inside a call of the other end's, so it only takes a note. */
#ifndef CORE_SRC_DUPLEX_H
#define CORE_SRC_DUPLEX_H

#include "core/stream.h"

typedef struct duplex_end duplex_end;
struct duplex_end {
    duplex_end *other; /* NULL: closed */
    /* The other end has written, read, ended or closed; NULL: nobody cares. */
    void (*changed)(duplex_end *e);
    void *owner;
    bool ended;       /* this side */
    bool other_ended; /* nothing comes behind what is in the way */
    bool broken;      /* nor is that an end in good order */
    size_t capacity;
    size_t from, len; /* of what is in the way to this end, a ring */
    char bytes[];
};

/* Makes both ends, with room for `bytes` each way. Returns whether there was memory. */
bool duplex_open(size_t bytes, duplex_end *out[2]);
/* Writes as much as there is room for, and returns how much; the other end must not have closed. */
size_t duplex_write(duplex_end *e, str bytes);
/* Room that lies together for bytes to be written, perhaps none; then duplex_commit what was. */
char *duplex_space(duplex_end *e, size_t *bytes);
void duplex_commit(duplex_end *e, size_t bytes);
/* Reads what is there, at most `bytes`, and returns how much. */
size_t duplex_read(duplex_end *e, char *to, size_t bytes);
/* Ends this side; the other may still write. */
void duplex_end_side(duplex_end *e);
/* Closes and frees it; `breaks`: as a reset does, even if everything was read. Nulls the pointer.
 */
void duplex_close(duplex_end **owner, bool breaks);

/* A stream over an end, which it then owns, not begun (backend.h); NULL without memory. */
stream *stream_make_on_duplex(loop *l, duplex_end *end, const stream_pair_end *of);

#endif
