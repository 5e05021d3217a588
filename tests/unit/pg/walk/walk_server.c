/* The backends' connections, and what comes over them.
 *
 * This program is linked with --wrap for the three functions through which the client would reach
 * the world outside: stream_connect gives it the end of a stream in memory, address_resolve knows
 * one address, and getrandom is the walk's own. So all that the client does follows from the
 * walk's seed. */
#include "walk_server.h"

#include "hub.h"

#include "core/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

walk_server *the_server;

void walk_problem(const char *format, ...)
{
    char *text = the_server->problem;
    if (text[0])
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof the_server->problem, format, args);
    va_end(args);
}

void walk_note(const char *format, ...)
{
    if (!the_server->traces)
        return;
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
}

static void take_startup(walk_backend *b)
{
    static const char WELCOME[] = "R\0\0\0\10\0\0\0\0"
                                  "S\0\0\0\31client_encoding\0UTF8\0"
                                  "S\0\0\0\31integer_datetimes\0on\0";
    char key[] = "K\0\0\0\14\0\0\0\0\0\0\0\7Z\0\0\0\5I";
    const str all = buf_str(&b->in);
    if (all.len < 4 || all.len < pg_get32(all.ptr))
        return;
    b->read_only = memmem(all.ptr, all.len, "read_only", 9) != NULL;
    buf_reset(&b->in);
    pg_put32(key + 5, b->process);
    stream_write(b->far, (str){ WELCOME, sizeof WELCOME - 1 });
    stream_write(b->far, (str){ key, sizeof key - 1 });
    b->stage = WALK_SERVING;
}

/* --- our ends --------------------------------------------------------------------------------- */

static size_t far_data(stream *s, str bytes)
{
    walk_backend *b = stream_owner(s);
    buf_append(&b->in, bytes);
    if (stream_at_end(s))
        b->asked_to_leave = true;
    if (b->stage == WALK_STARTUP)
        take_startup(b);
    else if (b->stage == WALK_SERVING)
        walk_backend_take(b);
    return bytes.len;
}

static void far_closed(stream *s, error why)
{
    (void)why;
    walk_backend *b = stream_owner(s);
    b->far = NULL;
    b->stage = b->stage == WALK_FREE ? WALK_FREE : WALK_GONE;
}

static const stream_handler FAR = { .data = far_data, .closed = far_closed };

static size_t far_cancel_data(stream *s, str bytes)
{
    walk_cancel *c = stream_owner(s);
    if (bytes.len >= 16 && pg_get32(bytes.ptr + 4) == 80877102)
        c->process = pg_get32(bytes.ptr + 8);
    return bytes.len;
}

static void far_cancel_closed(stream *s, error why)
{
    (void)why;
    ((walk_cancel *)stream_owner(s))->far = NULL;
}

static const stream_handler FAR_CANCEL = { .data = far_cancel_data, .closed = far_cancel_closed };

/* --- the client's ends ------------------------------------------------------------------------ */

static walk_backend *backend_of(const stream *near)
{
    for (size_t i = 0; i < WALK_BACKENDS; i++) {
        if (the_server->backends[i].near == near)
            return &the_server->backends[i];
    }
    return NULL;
}

static walk_cancel *cancel_of(const stream *near)
{
    for (size_t i = 0; i < WALK_CANCELS; i++) {
        if (the_server->cancels[i].near == near)
            return &the_server->cancels[i];
    }
    return NULL;
}

static const stream_handler *handler_of(const stream *near)
{
    const walk_backend *b = backend_of(near);
    return b ? b->handler : cancel_of(near)->handler;
}

/* "c1", "17": what a NotificationResponse of the walk's own says. */
static void hear_notification(str body)
{
    pg_reader r = pg_reader_of(body);
    (void)pg_reader_u32(&r);
    const str name = pg_reader_cstring(&r), number = pg_reader_cstring(&r);
    if (!r.failed && name.len == 2 && name.ptr[0] == 'c' && name.ptr[1] < '0' + WALK_CHANNELS)
        walk_heard_notification((uint32_t)(name.ptr[1] - '0'), strtoull(number.ptr, NULL, 10));
}

/* Rows and notifications among what the client has read, up to what makes no sense. */
static void hear(const walk_backend *b, str bytes)
{
    for (size_t at = 0, len; at + 5 <= bytes.len && b->delivered + at < b->violates_at; at += len) {
        len = (size_t)pg_get32(bytes.ptr + at + 1) + 1;
        if (at + len > bytes.len)
            return;
        if (bytes.ptr[at] == 'D' && len >= 19)
            walk_heard_row(b, pg_get64(bytes.ptr + at + 11));
        else if (bytes.ptr[at] == 'A' && b->conn && pg_hub_has(b->conn))
            hear_notification(str_slice(bytes, at + 5, len - 5));
    }
}

static size_t near_data(stream *s, str bytes)
{
    walk_backend *b = backend_of(s);
    const bool is_ready = b && b->conn && b->conn->state == PG_CONN_READY;
    const size_t used = handler_of(s)->data(s, bytes);
    if (is_ready) {
        hear(b, str_slice(bytes, 0, used));
        b->delivered += used;
    }
    return used;
}

