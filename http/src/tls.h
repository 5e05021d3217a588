/* TLS on listeners: what the settings say of it. */
#ifndef HTTP_SRC_TLS_H
#define HTTP_SRC_TLS_H

#include "conn.h"

#define HTTP_TLS_CERTIFICATES_MAX 64 /* beside the first */

typedef enum http_client_cert {
    HTTP_CLIENT_CERT_NONE = 0,
    HTTP_CLIENT_CERT_OPTIONAL,
    HTTP_CLIENT_CERT_REQUIRED,
} http_client_cert;

/* Reads the files that the settings name into `settings->tls`, which stays NULL when they name
 * none. Before the workers are forked. fails  CONFIG_INVALID for settings that contradict each
 * other, a listener with TLS without a certificate among them; TLS_MISCONFIGURED naming the file;
 * OUT_OF_MEMORY */
error http_tls_open(arena *a, http_settings *settings);

#endif
