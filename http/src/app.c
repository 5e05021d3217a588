/* The program around an application: configuration, commands, help, and serving. */
#include "app.h"

#include "debug.h"
#include "environment.h"
#include "quarantine.h"
#include "route_metrics.h"
#include "tls.h"
#include "worker.h"

#include "core/tls.h"

#include <stdio.h>
#include <string.h>

#define HELP_BYTES_MAX      ((size_t)1 << 20)
#define APP_ARENA_BYTES_MAX ((size_t)16 << 20)

static const char *const LEVELS[] = { "debug", "info", "warn", "error", "off", NULL };
static const char *const FORMATS[] = { "auto", "logfmt", "json", NULL };
static const char *const PROXY_HEADERS[] = {
    [HTTP_PROXY_X_FORWARDED_FOR] = "x-forwarded-for", [HTTP_PROXY_FORWARDED] = "forwarded", NULL
};

static const char *const CLIENT_CERTS[] = { [HTTP_CLIENT_CERT_NONE] = "none",
                                            [HTTP_CLIENT_CERT_OPTIONAL] = "optional",
                                            [HTTP_CLIENT_CERT_REQUIRED] = "required",
                                            NULL };
static const char *const TLS_VERSIONS[] = {
    [TLS_VERSION_1_2] = "1.2", [TLS_VERSION_1_3] = "1.3", NULL
};

