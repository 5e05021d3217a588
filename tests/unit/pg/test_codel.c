/* When a line is too long: what a simulated clock and a simulated server make of it. */
#include "codel.h"

#include "core/base.h"

/* cmocka.h needs the four before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define TARGET   50
#define INTERVAL 1000

static pg_codel started(uint64_t now_ms)
{
    pg_codel c;
    pg_codel_init(&c, TARGET, INTERVAL);
    assert_true(pg_codel_wait_max_ms(&c, now_ms, PG_CODEL_EVER) == PG_CODEL_EVER);
    return c;
}

static void test_codel_all_waits_over_the_target_for_an_interval_overload_it(void **state)
{
    (void)state;
    pg_codel c = started(7000);
    for (uint64_t ms = 7000; ms < 8000; ms += 10) {
        pg_codel_served(&c, ms, TARGET + 1);
        assert_true(pg_codel_wait_max_ms(&c, ms, 300) == PG_CODEL_EVER);
    }
    assert_int_equal(pg_codel_wait_max_ms(&c, 8000, 300), 2 * TARGET);
}

static void test_codel_one_wait_within_the_target_keeps_it_steady(void **state)
{
    (void)state;
    const uint64_t shortest[] = { 0, 1, TARGET };
    for (size_t i = 0; i < ARRAY_LEN(shortest); i++) {
        pg_codel c = started(7000);
        for (uint64_t ms = 7000; ms < 8000; ms += 10)
            pg_codel_served(&c, ms, ms == 7500 ? shortest[i] : 900);
        assert_true(pg_codel_wait_max_ms(&c, 8000, 900) == PG_CODEL_EVER);
    }
    pg_codel c = started(7000);
    pg_codel_served(&c, 7100, 900);
    pg_codel_served_at_once(&c);
    pg_codel_served(&c, 7999, 900);
    assert_true(pg_codel_wait_max_ms(&c, 8000, 900) == PG_CODEL_EVER);
}

static void test_codel_overloaded_is_steady_after_an_interval_with_a_short_wait(void **state)
{
    (void)state;
    pg_codel c = started(7000);
    pg_codel_served(&c, 7500, 900);
    assert_int_equal(pg_codel_wait_max_ms(&c, 8000, 900), 2 * TARGET);
    pg_codel_served(&c, 8100, TARGET + 1);
    pg_codel_served(&c, 8900, 2 * TARGET);
    assert_int_equal(pg_codel_wait_max_ms(&c, 9000, 80), 2 * TARGET); /* none was short */
    pg_codel_served(&c, 9001, TARGET);
    assert_int_equal(pg_codel_wait_max_ms(&c, 9999, 80), 2 * TARGET); /* not before its end */
    assert_true(pg_codel_wait_max_ms(&c, 10000, 80) == PG_CODEL_EVER);
}

static void test_codel_nobody_served_counts_the_first_in_line(void **state)
{
    (void)state;
    pg_codel c = started(7000);
    assert_int_equal(pg_codel_wait_max_ms(&c, 8000, 1000), 2 * TARGET);
    c = started(7000);
    assert_true(pg_codel_wait_max_ms(&c, 8000, TARGET) == PG_CODEL_EVER);
    c = started(7000);
    assert_true(pg_codel_wait_max_ms(&c, 8000, PG_CODEL_EVER) == PG_CODEL_EVER);
}

static void test_codel_after_a_pause_begins_anew(void **state)
{
    (void)state;
    pg_codel c = started(7000);
    pg_codel_served(&c, 7500, 900);
    assert_true(pg_codel_wait_max_ms(&c, 9000, 900) == PG_CODEL_EVER); /* 8000 is long ago */
    assert_true(pg_codel_wait_max_ms(&c, 9999, 900) == PG_CODEL_EVER);
    assert_int_equal(pg_codel_wait_max_ms(&c, 10000, 900), 2 * TARGET);
}

static void test_codel_without_target_drops_nobody(void **state)
{
    (void)state;
    pg_codel c;
    pg_codel_init(&c, 0, INTERVAL);
    for (uint64_t ms = 5000; ms < 20000; ms += 100) {
        pg_codel_served(&c, ms, 5000);
        assert_true(pg_codel_wait_max_ms(&c, ms, 5000) == PG_CODEL_EVER);
    }
    assert_true(pg_codel_next_ms(&c, 5000) == PG_CODEL_EVER);
}

