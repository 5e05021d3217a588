/* A PostgreSQL client for fibers: a small pool a worker, queries that suspend the fiber and never
 * the loop, statements prepared once and pipelined.
 *
 *   static pg_pool *db;
 *   TRY(pg_pool_open(NULL, &db));                                  // DATABASE_URL
 *   pg_rows rows;
 *   TRY(pg_query(db, &rows, "select id, title from notes where owner_id = $1", owner_id));
 *   for (size_t i = 0; i < rows.count; i++) {
 *       int64_t id;
 *       str title;
 *       TRY(pg_get(&rows, i, 0, &id));
 *       TRY(pg_get(&rows, i, 1, &title));
 *   }
 *
 * Queries of different fibers share connections: what a loop's turn asks for leaves in one write a
 * connection, each query with its own Sync. A transaction has a connection to itself. The reader of
 * results belongs to the connection: when a fiber stops waiting, its result is read and dropped,
 * and nobody can get another's rows; a statement that goes on all the same is canceled. */
#ifndef PG_PG_H
#define PG_PG_H

#include "core/config.h"
#include "core/fiber.h"
#include "core/metrics.h"
#include "pg/error.h"
#include "pg/hooks.h"
#include "pg/trace.h"
#include "pg/type.h"

typedef struct pg_pool pg_pool;
typedef struct pg_tx pg_tx;

/* --- the pool -------------------------------------------------------------------------------- */

/* How statements are prepared: PG_STATEMENTS. The first is for servers, and for poolers that know
 * prepared statements; the others for poolers that hand a server to another client with each
 * transaction. Nothing that is run depends on it, but for listeners (pg_listen). */
typedef enum pg_statements {
    PG_STATEMENTS_DEFAULT = 0, /* PG_STATEMENTS */
    PG_STATEMENTS_NAMED,       /* once a connection, then used by name */
    PG_STATEMENTS_UNNAMED,     /* each time, with its parameters; described once a pool */
    PG_STATEMENTS_OFF,         /* the same, and described each time */
} pg_statements;

typedef struct pg_pool_options {
    str conninfo;             /* STR_NONE: DATABASE_URL, and PG* variables for what it leaves out */
    uint32_t connections_max; /* 0: PG_POOL_MAX */
    uint32_t acquire_timeout_ms; /* 0: PG_ACQUIRE_TIMEOUT */
    pg_statements statements;
    uint32_t pipeline_max; /* 0: PG_PIPELINE_MAX */
    const pg_trace *trace; /* see pg/trace.h; must outlive the pool. NULL: none */
    const pg_hooks *hooks; /* see pg/hooks.h; the same */
} pg_pool_options;

/* Makes a pool of this worker's loop. Connects when first asked, and again by itself, with backoff,
 * after the server was away; meanwhile queries fail with PG_CONNECT_FAILED.
 *   options  NULL: all from the environment (PG_SETTINGS)
 *   fails    PG_CONNINFO_INVALID (also what is wrong with the files of TLS), CONFIG_INVALID,
 *            OUT_OF_MEMORY */
error pg_pool_open(const pg_pool_options *options, pg_pool **out);
/* Ends all connections; queries still waiting fail with PG_POOL_CLOSED. Nulls the pointer.
 *   yields  until the connections are gone */
YIELDS void pg_pool_close(pg_pool **owner);

typedef struct pg_pool_stats {
    uint32_t open;     /* connections established, those of pg_read_only and pg_listen among them */
    uint32_t open_max; /* PG_POOL_MAX; those two come on top */
    uint32_t opening;
    uint32_t leased;          /* of the open ones: by transactions, and the one that listens */
    uint32_t idle;            /* of the open ones: nobody uses them */
    uint32_t waiting;         /* fibers waiting for a connection */
    uint64_t longest_wait_ms; /* of them, so far */
    uint64_t queries;         /* sent so far */
    uint64_t acquired;        /* connections given out so far */
    uint64_t released;        /* of them, given back; the others are in use */
    uint64_t timed_out;       /* waits that ended with PG_POOL_TIMED_OUT */
    uint64_t shed;            /* with PG_POOL_OVERLOADED */
    uint64_t refused;         /* PG_POOL_FULL */
} pg_pool_stats;
/* A copy of them, as of now. */
pg_pool_stats pg_pool_stats_of(const pg_pool *pool);

