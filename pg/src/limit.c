/* Which timeouts a server is asked for. */
#include "limit.h"

#include "pool.h"

#include "core/log.h"

#include <stdio.h>
#include <string.h>

static const char *const NAMES[PG_LIMITS] = {
    [PG_LIMIT_IDLE_IN_TRANSACTION] = "idle_in_transaction_session_timeout",
    [PG_LIMIT_TRANSACTION] = "transaction_timeout",
    [PG_LIMIT_STATEMENT] = "statement_timeout",
};

static bool is_named(str text, str name)
{
    return text.len >= name.len && memmem(text.ptr, text.len, name.ptr, name.len);
}

void pg_limits_init(pg_pool *pool, const int64_t ms[PG_LIMITS])
{
    for (size_t i = 0; i < PG_LIMITS; i++) {
        pg_limit *limit = &pool->limits[i];
        limit->name = str_from_c(NAMES[i]);
        if (ms[i] == 0 || pool->statements != PG_STATEMENTS_NAMED ||
            is_named(pool->info.options, limit->name))
            continue;
        const int len = snprintf(limit->text, sizeof limit->text, "%lld", (long long)ms[i]);
        invariant(len > 0 && (size_t)len < sizeof limit->text);
        limit->value = (str){ limit->text, (size_t)len };
    }
}

uint32_t pg_limits_asked(const pg_pool *pool)
{
    uint32_t asked = 0;
    for (size_t i = 0; i < PG_LIMITS; i++)
        asked |= pool->limits[i].value.ptr ? 1U << i : 0;
    return asked;
}

bool pg_limits_refused(const pg_conn *c, uint32_t asked, error e)
{
    const pg_report *report = pg_error_report(e);
    for (size_t i = 0; report && i < PG_LIMITS; i++) {
        pg_limit *limit = &c->pool->limits[i];
        if (!(asked & 1U << i) || !is_named(report->message, limit->name))
            continue;
        if (limit->value.ptr) /* and no other attempt has found out meanwhile */
            log_info("a timeout of the server's own is not set", LOG_STR("parameter", limit->name),
                     LOG_STR("host", pg_host_text(c->host)), LOG_STR("why", report->message));
        limit->value = STR_NONE;
        return true;
    }
    return false;
}