static void test_codel_looks_again_when_something_can_have_changed(void **state)
{
    (void)state;
    pg_codel c = started(7000);
    assert_int_equal(pg_codel_next_ms(&c, 6999), 8000);
    assert_int_equal(pg_codel_wait_max_ms(&c, 8000, 1001), 2 * TARGET);
    assert_int_equal(pg_codel_next_ms(&c, 7950), 7950 + 2 * TARGET + 1);
    assert_int_equal(pg_codel_next_ms(&c, 8990), 9000);
}

/* --- a line of its own ------------------------------------------------------------------------ */

#define SIMULATED_MAX 20000

typedef struct simulation {
    uint64_t line[SIMULATED_MAX]; /* when those who wait came */
    size_t first, end;
    uint64_t served, dropped, longest_ms;
} simulation;

static simulation simulated;

/* `arrivals` come and `services` are possible in ten ms; for `ms`. The longest wait is of those
 * served in the second half. */
static void simulate(pg_codel *c, uint64_t arrivals, uint64_t services, uint64_t ms)
{
    simulation *s = &simulated;
    *s = (simulation){ 0 };
    for (uint64_t now = 100000; now < 100000 + ms; now += 10) {
        for (uint64_t i = 0; i < arrivals; i++)
            s->line[s->end++] = now;
        const uint64_t oldest = s->first < s->end ? now - s->line[s->first] : PG_CODEL_EVER;
        const uint64_t max = pg_codel_wait_max_ms(c, now, oldest);
        for (; s->first < s->end && now - s->line[s->first] > max; s->dropped++)
            s->first++;
        for (uint64_t i = 0; i < services && s->first < s->end; i++, s->served++) {
            const uint64_t wait = now - s->line[s->first++];
            pg_codel_served(c, now, wait);
            if (now >= 100000 + ms / 2 && wait > s->longest_ms)
                s->longest_ms = wait;
        }
    }
}

static void test_codel_bounds_the_wait_at_twice_the_capacity_and_serves_no_less(void **state)
{
    (void)state;
    pg_codel with = started(0), without;
    pg_codel_init(&without, 0, INTERVAL);
    simulate(&without, 4, 2, 20000);
    const uint64_t served = simulated.served;
    assert_true(simulated.longest_ms > 5000); /* a standing line, that grows */
    simulate(&with, 4, 2, 20000);
    assert_int_equal(simulated.served, served);
    assert_true(simulated.longest_ms <= 2 * TARGET);
    assert_true(simulated.dropped > 0);
}

static void test_codel_below_the_capacity_drops_nobody(void **state)
{
    (void)state;
    pg_codel c = started(0);
    simulate(&c, 3, 3, 20000);
    assert_int_equal(simulated.dropped, 0);
    assert_int_equal(simulated.served, 3 * 2000);
}

static void test_codel_a_burst_that_is_worked_off_drops_nobody(void **state)
{
    (void)state;
    pg_codel c = started(100000);
    simulate(&c, 20, 2, 90); /* 180 come, 18 are served */
    uint64_t now = 100090;
    for (; simulated.first < simulated.end; now += 10) {
        for (int i = 0; i < 2 && simulated.first < simulated.end; i++)
            pg_codel_served(&c, now, now - simulated.line[simulated.first++]);
        assert_true(pg_codel_wait_max_ms(&c, now, 900) == PG_CODEL_EVER);
    }
    assert_true(now < 101000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codel_all_waits_over_the_target_for_an_interval_overload_it),
        cmocka_unit_test(test_codel_one_wait_within_the_target_keeps_it_steady),
        cmocka_unit_test(test_codel_overloaded_is_steady_after_an_interval_with_a_short_wait),
        cmocka_unit_test(test_codel_nobody_served_counts_the_first_in_line),
        cmocka_unit_test(test_codel_after_a_pause_begins_anew),
        cmocka_unit_test(test_codel_without_target_drops_nobody),
        cmocka_unit_test(test_codel_looks_again_when_something_can_have_changed),
        cmocka_unit_test(test_codel_bounds_the_wait_at_twice_the_capacity_and_serves_no_less),
        cmocka_unit_test(test_codel_below_the_capacity_drops_nobody),
        cmocka_unit_test(test_codel_a_burst_that_is_worked_off_drops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
