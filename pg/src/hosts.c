/* Lists of hosts, as libpq pairs them: as many hosts as the longer of the lists host and hostaddr,
 * which agree when both are given, and one port for all or one for each. A place that is empty
 * takes the default: the system's socket directory, port 5432.
 *
 * A password file that others can read is not used, as its password is nobody's secret; what was
 * wrong with it is told when a server asks for a password. */
#include "hosts.h"

#include "passfile.h"
#include "small_file.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#define DEFAULT_HOST        "/var/run/postgresql"
#define DEFAULT_PORT        5432
#define SOCKET_NAME_LONGEST "/.s.PGSQL.65535"
#define ADDRESS_BYTES_MAX   64
#define SPACES              " \t\n\v\f\r"

static size_t count_of(str list)
{
    size_t count = 1;
    for (size_t i = 0; i < list.len; i++)
        count += list.ptr[i] == ',';
    return count;
}

/* --- one host --------------------------------------------------------------------------------- */

/* IPv4, or IPv6 with or without a zone. */
static bool is_address(str text)
{
    char c[ADDRESS_BYTES_MAX];
    uint8_t bytes[16];
    const str number = str_slice(text, 0, str_index(text, '%'));
    if (text.len >= sizeof c)
        return false;
    memcpy(c, number.ptr, number.len);
    c[number.len] = '\0';
    return (number.len == text.len && inet_pton(AF_INET, c, bytes) == 1) ||
           inet_pton(AF_INET6, c, bytes) == 1;
}

static error read_name(const pg_parameters *p, str name, pg_host *out)
{
    const size_t path_max = sizeof((struct sockaddr_un *)NULL)->sun_path;
    out->name = name.len > 0 || out->address.len > 0 ? name : STR(DEFAULT_HOST);
    if (pg_host_is_unix(out) && name.len + sizeof SOCKET_NAME_LONGEST > path_max)
        return pg_parameters_refuse(p, PG_PARAM_HOST,
                                    "the path of the Unix socket would be too long");
    return OK;
}

static error read_address(const pg_parameters *p, str address, pg_host *out)
{
    out->address = address.len > 0 ? address : STR("");
    if (address.len > 0 && !is_address(address))
        return pg_parameters_refuse(p, PG_PARAM_HOST_ADDRESS, "it is no numeric address");
    return OK;
}

static error read_port(const pg_parameters *p, str text, pg_host *out)
{
    uint64_t port = DEFAULT_PORT;
    if (text.len > 0 &&
        (!str_to_uint64(str_trim(text, STR(SPACES)), &port) || port < 1 || port > UINT16_MAX))
        return pg_parameters_refuse(p, PG_PARAM_PORT, "a port is a number from 1 to 65535");
    out->port = (uint16_t)port;
    return OK;
}

/* --- their passwords -------------------------------------------------------------------------- */

static str problem_of(pg_file_state state)
{
    switch (state) {
    case PG_FILE_EXPOSED:
        return STR("others than its owner have access to it (chmod 600)");
    case PG_FILE_NOT_REGULAR:
        return STR("it is no plain file");
    case PG_FILE_UNREADABLE:
        return STR("it cannot be read");
    case PG_FILE_TOO_LARGE:
        return STR("it is too large");
    case PG_FILE_READ:
    case PG_FILE_MISSING:
        return STR("");
    }
    unreachable();
}

static error find_passwords(str text, arena *a, const pg_conninfo *info, pg_host *hosts)
{
    for (size_t i = 0; i < info->host_count; i++) {
        pg_passfile_key key = { pg_host_text(&hosts[i]), hosts[i].port, info->database,
                                info->user };
        if (str_eq(key.host, STR(DEFAULT_HOST)))
            key.host = STR("localhost");
        str password;
        TRY(pg_passfile_find(text, &key, a, &password));
        hosts[i].password = password.len > 0 ? password : STR("");
    }
    return OK;
}

/* Other passwords of the file do not stay in memory. */
static error read_passfile(const pg_parameters *p, arena *a, pg_conninfo *info, pg_host *hosts)
{
    str path = pg_parameters_get(p, PG_PARAM_PASSFILE), text;
    pg_file_state state;
    if (path.len == 0)
        TRY(pg_small_file_at_home(a, ".pgpass", &path));
    arena scratch;
    arena_init(&scratch, (size_t)2 * PG_SMALL_FILE_BYTES_MAX);
    error e = pg_small_file_read(&scratch, path, true, &state, &text);
    if (!e.kind) {
        info->passfile_problem = problem_of(state);
        e = find_passwords(text, a, info, hosts);
    }
    if (!e.kind && text.len > 0)
        explicit_bzero((void *)(uintptr_t)text.ptr, text.len);
    arena_deinit(&scratch);
    return e;
}

/* --- all of them ------------------------------------------------------------------------------ */

/* How many there are; the lists must agree on it. */
static error count_hosts(const pg_parameters *p, size_t *out)
{
    const str names = pg_parameters_get(p, PG_PARAM_HOST);
    const str addresses = pg_parameters_get(p, PG_PARAM_HOST_ADDRESS);
    const str ports = pg_parameters_get(p, PG_PARAM_PORT);
    const size_t count = count_of(addresses.len > 0 ? addresses : names);
    if (addresses.len > 0 && names.len > 0 && count_of(names) != count)
        return pg_parameters_refuse(p, PG_PARAM_HOST_ADDRESS,
                                    "there are not as many addresses as hosts");
    if (count_of(ports) != 1 && count_of(ports) != count)
        return pg_parameters_refuse(p, PG_PARAM_PORT, "there are not as many ports as hosts");
    if (count > PG_HOSTS_MAX)
        return pg_parameters_refuse(p, addresses.len > 0 ? PG_PARAM_HOST_ADDRESS : PG_PARAM_HOST,
                                    "there are more than 64 hosts");
    *out = count;
    return OK;
}

error pg_hosts_read(const pg_parameters *p, arena *a, pg_conninfo *out)
{
    size_t count = 0;
    TRY(count_hosts(p, &count));
    pg_host *hosts = arena_try_alloc(a, count * sizeof *hosts, _Alignof(pg_host));
    if (!hosts)
        return error_set(&OUT_OF_MEMORY, "no memory for %zu hosts", count);
    str names = pg_parameters_get(p, PG_PARAM_HOST);
    str addresses = pg_parameters_get(p, PG_PARAM_HOST_ADDRESS);
    str ports = pg_parameters_get(p, PG_PARAM_PORT);
    const str one_port = ports;
    const bool shares_port = count_of(ports) == 1;
    for (size_t i = 0; i < count; i++) {
        pg_host *host = &hosts[i];
        *host = (pg_host){ .password = pg_parameters_get(p, PG_PARAM_PASSWORD) };
        TRY(read_address(p, str_cut(&addresses, ','), host));
        TRY(read_name(p, str_cut(&names, ','), host));
        TRY(read_port(p, shares_port ? one_port : str_cut(&ports, ','), host));
    }
    out->hosts = hosts;
    out->host_count = (uint32_t)count;
    out->passfile_problem = STR("");
    return pg_parameters_get(p, PG_PARAM_PASSWORD).len > 0 ? OK : read_passfile(p, a, out, hosts);
}
