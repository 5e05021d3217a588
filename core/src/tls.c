/* A TLS session as a stream's layer: OpenSSL between two stores of memory, what came from the wire
 * (`raw`) and what goes onto it (`wire`), while the stream's own input and queue hold plain bytes.
 *
 *   SHAKING --handshake--> STANDING --close_notify both ways, or the stream's end--> (freed)
 *      |                      |
 *      +-------> BROKEN <-----+   an alert may be on the wire; nothing is read or sealed any more
 *
 * Records are sealed when the wire has room for a whole one, at the turn's end or when the socket
 * takes more, and hold as much of the queue as goes into one: so all writes of a turn leave in few
 * records and one system call. Records are opened as far as the owner takes input; what a paused
 * owner does not take stays sealed, and the socket is not read.
 *
 * A step of the handshake (`shake`) touches the session, `raw` and `wire` only. It runs on the loop
 * and costs half a millisecond of CPU or more; it could run on an offload thread if the blocks
 * it may need were taken before.
 *
 * Invariant: what lies in `wire` is part of stream_queued. Whenever the stream
 * reads the socket, `raw` is empty. */
#include "stream_layer.h"
#include "tls_kernel.h"
#include "tls_private.h"
#include "tls_wire.h"

#include "core/fault.h"
#include "core/memory.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define RECORD_BYTES    BLOCK_CAPACITY /* of plain bytes: just under TLS's 16 KiB */
#define RECORD_ROOM     (2 * BLOCK_CAPACITY)
#define MESSAGES_MAX    32  /* of the handshake's kind, after it, with no data between */
#define INPUT_SPACE_MIN 512 /* room for less is not worth a look at the next record */

typedef enum tls_state {
    TLS_SHAKING = 1,
    TLS_STANDING,
    TLS_BROKEN,
} tls_state;

typedef struct tls_session {
    stream_layer layer; /* first */
    tls_config *config;
    SSL *ssl;
    tls_state state;
    bool started;   /* the handshake */
    bool inherits;  /* input left in plaintext is the peer's first of TLS */
    bool end_said;  /* close_notify is on the wire; what OpenSSL writes after it is dropped */
    bool no_memory; /* for the wire */
    uint32_t messages;

    block *raw; /* bytes [raw_from, raw_to) */
    uint32_t raw_from;
    uint32_t raw_to;

    tls_wire wire; /* sealed, not yet sent; of an end by the kernel, to be sealed */

    tls_kernel kernel;

    timer deadline;
    char name[TLS_NAME_BYTES_MAX + 1]; /* of a client's server */
    char why[160];
} tls_session;

static const stream_layer_ops TLS_LAYER;

static tls_session *session_of(stream_layer *y)
{
    return CONTAINER_OF(y, tls_session, layer);
}

/* --- the wire -------------------------------------------------------------------------------- */

/* As tls_wire_add, counted as queued. */
static size_t wire_add(tls_session *t, const char *bytes, size_t len)
{
    const size_t added = tls_wire_add(&t->wire, bytes, len);
    t->no_memory = t->no_memory || added == SIZE_MAX;
    if (added > 0 && added < SIZE_MAX)
        stream_layer_queued(t->layer.stream, added);
    return added;
}

static int wire_output(stream_layer *y, struct iovec *iov, int max)
{
    return tls_wire_view(&session_of(y)->wire, iov, max);
}

static void wire_sent(stream_layer *y, size_t bytes)
{
    tls_wire_drop(&session_of(y)->wire, bytes);
}

size_t tls_session_read(void *bio_data, char *bytes, size_t len)
{
    tls_session *t = bio_data;
    const size_t there = t->raw_to - t->raw_from;
    const size_t part = len < there ? len : there;
    if (part > 0)
        memcpy(bytes, t->raw->data + t->raw_from, part);
    t->raw_from += (uint32_t)part;
    return part;
}

