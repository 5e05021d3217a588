/* Passwords, kept as Argon2id hashes (RFC 9106) in PHC text form:
 *
 *   $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
 *
 * Both calls work on an offload thread while the fiber sleeps. Each takes AUTH_ARGON2_MEMORY bytes
 * beside the request's own memory; how many run at once is bounded by OFFLOAD_THREADS, how many
 * wait by OFFLOAD_QUEUE_MAX. */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "core/error.h"

#define AUTH_PASSWORD_BYTES_MAX 4096

extern const error_kind AUTH_WRONG_CREDENTIALS; /* UNAUTHENTICATED: 401 */
extern const error_kind AUTH_PASSWORD_REFUSED;  /* INVALID: empty or past the limit */

/* Hashes a password with a salt of its own, at the cost that AUTH_ARGON2_* set.
 *   yields  until a thread has done it
 *   owns    `*out` lives in the running fiber's arena
 *   fails   AUTH_PASSWORD_REFUSED; OFFLOAD_FULL and OUT_OF_MEMORY (503); CANCELED, TIMED_OUT */
YIELDS error auth_hash_password(str password, str *out);

/* OK when the password is the one that was hashed. A hash made at another cost counts too; one that
 * is malformed, or whose cost is past all reason, never does and is not run.
 *   hash    STR_NONE for an account that does not exist: the work is done all the same, so that the
 *           answer's time tells nothing
 *   yields  until a thread has done it
 *   fails   AUTH_WRONG_CREDENTIALS; OFFLOAD_FULL and OUT_OF_MEMORY (503); CANCELED, TIMED_OUT */
YIELDS error auth_verify_password(str password, str hash);

#endif
