/* Conditions, orders and changes: small trees in the fiber's arena, made by the macros of orm.h. */
#include "orm/orm.h"

const orm_filter *orm_filter_compare(orm_operator op, uint32_t offset, pg_value value)
{
    orm_filter *f = ARENA_NEW(fiber_arena(), orm_filter);
    f->op = op;
    f->offset = offset;
    f->value = value;
    return f;
}

orm_filter *orm_filter_new(orm_operator op, size_t count)
{
    orm_filter *f = ARENA_NEW(fiber_arena(), orm_filter);
    f->op = op;
    f->items = ARENA_NEW_ARRAY(fiber_arena(), const orm_filter *, count);
    return f;
}

void orm_filter_add(orm_filter *join, const orm_filter *item)
{
    if (item)
        join->items[join->count++] = item;
}

const orm_change *orm_change_new(uint32_t offset, pg_value value)
{
    orm_change *change = ARENA_NEW(fiber_arena(), orm_change);
    change->offset = offset;
    change->value = value;
    return change;
}

const orm_change *orm_change_some(uint32_t offset, pg_value value, bool given)
{
    return given ? orm_change_new(offset, value) : NULL;
}

/* Copies `more`, whose nodes others may hold. */
const orm_change *orm_change_join(const orm_change *changes, const orm_change *more)
{
    const orm_change *all = changes;
    for (const orm_change *c = more; c; c = c->before) {
        orm_change *copy = ARENA_NEW(fiber_arena(), orm_change);
        *copy = *c;
        copy->before = all;
        all = copy;
    }
    return all;
}

orm_order orm_order_join(orm_order order, orm_order more)
{
    invariant(order.count + more.count <= ORM_ORDER_MAX);
    for (uint32_t i = 0; i < more.count; i++)
        order.keys[order.count++] = more.keys[i];
    return order;
}
