/* A random walk through the states of the client's connections, and a model that goes with it.
 *
 * The whole client runs, from pg_query down to the bytes; only sockets, names and the clock are not
 * the system's (walk_server.c). Each step does one thing: somebody begins to ask, goes on, is told
 * to stop; a backend takes the next message, or says the next bytes of its answers, a part of a
 * message if it comes so; it says something nobody asked for, or what makes no sense; it forgets
 * its prepared statements, ends, crashes; a cancel request reaches it early, late or never; time
 * goes by. Then the loop runs until nothing more happens, and client and model must be in the same
 * state:
 *
 *   - each connection has the requests that the backend has been asked for and that it has not
 *     answered whole, in order, of that kind and statement, each with the Sync that its answer
 *     needs, those marked whose fiber has gone, and the transaction's state last told;
 *   - who waits has no answer yet; who was answered waits no longer (walk_ask.c says with what);
 *   - what has come is read, unless it is rows of a stream whose caller has not taken some hundred
 *     KiB of them: then no more is;
 *   - who listens hears each number of a channel that was told since, in order, or of a gap;
 *   - nobody is given a connection where a statement was left, or a cancel is under way, and who
 *     has it alone waits;
 *   - a leased connection has one user, and only that one's statements; a pool's counters are the
 *     sums over its connections; asks begun are those ended and those open.
 *
 * Now and then everybody comes to an end, and nothing may be left.
 *
 * Tried with mistakes in the client, each seen at the step that is named (seeds 7 to 10):
 *
 *   request.c  an abandoned request is unlinked at once                 3
 *              the last read of a batch does not say that it syncs     59
 *              an answer goes to the newest request                    82
 *              batches under way are not counted down                 213
 *              a read that was held is kept when its fiber has gone   at the end
 *   answer.c   the state of the transaction is not taken               33
 *              an error ends its request and not its group            400
 *              what was skipped is not marked so                      641
 *              a group that is skipped ends one request too early     970
 *   choice.c   a leased connection is given to others                 149
 *   tx.c       a COMMIT that was not answered is a lost connection  2,662
 *              a pipeline takes BEGIN with it                      54,800
 *   prepare.c  what failed when it had begun to run is run again      1,200
 *   request.c  the server is told again to forget a statement           800
 *   choice.c   a connection that retires is given out                35,228
 *   cancel.c   a cancel that may have been lost is forgotten         58,705
 *   stream.c   rows are given twice                                     157
 *              no row wakes its fiber                                    95
 *              the arena that was given out is filled                   400
 *              the server is not held up                                564
 *              given up, it leaves its connection paused              3,118
 *              reading does not go on                                23,600
 *              its error comes before its rows                          196
 *              a lost connection is its end                          11,239
 *              its error is given before ReadyForQuery               38,970
 *              closed in a transaction, it does not wait              2,309
 *              in a transaction that has not begun                      400
 *              read-only without a transaction                          800
 *              never opened again                                     7,541
 *   request.c  a stream that has ended leaves its connection paused  25,600
 *   room.c     a transaction goes on while it is canceled               297
 *   choice.c   a connection is given out while a statement is left       19
 *              and while a cancel is under way                          233
 *   tx.c       ROLLBACK is taken for COMMIT                             523
 *              a COMMIT with a statement: BEGIN is left out             400
 *              each with a Sync of its own                           45,860
 *              refused with its statement, it is unknown             24,627
 *              refused by a session's last words                    178,932
 *              not answered, it is lost                                 570
 *              rows are given with an error                           2,400
 *              run again though BEGIN was carried out                   687
 *              nested, it commits all                                   400
 *   hub.c      a channel is heard until UNLISTEN is answered         47,600
 *              nobody is told of a gap                               18,400
 *              nobody waits for LISTEN                                  400
 *              others of the channel are not told                       800
 *              what is told last comes first                          2,755
 *
 * BRIO_TEST_SEED repeats a walk, BRIO_TEST_STEPS says how long it is, BRIO_TEST_TRACE from which
 * step on it tells what happens. */
#include "pool.h"
#include "walk_compare.h"

#include "core/clock.h"
#include "core/log.h"

#include <stdlib.h>

