/* Who has the pool's connections. A transaction's fiber holds its connection alone; of a shared one
 * the fiber whose statement is being run. What it runs, or has run last, is the statement most
 * recently found in the connection's cache, so nothing is kept for this. */
#include "holder.h"

#include "budget.h"
#include "hub.h"

#include <stdarg.h>
#include <stdio.h>

#define HOLDERS_MAX   3
#define SQL_BYTES_MAX 48

typedef struct holder {
    const pg_conn *conn;
    const fiber *fiber; /* NULL: it has gone, and the server still works for it */
    uint64_t since_ms;
} holder;

typedef struct text {
    char *at;
    size_t left;
} text;

static void add(text *t, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int bytes = vsnprintf(t->at, t->left, format, arguments);
    va_end(arguments);
    const size_t added = bytes < 0 ? 0 : (size_t)bytes < t->left ? (size_t)bytes : t->left - 1;
    t->at += added;
    t->left -= added;
}

/* White space of any length is one space: statements are written over several lines. */
static void add_sql(text *t, str sql)
{
    char shown[SQL_BYTES_MAX];
    size_t n = 0, i = 0;
    for (; i < sql.len && n < sizeof shown; i++) {
        const char c = (unsigned char)sql.ptr[i] <= ' ' ? ' ' : sql.ptr[i];
        if (c != ' ' || (n > 0 && shown[n - 1] != ' '))
            shown[n++] = c;
    }
    while (i < sql.len && n > 0 && ((unsigned char)shown[n - 1] & 0x80))
        n--; /* not a part of a character */
    add(t, ", %.*s%s", (int)n, shown, i < sql.len ? "…" : "");
}

static void add_statement(text *t, const pg_conn *c)
{
    const pg_request *r = pg_request_oldest(c);
    if (r && r->kind == PG_REQUEST_SCRIPT)
        add(t, ", a script");
    else if (r && r->kind == PG_REQUEST_COPY)
        add(t, ", COPY");
    else if (r && r->statement)
        add_sql(t, r->statement->sql);
    else if (!list_is_empty(&c->statements.used))
        add_sql(t, CONTAINER_OF(c->statements.used.head.next, pg_statement, used)->sql);
}

static bool holder_of(const pg_conn *c, holder *out)
{
    const pg_request *r = pg_request_oldest(c);
    if (c->state != PG_CONN_READY || pg_hub_has(c) || c->resetting || (!c->lessee && !r))
        return false;
    *out = c->lessee ? (holder){ c, c->lessee, c->leased_since_us / 1000 }
                     : (holder){ c, r->fiber, r->since_us / 1000 };
    return true;
}

/* Puts it where it belongs among those held longest; returns how many there are now. */
static size_t insert(holder *longest, size_t count, const holder *h)
{
    size_t i = count < HOLDERS_MAX ? count++ : HOLDERS_MAX;
    for (; i > 0 && longest[i - 1].since_ms > h->since_ms; i--) {
        if (i < HOLDERS_MAX)
            longest[i] = longest[i - 1];
    }
    if (i < HOLDERS_MAX)
        longest[i] = *h;
    return count;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): written by way of `t` */
void pg_holders_describe(const pg_pool *pool, char out[PG_HOLDERS_BYTES])
{
    holder longest[HOLDERS_MAX], h;
    size_t count = 0;
    text t = { out, PG_HOLDERS_BYTES };
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (holder_of(c, &h))
            count = insert(longest, count, &h);
    }
    add(&t, "%u connections open, %u leased, %u fibers wait", pool->open, pool->leased,
        pool->waiting);
    if (pg_budget_is_short(pool))
        add(&t, "; all workers together have PG_CONNECTIONS_MAX, %u", pool->process_max);
    for (size_t i = 0; i < count; i++) {
        const fiber *f = longest[i].fiber;
        const char *about = f ? fiber_about(f) : NULL;
        add(&t, "%s%s%s%s %llu ms", i == 0 ? "; longest: " : "; ",
            f ? fiber_name(f) : "a fiber that has gone", about ? " " : "", about ? about : "",
            (unsigned long long)(loop_now_ms(pool->loop) - longest[i].since_ms));
        if (longest[i].conn->lessee && longest[i].conn->leased_at)
            add(&t, " (%s)", longest[i].conn->leased_at);
        add_statement(&t, longest[i].conn);
    }
}
