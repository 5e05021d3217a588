/* The roster: what each worker says of itself when another asks, for the debug endpoint. */
#ifndef HTTP_SRC_ROSTER_H
#define HTTP_SRC_ROSTER_H

#include "core/arena.h"
#include "core/buf.h"

#include <sys/types.h>

#define HTTP_ROSTER_SIGNAL    SIGURG /* which is ignored where nobody has asked for it */
#define HTTP_ROSTER_BYTES_MAX ((size_t)256 << 10) /* of what one worker says */

typedef struct http_roster http_roster;

/* Makes one for `places` workers, in memory that is shared with the processes forked from here on.
 *   fails  OUT_OF_MEMORY */
error http_roster_new(uint32_t places, http_roster **out);
/* Unmaps it here. Nulls the pointer; NULL is allowed. */
void http_roster_free(http_roster **owner);

/* The calling process is the worker of `place`, and answers HTTP_ROSTER_SIGNAL from now on. */
void http_roster_enter(http_roster *r, uint32_t place);
/* The worker of `place` has gone. */
void http_roster_leave(http_roster *r, uint32_t place);
/* Who is there; 0: nobody. */
pid_t http_roster_pid(const http_roster *r, uint32_t place);
uint32_t http_roster_places(const http_roster *r);

/* Asks the worker of `place`: what it says from then on has at least the number that is returned.
 */
uint64_t http_roster_ask(http_roster *r, uint32_t place);
/* What the calling process says as the worker of `place`; at most HTTP_ROSTER_BYTES_MAX. */
void http_roster_tell(http_roster *r, uint32_t place, str text);
/* Appends what the worker of `place` has said; false when it has not yet, since it was asked. */
bool http_roster_hear(const http_roster *r, uint32_t place, uint64_t asked, buf *out);

#endif
