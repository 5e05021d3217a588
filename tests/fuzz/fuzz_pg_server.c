/* Any bytes as a server: the first chooses what is asked of it, the rest is all that it says, from
 * the authentication on. They are said as a server would, up to where it waits for its client. All
 * of the driver runs, over streams in memory and by a clock of its own.
 *
 * Whatever they are: what was asked comes to an end, nothing stays taken, and values that are given
 * out are there to be read. The seeds are what PostgreSQL 15 said to each, and each way to
 * authenticate. Linked with --wrap for where the driver goes out. */
#include "conn.h"
#include "pool.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/scope.h"
#include "tests/support/fuzz.h"

#include <stdlib.h>
#include <unistd.h>

#define ASK_MS  2000  /* of what is asked */
#define TIME_MS 30000 /* for all of it */
#define CONNINFO \
    "host=127.0.0.1 user=fuzz password=pencil dbname=fuzz sslmode=disable connect_timeout=2"

/* --- the server ------------------------------------------------------------------------------- */

#define CLIENTS_MAX 2 /* a pool's own connection, and one that only reads */

typedef struct session {
    stream *near, *far;
    const stream_handler *client;
    loop_task open;
    bool started; /* it has sent its startup message, which has no type */
} session;

static struct {
    str rest; /* not said yet, to whichever asks first */
    session sessions[CLIENTS_MAX];
    size_t count;
} server;

static size_t frame_len(str at)
{
    const size_t len = at.len >= PG_HEADER_BYTES ? 1 + (size_t)pg_get32(at.ptr + 1) : at.len;
    return len < PG_HEADER_BYTES || len > at.len ? at.len : len;
}

/* Whether a server would wait for an answer to it. */
static bool waits_behind(str frame)
{
    const bool asks = frame.ptr[0] == 'R' && frame.len >= 9 && pg_get32(frame.ptr + 5) != 0;
    return asks || frame.ptr[0] == 'Z' || frame.ptr[0] == 'G';
}

/* What is said at any time. */
static bool is_unasked(str frame)
{
    return frame.ptr[0] == 'A' || frame.ptr[0] == 'N' || frame.ptr[0] == 'S';
}

static size_t next_words(str rest)
{
    size_t at = 0;
    for (bool waits = false; at < rest.len;) {
        const str left = str_slice(rest, at, rest.len);
        const str frame = str_slice(left, 0, frame_len(left));
        if (waits && !is_unasked(frame))
            break;
        at += frame.len;
        waits = waits || waits_behind(frame);
    }
    return at;
}

/* How often the client has come to where it waits for an answer. */
static size_t turns_of(session *s, str bytes)
{
    size_t turns = 0;
    for (size_t at = 0; at < bytes.len;) {
        if (!s->started) {
            s->started = true;
            return 1;
        }
        const str left = str_slice(bytes, at, bytes.len);
        turns += memchr("SQpcf", left.ptr[0], 5) != NULL;
        at += frame_len(left);
    }
    return turns;
}

static size_t on_heard(stream *far, str bytes)
{
    if (stream_at_end(far)) {
        stream_close(far, 100);
        return bytes.len;
    }
    for (size_t turns = turns_of(stream_owner(far), bytes); turns > 0; turns--) {
        const size_t len = next_words(server.rest);
        if (len == 0) {
            stream_close(far, 100);
            break;
        }
        stream_write(far, str_slice(server.rest, 0, len));
        server.rest = str_slice(server.rest, len, server.rest.len);
    }
    return bytes.len;
}

static void on_far_closed(stream *far, error why)
{
    session *s = stream_owner(far);
    (void)why;
    s->far = NULL;
}

static const stream_handler FAR = { .data = on_heard, .closed = on_far_closed };

static bool all_gone(void)
{
    for (size_t i = 0; i < server.count; i++) {
        if (server.sessions[i].near || server.sessions[i].far)
            return false;
    }
    return true;
}

static session *session_of(const stream *near)
{
    for (size_t i = 0; i < server.count; i++) {
        if (server.sessions[i].near == near)
            return &server.sessions[i];
    }
    unreachable();
}

static size_t near_data(stream *near, str bytes)
{
    return session_of(near)->client->data(near, bytes);
}

static void near_drained(stream *near)
{
    session_of(near)->client->drained(near);
}

