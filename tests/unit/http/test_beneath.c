/* Opening below a directory: by the kernel's own call, and component by component without it. */
#include "beneath.h"

#include "core/fault.h"
#include "tests/support/in_fiber.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/brio-beneath-XXXXXX";

static void make_file(int at, const char *name)
{
    const int fd = openat(at, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, name, 1), 1);
    close(fd);
}

static int setup(void **state)
{
    static int root;
    assert_non_null(mkdtemp(folder));
    const int top = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(top >= 0 && mkdirat(top, "root", 0700) == 0);
    make_file(top, "secret");
    root = openat(top, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(root >= 0 && mkdirat(root, "inner", 0700) == 0);
    make_file(root, "a");
    make_file(root, "inner/b");
    assert_int_equal(symlinkat("a", root, "link"), 0);
    assert_int_equal(symlinkat("../secret", root, "out"), 0);
    assert_int_equal(symlinkat("inner", root, "linked"), 0);
    assert_int_equal(symlinkat("/", root, "top"), 0);
    close(top);
    *state = &root;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = { "root/a",      "root/inner/b", "root/link", "root/out",
                                         "root/linked", "root/top",     "secret" };
    const int top = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlinkat(top, names[i], 0);
    unlinkat(top, "root/inner", AT_REMOVEDIR);
    unlinkat(top, "root", AT_REMOVEDIR);
    close(top);
    rmdir(folder);
    close(*(int *)*state);
    fault_clear();
    return 0;
}

static void check(int root, const char *path, bool opens)
{
    const int fd = http_beneath_open(root, path, O_RDONLY | O_NONBLOCK);
    if ((fd >= 0) != opens)
        fail_msg("%s %s", path, opens ? "does not open" : "opens");
    if (fd >= 0)
        close(fd);
}

static void test_beneath_opens_what_is_below_only(void **state)
{
    const int root = *(int *)*state;
    char long_name[600];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    for (int by_hand = 0; by_hand < 2; by_hand++) {
        if (by_hand)
            fault_always("http.openat2");
        check(root, "a", true);
        check(root, "inner/b", true);
        check(root, "inner", true);
        check(root, "none", false);
        check(root, "a/b", false);
        check(root, "../secret", false);
        check(root, "inner/../../secret", false);
        check(root, "/etc/passwd", false);
        check(root, "link", false);
        check(root, "out", false);
        check(root, "linked/b", false);
        check(root, "top/etc/passwd", false);
        check(root, "", false);
        check(root, long_name, false);
    }
}

/* Whether it opens, when nothing may be waited for. */
static int try(int root, const char *path)
{
    const int fd = http_beneath_try_open(root, path, O_RDONLY | O_NONBLOCK);
    const int why = fd >= 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return why;
}

static void check_try(int root, const char *path, int expected_errno)
{
    const int why = try(root, path);
    if (why != expected_errno)
        fail_msg("%s gives errno %d", path, why);
}

static void test_beneath_try_opens_what_the_kernel_remembers(void **state)
{
    const int root = *(int *)*state;
    fault_clear();
    check(root, "a", true);
    const bool knows = try(root, "a") == 0; /* else it is before Linux 5.12 */
    check(root, "inner/b", true);           /* remembered from now on */
    check(root, "none", false);
    if (knows) {
        check_try(root, "inner/b", 0);
        check_try(root, "none", ENOENT);
        check_try(root, "link", ELOOP);
        check_try(root, "linked/b", ELOOP);
        check_try(root, "never asked for", EAGAIN);
    }
    assert_int_not_equal(try(root, "../secret"), 0);
    assert_int_not_equal(try(root, "inner/../../secret"), 0);
    assert_int_not_equal(try(root, "/etc/passwd"), 0);
    assert_int_not_equal(try(root, "top/etc/passwd"), 0);
    fault_always("http.openat2"); /* an older kernel */
    check_try(root, "inner/b", EAGAIN);
    assert_int_equal(http_beneath_try_root(folder), -1);
    assert_int_equal(errno, EAGAIN);
    fault_clear();
    const int again = http_beneath_root(folder);
    assert_true(again >= 0);
    check(again, "root/inner/b", true);
    close(again);
    assert_int_equal(http_beneath_root("/tmp/brio-none"), -1);
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beneath_opens_what_is_below_only),
        cmocka_unit_test(test_beneath_try_opens_what_the_kernel_remembers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
