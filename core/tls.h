/* TLS 1.2 and 1.3 on streams. A stream that has been started keeps its callbacks, writes, limits
 * and ends; its owner cannot tell but by asking:
 *
 *   accepted or connected -> stream_start_tls_* -> handshake -> opened() -> data() … closed()
 *
 * What is written before `opened` leaves after the handshake. stream_at_end comes only of the
 * peer's close_notify: one that hangs up without it, and may so have been cut off by somebody else,
 * ends the stream with STREAM_CLOSED. stream_end and stream_close send ours. What breaks the
 * protocol, or proves nothing of who it is, ends it with TLS_FAILED after an alert to the peer.
 *
 * Suites are those with forward secrecy and authenticated encryption. There is no renegotiation, no
 * compression and no early data.
 *
 * Where Linux has kernel TLS (`modprobe tls`), it seals what a server's stream of TLS 1.3 and AES
 * sends from its first file of 64 KiB or more on: files are then sent by sendfile, as without TLS.
 * A peer that asks for new keys after that ends the stream, because the kernel keeps those it has.
 *
 * Lifetime: a stream keeps its configuration, which may be freed while streams use it. Belongs to
 * the thread that made it, or to each process that was forked from there. */
#ifndef CORE_TLS_H
#define CORE_TLS_H

#include "core/error.h"
#include "core/stream.h"

/* UNAVAILABLE: the handshake or a record failed; the detail has OpenSSL's reason. */
extern const error_kind TLS_FAILED;
/* INTERNAL: a file that cannot be read or used, or options that contradict each other. */
extern const error_kind TLS_MISCONFIGURED;

#define TLS_HASH_BYTES_MAX   64
#define TLS_TICKET_KEY_BYTES 80

typedef struct tls_config tls_config;

typedef enum tls_version {
    TLS_VERSION_1_2 = 0,
    TLS_VERSION_1_3,
} tls_version;

/* PEM files: the certificate first, then those that lead to its root; and its private key. */
typedef struct tls_certificate {
    str cert_file;
    str key_file;     /* STR_NONE: in cert_file */
    str key_password; /* STR_NONE: the key is not encrypted. Not kept */
} tls_certificate;

typedef struct tls_server_options {
    tls_certificate certificate; /* for clients that ask for no name, or for an unknown one */
    /* Chosen instead by the name that a client asks for (SNI), the first that is valid for it. */
    const tls_certificate *others;
    size_t other_count;
    /* Who may issue clients' certificates (PEM). STR_NONE: clients are not asked for one. */
    str client_ca_file;
    bool client_optional; /* asked for, but needed only to be valid */
    str alpn; /* "h2,http/1.1", preferred first; STR_NONE: none. A client that offers only
                 others is refused */
    tls_version version_min;
    uint32_t handshake_ms_max; /* 0: 10 s */
    bool without_kernel;       /* all is sealed in this process */
} tls_server_options;

/* What is asked of a server's certificate. */
typedef enum tls_verify {
    TLS_VERIFY_FULL = 0, /* issued by a root that is trusted, valid today, for this name */
    TLS_VERIFY_CHAIN,    /* the same for any name */
    TLS_VERIFY_NONE,     /* nothing: keeps out listeners only */
} tls_verify;

typedef struct tls_client_options {
    tls_verify verify;
    str ca_file; /* trusted roots (PEM); STR_NONE: the system's */
    /* Certificates that their issuers have taken back (PEM): a file, a directory of files named by
     * hash, or both. Then each certificate's issuer must have a list there. STR_NONE: none. */
    str crl_file;
    str crl_directory;
    tls_certificate certificate; /* to show when asked for; cert_file STR_NONE: none */
    str alpn;                    /* what to offer, as above; STR_NONE: none */
    bool without_sni;            /* the server is not told the name that it is checked for */
    bool without_1_3;            /* TLS 1.3 is not offered; not with version_min 1.3 */
    tls_version version_min;
    uint32_t handshake_ms_max; /* 0: 10 s */
} tls_client_options;

