/* The vector units' scans: every byte at every place, and random bytes, give what the scalar scan
 * gives; and that one gives what the RFCs say. */
#include "scan.h"

#include "tests/support/random.h"

#define LEN_MAX 100

static bool is_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_value(unsigned char c)
{
    return c == '\t' || (c >= ' ' && c != 0x7F);
}

static bool is_target(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("-._~!$&'()*+,;=:@/?%[]|", c));
}

/* `bytes` in memory of just that size, so that a read past them is found out. */
static void check_all(const char *bytes, size_t len)
{
    size_t count;
    const http_scan *const *all = http_scan_all(&count);
    char *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    const char *end = exact + len;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(all[i]->token(exact, end), HTTP_SCAN_SCALAR.token(exact, end));
        assert_int_equal(all[i]->value(exact, end), HTTP_SCAN_SCALAR.value(exact, end));
        assert_int_equal(all[i]->target(exact, end), HTTP_SCAN_SCALAR.target(exact, end));
    }
    free(exact);
}

static void test_scan_classes_are_those_of_the_rfcs(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char byte = (char)c;
        assert_int_equal(HTTP_SCAN_SCALAR.token(&byte, &byte + 1), is_token((unsigned char)c));
        assert_int_equal(HTTP_SCAN_SCALAR.value(&byte, &byte + 1), is_value((unsigned char)c));
        assert_int_equal(HTTP_SCAN_SCALAR.target(&byte, &byte + 1), is_target((unsigned char)c));
    }
}

static void test_scan_every_byte_at_every_place(void **state)
{
    (void)state;
    char bytes[LEN_MAX];
    for (size_t len = 0; len < 70; len++) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c += len % 7 == 0 ? 1 : 13) {
                memset(bytes, 'a', len);
                bytes[at] = (char)c;
                check_all(bytes, len);
            }
        }
    }
}

static void test_scan_random_bytes(void **state)
{
    (void)state;
    random_state r = random_start();
    char bytes[LEN_MAX];
    for (int round = 0; round < 20000; round++) {
        const size_t len = random_below(&r, LEN_MAX);
        for (size_t i = 0; i < len; i++)
            bytes[i] =
                (char)(random_below(&r, 40) ? 33 + random_below(&r, 94) : random_below(&r, 256));
        check_all(bytes, len);
    }
}

static void test_scan_the_picked_one_is_among_all(void **state)
{
    (void)state;
    size_t count;
    const http_scan *const *all = http_scan_all(&count);
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found = found || all[i] == http_scan_pick();
    assert_true(found);
    assert_ptr_equal(http_scan_pick(), all[count - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_classes_are_those_of_the_rfcs),
        cmocka_unit_test(test_scan_every_byte_at_every_place),
        cmocka_unit_test(test_scan_random_bytes),
        cmocka_unit_test(test_scan_the_picked_one_is_among_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
