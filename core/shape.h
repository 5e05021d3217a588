/* Shapes: one list of fields describes a struct once for JSON, validation, SQL and OpenAPI.
 *
 *   #define NOTE_FIELDS(F)                                   \
 *       F(id,    int8, .primary_key = true, .generated = true) \
 *       F(title, text, .min_len = 1, .max_len = 200)           \
 *       F(tags,  text_list)                                    \
 *       F(place, opt_address)        // SHAPE(address, …) stood above
 *   SHAPE(note, NOTE_FIELDS)
 *
 * gives: struct note { int64_t id; str title; text_list tags; opt_address place; }, the types
 * opt_note and note_list (so that other shapes can hold notes), and SHAPE_OF(note).
 *
 * Field types: bool int2 int4 int8 float8 text bytea timestamptz uuid jsonb, another shape's name;
 * each as X, opt_X (may be absent) or X_list. Attributes are designated initialisers of
 * shape_field. */
#ifndef CORE_SHAPE_H
#define CORE_SHAPE_H

#include "core/error.h"
#include "core/scalar.h"

typedef enum shape_kind {
    SHAPE_BOOL = 1,
    SHAPE_INT2,
    SHAPE_INT4,
    SHAPE_INT8,
    SHAPE_FLOAT8,
    SHAPE_TEXT,
    SHAPE_BYTEA,
    SHAPE_TIMESTAMPTZ,
    SHAPE_UUID,
    SHAPE_JSONB,
    SHAPE_STRUCT, /* another shape */
} shape_kind;

typedef enum shape_arity {
    SHAPE_ONE = 0,  /* X */
    SHAPE_OPTIONAL, /* opt_X: struct { bool has, is_null; X value; } */
    SHAPE_LIST,     /* X_list: struct { X *items; size_t count; } */
} shape_arity;

typedef struct shape shape;
/* SHAPE_OF(name): a function that returns the shape; constant, so it stands in static tables. */
typedef const shape *shape_fn(void);

/* What a field's C type is. */
typedef struct shape_type {
    shape_kind kind;
    shape_arity arity;
    uint32_t bytes;        /* of the member */
    uint32_t value_bytes;  /* of X */
    uint32_t value_offset; /* of `value` in opt_X, else 0 */
    shape_fn *nested;      /* the shape, for SHAPE_STRUCT */
} shape_type;

typedef enum shape_format {
    FORMAT_NONE = 0,
    FORMAT_EMAIL, /* one @, a dot-atom before it, a host name after it; at most 254 bytes */
} shape_format;

/* Inclusive bounds of a number. */
typedef struct shape_range {
    bool set;
    int64_t min;
    int64_t max;
} shape_range;
#define SHAPE_RANGE(min_, max_) ((shape_range){ true, (min_), (max_) })

typedef struct shape_field {
    str name;
    const shape_type *type;
    uint32_t offset; /* bytes into the struct */

    /* validation of input */
    uint32_t min_len;    /* text: code points; bytea: bytes; lists: items */
    uint32_t max_len;    /* 0: no bound */
    shape_range range;   /* int2, int4, int8 and float8 */
    shape_format format; /* text */
    bool optional;       /* input may leave it out; the member then keeps its value */
    bool nullable;       /* opt_X: input may give null */
    /* who may see and set it */
    bool hidden;    /* never in JSON, neither way */
    bool read_only; /* in output, refused in input */
    bool generated; /* by the database: like read_only, and left out of INSERT */
    /* the table */
    bool primary_key;
    bool unique;
    const char *references; /* the table it points to */
} shape_field;

struct shape {
    str name;
    uint32_t bytes; /* of the struct */
    uint32_t field_count;
    const shape_field *fields;
};

/* Expands to the struct, its opt_, _list and _page companions, and the functions NAME_shape and
 * NAME_page_shape. */
