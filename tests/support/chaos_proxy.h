/* A proxy that stands between a client and its server, on the test's own loop, and does to the
 * bytes what networks do: holds them up, cuts them into small pieces, lets through few at a time or
 * none, changes one, ends a direction, breaks off, or takes no new connection.
 *
 *   chaos_proxy p;
 *   chaos_proxy_open(&p, &server_address);
 *   … connect to 127.0.0.1, p.port …
 *   p.faults = (chaos_faults){ .delay_ms = 5, .piece_bytes = 7 };
 *   chaos_proxy_close(&p);
 *
 * Faults hold for what passes from then on, in both directions or in one. */
#ifndef TESTS_SUPPORT_CHAOS_PROXY_H
#define TESTS_SUPPORT_CHAOS_PROXY_H

#include "core/stream.h"
#include "tests/support/in_fiber.h"
#include "tests/support/random.h"

#include <sys/socket.h>
#include <unistd.h>

#define CHAOS_PAIRS_MAX   64
#define CHAOS_BYTES_MAX   ((size_t)64 << 20)
#define CHAOS_KEPT_BYTES  65536 /* of memory, by what passes */
#define CHAOS_LINGER_MS   200
#define CHAOS_ROUND_BYTES 65536

/* Where faults are done. */
typedef enum chaos_where {
    CHAOS_BOTH_WAYS = 0,
    CHAOS_TO_CLIENT,
    CHAOS_TO_SERVER,
} chaos_where;

typedef struct chaos_faults {
    chaos_where where;
    uint32_t delay_ms;       /* before bytes go on */
    uint32_t piece_bytes;    /* at most so many at once, each time a ms later; 0: all */
    bool stalls;             /* nothing goes on */
    uint32_t cut_one_in;     /* of so many pieces one ends its connection; 0: none */
    uint32_t corrupt_one_in; /* of so many pieces one has a bit changed; 0: none */
    uint32_t cut_after;      /* a connection ends when so many bytes have passed; 0: never */
    uint32_t end_after;      /* its direction ends then, and the other one goes on; 0: never */
    bool orderly;            /* connections end by FIN; otherwise by RST */
    bool refuses;            /* new connections are reset at once */
} chaos_faults;

typedef struct chaos_proxy chaos_proxy;

/* One direction of a connection. */
typedef struct chaos_way {
    struct chaos_pair *pair;
    stream *to; /* NULL: closed */
    buf held;
    timer timer;
    bool ended;      /* nothing more comes */
    uint32_t passed; /* bytes, since faults were set that count them */
} chaos_way;

typedef struct chaos_pair {
    chaos_proxy *proxy; /* NULL: free */
    stream *ends[2];    /* the client's, the server's */
    chaos_way ways[2];  /* to the client, to the server */
} chaos_pair;

struct chaos_proxy {
    chaos_faults faults;
    uint16_t port;
    address server;
    random_state dice;
    uint32_t accepted, refused, cut, corrupted;
    int fd;
    listener *listener;
    chaos_pair pairs[CHAOS_PAIRS_MAX];
};

static inline bool chaos_one_in(chaos_proxy *p, uint32_t many)
{
    return many > 0 && random_below(&p->dice, many) == 0;
}

static inline void chaos_break(chaos_pair *pair)
{
    for (int i = 0; i < 2; i++) {
        if (!pair->ends[i])
            continue;
        if (pair->proxy->faults.orderly)
            stream_close(pair->ends[i], CHAOS_LINGER_MS);
        else
            stream_reset(pair->ends[i]);
    }
}

/* What is done in a direction. */
static inline chaos_faults chaos_faults_of(const chaos_way *w)
{
    const chaos_pair *pair = w->pair;
    const chaos_where here = w == &pair->ways[0] ? CHAOS_TO_CLIENT : CHAOS_TO_SERVER;
    const chaos_faults f = pair->proxy->faults;
    return !f.where || f.where == here ? f : (chaos_faults){ .orderly = f.orderly };
}

/* Whether the connection, or this direction of it, ends instead of going on. */
static inline bool chaos_ends(chaos_way *w, const chaos_faults *f)
{
    chaos_proxy *p = w->pair->proxy;
    if (w->held.len == 0)
        return false;
    if (chaos_one_in(p, f->cut_one_in) || (f->cut_after && w->passed >= f->cut_after)) {
        p->cut++;
        chaos_break(w->pair);
        return true;
    }
    if (f->end_after && w->passed >= f->end_after) {
        p->cut++;
        buf_reset(&w->held);
        stream_end(w->to);
        w->to = NULL;
        return true;
    }
    return false;
}

/* How much of what is held goes on together. */
static inline size_t chaos_piece(const chaos_way *w, const chaos_faults *f)
{
    size_t most = f->piece_bytes ? f->piece_bytes : CHAOS_ROUND_BYTES;
    const size_t limit = f->cut_after ? f->cut_after : f->end_after;
    if (limit > 0 && most > limit - w->passed)
        most = limit - w->passed;
    return w->held.len < most ? w->held.len : most;
}

