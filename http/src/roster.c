/* What workers say of themselves, in shared memory: a place for each, which its worker alone
 * writes, when another has asked. Nothing is written unless somebody asks.
 *
 *   asks:   asked + 1, then a signal      tells:  version + 1 (odd), text, told = asked, version +
 * 1 hears:  version is even, told is late enough, a copy, version is still the same
 *
 * Nobody waits in here and there are no locks, so a worker may be killed, or stuck, at any point:
 * it has then not answered, and only that can be seen of it. A signal to a process that has just
 * gone hits nobody, or somebody who ignores it.
 *
 * Invariant: what is read is bounded by the place, whatever stands in it. */
#include "roster.h"

#include "core/base.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct place {
    _Atomic pid_t pid; /* 0: nobody */
    _Atomic uint64_t asked;
    _Atomic uint64_t told; /* what was asked when the text was made */
    _Atomic uint64_t version;
    _Atomic uint32_t len;
    char text[HTTP_ROSTER_BYTES_MAX];
} place;

struct http_roster {
    uint32_t count;
    place places[];
};

static size_t bytes_of(uint32_t places)
{
    return sizeof(http_roster) + (size_t)places * sizeof(place);
}

error http_roster_new(uint32_t places, http_roster **out)
{
    void *memory = mmap(NULL, bytes_of(places), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return error_set(&OUT_OF_MEMORY, "no memory for what %u workers say", places);
    *out = memory;
    (*out)->count = places;
    return OK;
}

void http_roster_free(http_roster **owner)
{
    http_roster *r = *owner;
    *owner = NULL;
    if (r)
        munmap(r, bytes_of(r->count));
}

/* A predecessor may have been killed while it wrote. */
void http_roster_enter(http_roster *r, uint32_t place_index)
{
    invariant(place_index < r->count);
    place *p = &r->places[place_index];
    atomic_store(&p->told, 0);
    atomic_store(&p->version, (atomic_load(&p->version) + 2) & ~UINT64_C(1));
    atomic_store(&p->pid, getpid());
}

void http_roster_leave(http_roster *r, uint32_t place_index)
{
    invariant(place_index < r->count);
    atomic_store(&r->places[place_index].pid, 0);
}

pid_t http_roster_pid(const http_roster *r, uint32_t place_index)
{
    invariant(place_index < r->count);
    return atomic_load(&r->places[place_index].pid);
}

uint32_t http_roster_places(const http_roster *r)
{
    return r->count;
}

uint64_t http_roster_ask(http_roster *r, uint32_t place_index)
{
    place *p = &r->places[place_index];
    const uint64_t asked = atomic_fetch_add(&p->asked, 1) + 1;
    const pid_t pid = http_roster_pid(r, place_index);
    if (pid > 0)
        (void)kill(pid, HTTP_ROSTER_SIGNAL);
    return asked;
}

void http_roster_tell(http_roster *r, uint32_t place_index, str text)
{
    invariant(place_index < r->count && text.len <= HTTP_ROSTER_BYTES_MAX);
    place *p = &r->places[place_index];
    const uint64_t asked = atomic_load(&p->asked);
    atomic_fetch_add(&p->version, 1);
    if (text.len > 0)
        memcpy(p->text, text.ptr, text.len);
    atomic_store(&p->len, (uint32_t)text.len);
    atomic_store(&p->told, asked);
    atomic_fetch_add(&p->version, 1);
}

bool http_roster_hear(const http_roster *r, uint32_t place_index, uint64_t asked, buf *out)
{
    const place *p = &r->places[place_index];
    const uint64_t version = atomic_load(&p->version);
    const uint32_t len = atomic_load(&p->len);
    if (version % 2 == 1 || atomic_load(&p->told) < asked || len > HTTP_ROSTER_BYTES_MAX)
        return false;
    char *copy = buf_reserve(out, len);
    if (!copy)
        return false;
    memcpy(copy, p->text, len);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&p->version) != version)
        return false;
    buf_commit(out, len);
    return true;
}
