/* Calling hooks: those about connecting on the opener's fiber, with a deadline and a way to be told
 * that the pool closes; the others between two steps of the pool, where nothing may wait. */
#include "hooks.h"

#include "opener.h"
#include "upkeep.h"

#include "core/memory.h"

#include <string.h>

/* What a hook sees of it. */
static pg_connection *show(pg_conn *c)
{
    c->seen.arg = c->pool->hooks->arg;
    c->seen.host = pg_host_text(c->host);
    c->seen.port = c->host->port;
    c->seen.read_only = c->read_only;
    c->seen.process = c->cancel.process;
    return &c->seen;
}

/* One call of a hook that may wait. */
typedef struct call {
    pg_conn *conn;
    pg_login *login;
    str *sql;
} call;

static error call_before(void *arg)
{
    const call *k = arg;
    return k->conn->pool->hooks->before_connect(show(k->conn), k->login);
}

static error call_after(void *arg)
{
    const call *k = arg;
    return k->conn->pool->hooks->after_connect(show(k->conn), k->sql);
}

static error failed(error e, const error_kind *kind, const char *hook)
{
    const error_detail *detail = error_detail_of(e);
    return error_wrap(e, kind, "%s: %.*s", hook,
                      STR_ARG(detail ? detail->text : str_from_c(e.kind->name)));
}

static error run(call *k, error (*fn)(void *arg), const char *hook)
{
    pg_conn *c = k->conn;
    c->in_hook = true;
    const error e =
        scope_call(&(scope_options){ .deadline_ms = c->pool->info.connect_timeout_ms }, fn, k);
    c->in_hook = false;
    if (c->state != PG_CONN_OPENING)
        return error_set(&PG_POOL_CLOSED, "the pool was closed");
    /* The other hosts have the same hooks: what fails here is nobody's who is tried. */
    return e.kind ? failed(e, &PG_AUTH_FAILED, hook) : OK;
}

error pg_hooks_before_connect(pg_conn *c)
{
    pg_login login = c->login;
    if (!c->pool->hooks->before_connect)
        return OK;
    TRY(run(&(call){ .conn = c, .login = &login }, call_before, "before_connect"));
    if (login.user.len == 0 || str_index(login.user, '\0') < login.user.len ||
        str_index(login.password, '\0') < login.password.len)
        return error_set(&PG_AUTH_FAILED, "before_connect: no user, or a NUL in it or in the "
                                          "password");
    c->login = login;
    return OK;
}

error pg_hooks_after_connect(pg_conn *c)
{
    str sql = STR_NONE;
    if (!c->pool->hooks->after_connect)
        return OK;
    TRY(run(&(call){ .conn = c, .sql = &sql }, call_after, "after_connect"));
    if (sql.len > PG_SETUP_BYTES_MAX || str_index(sql, '\0') < sql.len)
        return error_set(&PG_AUTH_FAILED, "after_connect: a NUL in its SQL, or over %d bytes",
                         PG_SETUP_BYTES_MAX);
    if (sql.len == 0)
        return OK;
    char *copy = memory_new(1, sql.len);
    if (!copy)
        return error_set(&OUT_OF_MEMORY, "no memory for a session's setup");
    memcpy(copy, sql.ptr, sql.len);
    memory_free((void *)(uintptr_t)c->setup.ptr); /* of another host, or another way there */
    c->setup = (str){ copy, sql.len };
    return OK;
}

/* What stands between the two must not wait; on the loop nothing can. */
static void no_yield_begin(void)
{
    if (fiber_self())
        fiber_no_yield_begin();
}

static void no_yield_end(void)
{
    if (fiber_self())
        fiber_no_yield_end();
}

bool pg_hooks_before_acquire(pg_conn *c)
{
    const pg_hooks *hooks = c->pool->hooks;
    if (!hooks->before_acquire)
        return true;
    no_yield_begin();
    const bool may = hooks->before_acquire(show(c));
    no_yield_end();
    if (may)
        return true;
    if (!c->given)
        pg_opener_refused(c->pool, "before_acquire refused a new connection");
    pg_upkeep_retire(c, "before_acquire refused it");
    return false;
}

bool pg_hooks_after_release(pg_conn *c)
{
    const pg_hooks *hooks = c->pool->hooks;
    if (!hooks->after_release || c->state != PG_CONN_READY)
        return true;
    no_yield_begin();
    const bool may = hooks->after_release(show(c));
    no_yield_end();
    return may;
}

void pg_hooks_before_close(pg_conn *c)
{
    const pg_hooks *hooks = c->pool->hooks;
    if (!hooks->before_close)
        return;
    no_yield_begin();
    hooks->before_close(show(c));
    no_yield_end();
}

error pg_hooks_key_password(const pg_hooks *hooks, str key_file, str *password)
{
    if (!hooks->key_password)
        return OK;
    no_yield_begin();
    const error e = hooks->key_password(hooks->arg, key_file, password);
    no_yield_end();
    return e.kind ? failed(e, &PG_CONNINFO_INVALID, "key_password") : OK;
}
