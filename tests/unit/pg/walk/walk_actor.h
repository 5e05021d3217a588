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
#define WALK_KEPT_BYTES ((uint64_t)256 << 10) /* of a stream's rows, past which it is held up */
#define WALK_READ_BYTES ((uint64_t)128 << 10) /* that come at once */

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
    bool reads;            /* asked for as such */
    bool read_only;        /* and alone: skipped, it is asked again */
    bool together;         /* with others, in a batch */
    bool repeats;          /* a cursor: a request for each piece */
    bool bad;              /* its text is */
    bool pipelined;        /* together, but each for itself */
    bool loose;            /* a COPY, a COMMIT: it ends later than its answer */
    bool commits;          /* the COMMIT */
    bool streams;          /* its rows are taken as they come */
    bool closing;          /* and not wanted any more */
    bool changes;          /* has an effect, if it is carried out */
    bool perhaps;          /* carried out, when its transaction was committed */
    walk_backend *backend; /* where it was sent last, NULL: nowhere yet */
    uint32_t process;
    uint64_t request;
    uint64_t deaths; /* connections lost when it began */
    uint32_t attempts, stale;
    uint32_t came, seen; /* rows: that the client has read, that its caller has */
    uint32_t row_bytes;  /* of a stream's */
    bool delivered;      /* and the backend has forgotten it */
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
    walk_ask *asks[WALK_TOGETHER];
    uint32_t ask_count;
    /* Of its transaction: */
    uint64_t in_tx[WALK_IN_TX];
    uint32_t in_tx_count;
    const pg_tx *tx;
    /* Of what it listens to: */
    uint32_t listens;  /* 0: nothing; 1: c0 */
    uint64_t heard;    /* the last one that it was told */
    uint64_t lossy_to; /* those up to it may have been lost: before it listened, or in a gap */
    uint64_t arrived;  /* the last one that the client has read */
};

typedef struct walk_actors {
    pg_pool *pool;
    walk_actor all[WALK_ACTORS];
    walk_ask asks[WALK_ASKS];
    uint64_t last_tag;
    uint64_t started, finished; /* asks */
    uint64_t by_end[8];         /* how they ended */
    uint64_t deaths;            /* connections */
    uint64_t heard, gaps;       /* notifications */
    bool draining;              /* everybody comes to an end */
    loop *loop;
} walk_actors;

/* What an actor does, and on what. */
typedef struct walk_use {
    walk_actor *actor;
    pg_target on;
} walk_use;

typedef struct walk_saying {
    char text[48];
    uint32_t rows;
    walk_fate fate;
    bool has_rows;
} walk_saying;

extern walk_actors *the_actors;
extern const error_kind WALK_GIVEN_UP; /* by its own caller */

/* For programs, on their fibers. */
bool walk_chance(walk_actor *a, uint32_t percent);
uint32_t walk_up_to(walk_actor *a, uint32_t most);
/* Now and then everybody waits to be told to go on, so that others come between. */
YIELDS error walk_gate(walk_actor *a);
/* What is to be asked. */
walk_saying walk_say(walk_actor *a, walk_ask *k);
void walk_check_rows(const walk_ask *k, const pg_rows *rows, uint32_t count, uint32_t from);
YIELDS error walk_ask_one(walk_actor *a, pg_target on);
/* The same within 30 ms. */
YIELDS error walk_hurry(walk_actor *a, error (*fn)(void *arg), void *arg);
/* A stream of rows, of a walk_use, in a scope of its own: what is not closed is given up there. */
YIELDS error walk_use_stream(void *arg);
/* Listens for a while, of a walk_actor, in a scope of its own. */
YIELDS error walk_listen(void *arg);

/* Starts a free one with a program; false when all are at work. */
bool walk_actor_start(random_state *dice);
/* Lets one that waits at its gate go on. */
void walk_actor_go_on(walk_actor *a);
void walk_actor_cancel(walk_actor *a);
/* Who asked for it; NULL: nobody waits any more. */
const walk_ask *walk_ask_of(uint64_t tag);
/* Whether all that it waits for has come, so that it cannot wait any more. */
bool walk_actor_must_be_done(const walk_actor *a);
/* Bytes of rows that the client has for it, and that it has not taken. */
uint64_t walk_ask_kept(const walk_ask *k);
/* Whether somebody is so slow that the client need not read what a backend says. */
bool walk_holds_up(const walk_backend *b);

#endif
