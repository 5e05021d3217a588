/* A password hash as text: $argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<hash>. */
#ifndef AUTH_SRC_PHC_H
#define AUTH_SRC_PHC_H

#include "kdf.h"

typedef struct auth_phc {
    auth_cost cost;
    bytea salt;
    bytea hash;
} auth_phc;

/* Reads exactly that form, in exactly one spelling, at an allowed cost.
 *   owns     salt and hash live in `a`
 *   returns  false for anything else, whatever it is */
bool auth_phc_parse(arena *a, str text, auth_phc *out);
/* The text, in `a`. */
str auth_phc_format(arena *a, const auth_phc *phc);

#endif
