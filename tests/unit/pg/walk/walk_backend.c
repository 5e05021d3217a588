/* A backend at work: one message of the client's at a time, as PostgreSQL takes them.
 *
 * Statements are of a language of the walk's own: "rows 7" gives as many rows as its second
 * parameter says, each with the tag that is its first; "wide 7" the same, of 40 kB each; "update 7"
 * has an effect that is there when its transaction commits; "returning 7" has both; "bad 7" is
 * refused when it is parsed; the third parameter says how it ends. Many rows are said in pieces,
 * between which anything may come. The words of transactions are SQL's own. */
#include "walk_work.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_ROWS 6 /* that are said at once */

static walk_request *request_of(walk_backend *b, const walk_message *m)
{
    return &b->requests[m->request % WALK_REQUESTS];
}

static bool starts(const char *sql, const char *with)
{
    return strncmp(sql, with, strlen(with)) == 0;
}

void walk_say_empty(walk_backend *b, char type)
{
    walk_backend_say(b, type, STR(""));
}

/* --- effects ---------------------------------------------------------------------------------- */

static void drop_portals(walk_backend *b)
{
    for (size_t i = 1; i < WALK_PORTALS; i++)
        b->portals[i].live = false;
}

static void end_effects(walk_backend *b, uint32_t from, bool stay)
{
    for (uint32_t i = from; i < b->effect_count; i++)
        walk_heard_effect(b->effects[i], stay);
    b->effect_count = from;
}

static void end_transaction(walk_backend *b, bool commits)
{
    end_effects(b, 0, commits);
    b->savepoint_count = 0;
    b->tx_status = 'I';
    b->tx_reads = false;
    drop_portals(b);
}

/* --- ends of requests ------------------------------------------------------------------------- */

void walk_request_done(walk_backend *b, uint64_t id, walk_verdict verdict)
{
    walk_request *r = &b->requests[id % WALK_REQUESTS];
    r->verdict = verdict;
    r->done_at = b->said;
    if (!r->syncs)
        r->ends_at = b->said;
    walk_heard_verdict(b, id);
}

static void say_error(walk_backend *b, const char *state)
{
    char body[64];
    const int len = snprintf(body, sizeof body, "SERROR%cVERROR%cC%s%cMwalk%c", 0, 0, state, 0, 0);
    walk_backend_say(b, 'E', (str){ body, (size_t)len + 1 });
}

void walk_request_ready(walk_backend *b, walk_request *r)
{
    walk_backend_say(b, 'Z', (str){ &b->tx_status, 1 });
    r->status = b->tx_status;
    r->ends_at = b->said;
}

/* The rest of a group is passed over. */
static void skip_rest(walk_backend *b, uint64_t id)
{
    while (!b->requests[id % WALK_REQUESTS].syncs && id + 1 < b->next) {
        id++;
        walk_request_done(b, id, WALK_SKIPPED);
    }
}

void walk_request_failed(walk_backend *b, uint64_t id, const char *state)
{
    walk_request *r = &b->requests[id % WALK_REQUESTS];
    say_error(b, state);
    (void)snprintf(r->state, sizeof r->state, "%s", state);
    walk_request_done(b, id, WALK_FAILED);
    skip_rest(b, id);
    b->group_failed = true;
    b->interrupted = false;
    b->running = WALK_NEVER;
    if (b->tx_status == 'T')
        b->tx_status = 'E';
    else if (b->tx_status == 'I')
        end_effects(b, 0, false);
}

static bool is_way_out(const char *sql)
{
    return strcmp(sql, "commit") == 0 || starts(sql, "rollback");
}

/* --- statements ------------------------------------------------------------------------------- */

void walk_say_tag(walk_backend *b, const char *tag)
{
    walk_backend_say(b, 'C', (str){ tag, strlen(tag) + 1 });
}

bool walk_has_rows(const char *sql)
{
    return starts(sql, "rows") || starts(sql, "wide") || starts(sql, "returning");
}

static void say_rows(walk_backend *b, walk_portal *p, uint32_t count)
{
    static char row[26 + WALK_WIDE_BYTES];
    const bool is_wide = starts(p->sql, "wide");
    for (uint32_t i = 0; i < count; i++) {
        char *at = pg_put16(row, is_wide ? 3 : 2);
        at = pg_put64(pg_put32(at, 8), p->tag);
        at = pg_put32(pg_put32(at, 4), p->given++);
        if (is_wide)
            memset(pg_put32(at, WALK_WIDE_BYTES), 'w', WALK_WIDE_BYTES);
        walk_backend_say(b, 'D', (str){ row, is_wide ? sizeof row : 22 });
    }
}