/* What the pools of a worker count: queries, connections, who waits; for each name of a statement
 * time, rows and errors; errors by SQLSTATE. For http_app.metrics. */
extern const metrics_table PG_METRICS;

/* Environment variables of pg/: DATABASE_URL, PG_POOL_MAX, PG_POOL_MIN, PG_CONNECTIONS_MAX,
 * PG_READ_ONLY_MAX, PG_ACQUIRE_TIMEOUT, PG_WAITING_MAX, PG_QUEUE_TARGET, PG_QUEUE_INTERVAL,
 * PG_CONNECT_TIMEOUT, PG_PEER_TIMEOUT, PG_SCRAM_ITERATIONS_MIN, PG_IDLE_TIMEOUT, PG_MAX_LIFETIME,
 * PG_IDLE_IN_TRANSACTION_TIMEOUT, PG_TRANSACTION_TIMEOUT, PG_STATEMENT_TIMEOUT, PG_HOSTS_INTERVAL,
 * PG_REPLICA_LAG_MAX, PG_STATEMENTS, PG_PIPELINE_MAX, PG_MESSAGE_MAX, PG_BUSY_POLL, PG_SLOW_QUERY,
 * PG_LOG_PARAMETERS.
 */
extern const config_entry PG_SETTINGS[];

/* --- queries --------------------------------------------------------------------------------- */

/* What queries can be run on: a pool or a transaction. */
typedef struct pg_target {
    pg_pool *pool;
    pg_tx *tx; /* NULL: any connection of the pool */
    bool read_only;
    const char *at; /* where it was asked for, "notes.c:42"; for errors. NULL: not known */
} pg_target;

/* The pool for statements that only read: pg_query(pg_read_only(db), &rows, "select …"). What many
 * fibers ask for leaves in batches, each of them one transaction, which costs server and client
 * much less than a transaction a statement. The caller says so and the server sees to it: a
 * statement that writes fails with PG_READ_ONLY. now() is the same for all of a batch; and one that
 * is slow holds up those sent behind it (who comes 5 ms later goes around it), so leave long
 * reports, and what is locked by its caller (advisory locks), to the pool itself. */
static inline pg_target pg_read_only(pg_pool *pool)
{
    return (pg_target){ .pool = pool, .read_only = true };
}

/* What PG_TARGET expands to. */
static inline pg_target pg_target_pool(pg_pool *pool)
{
    return (pg_target){ .pool = pool };
}
pg_target pg_target_tx(pg_tx *tx);
static inline pg_target pg_target_same(pg_target target)
{
    return target;
}
static inline pg_target pg_target_at(pg_target target, const char *at)
{
    if (!target.at)
        target.at = at;
    return target;
}
/* A pg_pool *, pg_tx * or pg_target as a pg_target that knows the line where this stands; anything
 * else does not compile. */
#define PG_TARGET(on)                               \
    pg_target_at(_Generic((on), pg_pool *           \
                          : pg_target_pool, pg_tx * \
                          : pg_target_tx, pg_target \
                          : pg_target_same)(on),    \
                 PG_HERE_(__FILE_NAME__, __LINE__))

/* A statement's text, and the name that metrics and logs have for it; NULL: none. The name is a
 * constant, or lives as long as the program. */
typedef struct pg_sql {
    str text;
    const char *name;
    pg_rows_as rows_as; /* see PG_AS_VALUES */
} pg_sql;
/* A statement with a name, both string literals, wherever SQL is taken:
 *
 *   TRY(pg_query(db, &rows, PG_NAMED("notes.list", "select id, title from notes"), id));
 *
 * Time, rows and errors are counted for each name (see PG_METRICS). 256 of them are told apart in a
 * program; what comes later counts as "other". */
#define PG_NAMED(name_, text_) \
    ((pg_sql){ { "" text_, sizeof(text_) - 1 }, "" name_, PG_ROWS_BY_TYPE })

/* What PG_SQL expands to. */
static inline pg_sql pg_sql_of_c(const char *text)
{
    return (pg_sql){ str_from_c(text), NULL, PG_ROWS_BY_TYPE };
}
static inline pg_sql pg_sql_of_str(str text)
{
    return (pg_sql){ text, NULL, PG_ROWS_BY_TYPE };
}
static inline pg_sql pg_sql_same(pg_sql sql)
{
    return sql;
}
/* SQL as a string literal, another NUL-terminated text, a str, or a pg_sql. */
#define PG_SQL(sql) \
    _Generic((sql), str : pg_sql_of_str, pg_sql : pg_sql_same, default : pg_sql_of_c)(sql)

