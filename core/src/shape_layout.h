/* The two layouts that all optional and all list members share, whatever X is: see
 * shape_arity. They alias the real types, so the compiler is told. */
#ifndef CORE_SRC_SHAPE_LAYOUT_H
#define CORE_SRC_SHAPE_LAYOUT_H

#include "core/base.h"

/* The front of every opt_X; the value stands at shape_type.value_offset. */
typedef struct __attribute__((may_alias)) any_optional {
    bool has;
    bool is_null;
} any_optional;

/* Every X_list; an item is shape_type.value_bytes long. */
typedef struct __attribute__((may_alias)) any_list {
    char *items;
    size_t count;
} any_list;

#endif
