/* Intrusive doubly linked lists: the node stands in the element, so linking allocates nothing and
 * unlinking is O(1). A list is a circle through its head. */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include "core/base.h"

typedef struct list_node {
    struct list_node *next; /* NULL when in no list */
    struct list_node *prev;
} list_node;

typedef struct list {
    list_node head;
} list;

/* An empty list. Its head must not move while anything stands in it. */
static inline void list_init(list *l)
{
    l->head.next = l->head.prev = &l->head;
}
/* Whether nothing stands in it. */
static inline bool list_is_empty(const list *l)
{
    return l->head.next == &l->head;
}
/* Whether the node stands in a list. A zeroed node does not. */
static inline bool list_linked(const list_node *n)
{
    return n->next != NULL;
}
/* Links a node, which must stand in no list, behind one that does. */
static inline void list_insert_after(list_node *at, list_node *n)
{
    invariant(!list_linked(n));
    n->prev = at;
    n->next = at->next;
    at->next->prev = n;
    at->next = n;
}
/* Links a node at the end, or the beginning. */
static inline void list_append(list *l, list_node *n)
{
    list_insert_after(l->head.prev, n);
}
static inline void list_prepend(list *l, list_node *n)
{
    list_insert_after(&l->head, n);
}
/* Unlinks a node; one that stands in no list is left alone. */
static inline void list_remove(list_node *n)
{
    if (!list_linked(n))
        return;
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
}
/* The first node, unlinked, or NULL. */
static inline list_node *list_take_first(list *l)
{
    if (list_is_empty(l))
        return NULL;
    list_node *n = l->head.next;
    list_remove(n);
    return n;
}
/* Moves everything of `from` to the end of `to`. */
static inline void list_append_all(list *to, list *from)
{
    if (list_is_empty(from))
        return;
    from->head.next->prev = to->head.prev;
    to->head.prev->next = from->head.next;
    from->head.prev->next = &to->head;
    to->head.prev = from->head.prev;
    list_init(from);
}

/* for (type *item : list), where `member` is the list_node in `type`. The item may be unlinked in
 * the body; others may not. Expands to the head of one for statement. */
#define LIST_EACH(type, item, list_, member)                                \
    for (type *item = CONTAINER_OF((list_)->head.next, type, member),       \
              *item##_next = CONTAINER_OF(item->member.next, type, member); \
         &item->member != &(list_)->head;                                   \
         item = item##_next, item##_next = CONTAINER_OF(item->member.next, type, member))

#endif
