/* One page of a list: what a client asks for and what it gets. Shared by http/, which reads the
 * query, and orm/, which runs it. */
#ifndef CORE_PAGE_H
#define CORE_PAGE_H

#include "core/error.h"
#include "core/scalar.h"

#define PAGE_LIMIT_DEFAULT 50
#define PAGE_LIMIT_MAX     500

typedef struct page_query {
    uint32_t limit; /* items, 1..PAGE_LIMIT_MAX */
    str cursor;     /* the `next` of the page before, or STR_NONE */
    error invalid;  /* what is wrong with the query; whoever runs it returns this first */
} page_query;

#endif