#define AT(member) offsetof(http_settings, member)
#define DAY_MS     86400000
static const config_entry SETTINGS[] = {
    { "CONFIG_FILE", CONFIG_TEXT, .min = 1, .max = 4096,
      .meaning = "file of more variables, NAME=value a line; the environment wins. Read again by "
                 "SIGHUP",
      .offset = AT(config_file) },
    { "LISTEN", CONFIG_TEXT, .min = 1, .max = 4096,
      .meaning = "addresses to listen on instead of HOST and PORT, with spaces between: "
                 "127.0.0.1:80 tls:[::1]:443 unix:/run/app.sock?mode=660; proxy: and proxy+tls: "
                 "begin with a PROXY header; probe: serves routes of high priority only",
      .offset = AT(listen) },
    { "HOST", CONFIG_TEXT, "127.0.0.1", .min = 1, .max = 64, .meaning = "IP address to listen on",
      .offset = AT(host) },
    { "PORT", CONFIG_INT, "8080", .min = 0, .max = 65535,
      .meaning = "TCP port to listen on; 0 takes a free one", .offset = AT(port) },
    { "HTTP_BACKLOG", CONFIG_INT, "4096", .min = 1, .max = 65535,
      .meaning = "connections that may wait to be accepted, a socket; net.core.somaxconn bounds it",
      .offset = AT(backlog), .unit = "connections" },
    { "HTTP_DEFER_ACCEPT", CONFIG_DURATION, "0", .min = 0, .max = 60000,
      .meaning = "time the kernel keeps a TCP connection to itself until its first bytes, in whole "
                 "seconds; 0: none",
      .offset = AT(defer_accept_ms) },
    { "WORKERS", CONFIG_INT, "-1", .min = -1, .max = 256,
      .meaning = "worker processes; -1: one per core, 0: none, all in one process",
      .offset = AT(workers) },
    { "HTTP_REQUEST_LINE_BYTES_MAX", CONFIG_BYTES, "8K", .min = 64, .max = (int64_t)1 << 20,
      .meaning = "longest request line; past it 414", .offset = AT(request_line_bytes_max) },
    { "HTTP_HEADER_BYTES_MAX", CONFIG_BYTES, "32K", .min = 256, .max = (int64_t)1 << 20,
      .meaning = "all header fields of a request together; past it 431",
      .offset = AT(header_bytes_max) },
    { "HTTP_HEADER_FIELDS_MAX", CONFIG_INT, "100", .min = 1, .max = HTTP_FIELDS_MAX,
      .meaning = "header fields of a request; past it 431", .offset = AT(header_fields_max),
      .unit = "fields" },
    { "HTTP_BODY_BYTES_MAX", CONFIG_BYTES, "1M", .min = 0, .max = (int64_t)1 << 32,
      .meaning = "largest request body, where the route has no limit of its own; past it 413",
      .offset = AT(body_bytes_max) },
    { "HTTP_CHUNK_EXTENSION_BYTES_MAX", CONFIG_BYTES, "1K", .min = 0, .max = (int64_t)1 << 20,
      .meaning = "extensions of a body's chunks, all together; past it 400",
      .offset = AT(chunk_extension_bytes_max) },
    { "HTTP_TRAILER_BYTES_MAX", CONFIG_BYTES, "4K", .min = 0, .max = (int64_t)1 << 20,
      .meaning = "fields behind a body's last chunk, which are dropped; past it 400",
      .offset = AT(trailer_bytes_max) },
    { "HTTP_UPLOAD_DIR", CONFIG_TEXT, "/var/tmp", .min = 1, .max = 4000,
      .meaning = "directory for files of uploads, which have no name there and go with the request",
      .offset = AT(upload_dir) },
    { "HTTP_CONNECTION_REQUESTS_MAX", CONFIG_INT, "100000", .min = 1, .max = INT32_MAX,
      .meaning = "requests on a connection; the last one's answer closes it",
      .offset = AT(connection_requests_max), .unit = "requests" },
    { "HTTP_HANDLER_TIMEOUT", CONFIG_DURATION, "30s", .min = 1, .max = DAY_MS,
      .meaning = "time a handler may take; past it 504", .offset = AT(handler_timeout_ms) },
    { "HTTP_FIRST_BYTE_TIMEOUT", CONFIG_DURATION, "30s", .min = 1, .max = DAY_MS,
      .meaning = "time a new connection may wait with its first byte",
      .offset = AT(first_byte_timeout_ms) },
    { "HTTP_HEADER_TIMEOUT", CONFIG_DURATION, "10s", .min = 1, .max = DAY_MS,
      .meaning = "time a request's head may take from its first byte to its last; past it 408",
      .offset = AT(header_timeout_ms) },
    { "HTTP_BODY_TIMEOUT", CONFIG_DURATION, "30s", .min = 1, .max = DAY_MS,
      .meaning = "longest pause in a request's body; past it 408", .offset = AT(body_timeout_ms) },
    { "HTTP_BODY_RATE_MIN", CONFIG_BYTES, "256", .min = 0, .max = (int64_t)1 << 30,
      .meaning = "bytes a second that a request's body must come with, HTTP_BODY_TIMEOUT given "
                 "once on top; below it 408; 0: any",
      .offset = AT(body_rate_min) },
    { "HTTP_WRITE_TIMEOUT", CONFIG_DURATION, "30s", .min = 1, .max = DAY_MS,
      .meaning = "longest time a client may take nothing of a response",
      .offset = AT(write_timeout_ms) },
    { "HTTP_WRITE_RATE_MIN", CONFIG_BYTES, "256", .min = 0, .max = (int64_t)1 << 30,
      .meaning = "bytes a second that a client must take of a response, in each "
                 "HTTP_WRITE_TIMEOUT; 0: any",
      .offset = AT(write_rate_min) },
    { "HTTP_IDLE_TIMEOUT", CONFIG_DURATION, "75s", .min = 1, .max = DAY_MS,
      .meaning = "time a connection may wait for its next request", .offset = AT(idle_timeout_ms) },
    { "HTTP_DRAIN_TIMEOUT", CONFIG_DURATION, "30s", .min = 0, .max = DAY_MS,
      .meaning = "time requests in flight have after SIGTERM", .offset = AT(drain_timeout_ms) },
    { "HTTP_RETIRE_TIMEOUT", CONFIG_DURATION, "2s", .min = 0, .max = DAY_MS,
      .meaning = "time a faulted worker's other requests have", .offset = AT(retire_timeout_ms) },
    { "HTTP_CONNECTIONS_MAX", CONFIG_INT, "16000", .min = 1, .max = 1000000,
      .meaning = "connections a worker holds", .offset = AT(connections_max),
      .unit = "connections" },
    { "HTTP_REQUESTS_MAX", CONFIG_INT, "10000", .min = 1, .max = 1000000,
      .meaning = "requests in flight in a worker; past it 503, but for routes of high priority",
      .offset = AT(requests_max), .unit = "requests" },
    { "HTTP_FIBERS_MAX", CONFIG_INT, "100000", .min = 2 * (int64_t)HTTP_FIBERS_SPARE,
      .max = 1000000,
      .meaning = "fibers of a worker: requests in flight, and what their handlers start; the last "
                 "64 are for routes of high priority",
      .offset = AT(fibers_max), .unit = "fibers" },
    { "HTTP_SHED_REQUESTS", CONFIG_INT, "1000", .min = 0, .max = 1000000,
      .meaning = "requests in flight past which routes of low priority are answered with 503; "
                 "0: any number",
      .offset = AT(shed_requests), .unit = "requests" },
    { "HTTP_SHED_LAG", CONFIG_DURATION, "250ms", .min = 0, .max = DAY_MS,
      .meaning = "lag of the loop past which routes of low priority are answered with 503; 0: any",
      .offset = AT(shed_lag_ms) },
    { "HTTP_QUARANTINE_FAULTS", CONFIG_INT, "3", .min = 0, .max = HTTP_QUARANTINE_FAULTS_MAX,
      .meaning = "faults of a route within HTTP_QUARANTINE_WINDOW after which it is answered with "
                 "503 until a reload; 0: never",
      .offset = AT(quarantine_faults), .unit = "faults" },
    { "HTTP_QUARANTINE_WINDOW", CONFIG_DURATION, "60s", .min = 1, .max = DAY_MS,
      .meaning = "time in which a route's faults count together",
      .offset = AT(quarantine_window_ms) },
    { "HTTP_DEBUG_PATH", CONFIG_TEXT, .min = 1, .max = 1024,
      .meaning = "path that lists the requests in flight; needs HTTP_DEBUG_TOKEN",
      .offset = AT(debug_path) },
    { "HTTP_DEBUG_TOKEN", CONFIG_SECRET, .min = 16, .max = 1024,
      .meaning = "bearer token of those who may read HTTP_DEBUG_PATH", .offset = AT(debug_token) },
    { "HTTP_REQUEST_MEMORY_MAX", CONFIG_BYTES, "64M", .min = 65536, .max = (int64_t)1 << 34,
      .meaning = "memory a request may take", .offset = AT(arena_bytes_max) },
    { "HTTP_ACCESS_LOG", CONFIG_BOOL, "off", .meaning = "a line for each request",
      .offset = AT(access_log) },
    { "HTTP_CONTAIN_FAULTS", CONFIG_BOOL, "on",
      .meaning = "off: a fault in a handler ends the worker, for debuggers",
      .offset = AT(contain_faults) },
    { "HTTP_TRUSTED_PROXIES", CONFIG_TEXT, "", .max = 4096,
      .meaning = "addresses, networks and \"unix\", whose word on the client's address counts",
      .offset = AT(trusted_proxies) },
    { "HTTP_PROXY_HEADER", CONFIG_CHOICE, "x-forwarded-for", .choices = PROXY_HEADERS,
      .meaning = "the header that these proxies write", .offset = AT(proxy_field) },
    { "TLS_CERT_FILE", CONFIG_TEXT, "", .max = 4096,
      .meaning = "certificate of listeners with tls:, then those that lead to its root (PEM). Read "
                 "again by SIGHUP, like all files here",
      .offset = AT(tls_cert_file) },
    { "TLS_KEY_FILE", CONFIG_TEXT, "", .max = 4096,
      .meaning = "its private key (PEM), where that is not in TLS_CERT_FILE",
      .offset = AT(tls_key_file) },
    { "TLS_OTHER_CERT_FILES", CONFIG_TEXT, "", .max = 16384,
      .meaning = "certificates for other names, CERT or CERT,KEY, with spaces between",
      .offset = AT(tls_other_cert_files) },
    { "TLS_CLIENT_CA_FILE", CONFIG_TEXT, "", .max = 4096,
      .meaning = "who may issue clients' certificates (PEM)", .offset = AT(tls_client_ca_file) },
    { "TLS_CLIENT_CERT", CONFIG_CHOICE, "none", .choices = CLIENT_CERTS,
      .meaning = "whether clients are asked for one", .offset = AT(tls_client_cert) },
    { "TLS_VERSION_MIN", CONFIG_CHOICE, "1.2", .choices = TLS_VERSIONS,
      .meaning = "oldest version of TLS", .offset = AT(tls_version_min) },
    { "TLS_HANDSHAKE_TIMEOUT", CONFIG_DURATION, "10s", .min = 1, .max = DAY_MS,
      .meaning = "time a handshake may take", .offset = AT(tls_handshake_timeout_ms) },
    { "TLS_KERNEL", CONFIG_BOOL, "on",
      .meaning = "let the kernel seal what is sent from the first large file on, where it can",
      .offset = AT(tls_kernel) },
    { "TLS_TICKET_ROTATION", CONFIG_DURATION, "8h", .min = 1000, .max = DAY_MS,
      .meaning = "time after which session tickets get a new key; the three before it still count",
      .offset = AT(tls_ticket_rotation_ms) },
    { "LOG_LEVEL", CONFIG_CHOICE, "info", .choices = LEVELS,
      .meaning = "least level that is logged", .offset = AT(log_level) },
    { "LOG_FORMAT", CONFIG_CHOICE, "auto", .choices = FORMATS,
      .meaning = "auto: logfmt to a terminal, else JSON lines", .offset = AT(log_format) },
    { 0 },
};
#undef AT