static bool is_read_only(const walk_backend *b)
{
    return b->read_only || b->tx_reads;
}

static void note_effect(walk_backend *b, uint64_t tag)
{
    if (b->effect_count == WALK_EFFECTS)
        walk_problem("a transaction of more than %d statements", WALK_EFFECTS);
    else
        b->effects[b->effect_count++] = tag;
}

static void end_rows(walk_backend *b, uint64_t id, const walk_portal *p, bool suspends)
{
    b->running = WALK_NEVER;
    if (p->fate == WALK_FAILS_WITH_ROWS) {
        walk_request_failed(b, id, "22012");
        return;
    }
    if (suspends) {
        walk_say_empty(b, 's');
        walk_request_done(b, id, WALK_SUSPENDED);
        return;
    }
    if (starts(p->sql, "returning"))
        note_effect(b, p->tag);
    walk_say_tag(b, "SELECT 1");
    walk_request_done(b, id, WALK_DONE);
}

static void say_piece(walk_backend *b)
{
    const uint32_t piece = b->runs_left < b->runs_piece ? b->runs_left : b->runs_piece;
    say_rows(b, b->runs, piece);
    b->runs_left -= piece;
    if (b->runs_left == 0)
        end_rows(b, b->running, b->runs, b->runs_suspends);
}

static void run_rows(walk_backend *b, uint64_t id, walk_portal *p, uint32_t rows_max)
{
    const uint32_t left = p->rows - p->given;
    const uint32_t most = rows_max > 0 && rows_max < left ? rows_max : left;
    const uint32_t count = p->fate == WALK_FAILS_WITH_ROWS ? most / 2 : most;
    if (starts(p->sql, "returning") && is_read_only(b)) {
        walk_request_failed(b, id, "25006");
        return;
    }
    b->running = id;
    b->runs = p;
    b->runs_left = count;
    b->runs_piece = count > PIECE_ROWS ? 1 + count / 4 : PIECE_ROWS;
    b->runs_suspends = rows_max > 0 && most == rows_max;
    say_piece(b);
}

static void run_on(walk_backend *b)
{
    if (b->interrupted)
        walk_request_failed(b, b->running, "57014");
    else
        say_piece(b);
}

static void run_update(walk_backend *b, uint64_t id, const walk_portal *p)
{
    char tag[32];
    if (is_read_only(b)) {
        walk_request_failed(b, id, "25006");
        return;
    }
    note_effect(b, p->tag);
    (void)snprintf(tag, sizeof tag, "UPDATE %u", p->rows);
    walk_say_tag(b, tag);
    walk_request_done(b, id, WALK_DONE);
}

static void commit(walk_backend *b, uint64_t id)
{
    const bool keeps = b->tx_status == 'T';
    if (b->tx_status == 'I')
        walk_problem("connection %u: COMMIT, and nothing has begun", b->process);
    if (keeps && b->commit_fails) {
        end_transaction(b, false);
        walk_request_failed(b, id, "40001");
        return;
    }
    end_transaction(b, keeps);
    walk_say_tag(b, keeps ? "COMMIT" : "ROLLBACK");
    b->requests[id % WALK_REQUESTS].rolled_back = !keeps;
    walk_request_done(b, id, WALK_DONE);
}

/* The place of the savepoint that the statement names, or WALK_SAVEPOINTS. */
static uint32_t savepoint(const walk_backend *b, const char *sql)
{
    const uint32_t name = (uint32_t)strtoul(strrchr(sql, 's') + 1, NULL, 10);
    for (uint32_t i = b->savepoint_count; i-- > 0;) {
        if (b->savepoints[i].name == name)
            return i;
    }
    return WALK_SAVEPOINTS;
}

/* Returns whether it makes sense. */
static bool run_savepoint(walk_backend *b, const char *sql)
{
    if (starts(sql, "savepoint") && b->savepoint_count < WALK_SAVEPOINTS) {
        b->savepoints[b->savepoint_count++] =
            (walk_savepoint){ (uint32_t)strtoul(strrchr(sql, 's') + 1, NULL, 10), b->effect_count };
        return true;
    }
    const uint32_t at = savepoint(b, sql);
    if (at >= b->savepoint_count)
        return false;
    if (starts(sql, "rollback to")) {
        end_effects(b, b->savepoints[at].effects, false);
        b->savepoint_count = at + 1;
        b->tx_status = 'T';
    } else {
        b->savepoint_count = at;
    }
    return true;
}

