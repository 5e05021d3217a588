/* Straight from the standard; the names are its own. The library needs no other cryptography, and
 * nothing secret goes through here, so it does without a library for it.
 *
 * Invariant: `block` holds the last bytes % 64 bytes that were added. */
#include "sha256.h"

#include "core/base.h"

#include <endian.h>
#include <string.h>

#define BLOCK_BYTES sizeof(((http_sha256 *)NULL)->block)
#define LENGTH_AT   56

/* 4.2.2: of the cube roots of the first 64 primes. */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64], v[8];
    for (size_t t = 0; t < 16; t++) {
        memcpy(&w[t], block + 4 * t, 4);
        w[t] = be32toh(w[t]);
    }
    for (size_t t = 16; t < 64; t++) {
        const uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
        const uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    memcpy(v, state, sizeof v);
    for (size_t t = 0; t < 64; t++) {
        const uint32_t a = v[0], e = v[4];
        const uint32_t t1 = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                            ((e & v[5]) ^ (~e & v[6])) + K[t] + w[t];
        const uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                            ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (size_t i = 0; i < 8; i++)
        state[i] += v[i];
}

void http_sha256_init(http_sha256 *h)
{
    /* 5.3.3: of the square roots of the first 8 primes */
    static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memcpy(h->state, start, sizeof start);
    h->bytes = 0;
}

void http_sha256_add(http_sha256 *h, str bytes)
{
    const size_t held = h->bytes % BLOCK_BYTES;
    h->bytes += bytes.len;
    if (held > 0) {
        const size_t missing = BLOCK_BYTES - held;
        const size_t taken = bytes.len < missing ? bytes.len : missing;
        if (taken > 0)
            memcpy(h->block + held, bytes.ptr, taken);
        if (taken < missing)
            return;
        compress(h->state, h->block);
        bytes = str_slice(bytes, taken, bytes.len);
    }
    size_t at = 0;
    for (; bytes.len - at >= BLOCK_BYTES; at += BLOCK_BYTES)
        compress(h->state, (const uint8_t *)bytes.ptr + at);
    if (bytes.len > at)
        memcpy(h->block, bytes.ptr + at, bytes.len - at);
}

void http_sha256_end(http_sha256 *h, uint8_t out[HTTP_SHA256_BYTES])
{
    static const char padding[BLOCK_BYTES] = { (char)0x80 };
    const uint64_t bits = htobe64(h->bytes * 8);
    const size_t held = h->bytes % BLOCK_BYTES;
    const size_t zeros = (held < LENGTH_AT ? LENGTH_AT : LENGTH_AT + BLOCK_BYTES) - held;
    http_sha256_add(h, (str){ padding, zeros });
    http_sha256_add(h, (str){ (const char *)&bits, sizeof bits });
    invariant(h->bytes % BLOCK_BYTES == 0);
    for (size_t i = 0; i < 8; i++) {
        const uint32_t word = htobe32(h->state[i]);
        memcpy(out + 4 * i, &word, 4);
    }
}