static int print_help(const http_app *app)
{
    buf out;
    buf_init(&out, HELP_BYTES_MAX);
    buf_append_format(&out, "usage: %s              serves\n", app->name);
    for (size_t i = 0; i < HTTP_APP_COMMANDS_MAX && app->commands[i].name; i++)
        buf_append_format(&out, "       %s %s %s\n", app->name, app->commands[i].name,
                          app->commands[i].usage);
    buf_append(&out, STR("\nenvironment:\n"));
    config_describe(&out, SETTINGS);
    for (size_t i = 0; i < HTTP_APP_SETTINGS_MAX && app->settings[i]; i++)
        config_describe(&out, app->settings[i]);
    const bool printed = fwrite(out.data, 1, out.len, stdout) == out.len;
    buf_deinit(&out);
    return printed ? 0 : 1;
}

static int complain(error e, int status)
{
    char text[1536];
    error_describe(e, text, sizeof text);
    (void)fprintf(stderr, "%s\n", text);
    return status;
}

/* Every table is checked, so that one start tells all that is wrong. */
static bool settings_are_valid(const http_app *app)
{
    buf problems;
    buf_init(&problems, HELP_BYTES_MAX);
    bool good = error_is_ok(config_check(SETTINGS, &problems));
    for (size_t i = 0; i < HTTP_APP_SETTINGS_MAX && app->settings[i]; i++)
        good = error_is_ok(config_check(app->settings[i], &problems)) && good;
    (void)fwrite(buf_str(&problems).ptr, 1, problems.len, stderr);
    buf_deinit(&problems);
    return good;
}

