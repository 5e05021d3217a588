/* Routes every application has: whether the worker answers, and what was counted. */
#include "conn.h"

#define METRICS_BYTES_MAX ((size_t)32 << 20)

/* "requests by class of status" and what else the engine counts. */
static const metric METRICS[HTTP_METRIC_COUNT] = {
    [HTTP_METRIC_REQUESTS_1XX] = { "http_requests_total", "class=\"1xx\"", METRIC_COUNTER,
                                   "Responses by class of status." },
    [HTTP_METRIC_REQUESTS_2XX] = { "http_requests_total", "class=\"2xx\"", METRIC_COUNTER, "" },
    [HTTP_METRIC_REQUESTS_3XX] = { "http_requests_total", "class=\"3xx\"", METRIC_COUNTER, "" },
    [HTTP_METRIC_REQUESTS_4XX] = { "http_requests_total", "class=\"4xx\"", METRIC_COUNTER, "" },
    [HTTP_METRIC_REQUESTS_5XX] = { "http_requests_total", "class=\"5xx\"", METRIC_COUNTER, "" },
    [HTTP_METRIC_CONNECTIONS] = { "http_connections", NULL, METRIC_GAUGE, "Open connections." },
    [HTTP_METRIC_CONNECTIONS_ACCEPTED] = { "http_connections_accepted_total", NULL, METRIC_COUNTER,
                                           "Connections accepted." },
    [HTTP_METRIC_CONNECTIONS_REFUSED] = { "http_connections_refused_total", NULL, METRIC_COUNTER,
                                          "Connections closed for want of room." },
    [HTTP_METRIC_CONNECTIONS_DISPLACED] = { "http_connections_displaced_total", NULL,
                                            METRIC_COUNTER,
                                            "Idle connections closed to make room for new ones." },
    [HTTP_METRIC_PROXY_MALFORMED] = { "http_proxy_headers_refused_total", "reason=\"malformed\"",
                                      METRIC_COUNTER,
                                      "Connections closed for want of a PROXY header." },
    [HTTP_METRIC_PROXY_LATE] = { "http_proxy_headers_refused_total", "reason=\"late\"",
                                 METRIC_COUNTER, "" },
    [HTTP_METRIC_TLS_FULL] = { "http_tls_handshakes_total", "result=\"full\"", METRIC_COUNTER,
                               "TLS handshakes by their result." },
    [HTTP_METRIC_TLS_RESUMED] = { "http_tls_handshakes_total", "result=\"resumed\"", METRIC_COUNTER,
                                  "" },
    [HTTP_METRIC_TLS_FAILED] = { "http_tls_handshakes_total", "result=\"failed\"", METRIC_COUNTER,
                                 "" },
    [HTTP_METRIC_TLS_LATE] = { "http_tls_handshakes_total", "result=\"late\"", METRIC_COUNTER, "" },
    [HTTP_METRIC_FAULTS] = { "http_faults_total", NULL, METRIC_COUNTER,
                             "Requests that crashed or never yielded." },
    [HTTP_METRIC_QUARANTINED] = { "http_requests_quarantined_total", NULL, METRIC_COUNTER,
                                  "Requests refused because their route keeps crashing." },
    [HTTP_METRIC_SHED] = { "http_requests_shed_total", NULL, METRIC_COUNTER,
                           "Requests refused because the worker was overloaded." },
    [HTTP_METRIC_LOG_DROPPED] = { "log_lines_dropped_total", NULL, METRIC_COUNTER,
                                  "Log lines lost to a stalled sink." },
    [HTTP_METRIC_DURATION] = { "http_request_duration_seconds", NULL, METRIC_HISTOGRAM,
                               "From the first byte of a request to its queued response." },
    [HTTP_METRIC_LOOP_LAG] = { "http_loop_lag_seconds", NULL, METRIC_HISTOGRAM,
                               "How late a timer fires while there are requests." },
};

const metrics_table HTTP_METRICS = { METRICS, HTTP_METRIC_COUNT };

static error health(http_request *req)
{
    return http_reply_bytes(req, 200, STR("application/json"), STR("{\"status\":\"ok\"}"));
}

static error metrics(http_request *req)
{
    http_server *server = req->conn->server;
    const uint64_t dropped = log_dropped();
    metrics_add(server->metrics, HTTP_METRIC_LOG_DROPPED, dropped - server->log_dropped_counted);
    server->log_dropped_counted = dropped;
    buf out;
    buf_init_arena(&out, http_request_arena(req), METRICS_BYTES_MAX);
    metrics_expose(&out);
    TRY(buf_status(&out));
    return http_reply_bytes(req, 200, STR("text/plain; version=0.0.4; charset=utf-8"),
                            buf_str(&out));
}

static const http_route routes[] = {
    { HTTP_GET, "/health", health, http_public, .priority = HTTP_PRIORITY_HIGH },
    { HTTP_GET, "/metrics", metrics, http_public, .priority = HTTP_PRIORITY_HIGH },
};

const http_routes HTTP_BUILT_IN = { routes, ARRAY_LEN(routes) };
