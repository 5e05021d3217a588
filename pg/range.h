/* PostgreSQL's ranges and multiranges: spans of integers, numerics, days and times.
 *
 *   pg_tstzrange stay = { .lower = arrival, .upper = departure }; // [arrival, departure)
 *   TRY(pg_query(db, &rows, "select room from bookings where during && $1", stay));
 *
 * A range of zeros but for its bounds is the usual one, with its lower bound and without its upper.
 * The server writes ranges of integers and days all in that form: [1,3] comes back as [1,4).
 *
 * Every format function gives what the server writes with time zone UTC; the text lives in `a`.
 * Every parse function reads the whole of such a text, of any zone, returns false on anything else
 * and when there is no room in `a` for what is quoted or for many digits, and then leaves `*out`
 * alone. */
#ifndef PG_RANGE_H
#define PG_RANGE_H

#include "pg/date.h"
#include "pg/numeric.h"

/* A range over `c_type`, several of them without a gap or an overlap (a multirange, of PostgreSQL
 * 14 and later), and their optionals and lists. An infinite value is one like others: a range up to
 * infinity without it differs from one without an end. */
#define PG_RANGE(name, multi, c_type)                                     \
    typedef struct name {                                                 \
        c_type lower;                                                     \
        c_type upper;                                                     \
        bool lower_exclusive; /* the lower bound is not in it */          \
        bool upper_inclusive; /* the upper bound is in it */              \
        bool lower_unbounded; /* without a beginning; `lower` is zero */  \
        bool upper_unbounded; /* without an end; `upper` is zero */       \
        bool empty;           /* nothing is in it; all others are zero */ \
    } name;                                                               \
    typedef struct multi {                                                \
        const name *items;                                                \
        size_t count;                                                     \
    } multi;                                                              \
    SCALAR_OPTIONAL(name, name);                                          \
    SCALAR_LIST(name, name);                                              \
    SCALAR_OPTIONAL(multi, multi);                                        \
    SCALAR_LIST(multi, multi);                                            \
    str name##_format(arena *a, const name *range);                       \
    bool name##_parse(arena *a, str text, name *out);                     \
    str multi##_format(arena *a, const multi *ranges);                    \
    bool multi##_parse(arena *a, str text, multi *out);
/* "[1,4)", "(,4)", "empty"; "{[1,4),[7,9)}". */
PG_RANGE(pg_int4range, pg_int4multirange, int32_t)
PG_RANGE(pg_int8range, pg_int8multirange, int64_t)
PG_RANGE(pg_numrange, pg_nummultirange, pg_numeric)
/* "[\"2026-01-31 00:00:00\",)". */
PG_RANGE(pg_tsrange, pg_tsmultirange, pg_timestamp)
PG_RANGE(pg_tstzrange, pg_tstzmultirange, timestamptz)
/* "[2026-01-31,2026-02-01)". */
PG_RANGE(pg_daterange, pg_datemultirange, pg_date)

#endif