/* What PG_AS_VALUES expands to. */
static inline pg_sql pg_sql_as(pg_sql sql, pg_rows_as as)
{
    sql.rows_as = as;
    return sql;
}
/* What a statement's rows are for, wherever SQL is taken, when the types of its columns do not say
 * it well enough. Without these a column of a type of core/scalar.h comes in binary, and every
 * other one (numeric, date, …) as text, which both its own C type and a str read.
 *
 *   TRY(pg_query(db, &rows, PG_AS_VALUES("select total, due from bills where id = $1"), id));
 *
 * As values, all columns that have a C type other than str are read into that: they come in binary,
 * which costs a fraction (pg_type_format_as says which types). A str of such a column is then
 * PG_TYPE_MISMATCH; cast what is to be text, due::text.
 * As text, every column is a str, just as the server writes it: for tables of whatever is there,
 * for CSV. Its C type still reads it, but for pg_money.
 * As JSON they are for the functions of pg/json.h, and for nothing else.
 * The server knows one statement, however its rows are asked for. */
#define PG_AS_VALUES(sql) pg_sql_as(PG_SQL(sql), PG_ROWS_AS_VALUES)
#define PG_AS_TEXT(sql)   pg_sql_as(PG_SQL(sql), PG_ROWS_AS_TEXT)
#define PG_AS_JSON(sql)   pg_sql_as(PG_SQL(sql), PG_ROWS_AS_JSON)

#define PG_VALUES_MAX 65535 /* of a statement; PG_VALUES takes 16 */
/* pg_param of each argument: PG_VALUES(id, title). Lives as long as the enclosing block. The
 * leading zero keeps the array from being empty. */
#define PG_VALUES(...)                                                                           \
    ((pg_values){ (const pg_value[]){ { 0 } PG_EACH_(__VA_ARGS__) } + 1,                         \
                  sizeof((const pg_value[]){ { 0 } PG_EACH_(__VA_ARGS__) }) / sizeof(pg_value) - \
                      1 })

/* One row: the bytes of each column, STR_NONE for NULL; pg_cell_of adds their type. */
typedef struct pg_row {
    const str *cells;
} pg_row;

/* All rows of a result. Lives in the fiber's arena. */
typedef struct pg_rows {
    const pg_row *items;
    size_t count;
    const pg_column *columns;
    uint32_t column_count;
    uint64_t affected; /* rows changed or returned, from the command tag */
} pg_rows;

/* Runs one statement and reads all its rows: pg_query(db, &rows, "… $1 … $2", a, b). Arguments are
 * of the C types of pg/type.h, at most 16. Each runs in a transaction of its own unless `on` is
 * one; it must not begin or end one itself.
 *   yields  until the server answered
 *   fails   PG_* by SQLSTATE; PG_CONNECT_FAILED, PG_CONNECTION_LOST, PG_POOL_TIMED_OUT,
 *           PG_POOL_FULL, PG_POOL_OVERLOADED, PG_NESTED_ACQUIRE, PG_INVALID_ARGUMENT,
 *           PG_MESSAGE_TOO_LARGE, ARENA_FULL; TIMED_OUT, CANCELED. A statement whose connection was
 *           lost, or whose wait ended early, may have been carried out
 *   owns    rows live in the fiber's arena */
#define pg_query(on, rows, sql, ...) \
    pg_query_values(PG_TARGET(on), PG_SQL(sql), PG_VALUES(__VA_ARGS__), (rows))
YIELDS error pg_query_values(pg_target on, pg_sql sql, pg_values values, pg_rows *rows);
/* The same for statements without rows of interest. `affected` (may be NULL): rows changed. */
#define pg_execute(on, affected, sql, ...) \
    pg_execute_values(PG_TARGET(on), PG_SQL(sql), PG_VALUES(__VA_ARGS__), (affected))
YIELDS error pg_execute_values(pg_target on, pg_sql sql, pg_values values, uint64_t *affected);
/* Several statements in one text, as psql would run them: for migrations. No parameters, no rows.
 * Only in a transaction, so that all of it happens or nothing.
 *   fails  as pg_query; PG_INVALID_ARGUMENT when the text itself ended the transaction, whatever
 *          then has happened */
