/* Offload threads: started with the first call, fed through a bounded queue, answering through the
 * loop's remote list.
 *
 *   QUEUED --thread takes it--> RUNNING --fn returned--> DONE
 *     +--fuse blew: taken out, the caller returns
 *
 * Jobs are kept and used again, so that a fiber may call for as long as it lives without its arena
 * growing. There are never more than the queue and the threads can hold.
 *
 * Invariant: a job is its caller's from the call to its return, and the caller does not return
 * while it is queued or running. */
#include "core/offload.h"

#include "fiber_private.h"

#include "core/fault.h"

#include <errno.h>
#include <stdlib.h>

ERROR_KIND(OFFLOAD_FULL, ERROR_UNAVAILABLE, "The server is busy; try again later.");

typedef enum job_state {
    JOB_QUEUED = 1,
    JOB_RUNNING,
    JOB_DONE,
} job_state;

typedef struct job {
    list_node node;   /* in offload->queue while QUEUED, in offload->spares when nobody's */
    struct job *next; /* of offload->jobs */
    loop_task done;
    struct offload *offload;
    fiber *caller;
    error (*fn)(void *arg);
    void *arg;
    str request_id;  /* the caller's, for the lines that `fn` logs */
    job_state state; /* under offload->lock until DONE was posted */
    bool waiting;    /* the caller is parked */
    error result;
    error_slot details;
} job;

struct offload {
    loop *loop;
    pthread_mutex_t lock;
    pthread_cond_t work;
    list queue;
    list spares; /* the loop's own, like `jobs` */
    job *jobs;   /* all that there are */
    uint32_t queued;
    bool stopping;
    uint32_t thread_count;
    pthread_t threads[OFFLOAD_THREADS];
};

static void job_done(loop_task *task)
{
    job *j = CONTAINER_OF(task, job, done);
    j->offload->loop->offloaded--;
    j->state = JOB_DONE;
    if (j->waiting)
        fiber_wake(j->caller, OK);
}

static void run_job(job *j)
{
    worker_self.errors.count = 0;
    worker_self.log_request_id = j->request_id;
    j->result = j->fn(j->arg);
    worker_self.log_request_id = STR_NONE;
    j->details.count = 0;
    if (j->result.kind)
        error_slot_copy(&j->details, &worker_self.errors);
    loop_post_from_thread(j->offload->loop, &j->done);
}

static void *thread_main(void *arg)
{
    struct offload *o = arg;
    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (list_is_empty(&o->queue) && !o->stopping)
            pthread_cond_wait(&o->work, &o->lock);
        list_node *n = list_take_first(&o->queue);
        if (!n)
            break;
        o->queued--;
        job *j = CONTAINER_OF(n, job, node);
        j->state = JOB_RUNNING;
        pthread_mutex_unlock(&o->lock);
        run_job(j);
        pthread_mutex_lock(&o->lock);
    }
    pthread_mutex_unlock(&o->lock);
    block_pool_trim();
    return NULL;
}

static error start_threads(struct offload *o)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int failed = 0;
    while (o->thread_count < OFFLOAD_THREADS && !failed) {
        failed = fault_point("offload.thread")
                     ? EAGAIN
                     : pthread_create(&o->threads[o->thread_count], NULL, thread_main, o);
        if (!failed)
            o->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (o->thread_count == 0)
        return error_set_errno(&SYSTEM_FAILED, failed, "pthread_create");
    return OK;
}

static error offload_of(loop *l, struct offload **out)
{
    if (!l->offload) {
        struct offload *o = calloc(1, sizeof *o);
        if (!o)
            return error_set(&OUT_OF_MEMORY, "no memory for offload threads");
        o->loop = l;
        pthread_mutex_init(&o->lock, NULL);
        pthread_cond_init(&o->work, NULL);
        list_init(&o->queue);
        list_init(&o->spares);
        l->offload = o;
    }
    if (l->offload->thread_count == 0)
        TRY(start_threads(l->offload));
    *out = l->offload;
    return OK;
}

void offload_free(struct offload **owner)
{
    struct offload *o = *owner;
    *owner = NULL;
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->stopping = true;
    pthread_cond_broadcast(&o->work);
    pthread_mutex_unlock(&o->lock);
    for (uint32_t i = 0; i < o->thread_count; i++)
        pthread_join(o->threads[i], NULL);
    for (job *j = o->jobs, *next; j; j = next) {
        next = j->next;
        free(j);
    }
    pthread_cond_destroy(&o->work);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

/* A fuse ended the wait: a job that no thread has taken is taken back. */
static void job_forgotten(void *arg)
{
    job *j = arg;
    pthread_mutex_lock(&j->offload->lock);
    if (j->state == JOB_QUEUED) {
        list_remove(&j->node);
        j->offload->queued--;
        j->offload->loop->offloaded--;
    }
    pthread_mutex_unlock(&j->offload->lock);
    j->waiting = false;
}

static error enqueue(struct offload *o, job *j)
{
    pthread_mutex_lock(&o->lock);
    const bool full = o->queued >= OFFLOAD_QUEUE_MAX;
    if (!full) {
        o->loop->offloaded++;
        list_append(&o->queue, &j->node);
        o->queued++;
        pthread_cond_signal(&o->work);
    }
    pthread_mutex_unlock(&o->lock);
    return full ? error_set(&OFFLOAD_FULL, "%d calls wait for a thread", OFFLOAD_QUEUE_MAX) : OK;
}

/* Whether a thread has the job, or had it. */
static bool was_taken(const job *j)
{
    pthread_mutex_lock(&j->offload->lock);
    const bool taken = j->state != JOB_QUEUED;
    pthread_mutex_unlock(&j->offload->lock);
    return taken;
}

/* NULL without memory. */
static job *take_job(struct offload *o)
{
    list_node *spare = list_take_first(&o->spares);
    if (spare)
        return CONTAINER_OF(spare, job, node);
    job *j = calloc(1, sizeof *j);
    if (j) {
        j->next = o->jobs;
        o->jobs = j;
    }
    return j;
}

/* Queues it, and waits until its function has returned or will not be called. */
static error run_to_its_end(struct offload *o, job *j)
{
    TRY(enqueue(o, j));
    const error interrupted = fiber_park("offload", job_forgotten, j);
    if (interrupted.kind) {
        if (!was_taken(j))
            return interrupted;
        if (j->state != JOB_DONE) {
            j->waiting = true;
            const error woken = fiber_park_shielded("offload");
            invariant(error_is_ok(woken));
        }
    }
    if (j->result.kind)
        error_slot_copy(error_slot_current(), &j->details);
    return j->result;
}

error offload(error (*fn)(void *arg), void *arg)
{
    fiber *f = worker_self.fiber;
    invariant(f != NULL);
    const error_kind *fuse = fiber_fuse(f);
    if (fuse)
        return error_set(fuse, "before an offloaded call");
    struct offload *o = NULL;
    TRY(offload_of(f->loop, &o));
    invariant(o != NULL);
    job *j = take_job(o);
    if (!j)
        return error_set(&OUT_OF_MEMORY, "no memory for an offloaded call");
    j->done.run = job_done;
    j->offload = o;
    j->caller = f;
    j->fn = fn;
    j->arg = arg;
    j->request_id = worker_self.log_request_id;
    j->state = JOB_QUEUED;
    j->waiting = true;
    const error e = run_to_its_end(o, j);
    list_append(&o->spares, &j->node);
    return e;
}
