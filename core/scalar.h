/* The scalar values that JSON, URLs and PostgreSQL share, under PostgreSQL's names, with their text
 * forms. Distinct C types, so that mixing them up does not compile.
 *
 * Every parse function reads the whole slice, returns false on anything that is not exactly one
 * value, and then leaves `*out` alone. Every format function writes to `out` without a NUL and
 * returns the number of bytes, at most the constant named beside it. No locale is consulted. */
#ifndef CORE_SCALAR_H
#define CORE_SCALAR_H

#include "core/str.h"

/* Bytes without a character set. A view, like str. */
typedef struct bytea {
    const uint8_t *ptr;
    size_t len; /* bytes */
} bytea;

/* An instant: microseconds since 2000-01-01 00:00:00 UTC, PostgreSQL's own form. */
typedef struct timestamptz {
    int64_t us;
} timestamptz;

#define TIMESTAMPTZ_INFINITY       ((timestamptz){ INT64_MAX })
#define TIMESTAMPTZ_MINUS_INFINITY ((timestamptz){ INT64_MIN })
/* Whether it is one of them. */
static inline bool timestamptz_is_infinite(timestamptz t)
{
    return t.us == INT64_MAX || t.us == INT64_MIN;
}

typedef struct uuid {
    uint8_t bytes[16]; /* in network order, as written */
} uuid;

/* One JSON document as text, valid and complete. */
typedef struct jsonb {
    str text;
} jsonb;

/* Values in a row, in the arena. */
#define SCALAR_LIST(name, c_type) \
    typedef struct name##_list {  \
        c_type *items;            \
        size_t count;             \
    } name##_list

/* Values that may be absent (or NULL in SQL): `value` counts only when `has`; and such in a row. */
#define SCALAR_OPTIONAL(name, c_type)                                       \
    typedef struct opt_##name {                                             \
        bool has;                                                           \
        bool is_null; /* an explicit null was given; then `has` is false */ \
        c_type value;                                                       \
    } opt_##name;                                                           \
    SCALAR_LIST(opt_##name, opt_##name)
SCALAR_OPTIONAL(bool, bool);
SCALAR_OPTIONAL(int2, int16_t);
SCALAR_OPTIONAL(int4, int32_t);
SCALAR_OPTIONAL(int8, int64_t);
SCALAR_OPTIONAL(float8, double);
SCALAR_OPTIONAL(text, str);
SCALAR_OPTIONAL(bytea, bytea);
SCALAR_OPTIONAL(timestamptz, timestamptz);
SCALAR_OPTIONAL(uuid, uuid);
SCALAR_OPTIONAL(jsonb, jsonb);

SCALAR_LIST(bool, bool);
SCALAR_LIST(int2, int16_t);
SCALAR_LIST(int4, int32_t);
SCALAR_LIST(int8, int64_t);
SCALAR_LIST(float8, double);
SCALAR_LIST(text, str);
SCALAR_LIST(bytea, bytea);
SCALAR_LIST(timestamptz, timestamptz);
SCALAR_LIST(uuid, uuid);
SCALAR_LIST(jsonb, jsonb);

/* Decimal integers: see str_to_int64. */
#define INT64_TEXT_MAX 20
size_t int64_format(char out[INT64_TEXT_MAX], int64_t value);
#define UINT64_TEXT_MAX 20
size_t uint64_format(char out[UINT64_TEXT_MAX], uint64_t value);

/* The shortest decimal text that reads back as the same double; "NaN", "Infinity", "-Infinity". */
#define FLOAT8_TEXT_MAX 32
size_t float8_format(char out[FLOAT8_TEXT_MAX], double value);
/* A JSON number (RFC 8259 section 6), correctly rounded; false when it overflows to infinity. */
bool float8_parse(str s, double *out);

/* RFC 3339 in UTC: "2026-01-31T12:00:00Z", with ".123456" only when the fraction is not zero;
 * "infinity" and "-infinity". Years 0001 to 9999 parse; any offset is accepted and converted. */
#define TIMESTAMPTZ_TEXT_MAX 40
size_t timestamptz_format(char out[TIMESTAMPTZ_TEXT_MAX], timestamptz t);
bool timestamptz_parse(str s, timestamptz *out);
/* The present instant by the system's clock. */
timestamptz timestamptz_now(void);
/* Seconds since 1970 UTC, rounded down, and back. */
int64_t timestamptz_to_unix(timestamptz t);
timestamptz timestamptz_from_unix(int64_t seconds);

/* 8-4-4-4-12 lower-case hexadecimal digits (RFC 9562); upper case parses. */
#define UUID_TEXT_LEN 36
size_t uuid_format(char out[UUID_TEXT_LEN], uuid value);
bool uuid_parse(str s, uuid *out);
/* A new one, of the system's randomness (RFC 9562): version 4 all random; version 7 with the time
 * of day in front, to a quarter of a microsecond, so that those made later stand behind those
 * before in an index, and 62 random bits. Which of two made in that time is first is left to
 * chance. */
uuid uuid_v4(void);
uuid uuid_v7(void);

/* base64 (RFC 4648 section 4, padded) and base64url (section 5, unpadded). Decoding refuses
 * foreign characters, wrong padding and non-zero trailing bits. Results live in `a`. */
str base64_encode(arena *a, bytea bytes);
bool base64_decode(arena *a, str s, bytea *out);
str base64url_encode(arena *a, bytea bytes);
bool base64url_decode(arena *a, str s, bytea *out);

/* Days since 2000-01-01 of a day in the proleptic Gregorian calendar, whose year 0 is 1 BC; and
 * that day. */
int64_t scalar_days_from_civil(int64_t year, int64_t month, int64_t day);
void scalar_civil_from_days(int64_t days, int64_t *year, int *month, int *day);
/* The same as ISO 8601 has it, "2026-11-21": the year in four digits or more, with a minus before
 * the year 0. Returns the length. */
#define SCALAR_CIVIL_TEXT_MAX 27
size_t scalar_civil_format(char out[SCALAR_CIVIL_TEXT_MAX], int64_t days);

#endif