YIELDS error pg_script(pg_tx *tx, str sql);

/* What the server has said by itself of a setting: pg_reported(db, "server_version"), "TimeZone",
 * "in_hot_standby", "search_path" (since 18). Of a transaction, as it is in its session now; of a
 * pool, in a session of its own that is not in use, if there is one. STR_NONE: it has not said, or
 * nobody is connected.
 *   owns  lives in the fiber's arena */
#define pg_reported(on, name) pg_reported_on(PG_TARGET(on), (name))
str pg_reported_on(pg_target on, const char *name);

/* --- several statements at once --------------------------------------------------------------- */

/* Statements that leave together, so that all of them cost one round trip:
 *
 *   pg_batch *b = pg_batch_new();
 *   pg_batch_execute(b, NULL, "insert into moves (cents) values ($1)", cents);
 *   pg_batch_execute(b, NULL, "update accounts set cents = cents - $1", cents);
 *   pg_batch_query(b, &rows, "select name, cents from accounts");
 *   TRY(pg_batch_run(db, b)); // all of it, or nothing
 *
 * Lives in the fiber's arena. Text, bytes and lists among the values are views, which must live
 * until it has run, as must `rows` and `affected`. It may be run again. */
typedef struct pg_batch pg_batch;
#define PG_BATCH_MAX 10000 /* statements */

/* An empty one. */
pg_batch *pg_batch_new(void);
/* Adds a statement, as for pg_query and pg_execute, which gets its answer when the batch is run. */
#define pg_batch_query(batch, rows, sql, ...) \
    pg_batch_add((batch), PG_SQL(sql), PG_VALUES(__VA_ARGS__), (rows), NULL)
#define pg_batch_execute(batch, affected, sql, ...) \
    pg_batch_add((batch), PG_SQL(sql), PG_VALUES(__VA_ARGS__), NULL, (affected))
void pg_batch_add(pg_batch *batch, pg_sql sql, pg_values values, pg_rows *rows, uint64_t *affected);
/* How many were added. */
size_t pg_batch_count(const pg_batch *batch);

/* Runs them in order, in one transaction: of their own on a pool, in `on` when that is one. The
 * first that fails ends it: those before it are undone, those behind it do not run.
 *   yields  until the server answered
 *   fails   by the first that failed, as pg_query */
#define pg_batch_run(on, batch) pg_batch_run_on(PG_TARGET(on), (batch))
YIELDS error pg_batch_run_on(pg_target on, pg_batch *batch);
/* Runs them in order, each in a transaction of its own unless `on` is one: all of them run, and
 * those that succeed have their answers whatever the others do. Of many the next 128, or 256 KiB,
 * leave when those before them are answered.
 *   fails   by the first that failed; pg_batch_error tells of each */
#define pg_pipeline_run(on, batch) pg_pipeline_run_on(PG_TARGET(on), (batch))
YIELDS error pg_pipeline_run_on(pg_target on, pg_batch *batch);
/* What became of a statement, from 0, of a batch that was run: OK; its error; PG_ROLLED_BACK when
 * another failed, so that it was not run, or undone: pg_batch_failed tells which, and so does the
 * error's text, as #i; PG_CONNECTION_LOST. */
error pg_batch_error(const pg_batch *batch, size_t i);
/* The first of a batch that was run that failed by itself, or was not answered; pg_batch_count when
 * none did. */
size_t pg_batch_failed(const pg_batch *batch);

/* --- values ----------------------------------------------------------------------------------- */

/* One value of a result, by row and column from 0, into `*out`: a C type that the column fits (see
 * pg/type.h); opt_X takes NULL. Text, bytes and JSON are views of the row.
 *   fails  PG_TYPE_MISMATCH */
#define pg_get(rows, row, column, out) \
    PG_DECODER_(out)                   \
    (fiber_arena(), (const pg_cell[1]){ pg_cell_of((rows), (row), (column)) }, (out))
/* One cell of an array, a composite or a range into `out`, a pointer as for pg_get:
 * TRY(pg_get_cell(&array.cells[i], &n)).
 *   fails  as the decoder; PG_TYPE_MISMATCH for NULL into what is not opt_X */
