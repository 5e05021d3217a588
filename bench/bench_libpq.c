/* libpq at its best, for bench_pg to stand beside: prepared statements, binary parameters and
 * results, one result structure an answer, which is how libpq gives them.
 *
 *   one         PQexecPrepared again and again
 *   shared      pipeline mode: 64 queries under way on one connection, a Sync each
 *   pool        the same over eight connections and one epoll
 *   read_only   the same on one connection with a Sync for 32 queries, two such groups under way
 *   sequence    PQexecPrepared twenty times; pipeline: in pipeline mode, a Sync each; batch: one
 *   decode      a hundred rows of ten columns as text, by strtoll and strtod into structs;
 *               decode_binary: binary, by hand
 *   copy_in     PQputCopyData of a row of text each; copy_in_binary: of the binary format
 *   copy_out    PQgetCopyData, a row each
 *
 * libpq has PQsendPipelineSync, which does not send at once, since 17: it is used where the library
 * that is loaded has it. */
#include "pg_load.h"

#include <endian.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libpq's */
extern int PQsendPipelineSync(PGconn *conn) __attribute__((weak));

#define NOTE    "note"
#define SAMPLES "samples"

static load run_load;

static void die(const PGconn *c, const char *what)
{
    (void)fprintf(stderr, "bench_libpq: %s: %s\n", what, c ? PQerrorMessage(c) : "");
    exit(1);
}

static void check(const PGconn *c, const PGresult *r, ExecStatusType wanted, const char *what)
{
    if (PQresultStatus(r) != wanted)
        die(c, what);
}

static void execute(PGconn *c, const char *sql, ExecStatusType wanted)
{
    PGresult *r = PQexec(c, sql);
    check(c, r, wanted, sql);
    PQclear(r);
}

static PGconn *connect_prepared(void)
{
    PGconn *c = PQconnectdb(getenv("DATABASE_URL"));
    if (PQstatus(c) != CONNECTION_OK)
        die(c, "connecting");
    const Oid types[] = { 20, 20 };
    PGresult *note = PQprepare(c, NOTE, LOAD_NOTE_SQL, 2, types);
    check(c, note, PGRES_COMMAND_OK, "preparing");
    PQclear(note);
    PGresult *samples = PQprepare(c, SAMPLES, LOAD_SAMPLES_SQL, 1, types);
    check(c, samples, PGRES_COMMAND_OK, "preparing");
    PQclear(samples);
    return c;
}

/* --- one query -------------------------------------------------------------------------------- */

typedef struct note_query {
    int64_t id;
    uint64_t wire_id;
    uint64_t wire_account;
    const char *values[2];
    int lengths[2];
} note_query;

static const int BINARY[] = { 1, 1 };

static void fill(note_query *q)
{
    q->id = load_note_id();
    q->wire_id = htobe64((uint64_t)q->id);
    q->wire_account = htobe64(1);
    q->values[0] = (const char *)&q->wire_id;
    q->values[1] = (const char *)&q->wire_account;
    q->lengths[0] = q->lengths[1] = 8;
}

static int64_t int8_of(const PGresult *r, int row, int column)
{
    uint64_t wire;
    memcpy(&wire, PQgetvalue(r, row, column), sizeof wire);
    return (int64_t)be64toh(wire);
}

static int32_t int4_of(const PGresult *r, int row, int column)
{
    uint32_t wire;
    memcpy(&wire, PQgetvalue(r, row, column), sizeof wire);
    return (int32_t)be32toh(wire);
}

/* `id`: 0 where the order of ids is not kept. */
static void take_note(const PGconn *c, PGresult *r, int64_t id)
{
    check(c, r, PGRES_TUPLES_OK, "a note");
    if (PQntuples(r) != 1 || int8_of(r, 0, 0) <= 0 || (id && int8_of(r, 0, 0) != id) ||
        PQgetlength(r, 0, 2) == 0)
        die(NULL, "another note");
    PQclear(r);
}

static void fetch(PGconn *c)
{
    note_query q;
    fill(&q);
    take_note(c, PQexecPrepared(c, NOTE, 2, q.values, q.lengths, BINARY, 1), q.id);
}

