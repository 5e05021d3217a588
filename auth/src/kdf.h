/* The key derivation function, Argon2id, and what it may cost. */
#ifndef AUTH_SRC_KDF_H
#define AUTH_SRC_KDF_H

#include "core/error.h"
#include "core/scalar.h"

typedef struct auth_cost {
    uint32_t memory_kib;
    uint32_t passes;
    uint32_t lanes;
} auth_cost;

/* Limits of what is run, whoever asks for it: a hash from the database too. */
#define AUTH_MEMORY_KIB_MAX    262144
#define AUTH_PASSES_MAX        16
#define AUTH_LANES_MAX         16
#define AUTH_MEMORY_KIB_A_LANE 8 /* at least: RFC 9106 section 3.1 */
#define AUTH_SALT_BYTES_MIN    8
#define AUTH_SALT_BYTES_MAX    64
#define AUTH_DERIVED_BYTES_MIN 16
#define AUTH_DERIVED_BYTES_MAX 64

/* Whether the cost is inside the limits. */
bool auth_cost_is_allowed(const auth_cost *cost);

typedef struct auth_kdf_input {
    auth_cost cost; /* allowed */
    str password;
    bytea salt; /* of AUTH_SALT_BYTES_MIN to _MAX */
} auth_kdf_input;

/* Derives `bytes` bytes (AUTH_DERIVED_BYTES_MIN to _MAX) into `out` on an offload thread.
 *   fails  as offload; OUT_OF_MEMORY */
YIELDS error auth_kdf_run(const auth_kdf_input *input, uint8_t *out, size_t bytes);

#endif
