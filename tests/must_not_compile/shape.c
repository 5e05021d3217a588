/*
 * shape -- the mistakes in descriptions of structs that a compiler must find.
 *
 * Each WRONG_… is one mistake; without any of them the file is a right program.
 */
#include "core/shape.h"

#define TAG_FIELDS(F) F(name, text, .max_len = 20)
SHAPE(tag, TAG_FIELDS)

#if defined(WRONG_TYPE)
#define PET_FIELDS(F) F(name, string)
#elif defined(WRONG_ATTRIBUTE)
#define PET_FIELDS(F) F(name, text, .longest = 20)
#elif defined(WRONG_TWICE)
#define PET_FIELDS(F) F(name, text) F(name, int4)
#elif defined(WRONG_SHAPE_UNKNOWN)
#define PET_FIELDS(F) F(name, text) F(tags, label_list)
#else
#define PET_FIELDS(F)                              \
    F(id, int8, .generated = true)                 \
    F(name, text, .min_len = 1, .max_len = 200)    \
    F(lives, opt_int4, .range = SHAPE_RANGE(0, 9)) \
    F(tags, tag_list)                              \
    F(parent, opt_uuid, .nullable = true)
#endif
SHAPE(pet, PET_FIELDS)

shape_fn *the_shape(void);

shape_fn *the_shape(void)
{
#ifdef WRONG_SHAPE_OF
    return SHAPE_OF(plant);
#endif
    return SHAPE_OF(pet);
}
