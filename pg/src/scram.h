/* SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677), the client's side. Bytes in, bytes out: the
 * connection carries them.
 *
 *   first -> server_first -> derive -> final -> server_final
 *
 * derive is the slow part and belongs on another thread; the rest takes microseconds. Messages that
 * the server sends out of turn are its fault and fail; calls out of turn are invariants. */
#ifndef PG_SRC_SCRAM_H
#define PG_SRC_SCRAM_H

#include "core/arena.h"
#include "pg/error.h"

#define PG_SCRAM_KEY_BYTES         32
#define PG_SCRAM_SALT_BYTES_MAX    256
#define PG_SCRAM_ITERATIONS_MAX    1000000 /* a second of CPU that a hostile server can cost */
#define PG_SCRAM_MESSAGE_BYTES_MAX 8192    /* of the server's */
#define PG_SCRAM_CHANNEL_BYTES_MAX 64      /* of a certificate's hash */

typedef enum pg_scram_step {
    PG_SCRAM_NEW,
    PG_SCRAM_STARTED,    /* the first message is made */
    PG_SCRAM_CHALLENGED, /* salt and iterations are known */
    PG_SCRAM_DERIVED,    /* the keys are known */
    PG_SCRAM_PROVED,     /* the final message is made */
    PG_SCRAM_VERIFIED,   /* the server knows the password too */
    PG_SCRAM_FAILED,
} pg_scram_step;

typedef enum pg_scram_binding {
    PG_SCRAM_UNBOUND,     /* "n": we do not bind */
    PG_SCRAM_NOT_OFFERED, /* "y": we would have, had the server offered it; it refuses if it did */
    PG_SCRAM_BOUND,       /* "p": to the TLS connection (SCRAM-SHA-256-PLUS) */
} pg_scram_binding;

typedef struct pg_scram_channel {
    pg_scram_binding binding;
    str end_point; /* RFC 5929's tls-server-end-point, where it is bound */
} pg_scram_channel;

/* One authentication, in the caller's storage. Slices live in the arena of the calls. */
typedef struct pg_scram {
    pg_scram_step step;
    uint32_t iterations;
    pg_scram_binding binding;
    size_t end_point_len;
    uint8_t end_point[PG_SCRAM_CHANNEL_BYTES_MAX];
    str client_first_bare;
    str client_nonce; /* a view of it */
    str server_first;
    str nonce; /* the client's and the server's, a view of server_first */
    size_t salt_len;
    uint8_t salt[PG_SCRAM_SALT_BYTES_MAX];
    uint8_t client_key[PG_SCRAM_KEY_BYTES];
    uint8_t server_key[PG_SCRAM_KEY_BYTES];
    uint8_t server_signature[PG_SCRAM_KEY_BYTES]; /* what server_final must bring */
} pg_scram;

/* Begins anew, whatever `*s` held. The user's name stays empty: PostgreSQL takes the one of the
 * startup message.
 *   fails  SYSTEM_FAILED without random bytes, OUT_OF_MEMORY
 *   owns   the message lives in `a` */
error pg_scram_first(pg_scram *s, arena *a, const pg_scram_channel *channel,
                     str *client_first_message);
/* The same with a user and a nonce that are given: for test vectors. Neither may hold ',' or '='.
 */
typedef struct pg_scram_vector {
    pg_scram_channel channel;
    str user;
    str nonce;
} pg_scram_vector;
error pg_scram_first_with(pg_scram *s, arena *a, const pg_scram_vector *vector,
                          str *client_first_message);
/* Reads the server's nonce, salt and iterations; keeps a copy of the message in `a`.
 *   fails  PG_AUTH_FAILED: malformed, a nonce that does not extend ours, iterations out of
 *          1..PG_SCRAM_ITERATIONS_MAX; PG_PROTOCOL_VIOLATION out of turn; OUT_OF_MEMORY */
error pg_scram_server_first(pg_scram *s, arena *a, str server_first_message);
/* Computes the keys from the password: `iterations` times HMAC. Touches `*s` only and may run on
 * any thread. fails  PG_AUTH_FAILED without a password; SYSTEM_FAILED when libcrypto does */
error pg_scram_derive(pg_scram *s, str password);
/* Instead of it: takes keys that were derived earlier, with this salt and as many iterations. */
void pg_scram_use(pg_scram *s, const uint8_t client_key[PG_SCRAM_KEY_BYTES],
                  const uint8_t server_key[PG_SCRAM_KEY_BYTES]);
/* The proof that the client knows the password.
 *   fails  OUT_OF_MEMORY, SYSTEM_FAILED
 *   owns   the message lives in `a` */
error pg_scram_final(pg_scram *s, arena *a, str *client_final_message);
/* Verifies the proof that the server knows it too.
 *   fails  PG_AUTH_FAILED: the wrong signature, or the server reports an error;
 *          PG_PROTOCOL_VIOLATION out of turn */
error pg_scram_server_final(pg_scram *s, str server_final_message);
/* Whether the server proved itself: only then is its AuthenticationOk to be believed. */
static inline bool pg_scram_is_verified(const pg_scram *s)
{
    return s->step == PG_SCRAM_VERIFIED;
}
/* Erases the keys; `*s` is as new. Safe at any step and twice. */
void pg_scram_wipe(pg_scram *s);

#endif
