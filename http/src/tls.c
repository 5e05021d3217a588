/* From settings and files to a configuration of TLS, and what a handler may ask of a connection.
 *
 * Files are read when a program starts, and so by each reload, whose rehearsal reads them first: a
 * bad file ends either before anything has changed. Nothing is read later. */
#include "tls.h"

#include "listen.h"

#include "core/config.h"
#include "core/tls.h"

static const http_key TLS = { "tls" };

/* "a.pem,a.key b.pem": a certificate and its key, which may be in the same file. */
static error read_others(arena *a, str text, const tls_certificate **out, size_t *count)
{
    tls_certificate *others = ARENA_NEW_ARRAY(a, tls_certificate, HTTP_TLS_CERTIFICATES_MAX);
    *count = 0;
    while (text.ptr) {
        str key = str_cut(&text, ' ');
        if (key.len == 0)
            continue;
        const str whole = key, certificate = str_cut(&key, ',');
        if (certificate.len == 0 || (key.ptr && key.len == 0) || str_index(key, ',') < key.len)
            return error_set(&CONFIG_INVALID,
                             "TLS_OTHER_CERT_FILES: \"%.*s\" must be CERT or CERT,KEY",
                             STR_ARG(whole));
        if (*count == HTTP_TLS_CERTIFICATES_MAX)
            return error_set(&CONFIG_INVALID, "TLS_OTHER_CERT_FILES has more than %d",
                             HTTP_TLS_CERTIFICATES_MAX);
        others[(*count)++] = (tls_certificate){ .cert_file = certificate, .key_file = key };
    }
    *out = others;
    return OK;
}

/* A setting that would have no effect is a mistake: who wrote it believes in it. */
static error check(const http_settings *s)
{
    const bool asks = s->tls_client_cert != HTTP_CLIENT_CERT_NONE;
    if (s->tls_cert_file.len == 0 &&
        (s->tls_key_file.len > 0 || s->tls_other_cert_files.len > 0 || asks))
        return error_set(&CONFIG_INVALID, "TLS_CERT_FILE is missing");
    if (asks && s->tls_client_ca_file.len == 0)
        return error_set(&CONFIG_INVALID, "TLS_CLIENT_CERT needs TLS_CLIENT_CA_FILE");
    if (!asks && s->tls_client_ca_file.len > 0)
        return error_set(&CONFIG_INVALID,
                         "TLS_CLIENT_CA_FILE needs TLS_CLIENT_CERT, optional or required");
    return OK;
}

static error check_listeners(arena *a, const http_settings *settings)
{
    http_listening *l = ARENA_NEW(a, http_listening);
    if (http_listening_parse(a, settings, l).kind)
        return OK; /* told by who listens */
    for (uint32_t i = 0; i < l->address_count; i++) {
        if (l->addresses[i].tls)
            return error_set(&CONFIG_INVALID, "LISTEN: %.*s needs TLS_CERT_FILE",
                             STR_ARG(l->addresses[i].text));
    }
    return OK;
}

error http_tls_open(arena *a, http_settings *settings)
{
    TRY(check(settings));
    if (settings->tls_cert_file.len == 0)
        return check_listeners(a, settings);
    tls_server_options options = {
        .certificate = { settings->tls_cert_file, settings->tls_key_file },
        .client_ca_file = settings->tls_client_ca_file,
        .client_optional = settings->tls_client_cert == HTTP_CLIENT_CERT_OPTIONAL,
        .alpn = STR("http/1.1"),
        .version_min = (tls_version)settings->tls_version_min,
        .handshake_ms_max = (uint32_t)settings->tls_handshake_timeout_ms,
        .without_kernel = !settings->tls_kernel,
    };
    TRY(read_others(a, settings->tls_other_cert_files, &options.others, &options.other_count));
    return tls_config_server(&options, &settings->tls);
}

/* --- requests -------------------------------------------------------------------------------- */

const http_tls *http_request_tls(http_request *req)
{
    const http_conn *c = req->conn;
    if (!c->tls)
        return NULL;
    http_tls *found = http_value(req, &TLS);
    if (found)
        return found;
    found = ARENA_NEW(&req->conn->arena, http_tls);
    if (c->stream) {
        arena *a = &req->conn->arena;
        found->version = stream_tls_version(c->stream); /* constant texts */
        found->server_name = str_copy(a, stream_tls_server_name(c->stream));
        found->resumed = stream_tls_resumed(c->stream);
        found->client_verified = stream_tls_peer_verified(c->stream);
        if (found->client_verified)
            found->client_subject = stream_tls_peer_subject(c->stream, a);
    }
    http_set_value(req, &TLS, found);
    return found;
}
