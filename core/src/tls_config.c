/* Configurations of TLS: OpenSSL's contexts, made once from files, and what their callbacks decide:
 * the certificate by the name asked for, the protocol (ALPN), the keys of tickets, and the sessions
 * that a client may resume.
 *
 * A server has a context for each certificate, set up alike but for it; a handshake begins with the
 * first and is moved to the one whose certificate is valid for the name. Session ids are bound to
 * certificate and client check, so that no ticket gets its bearer around either.
 *
 * Invariant: a configuration lives while it is referenced; each session holds a reference. */
#include "tls_kernel.h"
#include "tls_private.h"

#include "core/digest.h"
#include "core/memory.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define HANDSHAKE_MS_MAX  10000
#define ALPN_BYTES_MAX    255
#define TICKET_KEYS_MAX   4
#define TICKET_NAME_BYTES 16 /* of a key: its name, its HMAC key, its AES key */
#define TICKET_PART_BYTES 32
#define SAVED_MAX         16 /* sessions a client keeps for later */
#define CHAIN_DEPTH_MAX   10
#define SECURITY_LEVEL    2 /* OpenSSL's: 112 bits */

/* Of TLS 1.2; all suites of 1.3 are good. */
#define SUITES_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

ERROR_KIND(TLS_FAILED, ERROR_UNAVAILABLE, "No secure connection could be made.");
ERROR_KIND(TLS_MISCONFIGURED, ERROR_INTERNAL, "The server is not set up for secure connections.");

typedef struct saved_session {
    char name[TLS_NAME_BYTES_MAX + 1];
    SSL_SESSION *session; /* NULL: none */
} saved_session;

struct tls_config {
    uint32_t references;
    bool is_server;
    tls_verify verify; /* of a client */
    bool without_sni;
    bool asks_clients; /* of a server */
    bool tells_kernel; /* its sessions learn what kernel TLS needs */
    uint32_t handshake_ms_max;
    BIO_METHOD *wire;
    SSL_CTX **contexts; /* the first is the default */
    size_t context_count;
    uint8_t alpn[ALPN_BYTES_MAX]; /* as on the wire: each after its length */
    size_t alpn_bytes;
    uint8_t ticket_keys[TICKET_KEYS_MAX][TLS_TICKET_KEY_BYTES];
    size_t ticket_key_count;
    saved_session saved[SAVED_MAX];
    size_t saved_next;
};

/* --- small answers --------------------------------------------------------------------------- */

tls_config *tls_config_keep(tls_config *config)
{
    config->references++;
    return config;
}

bool tls_config_is_server(const tls_config *config)
{
    return config->is_server;
}

bool tls_config_verifies(const tls_config *config)
{
    return config->is_server ? config->asks_clients : config->verify != TLS_VERIFY_NONE;
}

bool tls_config_needs_name(const tls_config *config)
{
    return config->verify == TLS_VERIFY_FULL;
}

bool tls_config_tells_name(const tls_config *config)
{
    return !config->without_sni;
}

uint32_t tls_config_handshake_ms_max(const tls_config *config)
{
    return config->handshake_ms_max;
}

const char *tls_reason(void)
{
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerrordesc_np(ERR_GET_REASON(code))
                                                : ERR_reason_error_string(code);
    return reason ? reason : "no reason given";
}

static error out_of_memory(void)
{
    ERR_clear_error();
    return error_set(&OUT_OF_MEMORY, "no memory for TLS");
}

/* --- the wire -------------------------------------------------------------------------------- */

static int wire_made(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static int wire_read(BIO *bio, char *bytes, size_t len, size_t *got)
{
    BIO_clear_retry_flags(bio);
    *got = tls_session_read(BIO_get_data(bio), bytes, len);
    if (*got == 0)
        BIO_set_retry_read(bio);
    return *got > 0;
}

static int wire_write(BIO *bio, const char *bytes, size_t len, size_t *written)
{
    BIO_clear_retry_flags(bio);
    *written = tls_session_write(BIO_get_data(bio), bytes, len);
    if (*written == SIZE_MAX) {
        *written = 0;
        return 0;
    }
    if (*written == 0)
        BIO_set_retry_write(bio);
    return *written > 0;
}

static long wire_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *wire_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
    if (m && BIO_meth_set_create(m, wire_made) && BIO_meth_set_read_ex(m, wire_read) &&
        BIO_meth_set_write_ex(m, wire_write) && BIO_meth_set_ctrl(m, wire_control))
        return m;
    BIO_meth_free(m);
    return NULL;
}

