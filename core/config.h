/* Settings from environment variables. One constant table names each variable, its type, default,
 * range and meaning; from it come the values, the messages about bad ones, and --help.
 *
 *   typedef struct web_settings { int64_t port; int64_t idle_ms; str key; } web_settings;
 *   static const config_entry WEB_SETTINGS[] = {
 *       { "PORT", CONFIG_INT, "8080", .min = 1, .max = 65535, .meaning = "TCP port to listen on",
 *         .offset = offsetof(web_settings, port) },
 *       { "IDLE_TIMEOUT", CONFIG_DURATION, "60s", .min = 100, .max = 3600000,
 *         .meaning = "how long a connection may say nothing",
 *         .offset = offsetof(web_settings, idle_ms) },
 *       { "SIGNING_KEY", CONFIG_SECRET, .min = 32, .required = true, .meaning = "signs tokens",
 *         .offset = offsetof(web_settings, key) },
 *       { 0 },
 *   };
 *
 * An empty variable counts as unset. Variables that no table names are ignored. Secrets and URLs,
 * which may carry a password, are never printed. */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include "core/buf.h"
#include "core/error.h"
#include "core/str.h"

extern const error_kind CONFIG_INVALID; /* INVALID: a variable's value is not what it must be */

/* The type of a variable, and of the member that takes it. */
typedef enum config_type {
    CONFIG_BOOL = 1, /* bool: true, yes, on, 1; false, no, off, 0 */
    CONFIG_INT,      /* int64_t: decimal */
    CONFIG_BYTES,    /* int64_t: "4096", "64K", "10M", "1G", powers of 1024 */
    CONFIG_DURATION, /* int64_t, ms: "250ms", "30s", "5m", "2h"; a bare number is ms */
    CONFIG_TEXT,     /* str: UTF-8 without control characters */
    CONFIG_SECRET,   /* str: any bytes */
    CONFIG_CHOICE,   /* int64_t: the index in `choices`, compared without case */
    CONFIG_URL,      /* str: scheme://…, printable ASCII; `choices`, if any, are the schemes */
} config_type;

typedef struct config_entry {
    const char *name; /* A-Z, 0-9 and _; NULL ends a table */
    config_type type;
    const char *default_value;  /* as it would be written in the environment. NULL: STR_NONE for a
                                   str; anything else must then be set */
    int64_t min, max;           /* of the number, ms or bytes; of a str: of its length. Both 0:
                                   unlimited; `max` alone 0 beside a `min` above: no upper limit */
    const char *const *choices; /* ends with NULL */
    const char *meaning;
    size_t offset;    /* of the member */
    const char *unit; /* of an int, for the reader: "connections" */
    bool required;    /* a str that must be set */
} config_entry;

/* Reads every variable of `table` into the struct at `out` (NULL: only checks). A member whose
 * variable is bad gets the default, or zero without one.
 *   owns    text is a view of the environment, which must not be changed while it is in use
 *   fails   CONFIG_INVALID, after all of the table was read; the detail names the bad variables,
 *           as many as fit */
error config_read(const config_entry *table, void *out);
/* Checks every variable of `table` and appends a line to `problems` for each that is bad: its name,
 * what it was given (not for secrets and URLs) and what it must be.
 *   fails   CONFIG_INVALID */
error config_check(const config_entry *table, buf *problems);

/* Appends two lines a variable: name and meaning; then type, range and default. */
void config_describe(buf *out, const config_entry *table);

#endif
