/* Kernel TLS: Linux seals what a socket sends, so that sendfile works over TLS and a file's bytes
 * never come to us. Only what goes out, and only of TLS 1.3 with AES-GCM; whatever a kernel does
 * not do is sealed by OpenSSL as before.
 *
 *   handshake --the secret is told--> counting records --a file is to be sent--> handed over
 *
 * OpenSSL has no call that hands a session over in its midst, and needs none: the key follows from
 * the traffic secret (RFC 8446, section 7.3), which it tells a key log, and the next record's
 * number is that of the records it has written since. */
#ifndef CORE_SRC_TLS_KERNEL_H
#define CORE_SRC_TLS_KERNEL_H

#include "core/str.h"

#include <openssl/ssl.h>

#define TLS_KERNEL_BYTES_MIN 65536 /* of a file: what less of it saves is not worth the calls */
#define TLS_SECRET_BYTES_MAX 48
#define TLS_NONCE_BYTES      12

/* What is to be known of a session of a server's. Zeroed, nothing is. */
typedef struct tls_kernel {
    uint8_t secret[TLS_SECRET_BYTES_MAX]; /* server_application_traffic_secret_0 */
    uint32_t secret_bytes;                /* 0: not known, or of no use any more */
    uint64_t records;                     /* sealed with it */
    bool renewed;                         /* or with a later one, now or soon */
} tls_kernel;

/* Whether this kernel has it at all: "tls" in /proc/sys/net/ipv4/tcp_available_ulp. */
bool tls_kernel_is_there(void);

/* A line of the key log. */
void tls_kernel_learn(tls_kernel *k, const char *line);
/* What a message callback of OpenSSL's was told. */
void tls_kernel_watch(tls_kernel *k, int writes, int type, const void *bytes, size_t len);
/* Forgets the secret: the session goes on as it is. */
void tls_kernel_forget(tls_kernel *k);

/* The key, of `key_bytes`, and the nonce that follow from the secret (RFC 8446, section 7.3);
 * `hash` is the suite's. */
bool tls_kernel_derive(const tls_kernel *k, const EVP_MD *hash, uint8_t *key, size_t key_bytes,
                       uint8_t nonce[TLS_NONCE_BYTES]);
/* Hands what the socket sends from here on over to the kernel; all that was sealed must have been
 * sent. False: it stays as it was, and the secret is forgotten either way. */
bool tls_kernel_take(tls_kernel *k, SSL *ssl, int fd);

/* The ancillary data of a sendmsg whose bytes are an alert, and no data. */
str tls_kernel_alert_mark(void);

#endif
