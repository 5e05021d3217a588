/* Tables as C structs, and queries whose columns and values the compiler checks.
 *
 *   #define NOTE_FIELDS(F)                                             \
 *       F(id,    int8, .primary_key = true, .generated = true)         \
 *       F(title, text, .min_len = 1, .max_len = 200)
 *   ORM_TABLE(note, "notes", NOTE_FIELDS)
 *
 *   note n;
 *   TRY(orm_get(db, note, &n, orm_where(note, id, EQ, id)));
 *   TRY(orm_update(db, note, &n, orm_where(note, id, EQ, id), orm_set(note, title, STR("New"))));
 *
 * Every call takes a pg_pool * or a pg_tx *, the table's name, and where the answer goes. A column
 * that the table does not have, a value of another type than the column's, and a condition on
 * another table do not compile. Conditions, orders and changes live in the fiber's arena, and so
 * does everything that is returned.
 *
 * Statements are counted and logged by the table and what is done: "notes.find", "notes.insert"
 * (see PG_NAMED).
 *
 * Columns are named as the fields are; a field of type opt_X is a column that may be NULL. What the
 * database sends that a field cannot hold is PG_TYPE_MISMATCH. */
#ifndef ORM_ORM_H
#define ORM_ORM_H

#include "core/page.h"
#include "core/shape.h"
#include "orm/migrate.h"
#include "pg/pg.h"

extern const error_kind ORM_NOT_FOUND;  /* NOT_FOUND: no row meets the conditions */
extern const error_kind ORM_MANY_ROWS;  /* INTERNAL: several rows where one was meant */
extern const error_kind ORM_BAD_CURSOR; /* INVALID: not a cursor of this list */

/* --- tables ----------------------------------------------------------------------------------- */

/* Expands to SHAPE(name, FIELDS) and the types NAME_filter, NAME_order and NAME_change, which keep
 * the conditions, orders and changes of one table from being used with another. */
