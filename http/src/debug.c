/* What the workers are doing: each request in flight with its route, its age, and what its fiber
 * waits for. Off unless HTTP_DEBUG_PATH names a path, and then only for those who have
 * HTTP_DEBUG_TOKEN: targets of requests are other people's data.
 *
 * Nothing is kept for it: it reads what the engine has anyway, when it is asked. The worker that is
 * asked by a client asks the others (roster.c) and gives them a moment; one that does not answer is
 * busy with something, and is listed as silent. */
#include "debug.h"

#include "roster.h"
#include "shed.h"

#include "core/json.h"

#include <stdio.h>
#include <unistd.h>

#define REPLY_BYTES_MAX   ((size_t)64 << 20)
#define REQUEST_BYTES     1024 /* in JSON, beside its target and method */
#define ESCAPED_BYTES_MAX 6    /* a character */
#define PATIENCE_MS       500  /* with the others */
#define PAUSE_MS          2

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

/* One worker, in at most HTTP_ROSTER_BYTES_MAX; requests that there is no room for are counted. */
static void append_own(buf *out, const http_server *server)
{
    const uint64_t now_us = clock_us();
    const size_t bytes_max = out->len + HTTP_ROSTER_BYTES_MAX - REQUEST_BYTES;
    uint32_t listed = 0, left_out = 0;
    buf_append_format(out, "{\"pid\":%d,\"connections\":%u,\"fibers\":%u,\"lag_us\":%llu,",
                      (int)getpid(), server->conn_count, fiber_stats_of(server->loop).running,
                      (unsigned long long)server->shed->lag_us);
    buf_append(out, STR("\"requests\":["));
    LIST_EACH (http_conn, c, &server->conns, node) {
        const http_request *req = c->request;
        if (!req || !req->fiber)
            continue;
        const size_t text_bytes = req->head.target.len + req->head.method_name.len;
        if (out->len + REQUEST_BYTES + ESCAPED_BYTES_MAX * text_bytes > bytes_max) {
            left_out++;
            continue;
        }
        if (listed++ > 0)
            buf_append_char(out, ',');
        append_request(out, req, now_us);
    }
    buf_append_format(out, "],\"left_out\":%u}", left_out);
}

void http_debug_tell(int signo, void *arg)
{
    (void)signo;
    const http_server *server = arg;
    buf out;
    buf_init(&out, HTTP_ROSTER_BYTES_MAX);
    append_own(&out, server);
    if (buf_status(&out).kind == NULL)
        http_roster_tell(server->roster, server->place, buf_str(&out));
    buf_deinit(&out);
}

/* What the worker of `place` says, or that it says nothing for so long. */
static YIELDS error append_other(buf *out, http_roster *r, uint32_t place, uint64_t asked,
                                 uint64_t until_ms)
{
    const pid_t pid = http_roster_pid(r, place);
    while (!http_roster_hear(r, place, asked, out)) {
        TRY(buf_status(out));
        if (clock_ms() >= until_ms || http_roster_pid(r, place) != pid) {
            buf_append_format(out, "{\"pid\":%d,\"silent\":true}", (int)pid);
            break;
        }
        TRY(fiber_sleep(PAUSE_MS));
    }
    return OK;
}

static YIELDS error append_others(http_request *req, buf *out)
{
    const http_server *server = req->conn->server;
    http_roster *r = server->roster;
    const uint32_t places = http_roster_places(r);
    uint64_t *asked = ARENA_NEW_ARRAY(http_request_arena(req), uint64_t, places);
    for (uint32_t i = 0; i < places; i++)
        asked[i] = i != server->place && http_roster_pid(r, i) > 0 ? http_roster_ask(r, i) : 0;
    const uint64_t until_ms = clock_ms() + PATIENCE_MS;
    for (uint32_t i = 0; i < places; i++) {
        if (asked[i] == 0)
            continue;
        buf_append_char(out, ',');
        TRY(append_other(out, r, i, asked[i], until_ms));
    }
    return OK;
}

static error list_requests(http_request *req)
{
    const http_server *server = req->conn->server;
    buf out;
    buf_init_arena(&out, http_request_arena(req), REPLY_BYTES_MAX);
    buf_append(&out, STR("{\"workers\":["));
    append_own(&out, server);
    if (server->roster)
        TRY(append_others(req, &out));
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
