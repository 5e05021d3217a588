/* Metrics by route. How many routes there are is known before the first request, so they are a
 * table like any other (core/metrics.h), only made at the start: its cells are the worker's own,
 * and counting is an add in place. A histogram a route would be forty lines of /metrics for each;
 * how long requests take in all is told by one for the whole server.
 *
 *   [requests of route 0: 2xx 3xx 4xx 5xx | of route 1 …] [seconds of 0 | 1 …] [in flight of 0 | 1
 * …]
 */
#include "route_metrics.h"

#include "method.h"

#define CLASSES          4 /* 2xx to 5xx: handlers send no others */
#define LABELS_BYTES_MAX 65536

/* A label's value as Prometheus has it. */
static void append_escaped(buf *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\' || *c == '"')
            buf_append_char(out, '\\');
        if (*c == '\n')
            buf_append(out, STR("\\n"));
        else
            buf_append_char(out, *c);
    }
}

/* `class` NULL: without one. */
static const char *labels_of(arena *a, const router_endpoint *e, const char *class)
{
    buf out;
    buf_init_arena(&out, a, LABELS_BYTES_MAX);
    buf_append(&out, STR("route=\""));
    append_escaped(&out, e->pattern);
    buf_append_format(&out, "\",method=\"%s\"", http_method_name(e->route->method));
    if (class)
        buf_append_format(&out, ",class=\"%s\"", class);
    return out.failed ? NULL : str_to_c(a, buf_str(&out));
}

static uint32_t requests_at(uint32_t index)
{
    return index * CLASSES;
}

static uint32_t seconds_at(uint32_t count, uint32_t index)
{
    return count * CLASSES + index;
}

static uint32_t in_flight_at(uint32_t count, uint32_t index)
{
    return count * (CLASSES + 1) + index;
}

static void describe(arena *a, metric *items, uint32_t count, const router_endpoint *e)
{
    static const char *const classes[CLASSES] = { "2xx", "3xx", "4xx", "5xx" };
    for (uint32_t i = 0; i < CLASSES; i++)
        items[requests_at(e->index) + i] =
            (metric){ "http_route_requests_total", labels_of(a, e, classes[i]), METRIC_COUNTER,
                      "Responses by route and class of status." };
    const char *labels = labels_of(a, e, NULL);
    items[seconds_at(count, e->index)] =
        (metric){ "http_route_request_duration_seconds", labels, METRIC_SUMMARY,
                  "From the first byte of a request to its queued response, by route." };
    items[in_flight_at(count, e->index)] = (metric){ "http_route_requests_in_flight", labels,
                                                     METRIC_GAUGE, "Requests that have a route." };
}

void http_route_metrics_add(arena *a, router *r)
{
    const router_endpoint *last = http_router_endpoints(r);
    metrics_table *table = ARENA_NEW(a, metrics_table);
    const uint32_t count = last ? last->index + 1 : 0;
    metric *items = ARENA_NEW_ARRAY(a, metric, (size_t)count * (CLASSES + 2));
    for (const router_endpoint *e = last; e; e = e->next)
        describe(a, items, count, e);
    *table = (metrics_table){ items, count * (CLASSES + 2) };
    http_router_set_metrics(r, table);
}

/* --- counting --------------------------------------------------------------------------------- */

static uint32_t count_of(const http_server *server)
{
    return http_router_endpoints(server->router)->index + 1;
}

void http_route_metrics_begin(const http_server *server, const router_endpoint *e)
{
    metrics_add(server->route_metrics, in_flight_at(count_of(server), e->index), 1);
}

void http_route_metrics_answered(const http_server *server, const router_endpoint *e, int status,
                                 uint64_t us)
{
    invariant(status >= 200 && status <= 599);
    const uint32_t class = (uint32_t)status / 100 - 2;
    metrics_add(server->route_metrics, requests_at(e->index) + class, 1);
    metrics_sum_us(server->route_metrics, seconds_at(count_of(server), e->index), us);
}

void http_route_metrics_end(const http_server *server, const router_endpoint *e)
{
    metrics_subtract(server->route_metrics, in_flight_at(count_of(server), e->index), 1);
}
