/* The command `migrate` on a real PostgreSQL: each test has a database and a directory of its own.
 * Waits are for what the other side says, never for a time. */
#include "orm/migrate.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000 /* until something that must come counts as missing */

typedef struct place {
    char server_url[512]; /* the maintenance database */
    char url[512];        /* the test's own */
    char database[64];
    char dir[64];
    char output[8192]; /* of the last command: standard output and error */
    char answer[1024]; /* of the last query */
} place;

static place here;

/* --- asking the database --------------------------------------------------------------------- */

typedef struct question {
    const char *url;
    const char *sql;
    char *answer; /* the first column of the first row, a text */
    size_t answer_bytes;
} question;

static error ask_on(pg_pool *db, const question *q)
{
    pg_rows rows;
    str text = STR("");
    TRY(pg_query(db, &rows, str_from_c(q->sql)));
    if (rows.count > 0 && rows.column_count > 0)
        TRY(pg_get(&rows, 0, 0, &text));
    if (q->answer)
        (void)snprintf(q->answer, q->answer_bytes, "%.*s", STR_ARG(text));
    return OK;
}

static error ask_fiber(void *arg)
{
    const question *q = arg;
    pg_pool *db;
    TRY(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(q->url), .connections_max = 1 },
                     &db));
    const error e = ask_on(db, q);
    pg_pool_close(&db);
    return e;
}

static const char *ask(const char *sql)
{
    question q = { here.url, sql, here.answer, sizeof here.answer };
    assert_ok(loop_run_fiber(ask_fiber, &q));
    return here.answer;
}

static void wait_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* Until the query answers `expected`. */
static void ask_until(const char *sql, const char *expected)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 50) {
        if (strcmp(ask(sql), expected) == 0)
            return;
        wait_ms(50);
    }
    fail_msg("%s: still \"%s\"", sql, here.answer);
}

#define assert_answer(sql, expected) assert_string_equal(ask(sql), expected)

/* "0001_a,0002_b": what the ledger says. */
#define LEDGER                                                                                          \
    "select coalesce(string_agg(lpad(version::text, 4, '0') || '_' || name, ',' order by version), '')" \
    " from brio_migrations"
#define HAS_TABLE(name) "select (to_regclass('" name "') is not null)::text"

/* --- a place for each test ------------------------------------------------------------------- */

/* The URL with another database: postgres://user:secret@host/DATABASE?options */
static void replace_database(const char *url, const char *database, char *out, size_t bytes)
{
    const char *authority = strstr(url, "://");
    const char *path = authority ? strchr(authority + 3, '/') : NULL;
    if (!path)
        fail_msg("DATABASE_URL is not postgres://…/…");
    const char *options = strchr(path, '?');
    const int len =
        snprintf(out, bytes, "%.*s/%s%s", (int)(path - url), url, database, options ? options : "");
    assert_true(len > 0 && (size_t)len < bytes);
}

static void on_server(const char *format, const char *database)
{
    char sql[256];
    (void)snprintf(sql, sizeof sql, format, database);
    question q = { .url = here.server_url, .sql = sql };
    assert_ok(loop_run_fiber(ask_fiber, &q));
}

static int setup(void **state)
{
    static int count;
    (void)state;
    (void)snprintf(here.database, sizeof here.database, "brio_migrate_%d_%d", (int)getpid(),
                   ++count);
    on_server("create database %s", here.database);
    replace_database(here.server_url, here.database, here.url, sizeof here.url);
    assert_int_equal(setenv("DATABASE_URL", here.url, 1), 0);
    (void)snprintf(here.dir, sizeof here.dir, "/tmp/brio-migrate.XXXXXX");
    return mkdtemp(here.dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char line[128];
    (void)unsetenv("MIGRATIONS_DIR");
    (void)snprintf(line, sizeof line, "rm -rf '%s'", here.dir);
    on_server("drop database %s with (force)", here.database);
    return system(line);
}

static void put(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", here.dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void take_away(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", here.dir, name);
    assert_int_equal(unlink(path), 0);
}

/* --- running the command --------------------------------------------------------------------- */