static void near_drained(stream *s)
{
    if (handler_of(s)->drained)
        handler_of(s)->drained(s);
}

static void near_timeout(stream *s)
{
    if (handler_of(s)->timeout)
        handler_of(s)->timeout(s);
}

static void near_closed(stream *s, error why)
{
    walk_backend *b = backend_of(s);
    walk_cancel *c = b ? NULL : cancel_of(s);
    const stream_handler *handler = b ? b->handler : c->handler;
    if (b) {
        b->near = NULL;
        b->conn = NULL;
        walk_heard_death();
    } else {
        c->near = NULL;
    }
    handler->closed(s, why);
}

static const stream_handler NEAR = {
    .data = near_data,
    .drained = near_drained,
    .timeout = near_timeout,
    .closed = near_closed,
};

/* What has been asked for stands, a round later. */
static void connect_all(loop_task *task)
{
    walk_server *s = CONTAINER_OF(task, walk_server, connect);
    for (size_t i = 0; i < WALK_BACKENDS; i++) {
        walk_backend *b = &s->backends[i];
        if (b->stage != WALK_CONNECTING)
            continue;
        b->stage = WALK_STARTUP;
        if (b->near)
            b->handler->opened(b->near);
    }
    for (size_t i = 0; i < WALK_CANCELS; i++) {
        walk_cancel *c = &s->cancels[i];
        if (c->stage != WALK_CANCEL_CONNECTING)
            continue;
        c->stage = WALK_CANCEL_ASKED;
        if (c->near)
            c->handler->opened(c->near);
    }
}

static error make_pair(const stream_handler *far, void *far_owner, void *near_owner,
                       const stream_options *options, stream *out[2])
{
    static const address peer = { .len = 1 };
    const stream_pair_end ends[2] = {
        { .handler = &NEAR, .options = options, .owner = near_owner, .peer = &peer },
        { .handler = far, .owner = far_owner },
    };
    return stream_pair(loop_self(), ends, 0, out);
}

static void backend_reset(walk_backend *b)
{
    walk_backend_settle(b); /* what it has told before it left */
    buf_deinit(&b->in);
    buf_deinit(&b->out);
    memset(b, 0, sizeof *b);
    buf_init(&b->in, (size_t)1 << 24);
    buf_init(&b->out, (size_t)1 << 24);
    b->tx_status = b->client_status = 'I';
    b->violates_at = b->copying = b->running = WALK_NEVER;
    b->process = ++the_server->next_process;
    the_server->goodbyes[b->process % WALK_PROCESSES] = false;
}

static error connect_backend(const stream_handler *handler, const stream_options *options,
                             void *owner, stream **out)
{
    for (size_t i = 0; i < WALK_BACKENDS; i++) { /* the one that is free longest: it is looked at */
        walk_backend *b = &the_server->backends[(the_server->next_process + i) % WALK_BACKENDS];
        stream *pair[2];
        if (b->far || b->near)
            continue;
        backend_reset(b);
        TRY(make_pair(&FAR, b, owner, options, pair));
        b->stage = WALK_CONNECTING;
        b->near = *out = pair[0];
        b->far = pair[1];
        b->handler = handler;
        b->conn = owner;
        loop_post(loop_self(), &the_server->connect);
        return OK;
    }
    return error_set(&STREAM_CONNECT_FAILED, "the walk has no backend left");
}

static error connect_cancel(const stream_handler *handler, const stream_options *options,
                            void *owner, stream **out)
{
    for (size_t i = 0; i < WALK_CANCELS; i++) {
        walk_cancel *c = &the_server->cancels[i];
        stream *pair[2];
        if (c->far || c->near)
            continue;
        TRY(make_pair(&FAR_CANCEL, c, owner, options, pair));
        *c = (walk_cancel){ WALK_CANCEL_CONNECTING, pair[0], pair[1], handler, 0, false };
        *out = pair[0];
        loop_post(loop_self(), &the_server->connect);
        return OK;
    }
    return error_set(&STREAM_CONNECT_FAILED, "the walk has no room for a cancel request");
}

/* NOLINTBEGIN(readability-identifier-naming): the linker's names */
error __wrap_stream_connect(loop *l, const address *to, const stream_handler *handler,
                            const stream_options *options, void *owner, stream **out);
error __wrap_stream_connect(loop *l, const address *to, const stream_handler *handler,
                            const stream_options *options, void *owner, stream **out)
{
    (void)l;
    (void)to;
    if (the_server->refuses)
        return error_set(&STREAM_CONNECT_FAILED, "connection refused");
    return handler == &PG_CONN_STREAM ? connect_backend(handler, options, owner, out)
                                      : connect_cancel(handler, options, owner, out);
}

error __wrap_address_resolve(str host, uint16_t port, address *out, size_t max, size_t *count);
error __wrap_address_resolve(str host, uint16_t port, address *out, size_t max, size_t *count)
{
    (void)host;
    (void)port;
    (void)max;
    out[0] = (address){ .len = 1 };
    *count = 1;
    return OK;
}

