/* 100,000 fibers parked in one process, each on a guarded stack of its own; and what happens where
 * the kernel cannot guard a stack without splitting a mapping for it.
 *
 * Built without sanitizers, whose shadow of so many stacks is no test of ours. Skips itself (77)
 * without MADV_GUARD_INSTALL or the memory. */
#include "fiber_private.h"
#include "stack.h"

#include "core/fault.h"
#include "tests/support/in_fiber.h"

#include <errno.h>
#include <unistd.h>

#define MANY          100000
#define CAPPED        16384 /* stacks, where each guard costs a mapping of its own */
#define TOUCHED       2000  /* bytes of stack that every fiber uses */
#define GUARD_BYTES   16384
#define MEMORY_KB_MIN 3000000
#define SKIPPED       77

/* What a run found; asserted after it, on the main thread's stack. */
typedef struct findings {
    uint32_t wanted; /* fibers */
    fiber **handles;
    uint32_t started;
    uint32_t parked_at_once;
    uint32_t unguarded;
    uint32_t wrong; /* fibers that failed, or whose stack was not their own */
    uint32_t mappings;
    size_t resident_kb; /* at most, while all were parked */
    error refused;      /* why no more could be started */
    bool by_mprotect;
    fiber_stats after;
} findings;

/* --- what the kernel says of this process ---------------------------------------------------- */

/* The number after `key` in a file of lines "Key:   123 kB"; 0 when it is not there. */
static size_t kernel_number(const char *path, const char *key)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    char line[512];
    size_t number = 0;
    while (number == 0 && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) == 0)
            number = strtoul(line + strlen(key), NULL, 10);
    }
    (void)fclose(file);
    return number;
}

static uint32_t mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    uint32_t count = 0;
    for (int c; file && (c = fgetc(file)) != EOF;)
        count += c == '\n';
    if (file)
        (void)fclose(file);
    return count;
}

/* Whether a byte can be read: asked of the kernel, which answers EFAULT instead of a signal. */
static bool readable(int pipe_writer, int pipe_reader, const char *byte)
{
    char back;
    const ssize_t wrote = write(pipe_writer, byte, 1);
    if (wrote != 1)
        return errno != EFAULT;
    return read(pipe_reader, &back, 1) == 1;
}

/* --- the fibers ------------------------------------------------------------------------------ */

/* Every other one sleeps, so that the timers have their share. */
static error wait_on_own_stack(void *arg)
{
    const uint32_t number = (uint32_t)(uintptr_t)arg;
    volatile unsigned char own[TOUCHED];
    for (size_t i = 0; i < sizeof own; i++)
        own[i] = (unsigned char)(number + i);
    const error e =
        number % 2 ? fiber_sleep(3600000) : fiber_park("the end of the test", NULL, NULL);
    for (size_t i = 0; i < sizeof own; i++) {
        if (own[i] != (unsigned char)(number + i))
            return error_set(&SYSTEM_FAILED, "the stack of fiber %u was written to", number);
    }
    return e;
}

static void look_at_guards(findings *found)
{
    int ends[2];
    if (pipe(ends) < 0) {
        found->unguarded = UINT32_MAX;
        return;
    }
    for (uint32_t i = 0; i < found->started; i++) {
        const char *low = found->handles[i]->stack->low;
        found->unguarded += readable(ends[1], ends[0], low - 1);
        found->unguarded += readable(ends[1], ends[0], low - GUARD_BYTES);
        found->wrong += !readable(ends[1], ends[0], low);
    }
    close(ends[0]);
    close(ends[1]);
}

static error park_many(void *arg)
{
    findings *found = arg;
    const fiber_options options = { .name = "many", .joinable = true };
    for (found->started = 0; found->started < found->wanted; found->started++) {
        fiber **handle = &found->handles[found->started];
        found->refused = fiber_start(loop_self(), &options, wait_on_own_stack,
                                     (void *)(uintptr_t)found->started, handle);
        if (found->refused.kind)
            break;
    }
    TRY(fiber_yield());
    for (uint32_t i = 0; i < found->started; i++)
        found->parked_at_once += found->handles[i]->state == FIBER_PARKED;
    look_at_guards(found);
    found->mappings = mappings();
    found->resident_kb = kernel_number("/proc/self/status", "VmRSS:");
    found->by_mprotect = fiber_stats_of(loop_self()).guards_by_mprotect;
    for (uint32_t i = 0; i < found->started; i++)
        fiber_cancel(found->handles[i], &CANCELED);
    for (uint32_t i = 0; i < found->started; i++)
        found->wrong += !error_is(fiber_join(&found->handles[i]), &CANCELED);
    found->after = fiber_stats_of(loop_self());
    return OK;
}

