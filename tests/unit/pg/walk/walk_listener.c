/* Those who listen. The server counts what it tells a channel, so that each knows what it has not
 * heard: that may have been told before it listened, or before it was told of a gap. */
#include "walk_ask.h"

#include <stdio.h>
#include <stdlib.h>

void walk_heard_notification(uint32_t channel, uint64_t number)
{
    for (size_t i = 0; i < WALK_ACTORS; i++) {
        walk_actor *a = &the_actors->all[i];
        if (a->listens == channel + 1 && number > a->arrived)
            a->arrived = number;
    }
}

static void check(walk_actor *a, const pg_notification *n)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%.*s", STR_ARG(n->payload));
    const uint64_t number = strtoull(text, NULL, 10);
    const uint64_t known = a->heard > a->lossy_to ? a->heard : a->lossy_to;
    const uint32_t channel = a->listens - 1;
    if (n->channel.len != 2 || n->channel.ptr[1] != (char)('0' + channel))
        walk_problem("who listens to c%u hears %.*s", channel, STR_ARG(n->channel));
    if (n->gap) {
        a->lossy_to = the_server->notified[channel];
        the_actors->gaps++;
        return;
    }
    if (number <= a->heard || number > known + 1)
        walk_problem("who listens to c%u hears number %llu after %llu; it may have missed %llu",
                     channel, (unsigned long long)number, (unsigned long long)a->heard,
                     (unsigned long long)a->lossy_to);
    a->heard = number;
    the_actors->heard++;
}

static error hear(walk_actor *a, pg_listener *l)
{
    for (uint32_t left = walk_up_to(a, 5); left > 0; left--) {
        pg_notification n;
        TRY(pg_listener_next(l, &n));
        check(a, &n);
        TRY(walk_gate(a));
    }
    return OK;
}

error walk_listen(void *arg)
{
    walk_actor *a = arg;
    const uint32_t channel = walk_up_to(a, WALK_CHANNELS - 1);
    const char name[] = { 'c', (char)('0' + channel) };
    pg_listener *l;
    TRY(pg_listen(the_actors->pool, (str){ name, sizeof name }, &l));
    a->listens = channel + 1;
    a->heard = a->arrived = 0;
    a->lossy_to = the_server->notified[channel];
    walk_note("  %d listens to c%u from %llu on\n", (int)(a - the_actors->all), channel,
              (unsigned long long)a->lossy_to);
    const error e = hear(a, l);
    a->listens = 0;
    if (walk_chance(a, 50))
        pg_unlisten(&l);
    return e;
}