#define STEPS          1000000
#define STEPS_TOGETHER 400 /* between two ends */
#define DRAIN_ROUNDS   20000
#define LIFETIME       "20s"
#define IDLE_TIMEOUT   "3s"

static pg_pool *db;
static random_state dice;
static loop *turns;
static uint64_t step_number, traces_from, forgets, violations, crashes, cancels_done;

/* --- steps ------------------------------------------------------------------------------------ */

static walk_backend *any_backend(void)
{
    return &the_server->backends[random_below(&dice, WALK_BACKENDS)];
}

static walk_backend *busy_backend(void)
{
    const size_t from = random_below(&dice, WALK_BACKENDS);
    for (size_t i = 0; i < WALK_BACKENDS; i++) {
        walk_backend *b = &the_server->backends[(from + i) % WALK_BACKENDS];
        if (walk_backend_busy(b))
            return b;
    }
    return NULL;
}

static void work(void)
{
    walk_backend *b = busy_backend();
    size_t left = b && !b->hangs ? 1 + random_below(&dice, 6) : 0;
    for (; left > 0 && walk_backend_busy(b); left--)
        walk_backend_work(b);
}

/* What it hung at is done, just before the cancel that is meant for that arrives. */
static void end_hanging(uint32_t process)
{
    for (size_t i = 0; i < WALK_BACKENDS; i++) {
        walk_backend *b = &the_server->backends[i];
        if (b->process != process || b->stage != WALK_SERVING)
            continue;
        const uint64_t at = b->first;
        for (size_t left = random_below(&dice, 16); left > 0 && walk_backend_busy(b); left--) {
            walk_backend_work(b);
            const walk_request *r = walk_backend_request(b, at);
            if (!r || r->verdict != WALK_WAITS)
                left = left > 3 ? 3 : left;
        }
    }
}

static void deliver(void)
{
    const size_t from = random_below(&dice, WALK_BACKENDS);
    for (size_t i = 0; i < WALK_BACKENDS; i++) {
        walk_backend *b = &the_server->backends[(from + i) % WALK_BACKENDS];
        const size_t there = walk_backend_undelivered(b);
        if (b->stage != WALK_SERVING || there == 0)
            continue;
        walk_backend_deliver(b, random_below(&dice, 2) ? there : 1 + random_below(&dice, there));
        return;
    }
}

static walk_actor *any_actor(bool at_gate)
{
    const size_t from = random_below(&dice, WALK_ACTORS);
    for (size_t i = 0; i < WALK_ACTORS; i++) {
        walk_actor *a = &the_actors->all[(from + i) % WALK_ACTORS];
        if (a->fiber && (a->at_gate || !at_gate))
            return a;
    }
    return NULL;
}

static void go_on(void)
{
    walk_actor *a = any_actor(true);
    if (a)
        walk_actor_go_on(a);
}

static void notify(void)
{
    walk_notify((uint32_t)random_below(&dice, WALK_CHANNELS));
}

static void make_noise(void)
{
    static const struct {
        char type;
        str body;
    } noise[] = {
        { 'N', { "SNOTICE\0VNOTICE\0C00000\0Mhi\0", 28 } },
        { 'S', { "TimeZone\0UTC\0", 13 } },
        { 'A', { "\0\0\0\7ch\0x\0", 9 } },
    };
    walk_backend *b = any_backend();
    const size_t which = random_below(&dice, ARRAY_LEN(noise));
    if (b->stage == WALK_SERVING)
        walk_backend_say(b, noise[which].type, noise[which].body);
}

/* Between two statements of the client's: as if one of them were DISCARD ALL. */
static void forget_statements(void)
{
    walk_backend *b = any_backend();
    if (walk_backend_busy(b) && b->messages[b->worked % WALK_MESSAGES].type == 'D')
        return;
    forgets++;
    for (size_t i = 0; i < WALK_STATEMENTS; i++)
        b->statements[i].live = false;
}

static void cancel_comes(void)
{
    if (the_server->late_cancel && random_below(&dice, 3) == 0)
        walk_cancel_late();
    walk_cancel *c = &the_server->cancels[random_below(&dice, WALK_CANCELS)];
    if (!c->process || c->stage == WALK_CANCEL_FREE)
        return;
    const size_t what = random_below(&dice, 20);
    if (what < 10 && c->stage == WALK_CANCEL_ASKED) {
        end_hanging(c->process);
        walk_cancel_signal(c);
    } else if (what < 19 && c->stage == WALK_CANCEL_DONE)
        walk_cancel_end(c, true);
    else if (what == 19)
        walk_cancel_end(c, false);
    cancels_done++;
}

