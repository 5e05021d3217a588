/* Values made of values, of whatever type: arrays, composites and ranges as cells for the decoders
 * of pg/type.h, and what is sent of them.
 *
 *   pg_record address;                                   // a column of a composite type
 *   TRY(pg_get(&rows, 0, 0, &address));
 *   TRY(pg_get_cell(pg_record_cell(&address, 1), &zip)); // its second field
 *   pg_record changed;
 *   TRY(pg_record_of(fiber_arena(), PG_VALUES(street, zip), &changed));
 *   TRY(pg_execute(db, NULL, "update people set address = $1", changed));
 *
 * Cells live in the arena of their decoder, their bytes are views of it or of what was decoded.
 * Those of a type that has an OID here are of their own type, all others text of none (oid 0),
 * which every decoder reads as its own. As parameters they are written into the fiber's arena. */
#ifndef PG_CELLS_H
#define PG_CELLS_H

#include "pg/type.h"

/* --- arrays ----------------------------------------------------------------------------------- */

/* An array of up to six dimensions, with NULLs in it. */
#define PG_ARRAY_DIMENSIONS_MAX 6
#define PG_ARRAY_ITEMS_MAX      134217727 /* the server takes no more */
typedef struct pg_array {
    pg_oid element;      /* the type of its items; 0: one without an OID here */
    uint32_t dimensions; /* 0: it is empty */
    struct {
        uint32_t count;
        int32_t lower; /* the first index, 1 in most */
    } sides[PG_ARRAY_DIMENSIONS_MAX];
    pg_cell *cells; /* all of them, the last dimension's index running fastest */
    size_t count;
} pg_array;
SCALAR_OPTIONAL(pg_array, pg_array);

/* Reads any array: TRY(pg_get(&rows, 0, 0, &array)), then pg_get_cell(&array.cells[i], &n).
 *   fails  PG_TYPE_MISMATCH: no array, or NULL for what is not opt_pg_array; OUT_OF_MEMORY */
error pg_decode_pg_array(arena *a, const pg_cell *cell, pg_array *out);
error pg_decode_opt_pg_array(arena *a, const pg_cell *cell, opt_pg_array *out);

/* An array of several dimensions to send: 2 rows of 3 are
 *   TRY(pg_array_of(a, PG_VALUES(1, 2, 3, 4, 5, 6), 2, (const uint32_t[]){ 2, 3 }, &array));
 * All values are of one type, or literals; NULLs among them are pg_param_null of it. Lower bounds
 * are 1; array.sides[0].lower = 0 is another. (Lists are arrays of one dimension by themselves.)
 *   fails  PG_INVALID_ARGUMENT: values of different types, lists, a pg_money, counts of another
 *          number of values, more dimensions or items than the server takes */
error pg_array_of(arena *a, pg_values values, uint32_t dimensions, const uint32_t *counts,
                  pg_array *out);

/* --- composites ------------------------------------------------------------------------------- */

#define PG_RECORD_FIELDS_MAX 1664 /* the server takes no more */

/* The fields of a composite type's value, or of row(…), in their order. */
typedef struct pg_record {
    const pg_cell *cells;
    size_t count;
} pg_record;
SCALAR_OPTIONAL(pg_record, pg_record);
SCALAR_LIST(pg_record, pg_record);

/* Reads a composite of any type, and a record; a list: an array of them. A field that is a
 * composite, an array or a range itself is a cell for their decoders.
 *   fails  PG_TYPE_MISMATCH: no composite, or NULL for what is not opt_X; OUT_OF_MEMORY */
error pg_decode_pg_record(arena *a, const pg_cell *cell, pg_record *out);
error pg_decode_opt_pg_record(arena *a, const pg_cell *cell, opt_pg_record *out);
error pg_decode_pg_record_list(arena *a, const pg_cell *cell, pg_record_list *out);
error pg_decode_opt_pg_record_list(arena *a, const pg_cell *cell, opt_pg_record_list *out);
/* The field at `index`, from 0; NULL of no type when the record has fewer. */
const pg_cell *pg_record_cell(const pg_record *record, size_t index);

/* A composite to send, of its fields in their order; a composite in it is pg_param(inner). The
 * server infers its type, as that of a literal: write $1::address where it cannot.
 *   fails  PG_INVALID_ARGUMENT: a pg_money, whose text depends on the database's locale (send a
 *          pg_numeric); more fields than the server takes */
error pg_record_of(arena *a, pg_values fields, pg_record *out);
/* "(1,\"a b\",)", as the server writes it; all cells are text. */
str pg_record_format(arena *a, const pg_record *record);

/* --- ranges of other types -------------------------------------------------------------------- */

/* A range that a database has made by create type … as range; also any of pg/range.h. */
typedef struct pg_range {
    pg_cell lower;
    pg_cell upper;
    bool lower_exclusive;
    bool upper_inclusive;
    bool lower_unbounded;
    bool upper_unbounded;
    bool empty;
} pg_range;
/* Several of them. */
typedef struct pg_multirange {
    const pg_range *items;
    size_t count;
} pg_multirange;
SCALAR_OPTIONAL(pg_range, pg_range);
SCALAR_OPTIONAL(pg_multirange, pg_multirange);

/* Reads any range, any multirange.
 *   fails  PG_TYPE_MISMATCH: none, or NULL for what is not opt_X; OUT_OF_MEMORY */
error pg_decode_pg_range(arena *a, const pg_cell *cell, pg_range *out);
error pg_decode_opt_pg_range(arena *a, const pg_cell *cell, opt_pg_range *out);
error pg_decode_pg_multirange(arena *a, const pg_cell *cell, pg_multirange *out);
error pg_decode_opt_pg_multirange(arena *a, const pg_cell *cell, opt_pg_multirange *out);
/* "[1.5,2.5)", "{[1.5,2.5),[3,)}" as the server writes them; their cells are text. */
str pg_range_format(arena *a, const pg_range *range);
str pg_multirange_format(arena *a, const pg_multirange *ranges);

/* A range to send: from `lower`, which is in it, to `upper`, which is not; NULL is no bound. Flags
 * may be changed in `out`. The server infers its type, as that of a literal.
 *   fails  PG_INVALID_ARGUMENT: a bound of pg_money */
error pg_range_of(arena *a, pg_value lower, pg_value upper, pg_range *out);

/* --- as parameters ---------------------------------------------------------------------------- */

/* What pg_param makes of them, in the fiber's arena: an array is of its type where that has an OID
 * here, all others are literals, whose type the server infers. Cells of composites and ranges are
 * text, those of an array all of one format, and as many as its sides say: an invariant. */
pg_value pg_param_pg_array(pg_array array);
pg_value pg_param_opt_pg_array(opt_pg_array array);
pg_value pg_param_pg_record(pg_record value);
pg_value pg_param_opt_pg_record(opt_pg_record value);
pg_value pg_param_pg_range(pg_range value);
pg_value pg_param_opt_pg_range(opt_pg_range value);
pg_value pg_param_pg_multirange(pg_multirange value);
pg_value pg_param_opt_pg_multirange(opt_pg_multirange value);

#endif
