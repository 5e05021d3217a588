/* Kernel TLS for what goes out. The offsets and labels are those of RFC 8446; what the kernel takes
 * stands in <linux/tls.h>. */
#include "tls_kernel.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <openssl/hmac.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define SECRET_LABEL "SERVER_TRAFFIC_SECRET_0 "
#define AES_128_GCM  0x1301 /* TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384 */
#define AES_256_GCM  0x1302
#define RECORD_ALERT 21

bool tls_kernel_is_there(void)
{
    char names[256];
    const int fd = open("/proc/sys/net/ipv4/tcp_available_ulp", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t len = read(fd, names, sizeof names);
    close(fd);
    for (str rest = { names, len > 0 ? (size_t)len : 0 }; rest.ptr;) {
        if (str_eq(str_trim(str_cut(&rest, ' '), STR("\n")), STR("tls")))
            return true;
    }
    return false;
}

void tls_kernel_forget(tls_kernel *k)
{
    OPENSSL_cleanse(k->secret, sizeof k->secret);
    k->secret_bytes = 0;
}

/* "LABEL client-random secret", in hexadecimal. It comes as the key begins to be used. */
void tls_kernel_learn(tls_kernel *k, const char *line)
{
    str rest = str_from_c(line);
    if (!str_starts_with(rest, STR(SECRET_LABEL)))
        return;
    tls_kernel_forget(k);
    k->records = 0;
    (void)str_cut(&rest, ' ');
    (void)str_cut(&rest, ' ');
    if (rest.len % 2 != 0 || rest.len > 2 * sizeof k->secret)
        return;
    for (size_t i = 0; i < rest.len / 2; i++) {
        const int high = str_hex_digit(rest.ptr[2 * i]), low = str_hex_digit(rest.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return;
        k->secret[i] = (uint8_t)(high << 4 | low);
    }
    k->secret_bytes = (uint32_t)(rest.len / 2);
}

/* A KeyUpdate that is written, or asked for: what is sealed after it has a key that nobody tells.
 */
static bool renews(int writes, str message)
{
    return message.len == 5 && message.ptr[0] == SSL3_MT_KEY_UPDATE &&
           (writes || message.ptr[4] == SSL_KEY_UPDATE_REQUESTED);
}

void tls_kernel_watch(tls_kernel *k, int writes, int type, const void *bytes, size_t len)
{
    if (writes && type == SSL3_RT_HEADER)
        k->records++;
    if (type != SSL3_RT_HANDSHAKE || !renews(writes, (str){ bytes, len }))
        return;
    k->renewed = true;
    tls_kernel_forget(k);
}

/* HKDF-Expand-Label with an empty context (RFC 8446, section 7.1), for lengths of one hash. */
static bool expand(const tls_kernel *k, const EVP_MD *hash, const char *label, uint8_t *out,
                   size_t len)
{
    uint8_t info[32] = { 0, (uint8_t)len };
    uint8_t block[EVP_MAX_MD_SIZE];
    const size_t label_len = strlen(label);
    const size_t info_len = 3 + label_len + 2; /* length, label, context, counter */
    unsigned block_len = 0;
    invariant(info_len <= sizeof info && len <= (size_t)EVP_MD_get_size(hash));
    info[2] = (uint8_t)label_len;
    memcpy(info + 3, label, label_len);
    info[info_len - 1] = 1;
    const bool made =
        HMAC(hash, k->secret, (int)k->secret_bytes, info, info_len, block, &block_len) != NULL;
    memcpy(out, block, len);
    OPENSSL_cleanse(block, sizeof block);
    return made;
}

bool tls_kernel_derive(const tls_kernel *k, const EVP_MD *hash, uint8_t *key, size_t key_bytes,
                       uint8_t nonce[TLS_NONCE_BYTES])
{
    return k->secret_bytes == (uint32_t)EVP_MD_get_size(hash) &&
           expand(k, hash, "tls13 key", key, key_bytes) &&
           expand(k, hash, "tls13 iv", nonce, TLS_NONCE_BYTES);
}

/* What the kernel is to know, for either suite: they differ in the key's length. */
typedef union crypto_info {
    struct tls_crypto_info info;
    struct tls12_crypto_info_aes_gcm_128 aes_128;
    struct tls12_crypto_info_aes_gcm_256 aes_256;
} crypto_info;

/* The nonce in two parts, and the next record's number. */
static void put_nonce(const tls_kernel *k, const uint8_t nonce[TLS_NONCE_BYTES],
                      unsigned char *salt, unsigned char *iv, unsigned char *record)
{
    memcpy(salt, nonce, TLS_CIPHER_AES_GCM_128_SALT_SIZE);
    memcpy(iv, nonce + TLS_CIPHER_AES_GCM_128_SALT_SIZE, TLS_CIPHER_AES_GCM_128_IV_SIZE);
    for (size_t i = 0; i < TLS_CIPHER_AES_GCM_128_REC_SEQ_SIZE; i++)
        record[i] = (unsigned char)(k->records >> (56 - 8 * i));
}

/* The size of what was filled in; 0: the kernel cannot seal this session. */
static socklen_t describe(const tls_kernel *k, SSL *ssl, crypto_info *out)
{
    const SSL_CIPHER *suite = SSL_get_current_cipher(ssl);
    const EVP_MD *hash = suite ? SSL_CIPHER_get_handshake_digest(suite) : NULL;
    uint8_t nonce[TLS_NONCE_BYTES];
    memset(out, 0, sizeof *out);
    out->info.version = TLS_1_3_VERSION;
    if (SSL_version(ssl) != TLS1_3_VERSION || !hash)
        return 0;
    switch (SSL_CIPHER_get_protocol_id(suite)) {
    case AES_128_GCM:
        out->info.cipher_type = TLS_CIPHER_AES_GCM_128;
        if (!tls_kernel_derive(k, hash, out->aes_128.key, sizeof out->aes_128.key, nonce))
            return 0;
        put_nonce(k, nonce, out->aes_128.salt, out->aes_128.iv, out->aes_128.rec_seq);
        return sizeof out->aes_128;
    case AES_256_GCM:
        out->info.cipher_type = TLS_CIPHER_AES_GCM_256;
        if (!tls_kernel_derive(k, hash, out->aes_256.key, sizeof out->aes_256.key, nonce))
            return 0;
        put_nonce(k, nonce, out->aes_256.salt, out->aes_256.iv, out->aes_256.rec_seq);
        return sizeof out->aes_256;
    default:
        return 0;
    }
}

bool tls_kernel_take(tls_kernel *k, SSL *ssl, int fd)
{
    crypto_info info;
    const socklen_t bytes = k->secret_bytes > 0 ? describe(k, ssl, &info) : 0;
    /* A socket that has the protocol but no key sends what it is given. */
    const bool taken = bytes > 0 && setsockopt(fd, SOL_TCP, TCP_ULP, "tls", sizeof "tls") == 0 &&
                       setsockopt(fd, SOL_TLS, TLS_TX, &info, bytes) == 0;
    OPENSSL_cleanse(&info, sizeof info);
    tls_kernel_forget(k);
    return taken;
}

str tls_kernel_alert_mark(void)
{
    /* A struct cmsghdr and its byte of data. */
    static const struct {
        size_t len;
        int level;
        int type;
        unsigned char record_type;
    } mark = { CMSG_LEN(1), SOL_TLS, TLS_SET_RECORD_TYPE, RECORD_ALERT };
    static_assert(offsetof(struct cmsghdr, cmsg_level) == sizeof(size_t) &&
                      offsetof(struct cmsghdr, cmsg_type) == sizeof(size_t) + sizeof(int) &&
                      CMSG_LEN(0) == sizeof(size_t) + 2 * sizeof(int) &&
                      CMSG_SPACE(1) == sizeof mark,
                  "the kernel's layout");
    return (str){ (const char *)&mark, sizeof mark };
}