/* Reads the files; nothing is read later, so a certificate is renewed by a new configuration.
 *   fails  TLS_MISCONFIGURED naming the file, OUT_OF_MEMORY */
error tls_config_server(const tls_server_options *options, tls_config **out);
error tls_config_client(const tls_client_options *options, tls_config **out);
/* Lets go of it; streams that use it go on. Nulls the pointer; NULL is allowed. */
void tls_config_free(tls_config **owner);

/* Sets what session tickets are sealed with: `keys[0]` seals new ones, those after it only open
 * old ones (a client whose ticket does is given a new one). Whoever shares the keys takes the
 * others' tickets, so a restart or another worker costs no full handshake. Copied; from a good
 * source of randomness, secret, and changed at least daily. Without a call: random ones, for this
 * configuration alone and what is forked from it.
 *   fails  TLS_MISCONFIGURED for a client's configuration, or a count of 0 or above 4;
 *          OUT_OF_MEMORY */
error tls_config_set_ticket_keys(tls_config *server, const uint8_t keys[][TLS_TICKET_KEY_BYTES],
                                 size_t count);

/* Begins TLS on a stream that has none. What was written before leaves in plaintext, first. Bytes
 * that came in plaintext and were not consumed (when called inside `data`: are not consumed by what
 * it returns) were put in by somebody in between: they are refused with TLS_FAILED, by the call or
 * in closed().
 *   fails  TLS_FAILED, OUT_OF_MEMORY; STREAM_CLOSED when the stream is closing or at its end. The
 *          stream is then as before, and to be closed by its owner */
error stream_start_tls_server(stream *s, tls_config *config);
/* The same inside `data`, for a header in plaintext that stands before TLS (the PROXY protocol):
 * what `data` then does not consume is the peer's first of TLS.
 *   fails  as stream_start_tls_server; closed() tells TLS_FAILED when over 16 KiB are left */
error stream_start_tls_server_behind(stream *s, tls_config *config);
/* The same for the connecting side, right after stream_connect (`opened` then comes once, after the
 * handshake) or in the middle of a stream (it then comes again). `server_name`: a DNS name or a
 * numeric address, against which the certificate is checked, and which the server is told if it is
 * a name. Needed with TLS_VERIFY_FULL; STR_NONE: none.
 *   fails  also TLS_MISCONFIGURED for a name that is none, or is missing */
error stream_start_tls_client(stream *s, tls_config *config, str server_name);

/* --- questions ---------------------------------------------------------------------------------
 * Before `opened` the answer is none. Views live as long as the stream. */

/* Whether the handshake is done: whatever comes is protected. */
bool stream_is_tls(const stream *s);
/* The protocol agreed on, STR_NONE without one. */
str stream_tls_alpn(const stream *s);
/* "TLSv1.3". */
str stream_tls_version(const stream *s);
/* The name that the client asked for, STR_NONE without one. */
str stream_tls_server_name(const stream *s);
/* Whether the kernel seals what is sent. */
bool stream_tls_in_kernel(const stream *s);
/* Whether a ticket of an earlier connection spared the full handshake. */
bool stream_tls_resumed(const stream *s);
/* Whether we, a client, were asked for a certificate and showed one. */
bool stream_tls_showed_certificate(const stream *s);
/* Whether the peer showed a certificate of a trusted issuer, and for the name if one is checked. */
bool stream_tls_peer_verified(const stream *s);
/* Its subject as RFC 2253 writes it ("CN=ada,O=Brio"), copied into `a`; STR_NONE without one. */
str stream_tls_peer_subject(const stream *s, arena *a);
/* RFC 5929's tls-server-end-point, for channel binding: the hash of the server's certificate.
 *   fails  TLS_FAILED before the handshake is done, or when the certificate's signature has no hash
 *          of its own (Ed25519) */
error stream_tls_server_end_point(const stream *s, uint8_t out[TLS_HASH_BYTES_MAX], size_t *len);

#endif
