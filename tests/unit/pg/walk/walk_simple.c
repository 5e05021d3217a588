/* The simple protocol: scripts, COPY both ways, and what resets a session. */
#include "walk_work.h"

#include <stdio.h>
#include <stdlib.h>

/* "script TAG COUNT FATE", "copyin TAG 0 FATE", "copyout TAG COUNT FATE" */
typedef struct words {
    char verb[16];
    unsigned long long tag;
    uint32_t count;
    uint32_t fate;
} words;

static words words_of(const char *sql)
{
    words w = { 0 };
    if (sscanf(sql, "%15s %llu %u %u", w.verb, &w.tag, &w.count, &w.fate) != 4)
        walk_problem("\"%s\" makes no sense to a backend", sql);
    return w;
}

static void ended_simple(walk_backend *b, uint64_t id)
{
    b->group_failed = false;
    b->copying = WALK_NEVER;
    walk_request_ready(b, &b->requests[id % WALK_REQUESTS]);
}

void walk_simple_failed(walk_backend *b, uint64_t id, const char *state)
{
    walk_request_failed(b, id, state);
    ended_simple(b, id);
}

static void say_data(walk_backend *b, const words *w)
{
    char line[48];
    for (uint32_t i = 0; i < w->count; i++) {
        const int len = snprintf(line, sizeof line, "%llu %u\n", w->tag, i);
        walk_backend_say(b, 'd', (str){ line, (size_t)len });
    }
}

static void run_copy_out(walk_backend *b, uint64_t id, const words *w)
{
    walk_backend_say(b, 'H', (str){ "\0\0\1\0\0", 5 });
    say_data(b, w);
    if (w->fate == WALK_FAILS_WITH_ROWS) {
        walk_simple_failed(b, id, "22012");
        return;
    }
    walk_say_empty(b, 'c');
    walk_say_tag(b, "COPY 1");
    walk_request_done(b, id, WALK_DONE);
    ended_simple(b, id);
}

static void run_script(walk_backend *b, uint64_t id, const words *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        walk_say_tag(b, "SCRIPT");
    if (w->fate == WALK_FAILS_WITH_ROWS) {
        walk_simple_failed(b, id, "22012");
        return;
    }
    if (w->count == 0)
        walk_say_empty(b, 'I');
    walk_request_done(b, id, WALK_DONE);
    ended_simple(b, id);
}

static void work_reset(walk_backend *b, const walk_message *m)
{
    b->portal.live = false;
    if (b->interrupted) {
        walk_simple_failed(b, m->request, "57014");
        return;
    }
    walk_say_tag(b, "RESET");
    walk_request_done(b, m->request, WALK_DONE);
    ended_simple(b, m->request);
}

void walk_work_query(walk_backend *b, const walk_message *m)
{
    if (walk_is_reset(m->body)) {
        work_reset(b, m);
        return;
    }
    const words w = words_of(m->body);
    b->portal.live = false;
    if (b->tx_status == 'E') {
        walk_simple_failed(b, m->request, "25P02");
    } else if (b->interrupted) {
        walk_simple_failed(b, m->request, "57014");
    } else if (w.fate == WALK_FAILS_AT_BIND || w.fate == WALK_FAILS_AT_ONCE) {
        walk_simple_failed(b, m->request, "23505");
    } else if (strcmp(w.verb, "script") == 0) {
        run_script(b, m->request, &w);
    } else if (strcmp(w.verb, "copyout") == 0) {
        run_copy_out(b, m->request, &w);
    } else {
        walk_backend_say(b, 'G', (str){ "\0\0\1\0\0", 5 });
        b->copying = m->request;
        b->copied = 0;
    }
}

/* What comes for a COPY that has failed is passed over (protocol, "COPY Operations"). */
void walk_work_copy(walk_backend *b, const walk_message *m)
{
    const uint64_t id = b->copying;
    if (id == WALK_NEVER)
        return;
    const words w = words_of(b->requests[id % WALK_REQUESTS].sql);
    if (b->interrupted) {
        walk_simple_failed(b, id, "57014");
        return;
    }
    switch (m->type) {
    case 'd':
        b->copied++;
        if (strtoull(m->body, NULL, 10) != w.tag)
            walk_problem("data of another in the COPY of %llu: %.*s", w.tag, (int)m->len, m->body);
        if (w.fate == WALK_FAILS_WITH_ROWS)
            walk_simple_failed(b, id, "22012");
        return;
    case 'f':
        walk_simple_failed(b, id, "57014");
        return;
    default:
        if (b->effect_count < WALK_EFFECTS)
            b->effects[b->effect_count++] = w.tag;
        walk_say_tag(b, "COPY 1");
        walk_request_done(b, id, WALK_DONE);
        ended_simple(b, id);
    }
}