static void send_note(PGconn *c)
{
    note_query q;
    fill(&q);
    if (!PQsendQueryPrepared(c, NOTE, 2, q.values, q.lengths, BINARY, 1))
        die(c, "sending");
}

static void send_sync(PGconn *c)
{
    if (!(PQsendPipelineSync ? PQsendPipelineSync(c) : PQpipelineSync(c)))
        die(c, "a Sync");
}

static void run_one(void)
{
    PGconn *c = connect_prepared();
    do {
        fetch(c);
    } while (load_goes_on(&run_load, 1));
    PQfinish(c);
}

/* --- many at once ----------------------------------------------------------------------------- */

typedef struct lane {
    PGconn *conn;
    unsigned depth;
    unsigned group; /* queries of one Sync */
    unsigned queries;
    unsigned syncs;
} lane;

/* As many groups as there is room for; they leave together where libpq can do that. */
static void refill(lane *l)
{
    while (l->queries + l->group <= l->depth) {
        for (unsigned i = 0; i < l->group; i++)
            send_note(l->conn);
        send_sync(l->conn);
        l->queries += l->group;
        l->syncs++;
    }
    if (PQflush(l->conn) != 0)
        die(l->conn, "the socket is full");
}

/* What has come. Returns how many queries were answered. */
static unsigned take_answers(lane *l)
{
    unsigned answered = 0;
    if (!PQconsumeInput(l->conn))
        die(l->conn, "reading");
    while (l->queries + l->syncs > 0 && !PQisBusy(l->conn)) {
        PGresult *r = PQgetResult(l->conn);
        if (!r)
            continue; /* the end of one query's results */
        if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
            l->syncs--;
            PQclear(r);
            continue;
        }
        take_note(l->conn, r, 0);
        l->queries--;
        answered++;
    }
    return answered;
}

static void open_lane(lane *l, int poll, unsigned depth, unsigned group)
{
    *l = (lane){ .conn = connect_prepared(), .depth = depth, .group = group };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = l };
    if (!PQenterPipelineMode(l->conn) || PQsetnonblocking(l->conn, 1) != 0 ||
        epoll_ctl(poll, EPOLL_CTL_ADD, PQsocket(l->conn), &event) < 0)
        die(l->conn, "pipeline mode");
}

static void run_lanes(unsigned lane_count, unsigned group)
{
    static lane lanes[LOAD_CONNECTIONS];
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    bool more = true;
    for (unsigned i = 0; i < lane_count; i++) {
        open_lane(&lanes[i], poll, LOAD_DEPTH / lane_count, group);
        refill(&lanes[i]);
    }
    while (more) {
        struct epoll_event events[LOAD_CONNECTIONS];
        const int ready = epoll_wait(poll, events, LOAD_CONNECTIONS, -1);
        for (int i = 0; i < ready; i++) {
            lane *l = events[i].data.ptr;
            const unsigned answered = take_answers(l);
            more = answered == 0 ? more : load_goes_on(&run_load, answered);
            refill(l);
        }
    }
    for (unsigned i = 0; i < lane_count; i++)
        PQfinish(lanes[i].conn);
}

static void run_shared(void)
{
    run_lanes(1, 1);
}

static void run_pool(void)
{
    run_lanes(LOAD_CONNECTIONS, 1);
}

static void run_read_only(void)
{
    run_lanes(1, LOAD_GROUP);
}

/* --- twenty queries of one request ------------------------------------------------------------ */

static void run_sequence(void)
{
    PGconn *c = connect_prepared();
    do {
        for (unsigned i = 0; i < LOAD_REQUEST; i++)
            fetch(c);
    } while (load_goes_on(&run_load, 1));
    PQfinish(c);
}

/* A query's result, and the NULL behind it; or a Sync's, which has none. */
static void take_next(PGconn *c, bool is_sync)
{
    PGresult *r = PQgetResult(c);
    if (!is_sync) {
        take_note(c, r, 0);
        if (PQgetResult(c))
            die(NULL, "a second result");
        return;
    }
    check(c, r, PGRES_PIPELINE_SYNC, "a Sync's answer");
    PQclear(r);
}