/* The next piece goes on. */
static inline void chaos_pass(timer *t)
{
    chaos_way *w = CONTAINER_OF(t, chaos_way, timer);
    chaos_proxy *p = w->pair->proxy;
    const chaos_faults f = chaos_faults_of(w);
    if (!w->to || f.stalls) {
        if (w->to)
            loop_timer_arm(loop_self(), t, 5);
        return;
    }
    if (f.cut_after == 0 && f.end_after == 0)
        w->passed = 0;
    if (chaos_ends(w, &f))
        return;
    const size_t len = chaos_piece(w, &f);
    if (len > 0 && chaos_one_in(p, f.corrupt_one_in)) {
        p->corrupted++;
        w->held.data[random_below(&p->dice, len)] ^= (char)(1 << random_below(&p->dice, 8));
    }
    stream_write(w->to, str_slice(buf_str(&w->held), 0, len));
    buf_consume(&w->held, len);
    w->passed += (uint32_t)len;
    if (w->held.len == 0 && w->held.capacity > CHAOS_KEPT_BYTES) {
        buf_deinit(&w->held); /* who counts memory counts what is on its way */
        buf_init(&w->held, CHAOS_BYTES_MAX);
    }
    if (w->held.len > 0)
        loop_timer_arm(loop_self(), t, 1);
    else if (w->ended)
        stream_close(w->to, CHAOS_LINGER_MS);
}

static inline size_t chaos_came(stream *s, str bytes)
{
    chaos_pair *pair = stream_owner(s);
    chaos_way *w = &pair->ways[s == pair->ends[0]];
    if (w->to)
        buf_append(&w->held, bytes);
    w->ended = stream_at_end(s);
    if (w->to && !timer_armed(&w->timer))
        loop_timer_arm(loop_self(), &w->timer, chaos_faults_of(w).delay_ms);
    return bytes.len;
}

static inline void chaos_closed(stream *s, error why)
{
    (void)why;
    chaos_pair *pair = stream_owner(s);
    const int side = s != pair->ends[0];
    pair->ends[side] = NULL;
    pair->ways[side].to = NULL;
    loop_timer_cancel(loop_self(), &pair->ways[side].timer);
    if (pair->ends[!side] && !pair->ways[!side].ended)
        stream_close(pair->ends[!side], CHAOS_LINGER_MS);
    if (pair->ends[0] || pair->ends[1])
        return;
    for (int i = 0; i < 2; i++)
        buf_deinit(&pair->ways[i].held);
    pair->proxy = NULL;
}

static const stream_handler CHAOS_END = { .data = chaos_came, .closed = chaos_closed };

static inline void chaos_accepted(int fd, void *arg)
{
    chaos_proxy *p = arg;
    for (size_t i = 0; i < CHAOS_PAIRS_MAX && !p->faults.refuses; i++) {
        chaos_pair *pair = &p->pairs[i];
        if (pair->proxy)
            continue;
        *pair = (chaos_pair){ .proxy = p };
        for (int side = 0; side < 2; side++) {
            pair->ways[side].pair = pair;
            pair->ways[side].timer.fire = chaos_pass;
            buf_init(&pair->ways[side].held, CHAOS_BYTES_MAX);
        }
        invariant(
            !stream_connect(loop_self(), &p->server, &CHAOS_END, NULL, pair, &pair->ends[1]).kind);
        invariant(!stream_from_fd(loop_self(), fd, &CHAOS_END, NULL, pair, &pair->ends[0]).kind);
        for (int side = 0; side < 2; side++)
            pair->ways[side].to = pair->ends[side];
        p->accepted++;
        return;
    }
    const struct linger none = { .l_onoff = 1 };
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
    p->refused++;
}

static inline void chaos_proxy_open(chaos_proxy *p, const address *server)
{
    address at;
    *p = (chaos_proxy){ .server = *server, .dice = random_start() };
    assert_true(address_parse(STR("127.0.0.1:0"), &at));
    assert_ok(listener_bind(&at, false, &p->fd));
    at = listener_address(p->fd);
    str text = address_text(fiber_arena(), &at);
    while (text.len > 0 && text.ptr[0] != ':')
        text = str_slice(text, 1, text.len);
    p->port = (uint16_t)strtoul(str_to_c(fiber_arena(), text) + 1, NULL, 10);
    assert_ok(listener_start(loop_self(), p->fd, chaos_accepted, p, &p->listener));
}

static inline bool chaos_proxy_idle(const chaos_proxy *p)
{
    for (size_t i = 0; i < CHAOS_PAIRS_MAX; i++) {
        if (p->pairs[i].proxy)
            return false;
    }
    return true;
}

/* Ends every connection, as a crash. */
static inline void chaos_proxy_break(chaos_proxy *p)
{
    for (size_t i = 0; i < CHAOS_PAIRS_MAX; i++) {
        if (p->pairs[i].proxy)
            chaos_break(&p->pairs[i]);
    }
}

static inline void chaos_proxy_close(chaos_proxy *p)
{
    listener_stop(&p->listener);
    close(p->fd);
    p->faults = (chaos_faults){ 0 };
    chaos_proxy_break(p);
    for (int i = 0; i < 5000 && !chaos_proxy_idle(p); i++) {
        if (!error_is_ok(fiber_sleep(1)))
            break;
    }
    assert_true(chaos_proxy_idle(p));
}

#endif
