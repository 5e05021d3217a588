/* A peer that speaks TLS for a bare socket, so that the stream's suite runs over TLS unchanged: the
 * test drives one end of a TCP connection byte by byte; a thread, with OpenSSL of its own, carries
 * what goes over it to and from the stream under test.
 *
 * An end of one side becomes an end of the other, a reset a reset. What is on its way is at most a
 * buffer each way, so back-pressure passes through. */
#ifndef TESTS_SUPPORT_TLS_RELAY_H
#define TESTS_SUPPORT_TLS_RELAY_H

#include "core/tls.h"
#include "tests/support/stream_pair.h"
#include "tests/support/tls_files.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define RELAY_BYTES 8192

/* One direction. */
typedef struct relay_way {
    char bytes[RELAY_BYTES];
    size_t from, to;
    bool ended;     /* nothing more is read */
    bool end_given; /* and the other side knows */
} relay_way;

typedef struct relay {
    int plain_fd;
    int tls_fd;
    SSL *ssl;
    relay_way in;  /* plain to TLS */
    relay_way out; /* TLS to plain */
    bool reset;
} relay;

static struct {
    tls_config *server, *client;    /* of the streams under test */
    SSL_CTX *as_server, *as_client; /* of the relays */
    _Atomic int running;
} relays;

