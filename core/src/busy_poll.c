/* How it went, and what follows: worth it when two of three such waits were ended by what they were
 * for. */
#include "busy_poll.h"

#define REST_MAX 255

void busy_poll_ended(busy_poll *b, bool found, bool lost_core)
{
    if (found && !lost_core) {
        b->pause /= 2;
        return;
    }
    b->pause = b->pause * 4 + 1;
    if (b->pause > REST_MAX)
        b->pause = REST_MAX;
    b->rest = b->pause;
}
