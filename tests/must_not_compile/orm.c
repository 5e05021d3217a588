/*
 * orm -- the mistakes in typed queries that a compiler must find.
 *
 * Each WRONG_… is one mistake; without any of them the file is a right program.
 */
#include "orm/orm.h"

#define CAT_FIELDS(F)                                   \
    F(id, int8, .primary_key = true, .generated = true) \
    F(name, text)                                       \
    F(weight, opt_float8)                               \
    F(tame, bool)
ORM_TABLE(cat, "cats", CAT_FIELDS)

#define DOG_FIELDS(F) F(id, int8, .primary_key = true) F(name, text)
ORM_TABLE(dog, "dogs", DOG_FIELDS)

#define CAT_PATCH_FIELDS(F) F(name, opt_text) F(weight, opt_text)
SHAPE(cat_patch, CAT_PATCH_FIELDS)

error right(pg_pool *db, int64_t id, str name, int64_t *ids);
error wrong(pg_pool *db, int64_t id, str name, cat_patch in);

error right(pg_pool *db, int64_t id, str name, int64_t *ids)
{
    cat c;
    cat_list cats;
    cat_page page;
    TRY(orm_get(db, cat, &c, orm_where(cat, id, EQ, id), orm_where(cat, name, LIKE, name)));
    TRY(orm_get(db, cat, &c, orm_where(cat, id, IN, ((int8_list){ ids, 2 })),
                orm_where(cat, weight, GT, 1.5)));
    TRY(orm_list(db, cat, &cats, orm_asc(cat, name), 10, orm_where_not_null(cat, weight)));
    TRY(orm_page(db, cat, &page, (page_query){ .limit = 10 }, orm_desc(cat, id)));
    return orm_update(db, cat, &c, orm_where(cat, id, EQ, 7), orm_set(cat, name, name));
}

error wrong(pg_pool *db, int64_t id, str name, cat_patch in)
{
    cat c;
    dog d;
    (void)id, (void)name, (void)in, (void)d;
#ifdef WRONG_COLUMN
    TRY(orm_get(db, cat, &c, orm_where(cat, colour, EQ, name)));
#endif
#ifdef WRONG_TABLE
    TRY(orm_get(db, cat, &c, orm_where(dog, name, EQ, name)));
#endif
#ifdef WRONG_TABLE_SECOND
    TRY(orm_get(db, cat, &c, orm_where(cat, id, EQ, id), orm_where(dog, name, EQ, name)));
#endif
#ifdef WRONG_TABLE_IN_UPDATE
    TRY(orm_update(db, cat, &c, orm_where(dog, id, EQ, id), orm_set(cat, name, name)));
#endif
#ifdef WRONG_STRUCT
    TRY(orm_get(db, cat, &d, orm_where(cat, id, EQ, id)));
#endif
#ifdef WRONG_TEXT_FOR_NUMBER
    TRY(orm_get(db, cat, &c, orm_where(cat, id, EQ, name)));
#endif
#ifdef WRONG_NUMBER_FOR_TEXT
    TRY(orm_get(db, cat, &c, orm_where(cat, name, EQ, 7)));
#endif
#ifdef WRONG_LITERAL_FOR_TEXT
    TRY(orm_get(db, cat, &c, orm_where(cat, name, EQ, "Tom")));
#endif
#ifdef WRONG_FRACTION_FOR_INTEGER
    TRY(orm_get(db, cat, &c, orm_where(cat, id, EQ, 1.5)));
#endif
#ifdef WRONG_NUMBER_FOR_BOOL
    TRY(orm_get(db, cat, &c, orm_where(cat, tame, EQ, 1)));
#endif
#ifdef WRONG_OPERATOR
    TRY(orm_get(db, cat, &c, orm_where(cat, id, BETWEEN, id)));
#endif
#ifdef WRONG_LIKE_ON_NUMBER
    TRY(orm_get(db, cat, &c, orm_where(cat, id, LIKE, id)));
#endif
#ifdef WRONG_IN_WITHOUT_LIST
    TRY(orm_get(db, cat, &c, orm_where(cat, id, IN, id)));
#endif
#ifdef WRONG_CHANGE
    TRY(orm_update(db, cat, &c, orm_where(cat, id, EQ, id), orm_set(cat, name, 7)));
#endif
#ifdef WRONG_CHANGE_OF_OTHER_TABLE
    TRY(orm_update(db, cat, &c, orm_where(cat, id, EQ, id), orm_set(dog, name, name)));
#endif
#ifdef WRONG_SOME_TYPE
    TRY(orm_update(db, cat, &c, orm_where(cat, id, EQ, id), orm_set_some(cat, in, name, weight)));
#endif
#ifdef WRONG_SOME_COLUMN
    TRY(orm_update(db, cat, &c, orm_where(cat, id, EQ, id), orm_set_some(cat, in, colour)));
#endif
#ifdef WRONG_ORDER_OF_OTHER_TABLE
    cat_list cats;
    TRY(orm_list(db, cat, &cats, orm_asc(dog, name), 10));
#endif
#ifdef WRONG_COLUMN_IN_ORDER
    cat_list cats;
    TRY(orm_list(db, cat, &cats, orm_asc(cat, colour), 10));
#endif
#ifdef WRONG_COLUMN_IN_CHANGE
    TRY(orm_update(db, cat, &c, orm_where(cat, id, EQ, id), orm_set(cat, colour, name)));
#endif
#ifdef WRONG_COLUMN_IN_NULL
    TRY(orm_get(db, cat, &c, orm_where_null(cat, colour)));
#endif
#ifdef WRONG_LIST
    dog_list dogs;
    TRY(orm_list(db, cat, &dogs, orm_asc(cat, name), 10));
#endif
#ifdef WRONG_INSERT
    TRY(orm_insert(db, cat, &d));
#endif
#ifdef WRONG_IN_OF_OTHER_TYPE
    TRY(orm_get(db, cat, &c, orm_where(cat, id, IN, ((text_list){ &name, 1 }))));
#endif
#ifdef WRONG_DELETE_OF_OTHER_TABLE
    TRY(orm_delete(db, cat, orm_where(dog, id, EQ, id)));
#endif
#ifdef WRONG_TARGET
    TRY(orm_get(&c, cat, &c, orm_where(cat, id, EQ, id)));
#endif
    return orm_insert(db, cat, &c);
}