SSL *tls_config_session(tls_config *config, void *bio_data)
{
    SSL *ssl = SSL_new(config->contexts[0]);
    BIO *bio = ssl ? BIO_new(config->wire) : NULL;
    if (!bio) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, bio_data);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, bio_data);
    if (config->is_server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

/* --- what callbacks decide ------------------------------------------------------------------- */

static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    const tls_config *config = arg;
    *alert = SSL_AD_INTERNAL_ERROR;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    for (size_t i = 1; name && i < config->context_count; i++) {
        X509 *certificate = SSL_CTX_get0_certificate(config->contexts[i]);
        if (X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1)
            return SSL_set_SSL_CTX(ssl, config->contexts[i]) ? SSL_TLSEXT_ERR_OK
                                                             : SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

static void key_logged(const SSL *ssl, const char *line)
{
    tls_session_learn(SSL_get_app_data(ssl), line);
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned offered_len, void *arg)
{
    (void)ssl;
    const tls_config *config = arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, config->alpn, (unsigned)config->alpn_bytes, offered,
                              offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Returns OpenSSL's answer: -1 error, 0 no such key, 1 goes, 2 goes but is to be renewed. */
static int ticket_key(SSL *ssl, unsigned char name[TICKET_NAME_BYTES], unsigned char *iv,
                      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals)
{
    const tls_config *config = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    size_t i = 0;
    if (seals) {
        memcpy(name, config->ticket_keys[0], TICKET_NAME_BYTES);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            return -1;
    } else {
        while (i < config->ticket_key_count &&
               memcmp(name, config->ticket_keys[i], TICKET_NAME_BYTES) != 0)
            i++;
        if (i == config->ticket_key_count)
            return 0;
    }
    uint8_t hmac_key[TICKET_PART_BYTES];
    memcpy(hmac_key, config->ticket_keys[i] + TICKET_NAME_BYTES, sizeof hmac_key);
    const uint8_t *aes_key = config->ticket_keys[i] + TICKET_NAME_BYTES + TICKET_PART_BYTES;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac_key, sizeof hmac_key),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    const bool set = EVP_MAC_CTX_set_params(mac, params) == 1 &&
                     EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, aes_key, iv, seals) == 1;
    OPENSSL_cleanse(hmac_key, sizeof hmac_key);
    return !set ? -1 : i == 0 ? 1 : 2;
}

/* A client got a ticket. Returns whether the reference to it was taken. */
static int session_came(SSL *ssl, SSL_SESSION *session)
{
    tls_config *config = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *name = tls_session_name(SSL_get_app_data(ssl));
    if (!name[0])
        return 0;
    saved_session *place = &config->saved[config->saved_next++ % SAVED_MAX];
    SSL_SESSION_free(place->session);
    place->session = session;
    (void)snprintf(place->name, sizeof place->name, "%s", name);
    return 1;
}

/* Tickets of TLS 1.3 are used once, so that nobody can tell that two connections are of one client;
 * a session of 1.2 has no other. */
void tls_config_resume(tls_config *config, SSL *ssl, const char *name)
{
    if (!name[0])
        return;
    for (size_t i = 1; i <= SAVED_MAX; i++) { /* newest first */
        saved_session *saved = &config->saved[(config->saved_next + SAVED_MAX - i) % SAVED_MAX];
        if (!saved->session || strcmp(saved->name, name) != 0)
            continue;
        const bool usable = SSL_SESSION_is_resumable(saved->session);
        if (usable)
            SSL_set_session(ssl, saved->session); /* without it the handshake is a full one */
        if (!usable || SSL_SESSION_get_protocol_version(saved->session) >= TLS1_3_VERSION) {
            SSL_SESSION_free(saved->session);
            saved->session = NULL;
        }
        if (usable)
            return;
    }
}

/* --- files and options ----------------------------------------------------------------------- */

static bool has_text(str s)
{
    return s.ptr && s.len > 0;
}

/* A name for OpenSSL, which takes C strings. */
static char *file_name(str file)
{
    char *name = memory_new(file.len + 1, 1);
    if (name)
        memcpy(name, file.ptr, file.len);
    return name;
}

/* The password of the key that is being loaded, if there is one. Never asks on the terminal, as
 * OpenSSL would. */
static int key_password(char *out, int bytes, int writes, void *arg)
{
    (void)writes;
    const str *password = arg;
    if (bytes > 0)
        out[0] = '\0';
    if (!password || bytes < 0 || password->len > (size_t)bytes)
        return -1;
    memcpy(out, password->ptr, password->len);
    return (int)password->len;
}

static error unusable(const char *what, str file)
{
    return error_set(&TLS_MISCONFIGURED, "%s %.*s: %s", what, STR_ARG(file), tls_reason());
}

static int use_key(SSL_CTX *c, const char *name)
{
    return SSL_CTX_use_PrivateKey_file(c, name, SSL_FILETYPE_PEM) && SSL_CTX_check_private_key(c);
}

/* Servers tell clients whose certificates are welcome. */
static int use_client_roots(SSL_CTX *c, const char *name)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(name);
    if (!names)
        return 0;
    SSL_CTX_set_client_CA_list(c, names); /* takes them */
    return SSL_CTX_load_verify_file(c, name);
}