static void park_ended(fiber *f, error result, void *arg)
{
    (void)f;
    findings *found = arg;
    found->wrong += result.kind != NULL;
    loop_stop(loop_self());
}

/* On a loop that takes so many, and the fiber that starts them. */
static void run_many(findings *found, uint32_t rounds)
{
    found->handles = calloc(found->wanted, sizeof(fiber *));
    assert_non_null(found->handles);
    loop *l;
    assert_ok(loop_new(&(loop_options){ .fibers_max = found->wanted + 1 }, &l));
    for (uint32_t round = 0; round < rounds; round++) {
        found->parked_at_once = 0;
        const fiber_options options = { .name = "starter",
                                        .ended = park_ended,
                                        .ended_arg = found };
        assert_ok(fiber_start(l, &options, park_many, found, NULL));
        assert_ok(loop_run(l));
    }
    loop_free(&l);
    free(found->handles);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_fiber_100000_park_at_once_on_guarded_stacks(void **state)
{
    (void)state;
    findings found = { .wanted = MANY };
    run_many(&found, 2); /* the second time on stacks that were used */
    print_message("%u parked, %zu bytes resident a fiber, %u mappings\n", found.parked_at_once,
                  found.resident_kb * 1024 / MANY, found.mappings);
    assert_ok(found.refused);
    assert_false(found.by_mprotect);
    assert_int_equal(found.parked_at_once, MANY);
    assert_int_equal(found.unguarded, 0);
    assert_int_equal(found.wrong, 0);
    assert_true(found.mappings < MANY / 64 + 1000); /* guards split none */
    assert_int_equal(found.after.running, 1);
    assert_int_equal(found.after.started, 2 * (MANY + 1));
    assert_true(found.after.pooled < MANY + 64); /* the first round's stacks served the second */
}

/* Without MADV_GUARD_INSTALL every guard splits a mapping: past the cap no fiber is started, and
 * those that are have their guards. */
static void test_fiber_stacks_guarded_by_mprotect_are_capped(void **state)
{
    (void)state;
    fault_always("fiber.guard_install");
    findings found = { .wanted = CAPPED + 100 };
    run_many(&found, 1);
    fault_clear();
    assert_true(found.by_mprotect);
    assert_fails(FIBER_TOO_MANY, found.refused);
    assert_int_equal(found.started, CAPPED - 1); /* and the one that starts them */
    assert_int_equal(found.parked_at_once, found.started);
    assert_int_equal(found.unguarded, 0);
    assert_int_equal(found.wrong, 0);
}

static bool guards_without_mprotect(void)
{
    findings found = { .wanted = 1 };
    run_many(&found, 1);
    return !found.by_mprotect;
}

int main(void)
{
    const struct CMUnitTest many[] = {
        cmocka_unit_test(test_fiber_100000_park_at_once_on_guarded_stacks),
    };
    const struct CMUnitTest capped[] = {
        cmocka_unit_test(test_fiber_stacks_guarded_by_mprotect_are_capped),
    };
    const int failed = cmocka_run_group_tests_name("stacks by mprotect", capped, NULL, NULL);
    if (failed)
        return 1;
    if (!guards_without_mprotect()) {
        print_message("skipped: this kernel has no MADV_GUARD_INSTALL\n");
        return SKIPPED;
    }
    if (kernel_number("/proc/meminfo", "MemAvailable:") < MEMORY_KB_MIN) {
        print_message("skipped: %u fibers need %d MB\n", MANY, MEMORY_KB_MIN / 1000);
        return SKIPPED;
    }
    return cmocka_run_group_tests_name("many fibers", many, NULL, NULL) != 0;
}
