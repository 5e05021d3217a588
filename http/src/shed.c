/* A worker that cannot keep up answers some requests at once, so that it can answer the others in
 * time. Two signs say that it cannot: the loop's lag, and how many fibers are at work.
 *
 * The lag is how late a timer fires, or will fire at best: what came in while the loop was held up
 * is judged by that hold-up, though the turn begins with it. The timer is armed only while requests
 * come, so an idle worker sleeps.
 *
 *   LOW      answered with 503 past HTTP_SHED_LAG or HTTP_SHED_REQUESTS
 *   NORMAL   past HTTP_REQUESTS_MAX
 *   HIGH     never: /health and /metrics are
 *
 * All but HIGH are when only spare fibers are left, and so are requests that no route wants: a
 * layer may keep their fiber. That is the place for spare ones to be given back at once.
 *
 * Here too stands the door of what is in quarantine. */
#include "shed.h"

#include "quarantine.h"

#define LAG_SAMPLE_MS 20
#define LAG_SAMPLE_US (LAG_SAMPLE_MS * UINT64_C(1000))

static void lag_measured(timer *t)
{
    http_shed *shed = CONTAINER_OF(t, http_shed, timer);
    const http_settings *settings = shed->server->settings;
    const uint64_t took_us = clock_us() - shed->armed_at_us;
    shed->lag_us = took_us > LAG_SAMPLE_US ? took_us - LAG_SAMPLE_US : 0;
    metrics_record_us(shed->server->metrics, HTTP_METRIC_LOOP_LAG, shed->lag_us);
    if (!shed->asked && shed->lag_us < (uint64_t)settings->shed_lag_ms * 1000)
        return; /* idle again, and known to be well */
    shed->asked = false;
    shed->armed_at_us = clock_us();
    loop_timer_arm(shed->server->loop, t, LAG_SAMPLE_MS);
}

void http_shed_init(http_shed *shed, http_server *server)
{
    *shed = (http_shed){ .server = server, .timer.fire = lag_measured };
}

static void measure(http_shed *shed)
{
    shed->asked = true;
    if (timer_armed(&shed->timer))
        return;
    shed->armed_at_us = clock_us();
    loop_timer_arm(shed->server->loop, &shed->timer, LAG_SAMPLE_MS);
}

/* What the timer has found, or will find. */
static uint64_t lag_now_us(const http_shed *shed)
{
    const uint64_t now_us = loop_now_us(shed->server->loop);
    const uint64_t due_us = shed->armed_at_us + LAG_SAMPLE_US;
    const uint64_t late_us = timer_armed(&shed->timer) && now_us > due_us ? now_us - due_us : 0;
    return late_us > shed->lag_us ? late_us : shed->lag_us;
}

static bool is_overloaded(const http_server *server, http_priority priority)
{
    const http_settings *settings = server->settings;
    const fiber_stats fibers = fiber_stats_of(server->loop);
    const uint32_t running = fibers.running;
    switch (priority) {
    case HTTP_PRIORITY_HIGH:
        return false;
    case HTTP_PRIORITY_NORMAL:
        return running > settings->requests_max || fibers.only_spare_left;
    case HTTP_PRIORITY_LOW:
        return running > settings->requests_max || fibers.only_spare_left ||
               (settings->shed_requests > 0 && running > settings->shed_requests) ||
               (settings->shed_lag_ms > 0 &&
                lag_now_us(server->shed) > (uint64_t)settings->shed_lag_ms * 1000);
    }
    unreachable();
}

/* No error: what is refused by the thousand is not for the log, but for a counter. */
static bool refuse(http_request *req, uint32_t counter, const char *why)
{
    char *body = arena_alloc(&req->conn->arena, 256, 1);
    const size_t len = http_problem_brief(body, 256, 503, why);
    metrics_add(req->conn->server->metrics, counter, 1);
    const error e = http_reply_bytes(req, 503, STR("application/problem+json"), (str){ body, len });
    invariant(error_is_ok(e));
    return false;
}

static bool refuse_busy(http_request *req)
{
    const error e = http_set_header(req, STR("Retry-After"), STR("1"));
    invariant(error_is_ok(e));
    return refuse(req, HTTP_METRIC_SHED, "The server is busy. Try again in a moment.");
}

bool http_shed_admit(http_request *req)
{
    const http_server *server = req->conn->server;
    const http_route *route = req->match.route;
    if (UNLIKELY(!route))
        return !fiber_stats_of(server->loop).only_spare_left || refuse_busy(req);
    measure(server->shed);
    if (UNLIKELY(http_quarantine_holds(server->quarantine, route)))
        return refuse(req, HTTP_METRIC_QUARANTINED, "This resource is out of order.");
    if (LIKELY(!is_overloaded(server, route->priority)))
        return true;
    return refuse_busy(req);
}