size_t tls_session_write(void *bio_data, const char *bytes, size_t len)
{
    tls_session *t = bio_data;
    if (t->end_said)
        return len;
    if (t->layer.below) /* it would be sealed with a record's number that has been used */
        return SIZE_MAX;
    return wire_add(t, bytes, len);
}

void tls_session_learn(void *bio_data, const char *line)
{
    tls_session *t = bio_data;
    tls_kernel_learn(&t->kernel, line);
}

const char *tls_session_name(const void *bio_data)
{
    const tls_session *t = bio_data;
    return t->name;
}

static char *raw_space(stream_layer *y, size_t *bytes)
{
    tls_session *t = session_of(y);
    invariant(t->raw_from == t->raw_to);
    if (!t->raw)
        t->raw = block_acquire(BLOCK_CAPACITY);
    if (!t->raw)
        return NULL;
    t->raw_from = t->raw_to = 0;
    *bytes = BLOCK_CAPACITY;
    return t->raw->data;
}

static void raw_received(stream_layer *y, size_t bytes)
{
    tls_session *t = session_of(y);
    t->raw_to += (uint32_t)bytes;
    if (t->raw_from == t->raw_to)
        block_release(&t->raw);
}

static void raw_drop(stream_layer *y)
{
    tls_session *t = session_of(y);
    t->raw_from = t->raw_to;
    y->holding = false;
    block_release(&t->raw);
}

/* --- failing --------------------------------------------------------------------------------- */

static void failed(tls_session *t, const error_kind *kind, const char *why)
{
    t->state = TLS_BROKEN;
    loop_timer_cancel(stream_loop(t->layer.stream), &t->deadline);
    stream_layer_failed(t->layer.stream, kind, 0, why);
}

/* The kernel keeps the key that it has. */
static bool wants_other_keys(const tls_session *t)
{
    return t->layer.below && t->kernel.renewed;
}

/* OpenSSL has given up: with its reason. */
static void broke(tls_session *t)
{
    if (t->no_memory) {
        ERR_clear_error();
        failed(t, &OUT_OF_MEMORY, "no memory to write from");
        return;
    }
    if (wants_other_keys(t)) {
        ERR_clear_error();
        failed(t, &TLS_FAILED, "the peer wants new keys of the kernel, which keeps those it has");
        return;
    }
    const long verified = SSL_get_verify_result(t->ssl);
    const char *reason = tls_reason();
    if (t->state == TLS_SHAKING && tls_config_verifies(t->config) && verified != X509_V_OK)
        (void)snprintf(t->why, sizeof t->why, "%s: %s", reason,
                       X509_verify_cert_error_string(verified));
    else
        (void)snprintf(t->why, sizeof t->why, "%s", reason);
    failed(t, &TLS_FAILED, t->why);
}

static void deadline_passed(timer *fired)
{
    tls_session *t = CONTAINER_OF(fired, tls_session, deadline);
    failed(t, &TIMED_OUT, "the peer did not finish its TLS handshake");
}

/* --- the handshake --------------------------------------------------------------------------- */

typedef enum progress {
    PROGRESS_DONE = 1, /* went well: a record was read, the handshake is over */
    PROGRESS_DRY,      /* needs more from the wire */
    PROGRESS_FULL,     /* needs room on the wire */
    PROGRESS_END,      /* the peer's close_notify */
    PROGRESS_BROKEN,
} progress;

static progress progress_of(const tls_session *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_NONE:
        return PROGRESS_DONE;
    case SSL_ERROR_WANT_READ:
        return PROGRESS_DRY;
    case SSL_ERROR_WANT_WRITE:
        return t->no_memory ? PROGRESS_BROKEN : PROGRESS_FULL;
    case SSL_ERROR_ZERO_RETURN:
        return PROGRESS_END;
    default:
        return PROGRESS_BROKEN;
    }
}

/* One step on what has come. */
static progress shake(tls_session *t)
{
    ERR_clear_error();
    return progress_of(t, SSL_do_handshake(t->ssl));
}

