/* faulty: a server whose handlers do everything wrong that a handler can do, beside good ones that
 * must not notice. Tests of containment, draining and the protocol start it. */
#include "core/fiber.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/scope.h"

#include <brio/http.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ITEM_FIELDS(F)                                      \
    F(name, text, .min_len = 1, .max_len = 20)              \
    F(count, int4, .range = SHAPE_RANGE(1, 100))            \
    F(mail, text, .format = FORMAT_EMAIL, .optional = true) \
    F(tags, text_list, .max_len = 3, .optional = true)
SHAPE(item, ITEM_FIELDS)

#define WORKER_FIELDS(F) F(pid, int8)
SHAPE(worker_reply, WORKER_FIELDS)

/* --- good ------------------------------------------------------------------------------------ */

static error fast(http_request *req)
{
    return http_reply_text(req, 200, STR("fast"));
}

static error slow(http_request *req)
{
    TRY(fiber_sleep((uint32_t)http_path_int8(req, "ms")));
    return http_reply_text(req, 200, STR("slow"));
}

/* More than one wait, so that a deadline that passed meanwhile would be noticed. */
static error slow_in_steps(http_request *req)
{
    for (int64_t steps = http_path_int8(req, "steps"); steps > 0; steps--)
        TRY(fiber_sleep(100));
    return http_reply_text(req, 200, STR("slow"));
}

static error show_worker(http_request *req)
{
    const worker_reply out = { .pid = getpid() };
    return http_reply(req, 200, worker_reply, &out);
}

static error echo(http_request *req)
{
    str body;
    TRY(http_body_bytes(req, &body));
    const str type = http_header(req, STR("content-type"));
    return http_reply_bytes(req, 200, type.ptr ? type : STR("application/octet-stream"), body);
}

/* Waits before it reads, so that the body comes while nobody wants it. */
static error echo_late(http_request *req)
{
    TRY(fiber_sleep(50));
    return echo(req);
}

/* Takes it in pieces, with a rest after each. */
static error count_body(http_request *req, uint32_t rest_ms)
{
    size_t total = 0;
    str piece;
    do {
        TRY(http_body_read(req, &piece));
        total += piece.len;
        if (rest_ms > 0)
            TRY(fiber_sleep(rest_ms));
    } while (piece.len > 0);
    return http_reply_text(req, 200, str_format(http_request_arena(req), "%zu", total));
}

static error count(http_request *req)
{
    return count_body(req, 0);
}

static error count_slowly(http_request *req)
{
    return count_body(req, 500);
}

static error ignore_body(http_request *req)
{
    return http_reply_text(req, 200, STR("ignored"));
}

static error big(http_request *req)
{
    const size_t len = (size_t)http_path_int8(req, "bytes");
    char *bytes = arena_alloc(http_request_arena(req), len, 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)('a' + i % 26);
    return http_reply_bytes(req, 200, STR("text/plain"), (str){ bytes, len });
}

/* As many bytes, written as they are made. */
static error pieces(http_request *req)
{
    static const char zeros[10000];
    TRY(http_reply_start(req, 200, STR("application/octet-stream")));
    for (int64_t left = http_path_int8(req, "bytes"); left > 0; left -= (int64_t)sizeof zeros) {
        const size_t len = left < (int64_t)sizeof zeros ? (size_t)left : sizeof zeros;
        TRY(http_reply_write(req, (str){ zeros, len }));
    }
    return OK;
}

/* As much as the client takes. */
static error endless(http_request *req)
{
    static char zeros[65536];
    TRY(http_reply_start(req, 200, STR("application/octet-stream")));
    for (;;)
        TRY(http_reply_write(req, (str){ zeros, sizeof zeros }));
}

static error take_item(http_request *req)
{
    item in;
    TRY(http_body(req, item, &in));
    return http_reply(req, 201, item, &in);
}

static error serve_file(http_request *req)
{
    return http_reply_file(req, "tests/integration/http/static", http_path_text(req, "path"));
}

