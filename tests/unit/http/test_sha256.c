/* SHA-256 against the standard's examples and another implementation's digests, however the bytes
 * are cut. */
#include "sha256.h"

#include "tests/support/in_fiber.h"

static void check_digest(http_sha256 *h, const char *hex)
{
    uint8_t digest[HTTP_SHA256_BYTES];
    char text[2 * HTTP_SHA256_BYTES + 1];
    http_sha256_end(h, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void test_sha256_of_the_standards_examples(void **state)
{
    static const char *const cases[][2] = {
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    (void)state;
    http_sha256 h;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        http_sha256_init(&h);
        http_sha256_add(&h, str_from_c(cases[i][0]));
        check_digest(&h, cases[i][1]);
    }
    http_sha256_init(&h);
    for (int i = 0; i < 100000; i++)
        http_sha256_add(&h, STR("aaaaaaaaaa"));
    check_digest(&h, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

typedef struct length_case {
    size_t len; /* of bytes 3, 10, 17… */
    const char *hex;
} length_case;

static void test_sha256_does_not_depend_on_how_bytes_are_cut(void **state)
{
    static const length_case cases[] = {
        { 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { 1, "084fed08b978af4d7d196a7446a86b58009e636b611db16211b65a9aadff29c5" },
        { 55, "e7313d333c272e639f790978283f9eb392e843d0f29b7016828bb1daa4aac70b" },
        { 56, "4324d65f3c103567f5589c710bc08f8523f929a9272e3af36fc968e52abc6c27" },
        { 63, "81c80242132f230c3bd41b3e63bbcff16107339549214a99614ff26664625055" },
        { 64, "39e3d7b6b5d075d37d053ad89b24b41bef4f3c29760c84447cab3f3be1882241" },
        { 65, "aacca6ff74fdbb296d165a45cecfa04e5127bc008770fbbdd48006f2d2fae95e" },
        { 119, "9ce7368e4daf32341631b492e80359dc9f594b48453cd0dd5bf0b19279cc177e" },
        { 120, "7836b787757e95e58b3ca5aec90b1b004e8deba1e50e9675af9cabf1a13a04b5" },
        { 128, "d2742f1f4ac6bb7ca2b239ee18402ba8b3f9f8e652d2a72973c2b9ba11c08cf6" },
        { 1000, "1e9bc38cbf860b9ec31918b065f9b52476c549a782e0e7990bed8ce3868d2371" },
    };
    (void)state;
    char bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + 3);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const length_case *c = &cases[i];
        for (size_t step = 1; step < 140; step++) {
            http_sha256 h;
            http_sha256_init(&h);
            for (size_t at = 0; at < c->len; at += step)
                http_sha256_add(&h, str_slice((str){ bytes, c->len }, at, step));
            http_sha256_add(&h, STR_NONE);
            check_digest(&h, c->hex);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_of_the_standards_examples),
        cmocka_unit_test(test_sha256_does_not_depend_on_how_bytes_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
