/* A field's attributes held against a value: what JSON bodies and URL parameters have in common. */
#ifndef CORE_SRC_SHAPE_CHECK_H
#define CORE_SRC_SHAPE_CHECK_H

#include "core/arena.h"
#include "core/shape.h"

/* Why a value is refused. `code` is constant and NULL when it is not. */
typedef struct shape_fault {
    const char *code;
    str message;
} shape_fault;

/* Checks and stores an integer in the field's width. */
shape_fault shape_store_int(arena *a, const shape_field *field, int64_t value, void *to);
shape_fault shape_check_double(arena *a, const shape_field *field, double value);
shape_fault shape_check_text(arena *a, const shape_field *field, str value);
/* `what`: "byte" or "item", said in the plural where need be. */
shape_fault shape_check_len(arena *a, const shape_field *field, size_t len, const char *what);
/* Reads a quoted or plain text form of the scalar kinds that have one: timestamptz, uuid, bytea. */
shape_fault shape_store_text_form(arena *a, const shape_field *field, str text, void *to);

#endif
