/* CONFIG_FILE: settings that can change while the program runs. A process's environment is fixed
 * when it starts; a file is read again by each reload.
 *
 * The file has a line a variable, NAME=value, with the value as it stands: no quotes, no escapes,
 * no expansion. Lines that are empty or begin with # are for the reader. What is neither is a
 * mistake, told with its line, and stops the start, as it stops a reload before anything has
 * changed.
 *
 * Invariant: what the process was given is kept apart, so that its successor does not take the
 * file's values of today for settings that a later file must not change. */
#include "environment.h"

#include "core/config.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define NAME_BYTES_MAX 128

static const str NAME_CHARACTERS = { "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", 37 };
static const str BLANKS = { " \t", 2 };

/* The value of `name` among `variables`; "" where there is none. */
static str find(char *const *variables, str name)
{
    for (; *variables; variables++) {
        str value = str_from_c(*variables);
        if (str_eq(str_cut(&value, '='), name) && value.ptr)
            return value;
    }
    return STR("");
}

static error apply(str line, char *const *given, const char *path, unsigned number)
{
    char text[NAME_BYTES_MAX + 1];
    str value = line;
    const str name = str_cut(&value, '=');
    const bool is_name = name.len > 0 && name.len <= NAME_BYTES_MAX &&
                         str_trim(name, NAME_CHARACTERS).len == 0 && name.ptr[0] > '9';
    if (!value.ptr || !is_name)
        return error_set(&CONFIG_INVALID, "CONFIG_FILE %s, line %u: must be NAME=value", path,
                         number);
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    const char *present = getenv(text);
    if (find(given, name).len > 0)
        return OK;
    if (present && *present)
        return error_set(&CONFIG_INVALID, "CONFIG_FILE %s, line %u: %s is set a second time", path,
                         number, text);
    if (setenv(text, value.ptr, 1) < 0) /* NUL-terminated: the line's end was overwritten */
        return error_set(&OUT_OF_MEMORY, "no memory for %s", text);
    return OK;
}

/* `text` has a writable byte behind it. */
static error apply_lines(char *text, size_t len, char *const *given, const char *path)
{
    str rest = { text, len };
    if (str_index(rest, '\0') < len)
        return error_set(&CONFIG_INVALID, "CONFIG_FILE %s: has a zero byte", path);
    for (unsigned number = 1; rest.ptr; number++) {
        const str line = str_cut(&rest, '\n');
        text[line.ptr - text + (ptrdiff_t)line.len] = '\0';
        if (str_index(line, '\r') < line.len)
            return error_set(&CONFIG_INVALID, "CONFIG_FILE %s, line %u: has a carriage return",
                             path, number);
        const str shown = str_trim(line, BLANKS);
        if (shown.len > 0 && shown.ptr[0] != '#')
            TRY(apply(line, given, path, number));
    }
    return OK;
}

/* Reads at most FILE_BYTES_MAX; returns the length, or -1 with errno set. */
static ssize_t read_file(const char *path, char *into)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t len = 0;
    ssize_t got;
    do {
        got = read(fd, into + len, FILE_BYTES_MAX - len);
        len += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    const int why = len == FILE_BYTES_MAX ? EFBIG : errno;
    close(fd);
    errno = why;
    return got < 0 || len == FILE_BYTES_MAX ? -1 : (ssize_t)len;
}

static error load(const char *path, char *const *given)
{
    char *text = MEMORY_NEW_ARRAY(char, FILE_BYTES_MAX + 1);
    if (!text)
        return error_set(&OUT_OF_MEMORY, "no memory for CONFIG_FILE");
    const ssize_t len = read_file(path, text);
    const error e = len < 0 ? error_set_errno(&SYSTEM_FAILED, errno, "reading CONFIG_FILE %s", path)
                            : apply_lines(text, (size_t)len, given, path);
    memory_free(text);
    return e;
}

error http_environment_load(char ***given)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **copy = MEMORY_NEW_ARRAY(char *, count + 1); /* setenv changes the array in place */
    if (!copy)
        return error_set(&OUT_OF_MEMORY, "no memory for the environment");
    memcpy(copy, environ, count * sizeof *copy);
    *given = copy;
    const char *path = getenv("CONFIG_FILE");
    const error e = path && *path ? load(path, copy) : OK;
    if (e.kind) {
        memory_free(copy);
        *given = NULL;
    }
    return e;
}
