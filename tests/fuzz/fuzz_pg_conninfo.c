/* Any bytes as a connection string. One that is taken names a place to connect to, and written down
 * as pairs it is read the same; one that is refused is refused in clean ASCII. */
#include "conninfo.h"

#include "core/buf.h"
#include "tests/support/fuzz.h"

#include <stdlib.h>

#define ARENA_BYTES ((size_t)1 << 20)

static void append_pair(buf *b, const char *name, str value)
{
    buf_append_format(b, "%s='", name);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\'' || value.ptr[i] == '\\')
            buf_append_char(b, '\\');
        buf_append_char(b, value.ptr[i]);
    }
    buf_append(b, STR("' "));
}

static bool has_no_nul(str s)
{
    return s.ptr && str_index(s, '\0') == s.len;
}

static void check_taken(arena *a, const pg_conninfo *info)
{
    const pg_host *host = &info->hosts[0];
    invariant(info->host_count > 0 && info->host_count <= PG_HOSTS_MAX);
    for (uint32_t i = 0; i < info->host_count; i++) {
        invariant(info->hosts[i].name.len + info->hosts[i].address.len > 0);
        invariant(has_no_nul(info->hosts[i].name) && has_no_nul(info->hosts[i].password));
        invariant(info->hosts[i].port > 0);
    }
    invariant(info->user.len > 0 && info->database.len > 0);
    invariant(info->auth_methods <= PG_AUTH_ALL && info->protocol_min <= info->protocol_max);
    invariant(has_no_nul(info->user));
    invariant(has_no_nul(info->database) && has_no_nul(info->application_name));
    invariant(has_no_nul(info->options));

    buf b;
    buf_init_arena(&b, a, ARENA_BYTES);
    append_pair(&b, "host", host->name);
    append_pair(&b, "hostaddr", host->address);
    append_pair(&b, "user", info->user);
    append_pair(&b, "password", host->password);
    append_pair(&b, "dbname", info->database);
    append_pair(&b, "application_name", info->application_name);
    append_pair(&b, "options", info->options);
    buf_append_format(&b, "port=%u", host->port);
    invariant(error_is_ok(buf_status(&b)));
    if (buf_str(&b).len > PG_PARAMETER_BYTES_MAX)
        return;
    pg_conninfo again;
    invariant(error_is_ok(pg_conninfo_parse(a, buf_str(&b), &again)));
    invariant(again.host_count == 1 && host->port == again.hosts[0].port);
    invariant(str_eq(host->name, again.hosts[0].name));
    invariant(str_eq(host->address, again.hosts[0].address));
    invariant(str_eq(host->password, again.hosts[0].password));
    invariant(str_eq(info->user, again.user));
    invariant(str_eq(info->database, again.database) && str_eq(info->options, again.options));
    invariant(str_eq(info->application_name, again.application_name));
}

static void check_refused(error e)
{
    invariant(error_is(e, &PG_CONNINFO_INVALID));
    const str text = error_detail_of(e)->text;
    invariant(text.len > 0);
    for (size_t i = 0; i < text.len; i++)
        invariant(text.ptr[i] >= ' ' && text.ptr[i] < 0x7F);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    arena a;
    arena_init(&a, ARENA_BYTES);
    setenv("PGUSER", "fuzz", 1); /* the process's user may have no name */
    setenv("HOME", "/nonexistent", 1);
    setenv("PGSYSCONFDIR", "/nonexistent", 1);
    pg_conninfo info;
    const error e = pg_conninfo_parse(&a, fuzz_text(data, len), &info);
    if (error_is_ok(e))
        check_taken(&a, &info);
    else
        check_refused(e);
    arena_deinit(&a);
    return 0;
}
