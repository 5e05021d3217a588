/* The roster: what a worker says when it is asked, from one process to another, whole or not at
 * all. */
#include "roster.h"

#include "tests/support/in_fiber.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACES     3
#define TEXT_BYTES 100000
#define HEARINGS   2000

static http_roster *roster;
static buf heard;

static int setup(void **state)
{
    (void)state;
    (void)signal(HTTP_ROSTER_SIGNAL, SIG_IGN);
    buf_init(&heard, 2 * HTTP_ROSTER_BYTES_MAX);
    return http_roster_new(PLACES, &roster).kind ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_deinit(&heard);
    http_roster_free(&roster);
    return 0;
}

static void test_roster_hears_what_was_told_since_it_asked(void **state)
{
    (void)state;
    assert_int_equal(http_roster_places(roster), PLACES);
    assert_int_equal(http_roster_pid(roster, 1), 0);
    http_roster_enter(roster, 1);
    assert_int_equal(http_roster_pid(roster, 1), getpid());
    const uint64_t first = http_roster_ask(roster, 1);
    assert_false(http_roster_hear(roster, 1, first, &heard));
    http_roster_tell(roster, 1, STR("one"));
    assert_true(http_roster_hear(roster, 1, first, &heard));
    assert_str_equal(buf_str(&heard), STR("one"));
    const uint64_t second = http_roster_ask(roster, 1);
    assert_true(second > first);
    assert_false(http_roster_hear(roster, 1, second, &heard)); /* that was said before */
    http_roster_tell(roster, 1, STR("two"));
    assert_true(http_roster_hear(roster, 1, second, &heard));
    assert_true(http_roster_hear(roster, 1, first, &heard)); /* later than it asked is as good */
    assert_str_equal(buf_str(&heard), STR("onetwotwo"));
    assert_false(http_roster_hear(roster, 2, 1, &heard));
    http_roster_leave(roster, 1);
    assert_int_equal(http_roster_pid(roster, 1), 0);
}

/* A successor in the place has not said what his predecessor did. */
static void test_roster_place_begins_anew_with_its_worker(void **state)
{
    (void)state;
    http_roster_enter(roster, 0);
    const uint64_t asked = http_roster_ask(roster, 0);
    http_roster_tell(roster, 0, STR("the first"));
    http_roster_leave(roster, 0);
    http_roster_enter(roster, 0);
    assert_false(http_roster_hear(roster, 0, asked, &heard));
    http_roster_tell(roster, 0, STR("the second"));
    assert_true(http_roster_hear(roster, 0, asked, &heard));
    assert_str_equal(buf_str(&heard), STR("the second"));
}

NORETURN static void tell_for_ever(void)
{
    static char text[TEXT_BYTES];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    http_roster_enter(roster, 0);
    for (unsigned turn = 0;; turn++) {
        memset(text, 'a' + (int)(turn % 26), sizeof text);
        http_roster_tell(roster, 0, (str){ text, 1 + (turn * 7919) % TEXT_BYTES });
    }
}

/* While another process writes without a pause, what is heard is all of one text. */
static void test_roster_is_never_heard_in_the_middle_of_a_text(void **state)
{
    (void)state;
    const pid_t pid = fork();
    if (pid == 0)
        tell_for_ever();
    assert_true(pid > 0);
    unsigned torn = 0;
    for (unsigned heard_ones = 0; heard_ones < HEARINGS;) {
        buf_reset(&heard);
        if (!http_roster_hear(roster, 0, 0, &heard) || heard.len == 0) {
            torn++; /* or he has not begun */
            continue;
        }
        heard_ones++;
        const str text = buf_str(&heard);
        for (size_t at = 1; at < text.len; at++) {
            if (text.ptr[at] != text.ptr[0])
                fail_msg("at %zu of %zu: %c after %c", at, text.len, text.ptr[at], text.ptr[0]);
        }
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    print_message("%d texts heard, %u times none\n", HEARINGS, torn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_roster_hears_what_was_told_since_it_asked, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_roster_place_begins_anew_with_its_worker, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_roster_is_never_heard_in_the_middle_of_a_text, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