/* Says what it was asked for. */
static error show_path(http_request *req)
{
    return http_reply_text(req, 200, http_path_text(req, "rest"));
}

static error show_query(http_request *req)
{
    const str q = http_query(req, STR("q"));
    if (!q.ptr)
        return error_set(&HTTP_NOT_FOUND, "no q");
    return http_reply_text(req, 200, q);
}

static error empty(http_request *req)
{
    return http_reply_empty(req, 204);
}

static error set_header(http_request *req)
{
    const str name = http_query(req, STR("name"));
    TRY(http_set_header(req, name.ptr ? name : STR("X-Value"), http_query(req, STR("value"))));
    return http_reply_text(req, 200, STR("set"));
}

/* As many as are asked for, each of 100 bytes and a little. */
static error set_headers(http_request *req)
{
    static const char value[] =
        "0123456789012345678901234567890123456789012345678901234567890123456"
        "789012345678901234567890123456789";
    for (int64_t i = http_path_int8(req, "count"); i > 0; i--)
        TRY(http_set_header(req, STR("X-Many"), (str){ value, sizeof value - 1 }));
    return http_reply_text(req, 200, STR("set"));
}

static error set_type(http_request *req)
{
    return http_reply_bytes(req, 200, http_query(req, STR("type")), STR("typed"));
}

static error no_answer(http_request *req)
{
    (void)req;
    return OK;
}

static error use_much_memory(http_request *req)
{
    for (;;)
        memset(arena_alloc(http_request_arena(req), 65536, 1), 1, 65536);
    return OK;
}

/* Fails with an error of the class that is asked for. */
static error fail_with(http_request *req)
{
#define FAILURE(class_)                    \
    {                                      \
        (class_), #class_, "As asked for." \
    }
    static const error_kind kinds[] = {
        FAILURE(ERROR_INVALID),     FAILURE(ERROR_UNAUTHENTICATED), FAILURE(ERROR_FORBIDDEN),
        FAILURE(ERROR_NOT_FOUND),   FAILURE(ERROR_CONFLICT),        FAILURE(ERROR_TOO_LARGE),
        FAILURE(ERROR_TOO_MANY),    FAILURE(ERROR_CANCELED),        FAILURE(ERROR_TIMED_OUT),
        FAILURE(ERROR_UNAVAILABLE), FAILURE(ERROR_INTERNAL),
    };
    const str class = http_path_text(req, "class");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_eq(class, str_from_c(kinds[i].name)))
            return error_set(&kinds[i], "secret detail");
    }
    return error_set(&HTTP_NOT_FOUND, "no such class");
}

typedef struct saying {
    const char *words;
} saying;
HTTP_VALUE(faulty_saying, const saying);
HTTP_VALUE(faulty_nothing, saying);

static error say_something(http_request *req)
{
    static const saying wrong = { "not this" }, right = { "hello from the guard" };
    faulty_saying_set(req, &wrong);
    faulty_saying_set(req, &right);
    return OK;
}

/* All that a request says about itself. */
static error show_request(http_request *req)
{
    const page_query page = http_page_query(req);
    TRY(page.invalid);
    char id[64];
    uuid_format(id, http_path_uuid(req, "id"));
    const str text =
        str_format(http_request_arena(req), "%.*s|%d|%.*s|%s|%.36s|%s|%d|%u|%.*s|%zu",
                   STR_ARG(http_request_method_name(req)), http_request_method(req) == HTTP_GET,
                   STR_ARG(http_request_path(req)), http_request_route(req)->pattern, id,
                   faulty_saying(req)->words, faulty_nothing(req) != NULL, page.limit,
                   STR_ARG(page.cursor), http_request_id(req).len);
    return http_reply_text(req, 200, text);
}

static error refuse(http_request *req)
{
    (void)req;
    static ERROR_KIND(NOT_YOURS, ERROR_FORBIDDEN, "This is not yours.");
    return error_set(&NOT_YOURS, "guarded");
}