static void fetch_together(PGconn *c, bool sync_each)
{
    for (unsigned i = 1; i <= LOAD_REQUEST; i++) {
        send_note(c);
        if (sync_each || i == LOAD_REQUEST)
            send_sync(c);
    }
    if (PQflush(c) != 0)
        die(c, "sending");
    for (unsigned i = 1; i <= LOAD_REQUEST; i++) {
        take_next(c, false);
        if (sync_each || i == LOAD_REQUEST)
            take_next(c, true);
    }
}

static void run_together(bool sync_each)
{
    PGconn *c = connect_prepared();
    if (!PQenterPipelineMode(c))
        die(c, "pipeline mode");
    do {
        fetch_together(c, sync_each);
    } while (load_goes_on(&run_load, 1));
    PQfinish(c);
}

static void run_pipeline(void)
{
    run_together(true);
}

static void run_batch(void)
{
    run_together(false);
}

/* --- rows into structs ------------------------------------------------------------------------ */

typedef struct sample {
    int64_t id, account_id, parent_id, cents;
    bool has_parent;
    int32_t seen, rank;
    double score;
    bool open;
    const char *name, *note;
    size_t name_len, note_len;
} sample;

static void decode_texts(const PGresult *r, int i, sample *s)
{
    s->name = PQgetvalue(r, i, 8);
    s->name_len = (size_t)PQgetlength(r, i, 8);
    s->note = PQgetvalue(r, i, 9);
    s->note_len = (size_t)PQgetlength(r, i, 9);
}

static void decode_text(const PGresult *r, int i, sample *s)
{
    s->id = strtoll(PQgetvalue(r, i, 0), NULL, 10);
    s->account_id = strtoll(PQgetvalue(r, i, 1), NULL, 10);
    s->has_parent = !PQgetisnull(r, i, 2);
    s->parent_id = strtoll(PQgetvalue(r, i, 2), NULL, 10);
    s->cents = strtoll(PQgetvalue(r, i, 3), NULL, 10);
    s->seen = (int32_t)strtol(PQgetvalue(r, i, 4), NULL, 10);
    s->rank = (int32_t)strtol(PQgetvalue(r, i, 5), NULL, 10);
    s->score = strtod(PQgetvalue(r, i, 6), NULL);
    s->open = *PQgetvalue(r, i, 7) == 't';
    decode_texts(r, i, s);
}

static void decode_binary(const PGresult *r, int i, sample *s)
{
    s->id = int8_of(r, i, 0);
    s->account_id = int8_of(r, i, 1);
    s->has_parent = !PQgetisnull(r, i, 2);
    s->parent_id = s->has_parent ? int8_of(r, i, 2) : 0;
    s->cents = int8_of(r, i, 3);
    s->seen = int4_of(r, i, 4);
    s->rank = int4_of(r, i, 5);
    const int64_t bits = int8_of(r, i, 6);
    memcpy(&s->score, &bits, sizeof bits);
    s->open = *PQgetvalue(r, i, 7) != 0;
    decode_texts(r, i, s);
}

static void decode(PGconn *c, bool binary)
{
    static sample samples[LOAD_ROWS];
    const uint64_t after = htobe64((uint64_t)(load_note_id() / 2));
    const char *values[] = { (const char *)&after };
    const int lengths[] = { 8 };
    PGresult *r = PQexecPrepared(c, SAMPLES, 1, values, lengths, BINARY, binary);
    check(c, r, PGRES_TUPLES_OK, "samples");
    int64_t sum = 0;
    const int count = PQntuples(r);
    for (int i = 0; i < count; i++) {
        if (binary)
            decode_binary(r, i, &samples[i]);
        else
            decode_text(r, i, &samples[i]);
        sum += samples[i].id + samples[i].seen + (int64_t)samples[i].note_len;
    }
    if (count != LOAD_ROWS || sum <= 0)
        die(NULL, "other samples");
    PQclear(r);
}

static void run_decode_as(bool binary)
{
    PGconn *c = connect_prepared();
    do {
        decode(c, binary);
    } while (load_goes_on(&run_load, 1));
    PQfinish(c);
}

static void run_decode(void)
{
    run_decode_as(false);
}

static void run_decode_binary(void)
{
    run_decode_as(true);
}

/* --- COPY ------------------------------------------------------------------------------------- */