static void handshake(tls_session *t)
{
    stream *s = t->layer.stream;
    if (!t->started) {
        t->started = true;
        loop_timer_arm(stream_loop(s), &t->deadline, tls_config_handshake_ms_max(t->config));
    }
    switch (shake(t)) {
    case PROGRESS_DONE:
        t->state = TLS_STANDING;
        loop_timer_cancel(stream_loop(s), &t->deadline);
        stream_layer_opened(s);
        break;
    case PROGRESS_DRY:
        if (t->layer.wire_end)
            failed(t, &TLS_FAILED, "the peer hung up during the TLS handshake");
        break;
    case PROGRESS_FULL:
        t->layer.blocked = true;
        break;
    case PROGRESS_END:
    case PROGRESS_BROKEN:
        broke(t);
        break;
    }
}

/* Counts what a peer can send for ever without sending data: KeyUpdate, tickets, HelloRequest. */
static void message_passed(int writes, int version, int type, const void *bytes, size_t len,
                           SSL *ssl, void *arg)
{
    (void)version;
    (void)ssl;
    tls_session *t = arg;
    tls_kernel_watch(&t->kernel, writes, type, bytes, len);
    if (!writes && type == SSL3_RT_HANDSHAKE && t->state == TLS_STANDING)
        t->messages++;
}

/* --- input ----------------------------------------------------------------------------------- */

/* Opens records into the stream's input until it is full or there are no more. `*added`: the bytes
 * that came. */
static progress open_records(tls_session *t, size_t *added)
{
    *added = 0;
    for (;;) {
        size_t space, got = 0;
        char *to = stream_layer_space(t->layer.stream, &space);
        if (!to)
            return PROGRESS_BROKEN;
        ERR_clear_error();
        const int result = SSL_read_ex(t->ssl, to, space, &got);
        if (result != 1)
            return t->messages > MESSAGES_MAX || wants_other_keys(t) ? PROGRESS_BROKEN
                                                                     : progress_of(t, result);
        t->messages = 0;
        *added += got;
        stream_layer_filled(t->layer.stream, got);
        if (space - got < INPUT_SPACE_MIN)
            return PROGRESS_DONE;
    }
}

static void input_broke(tls_session *t)
{
    if (t->messages > MESSAGES_MAX)
        failed(t, &TLS_FAILED, "a flood of messages without data");
    else
        broke(t);
}

/* Gives the owner what it takes of what has come. */
static void read_on(tls_session *t)
{
    stream *s = t->layer.stream;
    while (t->state == TLS_STANDING && stream_takes_input(s) && !stream_at_end(s)) {
        size_t added;
        const progress p = open_records(t, &added);
        if (stream_is_gone(s))
            return;
        if (added > 0 || p == PROGRESS_END)
            stream_layer_deliver(s, added == 0);
        else
            stream_input_idle(s);
        if (p == PROGRESS_DONE || p == PROGRESS_END)
            continue; /* the end comes alone, after the last bytes */
        if (p == PROGRESS_BROKEN)
            input_broke(t);
        else if (p == PROGRESS_FULL)
            t->layer.blocked = true;
        else if (p == PROGRESS_DRY && t->layer.wire_end)
            failed(t, &STREAM_CLOSED, "the peer hung up without close_notify");
        break;
    }
}

static void advance(stream_layer *y)
{
    tls_session *t = session_of(y);
    if (t->state == TLS_SHAKING && !stream_is_gone(y->stream))
        handshake(t);
    read_on(t);
    raw_received(y, 0);
    y->holding = t->raw_from < t->raw_to;
}

/* What the owner has left is read as if it came from the socket now. */
static void inherit(tls_session *t, size_t left)
{
    if (left > BLOCK_CAPACITY) {
        failed(t, &TLS_FAILED, "too much came before the TLS handshake");
        return;
    }
    t->raw = block_acquire(BLOCK_CAPACITY);
    t->no_memory = !t->raw;
    if (t->no_memory) {
        broke(t);
        return;
    }
    t->raw_from = 0;
    t->raw_to = (uint32_t)left;
    t->layer.holding = true;
    stream_layer_take_input(t->layer.stream, t->raw->data, left);
}

