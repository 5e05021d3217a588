/* Taking, wanting and lending of connections among the workers of a program. */
#include "budget.h"

#include "chance.h"
#include "opener.h"
#include "upkeep.h"

#define ASK_AGAIN_MS 20 /* at least, at most twice that */
#define LEND_MS      50 /* the same */
#define LAST_IDLE_MS 1000

/* --- who has how many ------------------------------------------------------------------------- */

/* The fewest that a worker has that wants another one; UINT64_MAX: none wants. */
static uint64_t least_of_wanting(const pg_pool *pool)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < ledger_columns(); i++) {
        const uint64_t held = ledger_at(pool->held, i);
        if (ledger_at(pool->wants, i) > 0 && held < least)
            least = held;
    }
    return least;
}

static void want(pg_pool *pool, bool wants)
{
    if (pool->wants_more == wants)
        return;
    pool->wants_more = wants;
    if (wants)
        ledger_set(pool->wants, ledger_own(pool->wants) + 1);
    else
        ledger_return(pool->wants);
}

/* --- taking ----------------------------------------------------------------------------------- */

/* Our own other lane may have one to spare. */
static void lend_to_own_lane(pg_pool *pool)
{
    if (!list_is_empty(&pool->line.waiters))
        pg_upkeep_lend_idle_of(pool, true, 0);
    if (!list_is_empty(&pool->read_only_line.waiters))
        pg_upkeep_lend_idle_of(pool, false, 0);
}

/* Whether the connections that there are do not do. */
static bool is_short(const pg_pool *pool)
{
    if (pool->waiting > 0)
        return true;
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (c->load > 1)
            return true;
    }
    return false;
}

static uint32_t soon(uint32_t ms)
{
    return ms + pg_chance_below(ms + 1);
}

static void ask_again(timer *t)
{
    pg_pool *pool = CONTAINER_OF(t, pg_pool, ask_again);
    want(pool, false); /* unless it is refused again */
    if (ledger_sum(pool->held) >= pool->process_max)
        lend_to_own_lane(pool);
    pg_opener_go_on(pool);
}

bool pg_budget_take(pg_pool *pool)
{
    if (pool->process_max == 0)
        return true;
    if (timer_armed(&pool->ask_again))
        return false;
    if (least_of_wanting(pool) >= ledger_own(pool->held) &&
        ledger_reserve(pool->held, pool->process_max)) {
        want(pool, false);
        return true;
    }
    want(pool, is_short(pool));
    loop_timer_arm(pool->loop, &pool->ask_again, soon(ASK_AGAIN_MS));
    return false;
}

bool pg_budget_try(pg_pool *pool)
{
    return pool->process_max == 0 || ledger_reserve(pool->held, pool->process_max);
}

bool pg_budget_is_short(const pg_pool *pool)
{
    return timer_armed(&pool->ask_again);
}

bool pg_budget_is_all_of(const pg_pool *pool)
{
    uint32_t count = 0;
    LIST_EACH (pg_conn, c, &pool->conns, node)
        count++;
    return pool->process_max > 0 && count >= pool->process_max;
}

void pg_budget_give(pg_pool *pool)
{
    if (pool->process_max > 0)
        ledger_return(pool->held);
}

/* --- lending ---------------------------------------------------------------------------------- */

static void lend(timer *t)
{
    pg_pool *pool = CONTAINER_OF(t, pg_pool, lend);
    const uint64_t least = least_of_wanting(pool), held = ledger_own(pool->held);
    loop_timer_arm(pool->loop, &pool->lend, soon(LEND_MS));
    if (least == UINT64_MAX || pool->wants_more || ledger_sum(pool->held) < pool->process_max)
        return;
    if (pg_upkeep_lend_idle(pool, held > 1 || least == 0 ? 0 : LAST_IDLE_MS))
        return;
    if (held > least + 1)
        pg_upkeep_lend_used(pool);
}

void pg_budget_init(pg_pool *pool)
{
    pool->held = ledger_line_of("pg.held");
    pool->wants = ledger_line_of("pg.wants");
    pool->ask_again.fire = ask_again;
    pool->lend.fire = lend;
    if (pool->process_max > 0)
        loop_timer_arm(pool->loop, &pool->lend, soon(LEND_MS));
}

void pg_budget_stop(pg_pool *pool)
{
    want(pool, false);
    loop_timer_cancel(pool->loop, &pool->ask_again);
    loop_timer_cancel(pool->loop, &pool->lend);
}
