/* PostgreSQL's numeric: decimal numbers without rounding, of up to 131,072 digits before the point
 * and 16,383 after it, with NaN and both infinities.
 *
 *   pg_numeric price;
 *   int64_t cents;
 *   TRY(pg_get(&rows, 0, 0, &price));
 *   TRY(pg_numeric_to_int8(&price, 2, &cents)); // 12.34 is 1234; 0.005 is an error
 *   TRY(pg_execute(db, NULL, "update … set price = $1", pg_numeric_of_int8(cents, 2)));
 *
 * There is no arithmetic: that is done with integers, or by the server. */
#ifndef PG_NUMERIC_H
#define PG_NUMERIC_H

#include "core/arena.h"
#include "core/error.h"
#include "core/scalar.h"

typedef enum pg_numeric_kind {
    PG_NUMERIC_POSITIVE = 0, /* also zero */
    PG_NUMERIC_NEGATIVE,
    PG_NUMERIC_NAN,
    PG_NUMERIC_INFINITY,
    PG_NUMERIC_MINUS_INFINITY,
} pg_numeric_kind;

#define PG_NUMERIC_SCALE_MAX  16383
#define PG_NUMERIC_FEW_DIGITS 8

/* A value that is copied freely. Its digits, each 0 to 9999, stand for
 * digit[0] * 10000^weight + digit[1] * 10000^(weight - 1) + …; neither the first nor the last of
 * them is zero, so equal numbers of equal scale have equal members. All zeros: 0. */
typedef struct pg_numeric {
    uint8_t kind;   /* pg_numeric_kind */
    uint16_t scale; /* decimal digits after the point that are shown: 1.50 has 2 */
    int16_t weight;
    uint16_t count;
    union {
        uint16_t few[PG_NUMERIC_FEW_DIGITS];
        const uint16_t *many; /* when count > PG_NUMERIC_FEW_DIGITS: in the arena it was made in */
    } digits;
} pg_numeric;
SCALAR_OPTIONAL(pg_numeric, pg_numeric);
SCALAR_LIST(pg_numeric, pg_numeric);

/* value / 10^scale, shown with `scale` digits after the point. `scale` is at most 18. */
pg_numeric pg_numeric_of_int8(int64_t value, unsigned scale);
/* The number times 10^scale, exactly. `scale` is at most PG_NUMERIC_SCALE_MAX; 0: an integer.
 *   fails  PG_DATA_EXCEPTION: NaN, an infinity, past int64, or digits left after the point */
error pg_numeric_to_int8(const pg_numeric *n, unsigned scale, int64_t *out);
/* The same of 38 digits and a few more: sums of money in units of 10^-18, say. `scale` is at most
 * PG_NUMERIC_SCALE_MAX both ways; digits that do not fit into the value live in `a`. */
pg_numeric pg_numeric_of_int128(arena *a, __int128 value, unsigned scale);
error pg_numeric_to_int128(const pg_numeric *n, unsigned scale, __int128 *out);

/* As the server writes it: "-1.50", "NaN", "Infinity", "-Infinity". Lives in `a`. */
str pg_numeric_format(arena *a, const pg_numeric *n);
/* Reads that, and a number with a leading "+", zeros, or without digits on one side of its point;
 * no exponent. False on anything else and on too many digits, with `*out` left alone. Digits that
 * do not fit into the value live in `a`. */
bool pg_numeric_parse(arena *a, str text, pg_numeric *out);

/* PostgreSQL's money: a count of the smallest unit that the database's lc_monetary knows: cents
 * where that has two digits after the point, yen where it has none. It has no text here: the
 * server's depends on that setting (cast it there: price::text), and so would the number of digits
 * in ours. */
typedef struct pg_money {
    int64_t cents;
} pg_money;
SCALAR_OPTIONAL(pg_money, pg_money);
SCALAR_LIST(pg_money, pg_money);

#endif
