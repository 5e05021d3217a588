/* PostgreSQL's dates and times that are no instants, and their text as the server writes it with
 * DateStyle ISO and IntervalStyle postgres. Distinct C types: a timestamp, which is what a clock on
 * some wall shows, does not compile where a timestamptz (core/scalar.h), an instant, is wanted.
 *
 *   pg_date born;
 *   TRY(pg_get(&rows, 0, 0, &born));
 *   pg_civil day = pg_date_to_civil(born); // day.year, day.month, day.day
 *   TRY(pg_execute(db, NULL, "update … set born = $1", born));
 *
 * Every parse function reads the whole text, returns false on anything that is not one value, and
 * then leaves `*out` alone. Every format function gives text that lives in `a`. What the server's
 * calendar does not reach (before 4714-11-24 BC) is written and read all the same, and refused by
 * the server. */
#ifndef PG_DATE_H
#define PG_DATE_H

#include "core/arena.h"
#include "core/scalar.h"

/* A day: days since 2000-01-01. */
typedef struct pg_date {
    int32_t days;
} pg_date;
#define PG_DATE_INFINITY       ((pg_date){ INT32_MAX })
#define PG_DATE_MINUS_INFINITY ((pg_date){ INT32_MIN })

/* A time of day: microseconds since midnight, up to and with 24:00:00. */
typedef struct pg_time {
    int64_t us;
} pg_time;

/* A time of day with a zone's distance from UTC, as PostgreSQL keeps it: in seconds to the west, so
 * that +02 is -7200; less than 16 hours either way. */
typedef struct pg_timetz {
    int64_t us; /* since midnight in that zone, up to and with 24:00:00 */
    int32_t west_s;
} pg_timetz;

/* A date and time without a zone: microseconds since 2000-01-01 00:00:00 of the same clock. */
typedef struct pg_timestamp {
    int64_t us;
} pg_timestamp;
#define PG_TIMESTAMP_INFINITY       ((pg_timestamp){ INT64_MAX })
#define PG_TIMESTAMP_MINUS_INFINITY ((pg_timestamp){ INT64_MIN })

/* A span of time. Months and days have no length of their own, so the three are kept apart. */
typedef struct pg_interval {
    int64_t us;
    int32_t days;
    int32_t months;
} pg_interval;
/* From PostgreSQL 17 on. */
#define PG_INTERVAL_INFINITY       ((pg_interval){ INT64_MAX, INT32_MAX, INT32_MAX })
#define PG_INTERVAL_MINUS_INFINITY ((pg_interval){ INT64_MIN, INT32_MIN, INT32_MIN })

SCALAR_OPTIONAL(pg_date, pg_date);
SCALAR_OPTIONAL(pg_time, pg_time);
SCALAR_OPTIONAL(pg_timetz, pg_timetz);
SCALAR_OPTIONAL(pg_timestamp, pg_timestamp);
SCALAR_OPTIONAL(pg_interval, pg_interval);
SCALAR_LIST(pg_date, pg_date);
SCALAR_LIST(pg_time, pg_time);
SCALAR_LIST(pg_timetz, pg_timetz);
SCALAR_LIST(pg_timestamp, pg_timestamp);
SCALAR_LIST(pg_interval, pg_interval);

/* Whether it is infinite, either way. (Before 17 a server takes the two infinite intervals for its
 * longest ones.) */
static inline bool pg_date_is_infinite(pg_date date)
{
    return date.days == INT32_MAX || date.days == INT32_MIN;
}
static inline bool pg_timestamp_is_infinite(pg_timestamp timestamp)
{
    return timestamp.us == INT64_MAX || timestamp.us == INT64_MIN;
}
static inline bool pg_interval_is_infinite(pg_interval i)
{
    return (i.us == INT64_MAX && i.days == INT32_MAX && i.months == INT32_MAX) ||
           (i.us == INT64_MIN && i.days == INT32_MIN && i.months == INT32_MIN);
}

/* A day of the proleptic Gregorian calendar. */
typedef struct pg_civil {
    int64_t year; /* 0 is 1 BC, -1 is 2 BC */
    int month;    /* 1 to 12 */
    int day;      /* 1 to 31 */
} pg_civil;
/* Not for an infinity, which has no year. */
pg_civil pg_date_to_civil(pg_date date);
/* False when there is no such day, or it is out of reach. */
bool pg_date_from_civil(pg_civil day, pg_date *out);

/* "2026-01-31", "0044-03-15 BC", "infinity", "-infinity". */
str pg_date_format(arena *a, const pg_date *date);
bool pg_date_parse(str text, pg_date *out);
/* "23:59:59.5", "24:00:00". */
str pg_time_format(arena *a, const pg_time *time);
bool pg_time_parse(str text, pg_time *out);
/* "23:59:59.5+02", "12:00:00-03:30", "24:00:00-15:59:59". */
str pg_timetz_format(arena *a, const pg_timetz *time);
bool pg_timetz_parse(str text, pg_timetz *out);
/* "2026-01-31 23:59:59.5", "0044-03-15 12:00:00 BC", "infinity"; a "T" between also parses. */
str pg_timestamp_format(arena *a, const pg_timestamp *timestamp);
bool pg_timestamp_parse(str text, pg_timestamp *out);
/* "1 year 2 mons -3 days +04:05:06.5", "00:00:00", "infinity". */
str pg_interval_format(arena *a, const pg_interval *interval);
bool pg_interval_parse(str text, pg_interval *out);

#endif