/* "listen \"c1\"", "unlisten \"c1\"", and what the listening connection asks now and then. */
static bool run_listening(walk_backend *b, const char *sql)
{
    const char *name = strchr(sql, '"');
    if (strcmp(sql, "select 1") == 0)
        return true;
    if (!name || !strstr(sql, "listen") || name[2] < '0' || name[2] >= '0' + WALK_CHANNELS)
        return false;
    b->listens[name[2] - '0'] = sql[0] == 'l';
    return true;
}

void walk_notify(uint32_t channel)
{
    char body[32] = { 0, 0, 0, 7 };
    const int len = snprintf(body + 4, sizeof body - 4, "c%u%c%llu", channel, 0,
                             (unsigned long long)++the_server->notified[channel]);
    for (size_t i = 0; i < WALK_BACKENDS; i++) {
        walk_backend *b = &the_server->backends[i];
        if (b->stage == WALK_SERVING && b->listens[channel])
            walk_backend_say(b, 'A', (str){ body, 4 + (size_t)len + 1 });
    }
}

static void run_word(walk_backend *b, uint64_t id, const walk_portal *p)
{
    if (strcmp(p->sql, "commit") == 0) {
        commit(b, id);
        return;
    }
    if (strcmp(p->sql, "rollback") == 0) {
        end_transaction(b, false);
    } else if (!run_listening(b, p->sql) && !run_savepoint(b, p->sql)) {
        walk_request_failed(b, id, "3B001");
        return;
    }
    walk_say_tag(b, "WORD");
    walk_request_done(b, id, WALK_DONE);
}

/* BEGIN, alone or before a statement. */
static void run_begin(walk_backend *b, uint64_t id, const char *sql)
{
    walk_request *r = &b->requests[id % WALK_REQUESTS];
    b->tx_status = 'T';
    b->tx_reads = strstr(sql, "read only") != NULL;
    walk_say_tag(b, "BEGIN");
    r->begun_at = b->said;
    if (!r->begins)
        walk_request_done(b, id, WALK_DONE);
}

static void run_statement(walk_backend *b, uint64_t id, walk_portal *p, uint32_t rows_max)
{
    if (b->tx_status == 'E' && !is_way_out(p->sql))
        walk_request_failed(b, id, "25P02");
    else if (p->fate == WALK_FAILS_AT_ONCE)
        walk_request_failed(b, id, "23505");
    else if (p->fate == WALK_FAILS_TO_SERIALIZE)
        walk_request_failed(b, id, "40001");
    else if (p->fate == WALK_FAILS_INSIDE)
        walk_request_failed(b, id, "26000");
    else if (walk_has_rows(p->sql))
        run_rows(b, id, p, rows_max);
    else if (starts(p->sql, "update"))
        run_update(b, id, p);
    else
        run_word(b, id, p);
}

static void work_execute(walk_backend *b, const walk_message *m)
{
    pg_reader r = pg_reader_of((str){ m->body, m->len });
    const str name = pg_reader_cstring(&r);
    const uint32_t rows_max = pg_reader_u32(&r);
    walk_portal *p = name.len > 0 ? walk_backend_portal(b, name) : &b->portal;
    if (!p || !p->live) {
        walk_request_failed(b, m->request, "34000");
        return;
    }
    if (starts(p->sql, "begin"))
        run_begin(b, m->request, p->sql);
    else
        run_statement(b, m->request, p, rows_max);
}

/* --- Parse, Bind ------------------------------------------------------------------------------ */

/* Which request a message is about that has none of its own: the one that comes next. */
static uint64_t request_behind(const walk_backend *b)
{
    for (uint64_t i = b->worked; i < b->came; i++) {
        const walk_message *m = &b->messages[i % WALK_MESSAGES];
        if (m->request != WALK_NEVER)
            return m->request;
    }
    return WALK_NEVER;
}

static void work_parse(walk_backend *b, const walk_message *m)
{
    pg_reader r = pg_reader_of((str){ m->body, m->len });
    walk_statement *s = walk_backend_statement(b, pg_reader_cstring(&r));
    const uint64_t id = request_behind(b);
    s->closed = false; /* one that is refused is closed too: a pooler may know its name */
    if (b->tx_status == 'E' && !is_way_out(s->sql)) {
        walk_request_failed(b, id, "25P02");
    } else if (starts(s->sql, "bad")) {
        walk_request_failed(b, id, "42601");
    } else if (s->live && s->name[0]) {
        walk_problem("statement %s is prepared twice", s->name);
    } else {
        s->live = true;
        walk_say_empty(b, '1');
    }
}

