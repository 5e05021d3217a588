/* What a program does itself with a pool's connections: a password that is new each time, a session
 * of its own, a say in which are used. Functions, given in pg_pool_options.hooks:
 *
 *   static error use_token(pg_connection *c, pg_login *login)
 *   {
 *       return token_for(c->host, login->user, &login->password);
 *   }
 *   static error set_up(pg_connection *c, str *sql)
 *   {
 *       *sql = c->read_only ? STR("set jit = off") : STR("set jit = off; set role = writer");
 *       return OK;
 *   }
 *   static const pg_hooks HOOKS = { .before_connect = use_token, .after_connect = set_up };
 *   TRY(pg_pool_open(&(pg_pool_options){ .hooks = &HOOKS }, &db));
 *
 * Who only wants to know what happens takes pg/trace.h. A pool without hooks does one comparison in
 * each such place. */
#ifndef PG_HOOKS_H
#define PG_HOOKS_H

#include "core/error.h"
#include "core/str.h"

#include <stdbool.h>
#include <stdint.h>

#define PG_SETUP_BYTES_MAX 65536 /* of after_connect's text */

/* A connection, as hooks see it; the same one in all of them, from its first attempt to its end. */
typedef struct pg_connection {
    void *arg;        /* pg_hooks.arg */
    void *data;       /* the hooks' own; NULL at first */
    str host;         /* that it leads to, or that is being tried */
    uint16_t port;    /* of it */
    bool read_only;   /* of pg_read_only's lane */
    uint32_t process; /* the server's, as in pg_stat_activity; 0: not known yet */
} pg_connection;

/* Who asks a server for a session: what the connection string says, to be replaced. */
typedef struct pg_login {
    str user;
    str password; /* empty: none */
} pg_login;

/* Any of them may be NULL. */
typedef struct pg_hooks {
    /* A server is about to be asked, one call for each host that is tried, or only looked at. What
     * it puts into `login` must live until the connection is open: in fiber_arena(), say.
     *   yields  as it likes, up to PG_CONNECT_TIMEOUT; it is told to stop when the pool closes
     *   fails   with what it likes: the attempt ends, no other host is tried, and who waits is
     *           told as of any server that cannot be reached (PG_CONNECT_FAILED, with its text) */
    error (*before_connect)(pg_connection *c, pg_login *login);
    /* The server has let us in, and nobody uses the connection yet. Statements in `sql`, which is
     * STR_NONE at first and is copied, are run as psql would run them; and again whenever the pool
     * has taken back what a transaction left in the session, so that all find the same one. They
     * must not leave a transaction open, and not be refused: then the connection is closed.
     *   yields, fails  as before_connect */
    error (*after_connect)(pg_connection *c, str *sql);
    /* It is about to be given to a fiber, alone or with others. False: it is not; it ends when
     * nobody uses it, and another is looked for, or opened. A new one that is refused at once
     * counts as an attempt that failed, so that pauses grow. This and the following must not wait,
     * use the pool or set errors. */
    bool (*before_acquire)(pg_connection *c);
    /* A fiber has given it back, in good order. False: it is not used again. */
    bool (*after_release)(pg_connection *c);
    /* It ends, after it was open, for whatever reason: the last time that it is seen. */
    void (*before_close)(pg_connection *c);
    /* What the private key in `key_file`, of our certificate, is encrypted with, where sslpassword
     * does not say it: asked by pg_pool_open, once, of a pool that may show one. It must not wait.
     * `password`, which is STR_NONE at first (not encrypted), is used until pg_pool_open returns,
     * and not kept.
     *   fails  with what it likes: pg_pool_open fails with PG_CONNINFO_INVALID and its text */
    error (*key_password)(void *arg, str key_file, str *password);
    void *arg;
} pg_hooks;

#endif