#define pg_get_cell(cell, out) PG_DECODER_(out)(fiber_arena(), (cell), (out))
/* Both must be there: an invariant. */
pg_cell pg_cell_of(const pg_rows *rows, size_t row, size_t column);

/* --- results of any size ---------------------------------------------------------------------- */

/* A result that is read piece by piece:
 *
 *   pg_cursor *c;
 *   TRY(pg_cursor_open(db, &c, "select id, title from notes"));
 *   for (;;) {
 *       pg_rows rows;
 *       TRY(pg_cursor_next(c, &rows));
 *       if (rows.count == 0)
 *           break;
 *       …
 *   }
 *   TRY(pg_cursor_close(&c));
 *
 * Belongs to the running scope, and has a transaction of its own unless it is given one. */
typedef struct pg_cursor pg_cursor;

/* Runs a statement up to its first rows. On a pool it leases a connection.
 *   yields  until they are there
 *   fails   as pg_query */
#define pg_cursor_open(on, cursor, sql, ...) \
    pg_cursor_open_values(PG_TARGET(on), PG_SQL(sql), PG_VALUES(__VA_ARGS__), (cursor))
YIELDS error pg_cursor_open_values(pg_target on, pg_sql sql, pg_values values, pg_cursor **out);
/* The next rows, some hundred KiB of them, and none at the end. They live until the next call or
 * the cursor's end.
 *   yields  until they are there
 *   fails   as pg_query */
YIELDS error pg_cursor_next(pg_cursor *cursor, pg_rows *rows);
/* Ends it, also before its last row, and commits its own transaction. Nulls the pointer; NULL is
 * allowed.
 *   fails  as pg_commit */
YIELDS error pg_cursor_close(pg_cursor **owner);

/* --- COPY ------------------------------------------------------------------------------------- */

/* Data for a table, or out of a query, in one stream:
 *
 *   pg_copy *c;
 *   TRY(pg_copy_in(db, &c, "copy points (x, y) from stdin (format binary)"));
 *   for (size_t i = 0; i < count; i++)
 *       TRY(pg_copy_row(c, points[i].x, points[i].y));
 *   TRY(pg_copy_finish(&c, &affected));
 *
 * Belongs to the running scope: when that ends before pg_copy_finish, nothing of it stays. Has a
 * transaction of its own unless it is given one, in which no other statement may run meanwhile. */
typedef struct pg_copy pg_copy;

/* Begins a COPY … FROM STDIN, a COPY … TO STDOUT.
 *   yields  until the server is ready
 *   fails   as pg_query; PG_INVALID_ARGUMENT when the statement is another one */
#define pg_copy_in(on, copy, sql)  pg_copy_in_sql(PG_TARGET(on), PG_SQL(sql), (copy))
#define pg_copy_out(on, copy, sql) pg_copy_out_sql(PG_TARGET(on), PG_SQL(sql), (copy))
YIELDS error pg_copy_in_sql(pg_target on, pg_sql sql, pg_copy **out);
YIELDS error pg_copy_out_sql(pg_target on, pg_sql sql, pg_copy **out);
/* Sends bytes of the COPY's format; rows may begin and end anywhere in them.
 *   yields  while the server has not taken what came before
 *   fails   as pg_query: what the server has found wrong so far */
YIELDS error pg_copy_write(pg_copy *copy, str bytes);
/* Sends a row of the binary format: a value a column, of exactly its type (int8 for bigint). Rows
 * leave some 32 KiB at a time, the last of them with pg_copy_finish. Not together with
 * pg_copy_write.
 *   yields, fails  as pg_copy_write */
#define pg_copy_row(copy, ...) pg_copy_row_values((copy), PG_VALUES(__VA_ARGS__))
YIELDS error pg_copy_row_values(pg_copy *copy, pg_values values);
/* The next bytes, whole rows of them; none at the end. They live until the next call.
 *   yields  until there are some
 *   fails   as pg_query */
