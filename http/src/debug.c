/* What the worker that answers is doing: each request in flight with its route, its age, and what
 * its fiber waits for. Off unless HTTP_DEBUG_PATH names a path, and then only for those who have
 * HTTP_DEBUG_TOKEN: targets of requests are other people's data.
 *
 * Nothing is kept for it: it reads what the engine has anyway, when it is asked. */
#include "debug.h"

#include "shed.h"

#include "core/json.h"

#include <stdio.h>
#include <unistd.h>

#define REPLY_BYTES_MAX ((size_t)4 << 20)
#define REQUESTS_MAX    2000 /* that are listed */

static ERROR_KIND(HTTP_DEBUG_DENIED, ERROR_UNAUTHENTICATED, "The debug token is needed.");

static error guard(http_request *req)
{
    const str wanted = req->conn->server->settings->debug_token;
    str given = http_header(req, STR("Authorization"));
    const str scheme = str_cut(&given, ' ');
    if (!str_eq_nocase(scheme, STR("Bearer")) || !given.ptr || !str_eq_constant_time(given, wanted))
        return error_set(&HTTP_DEBUG_DENIED, "a wrong debug token, or none");
    return OK;
}

static void append_pair(buf *out, const char *key, str value)
{
    buf_append_format(out, ",\"%s\":", key);
    if (value.ptr)
        json_write_string(out, value);
    else
        buf_append(out, STR("null"));
}

static const char *body_words(const http_request *req)
{
    static const char *const words[] = {
        [BODY_NONE] = "none",           [BODY_WAITING] = "not asked for",
        [BODY_READING] = "reading",     [BODY_PIECES] = "in pieces",
        [BODY_COMPLETE] = "complete",   [BODY_BROKEN] = "broken",
        [BODY_TOO_LARGE] = "too large", [BODY_LATE] = "late",
    };
    return words[req->body_state];
}

static void append_request(buf *out, const http_request *req, uint64_t now_us)
{
    buf_append(out, STR("{\"id\":"));
    json_write_string(out, (str){ req->id, sizeof req->id });
    append_pair(out, "method", req->head.method_name);
    append_pair(out, "target", req->head.target);
    append_pair(out, "route", str_from_c(req->match.pattern));
    buf_append_format(out, ",\"age_ms\":%llu",
                      (unsigned long long)(now_us - req->started_us) / 1000);
    append_pair(out, "body", str_from_c(body_words(req)));
    append_pair(out, "waits_for", str_from_c(fiber_waits_for(req->fiber)));
    buf_append(out,
               req->conn->stream ? STR(",\"client\":\"there\"}") : STR(",\"client\":\"gone\"}"));
}

static error list_requests(http_request *req)
{
    const http_server *server = req->conn->server;
    const uint64_t now_us = clock_us();
    uint32_t count = 0;
    buf out;
    buf_init_arena(&out, http_request_arena(req), REPLY_BYTES_MAX);
    buf_append_format(&out, "{\"pid\":%d,\"connections\":%u,\"fibers\":%u,\"lag_us\":%llu,",
                      (int)getpid(), server->conn_count, fiber_stats_of(server->loop).running,
                      (unsigned long long)server->shed->lag_us);
    buf_append(&out, STR("\"requests\":["));
    LIST_EACH (http_conn, c, &server->conns, node) {
        if (!c->request || !c->request->fiber || count == REQUESTS_MAX)
            continue;
        if (count++ > 0)
            buf_append_char(&out, ',');
        append_request(&out, c->request, now_us);
    }
    buf_append(&out, STR("]}"));
    TRY(buf_status(&out));
    return http_reply_bytes(req, 200, STR("application/json"), buf_str(&out));
}

error http_debug_add(arena *a, const http_settings *settings, router *r)
{
    if (settings->debug_path.len == 0)
        return OK;
    if (settings->debug_token.len == 0)
        return error_set(&CONFIG_INVALID, "HTTP_DEBUG_PATH needs HTTP_DEBUG_TOKEN");
    http_route *route = ARENA_NEW(a, http_route);
    *route = (http_route){ .method = HTTP_GET,
                           .pattern = str_to_c(a, settings->debug_path),
                           .handler = list_requests,
                           .guard = guard,
                           .priority = HTTP_PRIORITY_HIGH };
    return http_router_add_bare(a, r, (http_routes){ route, 1 });
}
