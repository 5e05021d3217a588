/* Service files, read as libpq reads them: the first group of the name counts, and in it the first
 * line of a parameter; spaces around a line are dropped, those around '=' are not. */
#include "service_file.h"

#include "small_file.h"

#include <string.h>

#define LINE_BYTES_MAX   1022 /* libpq's */
#define SPACES           " \t\n\v\f\r"
/* Of the system, where PGSYSCONFDIR does not say otherwise. */
#define SYSTEM_DIRECTORY "/etc/postgresql-common"

static error malformed(size_t line, const char *what)
{
    return error_set(&PG_CONNINFO_INVALID, "line %zu of the service file: %s", line, what);
}

static bool is_group(str line, str service)
{
    const str name = str_slice(line, 1, line.len);
    return str_starts_with(name, service) && name.len > service.len && name.ptr[service.len] == ']';
}

static error set_line(str line, size_t number, pg_parameters *out)
{
    str value = line;
    const str name = str_cut(&value, '=');
    if (!value.ptr)
        return malformed(number, "it is no parameter=value");
    if (str_eq(name, STR("service")) || str_eq(name, STR("servicefile")))
        return malformed(number, "a service cannot name another");
    return pg_parameters_set(out, name, (pg_given){ value, PG_ORIGIN_SERVICE, number });
}

error pg_service_file_read(str text, str service, pg_parameters *out, bool *found)
{
    *found = false;
    for (size_t number = 1; text.len > 0; number++) {
        const str whole = str_cut(&text, '\n');
        const str line = str_trim(whole, STR(SPACES));
        if (whole.len > LINE_BYTES_MAX)
            return malformed(number, "it is too long");
        if (str_index(line, '\0') < line.len)
            return malformed(number, "a NUL");
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (line.ptr[0] == '[') {
            if (*found)
                return OK;
            *found = is_group(line, service);
        } else if (*found) {
            TRY(set_line(line, number, out));
        }
    }
    return OK;
}

/* --- where they are --------------------------------------------------------------------------- */

/* `must_be`: a file that is not there is an error. */
static error apply_file(arena *a, str path, bool must_be, pg_parameters *out, bool *found)
{
    pg_file_state state;
    str text;
    TRY(pg_small_file_read(a, path, false, &state, &text));
    if (state == PG_FILE_READ)
        return pg_service_file_read(text, out->given[PG_PARAM_SERVICE].value, out, found);
    if (state == PG_FILE_MISSING && !must_be)
        return OK;
    return pg_parameters_refuse(out, must_be ? PG_PARAM_SERVICE_FILE : PG_PARAM_SERVICE,
                                state == PG_FILE_MISSING ? "the service file does not exist"
                                                         : "the service file cannot be read");
}

static error system_file(arena *a, str *out)
{
    static const char NAME[] = "/pg_service.conf";
    str directory;
    TRY(pg_parameters_variable(a, "PGSYSCONFDIR", &directory));
    if (!directory.ptr)
        directory = STR(SYSTEM_DIRECTORY);
    char *to = arena_try_alloc(a, directory.len + sizeof NAME, 1);
    if (!to)
        return error_set(&OUT_OF_MEMORY, "no memory for a file's name");
    memcpy(to, directory.ptr, directory.len);
    memcpy(to + directory.len, NAME, sizeof NAME - 1);
    *out = (str){ to, directory.len + sizeof NAME - 1 };
    return OK;
}

/* From the environment, before the rest of it is looked at: a service comes before that. */
static error find_names(arena *a, pg_parameters *p)
{
    static const struct {
        pg_parameter which;
        const char *variable;
    } names[] = {
        { PG_PARAM_SERVICE, "PGSERVICE" },
        { PG_PARAM_SERVICE_FILE, "PGSERVICEFILE" },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        pg_given *given = &p->given[names[i].which];
        if (given->origin != PG_ORIGIN_NONE)
            continue;
        TRY(pg_parameters_variable(a, names[i].variable, &given->value));
        given->origin = given->value.ptr ? PG_ORIGIN_VARIABLE : PG_ORIGIN_NONE;
    }
    return OK;
}

error pg_service_file_apply(arena *a, pg_parameters *out)
{
    bool found = false;
    TRY(find_names(a, out));
    if (!out->given[PG_PARAM_SERVICE].value.ptr)
        return OK;
    str path = pg_parameters_get(out, PG_PARAM_SERVICE_FILE);
    if (path.len > 0) {
        TRY(apply_file(a, path, true, out, &found));
    } else {
        TRY(pg_small_file_at_home(a, ".pg_service.conf", &path));
        TRY(apply_file(a, path, false, out, &found));
    }
    if (!found) {
        TRY(system_file(a, &path));
        TRY(apply_file(a, path, false, out, &found));
    }
    return found ? OK
                 : pg_parameters_refuse(out, PG_PARAM_SERVICE, "no service file has this service");
}
