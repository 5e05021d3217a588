/* The scripted server. Everything runs on its thread; the test only starts and stops it. A wait
 * that could last for ever ends when the test stops it, or after a while by itself.
 *
 * Its SCRAM is written from the RFC on its own, so that it does not share the client's mistakes. */
#include "tests/support/mock_pg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PASSWORD     "pencil"
#define ITERATIONS   64 /* a client takes any; few are quick */
#define PATIENCE_MS  30000
#define SLOW_BYTE_US 100

#define NOTICE    "N\0\0\0\40SNOTICE\0VNOTICE\0C00000\0Mhi\0\0"
#define PARAMETER "S\0\0\0\21TimeZone\0UTC\0"
#define NOTIFIED  "A\0\0\0\15\0\0\0\7ch\0x\0"

/* Records the first problem and ends the play. */
__attribute__((format(printf, 2, 3))) static bool problem(mock_pg *m, const char *format, ...)
{
    if (m->problem[0])
        return false;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(m->problem, sizeof m->problem, format, args);
    va_end(args);
    return false;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void set_patience(const mock_pg *m, int fd)
{
    const uint32_t ms = m->options.patience_ms ? m->options.patience_ms : PATIENCE_MS;
    const struct timeval patience = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L };
    const int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* The lock keeps mock_pg_stop from shutting down a descriptor that is somebody else's by then. */
static void close_locked(mock_pg *m, atomic_int *which)
{
    (void)pthread_mutex_lock(&m->lock);
    const int fd = atomic_exchange(which, -1);
    if (fd >= 0)
        (void)close(fd);
    (void)pthread_mutex_unlock(&m->lock);
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

static void close_client(mock_pg *m)
{
    SSL_free(m->ssl);
    m->ssl = NULL;
    close_locked(m, &m->client);
}

static void close_listener(mock_pg *m)
{
    close_locked(m, &m->listener);
}

static bool read_all(mock_pg *m, void *to, size_t len)
{
    for (size_t got = 0; got < len;) {
        const ssize_t n = m->ssl ? SSL_read(m->ssl, (char *)to + got, (int)(len - got))
                                 : recv(atomic_load(&m->client), (char *)to + got, len - got, 0);
        if (n <= 0 && m->ssl)
            return problem(m, "the client left, or broke TLS");
        if (n == 0)
            return problem(m, "the client left");
        if (n < 0)
            return problem(m, "recv: %s", strerror(errno));
        got += (size_t)n;
    }
    return true;
}

static bool write_all(mock_pg *m, const char *bytes, size_t len)
{
    while (len > 0) {
        const size_t part = m->options.slowly ? 1 : len;
        const ssize_t n = m->ssl ? SSL_write(m->ssl, bytes, (int)part)
                                 : send(atomic_load(&m->client), bytes, part, MSG_NOSIGNAL);
        if (n <= 0)
            return problem(m, "send: %s", strerror(errno));
        bytes += n;
        len -= (size_t)n;
        m->sent += (size_t)n;
        if (m->options.slowly)
            (void)usleep(SLOW_BYTE_US);
    }
    return true;
}

/* With the cut and the flip that the options ask for. */
static bool send_raw(mock_pg *m, const char *bytes, size_t len)
{
    const mock_pg_options *o = &m->options;
    const size_t flip = o->flip_at - 1;
    const size_t cut = o->cut_after;
    if (cut > 0 && m->sent + len > cut) {
        (void)write_all(m, bytes, cut - m->sent);
        return problem(m, "cut");
    }
    if (o->flip_at == 0 || flip < m->sent || flip >= m->sent + len)
        return write_all(m, bytes, len);
    const size_t before = flip - m->sent;
    const char flipped = (char)(bytes[before] ^ (char)o->flips);
    return write_all(m, bytes, before) && write_all(m, &flipped, 1) &&
           write_all(m, bytes + before + 1, len - before - 1);
}

static size_t frame_len(const char *bytes, size_t len)
{
    uint32_t announced;
    if (len < 5)
        return len;
    memcpy(&announced, bytes + 1, sizeof announced);
    const size_t whole = (size_t)ntohl(announced) + 1;
    return whole >= 5 && whole <= len ? whole : len;
}

/* What a real server might say before a message of this type. */
static str noise_before(const mock_pg *m, char type)
{
    if (type == 'R')
        return STR(NOTICE);
    return m->is_ready ? STR(NOTICE PARAMETER NOTIFIED NOTICE) : STR(NOTICE PARAMETER NOTICE);
}

static bool send_bytes(mock_pg *m, const char *bytes, size_t len)
{
    while (m->options.noisy && len > 0) {
        const size_t frame = frame_len(bytes, len);
        const str noise = noise_before(m, bytes[0]);
        if (!send_raw(m, noise.ptr, noise.len) || !send_raw(m, bytes, frame))
            return false;
        m->is_ready = m->is_ready || bytes[0] == 'Z';
        bytes += frame;
        len -= frame;
    }
    return send_raw(m, bytes, len);
}

/* --- steps ------------------------------------------------------------------------------------ */

static bool read_body(mock_pg *m, size_t len)
{
    m->body_len = len < sizeof m->body - 1 ? len : sizeof m->body - 1;
    if (!read_all(m, m->body, m->body_len))
        return false;
    m->body[m->body_len] = '\0';
    char rest[4096];
    for (size_t left = len - m->body_len; left > 0;) {
        const size_t part = left < sizeof rest ? left : sizeof rest;
        if (!read_all(m, rest, part))
            return false;
        left -= part;
    }
    return true;
}

static bool read_startup(mock_pg *m)
{
    uint32_t len;
    return read_all(m, &len, sizeof len) && ntohl(len) >= 8 && read_body(m, ntohl(len) - 4);
}

static bool is_startup(mock_pg *m, str bytes)
{
    if (bytes.len == 0 || (bytes.len == m->body_len && memcmp(bytes.ptr, m->body, bytes.len) == 0))
        return true;
    return problem(m, "the client asked for something else");
}

static bool asks_for_tls(const mock_pg *m)
{
    return m->body_len == 4 && memcmp(m->body, "\4\322\26\57", 4) == 0;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *len,
                       const unsigned char *offered, unsigned offered_len, void *arg)
{
    (void)ssl;
    const char *wanted = arg;
    for (unsigned at = 0; at < offered_len; at += 1U + offered[at]) {
        if (offered[at] != strlen(wanted) || memcmp(offered + at + 1, wanted, offered[at]) != 0)
            continue;
        *out = offered + at + 1;
        *len = offered[at];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static bool begin_tls(mock_pg *m)
{
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());
    const char *file = m->options.certificate;
    const bool usable = c && SSL_CTX_use_certificate_file(c, file, SSL_FILETYPE_PEM) == 1 &&
                        SSL_CTX_use_PrivateKey_file(c, file, SSL_FILETYPE_PEM) == 1;
    if (usable && m->options.alpn)
        SSL_CTX_set_alpn_select_cb(c, choose_alpn, (void *)(uintptr_t)m->options.alpn);
    m->ssl = usable ? SSL_new(c) : NULL;
    SSL_CTX_free(c);
    if (!m->ssl || !SSL_set_fd(m->ssl, atomic_load(&m->client)))
        return problem(m, "no TLS session can be made");
    if (SSL_accept(m->ssl) != 1)
        return problem(m, "the TLS handshake failed");
    const char *name = SSL_get_servername(m->ssl, TLSEXT_NAMETYPE_host_name);
    (void)snprintf(m->server_name, sizeof m->server_name, "%s", name ? name : "");
    return true;
}

static bool accept_client(mock_pg *m, mock_pg_action how)
{
    close_client(m);
    const int fd = accept4(atomic_load(&m->listener), NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return problem(m, "accept: %s", strerror(errno));
    set_patience(m, fd);
    atomic_store(&m->client, fd);
    if (atomic_load(&m->stopping)) /* mock_pg_stop saw no client to shut down */
        return problem(m, "stopped");
    if (--m->accepts_left == 0)
        close_listener(m);
    if (how == MOCK_DO_ACCEPT_RAW)
        return true;
    if (!read_startup(m))
        return false;
    if (how == MOCK_DO_ACCEPT_ASKED)
        return asks_for_tls(m) || problem(m, "the client did not ask for TLS");
    if (!asks_for_tls(m))
        return true;
    if (send(atomic_load(&m->client), "N", 1, MSG_NOSIGNAL) != 1)
        return problem(m, "send: %s", strerror(errno));
    return read_startup(m);
}

static bool expect(mock_pg *m, str types)
{
    for (size_t i = 0; i < types.len; i++) {
        char header[5];
        uint32_t len;
        if (!read_all(m, header, sizeof header))
            return false;
        if (header[0] != types.ptr[i])
            return problem(m, "message %c instead of %c", header[0], types.ptr[i]);
        memcpy(&len, header + 1, sizeof len);
        if (ntohl(len) < 4 || !read_body(m, ntohl(len) - 4))
            return problem(m, "message %c is malformed", header[0]);
    }
    return true;
}

/* Reads until the client leaves, however it does. */
static void await_end(mock_pg *m)
{
    char bytes[4096];
    ssize_t n;
    do {
        n = recv(atomic_load(&m->client), bytes, sizeof bytes, 0);
    } while (n > 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        (void)problem(m, "the client never left");
}

static bool reset(mock_pg *m)
{
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    (void)setsockopt(atomic_load(&m->client), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close_client(m);
    return true;
}

static bool flood(mock_pg *m, str bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!send_bytes(m, bytes.ptr, bytes.len))
            return false;
    }
    return true;
}

/* --- SCRAM ------------------------------------------------------------------------------------ */

typedef struct scram_server {
    mock_scram fault;
    char header[64]; /* the client's GS2 header */
    char bare[256];  /* the client's first message without its header */
    char first[512]; /* the server's */
    char nonce[256];
    char signed_text[2048];
    unsigned char salted[SHA256_DIGEST_LENGTH];
} scram_server;

static bool send_auth(mock_pg *m, uint32_t code, const char *text)
{
    char message[1024] = "R";
    const size_t len = strlen(text);
    const uint32_t words[] = { htonl((uint32_t)len + 8), htonl(code) };
    memcpy(message + 1, words, sizeof words);
    memcpy(message + 9, text, len);
    return send_bytes(m, message, len + 9);
}

static void mac(const unsigned char *key, const char *text, unsigned char out[SHA256_DIGEST_LENGTH])
{
    unsigned int len = 0;
    (void)HMAC(EVP_sha256(), key, SHA256_DIGEST_LENGTH, (const unsigned char *)text, strlen(text),
               out, &len);
}

/* The header that the client must send, and the mechanism that it must choose. */
static void expected_start(scram_server *s, const char **mechanism)
{
    *mechanism = s->fault == MOCK_SCRAM_PLUS ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256";
    (void)snprintf(s->header, sizeof s->header, "%s",
                   s->fault == MOCK_SCRAM_PLUS          ? "p=tls-server-end-point,,"
                   : s->fault == MOCK_SCRAM_PLUS_HIDDEN ? "y,,"
                                                        : "n,,");
}

/* The client's first message is "n,,n=,r=NONCE", behind the mechanism's name and its length. */
static bool read_client_first(mock_pg *m, scram_server *s)
{
    const char *mechanism;
    char start[96];
    if (!expect(m, STR("p")))
        return false;
    expected_start(s, &mechanism);
    (void)snprintf(start, sizeof start, "%sn=,r=", s->header);
    const size_t name = strlen(m->body);
    if (strcmp(m->body, mechanism) != 0 || m->body_len < name + 5 + strlen(start) ||
        memcmp(m->body + name + 5, start, strlen(start)) != 0)
        return problem(m, "the client's first SCRAM message is malformed");
    (void)snprintf(s->bare, sizeof s->bare, "%.250s", m->body + name + 5 + strlen(s->header));
    (void)snprintf(s->nonce, sizeof s->nonce, "%.200s%s",
                   s->fault == MOCK_SCRAM_FOREIGN_NONCE ? "abcdefghijklmnopqrstuvwxyz"
                                                        : s->bare + 5,
                   s->fault == MOCK_SCRAM_SAME_NONCE ? "" : "server");
    return true;
}

static bool send_challenge(mock_pg *m, scram_server *s)
{
    const int asked = m->options.iterations ? (int)m->options.iterations : ITERATIONS;
    int iterations = asked;
    if (s->fault == MOCK_SCRAM_NO_ITERATIONS)
        iterations = 0;
    if (s->fault == MOCK_SCRAM_TOO_MANY_ITERATIONS)
        iterations = 1000001;
    static const unsigned char SALT[] = "sodium chloride";
    unsigned char salt[64];
    const char *password = s->fault == MOCK_SCRAM_SIGNATURE_OF_OTHER ? "other" : PASSWORD;
    (void)EVP_EncodeBlock(salt, SALT, sizeof SALT);
    (void)PKCS5_PBKDF2_HMAC(password, (int)strlen(password), SALT, sizeof SALT,
                            iterations > 0 ? asked : 1, EVP_sha256(), sizeof s->salted, s->salted);
    (void)snprintf(s->first, sizeof s->first, "r=%s,s=%s,i=%d", s->nonce, (char *)salt, iterations);
    return send_auth(m, 11, s->first);
}

/* The header and, where the client binds, the SHA-256 of our certificate, in base64. */
static bool is_bound(mock_pg *m, const scram_server *s)
{
    unsigned char bytes[128], text[256] = "c=";
    size_t len = strlen(s->header);
    unsigned hashed = 0;
    memcpy(bytes, s->header, len);
    if (s->header[0] == 'p' &&
        !X509_digest(SSL_get_certificate(m->ssl), EVP_sha256(), bytes + len, &hashed))
        return problem(m, "the certificate cannot be hashed");
    (void)EVP_EncodeBlock(text + 2, bytes, (int)(len + hashed));
    len = strlen((char *)text);
    return strncmp(m->body, (char *)text, len) == 0 && strncmp(m->body + len, ",r=", 3) == 0;
}

/* Whether the client's proof is one that the password gives. */
static bool read_proof(mock_pg *m, scram_server *s)
{
    unsigned char client_key[SHA256_DIGEST_LENGTH];
    unsigned char stored_key[SHA256_DIGEST_LENGTH];
    unsigned char signature[SHA256_DIGEST_LENGTH];
    unsigned char expected[64];
    if (!expect(m, STR("p")))
        return false;
    char *proof = strstr(m->body, ",p=");
    if (!is_bound(m, s) || !proof)
        return problem(m, "the client's final SCRAM message is malformed");
    *proof = '\0';
    (void)snprintf(s->signed_text, sizeof s->signed_text, "%s,%s,%.300s", s->bare, s->first,
                   m->body);
    mac(s->salted, "Client Key", client_key);
    (void)SHA256(client_key, sizeof client_key, stored_key);
    mac(stored_key, s->signed_text, signature);
    for (size_t i = 0; i < sizeof signature; i++)
        signature[i] ^= client_key[i];
    (void)EVP_EncodeBlock(expected, signature, sizeof signature);
    const bool same = strcmp((char *)expected, proof + 3) == 0;
    if (same == (s->fault == MOCK_SCRAM_SIGNATURE_OF_OTHER))
        return problem(m, "the client's proof is wrong");
    return true;
}

static bool send_signature(mock_pg *m, const scram_server *s)
{
    unsigned char server_key[SHA256_DIGEST_LENGTH];
    unsigned char signature[SHA256_DIGEST_LENGTH];
    unsigned char text[64] = "v=";
    mac(s->salted, "Server Key", server_key);
    mac(server_key, s->signed_text, signature);
    if (s->fault == MOCK_SCRAM_WRONG_SIGNATURE)
        signature[SHA256_DIGEST_LENGTH - 1] ^= 1;
    (void)EVP_EncodeBlock(text + 2, signature, sizeof signature);
    return send_auth(m, 12, (const char *)text);
}

static bool send_literal(mock_pg *m, str literal)
{
    return send_bytes(m, literal.ptr, literal.len);
}

static bool scram(mock_pg *m, mock_scram fault)
{
    scram_server s = { .fault = fault };
    const str offer = fault == MOCK_SCRAM_PLUS
                          ? STR("R\0\0\0\x2A\0\0\0\x0ASCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
                          : STR("R\0\0\0\x17\0\0\0\x0ASCRAM-SHA-256\0\0");
    if (!send_literal(m, offer) || !read_client_first(m, &s))
        return false;
    if (fault == MOCK_SCRAM_NOTHING_ASKED)
        return send_literal(m, STR(MOCK_AUTH_OK MOCK_STARTED));
    if (fault == MOCK_SCRAM_ROW_BETWEEN)
        return send_literal(m, STR("D\0\0\0\6\0\0"));
    if (!send_challenge(m, &s))
        return false;
    if (fault == MOCK_SCRAM_CHALLENGED_TWICE && !send_challenge(m, &s))
        return false;
    if (fault >= MOCK_SCRAM_FOREIGN_NONCE && fault <= MOCK_SCRAM_TOO_MANY_ITERATIONS)
        return true; /* the client leaves */
    if (!read_proof(m, &s))
        return false;
    if (fault == MOCK_SCRAM_NOTHING_PROVED)
        return send_literal(m, STR(MOCK_AUTH_OK MOCK_STARTED));
    if (fault == MOCK_SCRAM_ERROR_ATTRIBUTE)
        return send_auth(m, 12, "e=invalid-proof");
    if (fault == MOCK_SCRAM_REFUSED)
        return send_literal(m, STR("E\0\0\0\x2ASFATAL\0VFATAL\0C28P01\0Mwrong password\0\0"));
    if (!send_signature(m, &s))
        return false;
    if (fault == MOCK_SCRAM_SIGNED_TWICE && !send_signature(m, &s))
        return false;
    return send_literal(m, STR(MOCK_AUTH_OK));
}

/* --- the play --------------------------------------------------------------------------------- */

static bool go_back(mock_pg *m)
{
    if (m->ssl)
        (void)SSL_shutdown(m->ssl);
    close_client(m);
    m->ssl = m->left_ssl;
    atomic_store(&m->client, m->left);
    m->left_ssl = NULL;
    m->left = -1;
    return true;
}

static bool turn(mock_pg *m)
{
    struct ssl_st *ssl = m->ssl;
    m->left = atomic_exchange(&m->client, m->left);
    m->ssl = m->left_ssl;
    m->left_ssl = ssl;
    return true;
}

static bool hears_nothing(mock_pg *m, int ms)
{
    struct pollfd client = { .fd = atomic_load(&m->client), .events = POLLIN };
    return poll(&client, 1, ms) <= 0 || problem(m, "the client did not wait for an answer");
}

static bool play_step(mock_pg *m, const mock_pg_step *step)
{
    switch (step->action) {
    case MOCK_DO_ACCEPT:
    case MOCK_DO_ACCEPT_ASKED:
    case MOCK_DO_ACCEPT_RAW:
        return accept_client(m, step->action);
    case MOCK_DO_TLS:
        return begin_tls(m);
    case MOCK_DO_STARTUP:
        return read_startup(m) && is_startup(m, step->bytes);
    case MOCK_DO_EXPECT:
        return expect(m, step->bytes);
    case MOCK_DO_SEND:
        return send_bytes(m, step->bytes.ptr, step->bytes.len);
    case MOCK_DO_FLOOD:
        return flood(m, step->bytes, step->count);
    case MOCK_DO_PAUSE:
        (void)usleep((useconds_t)(step->count * 1000));
        return true;
    case MOCK_DO_LISTEN:
        return hears_nothing(m, (int)step->count);
    case MOCK_DO_SCRAM:
        return scram(m, step->fault);
    case MOCK_DO_CLOSE:
        (void)shutdown(atomic_load(&m->client), SHUT_WR);
        await_end(m);
        close_client(m);
        return true;
    case MOCK_DO_RESET:
        return reset(m);
    case MOCK_DO_STALL:
        await_end(m);
        return true;
    case MOCK_DO_LEAVE:
        must(m->left < 0, "a single MOCK_LEAVE");
        m->left = atomic_exchange(&m->client, -1);
        m->left_ssl = m->ssl;
        m->ssl = NULL;
        m->is_ready = false;
        return true;
    case MOCK_DO_BACK:
        return go_back(m);
    case MOCK_DO_TURN:
        return turn(m);
    }
    return problem(m, "an unknown step");
}

static void *play(void *arg)
{
    mock_pg *m = arg;
    bool good = true;
    for (size_t i = 0; i < m->options.step_count && good; i++)
        good = play_step(m, &m->options.steps[i]);
    close_listener(m);
    if (!good && atomic_load(&m->client) >= 0)
        (void)shutdown(atomic_load(&m->client), SHUT_WR);
    if (atomic_load(&m->client) >= 0 && !atomic_load(&m->stopping))
        await_end(m);
    close_client(m);
    SSL_free(m->left_ssl);
    if (m->left >= 0)
        (void)close(m->left);
    return NULL;
}

/* A socket that listens, whose place stands in `conninfo`. */
static int listen_over_tcp(mock_pg *m)
{
    struct sockaddr_in where = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof where;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0, "socket");
    must(bind(fd, (struct sockaddr *)&where, len) == 0, "bind");
    must(listen(fd, 8) == 0, "listen");
    must(getsockname(fd, (struct sockaddr *)&where, &len) == 0, "getsockname");
    (void)snprintf(m->conninfo, sizeof m->conninfo,
                   "host=127.0.0.1 port=%u user=ada password=" PASSWORD " dbname=shop",
                   ntohs(where.sin_port));
    return fd;
}

static int listen_in_abstract(mock_pg *m)
{
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int len = snprintf(where.sun_path + 1, sizeof where.sun_path - 1, "%s/.s.PGSQL.5432",
                             m->options.abstract);
    must(fd >= 0, "socket");
    must(bind(fd, (struct sockaddr *)&where,
              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0,
         "bind");
    must(listen(fd, 8) == 0, "listen");
    (void)snprintf(m->conninfo, sizeof m->conninfo,
                   "host=@%s user=ada password=" PASSWORD " dbname=shop", m->options.abstract);
    return fd;
}

void mock_pg_start(mock_pg *m, const mock_pg_options *options)
{
    memset(m, 0, sizeof *m);
    m->options = *options;
    for (size_t i = 0; i < options->step_count; i++)
        m->accepts_left += options->steps[i].action >= MOCK_DO_ACCEPT &&
                           options->steps[i].action <= MOCK_DO_ACCEPT_RAW;
    must(pthread_mutex_init(&m->lock, NULL) == 0, "pthread_mutex_init");
    const int fd = options->abstract ? listen_in_abstract(m) : listen_over_tcp(m);
    set_patience(m, fd);
    atomic_store(&m->listener, fd);
    atomic_store(&m->client, -1);
    m->left = -1;
    must(pthread_create(&m->thread, NULL, play, m) == 0, "pthread_create");
}

const char *mock_pg_stop(mock_pg *m)
{
    /* Ends what the thread waits for; the descriptors are its own to close. */
    atomic_store(&m->stopping, true);
    (void)pthread_mutex_lock(&m->lock);
    if (atomic_load(&m->listener) >= 0)
        (void)shutdown(atomic_load(&m->listener), SHUT_RDWR);
    if (atomic_load(&m->client) >= 0)
        (void)shutdown(atomic_load(&m->client), SHUT_RDWR);
    (void)pthread_mutex_unlock(&m->lock);
    must(pthread_join(m->thread, NULL) == 0, "pthread_join");
    (void)pthread_mutex_destroy(&m->lock);
    return m->problem[0] ? m->problem : NULL;
}