YIELDS error pg_copy_read(pg_copy *copy, str *bytes);
/* Rows of the binary format from structs and into them, a column for each field of the shape, in
 * their order and of exactly its type (int8: bigint):
 *
 *   TRY(pg_copy_item(c, point, &p));                    // in
 *
 *   for (bool more;;) {                                 // out
 *       TRY(pg_copy_next(c, point, &p, &more));
 *       if (!more)
 *           break;
 *       …
 *   }
 *
 * The first is as pg_copy_row. The second reads the next row, unless there is none: not together
 * with pg_copy_read. Text, bytes and lists in it live until the next call. A nested shape has no
 * column: an invariant.
 *   yields, fails  as pg_copy_write, pg_copy_read; and the second with
 *           PG_TYPE_MISMATCH: a row of other columns, NULL into what is not opt_X
 *           PG_PROTOCOL_VIOLATION: what came is not the binary format
 *           PG_INVALID_ARGUMENT: the COPY is in another one */
#define pg_copy_item(copy, shape_, value) \
    pg_copy_item_shape((copy), SHAPE_OF(shape_), \
                       _Generic((value), shape_ * : (value), const shape_ * : (value)))
#define pg_copy_next(copy, shape_, out, more) \
    pg_copy_next_shape((copy), SHAPE_OF(shape_), _Generic((out), shape_ * : (out)), (more))
YIELDS error pg_copy_item_shape(pg_copy *copy, shape_fn *of, const void *value);
YIELDS error pg_copy_next_shape(pg_copy *copy, shape_fn *of, void *out, bool *more);
/* Ends it: all that was sent is in the table, or nothing; what was not read is dropped. Nulls the
 * pointer. `affected` (may be NULL): rows copied.
 *   fails  as pg_query and pg_commit */
YIELDS error pg_copy_finish(pg_copy **owner, uint64_t *affected);

/* --- transactions ---------------------------------------------------------------------------- */

typedef enum pg_isolation {
    PG_ISOLATION_DEFAULT = 0, /* of the server */
    PG_READ_COMMITTED,
    PG_REPEATABLE_READ,
    PG_SERIALIZABLE,
} pg_isolation;

typedef struct pg_tx_options {
    pg_isolation isolation;
    bool read_only;
    bool deferrable;       /* with PG_SERIALIZABLE and read_only: waits until nothing can fail it */
    uint32_t attempts_max; /* of pg_transaction; 0: 5 */
    /* pg_transaction tries again also when a lock was not to be had: `nowait`, lock_timeout. */
    bool retries_locks;
    /* It changes its session by calling functions (set_config, pg_advisory_lock). What it changes
     * by SET, LISTEN, CREATE TEMP and their like is seen without this. */
    bool session;
} pg_tx_options;

/* Leases a connection and begins a transaction on it: pg_begin(db, &tx). It belongs to the running
 * scope: when that ends without pg_commit, it is rolled back. BEGIN travels with the first
 * statement. On a pg_tx it begins one inside (a savepoint), whose rollback undoes just what it did;
 * until it ends, the outer one is not to be used.
 *   options  pg_begin_with(db, &(pg_tx_options){ … }, &tx); a nested one takes none
 *   fails    as pg_query */
#define pg_begin(on, out)      pg_begin_on(PG_TARGET(on), NULL, (out))
#define pg_begin_with(on, ...) pg_begin_on(PG_TARGET(on), __VA_ARGS__)
YIELDS error pg_begin_on(pg_target on, const pg_tx_options *options, pg_tx **out);
/* Commits and gives the connection back. Nulls the pointer also on failure; it must not be NULL.
 *   fails  PG_COMMIT_UNKNOWN when COMMIT was sent and not answered; PG_ROLLED_BACK when the server
 *          rolled back instead; as pg_query: certainly not committed */
YIELDS error pg_commit(pg_tx **owner);
/* Runs a statement, as pg_query and pg_execute, and commits: both leave together, a round trip less
 * than one after the other, and BEGIN with them when nothing has run yet.
 *
 *   TRY(pg_begin(db, &tx));
 *   TRY(pg_query(tx, &rows, "select cents from accounts where id = $1 for update", id));
 *   …
 *   return pg_commit_execute(&tx, NULL, "update accounts set cents = $1 where id = $2", cents, id);
 *
 * A statement that fails is not committed, and what came before it is rolled back. `rows` and
 * `affected` are given with OK only.
 *   fails  as pg_query and pg_commit; PG_COMMIT_UNKNOWN also when it was committed and the rows
 *          found no room; PG_INVALID_ARGUMENT when it was a ROLLBACK, whatever then has happened */
