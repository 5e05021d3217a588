/* What every type's four decoders are made of: a small reader of bytes that are there, and around
 * it NULL, opt_X and lists, which see it through a descriptor. A type of a noun of its own is read
 * in that noun's file:
 *
 *   static bool read_pg_bits(arena *a, const pg_cell *cell, void *out) { … }
 *   PG_DECODERS(pg_bits, pg_bits, PG_OID_VARBIT, PG_OID_BIT)
 */
#ifndef PG_SRC_DECODER_H
#define PG_SRC_DECODER_H

#include "big_endian.h"

#include "pg/type.h"

typedef struct pg_decoder {
    const char *name;
    const char *list_name;
    uint32_t bytes; /* of the C type */
    uint32_t align;
    uint32_t optional_bytes;  /* of its opt_X */
    uint32_t optional_offset; /* of the value in that */
    /* The cell is not NULL; false: it does not fit, and `out` was left alone. */
    bool (*read)(arena *a, const pg_cell *cell, void *out);
    pg_oid elements[6]; /* of arrays that a list takes */
} pg_decoder;

/* What opt_X begins with, whatever X is. */
typedef struct pg_optional {
    bool has;
    bool is_null;
} pg_optional;

/* What pg_decode_one does with all but what is as it should be. */
COLD error pg_decode_otherwise(const pg_decoder *d, arena *a, const pg_cell *cell, void *out);
/* One value, which must be there. Text of no type is read as that of the first of `elements`. */
static inline error pg_decode_one(const pg_decoder *d, arena *a, const pg_cell *cell, void *out)
{
    if (LIKELY(cell->bytes.ptr && cell->oid && d->read(a, cell, out)))
        return OK;
    return pg_decode_otherwise(d, a, cell, out);
}
/* All items of an array of at most one dimension: opt_X, or X and then none of them NULL. */
error pg_decode_items(const pg_decoder *d, arena *a, const pg_cell *cell, bool optional,
                      void **items, size_t *count);

/* The array type of an element, 0 when none is in the list of pg/type.h. */
pg_oid pg_type_array(pg_oid element);
/* Whether `oid` is in the list of pg/type.h, also as an array. */
bool pg_type_is_known(pg_oid oid);

/* Whether the cell is binary, of this type and of this many bytes. */
static inline bool pg_cell_is(const pg_cell *cell, pg_oid oid, size_t len)
{
    return cell->oid == oid && cell->format == PG_BINARY && cell->bytes.len == len;
}

/* Whether the cell is text of a type that has no OID here. */
static inline bool pg_cell_is_foreign(const pg_cell *cell)
{
    return cell->format == PG_TEXT && !pg_type_is_known(cell->oid);
}

/* What pg_param makes of a type that goes as a literal, in the fiber's arena. */
#define PG_LITERAL_PARAMS(name)                                             \
    pg_value pg_param_##name(name value)                                    \
    {                                                                       \
        return pg_param_literal(name##_format(fiber_arena(), &value));      \
    }                                                                       \
    pg_value pg_param_opt_##name(opt_##name value)                          \
    {                                                                       \
        return value.has ? pg_param_##name(value.value) : pg_param_null(0); \
    }

/* name_##_decoder, and the four public decoders of a type that read_name reads; behind the C type
 * the elements of arrays that a list takes. What is as it should be is read where it is asked for;
 * the rest, and what it is called, goes through the descriptor. */
#define PG_DECODERS(name_, c_type, ...)                                                        \
    static const pg_decoder name_##_decoder = {                                                \
        #name_,           #name_ "_list",      sizeof(c_type),                                 \
        _Alignof(c_type), sizeof(opt_##name_), offsetof(opt_##name_, value),                   \
        read_##name_,     { __VA_ARGS__ }                                                      \
    };                                                                                         \
    error pg_decode_##name_(arena *a, const pg_cell *cell, c_type *out)                        \
    {                                                                                          \
        if (LIKELY(cell->bytes.ptr && cell->oid && read_##name_(a, cell, out)))                \
            return OK;                                                                         \
        return pg_decode_otherwise(&name_##_decoder, a, cell, out);                            \
    }                                                                                          \
    error pg_decode_opt_##name_(arena *a, const pg_cell *cell, opt_##name_ *out)               \
    {                                                                                          \
        if (!cell->bytes.ptr) {                                                                \
            *out = (opt_##name_){ .is_null = true };                                           \
            return OK;                                                                         \
        }                                                                                      \
        TRY(pg_decode_##name_(a, cell, &out->value));                                          \
        out->has = true;                                                                       \
        out->is_null = false;                                                                  \
        return OK;                                                                             \
    }                                                                                          \
    error pg_decode_##name_##_list(arena *a, const pg_cell *cell, name_##_list *out)           \
    {                                                                                          \
        void *items = NULL;                                                                    \
        TRY(pg_decode_items(&name_##_decoder, a, cell, false, &items, &out->count));           \
        out->items = items;                                                                    \
        return OK;                                                                             \
    }                                                                                          \
    error pg_decode_opt_##name_##_list(arena *a, const pg_cell *cell, opt_##name_##_list *out) \
    {                                                                                          \
        void *items = NULL;                                                                    \
        TRY(pg_decode_items(&name_##_decoder, a, cell, true, &items, &out->count));            \
        out->items = items;                                                                    \
        return OK;                                                                             \
    }

#endif