/* Keeps the loop from everything else for that long. */
static error hold(http_request *req)
{
    struct timespec now, from;
    clock_gettime(CLOCK_MONOTONIC, &from);
    const int64_t ms = http_path_int8(req, "ms");
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < ms);
    return http_reply_text(req, 200, STR("held"));
}

/* --- faulty ---------------------------------------------------------------------------------- */

/* Each fault is hidden from the compiler and its sanitizers: what is tested is the signal. */
#define FAULT __attribute__((noinline, no_sanitize("address", "undefined")))

FAULT static error fault_null(http_request *req)
{
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
    return http_reply_text(req, 200, STR("still here"));
}

FAULT static error fault_zero(http_request *req)
{
    volatile int one = 1, zero = 0;
    one = one / zero;
    (void)raise(SIGFPE); /* CPUs that give 0 */
    return http_reply_text(req, 200, STR("still here"));
}

FAULT static int go_deeper(volatile int *outer)
{
    volatile int here[64];
    here[0] = *outer + 1;
    here[63] = go_deeper(here);
    return here[0] + here[63];
}

FAULT static error fault_recurse(http_request *req)
{
    volatile int depth = 0;
    depth = go_deeper(&depth);
    return http_reply_text(req, 200, STR("still here"));
}

/* In steps wider than a guard page, each written from its far end: without a probe of every page
 * the stack below is overwritten before the guard is reached. */
FAULT static int go_deeper_wide(volatile char *outer)
{
    volatile char here[70000];
    for (size_t i = 0; i < sizeof here; i++)
        here[i] = (char)(*outer + 1);
    return go_deeper_wide(here) + here[0];
}

FAULT static error fault_recurse_wide(http_request *req)
{
    volatile char depth = 0;
    depth = (char)go_deeper_wide(&depth);
    return http_reply_text(req, 200, STR("still here"));
}

static error fault_abort(http_request *req)
{
    (void)req;
    abort();
}

static error fault_parameter(http_request *req)
{
    return http_reply_text(req, 200, http_path_text(req, "nope"));
}

FAULT static error fault_illegal(http_request *req)
{
    (void)req;
    __builtin_trap();
}

FAULT static error fault_loop(http_request *req)
{
    for (volatile int turns = 0;;)
        turns = !turns;
    return http_reply_text(req, 200, STR("still here"));
}

/* An allocated resource whose clean-up must be told that its fiber is gone. */
static error nothing_left(void *arg)
{
    (void)arg;
    return OK;
}

static void tell_abandoned(void *arg)
{
    const str *word = arg;
    log_warn("abandoned", LOG_STR("what", *word));
}

static const cleanup TOLD = { .run = nothing_left, .abandon = tell_abandoned, .name = "told" };

static error fault_with_cleanup(http_request *req)
{
    str *word = ARENA_NEW(http_request_arena(req), str);
    *word = STR("lease");
    scope_defer(&TOLD, word);
    return fault_null(req);
}

/* Its client has gone when it faults: nobody is left to answer, and still nothing may break. */
static error fault_alone(http_request *req)
{
    str *word = ARENA_NEW(http_request_arena(req), str);
    *word = STR("orphan");
    scope_defer(&TOLD, word);
    const error e = fiber_sleep(60000);
    return e.kind == &HTTP_CLIENT_GONE ? fault_null(req) : e;
}

static error fault_after_reply(http_request *req)
{
    TRY(http_reply_text(req, 200, STR("staged")));
    return fault_null(req);
}

static error fault_on_fiber(void *arg)
{
    return fault_null(arg);
}

/* A fiber that works for the request faults; the request goes on and hears of it. */
static error fault_in_child(http_request *req)
{
    const fiber_options options = { .name = "child", .joinable = true };
    fiber *child;
    TRY(fiber_start(loop_self(), &options, fault_on_fiber, req, &child));
    return fiber_join(&child);
}