/* As http_main does. */
static int run_command(const char *dir, int argc, char **argv)
{
    const command c = orm_migrate_command(dir);
    const error e = c.run(&c, argc, argv);
    if (error_is_ok(e))
        return 0;
    char text[2048];
    error_describe(e, text, sizeof text);
    (void)fprintf(stderr, "%s\n", text);
    return e.kind->class == ERROR_INVALID ? 2 : 1;
}

static int run_words(const char *line)
{
    char words[128];
    char *argv[8];
    int argc = 0;
    (void)snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word && argc < 8; word = strtok(NULL, " "))
        argv[argc++] = word;
    return run_command(here.dir, argc, argv);
}

static void output_path(char path[128], const char *name)
{
    (void)snprintf(path, 128, "%s/%s", here.dir, name);
}

static void redirect(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    (void)fflush(stdout);
    (void)fflush(stderr);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        abort();
    (void)close(fd);
}

static const char *read_output(const char *name)
{
    char path[128];
    output_path(path, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    here.output[fread(here.output, 1, sizeof here.output - 1, f)] = '\0';
    assert_int_equal(fclose(f), 0);
    return here.output;
}

/* Runs `migrate LINE`; returns the exit status, and what it wrote in here.output. */
static int migrate(const char *line)
{
    char path[128];
    const int out = dup(1);
    const int err = dup(2);
    output_path(path, "output");
    redirect(path);
    const int status = run_words(line);
    (void)fflush(stdout);
    (void)fflush(stderr);
    if (dup2(out, 1) < 0 || dup2(err, 2) < 0)
        abort();
    (void)close(out);
    (void)close(err);
    (void)read_output("output");
    return status;
}

#define assert_migrates(line, status)                                             \
    do {                                                                          \
        const int status_ = migrate(line);                                        \
        if (status_ != (status))                                                  \
            fail_msg("migrate %s ended with %d: %s", line, status_, here.output); \
    } while (0)

static void assert_says_at(const char *text, const char *file, int line)
{
    if (strstr(here.output, text))
        return;
    print_error("\"%s\" is not in: %s\n", text, here.output);
    _fail(file, line);
}
#define assert_says(text) assert_says_at((text), __FILE__, __LINE__)

/* A child does not outlive a failed test. */
static void end_with_parent(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* The same in a process of its own. */
static pid_t start_migrate(const char *line, const char *output)
{
    char path[128];
    output_path(path, output);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    end_with_parent();
    redirect(path);
    const int status = run_words(line);
    (void)fflush(stdout);
    (void)fflush(stderr);
    _exit(status);
}

static int end_of(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void wait_for_output(const char *name, const char *text)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 50) {
        char path[128];
        output_path(path, name);
        if (access(path, F_OK) == 0 && strstr(read_output(name), text))
            return;
        wait_ms(50);
    }
    fail_msg("%s still does not say \"%s\": %s", name, text, here.output);
}

/* --- a session that holds a lock ------------------------------------------------------------- */

typedef struct holder {
    pid_t pid;
    int release; /* a byte into it ends the transaction */
} holder;

typedef struct hold {
    const char *sql;
    int ready;
    int release;
} hold;

static error hold_fiber(void *arg)
{
    const hold *h = arg;
    pg_pool *db;
    pg_tx *tx;
    char byte = 0;
    TRY(pg_pool_open(NULL, &db));
    TRY(pg_begin(db, &tx));
    TRY(pg_script(tx, str_from_c(h->sql)));
    (void)!write(h->ready, "", 1);
    (void)!read(h->release, &byte, 1); /* nothing else runs here */
    TRY(pg_commit(&tx));
    pg_pool_close(&db);
    return OK;
}

static holder start_holder(const char *sql)
{
    int ready[2];
    int release[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(release, O_CLOEXEC), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        end_with_parent();
        hold h = { sql, ready[1], release[0] };
        (void)close(release[1]);
        const error e = loop_run_fiber(hold_fiber, &h);
        _exit(e.kind ? 1 : 0);
    }
    (void)close(ready[1]);
    (void)close(release[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return (holder){ pid, release[1] };
}

static void end_holder(holder h)
{
    assert_int_equal(write(h.release, "", 1), 1);
    (void)close(h.release);
    assert_int_equal(end_of(h.pid), 0);
}

/* --- up, down, status ------------------------------------------------------------------------ */

static void put_two(void)
{
    put("0001_create_a.sql", "-- migrate:up\ncreate table a (id int);\ninsert into a values (1);\n"
                             "-- migrate:down\ndrop table a;\n");
    put("0002_create_b.sql", "-- migrate:up\ncreate table b (id int);\n"
                             "-- migrate:down\ndrop table b;\n");
}

static void test_migrate_up_applies_all_pending_in_order(void **state)
{
    (void)state;
    put_two();
    assert_migrates("up", 0);
    assert_string_equal(here.output, "applied 0001_create_a\napplied 0002_create_b\n");
    assert_answer(LEDGER, "0001_create_a,0002_create_b");
    assert_answer("select string_agg(id::text, ',') from a", "1");
    assert_answer("select bool_and(length(checksum) = 32 and applied_at <= now())::text"
                  " from brio_migrations",
                  "true");
    assert_migrates("up", 0);
    assert_string_equal(here.output, "nothing to do\n");
    put("0003_fill_b.sql", "-- migrate:up\ninsert into b values (7);\n");
    assert_migrates("up", 0);
    assert_string_equal(here.output, "applied 0003_fill_b\n");
    assert_answer("select string_agg(id::text, ',') from b", "7");
}

static void test_migrate_empty_directory_has_nothing_to_do(void **state)
{
    (void)state;
    assert_migrates("status", 0);
    assert_string_equal(here.output, "version  name  applied_at\n");
    assert_answer(HAS_TABLE("brio_migrations"), "false");
    assert_migrates("down", 0);
    assert_string_equal(here.output, "nothing to do\n");
    assert_migrates("up", 0);
    assert_string_equal(here.output, "nothing to do\n");
}

static void test_migrate_down_reverts_the_newest(void **state)
{
    (void)state;
    put_two();
    assert_migrates("up", 0);
    assert_migrates("down", 0);
    assert_string_equal(here.output, "reverted 0002_create_b\n");
    assert_answer(LEDGER, "0001_create_a");
    assert_answer(HAS_TABLE("b"), "false");
    assert_migrates("up", 0);
    assert_string_equal(here.output, "applied 0002_create_b\n");
    assert_migrates("down 2", 0);
    assert_string_equal(here.output, "reverted 0002_create_b\nreverted 0001_create_a\n");
    assert_answer(LEDGER, "");
    assert_migrates("down", 0);
    assert_string_equal(here.output, "nothing to do\n");
}

static void test_migrate_down_past_the_first_is_refused(void **state)
{
    (void)state;
    put_two();
    assert_migrates("up", 0);
    assert_migrates("down 3", 1);
    assert_says("cannot revert 3: only 2 are applied");
    assert_answer(LEDGER, "0001_create_a,0002_create_b");
}

static void test_migrate_down_without_a_way_is_refused_as_a_whole(void **state)
{
    (void)state;
    put("0001_create_a.sql", "-- migrate:up\ncreate table a (id int);\n");
    put("0002_create_b.sql", "-- migrate:up\ncreate table b (id int);\n"
                             "-- migrate:down\ndrop table b;\n");
    assert_migrates("up", 0);
    assert_migrates("down 2", 1);
    assert_says("0001_create_a cannot be reverted");
    assert_answer(LEDGER, "0001_create_a,0002_create_b");
    assert_answer(HAS_TABLE("b"), "true");
}

static void test_migrate_status_shows_each_with_its_state(void **state)
{
    (void)state;
    put_two();
    assert_migrates("status", 0);
    assert_string_equal(here.output, "version  name      applied_at\n"
                                     "0001     create_a  pending\n"
                                     "0002     create_b  pending\n");
    assert_migrates("up", 0);
    put("0003_c.sql", "-- migrate:up\nselect 3;\n");
    (void)ask("update brio_migrations set applied_at = '2026-01-31 12:00:00+00' returning name");
    assert_migrates("status", 0);
    assert_string_equal(here.output, "version  name      applied_at\n"
                                     "0001     create_a  2026-01-31T12:00:00Z\n"
                                     "0002     create_b  2026-01-31T12:00:00Z\n"
                                     "0003     c         pending\n");
}

static void test_migrate_status_shows_disagreement_and_fails(void **state)
{
    (void)state;
    put_two();
    put("0004_d.sql", "-- migrate:up\nselect 4;\n");
    put("0005_e.sql", "-- migrate:up\nselect 5;\n");
    assert_migrates("up", 0);
    (void)ask("update brio_migrations set applied_at = '2026-01-31 12:00:00+00' returning name");
    put("0001_create_a.sql", "-- migrate:up\ncreate table other (id int);\n");
    take_away("0002_create_b.sql");
    put("0003_c.sql", "-- migrate:up\nselect 3;\n");
    take_away("0004_d.sql");
    put("0004_dd.sql", "-- migrate:up\nselect 4;\n");
    assert_migrates("status", 1);
    assert_says("version  name      applied_at\n"
                "0001     create_a  2026-01-31T12:00:00Z, changed since\n"
                "0002     create_b  2026-01-31T12:00:00Z, file missing\n"
                "0003     c         pending, but older than an applied one\n"
                "0004     dd        2026-01-31T12:00:00Z, under another name\n"
                "0005     e         2026-01-31T12:00:00Z\n");
    assert_says("ORM_MIGRATION_REFUSED: 0001_create_a was changed after it was applied");
}

/* --- refused before anything runs ------------------------------------------------------------ */

static void test_migrate_changed_file_is_refused(void **state)
{
    (void)state;
    put_two();
    assert_migrates("up", 0);
    put("0001_create_a.sql", "-- migrate:up\ncreate table a (id bigint);\n");
    put("0003_c.sql", "-- migrate:up\ncreate table c (id int);\n");
    assert_migrates("up", 1);
    assert_says("0001_create_a was changed after it was applied");
    assert_migrates("down", 1);
    assert_says("0001_create_a was changed after it was applied");
    assert_answer(HAS_TABLE("c"), "false");
    assert_answer(LEDGER, "0001_create_a,0002_create_b");
}

static void test_migrate_change_outside_the_up_section_is_good(void **state)
{
    (void)state;
    put_two();
    assert_migrates("up", 0);
    put("0001_create_a.sql",
        "-- Now with a word on why.\r\n-- migrate:up\r\n\r\ncreate table a (id int);\r\n"
        "insert into a values (1);\r\n\r\n-- migrate:down\r\ndrop table a cascade;\r\n");
    assert_migrates("up", 0);
    assert_string_equal(here.output, "nothing to do\n");
}

static void test_migrate_missing_file_is_refused(void **state)
{
    (void)state;
    put_two();
    assert_migrates("up", 0);
    take_away("0001_create_a.sql");
    put("0003_c.sql", "-- migrate:up\ncreate table c (id int);\n");
    assert_migrates("up", 1);
    assert_says("0001_create_a is applied, but its file is missing");
    assert_answer(HAS_TABLE("c"), "false");
}

static void test_migrate_late_file_is_refused_until_the_newer_is_reverted(void **state)
{
    (void)state;
    put_two();
    take_away("0001_create_a.sql");
    assert_migrates("up", 0);
    put_two();
    assert_migrates("up", 1);
    assert_says("0001_create_a is not applied, but 0002, which is newer, is");
    assert_answer(HAS_TABLE("a"), "false");
    assert_migrates("down", 0);
    assert_migrates("up", 0);
    assert_string_equal(here.output, "applied 0001_create_a\napplied 0002_create_b\n");
}

static void test_migrate_bad_file_stops_all_before_the_first(void **state)
{
    (void)state;
    put_two();
    put("0003_c.sql", "-- migrate:up\ncreate table c (id int);\ncommit;\n");
    assert_migrates("up", 1);
    assert_says("/0003_c.sql:3: commit: a migration is one transaction already");
    assert_answer(HAS_TABLE("brio_migrations"), "false");
    put("0003_c.sql", "-- migrate:up transaction=false\ncreate index concurrently i on b (id);\n");
    assert_migrates("up", 1);
    assert_says("/0003_c.sql:1: unknown option \"transaction=false\"");
    assert_answer(HAS_TABLE("brio_migrations"), "false");
}

static void test_migrate_strange_ledger_is_refused(void **state)
{
    (void)state;
    put_two();
    (void)ask("create table brio_migrations (id int)");
    assert_migrates("up", 1);
    assert_says("cannot read the table brio_migrations");
    assert_says("[SQLSTATE 42703]");
    assert_answer(HAS_TABLE("a"), "false");
}

/* --- failures leave nothing ------------------------------------------------------------------ */

static void test_migrate_failing_statement_leaves_nothing(void **state)
{
    (void)state;
    put_two();
    put("0003_c.sql", "-- migrate:up\ncreate table c (id int);\n\ninsert into c values (1), (1);\n"
                      "create table d (\n  id int,\n  other nosuchtype);\n");
    put("0004_e.sql", "-- migrate:up\ncreate table e (id int);\n");
    assert_migrates("up", 1);
    assert_says("applied 0001_create_a\napplied 0002_create_b\n");
    assert_says("/0003_c.sql:5: this statement failed; nothing of the migration was kept");
    assert_says("[SQLSTATE 42704]");
    assert_answer(LEDGER, "0001_create_a,0002_create_b");
    assert_answer(HAS_TABLE("c"), "false");
    assert_answer(HAS_TABLE("e"), "false");
    put("0003_c.sql", "-- migrate:up\ncreate table c (id int);\n");
    assert_migrates("up", 0);
    assert_string_equal(here.output, "applied 0003_c\napplied 0004_e\n");
}

static void test_migrate_failing_first_leaves_not_even_the_ledger(void **state)
{
    (void)state;
    put("0001_a.sql", "-- migrate:up\nselect 1 / 0;\n");
    assert_migrates("up", 1);
    assert_says("/0001_a.sql:2: ");
    assert_says("[SQLSTATE 22012]");
    assert_answer(HAS_TABLE("brio_migrations"), "false");
}

static void test_migrate_failing_commit_leaves_nothing(void **state)
{
    (void)state;
    put("0001_a.sql", "-- migrate:up\ncreate table a (id int primary key,\n"
                      " parent int references a deferrable initially deferred);\n"
                      "insert into a values (1, 2);\n");
    assert_migrates("up", 1);
    assert_says("/0001_a.sql: failed at its end; nothing of the migration was kept");
    assert_says("[SQLSTATE 23503]");
    assert_answer(HAS_TABLE("a"), "false");
}

static void test_migrate_failing_down_leaves_all(void **state)
{
    (void)state;
    put("0001_a.sql", "-- migrate:up\ncreate table a (id int);\n"
                      "-- migrate:down\ndrop table a;\ndrop table nosuch;\n");
    assert_migrates("up", 0);
    assert_migrates("down", 1);
    assert_says("/0001_a.sql:5: this statement failed");
    assert_answer(HAS_TABLE("a"), "true");
    assert_answer(LEDGER, "0001_a");
}

static void test_migrate_lost_connection_leaves_nothing(void **state)
{
    (void)state;
    put("0001_a.sql", "-- migrate:up\ncreate table a (id int);\nselect pg_sleep(600);\n");
    const pid_t pid = start_migrate("up", "killed");
    ask_until("select count(*)::text from pg_stat_activity where datname = current_database()"
              " and query like 'select pg_sleep(600)%' and state = 'active'",
              "1");
    (void)ask("select count(pg_terminate_backend(pid))::text from pg_stat_activity"
              " where datname = current_database() and query like 'select pg_sleep(600)%'");
    assert_int_equal(end_of(pid), 1);
    (void)read_output("killed");
    assert_says("/0001_a.sql:3: this statement failed; nothing of the migration was kept");
    assert_answer(HAS_TABLE("a"), "false");
    assert_answer(HAS_TABLE("brio_migrations"), "false");
}

static void test_migrate_killed_run_leaves_nothing(void **state)
{
    (void)state;
    put("0001_a.sql", "-- migrate:up\ncreate table a (id int);\nselect pg_sleep(600);\n");
    const pid_t pid = start_migrate("up", "killed");
    ask_until("select count(*)::text from pg_stat_activity where datname = current_database()"
              " and query like 'select pg_sleep(600)%' and state = 'active'",
              "1");
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(end_of(pid), 128 + SIGKILL);
    /* The server notices by itself, long before the statement would be over. */
    ask_until("select count(*)::text from pg_stat_activity where datname = current_database()"
              " and query like 'select pg_sleep(600)%'",
              "0");
    assert_answer(HAS_TABLE("a"), "false");
    put("0001_a.sql", "-- migrate:up\ncreate table a (id int);\n");
    assert_migrates("up", 0);
}

static void test_migrate_hidden_commit_is_found(void **state)
{
    (void)state;
    /* To a reader that knows only standard strings, what follows the SET is one select. */
    put("0001_a.sql", "-- migrate:up\nset standard_conforming_strings = off;\n"
                      "select 'a\\'' ; create table leak (); commit; begin; select '\\'';\n");
    assert_migrates("up", 1);
    assert_says("/0001_a.sql: the script ended its transaction: what it did until then stays");
    assert_answer("select count(*)::text from brio_migrations", "0");
    put("0001_a.sql", "-- migrate:up\nset standard_conforming_strings = off;\n"
                      "select 'a\\'' ; create table leak2 (); commit; select '\\'';\n");
    assert_migrates("up", 1);
    assert_says("/0001_a.sql:3: what was done until here stays, and is not in brio_migrations");
    assert_answer("select count(*)::text from brio_migrations", "0");
}

/* --- whatever the session is like ------------------------------------------------------------ */

static void test_migrate_settings_of_a_script_do_not_leak(void **state)
{
    (void)state;
    put("0001_a.sql", "-- migrate:up\nselect pg_catalog.set_config('search_path', '', false);\n"
                      "create table public.a (id int);\nset statement_timeout = 1;\n");
    put("0002_b.sql", "-- migrate:up\ncreate table b (id int);\nselect pg_sleep(0.01);\n");
    assert_migrates("up", 0);
    assert_answer(LEDGER, "0001_a,0002_b");
    assert_answer(HAS_TABLE("public.b"), "true");
}

static void test_migrate_runs_under_hostile_defaults(void **state)
{
    (void)state;
    on_server("alter database %s set default_transaction_read_only = on", here.database);
    on_server("alter database %s set default_transaction_isolation = serializable", here.database);
    on_server("alter database %s set statement_timeout = 100", here.database);
    on_server("alter database %s set lock_timeout = 100", here.database);
    put("0001_a.sql", "-- migrate:up\ncreate table a (id int);\nselect pg_sleep(0.3);\n");
    put("0002_b.sql", "-- migrate:up\ncreate table b (id int);\n");
    assert_migrates("up", 0);
    assert_answer(LEDGER, "0001_a,0002_b");
}

static void test_migrate_every_kind_of_statement_runs(void **state)
{
    (void)state;
    put("0001_all.sql",
        "-- migrate:up\n"
        "create table t (id int, s text);\n"
        "create function f(a int) returns int language plpgsql as $body$\n"
        "begin\n  if a > 0 then return a; end if;\n  return 0;\nend;\n$body$;\n"
        "create function g() returns int begin atomic select 1; select case when true then 2 end; end;\n"
        "do $$ begin insert into t values (f(3), E'it\\'s; so'); end $$;\n"
        "create rule r as on update to t do also (insert into t values (8, 'x'); select 1);\n"
        "savepoint s;\ninsert into t values (9, 'gone');\nrollback to s;\n"
        "insert into t values (g(), '-- ; /*');\n"
        "comment on table t is 'a;b';\n");
    assert_migrates("up", 0);
    assert_answer("select string_agg(id || s, '|' order by id) from t", "2-- ; /*|3it's; so");
}

/* --- several runs at once -------------------------------------------------------------------- */

static void test_migrate_two_runs_at_once_both_succeed(void **state)
{
    (void)state;
    for (int i = 1; i <= 6; i++) {
        char name[32];
        char text[128];
        (void)snprintf(name, sizeof name, "%04d_m.sql", i);
        (void)snprintf(text, sizeof text,
                       "-- migrate:up\ncreate table t%d (id int);\nselect pg_sleep(0.05);\n", i);
        put(name, text);
    }
    const pid_t a = start_migrate("up", "first");
    const pid_t b = start_migrate("up", "second");
    assert_int_equal(end_of(a), 0);
    assert_int_equal(end_of(b), 0);
    assert_answer(LEDGER, "0001_m,0002_m,0003_m,0004_m,0005_m,0006_m");
    for (int i = 1; i <= 6; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "applied %04d_m\n", i);
        const bool first = strstr(read_output("first"), line) != NULL;
        const bool second = strstr(read_output("second"), line) != NULL;
        assert_true(first != second);
    }
}

static void test_migrate_waits_for_another_run_and_says_so(void **state)
{
    (void)state;
    put_two();
    const holder h = start_holder("select pg_advisory_xact_lock(x'6272696f206d6967'::bigint)");
    const pid_t pid = start_migrate("up", "waiting");
    wait_for_output("waiting", "waiting for another run: process ");
    assert_answer(HAS_TABLE("a"), "false");
    end_holder(h);
    assert_int_equal(end_of(pid), 0);
    (void)read_output("waiting");
    assert_says("applied 0001_create_a\napplied 0002_create_b\n");
}

static void test_migrate_says_whose_lock_a_statement_waits_for(void **state)
{
    (void)state;
    (void)ask("create table busy (id int)");
    put("0001_alter.sql", "-- migrate:up\nalter table busy add column x int;\n");
    const holder h = start_holder("lock table busy in access share mode");
    const pid_t pid = start_migrate("up", "waiting");
    wait_for_output("waiting", "0001_alter waits for a lock on busy: process ");
    assert_says("idle in transaction");
    end_holder(h);
    assert_int_equal(end_of(pid), 0);
    (void)read_output("waiting");
    assert_says("applied 0001_alter\n");
}

/* --- the command line ------------------------------------------------------------------------ */

static void test_migrate_wrong_arguments_show_usage(void **state)
{
    (void)state;
    static const char *const WRONG[] = { "",         "upp", "up 1",    "status now",
                                         "down 1 2", "new", "new a b", "UP" };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        assert_migrates(WRONG[i], 2);
        assert_says("usage: migrate up | down [N] | status | new NAME");
    }
    static const char *const COUNTS[] = { "down 0", "down -1", "down x", "down 1x",
                                          "down 99999999999" };
    for (size_t i = 0; i < ARRAY_LEN(COUNTS); i++) {
        assert_migrates(COUNTS[i], 2);
        assert_says("is not a number from 1 to ");
    }
    static const char *const NAMES[] = { "new Create", "new a-b", "new ../a", "new a.sql" };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        assert_migrates(NAMES[i], 2);
        assert_says("a migration's name is of a-z, 0-9 and _");
    }
}

