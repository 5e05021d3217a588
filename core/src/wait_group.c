/* Several fibers at once. The group cleans up after itself: children are cancelled and joined when
 * the scope it was made in ends, because they use its arena. */
#include "fiber_private.h"

#include "core/clock.h"
#include "core/fiber.h"

static error join_all(wait_group *group, bool cancel)
{
    error first = OK;
    error_slot details;
    fiber *self = worker_self.fiber;
    self->group = group;
    for (uint32_t i = 0; i < group->count; i++) {
        if (cancel)
            fiber_cancel(group->fibers[i], &CANCELED);
        const error e = fiber_join(&group->fibers[i]);
        if (e.kind && !first.kind) {
            first = e;
            error_slot_copy(&details, error_slot_current());
            for (uint32_t rest = i + 1; rest < group->count; rest++)
                fiber_cancel(group->fibers[rest], &CANCELED);
        }
    }
    self->group = NULL;
    group->count = 0;
    if (first.kind)
        error_slot_copy(error_slot_current(), &details);
    return first;
}

/* A group that was left behind by an early return. */
static error group_left(void *arg)
{
    wait_group *group = arg;
    group->cleanup = NULL;
    const error e = join_all(group, true);
    return error_is(e, &CANCELED) ? OK : e;
}

/* The fiber that waited has crashed: those it waited for end by themselves, unjoined. */
static void group_abandoned(void *arg)
{
    const wait_group *group = arg;
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->fibers[i])
            fiber_cancel(group->fibers[i], &CANCELED);
    }
}

static const cleanup GROUP_LEFT = {
    .run = group_left,
    .abandon = group_abandoned,
    .name = "wait group",
};

void wait_group_init(wait_group *group)
{
    *group = (wait_group){ 0 };
}

error wait_group_start(wait_group *group, fiber_fn fn, void *arg)
{
    fiber *f = worker_self.fiber;
    invariant(f != NULL);
    if (group->count == WAIT_GROUP_MAX)
        return error_set(&FIBER_TOO_MANY, "a wait group holds %d fibers", WAIT_GROUP_MAX);
    const uint64_t deadline_ms = f->scope->deadline_ms;
    const uint64_t now_ms = clock_ms();
    const fiber_options options = {
        .name = "wait group",
        .arena = f->arena,
        .joinable = true,
        .deadline_ms = deadline_ms == UINT64_MAX ? 0
                       : deadline_ms > now_ms    ? (uint32_t)(deadline_ms - now_ms)
                                                 : 1,
    };
    fiber *child;
    TRY(fiber_start(f->loop, &options, fn, arg, &child));
    child->log_request_id = worker_self.log_request_id;
    child->about = f->about;
    if (f->canceled)
        fiber_cancel(child, f->canceled);
    group->fibers[group->count++] = child;
    if (!group->cleanup)
        group->cleanup = scope_defer(&GROUP_LEFT, group);
    return OK;
}

error wait_group_wait(wait_group *group)
{
    scope_disarm(&group->cleanup);
    return join_all(group, fiber_fuse(worker_self.fiber) != NULL);
}
