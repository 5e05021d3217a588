/* A PostgreSQL server that plays a script: what it says is given byte by byte, so that it can say
 * what no real server would. It runs on a thread, with plain blocking sockets, on a loopback port.
 *
 *   static const mock_pg_step SCRIPT[] = {
 *       MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME),
 *       MOCK_EXPECT("PDS"), MOCK_SEND("1\0\0\0\4" …),
 *       MOCK_RESET,
 *   };
 *   mock_pg m;
 *   mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
 *   … connect to m.conninfo …
 *   assert_null(mock_pg_stop(&m));
 *
 * At the end of its script it waits for the client to leave. A connection that no MOCK_ACCEPT is
 * left for is refused. */
#ifndef TESTS_SUPPORT_MOCK_PG_H
#define TESTS_SUPPORT_MOCK_PG_H

#include "core/str.h"

#include <pthread.h>
#include <stdatomic.h>

typedef enum mock_pg_action {
    MOCK_DO_ACCEPT = 1,   /* the next connection, and its startup message; TLS is declined */
    MOCK_DO_ACCEPT_ASKED, /* the next connection, and its request for TLS, which is not answered */
    MOCK_DO_ACCEPT_RAW,   /* the next connection: nothing is read */
    MOCK_DO_TLS,          /* the server's side of the handshake; what follows is encrypted */
    MOCK_DO_STARTUP,      /* a message of startup's kind, with these bytes if there are any */
    MOCK_DO_EXPECT,       /* messages of these types, in this order */
    MOCK_DO_SEND,         /* these bytes */
    MOCK_DO_FLOOD,        /* `count` times these bytes */
    MOCK_DO_PAUSE,        /* nothing for `count` ms */
    MOCK_DO_LISTEN,       /* the same; that the client says something is a problem */
    MOCK_DO_SCRAM,        /* an authentication, with this fault */
    MOCK_DO_CLOSE,        /* end of the connection, after what was sent */
    MOCK_DO_RESET,        /* the same by a TCP reset */
    MOCK_DO_STALL,        /* silence until the client leaves */
    MOCK_DO_LEAVE,        /* leaves it open and turns to another connection; once */
    MOCK_DO_BACK,         /* closes that one: what follows is the first connection's again */
    MOCK_DO_TURN,         /* to the connection that was left, and leaves this one open */
} mock_pg_action;

/* What is wrong with the server's side of SCRAM-SHA-256. */
typedef enum mock_scram {
    MOCK_SCRAM_GOOD = 0,
    MOCK_SCRAM_NOTHING_ASKED,      /* AuthenticationOk instead of a challenge */
    MOCK_SCRAM_NOTHING_PROVED,     /* AuthenticationOk instead of a signature */
    MOCK_SCRAM_WRONG_SIGNATURE,    /* one bit of it */
    MOCK_SCRAM_SIGNATURE_OF_OTHER, /* one that another password gives */
    MOCK_SCRAM_FOREIGN_NONCE,
    MOCK_SCRAM_SAME_NONCE, /* nothing added to the client's */
    MOCK_SCRAM_NO_ITERATIONS,
    MOCK_SCRAM_TOO_MANY_ITERATIONS,
    MOCK_SCRAM_CHALLENGED_TWICE,
    MOCK_SCRAM_SIGNED_TWICE,
    MOCK_SCRAM_ERROR_ATTRIBUTE, /* "e=…" instead of a signature */
    MOCK_SCRAM_REFUSED,         /* ErrorResponse 28P01 */
    MOCK_SCRAM_ROW_BETWEEN,     /* a DataRow instead of a challenge */
    MOCK_SCRAM_PLUS,            /* both mechanisms; bound to the certificate */
    MOCK_SCRAM_PLUS_HIDDEN,     /* only the plain one: the client must say that it would bind */
} mock_scram;

typedef struct mock_pg_step {
    mock_pg_action action;
    str bytes;
    size_t count;
    mock_scram fault;
} mock_pg_step;

#define MOCK_ACCEPT              \
    {                            \
        .action = MOCK_DO_ACCEPT \
    }
#define MOCK_ACCEPT_ASKED              \
    {                                  \
        .action = MOCK_DO_ACCEPT_ASKED \
    }
#define MOCK_ACCEPT_RAW              \
    {                                \
        .action = MOCK_DO_ACCEPT_RAW \
    }
#define MOCK_BACK              \
    {                          \
        .action = MOCK_DO_BACK \
    }