static void test_migrate_new_makes_the_next_file(void **state)
{
    (void)state;
    char made[160];
    put_two();
    assert_int_equal(unsetenv("DATABASE_URL"), 0); /* needs no database */
    assert_migrates("new add_tags", 0);
    (void)snprintf(made, sizeof made, "made %s/0003_add_tags.sql\n", here.dir);
    assert_string_equal(here.output, made);
    assert_string_equal(read_output("0003_add_tags.sql"), "-- migrate:up\n\n\n-- migrate:down\n\n");
    assert_int_equal(setenv("DATABASE_URL", here.url, 1), 0);
    assert_migrates("up", 1);
    assert_says("/0003_add_tags.sql:1: the section \"-- migrate:up\" is empty");
}

static void test_migrate_directory_from_the_environment_wins(void **state)
{
    (void)state;
    char other[128];
    put_two();
    (void)snprintf(other, sizeof other, "%s/other", here.dir);
    assert_int_equal(mkdir(other, 0700), 0);
    put("other/0001_only.sql", "-- migrate:up\nselect 1;\n");
    assert_int_equal(setenv("MIGRATIONS_DIR", other, 1), 0);
    assert_migrates("up", 0);
    assert_string_equal(here.output, "applied 0001_only\n");
}

static void test_migrate_directory_missing_fails(void **state)
{
    (void)state;
    assert_int_equal(setenv("MIGRATIONS_DIR", "/nowhere/at/all", 1), 0);
    assert_migrates("up", 1);
    assert_says("cannot open the directory of migrations /nowhere/at/all");
}