static void say_columns(walk_backend *b, bool is_wide)
{
    static const char COLUMNS[] =
        "\0\2"
        "tag\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\0"
        "seq\0\0\0\0\0\0\0\0\0\0\27\0\4\377\377\377\377\0\0"
        "all\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0"; /* if it is wide */
    char body[sizeof COLUMNS - 1];
    memcpy(body, COLUMNS, sizeof body);
    body[1] = is_wide ? 3 : 2;
    walk_backend_say(b, 'T', (str){ body, is_wide ? sizeof body : sizeof body - 22 });
}

static void work_describe(walk_backend *b, const walk_message *m)
{
    const walk_request *r = request_of(b, m);
    const walk_statement *s = walk_backend_statement(b, (str){ m->body + 1, m->len - 2 });
    if (!s->live) {
        walk_request_failed(b, m->request, "26000");
        return;
    }
    walk_backend_say(b, 't', (str){ "\0\0", 2 });
    if (walk_has_rows(r->sql))
        say_columns(b, starts(r->sql, "wide"));
    else
        walk_say_empty(b, 'n');
    walk_request_done(b, m->request, WALK_DONE);
}

static void work_bind(walk_backend *b, const walk_message *m)
{
    pg_reader r = pg_reader_of((str){ m->body, m->len });
    (void)pg_reader_cstring(&r);
    const walk_statement *s = walk_backend_statement(b, pg_reader_cstring(&r));
    const uint64_t id = request_behind(b);
    walk_portal p;
    (void)walk_read_bind(b, m, &p);
    if (!s->live) {
        walk_request_failed(b, id, "26000");
    } else if (b->tx_status == 'E' && !is_way_out(p.sql)) {
        walk_request_failed(b, id, "25P02");
    } else if (p.fate == WALK_FAILS_AT_BIND) {
        walk_request_failed(b, id, "22P02");
    } else {
        p.live = true;
        if (!p.name[0])
            b->portal = p;
        if (!starts(p.sql, "begin"))
            b->requests[id % WALK_REQUESTS].bound = true;
        walk_say_empty(b, '2');
    }
}

static void work_close(walk_backend *b, const walk_message *m)
{
    pg_reader r = pg_reader_of((str){ m->body, m->len });
    const bool of_statement = pg_reader_u8(&r) == 'S';
    const str name = pg_reader_cstring(&r);
    walk_statement *s = of_statement ? walk_backend_statement(b, name) : NULL;
    walk_portal *p = of_statement ? NULL : walk_backend_portal(b, name);
    if (s && s->closed)
        walk_problem("statement %s is closed twice", s->name);
    if (s) {
        s->live = false;
        s->closed = true;
    }
    if (p)
        p->live = false;
    walk_say_empty(b, '3');
}

static void work_sync(walk_backend *b, const walk_message *m)
{
    if (b->tx_status == 'I') {
        end_effects(b, 0, !b->group_failed);
        drop_portals(b);
    }
    b->group_failed = false;
    walk_request_ready(b, request_of(b, m));
}

/* --- all of it -------------------------------------------------------------------------------- */

bool walk_backend_busy(const walk_backend *b)
{
    return b->stage == WALK_SERVING && (b->running != WALK_NEVER || b->worked < b->came);
}

static void work(walk_backend *b, const walk_message *m)
{
    if (b->group_failed && !strchr("SXdcf", m->type))
        return;
    if (b->copying != WALK_NEVER && !strchr("Xdcf", m->type)) {
        if (m->type != 'S')
            walk_simple_failed(b, b->copying, "08P01"); /* it is not read again */
        return;
    }
    const uint64_t id = m->request != WALK_NEVER ? m->request : request_behind(b);
    if (b->interrupted && strchr("DBE", m->type) && id != WALK_NEVER) {
        walk_request_failed(b, id, "57014");
        return;
    }
    switch (m->type) {
    case 'P':
        work_parse(b, m);
        break;
    case 'D':
        work_describe(b, m);
        break;
    case 'B':
        work_bind(b, m);
        break;
    case 'E':
        work_execute(b, m);
        break;
    case 'S':
        work_sync(b, m);
        break;
    case 'C':
        work_close(b, m);
        break;
    case 'Q':
        walk_work_query(b, m);
        break;
    case 'X':
        walk_backend_leave(b, false);
        break;
    default:
        walk_work_copy(b, m);
    }
}

void walk_backend_work(walk_backend *b)
{
    if (b->running != WALK_NEVER)
        run_on(b);
    else
        work(b, &b->messages[b->worked++ % WALK_MESSAGES]);
    if (b->copying == WALK_NEVER && b->running == WALK_NEVER)
        b->interrupted = false; /* before the next message is read */
}
