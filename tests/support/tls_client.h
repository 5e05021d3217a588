/* The test client over TLS: a peer whose bytes go through a session of OpenSSL's own. A handshake
 * that fails is an answer, not the end of the test. */
#ifndef TESTS_SUPPORT_TLS_CLIENT_H
#define TESTS_SUPPORT_TLS_CLIENT_H

#include "tests/support/http_client.h"
#include "tests/support/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>

/* How to connect; zeroed: to localhost, by any version, without a certificate. */
typedef struct tls_ask {
    const char *name;        /* asked for, and checked; NULL: "localhost", "": none */
    const char *certificate; /* to show: one of tls_files.h */
    int version;             /* TLS1_2_VERSION …; 0: any */
    const char *protocols;   /* ALPN, as on the wire */
    SSL_SESSION *session;    /* to resume */
} tls_ask;

/* What OpenSSL's answer means in the terms of recv and send. */
static inline ssize_t tls_peer_result(const peer *p, int result)
{
    switch (SSL_get_error(p->session, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default: /* cut off without a word, too */
        errno = ECONNRESET;
        return -1;
    }
}

static inline ssize_t tls_peer_receive(peer *p, char *bytes, size_t len)
{
    ERR_clear_error();
    const int got = SSL_read(p->session, bytes, (int)(len < 1 << 20 ? len : 1 << 20));
    return got > 0 ? got : tls_peer_result(p, got);
}

static inline ssize_t tls_peer_send(peer *p, const char *bytes, size_t len)
{
    ERR_clear_error();
    const int sent = SSL_write(p->session, bytes, (int)(len < 1 << 20 ? len : 1 << 20));
    return sent > 0 ? sent : tls_peer_result(p, sent);
}

static inline bool tls_peer_has_more(const peer *p)
{
    return SSL_pending(p->session) > 0;
}

static inline void tls_peer_end(peer *p)
{
    ERR_clear_error();
    (void)SSL_shutdown(p->session);
}

static inline void tls_peer_free(peer *p)
{
    /* Else its session would be thought cut off, and good for nothing. */
    SSL_set_shutdown(p->session, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(p->session);
    p->session = NULL;
    p->layer = NULL;
}

static const peer_layer TLS_PEER = { tls_peer_receive, tls_peer_send, tls_peer_has_more,
                                     tls_peer_end, tls_peer_free };

static inline SSL *tls_peer_session(const tls_ask *ask)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    const char *name = ask->name ? ask->name : "localhost";
    bool made = c && SSL_CTX_load_verify_file(c, tls_file_path("ca")) == 1;
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    if (ask->version)
        made = made && SSL_CTX_set_min_proto_version(c, ask->version) &&
               SSL_CTX_set_max_proto_version(c, ask->version);
    if (ask->certificate)
        made =
            made && SSL_CTX_use_certificate_chain_file(c, tls_file_path(ask->certificate)) == 1 &&
            SSL_CTX_use_PrivateKey_file(c, tls_file_path(ask->certificate), SSL_FILETYPE_PEM) == 1;
    if (ask->protocols)
        made = made && SSL_CTX_set_alpn_protos(c, (const unsigned char *)ask->protocols,
                                               (unsigned)strlen(ask->protocols)) == 0;
    SSL *ssl = made ? SSL_new(c) : NULL;
    SSL_CTX_free(c);
    invariant(ssl);
    if (name[0])
        invariant(SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1);
    if (ask->session)
        invariant(SSL_set_session(ssl, ask->session) == 1);
    return ssl;
}

/* Shakes hands on a connection that stands; false, and closed, when the server does not. */
static inline bool tls_peer_start(peer *p, const tls_ask *ask)
{
    p->session = tls_peer_session(ask);
    p->layer = &TLS_PEER;
    fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) | O_NONBLOCK);
    SSL_set_fd(p->session, p->fd);
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; test_clock_ms() < end_ms;) {
        ERR_clear_error();
        const int result = SSL_connect(p->session);
        if (result == 1)
            return true;
        if (tls_peer_result(p, result) == 0 || errno != EAGAIN)
            break;
        struct pollfd waits = { .fd = p->fd, .events = POLLIN };
        poll(&waits, 1, 1000);
    }
    peer_close(p);
    return false;
}

static inline bool tls_peer_connect(peer *p, uint16_t port, const tls_ask *ask)
{
    return peer_try_connect(p, port) && tls_peer_start(p, ask);
}

/* For load: the usual way in. */
static inline bool tls_peer_try_connect(peer *p, uint16_t port)
{
    return tls_peer_connect(p, port, &(tls_ask){ .name = "" });
}

#endif