#define pg_commit_query(tx, rows, sql, ...) \
    pg_commit_values((tx), PG_SQL(sql), PG_VALUES(__VA_ARGS__), (rows), NULL)
#define pg_commit_execute(tx, affected, sql, ...) \
    pg_commit_values((tx), PG_SQL(sql), PG_VALUES(__VA_ARGS__), NULL, (affected))
YIELDS error pg_commit_values(pg_tx **owner, pg_sql sql, pg_values values, pg_rows *rows,
                              uint64_t *affected);
/* Rolls back and gives the connection back. Nulls the pointer; NULL is allowed. */
YIELDS error pg_rollback(pg_tx **owner);

/* pg_transaction(db, NULL, fn, arg) runs fn(tx, arg) in a transaction, in a scope of its own:
 * commits when it returns OK, rolls back when it does not. When the server has ended it for
 * another's sake (PG_SERIALIZATION_FAILURE, PG_DEADLOCK), or what it knew of a statement was out of
 * date (PG_STATEMENT_STALE), all of it is run again after a pause, up
 * to `attempts_max` times: `fn` must not mind being run several times, and must not commit by
 * itself. Inside a transaction it is run once.
 *   fails  as `fn`, pg_begin and pg_commit */
#define pg_transaction(on, ...) pg_transaction_on(PG_TARGET(on), __VA_ARGS__)
YIELDS error pg_transaction_on(pg_target on, const pg_tx_options *options,
                               error (*fn)(pg_tx *tx, void *arg), void *arg);

/* --- what the macros expand to ---------------------------------------------------------------- */

#define PG_DECODER_(out) \
    _Generic((out), bool *                           \
             : pg_decode_bool, int16_t *             \
             : pg_decode_int2, int32_t *             \
             : pg_decode_int4, int64_t *             \
             : pg_decode_int8, float *               \
             : pg_decode_float4, double *            \
             : pg_decode_float8, str *               \
             : pg_decode_text, bytea *               \
             : pg_decode_bytea, timestamptz *        \
             : pg_decode_timestamptz, uuid *         \
             : pg_decode_uuid, jsonb *               \
             : pg_decode_jsonb, opt_bool *           \
             : pg_decode_opt_bool, opt_int2 *        \
             : pg_decode_opt_int2, opt_int4 *        \
             : pg_decode_opt_int4, opt_int8 *        \
             : pg_decode_opt_int8, opt_float4 *      \
             : pg_decode_opt_float4, opt_float8 *    \
             : pg_decode_opt_float8, opt_text *      \
             : pg_decode_opt_text, opt_bytea *       \
             : pg_decode_opt_bytea, opt_timestamptz *\
             : pg_decode_opt_timestamptz, opt_uuid * \
             : pg_decode_opt_uuid, opt_jsonb *       \
             : pg_decode_opt_jsonb, PG_DECODER_LISTS_OF_(bool), PG_DECODER_LISTS_OF_(int2), \
               PG_DECODER_LISTS_OF_(int4), PG_DECODER_LISTS_OF_(int8), PG_DECODER_LISTS_OF_(float4), \
               PG_DECODER_LISTS_OF_(float8), PG_DECODER_LISTS_OF_(text), PG_DECODER_LISTS_OF_(bytea), \
               PG_DECODER_LISTS_OF_(timestamptz), PG_DECODER_LISTS_OF_(uuid), \
               PG_DECODER_LISTS_OF_(jsonb), \
               pg_array * : pg_decode_pg_array, opt_pg_array * : pg_decode_opt_pg_array, pg_range * : pg_decode_pg_range, opt_pg_range * : pg_decode_opt_pg_range, \
 pg_multirange * : pg_decode_pg_multirange, opt_pg_multirange * : pg_decode_opt_pg_multirange, PG_DECODER_OF_(pg_record), \
 PG_DECODER_OF_(pg_numeric), PG_DECODER_OF_(pg_date), PG_DECODER_OF_(pg_time), \
               PG_DECODER_OF_(pg_timestamp), PG_DECODER_OF_(pg_interval), PG_DECODER_OF_(pg_inet), \
 PG_DECODER_OF_(pg_macaddr), PG_DECODER_OF_(pg_macaddr8), \
 PG_DECODER_OF_(pg_timetz), PG_DECODER_OF_(pg_bits), PG_DECODER_OF_(pg_xid8), \
 PG_DECODER_OF_(pg_lsn), PG_DECODER_OF_(pg_tid), PG_DECODER_OF_(pg_money), \
 PG_DECODER_OF_(pg_point), PG_DECODER_OF_(pg_line), PG_DECODER_OF_(pg_lseg), PG_DECODER_OF_(pg_box), \
 PG_DECODER_OF_(pg_circle), PG_DECODER_OF_(pg_path), PG_DECODER_OF_(pg_polygon), \
 PG_DECODER_OF_(pg_tsvector), PG_DECODER_OF_(pg_tsquery), \
 PG_DECODER_OF_(pg_hstore), PG_DECODER_OF_(pg_vector), PG_DECODER_OF_(pg_sparsevec), \
 PG_DECODER_OF_(pg_int4range), PG_DECODER_OF_(pg_int4multirange), \
 PG_DECODER_OF_(pg_numrange), PG_DECODER_OF_(pg_nummultirange), \
 PG_DECODER_OF_(pg_tsrange), PG_DECODER_OF_(pg_tsmultirange), \
 PG_DECODER_OF_(pg_tstzrange), PG_DECODER_OF_(pg_tstzmultirange), \
 PG_DECODER_OF_(pg_daterange), PG_DECODER_OF_(pg_datemultirange), \
 PG_DECODER_OF_(pg_int8range), PG_DECODER_OF_(pg_int8multirange))