#define SHAPE(name_, FIELDS_)                                                        \
    typedef struct name_ {                                                           \
        FIELDS_(SHAPE_MEMBER_)                                                       \
    } name_;                                                                         \
    typedef struct opt_##name_ {                                                     \
        bool has;                                                                    \
        bool is_null;                                                                \
        name_ value;                                                                 \
    } opt_##name_;                                                                   \
    typedef struct name_##_list {                                                    \
        name_ *items;                                                                \
        size_t count;                                                                \
    } name_##_list;                                                                  \
    typedef struct name_##_page {                                                    \
        name_##_list items;                                                          \
        opt_text next; /* the cursor of the page that follows */                     \
    } name_##_page;                                                                  \
    UNUSED static const shape *name_##_shape(void)                                   \
    {                                                                                \
        typedef name_ shape_self_;                                                   \
        static const shape_field fields[] = { FIELDS_(SHAPE_FIELD_) };               \
        static const shape self = {                                                  \
            { #name_, sizeof(#name_) - 1 }, sizeof(name_), ARRAY_LEN(fields), fields \
        };                                                                           \
        return &self;                                                                \
    }                                                                                \
    SHAPE_TYPES_(name_, name_, SHAPE_STRUCT, name_##_shape)                          \
    UNUSED static const shape *name_##_page_shape(void)                              \
    {                                                                                \
        typedef name_##_page shape_self_;                                            \
        static const shape_field fields[] = { SHAPE_FIELD_(items, name_##_list)      \
                                                  SHAPE_FIELD_(next, opt_text) };    \
        static const shape self = { { #name_ "_page", sizeof(#name_ "_page") - 1 },  \
                                    sizeof(name_##_page),                            \
                                    ARRAY_LEN(fields),                               \
                                    fields };                                        \
        return &self;                                                                \
    }

/* The shape's function, and that of a page of it: { "items": […], "next": … }. */
#define SHAPE_OF(name_) name_##_shape
#define PAGE_OF(name_)  name_##_page_shape

/* --- what SHAPE expands to ------------------------------------------------------------------- */

#define SHAPE_MEMBER_(name_, type_, ...) shape_c_##type_ name_;
#define SHAPE_FIELD_(name_, type_, ...)       \
    { .name = { #name_, sizeof(#name_) - 1 }, \
      .type = &shape_type_##type_,            \
      .offset = offsetof(shape_self_, name_), \
      __VA_ARGS__ },

/* Three C type names and three descriptors a type: X, opt_X, X_list. */
#define SHAPE_TYPES_(name_, c_type_, kind_, nested_)                                        \
    typedef c_type_ shape_c_##name_;                                                        \
    typedef opt_##name_ shape_c_opt_##name_;                                                \
    typedef name_##_list shape_c_##name_##_list;                                            \
    UNUSED static const shape_type shape_type_##name_ = {                                   \
        kind_, SHAPE_ONE, sizeof(c_type_), sizeof(c_type_), 0, nested_                      \
    };                                                                                      \
    UNUSED static const shape_type shape_type_opt_##name_ = { kind_,                        \
                                                              SHAPE_OPTIONAL,               \
                                                              sizeof(opt_##name_),          \
                                                              sizeof(c_type_),              \
                                                              offsetof(opt_##name_, value), \
                                                              nested_ };                    \
    UNUSED static const shape_type shape_type_##name_##_list = {                            \
        kind_, SHAPE_LIST, sizeof(name_##_list), sizeof(c_type_), 0, nested_                \
    };

SHAPE_TYPES_(bool, bool, SHAPE_BOOL, NULL)
SHAPE_TYPES_(int2, int16_t, SHAPE_INT2, NULL)
SHAPE_TYPES_(int4, int32_t, SHAPE_INT4, NULL)
SHAPE_TYPES_(int8, int64_t, SHAPE_INT8, NULL)
SHAPE_TYPES_(float8, double, SHAPE_FLOAT8, NULL)
SHAPE_TYPES_(text, str, SHAPE_TEXT, NULL)
SHAPE_TYPES_(bytea, bytea, SHAPE_BYTEA, NULL)
SHAPE_TYPES_(timestamptz, timestamptz, SHAPE_TIMESTAMPTZ, NULL)
SHAPE_TYPES_(uuid, uuid, SHAPE_UUID, NULL)
SHAPE_TYPES_(jsonb, jsonb, SHAPE_JSONB, NULL)

#endif
