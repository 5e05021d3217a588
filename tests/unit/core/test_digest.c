/* SHA-256 of the standard's examples, however they are cut. */
#include "core/digest.h"
#include "tests/support/in_fiber.h"

static void check(const str *pieces, size_t count, const char *hex)
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    char text[2 * DIGEST_SHA256_BYTES + 1];
    assert_ok(digest_sha256(pieces, count, digest));
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void test_digest_of_the_standards_examples(void **state)
{
    (void)state;
    const str none[1] = { STR_NONE };
    const str abc[] = { STR("a"), STR(""), STR("bc") };
    const str longer[] = { STR("abcdbcdecdefdefgefghfghighij"),
                           STR("hijkijkljklmklmnlmnomnopnopq") };
    check(none, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check(none, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check(abc, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(longer, 2, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_digest_of_the_standards_examples) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
