/*
 * pg_param -- values that no parameter stands for must be found by the compiler.
 *
 * Each WRONG_… is one mistake; without any of them the file is a right program.
 */
#include "pg/type.h"

pg_value number(long value);
pg_value word(str value);
pg_value moment(timestamptz value);

struct point {
    int x;
    int y;
};

pg_value number(long value)
{
#ifdef WRONG_UNSIGNED_LONG
    return pg_param((unsigned long)value);
#endif
#ifdef WRONG_POINTER
    return pg_param(&value);
#endif
#ifdef WRONG_STRUCT
    return pg_param(((struct point){ 1, 2 }));
#endif
    return pg_param(value);
}

pg_value word(str value)
{
#ifdef WRONG_LITERAL
    return pg_param("a text literal is not a slice");
#endif
#ifdef WRONG_NULL
    return pg_param(NULL);
#endif
    return pg_param(value);
}

pg_value document(pg_tsvector value)
{
#ifdef WRONG_TSVECTOR
    return pg_param(value);
#endif
    (void)value;
    return pg_param_null(PG_OID_TSVECTOR);
}

pg_value moment(timestamptz value)
{
#ifdef WRONG_TIMETZ_FOR_INSTANT
    return moment((pg_timetz){ value.us, 0 });
#endif
#ifdef WRONG_TIMESTAMP_FOR_INSTANT
    return moment((pg_timestamp){ value.us });
#endif
#ifdef WRONG_DATE_FOR_INSTANT
    return moment((pg_date){ 1 });
#endif
    return pg_param(value);
}
