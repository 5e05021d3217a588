/* Those who ask: fibers with small programs of their own, and what the model expects them to be
 * told. Each ask has a tag, which goes to the server with it and stands in each row that comes
 * back.
 *
 * An answer is right when it is what the backend has said to that very ask; an error is right when
 * the backend has said so, or when something was done to the asker or to its connection that
 * explains it. What a caller was told of its changes must be what has become of them. */
#ifndef TESTS_UNIT_PG_WALK_ACTOR_H
#define TESTS_UNIT_PG_WALK_ACTOR_H

#include "walk_server.h"

#include "tests/support/random.h"

#define WALK_ACTORS     20
#define WALK_ASKS       16384 /* that are remembered */
#define WALK_TOGETHER   8     /* in one batch */
#define WALK_IN_TX      40
#define WALK_ACQUIRE_MS 400

typedef enum walk_effect {
    WALK_NO_EFFECT = 0,
    WALK_STAYS,
    WALK_UNDONE,
    WALK_UNKNOWN, /* what a caller may be told, not what there is */
} walk_effect;

typedef struct walk_actor walk_actor;

typedef struct walk_ask {
    uint64_t tag;
    walk_actor *actor;
    bool open;             /* the actor waits for it */
    bool in_tx;            /* of the actor's */
    bool read_only;        /* and alone: skipped, it is asked again */
    bool together;         /* with others, in a batch */
    bool repeats;          /* a cursor: a request for each piece */
    bool bad;              /* its text is */
    bool pipelined;        /* together, but each for itself */
    bool loose;            /* a COPY, a COMMIT: it ends later than its answer */
    bool changes;          /* has an effect, if it is carried out */
    bool perhaps;          /* carried out, when its transaction was committed */
    walk_backend *backend; /* where it was sent last, NULL: nowhere yet */
    uint32_t process;
    uint64_t request;
    uint32_t attempts, stale;
    bool delivered; /* and the backend has forgotten it */
    walk_verdict verdict;
    char state[6];
    bool bound, rolled_back;
    bool at_begin;      /* it came to the BEGIN before it, and no further */
    walk_effect effect; /* at the server */
    walk_effect told;
} walk_ask;

struct walk_actor {
    fiber *fiber; /* NULL: free */
    random_state dice;
    bool at_gate;
    bool canceled;
    uint64_t deadline_ms; /* UINT64_MAX: none */
    uint64_t deaths;      /* connections lost when its ask began */
    walk_ask *asks[WALK_TOGETHER];
    uint32_t ask_count;
    /* Of its transaction: */
    uint64_t in_tx[WALK_IN_TX];
    uint32_t in_tx_count;
    const pg_tx *tx;
};

typedef struct walk_actors {
    pg_pool *pool;
    walk_actor all[WALK_ACTORS];
    walk_ask asks[WALK_ASKS];
    uint64_t last_tag;
    uint64_t started, finished; /* asks */
    uint64_t by_end[8];         /* how they ended */
    uint64_t deaths;            /* connections */
    bool draining;              /* everybody comes to an end */
    loop *loop;
} walk_actors;

extern walk_actors *the_actors;
extern const error_kind WALK_GIVEN_UP; /* by its own caller */

/* Starts a free one with a program; false when all are at work. */
bool walk_actor_start(random_state *dice);
/* Lets one that waits at its gate go on. */
void walk_actor_go_on(walk_actor *a);
void walk_actor_cancel(walk_actor *a);
/* Who asked for it; NULL: nobody waits any more. */
const walk_ask *walk_ask_of(uint64_t tag);
/* Whether all that it waits for has come, so that it cannot wait any more. */
bool walk_actor_must_be_done(const walk_actor *a);

#endif
