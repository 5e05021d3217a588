/* Password files are read as libpq reads them: the first line that fits counts, also when its
 * password is empty. */
#include "passfile.h"

#include <stdio.h>

/* Whether the line's first field fits, which is then cut off. */
static bool cut_field(str *line, str wanted)
{
    if (str_starts_with(*line, STR("*:"))) {
        *line = str_slice(*line, 2, line->len);
        return true;
    }
    size_t at = 0;
    for (size_t i = 0; i < line->len; i++) {
        if (line->ptr[i] == ':' && at == wanted.len) {
            *line = str_slice(*line, i + 1, line->len);
            return true;
        }
        if (line->ptr[i] == '\\' && ++i == line->len)
            return false;
        if (at == wanted.len || line->ptr[i] != wanted.ptr[at++])
            return false;
    }
    return false;
}

static bool fits(str *line, const pg_passfile_key *key)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", key->port);
    return cut_field(line, key->host) && cut_field(line, str_from_c(port)) &&
           cut_field(line, key->database) && cut_field(line, key->user);
}

/* The password is what is left of its line, up to a colon. */
static error read_password(str rest, arena *a, str *password)
{
    char *to = arena_try_alloc(a, rest.len, 1);
    if (!to)
        return error_set(&OUT_OF_MEMORY, "no memory for a password");
    size_t len = 0;
    for (size_t i = 0; i < rest.len && rest.ptr[i] != ':'; i++) {
        if (rest.ptr[i] == '\\' && i + 1 < rest.len)
            i++;
        to[len++] = rest.ptr[i];
    }
    *password = (str){ to, len };
    return OK;
}

error pg_passfile_find(str text, const pg_passfile_key *key, arena *a, str *password)
{
    *password = STR_NONE;
    while (text.len > 0) {
        str line = str_cut(&text, '\n');
        while (str_ends_with(line, STR("\r")))
            line.len--;
        line.len = str_index(line, '\0'); /* to which the server could not be told anything else */
        if (line.len > 0 && line.ptr[0] != '#' && fits(&line, key))
            return read_password(line, a, password);
    }
    return OK;
}
