/* LISTEN and NOTIFY: what other sessions tell.
 *
 *   pg_listener *l;
 *   TRY(pg_listen(db, STR("orders"), &l));
 *   for (;;) {
 *       pg_notification n;
 *       TRY(pg_listener_next(l, &n));
 *       if (n.gap)
 *           TRY(read_all_orders());     // what was told meanwhile, nobody knows
 *       else
 *           TRY(read_order(n.payload));
 *   }
 *
 * All listeners of a pool share one connection, beside those of PG_POOL_MAX. When it is lost it is
 * opened again and listens again, and every listener is told of the gap. */
#ifndef PG_LISTEN_H
#define PG_LISTEN_H

#include "pg/pg.h"

#define PG_CHANNEL_BYTES_MAX      63
#define PG_NOTIFICATION_BYTES_MAX 7999 /* of a payload, by the server's rule */
#define PG_LISTENER_QUEUE_MAX     1024 /* notifications that a listener has not taken yet */

typedef struct pg_listener pg_listener;

typedef struct pg_notification {
    str channel;
    str payload;     /* "" without one */
    int32_t process; /* of the server, that told */
    /* Notifications may have been lost before this one, which has no payload: the connection was
     * away, or the listener did not take them in time. */
    bool gap;
    /* With `gap`: all that was told before this has been heard, by this machine's clock. Read what
     * has changed since, with a margin for what the server's clock may differ. */
    timestamptz since;
} pg_notification;

/* Listens to a channel: any text of 1 to 63 bytes, as it stands. Belongs to the running scope.
 *   yields  until the server knows: what is told after that is heard
 *   fails   PG_INVALID_ARGUMENT, also where a pooler is in between that gives the server to others
 *           (with PG_STATEMENTS=named the log warns of one that may); PG_CONNECT_FAILED; as
 *           pg_query */
YIELDS error pg_listen(pg_pool *pool, str name, pg_listener **out);
/* The next notification, in the order in which they were told. Its text lives until the next call.
 *   yields  until there is one
 *   fails   PG_POOL_CLOSED; TIMED_OUT, CANCELED */
YIELDS error pg_listener_next(pg_listener *listener, pg_notification *out);
/* Listens no more. Nulls the pointer; NULL is allowed. */
void pg_unlisten(pg_listener **owner);

/* pg_notify(db, channel, payload) tells those that listen; in a transaction, when that commits.
 *   fails  as pg_query; PG_INVALID_ARGUMENT for a payload that is too long */
#define pg_notify(on, ...) pg_notify_on(PG_TARGET(on), __VA_ARGS__)
YIELDS error pg_notify_on(pg_target on, str name, str payload);

#endif
