/* The error slot: a chain of at most ERROR_CAUSES_MAX details, the newest last. Setting an error
 * starts a new chain; wrapping one appends to it, and a chain that is full loses its newest but
 * one, so that the root cause and the last word always stay. */
#include "core/error.h"

#include "worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ERROR_KIND(CANCELED, ERROR_CANCELED, "The request was canceled.");
ERROR_KIND(TIMED_OUT, ERROR_TIMED_OUT, "The request took too long.");
ERROR_KIND(OUT_OF_MEMORY, ERROR_UNAVAILABLE, "The server is out of memory; try again later.");
ERROR_KIND(ARENA_FULL, ERROR_UNAVAILABLE, "The request needs more memory than it may have.");
ERROR_KIND(SYSTEM_FAILED, ERROR_INTERNAL, "The server could not complete the request.");

const char *error_class_name(error_class class)
{
    switch (class) {
    case ERROR_NONE:
        return "OK";
    case ERROR_INVALID:
        return "INVALID";
    case ERROR_UNAUTHENTICATED:
        return "UNAUTHENTICATED";
    case ERROR_FORBIDDEN:
        return "FORBIDDEN";
    case ERROR_NOT_FOUND:
        return "NOT_FOUND";
    case ERROR_CONFLICT:
        return "CONFLICT";
    case ERROR_TOO_LARGE:
        return "TOO_LARGE";
    case ERROR_TOO_MANY:
        return "TOO_MANY";
    case ERROR_CANCELED:
        return "CANCELED";
    case ERROR_TIMED_OUT:
        return "TIMED_OUT";
    case ERROR_UNAVAILABLE:
        return "UNAVAILABLE";
    case ERROR_INTERNAL:
        return "INTERNAL";
    }
    return "?";
}

/* The entry for a new error: the chain's next when `chained`, else the first. */
static error_detail *slot_push(error_slot *slot, bool chained)
{
    if (!chained)
        slot->count = 0;
    const uint32_t at = slot->count < ERROR_CAUSES_MAX ? slot->count : ERROR_CAUSES_MAX - 1;
    slot->count = at + 1;
    slot->details[at] = (error_detail){ .cause = at ? &slot->details[at - 1] : NULL };
    return &slot->details[at];
}

/* Formats before anything is overwritten, because the arguments may point into the slot. */
static error record(bool chained, const error_kind *kind, int system_errno, const char *file,
                    int line, const char *format, va_list args)
{
    invariant(kind != NULL);
    char text[ERROR_TEXT_BYTES];
    int len = vsnprintf(text, sizeof text, format, args);
    if (len < 0)
        len = 0;
    if (len > (int)sizeof text - 1)
        len = (int)sizeof text - 1;
    error_slot *slot = error_slot_current();
    error_detail *detail = slot_push(slot, chained);
    char *kept = slot->texts[slot->count - 1];
    memcpy(kept, text, (size_t)len);
    detail->kind = kind;
    detail->text = (str){ kept, (size_t)len };
    detail->file = file;
    detail->line = line;
    detail->system_errno = system_errno;
    detail->constraint = STR_NONE;
    return (error){ kind };
}

error error_set_at(const error_kind *kind, const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const error e = record(false, kind, 0, file, line, format, args);
    va_end(args);
    return e;
}

error error_set_errno_at(const error_kind *kind, int system_errno, const char *file, int line,
                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const error e = record(false, kind, system_errno, file, line, format, args);
    va_end(args);
    return e;
}

error error_wrap_at(error cause, const error_kind *kind, const char *file, int line,
                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const error e = record(error_detail_of(cause) != NULL, kind, 0, file, line, format, args);
    va_end(args);
    return e;
}

error error_set_fields_at(const error_kind *kind, const error_field *fields, size_t count,
                          const char *file, int line)
{
    invariant(count > 0);
    const error e = error_set_at(kind, file, line, "%zu invalid field(s), first \"%.*s\": %.*s",
                                 count, STR_ARG(fields[0].path), STR_ARG(fields[0].message));
    error_slot *slot = error_slot_current();
    slot->details[slot->count - 1].fields = fields;
    slot->details[slot->count - 1].field_count = count;
    return e;
}

void error_add_sqlstate(const char sqlstate[6], str constraint, const void *report)
{
    error_slot *slot = error_slot_current();
    invariant(slot->count > 0);
    error_detail *detail = &slot->details[slot->count - 1];
    memcpy(detail->sqlstate, sqlstate, 5);
    detail->sqlstate[5] = '\0';
    detail->report = report;
    if (!constraint.ptr)
        return;
    char *kept = slot->constraints[slot->count - 1];
    const size_t len = constraint.len < ERROR_NAME_BYTES ? constraint.len : ERROR_NAME_BYTES - 1;
    memcpy(kept, constraint.ptr, len);
    detail->constraint = (str){ kept, len };
}

const error_detail *error_detail_of(error e)
{
    const error_slot *slot = error_slot_current();
    if (!e.kind || slot->count == 0 || slot->details[slot->count - 1].kind != e.kind)
        return NULL;
    return &slot->details[slot->count - 1];
}

void error_slot_copy(error_slot *to, const error_slot *from)
{
    if (to == from)
        return;
    *to = *from;
    for (uint32_t i = 0; i < to->count; i++) {
        error_detail *detail = &to->details[i];
        detail->text.ptr = to->texts[i];
        detail->cause = i ? &to->details[i - 1] : NULL;
        if (detail->constraint.ptr)
            detail->constraint.ptr = to->constraints[i];
    }
}

void error_slot_drop_arena(error_slot *slot)
{
    for (uint32_t i = 0; i < slot->count; i++) {
        slot->details[i].fields = NULL;
        slot->details[i].field_count = 0;
        slot->details[i].report = NULL;
    }
}

/* Appends to out[*len..bytes), always leaving room for the NUL. */
PRINTF_LIKE(4, 5)
static void describe_append(char *out, size_t bytes, size_t *len, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int added = vsnprintf(out + *len, bytes - *len, format, args);
    va_end(args);
    if (added > 0)
        *len = *len + (size_t)added < bytes ? *len + (size_t)added : bytes - 1;
}

void error_describe(error e, char *out, size_t bytes)
{
    invariant(bytes > 0);
    size_t len = 0;
    out[0] = '\0';
    const error_detail *detail = error_detail_of(e);
    if (!detail) {
        describe_append(out, bytes, &len, "%s", e.kind ? e.kind->name : "OK");
        return;
    }
    for (const char *link = ""; detail; detail = detail->cause, link = " <- ") {
        describe_append(out, bytes, &len, "%s%s: %.*s", link, detail->kind->name,
                        STR_ARG(detail->text));
        if (detail->system_errno)
            describe_append(out, bytes, &len, ": %s", strerrordesc_np(detail->system_errno));
        if (detail->sqlstate[0])
            describe_append(out, bytes, &len, " [SQLSTATE %s]", detail->sqlstate);
        describe_append(out, bytes, &len, " (%s:%d)", detail->file, detail->line);
    }
}
