/* Ticket keys, in a file without a name that the supervisor and all workers have mapped, and that a
 * reload hands on by its descriptor: a client resumes with any worker, before and after a reload.
 *
 * The keys are a ring. The supervisor writes the next one where no reader looks, then moves
 * `newest` on; workers read the newest, which seals, and those before it, which only open. A worker
 * looks for a newer one before each handshake, so that none gets a ticket whose key it has yet to
 * learn.
 *
 * Invariant: the KEPT newest places of the ring are never written; the file never changes its size.
 */
#include "tickets.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC      0x3179656b74656b63U /* another for another layout */
#define RING       8
#define KEPT       4 /* that open tickets; as many as TLS configurations take */
#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define NEVER_USED UINT64_MAX

/* What the file holds. */
typedef struct key_ring {
    uint64_t magic;
    uint64_t made_at_ms;     /* the newest; by the clock of this boot */
    _Atomic uint64_t newest; /* key n is at n % RING */
    uint8_t keys[RING][TLS_TICKET_KEY_BYTES];
} key_ring;

struct http_tickets {
    int fd;
    key_ring *ring;
    uint64_t used; /* the newest that this process's configuration knows; NEVER_USED: none */
};

static bool make_key(uint8_t key[TLS_TICKET_KEY_BYTES])
{
    return getrandom(key, TLS_TICKET_KEY_BYTES, 0) == TLS_TICKET_KEY_BYTES;
}

/* --- the file --------------------------------------------------------------------------------- */

/* A file that could be cut short would be a way to kill whoever has it mapped. */
static bool has_right_size(int fd)
{
    struct stat st;
    const int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 &&
           st.st_size == (off_t)sizeof(key_ring);
}

static key_ring *map_ring(int fd)
{
    void *memory = mmap(NULL, sizeof(key_ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool take_over(http_tickets *t, int fd, uint64_t now_ms)
{
    key_ring *ring = has_right_size(fd) ? map_ring(fd) : NULL;
    if (!ring)
        return false;
    if (ring->magic != MAGIC || ring->made_at_ms > now_ms) {
        munmap(ring, sizeof *ring);
        return false;
    }
    t->fd = fd;
    t->ring = ring;
    return true;
}

static error make_ring(http_tickets *t, uint64_t now_ms)
{
    t->fd = memfd_create("ticket keys", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (t->fd < 0 || ftruncate(t->fd, (off_t)sizeof(key_ring)) < 0 ||
        fcntl(t->fd, F_ADD_SEALS, SEALS) < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "a file in memory for ticket keys");
    t->ring = map_ring(t->fd);
    if (!t->ring)
        return error_set(&OUT_OF_MEMORY, "no memory for ticket keys");
    if (!make_key(t->ring->keys[0]))
        return error_set_errno(&SYSTEM_FAILED, errno, "randomness for ticket keys");
    t->ring->made_at_ms = now_ms;
    t->ring->magic = MAGIC;
    return OK;
}

error http_tickets_open(int inherited, uint64_t now_ms, http_tickets **out)
{
    http_tickets *t = MEMORY_NEW(http_tickets);
    *out = NULL;
    if (!t)
        return error_set(&OUT_OF_MEMORY, "no memory for ticket keys");
    t->fd = -1;
    t->used = NEVER_USED;
    if (inherited < 0 || !take_over(t, inherited, now_ms)) {
        if (inherited >= 0)
            close(inherited);
        const error e = make_ring(t, now_ms);
        if (e.kind) {
            http_tickets_free(&t);
            return e;
        }
    }
    *out = t;
    return OK;
}

void http_tickets_free(http_tickets **owner)
{
    http_tickets *t = *owner;
    *owner = NULL;
    if (!t)
        return;
    if (t->ring)
        munmap(t->ring, sizeof *t->ring);
    if (t->fd >= 0)
        close(t->fd);
    memory_free(t);
}

int http_tickets_fd(const http_tickets *t)
{
    return t ? t->fd : -1;
}

/* --- the keys --------------------------------------------------------------------------------- */

void http_tickets_rotate(http_tickets *t, uint64_t now_ms, uint64_t rotation_ms)
{
    key_ring *ring = t->ring;
    const uint64_t next = atomic_load_explicit(&ring->newest, memory_order_relaxed) + 1;
    if (now_ms - ring->made_at_ms < rotation_ms || !make_key(ring->keys[next % RING]))
        return;
    ring->made_at_ms = now_ms;
    atomic_store_explicit(&ring->newest, next, memory_order_release);
}

/* Copies the KEPT newest, newest first, and tells which that is. A copy that took so long that its
 * oldest key may have been overwritten meanwhile is made again. */
static uint64_t copy_keys(const key_ring *ring, uint8_t out[KEPT][TLS_TICKET_KEY_BYTES])
{
    for (;;) {
        const uint64_t newest = atomic_load_explicit(&ring->newest, memory_order_acquire);
        for (uint64_t i = 0; i < KEPT && i <= newest; i++)
            memcpy(out[i], ring->keys[(newest - i) % RING], TLS_TICKET_KEY_BYTES);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&ring->newest, memory_order_relaxed) - newest < RING - KEPT)
            return newest;
    }
}

error http_tickets_use(http_tickets *t, tls_config *config)
{
    uint8_t keys[KEPT][TLS_TICKET_KEY_BYTES];
    if (LIKELY(atomic_load_explicit(&t->ring->newest, memory_order_relaxed) == t->used))
        return OK;
    const uint64_t newest = copy_keys(t->ring, keys);
    const error e = tls_config_set_ticket_keys(
        config, keys, newest + 1 < KEPT ? (size_t)newest + 1 : (size_t)KEPT);
    explicit_bzero(keys, sizeof keys);
    if (error_is_ok(e))
        t->used = newest;
    return e;
}
