/* The clock: the system's two, or what a test says.
 *
 * A fake time is one number, read before each real one: a load and a branch that is always
 * predicted, beside the 20 ns of a system clock. Offload and log threads read it too.
 *
 * Invariant: `fake.us` is 0 exactly while the clock is real. */
#include "core/clock.h"

#include "worker.h"

#include "core/base.h"

#include <stdatomic.h>

#define NS_PER_MS 1000000
#define NS_PER_US 1000
#define US_PER_MS 1000
#define MS_PER_S  1000
#define US_PER_S  1000000
#define NS_PER_S  1000000000

static struct {
    _Atomic uint64_t us;     /* monotonic; 0: real */
    _Atomic int64_t wall_us; /* time of day at monotonic 0 */
} fake;

static uint64_t fake_us(void)
{
    return atomic_load_explicit(&fake.us, memory_order_relaxed);
}

static struct timespec system_time(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now;
}

uint64_t clock_real_ms(void)
{
    const struct timespec now = system_time(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / NS_PER_MS;
}

uint64_t clock_ms(void)
{
    const uint64_t us = fake_us();
    return LIKELY(!us) ? clock_real_ms() : us / US_PER_MS;
}

uint64_t clock_us(void)
{
    const uint64_t us = fake_us();
    if (UNLIKELY(us))
        return us;
    const struct timespec now = system_time(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / NS_PER_US;
}

uint64_t clock_ns(void)
{
    const uint64_t us = fake_us();
    if (UNLIKELY(us))
        return us * NS_PER_US;
    const struct timespec now = system_time(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_deadline_ms(uint32_t ms)
{
    const uint64_t us = fake_us();
    if (UNLIKELY(us))
        return (us + US_PER_MS - 1) / US_PER_MS + ms;
    const struct timespec now = system_time(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * MS_PER_S + ((uint64_t)now.tv_nsec + NS_PER_MS - 1) / NS_PER_MS +
           ms;
}

struct timespec clock_wall(void)
{
    const uint64_t us = fake_us();
    if (LIKELY(!us))
        return system_time(CLOCK_REALTIME);
    const int64_t wall_us = atomic_load(&fake.wall_us) + (int64_t)us;
    return (struct timespec){ .tv_sec = wall_us / US_PER_S,
                              .tv_nsec = wall_us % US_PER_S * NS_PER_US };
}

int64_t clock_wall_s(void)
{
    return clock_wall().tv_sec;
}

/* --- for tests -------------------------------------------------------------------------------- */

bool clock_is_fake(void)
{
    return fake_us() != 0;
}

void clock_fake_begin(int64_t wall_s)
{
    invariant(!clock_is_fake());
    /* The next millisecond: a time that was read before is not in the future. */
    const uint64_t us = clock_deadline_ms(1) * US_PER_MS;
    const int64_t from_s = wall_s < 0 ? clock_wall_s() : wall_s;
    atomic_store(&fake.wall_us, from_s * US_PER_S - (int64_t)us);
    atomic_store(&fake.us, us);
}

void clock_fake_advance(uint64_t us)
{
    invariant(clock_is_fake());
    atomic_fetch_add(&fake.us, us);
}

void clock_fake_end(void)
{
    invariant(!clock_is_fake() || worker_self.loop == NULL);
    atomic_store(&fake.us, 0);
}
