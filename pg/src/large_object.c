/* Large objects by the server's functions lo_open, loread, lowrite and their like, run as ordinary
 * statements: what goes for these goes for them, and no other part of the protocol is needed.
 *
 *   pg_lo_open -> OPEN --pg_lo_close, the scope's end--> closed
 *                      --its transaction's end, an error of the server--> closed by the server
 *
 * The place in it is known here: it is what was asked for and what was read and written since.
 * What is read lives in an arena of its own, which each call empties, so an object of any size
 * passes through the memory of one piece.
 *
 * Invariant: a descriptor is only used in the transaction that it was opened in. */
#include "pg/large_object.h"

#include "query.h"

#include <inttypes.h>

#define INV_WRITE        0x20000 /* the server's words for lo_open's modes */
#define INV_READ         0x40000
#define SEEK_FROM_START  0
#define SEEK_FROM_END    2
#define ARENA_BYTES_MORE ((size_t)1 << 20) /* than a message has */

struct pg_lo {
    pg_tx *tx;
    int32_t descriptor;
    bool writes;
    uint64_t at;
    arena arena; /* of what was read last */
    deferred *left;
};

/* Whether the server still has it: an error has closed it, as has the transaction's end. */
static bool is_open(const pg_lo *lo)
{
    const pg_conn *c = lo->tx->conn;
    return c && c->state == PG_CONN_READY && lo->tx->begun && c->tx_status == 'T';
}

/* --- one statement ---------------------------------------------------------------------------- */

static error run(pg_lo *lo, str sql, pg_values values, pg_rows *rows)
{
    pg_call call = { .sql = sql, .values = values, .rows = rows, .arena = &lo->arena };
    arena_reset(&lo->arena);
    return pg_run_call(pg_target_tx(lo->tx), &call);
}

static error number_of(const pg_rows *rows, int64_t *out)
{
    if (rows->count != 1 || rows->column_count != 1)
        return error_set(&PG_PROTOCOL_VIOLATION, "%zu rows for one number", rows->count);
    return pg_get(rows, 0, 0, out);
}

static error run_number(pg_lo *lo, str sql, pg_values values, int64_t *out)
{
    pg_rows rows = { 0 };
    *out = 0;
    TRY(run(lo, sql, values, &rows));
    return number_of(&rows, out);
}

/* The same while none is open. */
static error ask_number(pg_target on, str sql, pg_values values, int64_t *out)
{
    pg_rows rows = { 0 };
    pg_call call = { .sql = sql, .values = values, .rows = &rows };
    *out = 0;
    TRY(pg_run_call(on, &call));
    return number_of(&rows, out);
}

/* --- life ------------------------------------------------------------------------------------- */

error pg_lo_create_on(pg_target on, pg_oid *id)
{
    int64_t number;
    *id = 0;
    TRY(ask_number(on, STR("select lo_create(0)"), (pg_values){ 0 }, &number));
    *id = (pg_oid)number;
    return OK;
}

error pg_lo_unlink_on(pg_target on, pg_oid id)
{
    int64_t one;
    return ask_number(on, STR("select lo_unlink($1::oid)"), PG_VALUES((int64_t)id), &one);
}

static error close_descriptor(pg_lo *lo)
{
    int64_t zero;
    return run_number(lo, STR("select lo_close($1)"), PG_VALUES(lo->descriptor), &zero);
}

/* While the server is busy with what nobody waits for, nothing is asked: the transaction's end
 * closes it, too. */
static error lo_left(void *arg)
{
    pg_lo *lo = arg;
    const bool asks = is_open(lo) && !lo->tx->child && lo->tx->conn->abandoned == 0;
    const error e = asks ? close_descriptor(lo) : OK;
    arena_deinit(&lo->arena);
    return e;
}

static void lo_abandoned(void *arg)
{
    pg_lo *lo = arg;
    arena_deinit(&lo->arena);
}

static const cleanup LO_LEFT = { .run = lo_left,
                                 .abandon = lo_abandoned,
                                 .name = "pg large object" };

error pg_lo_open(pg_tx *tx, pg_oid id, pg_lo_mode mode, pg_lo **out)
{
    int64_t descriptor;
    *out = NULL;
    TRY(ask_number(
        pg_target_tx(tx), STR("select lo_open($1::oid, $2)"),
        PG_VALUES((int64_t)id, (int32_t)(mode == PG_LO_WRITE ? INV_READ | INV_WRITE : INV_READ)),
        &descriptor));
    pg_lo *lo = ARENA_NEW(fiber_arena(), pg_lo);
    lo->tx = tx;
    lo->descriptor = (int32_t)descriptor;
    lo->writes = mode == PG_LO_WRITE;
    arena_init(&lo->arena, tx->pool->message_bytes_max + ARENA_BYTES_MORE);
    lo->left = scope_defer(&LO_LEFT, lo);
    *out = lo;
    return OK;
}

error pg_lo_close(pg_lo **owner)
{
    pg_lo *lo = *owner;
    *owner = NULL;
    if (!lo)
        return OK;
    const error e = is_open(lo) ? close_descriptor(lo) : OK;
    scope_disarm(&lo->left);
    arena_deinit(&lo->arena);
    return e;
}

