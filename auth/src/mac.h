/* HMAC-SHA-256 with a key that is set once. */
#ifndef AUTH_SRC_MAC_H
#define AUTH_SRC_MAC_H

#include "core/error.h"

#define AUTH_MAC_BYTES 32

typedef struct auth_mac auth_mac;

/* A MAC with a copy of `key`.
 *   fails  OUT_OF_MEMORY, SYSTEM_FAILED */
error auth_mac_new(str key, auth_mac **out);
/* Wipes the key. Nulls the pointer; NULL is allowed. */
void auth_mac_free(auth_mac **owner);
/* The MAC of `data`.
 *   fails  SYSTEM_FAILED */
error auth_mac_sign(auth_mac *mac, str data, uint8_t out[AUTH_MAC_BYTES]);

#endif