/* Whether OpenSSL's answer is only "not now"; an end is taken note of. */
static inline bool relay_waits(relay *r, int result, relay_way *way)
{
    switch (SSL_get_error(r->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return true;
    case SSL_ERROR_ZERO_RETURN:
        way->ended = true;
        return true;
    case SSL_ERROR_SYSCALL:
        r->reset = true;
        return false;
    default: /* cut off without close_notify: to a plain stream's peer, an end */
        way->ended = true;
        return true;
    }
}

static inline bool relay_in(relay *r)
{
    relay_way *w = &r->in;
    bool moved = false;
    if (w->from == w->to && !w->ended) {
        const ssize_t got = recv(r->plain_fd, w->bytes, sizeof w->bytes, 0);
        w->ended = got == 0;
        r->reset = r->reset || (got < 0 && errno != EAGAIN);
        w->from = 0;
        w->to = got > 0 ? (size_t)got : 0;
        moved = got >= 0;
    }
    if (w->from < w->to) {
        const int n = SSL_write(r->ssl, w->bytes + w->from, (int)(w->to - w->from));
        if (n > 0)
            w->from += (size_t)n;
        else
            (void)relay_waits(r, n, &r->out);
        moved = moved || n > 0;
    } else if (w->ended && !w->end_given && (SSL_is_init_finished(r->ssl) || r->out.ended)) {
        w->end_given = true; /* there is no close_notify before the handshake's last message */
        (void)SSL_shutdown(r->ssl);
        shutdown(r->tls_fd, SHUT_WR);
    }
    return moved;
}

static inline bool relay_out(relay *r)
{
    relay_way *w = &r->out;
    bool moved = false;
    if (w->from == w->to && !w->ended) {
        const int got = SSL_read(r->ssl, w->bytes, (int)sizeof w->bytes);
        if (got <= 0)
            (void)relay_waits(r, got, w);
        w->from = 0;
        w->to = got > 0 ? (size_t)got : 0;
        moved = got > 0 || w->ended;
    }
    if (w->from < w->to) {
        const ssize_t n = send(r->plain_fd, w->bytes + w->from, w->to - w->from, MSG_NOSIGNAL);
        r->reset = r->reset || (n < 0 && errno != EAGAIN);
        w->from += n > 0 ? (size_t)n : 0;
        moved = moved || n > 0;
    } else if (w->ended && !w->end_given) {
        w->end_given = true;
        shutdown(r->plain_fd, SHUT_WR);
    }
    return moved;
}

static inline void relay_wait(relay *r)
{
    const bool in_full = r->in.from < r->in.to, out_full = r->out.from < r->out.to;
    struct pollfd fds[] = {
        { r->plain_fd, (short)((in_full || r->in.ended ? 0 : POLLIN) | (out_full ? POLLOUT : 0)),
          0 },
        { r->tls_fd, (short)((out_full || r->out.ended ? 0 : POLLIN) | (in_full ? POLLOUT : 0)),
          0 },
    };
    poll(fds, 2, 20);
    for (size_t i = 0; i < 2; i++)
        r->reset = r->reset || (fds[i].revents & POLLERR);
    /* Hung up on both ways: not to be waited for again and again. */
    if ((fds[0].revents | fds[1].revents) & POLLHUP)
        poll(NULL, 0, 1);
}

static inline void *relay_run(void *arg)
{
    relay *r = arg;
    sigset_t pipe; /* OpenSSL's writes would raise it */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while (!r->reset && !(r->in.end_given && r->out.end_given)) {
        ERR_clear_error();
        bool moved = relay_in(r);
        moved = relay_out(r) || moved;
        if (!moved && !r->reset)
            relay_wait(r);
    }
    SSL_free(r->ssl);
    if (r->reset) {
        peer_reset(&r->plain_fd);
        peer_reset(&r->tls_fd);
    } else {
        close(r->plain_fd);
        close(r->tls_fd);
    }
    free(r);
    relays.running--;
    return NULL;
}

/* Puts a relay before `peer`; returns the bare socket that talks through it. */
static inline int relay_dress(int peer, bool stream_is_client, int buffer_bytes)
{
    address at;
    const int listening = pair_listen(false, &at);
    const int hop_bytes = buffer_bytes ? buffer_bytes : 65536;
    peer_buffers(listening, hop_bytes);
    const int bare = peer_connect(&at, hop_bytes);
    relay *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->plain_fd = peer_accept(listening);
    close(listening);
    r->tls_fd = peer;
    peer_small_steps(r->plain_fd, false);
    peer_small_steps(peer, false);
    r->ssl = SSL_new(stream_is_client ? relays.as_server : relays.as_client);
    SSL_set_fd(r->ssl, peer);
    if (stream_is_client)
        SSL_set_accept_state(r->ssl);
    else
        SSL_set_connect_state(r->ssl);
    pthread_t thread;
    relays.running++;
    assert_int_equal(pthread_create(&thread, NULL, relay_run, r), 0);
    pthread_detach(thread);
    return bare;
}

static inline error relay_start(stream *s, bool stream_is_client)
{
    return stream_is_client ? stream_start_tls_client(s, relays.client, STR("localhost"))
                            : stream_start_tls_server(s, relays.server);
}

static const pair_kind TLS_KINDS[] = {
    { "tls server", false, false, relay_start, relay_dress },
    { "tls client", false, true, relay_start, relay_dress },
};

static inline SSL_CTX *relay_context(const SSL_METHOD *method)
{
    SSL_CTX *c = SSL_CTX_new(method);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_use_certificate_chain_file(c, tls_file_path("server"));
    SSL_CTX_use_PrivateKey_file(c, tls_file_path("server"), SSL_FILETYPE_PEM);
    return c;
}

/* Before the first relay, outside a fiber. */
static inline bool relays_begin(void)
{
    if (!tls_files_make())
        return false;
    relays.as_server = relay_context(TLS_server_method());
    relays.as_client = relay_context(TLS_client_method());
    const error s = tls_config_server(
        &(tls_server_options){ .certificate.cert_file = tls_file_name("server") }, &relays.server);
    const error c =
        tls_config_client(&(tls_client_options){ .ca_file = tls_file_name("ca") }, &relays.client);
    return error_is_ok(s) && error_is_ok(c);
}

/* After the last. */
static inline void relays_end(void)
{
    for (int i = 0; i < 10000 && relays.running > 0; i++)
        usleep(1000);
    tls_config_free(&relays.server);
    tls_config_free(&relays.client);
    SSL_CTX_free(relays.as_server);
    SSL_CTX_free(relays.as_client);
    tls_files_remove();
}

#endif