/* A fiber of the program's own, called as the engine calls a request's, with another argument. */
static error fault_in_namesake(http_request *req)
{
    static char not_a_request[] = "x";
    const fiber_options options = { .name = "request" };
    TRY(fiber_start(loop_self(), &options, fault_on_fiber, not_a_request, NULL));
    return fast(req);
}

/* Work on the loop, outside any fiber, that never ends. */
static void never_end(loop_task *task)
{
    (void)task;
    for (volatile int turns = 0;;)
        turns = !turns;
}

static error stall_the_loop(http_request *req)
{
    static loop_task task = { .run = never_end };
    loop_post(loop_self(), &task);
    TRY(fiber_sleep(60000));
    return fast(req);
}

static error fault_in_guard(http_request *req)
{
    return fault_null(req);
}

static const http_route routes[] = {
    { HTTP_GET, "/fast", fast, http_public },
    { HTTP_GET, "/slow/:ms<int8>", slow, http_public },
    { HTTP_GET, "/steps/:steps<int8>", slow_in_steps, http_public },
    { HTTP_GET, "/worker", show_worker, http_public, .reply = SHAPE_OF(worker_reply) },
    { HTTP_POST, "/echo", echo, http_public },
    { HTTP_PUT, "/echo", echo, http_public },
    { HTTP_POST, "/echo/late", echo_late, http_public },
    { HTTP_POST, "/echo/small", echo, http_public, .body_bytes_max = 16 },
    { HTTP_POST, "/echo/large", echo, http_public, .body_bytes_max = 1000 },
    { HTTP_POST, "/count", count, http_public },
    { HTTP_POST, "/count/slowly", count_slowly, http_public },
    { HTTP_POST, "/ignore", ignore_body, http_public },
    { HTTP_GET, "/big/:bytes<int8>", big, http_public },
    { HTTP_GET, "/pieces/:bytes<int8>", pieces, http_public },
    { HTTP_GET, "/endless", endless, http_public, .timeout_ms = 600000 },
    { HTTP_POST, "/items", take_item, http_public, .body = SHAPE_OF(item),
      .reply = SHAPE_OF(item) },
    { HTTP_GET, "/static/*path", serve_file, http_public },
    { HTTP_GET, "/path/*rest", show_path, http_public },
    { HTTP_GET, "/segment/:rest", show_path, http_public },
    { HTTP_GET, "/query", show_query, http_public },
    { HTTP_GET, "/empty", empty, http_public },
    { HTTP_GET, "/header", set_header, http_public },
    { HTTP_GET, "/headers/:count<int8>", set_headers, http_public },
    { HTTP_GET, "/type", set_type, http_public },
    { HTTP_GET, "/no-answer", no_answer, http_public },
    { HTTP_GET, "/memory", use_much_memory, http_public },
    { HTTP_GET, "/long/:ms<int8>", slow, http_public, .timeout_ms = 20000 },
    { HTTP_GET, "/short/:ms<int8>", slow, http_public, .timeout_ms = 50 },
    { HTTP_GET, "/fail/:class", fail_with, http_public },
    { HTTP_GET, "/request/:id<uuid>", show_request, say_something },
    { HTTP_POST, "/forbidden", echo, refuse },
    { HTTP_GET, "/hold/:ms<int8>", hold, http_public },
    { HTTP_GET, "/low", fast, http_public, .priority = HTTP_PRIORITY_LOW },
    { HTTP_POST, "/low", echo, http_public, .priority = HTTP_PRIORITY_LOW },
    { HTTP_GET, "/high", fast, http_public, .priority = HTTP_PRIORITY_HIGH },
    { HTTP_GET, "/fault/null", fault_null, http_public },
    { HTTP_GET, "/fault/zero", fault_zero, http_public },
    { HTTP_GET, "/fault/recurse", fault_recurse, http_public },
    { HTTP_GET, "/fault/recurse-wide", fault_recurse_wide, http_public },
    { HTTP_GET, "/fault/abort", fault_abort, http_public },
    { HTTP_GET, "/fault/parameter", fault_parameter, http_public },
    { HTTP_GET, "/fault/illegal", fault_illegal, http_public },
    { HTTP_GET, "/fault/loop", fault_loop, http_public },
    { HTTP_GET, "/fault/cleanup", fault_with_cleanup, http_public },
    { HTTP_GET, "/fault/alone", fault_alone, http_public },
    { HTTP_GET, "/fault/after-reply", fault_after_reply, http_public },
    { HTTP_GET, "/fault/child", fault_in_child, http_public },
    { HTTP_GET, "/fault/namesake", fault_in_namesake, http_public },
    { HTTP_GET, "/fault/stall", stall_the_loop, http_public },
    { HTTP_GET, "/fault/guard", fast, fault_in_guard },
};