static void test_migrate_full_output_fails(void **state)
{
    (void)state;
    put_two();
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        end_with_parent();
        const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        if (full < 0 || dup2(full, 1) < 0)
            _exit(99);
        _exit(run_words("status"));
    }
    assert_int_equal(end_of(pid), 1);
}

static void test_migrate_without_a_server_fails(void **state)
{
    (void)state;
    put_two();
    assert_int_equal(setenv("DATABASE_URL", "postgres://a:b@/c?host=/nowhere", 1), 0);
    assert_migrates("up", 1);
    assert_says("PG_CONNECT_FAILED");
    assert_int_equal(setenv("DATABASE_URL", "nonsense", 1), 0);
    assert_migrates("status", 2);
}

static void test_migrate_notes_go_up_and_down(void **state)
{
    (void)state;
    assert_int_equal(setenv("MIGRATIONS_DIR", "migrations/notes", 1), 0);
    assert_migrates("up", 0);
    assert_says("applied 0001_create_accounts\napplied 0002_create_notes\n");
    assert_answer(
        "insert into accounts (email, password_hash) values ('a@b.c', 'x') returning role",
        "member");
    (void)ask("insert into notes (account_id, title, body) select id, 't', '' from accounts"
              " returning title");
    assert_answer("with gone as (delete from accounts returning 1) select count(*)::text from gone",
                  "1");
    assert_answer("select count(*)::text from notes", "0");
    assert_migrates("down 2", 0);
    assert_answer(HAS_TABLE("accounts"), "false");
}

