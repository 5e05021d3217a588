/* What the environment says, read once a process. */
#ifndef AUTH_SRC_SETTINGS_H
#define AUTH_SRC_SETTINGS_H

#include "claims.h"
#include "kdf.h"

/* What a new hash costs. Needs none of the settings of tokens.
 *   fails  AUTH_NOT_CONFIGURED */
error auth_settings_cost(auth_cost *out);
/* How tokens are made and read; as long as the process.
 *   fails  AUTH_NOT_CONFIGURED, OUT_OF_MEMORY, SYSTEM_FAILED */
error auth_settings_policy(const auth_policy **out);

#endif
