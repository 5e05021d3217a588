/* What a TLS session has sealed and the socket has not taken: bytes in a ring of a few blocks. */
#ifndef CORE_SRC_TLS_WIRE_H
#define CORE_SRC_TLS_WIRE_H

#include "core/block.h"

#include <sys/uio.h>

#define TLS_WIRE_BLOCKS 8 /* 128 KiB a system call */

/* Zeroed, it is empty. An empty one holds no block. */
typedef struct tls_wire {
    block *blocks[TLS_WIRE_BLOCKS]; /* a ring, from `first` on */
    uint32_t first;
    uint32_t count;
    uint32_t from; /* in the oldest */
    uint32_t to;   /* in the newest */
    size_t bytes;  /* in all of it */
} tls_wire;

size_t tls_wire_room(const tls_wire *w);
/* Adds what there is room for and returns how much; SIZE_MAX when there is room, but no memory for
 * any of it. */
size_t tls_wire_add(tls_wire *w, const char *bytes, size_t len);
/* All of it, oldest first, in at most `max` entries; returns their number. */
int tls_wire_view(const tls_wire *w, struct iovec *iov, int max);
/* Takes the oldest `bytes` off. */
void tls_wire_drop(tls_wire *w, size_t bytes);
/* Empties it; safe twice. */
void tls_wire_deinit(tls_wire *w);

#endif