static error load(SSL_CTX *c, const char *what, str file, int (*use)(SSL_CTX *, const char *))
{
    if (str_index(file, '\0') < file.len)
        return error_set(&TLS_MISCONFIGURED, "%s: a file's name with a NUL", what);
    char *name = file_name(file);
    if (!name)
        return out_of_memory();
    ERR_clear_error();
    const bool used = use(c, name) == 1;
    memory_free(name);
    return used ? OK : unusable(what, file);
}

static error load_certificate(SSL_CTX *c, const tls_certificate *certificate)
{
    const str key =
        has_text(certificate->key_file) ? certificate->key_file : certificate->cert_file;
    str password = certificate->key_password;
    TRY(load(c, "certificate", certificate->cert_file, SSL_CTX_use_certificate_chain_file));
    SSL_CTX_set_default_passwd_cb_userdata(c, has_text(password) ? &password : NULL);
    const error e = load(c, "private key", key, use_key);
    SSL_CTX_set_default_passwd_cb_userdata(c, NULL);
    return e;
}

static int use_crl_file(SSL_CTX *c, const char *name)
{
    return X509_STORE_load_locations(SSL_CTX_get_cert_store(c), name, NULL);
}

static int use_crl_directory(SSL_CTX *c, const char *name)
{
    return X509_STORE_load_locations(SSL_CTX_get_cert_store(c), NULL, name);
}

