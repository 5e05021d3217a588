/* One error model for loop code, fibers and command-line programs.
 *
 * An `error` is one pointer to a constant kind; OK is zero. Both compilers warn when one is
 * ignored. What went wrong in detail (text, SQLSTATE, where, why) is kept in the current fiber's
 * slot, or in the thread's outside a fiber: the last error set and its causes. Details go to the
 * log, never to a client; a kind's `message` and the field list may. Who handles an error logs it.
 */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include "core/str.h"

/* A closed set; http/ maps it to a status in one switch. */
typedef enum error_class {
    ERROR_NONE = 0,
    ERROR_INVALID,         /* the caller's input is wrong */
    ERROR_UNAUTHENTICATED, /* who are you */
    ERROR_FORBIDDEN,       /* not for you */
    ERROR_NOT_FOUND,
    ERROR_CONFLICT, /* with what is stored */
    ERROR_TOO_LARGE,
    ERROR_TOO_MANY,
    ERROR_CANCELED,
    ERROR_TIMED_OUT,
    ERROR_UNAVAILABLE, /* a retry later may work */
    ERROR_INTERNAL,
} error_class;

typedef struct error_kind {
    error_class class;
    const char *name;    /* "PG_UNIQUE_VIOLATION": for logs and tests */
    const char *message; /* one constant sentence a client may read */
} error_kind;

#if defined(__cppcheck__) /* its C grammar has no attribute in this place */
#define ERROR_MUST_BE_READ
#elif defined(__clang__)
#define ERROR_MUST_BE_READ __attribute__((warn_unused_result))
#else
#define ERROR_MUST_BE_READ [[nodiscard]]
#endif

typedef struct ERROR_MUST_BE_READ error {
    const error_kind *kind; /* NULL: no error */
} error;

#define OK ((error){ NULL })

/* Hands an error on: `if (failed) return it`. The only macro that returns. */
#define TRY(expression)                        \
    do {                                       \
        const error try_error_ = (expression); \
        if (UNLIKELY(try_error_.kind != NULL)) \
            return try_error_;                 \
    } while (0)

/* Defines a kind at file scope: ERROR_KIND(PG_LOST, ERROR_UNAVAILABLE, "The database is away."); */
#define ERROR_KIND(name_, class_, message_) \
    const error_kind name_ = { .class = (class_), .name = #name_, .message = (message_) }

/* Kinds of the core. */
extern const error_kind CANCELED;      /* CANCELED: the fiber was told to stop */
extern const error_kind TIMED_OUT;     /* TIMED_OUT: a deadline passed */
extern const error_kind OUT_OF_MEMORY; /* UNAVAILABLE */
extern const error_kind ARENA_FULL;    /* UNAVAILABLE: a fiber's arena reached its cap */
extern const error_kind SYSTEM_FAILED; /* INTERNAL: a system call failed */

/* Whether nothing went wrong. */
static inline bool error_is_ok(error e)
{
    return e.kind == NULL;
}
/* Whether it is of that kind (its causes are not asked); `kind` NULL: as error_is_ok. */
static inline bool error_is(error e, const error_kind *kind)
{
    return e.kind == kind;
}
/* The class of its kind, ERROR_NONE for OK. */
static inline error_class error_class_of(error e)
{
    return e.kind ? e.kind->class : ERROR_NONE;
}
/* "NOT_FOUND", for logs. */
const char *error_class_name(error_class class);

/* One wrong field of an input, shown to the client. */
typedef struct error_field {
    str path;    /* "items[2].title"; empty for the whole input */
    str code;    /* "too_short", stable */
    str message; /* "must have at least 1 character" */
} error_field;

/* What the slot holds about an error. Lives in the fiber's arena (outside a fiber: in the thread's
 * slot) until the next error_set there. */
typedef struct error_detail {
    const error_kind *kind;
    str text;         /* for the log */
    const char *file; /* where it was set */
    int line;
    int system_errno;          /* 0 when no system call failed */
    char sqlstate[6];          /* "" when the database did not speak */
    str constraint;            /* the violated constraint's name, or STR_NONE */
    const void *report;        /* all that the database said, or NULL: see pg_error_report */
    const error_field *fields; /* the wrong fields, `field_count` of them */
    size_t field_count;
    const struct error_detail *cause; /* what led to it, or NULL */
} error_detail;

/* Records the detail and returns the error. The text is formatted like printf and may be cut at
 * 384 bytes. */
#define error_set(kind_, ...) error_set_at((kind_), __FILE__, __LINE__, __VA_ARGS__)
/* The same for a failed system call, with errno's value. */
#define error_set_errno(kind_, errno_, ...) \
    error_set_errno_at((kind_), (errno_), __FILE__, __LINE__, __VA_ARGS__)
/* A new error whose cause is the slot's present one, which must be of `cause_`. */
#define error_wrap(cause_, kind_, ...) \
    error_wrap_at((cause_), (kind_), __FILE__, __LINE__, __VA_ARGS__)
/* An INVALID error that names fields; `fields` are kept by reference and must live as long as the
 * fiber's arena. */
#define error_set_fields(kind_, fields_, count_) \
    error_set_fields_at((kind_), (fields_), (count_), __FILE__, __LINE__)

/* What the macros above expand to. */
error error_set_at(const error_kind *kind, const char *file, int line, const char *format, ...)
    PRINTF_LIKE(4, 5);
error error_set_errno_at(const error_kind *kind, int system_errno, const char *file, int line,
                         const char *format, ...) PRINTF_LIKE(5, 6);
error error_wrap_at(error cause, const error_kind *kind, const char *file, int line,
                    const char *format, ...) PRINTF_LIKE(5, 6);
error error_set_fields_at(const error_kind *kind, const error_field *fields, size_t count,
                          const char *file, int line);
/* Adds what a database said to the detail just set; `constraint` is copied, `report` (may be NULL)
 * is kept by reference and must live as long as the fiber's arena. */
void error_add_sqlstate(const char sqlstate[6], str constraint, const void *report);

/* The slot's detail if it is about `e`, else NULL (an error made without a detail, or overwritten).
 */
const error_detail *error_detail_of(error e);
/* "KIND: text (file:line) <- CAUSE: …", for logs and command-line programs; in `out`, always
 * NUL-terminated, cut at `bytes`. */
void error_describe(error e, char *out, size_t bytes);

#endif
