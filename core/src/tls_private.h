/* What a session on a stream (tls.c) needs of its configuration (tls_config.c). */
#ifndef CORE_SRC_TLS_PRIVATE_H
#define CORE_SRC_TLS_PRIVATE_H

#include "core/tls.h"

#include <openssl/ssl.h>

#define TLS_NAME_BYTES_MAX 253

tls_config *tls_config_keep(tls_config *config);
bool tls_config_is_server(const tls_config *config);
bool tls_config_verifies(const tls_config *config);
bool tls_config_needs_name(const tls_config *config);
bool tls_config_tells_name(const tls_config *config);
uint32_t tls_config_handshake_ms_max(const tls_config *config);

/* A session of OpenSSL's that reads and writes through `bio_data` by the functions below; NULL
 * without memory. */
SSL *tls_config_session(tls_config *config, void *bio_data);
/* How much could be read into or written from `bytes`; 0: nothing now. Written: SIZE_MAX when
 * memory is out. */
size_t tls_session_read(void *bio_data, char *bytes, size_t len);
size_t tls_session_write(void *bio_data, const char *bytes, size_t len);
/* A line of the key log of a session of OpenSSL's. */
void tls_session_learn(void *bio_data, const char *line);
/* The name under which a client's session may be resumed later, "" for none. */
const char *tls_session_name(const void *bio_data);

/* Lets a client's session resume an earlier one with that name, if there is one. */
void tls_config_resume(tls_config *config, SSL *ssl, const char *name);

/* The oldest reason in OpenSSL's queue, which it empties. */
const char *tls_reason(void);

#endif