static const http_route unguarded[] = {
    { HTTP_GET, "/fast", fast, NULL },
};
static const http_route conflicting[] = {
    { HTTP_GET, "/items/:id", fast, http_public },
    { HTTP_GET, "/items/:name", slow, http_public },
};

/* --- start ----------------------------------------------------------------------------------- */

static const char *behaviour(void)
{
    const char *text = getenv("FAULTY_START");
    return text ? text : "";
}

static error start_worker(void)
{
    static ERROR_KIND(NOT_TODAY, ERROR_UNAVAILABLE, "Not today.");
    if (strcmp(behaviour(), "fails") == 0)
        return error_set(&NOT_TODAY, "told to fail");
    const char *mark = getenv("FAULTY_MARK"); /* a file; while it is there, nothing starts */
    if (mark && access(mark, F_OK) == 0)
        return error_set(&NOT_TODAY, "%s is there", mark);
    if (strcmp(behaviour(), "dawdles") == 0)
        TRY(fiber_sleep(500));
    if (strcmp(behaviour(), "waits") == 0)
        TRY(fiber_sleep(25000));
    if (strcmp(behaviour(), "faults") == 0)
        return fault_null(NULL);
    return OK;
}

static void stop_worker(void)
{
    if (strcmp(behaviour(), "faults-at-stop") == 0)
        log_error("fault survived", LOG_ERR(fault_null(NULL)));
    log_info("stopped in good order");
}

/* --- commands -------------------------------------------------------------------------------- */

static error run_command(const command *self, int argc, char **argv)
{
    static ERROR_KIND(NO_WORD, ERROR_INVALID, "Say what.");
    static ERROR_KIND(BAD_WORD, ERROR_INTERNAL, "Not that.");
    if (argc != 1)
        return error_set(&NO_WORD, "one word is wanted");
    if (strcmp(argv[0], "bad") == 0)
        return error_set(&BAD_WORD, "a bad word");
    return printf("%s %s\n", self->argument, argv[0]) > 0 ? OK : error_set(&BAD_WORD, "output");
}

static const config_entry SETTINGS[] = {
    { "FAULTY_NUMBER", CONFIG_INT, "7", .min = 1, .max = 9, .meaning = "of nothing" },
    { 0 },
};

/* Standard error becomes a pipe that nobody reads. */
static void go_unheard(void)
{
    int ends[2];
    if (pipe(ends) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
        abort();
    close(ends[0]);
    close(ends[1]);
}

int main(int argc, char **argv)
{
    if (strcmp(behaviour(), "unheard") == 0)
        go_unheard();
    http_app app = { .name = "faulty",
                     .routes = HTTP_ROUTES(routes),
                     .on_worker_start = start_worker,
                     .on_worker_stop = stop_worker,
                     .commands = { { "say", "WORD   says it", run_command, "says" } },
                     .settings = { SETTINGS } };
    if (strcmp(behaviour(), "unguarded") == 0)
        app.routes = HTTP_ROUTES(unguarded);
    if (strcmp(behaviour(), "conflicting") == 0)
        app.routes = HTTP_ROUTES(conflicting);
    return http_main(argc, argv, &app);
}