static void near_closed(stream *near, error why)
{
    session *s = session_of(near);
    s->near = NULL;
    s->client->closed(near, why);
}

static const stream_handler NEAR = { .data = near_data,
                                     .drained = near_drained,
                                     .closed = near_closed };

static void open_now(loop_task *task)
{
    session *s = CONTAINER_OF(task, session, open);
    if (s->near)
        s->client->opened(s->near);
}

/* NOLINTBEGIN(readability-identifier-naming): the linker's names */
error __wrap_stream_connect(loop *l, const address *to, const stream_handler *handler,
                            const stream_options *options, void *owner, stream **out);
error __wrap_stream_connect(loop *l, const address *to, const stream_handler *handler,
                            const stream_options *options, void *owner, stream **out)
{
    if (handler != &PG_CONN_STREAM || server.count == CLIENTS_MAX)
        return error_set(&STREAM_CONNECT_FAILED, "connection refused");
    session *s = &server.sessions[server.count];
    stream *pair[2];
    const stream_pair_end ends[2] = {
        { .handler = &NEAR, .options = options, .owner = owner, .peer = to },
        { .handler = &FAR, .owner = s },
    };
    TRY(stream_pair(l, ends, 0, pair));
    *s = (session){ .near = pair[0], .far = pair[1], .client = handler, .open.run = open_now };
    server.count++;
    *out = pair[0];
    loop_post(l, &s->open);
    return OK;
}

/* NOLINTEND(readability-identifier-naming) */

/* --- what is asked ---------------------------------------------------------------------------- */

static const char VALUES[] =
    "select 1::int8, 'a'::text, null::int4, true, 1.5::numeric, '{1,null}'::int4[], "
    "'2026-01-31'::date from generate_series(1, 3)";
static size_t sum; /* of all bytes given out: they are read */

static void read_rows(const pg_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        for (uint32_t j = 0; j < rows->column_count; j++) {
            const pg_cell cell = pg_cell_of(rows, i, j);
            int64_t n;
            opt_text text;
            int4_list numbers;
            for (size_t k = 0; k < cell.bytes.len; k++)
                sum += (unsigned char)cell.bytes.ptr[k];
            if (pg_get(rows, i, j, &n).kind && pg_get(rows, i, j, &text).kind &&
                pg_get(rows, i, j, &numbers).kind)
                sum++;
        }
    }
}

static error query(pg_pool *db)
{
    pg_rows rows;
    TRY(pg_query(db, &rows, VALUES));
    read_rows(&rows);
    return pg_execute(db, NULL, "select $1::int4", 1);
}

static error read_only(pg_pool *db)
{
    pg_rows rows;
    TRY(pg_query(pg_read_only(db), &rows, VALUES));
    read_rows(&rows);
    return OK;
}

static error batch(pg_pool *db)
{
    pg_rows rows[2];
    pg_batch *b = pg_batch_new();
    pg_batch_query(b, &rows[0], "select 1");
    pg_batch_query(b, &rows[1], "select $1::int8", (int64_t)2);
    TRY(pg_pipeline_run(db, b));
    TRY(pg_batch_run(db, b));
    read_rows(&rows[0]);
    read_rows(&rows[1]);
    return pg_batch_error(b, 1);
}

static error transaction(pg_pool *db)
{
    pg_tx *tx, *inner;
    pg_rows rows;
    TRY(pg_begin(db, &tx));
    TRY(pg_query(tx, &rows, "select 1"));
    TRY(pg_begin(tx, &inner));
    const error failed = pg_query(inner, &rows, "select 1 / 0");
    if (!failed.kind)
        read_rows(&rows);
    TRY(pg_rollback(&inner));
    TRY(pg_script(tx, STR("set local work_mem = '1MB'; select 1")));
    return pg_commit(&tx);
}

static error cursor(pg_pool *db)
{
    pg_cursor *c;
    pg_rows rows;
    TRY(pg_cursor_open(db, &c, "select n from generate_series(1, 100) n"));
    do {
        TRY(pg_cursor_next(c, &rows));
        read_rows(&rows);
    } while (rows.count > 0);
    return pg_cursor_close(&c);
}

