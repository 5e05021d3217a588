/* A program for AddressSanitizer: `misuse CASE` makes one mistake inside a fiber, after its stack
 * was switched many times; `misuse none` does the same work without it.
 *
 * Functions that a test looks for in a report are not inlined. */
#include "core/fiber.h"
#include "core/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT __attribute__((noinline))

static const char *mistake;

static bool makes(const char *name)
{
    return strcmp(mistake, name) == 0;
}

/* Some frames deep, with arrays that have red zones, across switches. */
/* NOLINTNEXTLINE(misc-no-recursion): it is to use much stack */
KEPT static error wait_deep(int depth)
{
    volatile char frame[100];
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (char)depth;
    if (depth > 0)
        TRY(wait_deep(depth - 1));
    else
        TRY(fiber_yield());
    return frame[99] == (char)depth ? OK : error_set(&CANCELED, "frame %d has changed", depth);
}

KEPT static void write_past(volatile char *bytes, size_t at)
{
    bytes[at] = 1;
}

KEPT static error overflow_here(void)
{
    volatile char local[16];
    local[0] = 0;
    TRY(wait_deep(3));
    write_past(local, makes("overflow") ? sizeof local : sizeof local - 1);
    return OK;
}

KEPT static volatile char *address_of_local(void)
{
    volatile char local[16];
    volatile char *volatile outlives = local;
    local[3] = 1;
    return outlives; /* NOLINT(clang-analyzer-core.StackAddressEscape): that is the mistake */
}

KEPT static char read_returned(const volatile char *bytes)
{
    return bytes[3];
}

static char *from_the_heap;

KEPT static error allocate_here(void)
{
    from_the_heap = malloc(16);
    TRY(fiber_yield());
    TRY(fiber_yield());
    return from_the_heap ? OK : error_set(&OUT_OF_MEMORY, "malloc");
}

KEPT static error free_here(void)
{
    TRY(fiber_yield());
    free(from_the_heap);
    return OK;
}

static error allocates(void *arg)
{
    (void)arg;
    const error e = allocate_here();
    return e;
}

static error frees(void *arg)
{
    (void)arg;
    const error e = free_here();
    return e;
}

KEPT static void write_freed(volatile char *bytes)
{
    bytes[0] = 1;
}

static error culprit(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        TRY(wait_deep(20));
    const error e = overflow_here();
    const volatile char *dangling = address_of_local();
    TRY(wait_deep(3));
    if (makes("return"))
        (void)read_returned(dangling);
    if (makes("free"))
        write_freed(from_the_heap);
    return e;
}

static error bystander(void *arg)
{
    (void)arg;
    for (int i = 0; i < 110; i++)
        TRY(wait_deep(i % 50));
    return OK;
}

static error run(void *arg)
{
    (void)arg;
    static const fiber_fn functions[] = { allocates, frees, culprit, bystander, bystander };
    /* Twice: the second time on stacks that others have used. */
    for (int round = 0; round < 2; round++) {
        wait_group group;
        wait_group_init(&group);
        for (size_t i = 0; i < ARRAY_LEN(functions); i++)
            TRY(wait_group_start(&group, functions[i], NULL));
        TRY(wait_group_wait(&group));
    }
    return OK;
}

int main(int argc, char **argv)
{
    mistake = argc > 1 ? argv[1] : "none";
    const error e = loop_run_fiber(run, NULL);
    if (error_is_ok(e))
        return 0;
    char text[512];
    error_describe(e, text, sizeof text);
    (void)fprintf(stderr, "misuse: %s\n", text);
    return 1;
}