static error read_settings(http_settings *settings)
{
    TRY(config_read(SETTINGS, settings));
    const error e = http_trust_parse(settings->trusted_proxies, &settings->trust);
    settings->trust.field = (http_proxy_field)settings->proxy_field;
    return e.kind ? error_wrap(e, &CONFIG_INVALID, "HTTP_TRUSTED_PROXIES") : e;
}

error http_app_read_settings(const http_app *app, http_settings *out)
{
    return settings_are_valid(app) ? read_settings(out)
                                   : error_set(&CONFIG_INVALID, "as standard error says");
}

/* The app's own routes are a group without a prefix. */
error http_app_build_router(const http_app *app, const http_settings *settings, arena *a,
                            router **out)
{
    http_group *groups = ARENA_NEW_ARRAY(a, http_group, app->groups.count + 1);
    groups[0].routes = app->routes;
    if (app->groups.count > 0)
        memcpy(groups + 1, app->groups.items, app->groups.count * sizeof *groups);
    TRY(http_router_build(a, app->layers, groups, app->groups.count + 1, out));
    TRY(http_router_add_bare(a, *out, HTTP_BUILT_IN));
    TRY(http_debug_add(a, settings, *out));
    http_route_metrics_add(a, *out);
    return OK;
}

uint32_t http_app_metrics(const http_app *app, const router *r,
                          const metrics_table *out[HTTP_TABLES_MAX])
{
    uint32_t count = 0;
    out[count++] = &HTTP_METRICS;
    out[count++] = http_router_metrics(r);
    for (size_t i = 0; i < HTTP_APP_METRICS_MAX && app->metrics[i]; i++)
        out[count++] = app->metrics[i];
    return count;
}

static int serve(const http_app *app, char *const *arguments, char *const *environment)
{
    static http_settings settings; /* as long as the process, like the routes */
    arena a;
    router *r;
    if (!settings_are_valid(app))
        return 2;
    error e = read_settings(&settings);
    arena_init(&a, APP_ARENA_BYTES_MAX);
    if (error_is_ok(e))
        e = http_tls_open(&a, &settings);
    if (e.kind) {
        arena_deinit(&a);
        return complain(e, 2);
    }
    e = http_app_build_router(app, &settings, &a, &r);
    const supervisor_start start = {
        .app = app, .settings = &settings, .router = r, .program = { arguments, environment }
    };
    const int status = e.kind ? complain(e, 1) : http_supervisor_run(&start);
    tls_config_free(&settings.tls);
    arena_deinit(&a);
    return status;
}

static int run_command(int argc, char **argv, const http_app *app)
{
    for (size_t i = 0; i < HTTP_APP_COMMANDS_MAX && app->commands[i].name; i++) {
        const command *c = &app->commands[i];
        if (strcmp(argv[1], c->name) != 0)
            continue;
        const error e = c->run(c, argc - 2, argv + 2);
        return e.kind ? complain(e, e.kind->class == ERROR_INVALID ? 2 : 1) : 0;
    }
    (void)fprintf(stderr, "%s: unknown command \"%s\"; see %s --help\n", app->name, argv[1],
                  app->name);
    return 2;
}

int http_main(int argc, char **argv, const http_app *app)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
        return print_help(app);
    char **environment;
    const error loaded = http_environment_load(&environment);
    if (loaded.kind)
        return complain(loaded, 2);
    const int status = argc < 2 ? serve(app, argv, environment) : run_command(argc, argv, app);
    memory_free(environment);
    return status;
}