static error stream_rows(pg_pool *db)
{
    pg_stream *s;
    pg_rows rows;
    TRY(pg_stream_open(db, &s, VALUES));
    do {
        TRY(pg_stream_next(s, &rows));
        read_rows(&rows);
    } while (rows.count > 0);
    return pg_stream_close(&s);
}

static error copy_in(pg_pool *db)
{
    pg_tx *tx;
    pg_copy *c;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "create temp table fuzzed (n int8) on commit drop"));
    TRY(pg_copy_in(tx, &c, "copy fuzzed from stdin (format binary)"));
    TRY(pg_copy_row(c, (int64_t)1));
    TRY(pg_copy_finish(&c, NULL));
    return pg_commit(&tx);
}

static error copy_out(pg_pool *db)
{
    pg_copy *c;
    str bytes;
    TRY(pg_copy_out(db, &c, "copy (select generate_series(1, 3)) to stdout"));
    do {
        TRY(pg_copy_read(c, &bytes));
        for (size_t i = 0; i < bytes.len; i++)
            sum += (unsigned char)bytes.ptr[i];
    } while (bytes.len > 0);
    return pg_copy_finish(&c, NULL);
}

#define PAIR_FIELDS(F) F(n, int8) F(text, opt_text)
SHAPE(pair, PAIR_FIELDS)

static error copy_structs(pg_pool *db)
{
    pg_copy *c;
    pair p;
    TRY(pg_copy_out(db, &c,
                    "copy (select n, nullif('b', 'b') from generate_series(1, 3::int8) n) to "
                    "stdout (format binary)"));
    for (bool more;;) {
        TRY(pg_copy_next(c, pair, &p, &more));
        if (!more)
            return pg_copy_finish(&c, NULL);
        for (size_t i = 0; p.text.has && i < p.text.value.len; i++)
            sum += (unsigned char)p.text.value.ptr[i];
    }
}

static error listen_twice(pg_pool *db)
{
    pg_listener *l;
    pg_notification n;
    TRY(pg_listen(db, STR("fuzz"), &l));
    for (int i = 0; i < 2; i++) {
        TRY(pg_listener_next(l, &n));
        for (size_t k = 0; k < n.payload.len; k++)
            sum += (unsigned char)n.payload.ptr[k];
    }
    pg_unlisten(&l);
    return OK;
}

static error (*const ASKS[])(pg_pool *db) = {
    query,       read_only, batch,    transaction,  cursor,
    stream_rows, copy_in,   copy_out, copy_structs, listen_twice,
};

typedef struct asking {
    pg_pool *db;
    error (*fn)(pg_pool *db);
} asking;

static error ask_in_scope(void *arg)
{
    const asking *a = arg;
    return a->fn(a->db);
}

static error ask(void *arg)
{
    asking a = { .fn = ASKS[*(const uint8_t *)arg] };
    TRY(pg_pool_open(&(pg_pool_options){ .conninfo = STR(CONNINFO), .connections_max = 1 }, &a.db));
    const error e = scope_call(&(scope_options){ .deadline_ms = ASK_MS }, ask_in_scope, &a);
    const pg_pool_stats stats = pg_pool_stats_of(a.db);
    invariant(a.fn == listen_twice || stats.leased + stats.waiting == 0);
    pg_pool_close(&a.db);
    return e;
}

static void on_ended(fiber *f, error result, void *arg)
{
    (void)f;
    (void)result;
    *(bool *)arg = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static bool begun;
    bool ended = false;
    loop *l;
    if (len == 0)
        return 0;
    if (!begun) {
        invariant(error_is_ok(log_open(STDERR_FILENO, LOG_OFF, LOG_AUTO)));
        clock_fake_begin(-1);
        begun = true;
    }
    uint8_t which = data[0] % ARRAY_LEN(ASKS);
    memset(&server, 0, sizeof server);
    server.rest = fuzz_text(data + 1, len - 1);
    invariant(error_is_ok(loop_new(NULL, &l)));
    const fiber_options options = { .name = "ask", .ended = on_ended, .ended_arg = &ended };
    invariant(error_is_ok(fiber_start(l, &options, ask, &which, NULL)));
    for (uint32_t ms = 0; ms < TIME_MS && !(ended && all_gone()); ms += 100)
        loop_advance(l, 100);
    invariant(ended && all_gone());
    loop_free(&l);
    return 0;
}
