/* Faults by route: so many within so long close it, for all processes. */
#include "quarantine.h"

#include "tests/support/in_fiber.h"

#include <sys/wait.h>
#include <unistd.h>

#define WINDOW_MS 1000

static const http_route routes[300]; /* only their addresses count */

static http_quarantine *fresh(void)
{
    http_quarantine *q = NULL;
    assert_ok(http_quarantine_new(&q));
    return q;
}

static void test_quarantine_route_with_enough_faults_is_closed(void **state)
{
    (void)state;
    http_quarantine *q = fresh();
    assert_false(http_quarantine_holds(q, &routes[0]));
    assert_false(http_quarantine_count(q, &routes[0], 5000, 3, WINDOW_MS));
    assert_false(http_quarantine_count(q, &routes[0], 5500, 3, WINDOW_MS));
    assert_false(http_quarantine_holds(q, &routes[0]));
    assert_true(http_quarantine_count(q, &routes[0], 6000, 3, WINDOW_MS)); /* just in time */
    assert_true(http_quarantine_holds(q, &routes[0]));
    assert_false(http_quarantine_count(q, &routes[0], 6001, 3, WINDOW_MS)); /* told once */
    assert_false(http_quarantine_holds(q, &routes[1]));
}

static void test_quarantine_route_with_rare_faults_stays_open(void **state)
{
    (void)state;
    http_quarantine *q = fresh();
    for (uint64_t i = 1; i < 100; i++)
        assert_false(http_quarantine_count(q, &routes[0], i * 501, 3, WINDOW_MS));
    assert_false(http_quarantine_holds(q, &routes[0]));
    assert_false(http_quarantine_count(q, &routes[0], 50100, 3, WINDOW_MS));
    assert_true(http_quarantine_count(q, &routes[0], 50200, 3, WINDOW_MS));
}

static void test_quarantine_thresholds_at_their_ends_are_met(void **state)
{
    (void)state;
    http_quarantine *q = fresh();
    for (uint64_t i = 0; i < 50; i++)
        assert_false(http_quarantine_count(q, &routes[0], i, 0, WINDOW_MS)); /* never */
    assert_true(http_quarantine_count(q, &routes[1], 1, 1, WINDOW_MS));
    for (uint64_t i = 0; i < HTTP_QUARANTINE_FAULTS_MAX - 1; i++)
        assert_false(
            http_quarantine_count(q, &routes[2], i, HTTP_QUARANTINE_FAULTS_MAX, WINDOW_MS));
    assert_true(http_quarantine_count(q, &routes[2], 20, HTTP_QUARANTINE_FAULTS_MAX, WINDOW_MS));
}

static void test_quarantine_without_room_counts_no_more_routes(void **state)
{
    (void)state;
    http_quarantine *q = fresh();
    size_t closed = 0;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        closed += http_quarantine_count(q, &routes[i], 1, 1, WINDOW_MS);
    assert_int_equal(closed, 256);
    assert_true(http_quarantine_holds(q, &routes[255]));
    assert_false(http_quarantine_holds(q, &routes[256]));
}

static void test_quarantine_faults_of_several_processes_count_together(void **state)
{
    (void)state;
    http_quarantine *q = fresh();
    for (int i = 0; i < 8; i++) {
        const pid_t pid = fork();
        if (pid == 0)
            _exit(http_quarantine_count(q, &routes[7], 100, 8, WINDOW_MS));
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), i == 7);
    }
    assert_true(http_quarantine_holds(q, &routes[7]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quarantine_route_with_enough_faults_is_closed),
        cmocka_unit_test(test_quarantine_route_with_rare_faults_stays_open),
        cmocka_unit_test(test_quarantine_thresholds_at_their_ends_are_met),
        cmocka_unit_test(test_quarantine_without_room_counts_no_more_routes),
        cmocka_unit_test(test_quarantine_faults_of_several_processes_count_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
