/* PostgreSQL's md5 authentication, which servers still ask for. Weak: who learns the stored hash
 * can log in, and the server proves nothing. */
#ifndef PG_SRC_MD5_H
#define PG_SRC_MD5_H

#include "core/error.h"
#include "core/str.h"

#define PG_MD5_SALT_BYTES   4
#define PG_MD5_ANSWER_BYTES 36 /* "md5", 32 hexadecimal digits, and a NUL */

/* "md5" and md5(md5(password user) salt).
 *   fails  SYSTEM_FAILED when libcrypto refuses MD5 (FIPS) */
error pg_md5_answer(str user, str password, str salt, char out[PG_MD5_ANSWER_BYTES]);

#endif