static void begin(stream_layer *y, size_t left)
{
    tls_session *t = session_of(y);
    if (left == 0)
        return;
    if (t->inherits)
        inherit(t, left);
    else
        failed(t, &TLS_FAILED, "bytes came in plaintext behind the start of TLS");
}

/* --- output ---------------------------------------------------------------------------------- */

/* Seals a record's worth of the queue. One piece is sealed where it lies, several are gathered and
 * a file's are read. */
static bool seal_record(tls_session *t)
{
    stream *s = t->layer.stream;
    const size_t plain = stream_queued(s) - t->wire.bytes;
    const str first = stream_layer_queue(s);
    size_t len = plain < RECORD_BYTES ? plain : RECORD_BYTES;
    size_t written = 0;
    ERR_clear_error();
    if (first.len >= len) {
        const bool sealed = SSL_write_ex(t->ssl, first.ptr, len, &written) == 1;
        stream_layer_taken(s, len);
        return sealed && written == len;
    }
    block *whole = block_acquire(RECORD_BYTES);
    t->no_memory = t->no_memory || !whole;
    if (!whole)
        return false;
    const bool sealed = stream_layer_read(s, whole->data, len) &&
                        SSL_write_ex(t->ssl, whole->data, len, &written) == 1;
    block_release(&whole);
    return sealed && written == len;
}

/* A large file is worth the kernel's help, which begins when all that was sealed here has left.
 * Whether that is still to be waited for. */
static bool leaves_to_kernel(tls_session *t)
{
    stream *s = t->layer.stream;
    if (t->kernel.secret_bytes == 0 || !stream_layer_has_file(s, TLS_KERNEL_BYTES_MIN))
        return false;
    if (t->wire.bytes > 0)
        return true;
    t->layer.below = tls_kernel_take(&t->kernel, t->ssl, stream_layer_socket(s));
    if (t->layer.below)
        t->layer.control = tls_kernel_alert_mark();
    return false;
}

/* Says close_notify. */
static void say_end(tls_session *t)
{
    static const char alert[] = { SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY };
    ERR_clear_error();
    if (t->layer.below)
        (void)wire_add(t, alert, sizeof alert);
    else
        (void)SSL_shutdown(t->ssl); /* there is room: whether the peer answers is no matter */
    t->end_said = true;
}

static void fill(stream_layer *y)
{
    tls_session *t = session_of(y);
    stream *s = y->stream;
    if (stream_is_gone(s))
        return;
    if (!t->started)
        handshake(t);
    if (t->state == TLS_STANDING && leaves_to_kernel(t))
        return;
    while (t->state == TLS_STANDING && !y->below && stream_queued(s) > t->wire.bytes &&
           tls_wire_room(&t->wire) >= RECORD_ROOM) {
        if (!seal_record(t)) {
            if (!stream_is_gone(s)) /* for a file of its queue's */
                broke(t);
            return;
        }
    }
    if (t->state == TLS_STANDING && stream_is_ending(s) && stream_queued(s) == t->wire.bytes &&
        !t->end_said && tls_wire_room(&t->wire) >= RECORD_ROOM)
        say_end(t);
}

/* --- birth and end --------------------------------------------------------------------------- */

static void stop(stream_layer *y)
{
    loop_timer_cancel(stream_loop(y->stream), &session_of(y)->deadline);
}

static void session_free(stream_layer *y)
{
    tls_session *t = session_of(y);
    SSL_free(t->ssl);
    tls_kernel_forget(&t->kernel);
    block_release(&t->raw);
    tls_wire_deinit(&t->wire);
    tls_config_free(&t->config);
    memory_free(t);
}

static const stream_layer_ops TLS_LAYER = {
    .begin = begin,
    .input_space = raw_space,
    .received = raw_received,
    .advance = advance,
    .drop_input = raw_drop,
    .fill = fill,
    .output = wire_output,
    .sent = wire_sent,
    .stop = stop,
    .free = session_free,
};