/* --- bytes ------------------------------------------------------------------------------------ */

error pg_lo_read(pg_lo *lo, size_t bytes_max, str *bytes)
{
    const int32_t wanted = bytes_max < PG_LO_PIECE_BYTES ? (int32_t)bytes_max : PG_LO_PIECE_BYTES;
    pg_rows rows = { 0 };
    bytea got;
    *bytes = STR("");
    TRY(run(lo, STR("select loread($1, $2)"), PG_VALUES(lo->descriptor, wanted), &rows));
    if (rows.count != 1 || rows.column_count != 1)
        return error_set(&PG_PROTOCOL_VIOLATION, "%zu rows for a piece", rows.count);
    TRY(pg_get(&rows, 0, 0, &got));
    *bytes = (str){ (const char *)got.ptr, got.len };
    lo->at += got.len;
    return OK;
}

static error check_writes(const pg_lo *lo)
{
    return lo->writes
               ? OK
               : error_set(&PG_INVALID_ARGUMENT, "a large object that was opened to be read");
}

error pg_lo_write(pg_lo *lo, str bytes)
{
    TRY(check_writes(lo));
    while (bytes.len > 0) {
        const size_t len = bytes.len < PG_LO_PIECE_BYTES ? bytes.len : PG_LO_PIECE_BYTES;
        const bytea piece = { (const uint8_t *)bytes.ptr, len };
        int64_t written;
        TRY(run_number(lo, STR("select lowrite($1, $2)"), PG_VALUES(lo->descriptor, piece),
                       &written));
        if (written != (int64_t)len)
            return error_set(&PG_FAILED, "%" PRId64 " bytes of %zu were written", written, len);
        lo->at += len;
        bytes = str_slice(bytes, len, bytes.len);
    }
    return OK;
}

static error check_offset(uint64_t offset)
{
    return offset <= INT64_MAX
               ? OK
               : error_set(&PG_DATA_EXCEPTION, "no large object has %" PRIu64 " bytes", offset);
}

static error seek(pg_lo *lo, uint64_t offset, int32_t from, int64_t *at)
{
    return run_number(lo, STR("select lo_lseek64($1, $2, $3)"),
                      PG_VALUES(lo->descriptor, (int64_t)offset, from), at);
}

error pg_lo_seek(pg_lo *lo, uint64_t offset)
{
    int64_t at;
    TRY(check_offset(offset));
    TRY(seek(lo, offset, SEEK_FROM_START, &at));
    lo->at = (uint64_t)at;
    return OK;
}

uint64_t pg_lo_tell(const pg_lo *lo)
{
    return lo->at;
}

error pg_lo_size(pg_lo *lo, uint64_t *bytes)
{
    int64_t end, at;
    *bytes = 0;
    TRY(seek(lo, 0, SEEK_FROM_END, &end));
    TRY(seek(lo, lo->at, SEEK_FROM_START, &at));
    *bytes = (uint64_t)end;
    return OK;
}

error pg_lo_truncate(pg_lo *lo, uint64_t bytes)
{
    int64_t zero;
    TRY(check_writes(lo));
    TRY(check_offset(bytes));
    return run_number(lo, STR("select lo_truncate64($1, $2)"),
                      PG_VALUES(lo->descriptor, (int64_t)bytes), &zero);
}

/* --- whole ones ------------------------------------------------------------------------------- */

typedef struct transfer {
    pg_lo_source *next;
    pg_lo_sink *take;
    void *arg;
    pg_oid id;
} transfer;

/* What the source gives comes only once. */
static const pg_tx_options ONCE = { .attempts_max = 1 };

static error import(pg_tx *tx, void *arg)
{
    transfer *t = arg;
    pg_lo *lo;
    TRY(pg_lo_create(tx, &t->id));
    TRY(pg_lo_open(tx, t->id, PG_LO_WRITE, &lo));
    for (;;) {
        str piece = STR("");
        TRY(t->next(t->arg, &piece));
        if (piece.len == 0)
            return pg_lo_close(&lo);
        TRY(pg_lo_write(lo, piece));
    }
}

error pg_lo_import_on(pg_target on, pg_lo_source *next, void *arg, pg_oid *id)
{
    transfer t = { .next = next, .arg = arg };
    *id = 0;
    TRY(pg_transaction_on(on, &ONCE, import, &t));
    *id = t.id;
    return OK;
}

static error export(pg_tx *tx, void *arg)
{
    const transfer *t = arg;
    pg_lo *lo;
    TRY(pg_lo_open(tx, t->id, PG_LO_READ, &lo));
    for (;;) {
        str piece;
        TRY(pg_lo_read(lo, PG_LO_PIECE_BYTES, &piece));
        if (piece.len == 0)
            return pg_lo_close(&lo);
        TRY(t->take(t->arg, piece));
    }
}

error pg_lo_export_on(pg_target on, pg_oid id, pg_lo_sink *take, void *arg)
{
    transfer t = { .take = take, .arg = arg, .id = id };
    return pg_transaction_on(on, &ONCE, export, &t);
}