int main(void)
{
#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_migrate_up_applies_all_pending_in_order),
        IN_PLACE(test_migrate_empty_directory_has_nothing_to_do),
        IN_PLACE(test_migrate_down_reverts_the_newest),
        IN_PLACE(test_migrate_down_past_the_first_is_refused),
        IN_PLACE(test_migrate_down_without_a_way_is_refused_as_a_whole),
        IN_PLACE(test_migrate_status_shows_each_with_its_state),
        IN_PLACE(test_migrate_status_shows_disagreement_and_fails),
        IN_PLACE(test_migrate_changed_file_is_refused),
        IN_PLACE(test_migrate_change_outside_the_up_section_is_good),
        IN_PLACE(test_migrate_missing_file_is_refused),
        IN_PLACE(test_migrate_late_file_is_refused_until_the_newer_is_reverted),
        IN_PLACE(test_migrate_bad_file_stops_all_before_the_first),
        IN_PLACE(test_migrate_strange_ledger_is_refused),
        IN_PLACE(test_migrate_failing_statement_leaves_nothing),
        IN_PLACE(test_migrate_failing_first_leaves_not_even_the_ledger),
        IN_PLACE(test_migrate_failing_commit_leaves_nothing),
        IN_PLACE(test_migrate_failing_down_leaves_all),
        IN_PLACE(test_migrate_lost_connection_leaves_nothing),
        IN_PLACE(test_migrate_killed_run_leaves_nothing),
        IN_PLACE(test_migrate_hidden_commit_is_found),
        IN_PLACE(test_migrate_settings_of_a_script_do_not_leak),
        IN_PLACE(test_migrate_runs_under_hostile_defaults),
        IN_PLACE(test_migrate_every_kind_of_statement_runs),
        IN_PLACE(test_migrate_two_runs_at_once_both_succeed),
        IN_PLACE(test_migrate_waits_for_another_run_and_says_so),
        IN_PLACE(test_migrate_says_whose_lock_a_statement_waits_for),
        IN_PLACE(test_migrate_wrong_arguments_show_usage),
        IN_PLACE(test_migrate_new_makes_the_next_file),
        IN_PLACE(test_migrate_directory_from_the_environment_wins),
        IN_PLACE(test_migrate_directory_missing_fails),
        IN_PLACE(test_migrate_full_output_fails),
        IN_PLACE(test_migrate_without_a_server_fails),
        IN_PLACE(test_migrate_notes_go_up_and_down),
    };
    const char *url = getenv("DATABASE_URL");
    if (!url || !*url) {
        (void)fprintf(stderr, "no DATABASE_URL\n");
        return 77;
    }
    (void)snprintf(here.server_url, sizeof here.server_url, "%s", url);
    return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}
