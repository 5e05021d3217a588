/* The thread's own state, and which error slot is the present one. A fiber's slot is made with its
 * first error and stays with its stack, so a worker in steady state allocates none. */
#include "worker.h"

#include "fiber_private.h"
#include "stack.h"

#include <stdlib.h>

_Thread_local worker worker_self;

error_slot *error_slot_current(void)
{
    fiber *f = worker_self.fiber;
    if (!f)
        return &worker_self.errors;
    if (!f->errors) {
        f->errors = calloc(1, sizeof *f->errors);
        f->stack->errors = f->errors;
    }
    /* Without memory for details the thread's slot serves: texts may mix, kinds never do. */
    return f->errors ? f->errors : &worker_self.errors;
}
