/* What the client sends: messages as they come, and the requests that they are. Those are noted at
 * once; the work is done later, one message at a time (walk_backend.c). */
#include "walk_server.h"

#include <stdio.h>

static walk_statement *statement(walk_backend *b, str name, bool makes)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.ptr[i]) * 16777619U;
    for (uint32_t i = hash;; i++) {
        walk_statement *s = &b->statements[i % WALK_STATEMENTS];
        if (str_eq(str_from_c(s->name), name) && (s->name[0] || s->sql[0]))
            return s;
        if (s->name[0] || s->sql[0])
            continue;
        if (!makes)
            return NULL;
        b->statement_count++;
        (void)snprintf(s->name, sizeof s->name, "%.*s", STR_ARG(name));
        return s;
    }
}

static walk_portal *portal(walk_backend *b, str name)
{
    if (name.len == 0)
        return &b->portals[0];
    for (size_t i = 1; i < WALK_PORTALS; i++) {
        walk_portal *p = &b->portals[i];
        if (p->live && str_eq(str_from_c(p->name), name))
            return p;
    }
    return NULL;
}

walk_portal *walk_backend_portal(walk_backend *b, str name)
{
    return portal(b, name);
}

walk_statement *walk_backend_statement(walk_backend *b, str name)
{
    return statement(b, name, false);
}

static walk_request *latest(walk_backend *b)
{
    return &b->requests[(b->next - 1) % WALK_REQUESTS];
}

static walk_request *begin_request(walk_backend *b, pg_request_kind kind, const char *sql,
                                   uint64_t tag)
{
    if (b->next - b->first == WALK_REQUESTS)
        walk_problem("a backend has been asked for %d things", WALK_REQUESTS);
    walk_request *r = &b->requests[b->next++ % WALK_REQUESTS];
    *r = (walk_request){ .kind = kind,
                         .tag = tag,
                         .begun_at = WALK_NEVER,
                         .done_at = WALK_NEVER,
                         .ends_at = WALK_NEVER };
    (void)snprintf(r->sql, sizeof r->sql, "%s", sql);
    b->group_open = true;
    if (tag)
        walk_heard_request(tag, b, b->next - 1);
    return r;
}

/* The values that every statement of the walk has: a tag, a number of rows, a fate. */
static bool read_values(pg_reader *r, walk_portal *p)
{
    const uint16_t formats = pg_reader_u16(r);
    for (uint16_t i = 0; i < formats; i++)
        (void)pg_reader_u16(r);
    const uint16_t count = pg_reader_u16(r);
    p->tag = 0;
    p->rows = 0;
    p->fate = WALK_FINE;
    if (count == 0)
        return !r->failed;
    if (count != 3 || pg_reader_u32(r) != 8)
        return false;
    p->tag = (uint64_t)pg_reader_i64(r);
    if (pg_reader_u32(r) != 4)
        return false;
    p->rows = pg_reader_u32(r);
    if (pg_reader_u32(r) != 4)
        return false;
    p->fate = (walk_fate)pg_reader_u32(r);
    return !r->failed;
}

/* Reads a Bind: name of the portal, and what it is for. */
bool walk_read_bind(walk_backend *b, const walk_message *m, walk_portal *out)
{
    pg_reader r = pg_reader_of((str){ m->body, m->len });
    const str name = pg_reader_cstring(&r);
    const str of = pg_reader_cstring(&r);
    const walk_statement *s = statement(b, of, false);
    *out = (walk_portal){ 0 };
    (void)snprintf(out->name, sizeof out->name, "%.*s", STR_ARG(name));
    if (s)
        (void)snprintf(out->sql, sizeof out->sql, "%s", s->sql);
    return s && read_values(&r, out);
}

static bool is_begin(const char *sql)
{
    return strncmp(sql, "begin", 5) == 0;
}

static bool came_parse(walk_backend *b, const walk_message *m)
{
    pg_reader r = pg_reader_of((str){ m->body, m->len });
    const str name = pg_reader_cstring(&r), sql = pg_reader_cstring(&r);
    if (r.failed || b->statement_count > WALK_STATEMENTS - 8)
        return false;
    walk_statement *s = statement(b, name, true);
    const char *comment = memmem(sql.ptr, sql.len, " /* again", 9); /* see rewording.h */
    (void)snprintf(s->sql, sizeof s->sql, "%.*s", comment ? (int)(comment - sql.ptr) : (int)sql.len,
                   sql.ptr);
    return true;
}

static bool came_describe(walk_backend *b, walk_message *m)
{
    pg_reader r = pg_reader_of((str){ m->body, m->len });
    const bool of_statement = pg_reader_u8(&r) == 'S';
    const walk_statement *s = statement(b, pg_reader_cstring(&r), false);
    if (!of_statement || !s)
        return false;
    begin_request(b, PG_REQUEST_PREPARE, s->sql, 0);
    m->request = b->next - 1;
    return true;
}