static error session_new(tls_config *config, tls_session **out)
{
    tls_session *t = MEMORY_NEW(tls_session);
    if (!t)
        return error_set(&OUT_OF_MEMORY, "no memory for TLS");
    t->layer.ops = &TLS_LAYER;
    t->config = tls_config_keep(config);
    t->state = TLS_SHAKING;
    t->deadline.fire = deadline_passed;
    t->ssl = fault_point("tls.session") ? NULL : tls_config_session(config, t);
    if (!t->ssl) {
        session_free(&t->layer);
        return error_set(&OUT_OF_MEMORY, "no memory for TLS");
    }
    SSL_set_msg_callback(t->ssl, message_passed);
    SSL_set_msg_callback_arg(t->ssl, t);
    *out = t;
    return OK;
}

/* Puts the session onto the stream, which owns it then. */
static error session_start(tls_session *t, stream *s, bool inherits)
{
    error e;
    t->inherits = inherits;
    if (stream_input_left(s) > 0)
        e = error_set(&TLS_FAILED, "bytes came in plaintext behind the start of TLS");
    else if (stream_queued(s) > tls_wire_room(&t->wire))
        e = error_set(&TLS_FAILED, "too much is queued in plaintext");
    else
        e = stream_add_layer(s, &t->layer);
    if (e.kind) {
        session_free(&t->layer);
        return e;
    }
    for (str next; (next = stream_layer_queue(s)).len > 0 && !t->no_memory;) {
        const size_t added = wire_add(t, next.ptr, next.len);
        stream_layer_taken(s, added == SIZE_MAX ? 0 : added);
    }
    if (t->no_memory)
        broke(t);
    return OK;
}

error stream_start_tls_server(stream *s, tls_config *config)
{
    invariant(tls_config_is_server(config));
    tls_session *t;
    TRY(session_new(config, &t));
    return session_start(t, s, false);
}

error stream_start_tls_server_behind(stream *s, tls_config *config)
{
    invariant(tls_config_is_server(config));
    tls_session *t;
    TRY(session_new(config, &t));
    return session_start(t, s, true);
}

/* Letters, digits, '-', '_' and dots: names in other scripts come as "xn--…". */
static bool is_dns_name(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return name.len > 0 && name.ptr[0] != '.';
}

/* Has the certificate checked for the name, and the server told it. */
static error set_name(tls_session *t, str name)
{
    if (str_ends_with(name, STR(".")))
        name.len--;
    if (name.len == 0) {
        if (!tls_config_needs_name(t->config))
            return OK;
        return error_set(&TLS_MISCONFIGURED, "no server name to check the certificate for");
    }
    if (name.len > TLS_NAME_BYTES_MAX)
        return error_set(&TLS_MISCONFIGURED, "a server name of %zu bytes", name.len);
    memcpy(t->name, name.ptr, name.len); /* zeroed: a NUL follows */
    uint8_t number[16];
    const bool is_number =
        inet_pton(AF_INET, t->name, number) == 1 || inet_pton(AF_INET6, t->name, number) == 1;
    if (!is_number && !is_dns_name(name))
        return error_set(&TLS_MISCONFIGURED, "no server name: %.*s", STR_ARG(name));
    bool set = true;
    if (!is_number && tls_config_tells_name(t->config))
        set = SSL_set_tlsext_host_name(t->ssl, t->name) == 1;
    if (tls_config_needs_name(t->config)) {
        SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        set = set && (is_number ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), t->name)
                                : SSL_set1_host(t->ssl, t->name)) == 1;
    }
    ERR_clear_error();
    return set ? OK : error_set(&OUT_OF_MEMORY, "no memory for TLS");
}

error stream_start_tls_client(stream *s, tls_config *config, str server_name)
{
    invariant(!tls_config_is_server(config));
    tls_session *t;
    TRY(session_new(config, &t));
    const error e = set_name(t, server_name);
    if (e.kind) {
        session_free(&t->layer);
        return e;
    }
    tls_config_resume(config, t->ssl, t->name);
    return session_start(t, s, false);
}