static void put(PGconn *c, const char *bytes, size_t len)
{
    if (PQputCopyData(c, bytes, (int)len) != 1)
        die(c, "copying");
}

#define POINT_NAME "a point of some name"

static void put_text(PGconn *c, uint64_t rows)
{
    char row[128];
    for (uint64_t i = 0; i < rows; i++)
        put(c, row,
            (size_t)snprintf(row, sizeof row, "%lld\t%d\t%s\n", (long long)i, (int)(i % 1000),
                             POINT_NAME));
}

static char *put_number(char *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static void put_binary(PGconn *c, uint64_t rows)
{
    static const char header[19] = "PGCOPY\n\377\r\n";
    const uint16_t columns = htobe16(3), end = 0xffff;
    const uint32_t four = htobe32(4), eight = htobe32(8), len = htobe32(sizeof POINT_NAME - 1);
    put(c, header, sizeof header);
    for (uint64_t i = 0; i < rows; i++) {
        char row[128];
        const uint64_t id = htobe64(i);
        const uint32_t n = htobe32((uint32_t)(i % 1000));
        char *at = put_number(row, &columns, sizeof columns);
        at = put_number(put_number(at, &eight, sizeof eight), &id, sizeof id);
        at = put_number(put_number(at, &four, sizeof four), &n, sizeof n);
        at = put_number(put_number(at, &len, sizeof len), POINT_NAME, sizeof POINT_NAME - 1);
        put(c, row, (size_t)(at - row));
    }
    put(c, (const char *)&end, sizeof end);
}

static void copy_in(const char *sql, void (*put_rows)(PGconn *c, uint64_t rows))
{
    PGconn *c = connect_prepared();
    const uint64_t rows = load_copy_rows(&run_load);
    do {
        execute(c, "truncate points", PGRES_COMMAND_OK);
        execute(c, sql, PGRES_COPY_IN);
        put_rows(c, rows);
        if (PQputCopyEnd(c, NULL) != 1)
            die(c, "copying");
        PGresult *r = PQgetResult(c);
        check(c, r, PGRES_COMMAND_OK, "copying");
        if (strtoull(PQcmdTuples(r), NULL, 10) != rows || PQgetResult(c))
            die(NULL, "other rows");
        PQclear(r);
    } while (load_goes_on(&run_load, rows));
    PQfinish(c);
}

static void run_copy_in(void)
{
    copy_in("copy points from stdin", put_text);
}

static void run_copy_in_binary(void)
{
    copy_in("copy points from stdin (format binary)", put_binary);
}

static void run_copy_out(void)
{
    PGconn *c = connect_prepared();
    const uint64_t rows = load_copy_rows(&run_load);
    char sql[128];
    (void)snprintf(sql, sizeof sql, "copy (select * from points_full limit %llu) to stdout",
                   (unsigned long long)rows);
    do {
        execute(c, sql, PGRES_COPY_OUT);
        char *row;
        uint64_t copied = 0;
        for (; PQgetCopyData(c, &row, 0) > 0; copied++)
            PQfreemem(row);
        PGresult *r = PQgetResult(c);
        check(c, r, PGRES_COMMAND_OK, "copying");
        PQclear(r);
        if (copied != rows || PQgetResult(c))
            die(NULL, "other rows");
    } while (load_goes_on(&run_load, rows));
    PQfinish(c);
}

/* --- which ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*run)(void);
} CASES[] = {
    { "one", run_one },
    { "shared", run_shared },
    { "pool", run_pool },
    { "read_only", run_read_only },
    { "sequence", run_sequence },
    { "pipeline", run_pipeline },
    { "batch", run_batch },
    { "decode", run_decode },
    { "decode_binary", run_decode_binary },
    { "copy_in", run_copy_in },
    { "copy_in_binary", run_copy_in_binary },
    { "copy_out", run_copy_out },
};

int main(int argc, char **argv)
{
    if (load_init(&run_load, argc, argv) && getenv("DATABASE_URL"))
        for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
            if (strcmp(CASES[i].name, run_load.name) == 0) {
                CASES[i].run();
                load_print(&run_load);
                return 0;
            }
    (void)fprintf(stderr, "usage: DATABASE_URL=... bench_libpq CASE SECONDSs|COUNT\n");
    return 2;
}