static void end_a_backend(void)
{
    walk_backend *b = any_backend();
    if (b->stage != WALK_SERVING)
        return;
    crashes++;
    switch (random_below(&dice, 4)) {
    case 0:
        walk_backend_violate(b, random_below(&dice, 6));
        violations++;
        return;
    case 1:
        walk_backend_say_goodbye(b);
        walk_backend_deliver(b, walk_backend_undelivered(b));
        break;
    case 2:
        walk_backend_deliver(b, random_below(&dice, walk_backend_undelivered(b) + 1));
        break;
    default:
        break;
    }
    loop_advance(turns, 0);
    if (b->stage == WALK_SERVING)
        walk_backend_leave(b, random_below(&dice, 2));
}

static void pass_time(void)
{
    static const uint32_t MS[] = { 1, 3, 10, 30, 110, 500, 1500 };
    const size_t most = random_below(&dice, 10) ? 4 : ARRAY_LEN(MS);
    loop_advance(turns, MS[random_below(&dice, most)]);
}

/* A statement hangs, and is given up, while others wait behind it. */
static void hang(void)
{
    walk_backend *b = any_backend();
    if (!b->conn || b->stage != WALK_SERVING || b->first == b->next)
        return;
    const walk_ask *k = walk_ask_of(walk_backend_request(b, b->first)->tag);
    b->hangs = true;
    if (k && k->actor->fiber)
        walk_actor_cancel(k->actor);
    loop_advance(turns, 110);
}

static void rarely(void)
{
    switch (random_below(&dice, 40)) {
    case 0:
    case 1:
        end_a_backend();
        break;
    case 2:
    case 3:
        forget_statements();
        break;
    case 5:
        any_backend()->commit_fails = random_below(&dice, 3) == 0;
        break;
    case 4:
        the_server->refuses = random_below(&dice, 3) == 0;
        break;
    default: {
        walk_actor *a = random_below(&dice, 2) ? any_actor(false) : NULL;
        if (a)
            walk_actor_cancel(a);
    }
    }
}

static void step(void)
{
    const size_t what = random_below(&dice, 100);
    the_server->traces = traces_from > 0 && step_number >= traces_from;
    walk_note("step %llu\n", (unsigned long long)step_number);
    if (what < 12)
        (void)walk_actor_start(&dice);
    else if (what < 30)
        go_on();
    else if (what < 58)
        work();
    else if (what < 86)
        deliver();
    else if (what < 87)
        make_noise();
    else if (what < 88)
        notify();
    else if (what < 89)
        hang();
    else if (what < 91)
        cancel_comes();
    else if (what < 97)
        pass_time();
    else
        rarely();
    loop_advance(turns, 0);
    walk_compare();
}

/* --- ends ------------------------------------------------------------------------------------- */

static bool anybody(void)
{
    return any_actor(false) != NULL;
}

/* Everything that is to be said is said, and nobody is held up: all come to an end. */
static void drain(void)
{
    the_actors->draining = true;
    the_server->refuses = false;
    for (int left = DRAIN_ROUNDS; left > 0 && anybody() && !the_server->problem[0]; left--) {
        for (size_t i = 0; i < WALK_BACKENDS; i++) {
            walk_backend *b = &the_server->backends[i];
            b->hangs = false;
            while (walk_backend_busy(b))
                walk_backend_work(b);
            if (b->stage == WALK_SERVING)
                walk_backend_deliver(b, walk_backend_undelivered(b));
        }
        for (uint32_t i = 0; i < WALK_CHANNELS; i++)
            walk_notify(i); /* who listens is waiting for it */
        for (size_t i = 0; i < WALK_ACTORS; i++) {
            if (the_actors->all[i].at_gate)
                walk_actor_go_on(&the_actors->all[i]);
        }
        for (size_t i = 0; i < WALK_CANCELS; i++) {
            if (the_server->cancels[i].stage != WALK_CANCEL_FREE)
                walk_cancel_end(&the_server->cancels[i], true);
        }
        loop_advance(turns, 0);
        walk_compare();
        if (left % 8 == 0)
            loop_advance(turns, 1);
    }
    the_actors->draining = false;
}