ssize_t __wrap_getrandom(void *to, size_t bytes, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t bytes, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < bytes; i++) {
        the_server->jitter = the_server->jitter * 6364136223846793005U + 1442695040888963407U;
        ((char *)to)[i] = (char)(the_server->jitter >> 56);
    }
    return (ssize_t)bytes;
}

/* NOLINTEND(readability-identifier-naming) */

/* --- what the client gets --------------------------------------------------------------------- */

size_t walk_backend_undelivered(const walk_backend *b)
{
    return b->out.len;
}

void walk_backend_deliver(walk_backend *b, size_t bytes)
{
    const str some = str_slice(buf_str(&b->out), 0, bytes);
    if (!b->far || some.len == 0)
        return;
    stream_write(b->far, some);
    b->sent += some.len;
    walk_note("  %u delivers %zu of %zu\n", b->process, some.len, b->out.len);
    buf_consume(&b->out, some.len);
}

void walk_backend_say(walk_backend *b, char type, str body)
{
    char head[5] = { type };
    walk_note("  %u says %c %.*s\n", b->process, type, (int)body.len, body.ptr);
    pg_put32(head + 1, (uint32_t)body.len + 4);
    buf_append(&b->out, (str){ head, sizeof head });
    buf_append(&b->out, body);
    b->said += sizeof head + body.len;
}

void walk_backend_say_goodbye(walk_backend *b)
{
    static const char FATAL[] = "SFATAL\0VFATAL\0C57P01\0Mterminating\0";
    walk_backend_say(b, 'E', (str){ FATAL, sizeof FATAL });
    the_server->goodbyes[b->process % WALK_PROCESSES] = true;
}

bool walk_said_goodbye(uint32_t process)
{
    return the_server->goodbyes[process % WALK_PROCESSES];
}

void walk_backend_violate(walk_backend *b, size_t how)
{
    static const str WORDS[] = {
        { "y\0\0\0\4", 5 },   { "Z\0\0\0\5X", 6 },
        { "Z\0\0\0\1", 5 },   { "S\0\0\0\33client_encoding\0LATIN1\0", 28 },
        { "E\0\0\0\6zz", 7 }, { "\177\377\377\377\377", 5 },
    };
    const str word = WORDS[how % ARRAY_LEN(WORDS)];
    buf_append(&b->out, word);
    b->said += word.len;
    if (b->violates_at == WALK_NEVER)
        b->violates_at = b->said;
}

void walk_backend_leave(walk_backend *b, bool crashes)
{
    b->stage = WALK_GONE;
    walk_note("  %u leaves\n", b->process);
    if (!b->far)
        return;
    if (crashes)
        stream_reset(b->far);
    else
        stream_close(b->far, 1);
}

const walk_request *walk_backend_request(const walk_backend *b, uint64_t id)
{
    return id >= b->first && id < b->next ? &b->requests[id % WALK_REQUESTS] : NULL;
}

bool walk_backend_has_told(const walk_backend *b, const walk_request *r)
{
    return r->ends_at <= b->delivered && r->ends_at <= b->violates_at;
}

void walk_backend_settle(walk_backend *b)
{
    while (b->first < b->next) {
        const walk_request *r = &b->requests[b->first % WALK_REQUESTS];
        if (!walk_backend_has_told(b, r))
            return;
        walk_heard_delivery(b, b->first);
        if (r->syncs)
            b->client_status = r->status;
        b->first++;
    }
}

/* --- cancel requests -------------------------------------------------------------------------- */

static void interrupt(uint32_t process)
{
    walk_note("  %u is interrupted\n", process);
    for (size_t i = 0; i < WALK_BACKENDS; i++) {
        walk_backend *b = &the_server->backends[i];
        if (b->stage == WALK_SERVING && b->process == process && walk_backend_busy(b))
            b->interrupted = true; /* an idle backend takes no notice */
        if (b->process == process)
            b->hangs = false;
    }
}

void walk_cancel_signal(walk_cancel *c)
{
    c->stage = WALK_CANCEL_DONE;
    interrupt(c->process);
}

void walk_cancel_late(void)
{
    interrupt(the_server->late_cancel);
    the_server->late_cancel = 0;
}

void walk_cancel_end(walk_cancel *c, bool well)
{
    if (!well && c->stage == WALK_CANCEL_ASKED)
        the_server->late_cancel = c->process;
    c->stage = WALK_CANCEL_FREE;
    if (!c->far)
        return;
    if (well)
        stream_close(c->far, 1);
    else
        stream_reset(c->far);
}

/* --- life ------------------------------------------------------------------------------------- */

walk_server *walk_server_new(void)
{
    walk_server *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->connect.run = connect_all;
    the_server = s;
    return s;
}

void walk_server_free(walk_server **owner)
{
    walk_server *s = *owner;
    *owner = NULL;
    for (size_t i = 0; i < WALK_BACKENDS; i++) {
        buf_deinit(&s->backends[i].in);
        buf_deinit(&s->backends[i].out);
    }
    free(s);
}