static error load_crls(SSL_CTX *c, const tls_client_options *options)
{
    if (has_text(options->crl_file))
        TRY(load(c, "revocation list", options->crl_file, use_crl_file));
    if (has_text(options->crl_directory))
        TRY(load(c, "revocation lists", options->crl_directory, use_crl_directory));
    if (has_text(options->crl_file) || has_text(options->crl_directory))
        X509_STORE_set_flags(SSL_CTX_get_cert_store(c),
                             X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return OK;
}

/* "h2,http/1.1" in the wire's form. */
static error set_alpn(tls_config *config, str names)
{
    while (names.ptr) {
        const str name = str_cut(&names, ',');
        if (name.len == 0 || config->alpn_bytes + 1 + name.len > ALPN_BYTES_MAX)
            return error_set(&TLS_MISCONFIGURED, "ALPN: an empty name, or too many");
        config->alpn[config->alpn_bytes++] = (uint8_t)name.len;
        memcpy(config->alpn + config->alpn_bytes, name.ptr, name.len);
        config->alpn_bytes += name.len;
    }
    return OK;
}

/* What all contexts have in common. */
static error add_context(tls_config *config, const SSL_METHOD *method, tls_version version_min)
{
    ERR_clear_error();
    SSL_CTX *c = SSL_CTX_new(method);
    if (!c)
        return out_of_memory();
    config->contexts[config->context_count++] = c;
    SSL_CTX_set_app_data(c, config);
    const int oldest = version_min == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (!SSL_CTX_set_min_proto_version(c, oldest) || !SSL_CTX_set_max_proto_version(c, 0) ||
        !SSL_CTX_set_cipher_list(c, SUITES_1_2))
        return error_set(&TLS_MISCONFIGURED, "versions and suites: %s", tls_reason());
    SSL_CTX_set_security_level(c, SECURITY_LEVEL);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_clear_options(c, SSL_OP_ENABLE_KTLS | SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* An idle connection holds no buffers. */
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify_depth(c, CHAIN_DEPTH_MAX);
    SSL_CTX_set_default_passwd_cb(c, key_password);
    return OK;
}

/* The issuers of clients that are trusted, as one hash. */
static error digest_client_roots(SSL_CTX *c, uint8_t out[DIGEST_SHA256_BYTES])
{
    STACK_OF(X509) *roots = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(c));
    error e = roots ? digest_sha256(NULL, 0, out) : out_of_memory();
    for (int i = 0; error_is_ok(e) && i < sk_X509_num(roots); i++) {
        uint8_t one[DIGEST_SHA256_BYTES];
        if (!X509_digest(sk_X509_value(roots, i), EVP_sha256(), one, NULL)) {
            e = out_of_memory();
            break;
        }
        const str pieces[] = { { (const char *)out, DIGEST_SHA256_BYTES },
                               { (const char *)one, sizeof one } };
        e = digest_sha256(pieces, ARRAY_LEN(pieces), out);
    }
    sk_X509_pop_free(roots, X509_free);
    return e;
}

/* A session resumes where its certificate and the check of clients are the same: whose issuer is
 * trusted no more does not come in by a ticket of before. */
static error bind_sessions(SSL_CTX *c, const tls_server_options *options)
{
    uint8_t certificate[DIGEST_SHA256_BYTES], roots[DIGEST_SHA256_BYTES], id[DIGEST_SHA256_BYTES];
    if (!X509_digest(SSL_CTX_get0_certificate(c), EVP_sha256(), certificate, NULL))
        return out_of_memory();
    TRY(digest_client_roots(c, roots));
    const str pieces[] = {
        { (const char *)certificate, sizeof certificate },
        { (const char *)roots, sizeof roots },
        !has_text(options->client_ca_file) ? STR("n")
        : options->client_optional         ? STR("o")
                                           : STR("r"),
    };
    TRY(digest_sha256(pieces, ARRAY_LEN(pieces), id));
    return SSL_CTX_set_session_id_context(c, id, sizeof id) ? OK : out_of_memory();
}

static error add_server_context(tls_config *config, const tls_server_options *options,
                                const tls_certificate *certificate)
{
    TRY(add_context(config, TLS_server_method(), options->version_min));
    SSL_CTX *c = config->contexts[config->context_count - 1];
    TRY(load_certificate(c, certificate));
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); /* tickets hold all */
    SSL_CTX_set_tlsext_servername_callback(c, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(c, config);
    if (config->tells_kernel)
        SSL_CTX_set_keylog_callback(c, key_logged); /* it goes no further than to tls_kernel.c */
    if (config->alpn_bytes > 0)
        SSL_CTX_set_alpn_select_cb(c, choose_protocol, config);
    if (config->asks_clients) {
        SSL_CTX_set_verify(
            c, SSL_VERIFY_PEER | (options->client_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT),
            NULL);
        TRY(load(c, "client CA", options->client_ca_file, use_client_roots));
    }
    return bind_sessions(c, options);
}

static error add_client_context(tls_config *config, const tls_client_options *options)
{
    TRY(add_context(config, TLS_client_method(), options->version_min));
    SSL_CTX *c = config->contexts[0];
    if (options->without_1_3 && (options->version_min == TLS_VERSION_1_3 ||
                                 !SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION)))
        return error_set(&TLS_MISCONFIGURED, "no version of TLS is left to offer");
    SSL_CTX_set_verify(c, config->verify == TLS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    if (config->verify != TLS_VERIFY_NONE && !has_text(options->ca_file)) {
        if (!SSL_CTX_set_default_verify_paths(c))
            return error_set(&TLS_MISCONFIGURED, "the system's roots: %s", tls_reason());
    } else if (config->verify != TLS_VERIFY_NONE) {
        TRY(load(c, "trusted roots", options->ca_file, SSL_CTX_load_verify_file));
    }
    if (config->verify != TLS_VERIFY_NONE)
        TRY(load_crls(c, options));
    if (has_text(options->certificate.cert_file))
        TRY(load_certificate(c, &options->certificate));
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, session_came);
    if (config->alpn_bytes > 0 &&
        SSL_CTX_set_alpn_protos(c, config->alpn, (unsigned)config->alpn_bytes) != 0)
        return out_of_memory();
    return OK;
}