#define MOCK_TURN              \
    {                          \
        .action = MOCK_DO_TURN \
    }
#define MOCK_TLS              \
    {                         \
        .action = MOCK_DO_TLS \
    }
#define MOCK_STARTUP              \
    {                             \
        .action = MOCK_DO_STARTUP \
    }
#define MOCK_STARTUP_OF(literal)                                                \
    {                                                                           \
        .action = MOCK_DO_STARTUP, .bytes = { "" literal, sizeof(literal) - 1 } \
    }
#define MOCK_EXPECT(types)                                                 \
    {                                                                      \
        .action = MOCK_DO_EXPECT, .bytes = { "" types, sizeof(types) - 1 } \
    }
#define MOCK_SEND(literal)                                                   \
    {                                                                        \
        .action = MOCK_DO_SEND, .bytes = { "" literal, sizeof(literal) - 1 } \
    }
#define MOCK_FLOOD(literal, times)                                                              \
    {                                                                                           \
        .action = MOCK_DO_FLOOD, .bytes = { "" literal, sizeof(literal) - 1 }, .count = (times) \
    }
#define MOCK_PAUSE(ms)                         \
    {                                          \
        .action = MOCK_DO_PAUSE, .count = (ms) \
    }
#define MOCK_LISTEN(ms)                         \
    {                                           \
        .action = MOCK_DO_LISTEN, .count = (ms) \
    }
#define MOCK_SCRAM(fault_)                         \
    {                                              \
        .action = MOCK_DO_SCRAM, .fault = (fault_) \
    }
#define MOCK_CLOSE              \
    {                           \
        .action = MOCK_DO_CLOSE \
    }
#define MOCK_RESET              \
    {                           \
        .action = MOCK_DO_RESET \
    }
#define MOCK_STALL              \
    {                           \
        .action = MOCK_DO_STALL \
    }

#define MOCK_LEAVE              \
    {                           \
        .action = MOCK_DO_LEAVE \
    }

/* Messages, as literals to be put together. */
#define MOCK_AUTH_OK "R\0\0\0\10\0\0\0\0"
#define MOCK_KEY     "K\0\0\0\14\0\0\0\1\0\0\0\2"
#define MOCK_UTF8    "S\0\0\0\31client_encoding\0UTF8\0"
#define MOCK_READY   "Z\0\0\0\5I"
#define MOCK_STARTED MOCK_UTF8 MOCK_KEY MOCK_READY /* behind AuthenticationOk */
#define MOCK_WELCOME MOCK_AUTH_OK MOCK_STARTED

typedef struct mock_pg_options {
    const mock_pg_step *steps;
    size_t step_count;
    bool slowly;             /* every byte in a segment of its own */
    bool noisy;              /* notices, parameters and notifications before every message */
    size_t cut_after;        /* ends the connection after so many bytes; 0: never */
    size_t flip_at;          /* changes that byte, counted from 1; 0: none */
    unsigned char flips;     /* the bits to change in it */
    uint32_t patience_ms;    /* of every wait for the client; 0: half a minute */
    const char *abstract;    /* a Unix socket's directory in the abstract namespace; NULL: TCP */
    uint32_t iterations;     /* of SCRAM; 0: few */
    const char *certificate; /* PEM file with its key, for MOCK_TLS */
    const char *alpn;        /* the protocol that it agrees on; NULL: none */
} mock_pg_options;

/* In the test's storage. */
typedef struct mock_pg {
    char conninfo[128]; /* where it is, with the password that MOCK_SCRAM knows */
    size_t sent;        /* bytes; read it after mock_pg_stop */
    mock_pg_options options;
    pthread_t thread;
    pthread_mutex_t lock; /* of closing the two */
    atomic_int listener;  /* -1: closed */
    atomic_int client;
    int left; /* by MOCK_DO_LEAVE; -1: none */
    struct ssl_st *left_ssl;
    atomic_bool stopping;
    size_t accepts_left;
    bool is_ready; /* a ReadyForQuery was sent */
    char problem[256];
    struct ssl_st *ssl;   /* of the client, or NULL */
    char server_name[64]; /* that it was told with TLS last; "" : none */
    char body[4096];      /* of the message expected last, NUL-terminated */
    size_t body_len;
} mock_pg;

/* Starts to listen and to play. */
void mock_pg_start(mock_pg *m, const mock_pg_options *options);
/* Ends connection and thread. Returns what kept the script from being played to its end, or NULL;
 * valid until the next start. */
const char *mock_pg_stop(mock_pg *m);

#endif
