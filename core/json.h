/* JSON (RFC 8259), strict both ways.
 *
 * Text goes straight into a struct by its shape, or into a `json` value for free-form documents.
 * Strict: one value and nothing after it, UTF-8 validated, no bare control characters, escapes
 * checked (paired surrogates, \u0000 refused in text), nesting bounded, duplicate keys refused,
 * integers exact over the whole int64 range. Parsed strings without escapes are views of the input,
 * which must live as long as the result. */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/shape.h"

/* JSON_MALFORMED: INVALID, not JSON at all (the detail's text names byte offset and reason). */
extern const error_kind JSON_MALFORMED;
/* JSON_INVALID: INVALID, well-formed but not of the shape; the detail's fields name every fault. */
extern const error_kind JSON_INVALID;

#define JSON_DEPTH_MAX  64  /* nesting of arrays and objects in input */
#define JSON_FIELDS_MAX 100 /* faults collected before the rest is left out */

/* --- structs ---------------------------------------------------------------------------------- */

/* Parses `text` into the struct at `out` by its shape.
 *   owns    strings, bytes and lists are views of `text` or live in `a`
 *   input   every field must be there unless it is opt_X or .optional; hidden, read_only and
 *           generated fields and unknown keys are faults; text is checked against the attributes
 *   fails   JSON_MALFORMED; JSON_INVALID with all faulty fields by path ("items[2].title") and the
 *           codes: required, unknown_field, read_only, wrong_type, null, out_of_range, too_short,
 *           too_long, too_small, too_big, format, duplicate
 * `out` is unspecified after a failure. Fields that are absent keep what `out` held. */
error json_parse_shape(arena *a, str text, const shape *of, void *out);
/* The same for what another program wrote, an answer of a server that we have asked: keys that the
 * shape does not have are passed over, hidden fields too; read-only and generated ones are read,
 * and must be there; null for any opt_X is taken, and means that it is absent unless it is
 * nullable. */
error json_parse_shape_foreign(arena *a, str text, const shape *of, void *out);

/* Appends the struct as one JSON object, fields in the shape's order, hidden ones left out. Absent
 * opt_X are written as null; NaN and infinities as null; bytea as base64; timestamptz as RFC 3339.
 */
void json_write_shape(buf *out, const shape *of, const void *value);
/* Appends an array of `count` structs that stand in a row at `items`. */
void json_write_shape_list(buf *out, const shape *of, const void *items, size_t count);

/* Reads one value of `field`'s type from plain text, as a path or query parameter has it, checks it
 * against the field's attributes and stores it at `member` (which is of the field's C type; of
 * lists, text is not a source). Returns NULL, or the constant fault code, with `*message` saying
 * why. */
const char *shape_parse_text(arena *a, const shape_field *field, str text, void *member,
                             str *message);

/* --- pieces, for writers that build a document by hand ---------------------------------------- */

/* A quoted string with everything escaped that must be; invalid UTF-8 becomes U+FFFD. */
void json_write_string(buf *out, str s);
void json_write_double(buf *out, double value);
/* Base64 between quotes. */
void json_write_bytea(buf *out, bytea value);
/* The document as it is, which must be valid JSON already; null for an empty one. */
void json_write_raw(buf *out, jsonb text);

/* --- free-form documents ---------------------------------------------------------------------- */

typedef enum json_type {
    JSON_NULL = 0,
    JSON_BOOL,
    JSON_INTEGER, /* written without fraction and exponent, and fits int64 */
    JSON_NUMBER,  /* any other number, and -0 */
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
} json_type;

typedef struct json json;
typedef struct json_member json_member;
struct json {
    json_type type;
    union {
        bool boolean;
        int64_t integer;
        double number;
        str string;
        struct {
            json *items;
            size_t count;
        } array;
        struct {
            json_member *items; /* in document order, keys unique */
            size_t count;
        } object;
    };
};
struct json_member {
    str key;
    json value;
};

/* Parses any one JSON value into `arena`; fails with JSON_MALFORMED (also on duplicate keys). */
error json_parse(arena *a, str text, json *out);
/* Whether `text` is one valid JSON value; takes no memory. Duplicate keys are not looked for, here
 * and in jsonb fields: PostgreSQL keeps the last of them. */
bool json_is_valid(str text);
/* Whether `text` is one number (RFC 8259, section 6) and nothing else. */
bool json_is_number(str text);
/* Appends the value, which must not be nested deeper than 256. */
void json_write(buf *out, const json *value);
/* The member's value, or NULL when `object` is no object or has no such key. */
const json *json_find(const json *object, str key);
/* "object", "integer", …: for messages. */
const char *json_type_name(json_type type);

#endif