static void check_problem(void)
{
    if (the_server->problem[0])
        fail_msg("step %llu: %s", (unsigned long long)step_number, the_server->problem);
}

static uint64_t steps_wanted(void)
{
    const char *given = getenv("BRIO_TEST_STEPS");
    return given ? strtoull(given, NULL, 10) : STEPS;
}

static void test_walk_of_random_steps_keeps_client_and_model_in_one_state(void **state)
{
    (void)state;
    const uint64_t steps = steps_wanted();
    for (step_number = 1; step_number <= steps; step_number++) {
        step();
        check_problem();
        if (step_number % STEPS_TOGETHER)
            continue;
        drain();
        if (anybody())
            walk_problem("somebody waits for ever");
        walk_compare_empty();
        check_problem();
    }
    const uint64_t *ends = the_actors->by_end;
    print_message(
        "%llu steps, %llu asks: %llu answered, %llu refused by the server, %llu canceled, "
        "%llu late, %llu lost, %llu by violations, %llu by the pool or unsent\n",
        (unsigned long long)steps, (unsigned long long)the_actors->finished,
        (unsigned long long)ends[0], (unsigned long long)ends[1], (unsigned long long)ends[2],
        (unsigned long long)ends[3], (unsigned long long)ends[4], (unsigned long long)ends[5],
        (unsigned long long)ends[6]);
    print_message(
        "%llu connections lost, %llu sets of statements forgotten, %llu steps of cancels; "
        "%llu notifications heard, %llu gaps\n",
        (unsigned long long)the_actors->deaths, (unsigned long long)forgets,
        (unsigned long long)cancels_done, (unsigned long long)the_actors->heard,
        (unsigned long long)the_actors->gaps);
}

/* --- life ------------------------------------------------------------------------------------- */

static error open_db(void *arg)
{
    (void)arg;
    const pg_pool_options options = {
        .conninfo = STR("host=walk hostaddr=127.0.0.1 user=u dbname=d sslmode=disable"),
        .connections_max = 4,
        .acquire_timeout_ms = WALK_ACQUIRE_MS,
    };
    (void)setenv("PG_MAX_LIFETIME", LIFETIME, 1);
    (void)setenv("PG_IDLE_TIMEOUT", IDLE_TIMEOUT, 1);
    return pg_pool_open(&options, &db);
}

static error close_db(void *arg)
{
    (void)arg;
    pg_pool_close(&db);
    return OK;
}

static void run_to_end(error (*fn)(void *arg))
{
    fiber *f;
    assert_ok(fiber_start(turns, &(fiber_options){ .joinable = false }, fn, NULL, NULL));
    (void)f;
    for (int i = 0; i < 3000 && fiber_stats_of(turns).running > 0; i++)
        loop_advance(turns, 1);
}

static int open_walk(void **state)
{
    (void)state;
    const char *from = getenv("BRIO_TEST_TRACE");
    log_set_direct(2, LOG_OFF, LOG_AUTO);
    traces_from = from ? strtoull(from, NULL, 10) : 0;
    dice = random_start();
    clock_fake_begin(-1);
    assert_ok(loop_new(NULL, &turns));
    walk_server_new();
    the_server->jitter = random_next(&dice);
    the_actors = calloc(1, sizeof *the_actors);
    assert_non_null(the_actors);
    the_actors->loop = turns;
    run_to_end(open_db);
    the_actors->pool = db;
    return 0;
}

static int close_walk(void **state)
{
    (void)state;
    if (the_server->problem[0])
        _Exit(1); /* as it stands */
    run_to_end(close_db);
    for (size_t i = 0; i < WALK_BACKENDS; i++)
        walk_backend_leave(&the_server->backends[i], true);
    for (size_t i = 0; i < WALK_CANCELS; i++)
        walk_cancel_end(&the_server->cancels[i], false);
    loop_advance(turns, 3000);
    loop_free(&turns);
    free(the_actors);
    walk_server_free(&the_server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk_of_random_steps_keeps_client_and_model_in_one_state),
    };
    return cmocka_run_group_tests_name("pg walk", tests, open_walk, close_walk);
}