/* --- questions ------------------------------------------------------------------------------- */

/* The session of a stream whose handshake is done, or NULL. */
static tls_session *standing(const stream *s)
{
    stream_layer *y = stream_layer_of(s);
    if (!y || y->ops != &TLS_LAYER || SSL_is_init_finished(session_of(y)->ssl) != 1)
        return NULL;
    return session_of(y);
}

bool stream_is_tls(const stream *s)
{
    return standing(s) != NULL;
}

bool stream_tls_in_kernel(const stream *s)
{
    const tls_session *t = standing(s);
    return t && t->layer.below;
}

str stream_tls_alpn(const stream *s)
{
    const tls_session *t = standing(s);
    const unsigned char *name = NULL;
    unsigned len = 0;
    if (t)
        SSL_get0_alpn_selected(t->ssl, &name, &len);
    return name && len > 0 ? (str){ (const char *)name, len } : STR_NONE;
}

str stream_tls_version(const stream *s)
{
    const tls_session *t = standing(s);
    return t ? str_from_c(SSL_get_version(t->ssl)) : STR_NONE;
}

str stream_tls_server_name(const stream *s)
{
    const tls_session *t = standing(s);
    return t ? str_from_c(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)) : STR_NONE;
}

bool stream_tls_resumed(const stream *s)
{
    const tls_session *t = standing(s);
    return t && SSL_session_reused(t->ssl) == 1;
}

bool stream_tls_showed_certificate(const stream *s)
{
    const tls_session *t = standing(s);
    int signature = NID_undef; /* by which a client proves that the certificate is its own */
    return t && SSL_get_signature_nid(t->ssl, &signature) == 1 && signature != NID_undef;
}

bool stream_tls_peer_verified(const stream *s)
{
    const tls_session *t = standing(s);
    return t && tls_config_verifies(t->config) && SSL_get0_peer_certificate(t->ssl) &&
           SSL_get_verify_result(t->ssl) == X509_V_OK;
}

str stream_tls_peer_subject(const stream *s, arena *a)
{
    const tls_session *t = standing(s);
    X509 *certificate = t ? SSL_get0_peer_certificate(t->ssl) : NULL;
    BIO *text = certificate ? BIO_new(BIO_s_mem()) : NULL;
    if (!text)
        return STR_NONE;
    char *bytes;
    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    const long len = BIO_get_mem_data(text, &bytes);
    const str subject = len > 0 ? str_copy(a, (str){ bytes, (size_t)len }) : STR("");
    BIO_free(text);
    return subject;
}

/* RFC 5929, 4.1: the hash that the certificate's signature uses, SHA-256 instead of MD5 and SHA-1.
 */
error stream_tls_server_end_point(const stream *s, uint8_t out[TLS_HASH_BYTES_MAX], size_t *len)
{
    const tls_session *t = standing(s);
    if (!t)
        return error_set(&TLS_FAILED, "the handshake is not done");
    X509 *certificate = tls_config_is_server(t->config) ? SSL_get_certificate(t->ssl)
                                                        : SSL_get0_peer_certificate(t->ssl);
    int hash = NID_undef;
    if (!certificate || !X509_get_signature_info(certificate, &hash, NULL, NULL, NULL) ||
        hash == NID_undef)
        return error_set(&TLS_FAILED, "the certificate's signature has no hash of its own");
    if (hash == NID_md5 || hash == NID_sha1)
        hash = NID_sha256;
    const EVP_MD *md = EVP_get_digestbynid(hash);
    unsigned bytes = 0;
    if (!md || EVP_MD_get_size(md) > TLS_HASH_BYTES_MAX ||
        !X509_digest(certificate, md, out, &bytes))
        return error_set(&TLS_FAILED, "cannot hash the server's certificate");
    *len = bytes;
    return OK;
}
