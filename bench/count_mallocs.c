/* Counts heap calls of a program, for ./dev bench: preloaded (LD_PRELOAD), it stands between the
 * program and glibc and adds to a counter in the file that BRIO_MALLOC_COUNT names, which others
 * read while the program runs. Forked processes count into the same file.
 *
 * Layout of the file: two 64-bit numbers, calls that took memory and calls of free. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* NOLINTBEGIN(readability-identifier-naming,readability-inconsistent-declaration-parameter-name):
 * the names are glibc's, and its headers' parameters have reserved ones. */

/* glibc's own names of what is replaced here. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t align, size_t bytes);
extern void __libc_free(void *old);

typedef struct counts {
    _Atomic uint64_t taken;
    _Atomic uint64_t freed;
} counts;

static counts before_open;
static counts *shared = &before_open;

__attribute__((constructor)) static void open_counts(void)
{
    const char *path = getenv("BRIO_MALLOC_COUNT");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        shared = mapped;
}

static void taken(void)
{
    atomic_fetch_add_explicit(&shared->taken, 1, memory_order_relaxed);
}

void *malloc(size_t bytes)
{
    taken();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    taken();
    return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    taken();
    return __libc_realloc(old, bytes);
}

void *memalign(size_t align, size_t bytes)
{
    taken();
    return __libc_memalign(align, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
    taken();
    return __libc_memalign(align, bytes);
}

int posix_memalign(void **out, size_t align, size_t bytes)
{
    taken();
    *out = __libc_memalign(align, bytes);
    return *out ? 0 : ENOMEM;
}

void free(void *old)
{
    if (old)
        atomic_fetch_add_explicit(&shared->freed, 1, memory_order_relaxed);
    __libc_free(old);
}

/* NOLINTEND(readability-identifier-naming,readability-inconsistent-declaration-parameter-name) */
