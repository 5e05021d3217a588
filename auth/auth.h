/* Who is asking, and may they: passwords, tokens and guards.
 *
 * All of it runs on fibers and keeps nothing between requests. List AUTH_SETTINGS in
 * http_app.settings, and a program without a good AUTH_SECRET refuses to start. */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "auth/guard.h"    // IWYU pragma: export
#include "auth/jwt.h"      // IWYU pragma: export
#include "auth/password.h" // IWYU pragma: export
#include "core/config.h"

/* AUTH_SECRET, AUTH_SECRET_OLD, AUTH_ISSUER, AUTH_TOKEN_LIFETIME, AUTH_ARGON2_MEMORY,
 * AUTH_ARGON2_PASSES, AUTH_ARGON2_LANES. A process reads them once, when it first needs them. */
extern const config_entry AUTH_SETTINGS[];
/* INTERNAL: a setting is missing or bad, and the program did not list AUTH_SETTINGS. */
extern const error_kind AUTH_NOT_CONFIGURED;

#endif
