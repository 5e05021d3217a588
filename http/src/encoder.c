/* A worker's encoders: the few that are kept, and the count of those in use.
 *
 *   (new) --acquire--> in use --release--> idle --acquire--> in use
 *                         |                 `--too many of the kind--> (freed)
 *                         `--a fault in the library--> left alone for good
 *
 * Invariant: no library is entered with a context that a fault has left in the middle of a step. */
#include "encoder.h"

#include "core/memory.h"

#define IDLE_MAX 4 /* of a library */

struct http_encoders {
    list idle; /* the one released last first: its memory is warm */
    uint32_t in_use;
    uint32_t held; /* of them */
    bool freed;    /* by its owner: the last encoder takes it along */
};

static http_encoders *pool_new(void)
{
    http_encoders *pool = MEMORY_NEW(http_encoders);
    if (pool)
        list_init(&pool->idle);
    return pool;
}

static http_encoder *take_idle(http_encoders *pool, const http_codec *codec)
{
    LIST_EACH (http_encoder, e, &pool->idle, idle) {
        if (e->codec != codec)
            continue;
        list_remove(&e->idle);
        return e;
    }
    return NULL;
}

static void encoder_free(http_encoder *e)
{
    e->codec->close(e->context);
    memory_free(e);
}

static http_encoder *encoder_new(http_encoders *pool, const http_codec *codec)
{
    http_encoder *e = MEMORY_NEW(http_encoder);
    if (!e)
        return NULL;
    e->of = pool;
    e->codec = codec;
    e->context = codec->open();
    if (!e->context) {
        memory_free(e);
        return NULL;
    }
    return e;
}

http_encoder *http_encoder_acquire(http_encoders **pool, const http_codec *codec, uint32_t held_max)
{
    if (!*pool)
        *pool = pool_new();
    const bool held = held_max > 0;
    if (!*pool || (held && (*pool)->held >= held_max))
        return NULL;
    http_encoder *e = take_idle(*pool, codec);
    if (!e)
        e = encoder_new(*pool, codec);
    if (!e)
        return NULL;
    e->held = held;
    (*pool)->in_use++;
    (*pool)->held += held;
    return e;
}

static uint32_t idle_count(const http_encoders *pool, const http_codec *codec)
{
    uint32_t count = 0;
    LIST_EACH (const http_encoder, e, &pool->idle, idle)
        count += e->codec == codec;
    return count;
}

void http_encoder_release(http_encoder **owner)
{
    http_encoder *e = *owner;
    *owner = NULL;
    if (!e || e->stepping)
        return;
    http_encoders *pool = e->of;
    invariant(pool->in_use > 0);
    pool->in_use--;
    pool->held -= e->held;
    if (pool->freed || idle_count(pool, e->codec) >= IDLE_MAX)
        encoder_free(e);
    else
        list_prepend(&pool->idle, &e->idle);
    if (pool->freed && pool->in_use == 0)
        memory_free(pool);
}

bool http_encoder_begin(http_encoder *e, int level, size_t bytes)
{
    e->stepping = true;
    const bool begun = e->codec->begin(e->context, level, bytes);
    e->stepping = false;
    return begun;
}

http_encoded http_encoder_step(http_encoder *e, http_encode_io *io)
{
    e->stepping = true;
    const http_encoded result = e->codec->step(e->context, io);
    e->stepping = false;
    return result;
}

void http_encoders_free(http_encoders **owner)
{
    http_encoders *pool = *owner;
    *owner = NULL;
    if (!pool)
        return;
    list_node *n;
    while ((n = list_take_first(&pool->idle)))
        encoder_free(CONTAINER_OF(n, http_encoder, idle));
    pool->freed = true;
    if (pool->in_use == 0)
        memory_free(pool);
}