#define ORM_TABLE(name_, table_, FIELDS_)                                                          \
    SHAPE(name_, FIELDS_)                                                                          \
    typedef struct name_##_filter {                                                                \
        const orm_filter *node; /* NULL: no condition */                                           \
    } name_##_filter;                                                                              \
    typedef struct name_##_order {                                                                 \
        orm_order order;                                                                           \
    } name_##_order;                                                                               \
    typedef struct name_##_change {                                                                \
        const orm_change *node; /* NULL: none */                                                   \
    } name_##_change;                                                                              \
    UNUSED static const orm_table name_##_table = { { table_, sizeof(table_) - 1 },                \
                                                    name_##_shape,                                 \
                                                    ORM_STATEMENTS_(table_) };                     \
    UNUSED static name_##_filter name_##_join(orm_operator op_, const name_##_filter *items_,      \
                                              size_t count_)                                       \
    {                                                                                              \
        orm_filter *all_ = orm_filter_new(op_, count_);                                            \
        for (size_t i_ = 0; i_ < count_; i_++)                                                     \
            orm_filter_add(all_, items_[i_].node);                                                 \
        return (name_##_filter){ all_ };                                                           \
    }                                                                                              \
    UNUSED static name_##_change name_##_changes(const name_##_change *items_, size_t count_)      \
    {                                                                                              \
        const orm_change *all_ = NULL;                                                             \
        for (size_t i_ = 0; i_ < count_; i_++)                                                     \
            all_ = orm_change_join(all_, items_[i_].node);                                         \
        return (name_##_change){ all_ };                                                           \
    }                                                                                              \
    UNUSED static name_##_order name_##_orders(const name_##_order *items_, size_t count_)         \
    {                                                                                              \
        orm_order all_ = { 0 };                                                                    \
        for (size_t i_ = 0; i_ < count_; i_++)                                                     \
            all_ = orm_order_join(all_, items_[i_].order);                                         \
        return (name_##_order){ all_ };                                                            \
    }                                                                                              \
    UNUSED static error name_##_list_into(pg_target on_, name_##_list *out_, name_##_order order_, \
                                          uint32_t limit_, name_##_filter filter_)                 \
    {                                                                                              \
        void *items_;                                                                              \
        const error e_ = orm_list_rows(on_, &name_##_table, order_.order, limit_, filter_.node,    \
                                       &items_, &out_->count);                                     \
        out_->items = items_;                                                                      \
        return e_;                                                                                 \
    }                                                                                              \
    UNUSED static error name_##_page_into(pg_target on_, name_##_page *out_, page_query query_,    \
                                          name_##_order order_, name_##_filter filter_)            \
    {                                                                                              \
        void *items_;                                                                              \
        const error e_ = orm_page_rows(on_, &name_##_table, query_, order_.order, filter_.node,    \
                                       &items_, &out_->items.count, &out_->next);                  \
        out_->items.items = items_;                                                                \
        return e_;                                                                                 \
    }

/* --- conditions ------------------------------------------------------------------------------- */

/* One condition: orm_where(note, id, EQ, 7). A NAME_filter.
 *   op     EQ NE LT LE GT GE; IN with an X_list; LIKE, ILIKE with a text pattern
 *   value  of the column's C type; any integer for an integer column; for a bool column mind that
 *          `a == b` and `!a` are ints in C: (bool)!a. EQ and NE take an opt_X, whose absence stands
 *          for NULL */
#define orm_where(name_, column_, op_, value_)                                    \
    ((name_##_filter){ orm_filter_compare(ORM_##op_, ORM_OFFSET_(name_, column_), \
                                          ORM_CHECKED_(name_, column_, value_, ORM_##op_)) })
#define orm_where_null(name_, column_) \
    ((name_##_filter){                 \
        orm_filter_compare(ORM_EQ, ORM_OFFSET_(name_, column_), pg_param_null(PG_OID_TEXT)) })
#define orm_where_not_null(name_, column_) \
    ((name_##_filter){                     \
        orm_filter_compare(ORM_NE, ORM_OFFSET_(name_, column_), pg_param_null(PG_OID_TEXT)) })
#define ORM_FILTER_DEPTH_MAX    32 /* a filter nested deeper is PG_INVALID_ARGUMENT when used */
/* All of some conditions, any of some; none at all: every row, no row. */
#define orm_all_of(name_, ...)  ORM_JOIN_(name_, ORM_ALL, __VA_ARGS__)
#define orm_any_of(name_, ...)  ORM_JOIN_(name_, ORM_ANY, __VA_ARGS__)
#define orm_not(name_, filter_) name_##_join(ORM_NOT, (const name_##_filter[]){ (filter_) }, 1)

/* --- orders ----------------------------------------------------------------------------------- */

/* A NAME_order: rising, falling; several, the first counting most (at most ORM_ORDER_MAX); any.
 * NULLs come last in both directions. */
#define orm_asc(name_, column_) \
    ((name_##_order){ { { { ORM_OFFSET_(name_, column_), false } }, 1 } })
#define orm_desc(name_, column_) \
    ((name_##_order){ { { { ORM_OFFSET_(name_, column_), true } }, 1 } })
#define orm_order_by(name_, ...)                           \
    name_##_orders((const name_##_order[]){ __VA_ARGS__ }, \
                   sizeof((const name_##_order[]){ __VA_ARGS__ }) / sizeof(name_##_order))
#define orm_any_order(name_) ((name_##_order){ 0 })

/* --- changes ---------------------------------------------------------------------------------- */

/* A NAME_change: the column gets the value. */
#define orm_set(name_, column_, value_)                            \
    ((name_##_change){ orm_change_new(ORM_OFFSET_(name_, column_), \
                                      ORM_CHECKED_(name_, column_, value_, ORM_EQ)) })
/* For each of the named columns, 1 to 16, that the struct `in_` has as an opt_X of the same name: a
 * change if a value or null was given there. */
#define orm_set_some(name_, in_, ...)                                                        \
    name_##_changes((const name_##_change[]){ ORM_SOME_(name_, in_, __VA_ARGS__) },          \
                    sizeof((const name_##_change[]){ ORM_SOME_(name_, in_, __VA_ARGS__) }) / \
                        sizeof(name_##_change))

/* --- reading ---------------------------------------------------------------------------------- */

/* The one row that meets all the conditions.
 *   fails  ORM_NOT_FOUND; ORM_MANY_ROWS; as pg_query */
#define orm_get(on_, name_, out_, ...)                                    \
    orm_get_row(PG_TARGET(on_), &name_##_table, ORM_STRUCT_(name_, out_), \
                orm_all_of(name_, __VA_ARGS__).node)
/* The same when there may be none: `*known` says whether there is. */
#define orm_find(on_, name_, out_, known_, ...)                                      \
    orm_find_row(PG_TARGET(on_), &name_##_table, ORM_STRUCT_(name_, out_), (known_), \
                 orm_all_of(name_, __VA_ARGS__).node)
/* The first `limit` rows in an order, into a NAME_list. */
#define orm_list(on_, name_, out_, order_, limit_, ...) \
    name_##_list_into(PG_TARGET(on_), (out_), (order_), (limit_), orm_all_of(name_, __VA_ARGS__))
/* One page of them, into a NAME_page, from behind the query's cursor; the next page costs as little
 * as the first (no OFFSET). Rows of equal order are told apart by the primary key, which the table
 * must have, and which takes one of the ORM_ORDER_MAX places. All keys of the order have one
 * direction, and none is an opt_X: invariants.
 *   fails  the query's own error; ORM_BAD_CURSOR; PG_MESSAGE_TOO_LARGE for keys of over 64 KiB; as
 *          pg_query */
#define orm_page(on_, name_, out_, query_, order_, ...) \
    name_##_page_into(PG_TARGET(on_), (out_), (query_), (order_), orm_all_of(name_, __VA_ARGS__))
/* How many rows meet the conditions. */
#define orm_count(on_, name_, out_, ...) \
    orm_count_rows(PG_TARGET(on_), &name_##_table, orm_all_of(name_, __VA_ARGS__).node, (out_))

/* --- writing ---------------------------------------------------------------------------------- */

/* Inserts the row and reads it back, with what the database generated. Fields marked `.generated`
 * and opt_X that hold neither a value nor null are left to the database.
 *   fails  PG_UNIQUE_VIOLATION and the other constraints'; as pg_query */
#define orm_insert(on_, name_, row_) \
    orm_insert_row(PG_TARGET(on_), &name_##_table, ORM_STRUCT_(name_, row_))
/* Changes the one row that meets the filter and reads it back; without changes only reads.
 *   filter  must fix the primary key or a `.unique` column by EQ, so that one slip cannot change
 *           many rows
 *   fails   ORM_NOT_FOUND; ORM_MANY_ROWS for a filter that fixes neither, and nothing is changed;
 *           as orm_insert */
#define orm_update(on_, name_, out_, filter_, ...)                           \
    orm_update_row(PG_TARGET(on_), &name_##_table, ORM_STRUCT_(name_, out_), \
                   orm_all_of(name_, filter_).node, ORM_CHANGES_(name_, __VA_ARGS__))
/* Changes every row that meets the filter; `affected` (may be NULL): how many. */
#define orm_update_all(on_, name_, affected_, filter_, ...)                                       \
    orm_update_rows(PG_TARGET(on_), &name_##_table, (affected_), orm_all_of(name_, filter_).node, \
                    ORM_CHANGES_(name_, __VA_ARGS__))
/* Deletes the one row that meets all the conditions, which are as orm_update's filter.
 *   fails  as orm_update */
#define orm_delete(on_, name_, ...) \
    orm_delete_row(PG_TARGET(on_), &name_##_table, orm_all_of(name_, __VA_ARGS__).node)
/* Deletes every row that meets the filter. */
#define orm_delete_all(on_, name_, affected_, filter_) \
    orm_delete_rows(PG_TARGET(on_), &name_##_table, (affected_), orm_all_of(name_, filter_).node)

/* --- what the macros expand to ---------------------------------------------------------------- */

/* What statements are counted and logged by. */
typedef enum orm_operation {
    ORM_FIND = 0, /* orm_get, too */
    ORM_LIST,
    ORM_PAGE,
    ORM_COUNT,
    ORM_INSERT,
    ORM_UPDATE,
    ORM_UPDATE_ALL,
    ORM_DELETE,
    ORM_DELETE_ALL,
    ORM_OPERATIONS
} orm_operation;

typedef struct orm_table {
    str name;
    shape_fn *shape;
    const char *statements[ORM_OPERATIONS]; /* "notes.find": see PG_NAMED */
} orm_table;
#define ORM_STATEMENTS_(table_)                                                            \
    {                                                                                      \
        table_ ".find", table_ ".list", table_ ".page", table_ ".count", table_ ".insert", \
            table_ ".update", table_ ".update_all", table_ ".delete", table_ ".delete_all" \
    }

typedef enum orm_operator {
    ORM_EQ = 1,
    ORM_NE,
    ORM_LT,
    ORM_LE,
    ORM_GT,
    ORM_GE,
    ORM_LIKE,
    ORM_ILIKE,
    ORM_IN,
    ORM_ALL,
    ORM_ANY,
    ORM_NOT,
} orm_operator;

/* A comparison, or a join of others. */
typedef struct orm_filter orm_filter;
struct orm_filter {
    orm_operator op;
    uint32_t offset; /* of the field in the struct */
    pg_value value;
    orm_filter const **items; /* of a join */
    size_t count;
};

typedef struct orm_change orm_change;
struct orm_change {
    const orm_change *before; /* those that stand before it */
    uint32_t offset;
    pg_value value;
};

#define ORM_ORDER_MAX 4
typedef struct orm_order_key {
    uint32_t offset;
    bool falling;
} orm_order_key;
typedef struct orm_order {
    orm_order_key keys[ORM_ORDER_MAX];
    uint32_t count;
} orm_order;

/* Filters and changes live in the fiber's arena; `offset` is of the column's field in the struct.
 */
const orm_filter *orm_filter_compare(orm_operator op, uint32_t offset, pg_value value);
/* A join with room for `count` items. */
orm_filter *orm_filter_new(orm_operator op, size_t count);
void orm_filter_add(orm_filter *join, const orm_filter *item);
/* One change, before no other. */
const orm_change *orm_change_new(uint32_t offset, pg_value value);
/* NULL unless `given`. */
const orm_change *orm_change_some(uint32_t offset, pg_value value, bool given);
/* Both, `more` behind `changes`. */
const orm_change *orm_change_join(const orm_change *changes, const orm_change *more);
/* The keys of both, `more` behind; more than ORM_ORDER_MAX are a programmer's error. */
orm_order orm_order_join(orm_order order, orm_order more);

/* As the macro of the same name, over any table. `out`, `row` and `*items` are of the table's
 * struct; rows live in the fiber's arena. */
YIELDS error orm_get_row(pg_target on, const orm_table *table, void *out, const orm_filter *filter);
YIELDS error orm_find_row(pg_target on, const orm_table *table, void *out, bool *known,
                          const orm_filter *filter);
YIELDS error orm_list_rows(pg_target on, const orm_table *table, orm_order order, uint32_t limit,
                           const orm_filter *filter, void **items, size_t *count);
YIELDS error orm_page_rows(pg_target on, const orm_table *table, page_query query, orm_order order,
                           const orm_filter *filter, void **items, size_t *count, opt_text *next);
YIELDS error orm_count_rows(pg_target on, const orm_table *table, const orm_filter *filter,
                            int64_t *out);
YIELDS error orm_insert_row(pg_target on, const orm_table *table, void *row);
YIELDS error orm_update_row(pg_target on, const orm_table *table, void *out,
                            const orm_filter *filter, const orm_change *changes);
YIELDS error orm_update_rows(pg_target on, const orm_table *table, uint64_t *affected,
                             const orm_filter *filter, const orm_change *changes);
YIELDS error orm_delete_row(pg_target on, const orm_table *table, const orm_filter *filter);
YIELDS error orm_delete_rows(pg_target on, const orm_table *table, uint64_t *affected,
                             const orm_filter *filter);

/* The pointer, if it points to the table's struct. */
#define ORM_STRUCT_(name_, pointer_) _Generic((pointer_), name_ * : (pointer_))
#define ORM_OFFSET_(name_, column_)  ((uint32_t)offsetof(name_, column_))
/* The leading empty filter keeps the array from being empty. */
#define ORM_JOIN_(name_, op_, ...)                                             \
    name_##_join((op_), (const name_##_filter[]){ { NULL }, ##__VA_ARGS__ },   \
                 sizeof((const name_##_filter[]){ { NULL }, ##__VA_ARGS__ }) / \
                     sizeof(name_##_filter))
#define ORM_CHANGES_(name_, ...)                                                              \
    name_##_changes((const name_##_change[]){ __VA_ARGS__ },                                  \
                    sizeof((const name_##_change[]){ __VA_ARGS__ }) / sizeof(name_##_change)) \
        .node

/* The parameter, if its type fits the column: else the static assertion fails. */
#if defined(__cppcheck__) /* it does not see that the check is not evaluated */
#define ORM_CHECKED_(name_, column_, value_, op_) pg_param(value_)
#else
#define ORM_CHECKED_(name_, column_, value_, op_)                                            \
    ((void)({                                                                                \
         _Static_assert(ORM_FITS_(((name_ *)NULL)->column_, value_, op_),                    \
                        "the value's type, or the operator, does not fit the column " #name_ \
                        "." #column_);                                                       \
     }),                                                                                     \
     pg_param(value_))
#endif
#define ORM_FITS_(column_, value_, op_)                   \
    ((op_) == ORM_IN                                      \
         ? ORM_CLASS_(column_) == ORM_LIST_CLASS_(value_) \
         : ORM_CLASS_(column_) == ORM_CLASS_(value_) &&   \
               (((op_) != ORM_LIKE && (op_) != ORM_ILIKE) || ORM_CLASS_(column_) == 4))
#define ORM_CLASS_(value_)                                                                      \
    _Generic((value_), bool : 1, opt_bool : 1, short : 2, opt_int2 : 2, int : 2, opt_int4 : 2,  \
             unsigned short : 2, unsigned int : 2, long : 2, long long : 2, opt_int8 : 2,       \
             double : 3, opt_float8 : 3, str : 4, opt_text : 4, bytea : 5, opt_bytea : 5,       \
             timestamptz : 6, opt_timestamptz : 6, uuid : 7, opt_uuid : 7, jsonb : 8,           \
             opt_jsonb : 8, bool_list : 101, int2_list : 102, int4_list : 103, int8_list : 104, \
             float8_list : 105, text_list : 106, bytea_list : 107, timestamptz_list : 108,      \
             uuid_list : 109, jsonb_list : 110, default : 0)
/* The class of a list's items. */
#define ORM_LIST_CLASS_(value_)                                                                   \
    _Generic((value_), bool_list : 1, int2_list : 2, int4_list : 2, int8_list : 2,                \
             float8_list : 3, text_list : 4, bytea_list : 5, timestamptz_list : 6, uuid_list : 7, \
             default                                                                              \
             : -1)

/* A change for each of 1 to 16 fields of `in_`. */
#define ORM_SOME_1_(name_, in_, column_)                                     \
    {                                                                        \
        orm_change_some(ORM_OFFSET_(name_, column_),                         \
                        ORM_CHECKED_(name_, column_, (in_).column_, ORM_EQ), \
                        (in_).column_.has || (in_).column_.is_null)          \
    }
#define ORM_SOME_(name_, in_, ...)                                                                 \
    PG_PICK_(0, __VA_ARGS__, ORM_SOME_16_, ORM_SOME_15_, ORM_SOME_14_, ORM_SOME_13_, ORM_SOME_12_, \
             ORM_SOME_11_, ORM_SOME_10_, ORM_SOME_9_, ORM_SOME_8_, ORM_SOME_7_, ORM_SOME_6_,       \
             ORM_SOME_5_, ORM_SOME_4_, ORM_SOME_3_, ORM_SOME_2_, ORM_SOME_1_, )                    \
    (name_, in_, __VA_ARGS__)
#define ORM_SOME_2_(n_, in_, c_, ...)  ORM_SOME_1_(n_, in_, c_), ORM_SOME_1_(n_, in_, __VA_ARGS__)
#define ORM_SOME_3_(n_, in_, c_, ...)  ORM_SOME_1_(n_, in_, c_), ORM_SOME_2_(n_, in_, __VA_ARGS__)
#define ORM_SOME_4_(n_, in_, c_, ...)  ORM_SOME_1_(n_, in_, c_), ORM_SOME_3_(n_, in_, __VA_ARGS__)
#define ORM_SOME_5_(n_, in_, c_, ...)  ORM_SOME_1_(n_, in_, c_), ORM_SOME_4_(n_, in_, __VA_ARGS__)
#define ORM_SOME_6_(n_, in_, c_, ...)  ORM_SOME_1_(n_, in_, c_), ORM_SOME_5_(n_, in_, __VA_ARGS__)
#define ORM_SOME_7_(n_, in_, c_, ...)  ORM_SOME_1_(n_, in_, c_), ORM_SOME_6_(n_, in_, __VA_ARGS__)
#define ORM_SOME_8_(n_, in_, c_, ...)  ORM_SOME_1_(n_, in_, c_), ORM_SOME_7_(n_, in_, __VA_ARGS__)
#define ORM_SOME_9_(n_, in_, c_, ...)  ORM_SOME_1_(n_, in_, c_), ORM_SOME_8_(n_, in_, __VA_ARGS__)
#define ORM_SOME_10_(n_, in_, c_, ...) ORM_SOME_1_(n_, in_, c_), ORM_SOME_9_(n_, in_, __VA_ARGS__)
#define ORM_SOME_11_(n_, in_, c_, ...) ORM_SOME_1_(n_, in_, c_), ORM_SOME_10_(n_, in_, __VA_ARGS__)
#define ORM_SOME_12_(n_, in_, c_, ...) ORM_SOME_1_(n_, in_, c_), ORM_SOME_11_(n_, in_, __VA_ARGS__)
#define ORM_SOME_13_(n_, in_, c_, ...) ORM_SOME_1_(n_, in_, c_), ORM_SOME_12_(n_, in_, __VA_ARGS__)
#define ORM_SOME_14_(n_, in_, c_, ...) ORM_SOME_1_(n_, in_, c_), ORM_SOME_13_(n_, in_, __VA_ARGS__)
#define ORM_SOME_15_(n_, in_, c_, ...) ORM_SOME_1_(n_, in_, c_), ORM_SOME_14_(n_, in_, __VA_ARGS__)
#define ORM_SOME_16_(n_, in_, c_, ...) ORM_SOME_1_(n_, in_, c_), ORM_SOME_15_(n_, in_, __VA_ARGS__)

#endif