/* What is bound to the unnamed portal now is what the next Execute runs. */
static bool came_bind(walk_backend *b, const walk_message *m)
{
    walk_portal bound;
    if (!walk_read_bind(b, m, &bound))
        return false;
    walk_portal *at = portal(b, str_from_c(bound.name));
    for (size_t i = 1; !at && i < WALK_PORTALS; i++) {
        if (!b->portals[i].live)
            at = &b->portals[i];
    }
    if (!at)
        return false;
    bound.live = true;
    *at = bound;
    return true;
}

static void came_execute_of(walk_backend *b, walk_message *m, const walk_portal *p, bool partly)
{
    uint64_t tag = p->tag;
    if (strcmp(p->sql, "commit") == 0)
        tag = b->commit_tag;
    walk_request *r = begin_request(b, PG_REQUEST_QUERY, p->sql, tag);
    walk_note("  %u <- %s (%llu)\n", b->process, p->sql, (unsigned long long)tag);
    r->begins = b->begin_pending;
    r->partly = partly;
    b->begin_pending = false;
    m->request = b->next - 1;
}

static bool came_execute(walk_backend *b, walk_message *m)
{
    pg_reader r = pg_reader_of((str){ m->body, m->len });
    const walk_portal *p = portal(b, pg_reader_cstring(&r));
    const bool partly = pg_reader_u32(&r) > 0;
    if (!p || b->begin_pending > is_begin(p->sql) + 1)
        return false;
    if (is_begin(p->sql)) { /* whose it is, the next message tells */
        b->begin_pending = true;
        m->request = b->next;
        return true;
    }
    came_execute_of(b, m, p, partly);
    return true;
}

static bool came_sync(walk_backend *b, walk_message *m)
{
    if (b->begin_pending) { /* alone */
        begin_request(b, PG_REQUEST_QUERY, b->portals[0].sql, 0);
        b->begin_pending = false;
    }
    if (!b->group_open)
        return false;
    latest(b)->syncs = true;
    b->group_open = false;
    m->request = b->next - 1;
    return true;
}

/* What a transaction has changed in its session is taken back: nobody's request. */
bool walk_is_reset(const char *sql)
{
    return strncmp(sql, "reset session authorization", 27) == 0 ||
           strncmp(sql, "discard temp", 12) == 0;
}

static bool came_query(walk_backend *b, walk_message *m)
{
    char sql[WALK_SQL_BYTES], word[16] = "";
    unsigned long long tag = 0;
    (void)snprintf(sql, sizeof sql, "%.*s", (int)m->len, m->body);
    if (!walk_is_reset(sql) && sscanf(sql, "%15s %llu", word, &tag) != 2)
        return false;
    const bool copies = strncmp(word, "copy", 4) == 0;
    walk_request *r = begin_request(b, copies ? PG_REQUEST_COPY : PG_REQUEST_SCRIPT, sql, tag);
    r->syncs = true;
    b->group_open = false;
    m->request = b->next - 1;
    return true;
}

static bool came(walk_backend *b, walk_message *m)
{
    switch (m->type) {
    case 'P':
        return came_parse(b, m);
    case 'D':
        return came_describe(b, m);
    case 'B':
        return came_bind(b, m);
    case 'E':
        return came_execute(b, m);
    case 'S':
        return came_sync(b, m);
    case 'Q':
        return came_query(b, m);
    case 'C':
    case 'd':
    case 'c':
    case 'f':
        return true;
    case 'X':
        b->asked_to_leave = true;
        return true;
    default:
        return false;
    }
}

void walk_backend_take(walk_backend *b)
{
    for (;;) {
        const str all = buf_str(&b->in);
        if (all.len < 5)
            return;
        const uint32_t len = pg_get32(all.ptr + 1);
        if (all.len < len + 1)
            return;
        walk_message *m = &b->messages[b->came % WALK_MESSAGES];
        if (len - 4 > sizeof m->body || b->came - b->worked == WALK_MESSAGES) {
            walk_problem("a message '%c' of %u bytes is more than the walk makes", all.ptr[0], len);
            return;
        }
        *m = (walk_message){ .type = all.ptr[0], .len = len - 4, .request = WALK_NEVER };
        memcpy(m->body, all.ptr + 5, m->len);
        buf_consume(&b->in, len + 1);
        b->came++;
        walk_note("  %u <- %c %.*s\n", b->process, m->type, (int)m->len, m->body);
        if (!came(b, m))
            walk_problem("the client sends '%c' where it makes no sense", m->type);
    }
}