/* --- birth and end --------------------------------------------------------------------------- */

/* NULL without memory. */
static tls_config *config_new(size_t contexts_max, uint32_t handshake_ms_max)
{
    tls_config *config = MEMORY_NEW(tls_config);
    if (!config)
        return NULL;
    config->references = 1;
    config->handshake_ms_max = handshake_ms_max ? handshake_ms_max : HANDSHAKE_MS_MAX;
    config->contexts = MEMORY_NEW_ARRAY(SSL_CTX *, contexts_max);
    config->wire = wire_method();
    if (!config->contexts || !config->wire)
        tls_config_free(&config);
    return config;
}

static error server_open(tls_config *config, const tls_server_options *options)
{
    config->is_server = true;
    config->asks_clients = has_text(options->client_ca_file);
    config->tells_kernel = !options->without_kernel && tls_kernel_is_there();
    if (!has_text(options->certificate.cert_file))
        return error_set(&TLS_MISCONFIGURED, "a server needs a certificate");
    TRY(set_alpn(config, options->alpn));
    TRY(add_server_context(config, options, &options->certificate));
    for (size_t i = 0; i < options->other_count; i++)
        TRY(add_server_context(config, options, &options->others[i]));
    return OK;
}

static error client_open(tls_config *config, const tls_client_options *options)
{
    config->verify = options->verify;
    config->without_sni = options->without_sni;
    TRY(set_alpn(config, options->alpn));
    return add_client_context(config, options);
}

error tls_config_server(const tls_server_options *options, tls_config **out)
{
    tls_config *config = config_new(1 + options->other_count, options->handshake_ms_max);
    const error e = config ? server_open(config, options) : out_of_memory();
    if (e.kind)
        tls_config_free(&config);
    *out = config;
    return e;
}

error tls_config_client(const tls_client_options *options, tls_config **out)
{
    tls_config *config = config_new(1, options->handshake_ms_max);
    const error e = config ? client_open(config, options) : out_of_memory();
    if (e.kind)
        tls_config_free(&config);
    *out = config;
    return e;
}

void tls_config_free(tls_config **owner)
{
    tls_config *config = *owner;
    *owner = NULL;
    if (!config || --config->references > 0)
        return;
    for (size_t i = 0; i < SAVED_MAX; i++)
        SSL_SESSION_free(config->saved[i].session);
    for (size_t i = 0; i < config->context_count; i++)
        SSL_CTX_free(config->contexts[i]);
    memory_free(config->contexts);
    BIO_meth_free(config->wire);
    OPENSSL_cleanse(config->ticket_keys, sizeof config->ticket_keys);
    memory_free(config);
}

error tls_config_set_ticket_keys(tls_config *server, const uint8_t keys[][TLS_TICKET_KEY_BYTES],
                                 size_t count)
{
    if (!server->is_server || count == 0 || count > TICKET_KEYS_MAX)
        return error_set(&TLS_MISCONFIGURED, "ticket keys: 1 to %d, of a server", TICKET_KEYS_MAX);
    memcpy(server->ticket_keys, keys, count * TLS_TICKET_KEY_BYTES);
    server->ticket_key_count = count;
    for (size_t i = 0; i < server->context_count; i++) {
        if (!SSL_CTX_set_tlsext_ticket_key_evp_cb(server->contexts[i], ticket_key))
            return out_of_memory();
    }
    return OK;
}