#define PG_DECODER_OF_(name) \
    name * : pg_decode_##name, opt_##name * : pg_decode_opt_##name, PG_DECODER_LISTS_OF_(name)
#define PG_DECODER_LISTS_OF_(name) \
    name##_list * : pg_decode_##name##_list, opt_##name##_list * : pg_decode_opt_##name##_list

/* "notes.c:42" */
#define PG_HERE_(file, line)  PG_HERE__(file, line)
#define PG_HERE__(file, line) file ":" #line

/* ", pg_param(argument)" for each of 0 to 16 arguments. */
#define PG_EACH_(...)                                                                         \
    PG_PICK_(0, ##__VA_ARGS__, PG_16_, PG_15_, PG_14_, PG_13_, PG_12_, PG_11_, PG_10_, PG_9_, \
             PG_8_, PG_7_, PG_6_, PG_5_, PG_4_, PG_3_, PG_2_, PG_1_, PG_0_, )                 \
    (__VA_ARGS__)
#define PG_PICK_(zero, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, \
                 picked, ...)                                                                 \
    picked
#define PG_0_(...)
#define PG_1_(a)       , pg_param(a)
#define PG_2_(a, ...)  , pg_param(a) PG_1_(__VA_ARGS__)
#define PG_3_(a, ...)  , pg_param(a) PG_2_(__VA_ARGS__)
#define PG_4_(a, ...)  , pg_param(a) PG_3_(__VA_ARGS__)
#define PG_5_(a, ...)  , pg_param(a) PG_4_(__VA_ARGS__)
#define PG_6_(a, ...)  , pg_param(a) PG_5_(__VA_ARGS__)
#define PG_7_(a, ...)  , pg_param(a) PG_6_(__VA_ARGS__)
#define PG_8_(a, ...)  , pg_param(a) PG_7_(__VA_ARGS__)
#define PG_9_(a, ...)  , pg_param(a) PG_8_(__VA_ARGS__)
#define PG_10_(a, ...) , pg_param(a) PG_9_(__VA_ARGS__)
#define PG_11_(a, ...) , pg_param(a) PG_10_(__VA_ARGS__)
#define PG_12_(a, ...) , pg_param(a) PG_11_(__VA_ARGS__)
#define PG_13_(a, ...) , pg_param(a) PG_12_(__VA_ARGS__)
#define PG_14_(a, ...) , pg_param(a) PG_13_(__VA_ARGS__)
#define PG_15_(a, ...) , pg_param(a) PG_14_(__VA_ARGS__)
#define PG_16_(a, ...) , pg_param(a) PG_15_(__VA_ARGS__)

#include "pg/json.h"         // IWYU pragma: export
#include "pg/large_object.h" // IWYU pragma: export
#include "pg/listen.h"       // IWYU pragma: export
#include "pg/sqlstate.h"     // IWYU pragma: export
#include "pg/stream.h"       // IWYU pragma: export

#endif
