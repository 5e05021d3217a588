/* A plain HTTP/1.1 client on a blocking socket, for tests: sends exactly the bytes it is given and
 * takes answers apart. And the server they go to: a program under test, started on a free port.
 * Every wait is bounded; what does not come in time fails the test. */
#ifndef TESTS_SUPPORT_HTTP_CLIENT_H
#define TESTS_SUPPORT_HTTP_CLIENT_H

#include "core/str.h"

#include <sys/types.h>

#define PEER_WAIT_MS 30000 /* for an answer, or a state: far longer than anything takes */

/* --- the server ------------------------------------------------------------------------------ */

typedef struct server_process {
    pid_t pid; /* 0: none; it leads a process group, so its workers go with it */
    int log_fd;
    uint16_t port;
} server_process;

/* Starts `program` with `environment` ("NAME=value"…, NULL at the end) added to the present one and
 * PORT=0, and waits until it serves; "NAME" alone is taken away. Dies with the calling process. */
void server_start(server_process *s, const char *program, const char *const *environment);
/* The same without waiting: `port` is not known. */
void server_launch(server_process *s, const char *program, const char *const *environment);
/* Waits until one that was launched serves. */
void server_await(server_process *s);
/* Starts it and waits for its end; returns as program_end. */
int server_run_to_end(const char *program, const char *const *environment, char *log, size_t bytes);
/* Starts any program: its path and its arguments, NULL at the end. */
void program_launch(server_process *s, const char *const *arguments,
                    const char *const *environment);
/* Waits for its end; returns the exit status, and in `log`, NUL-terminated, what it wrote to
 * standard output and standard error. */
int program_end(server_process *s, char *log, size_t bytes);
/* Waits for the end; returns the exit status, or 128 + the signal. */
int server_wait(server_process *s);
/* Kills whatever is left of it. Safe twice. */
void server_kill(server_process *s);
/* Whether the server has logged `text` so far. */
bool server_logged(const server_process *s, const char *text);
/* Prints the server's log: for the reader of a failed test. */
void server_print_log(const server_process *s);

/* --- connections ----------------------------------------------------------------------------- */

typedef struct peer peer;

/* What a peer's bytes go through instead of right to the socket: see tls_client.h. As recv and send
 * on a socket that does not block. */
typedef struct peer_layer {
    ssize_t (*receive)(peer *p, char *bytes, size_t len);
    ssize_t (*send)(peer *p, const char *bytes, size_t len);
    bool (*has_more)(const peer *p); /* without waiting for the socket */
    void (*end)(peer *p);
    void (*close)(peer *p);
} peer_layer;

struct peer {
    int fd;   /* -1: none */
    char *in; /* what came and was not yet taken */
    size_t len;
    size_t capacity;
    bool ended; /* the server's side has ended */
    bool reset;
    const peer_layer *layer; /* NULL: none */
    void *session;           /* the layer's */
};

typedef struct answer {
    int status; /* 0: the connection ended instead */
    str head;   /* status line and fields, as they came */
    str body;
    bool closes; /* "Connection: close" */
    char *bytes; /* that head and body are slices of */
} answer;

/* Connects to loopback; false when refused. */
bool peer_try_connect(peer *p, uint16_t port);
void peer_connect(peer *p, uint16_t port);
void peer_close(peer *p);
/* Closes by a reset. */
void peer_reset(peer *p);
/* Sends all of `bytes`; a server that has closed is not an error. */
void peer_send(peer *p, str bytes);
/* Formats and sends. */
void peer_sendf(peer *p, const char *format, ...) PRINTF_LIKE(2, 3);
/* Ends our side. */
void peer_end(peer *p);
/* Reads one answer; `to_head` when it answers a HEAD request. Free with answer_free. */
void peer_read(peer *p, bool to_head, answer *out);
/* Waits until the server has ended the connection; true when it sent nothing more before. */
bool peer_sees_end(peer *p);
void answer_free(answer *a);
/* The value of a header field, or STR_NONE. */
str answer_header(const answer *a, const char *name);

/* One request on a connection of its own; `path` of a GET. */
void http_get(uint16_t port, const char *path, answer *out);
/* The sum of a metric over its labels, from /metrics; 0 when it is not there. */
double http_metric(uint16_t port, const char *name);

/* Pauses the test, for polling loops. */
void test_pause_ms(long ms);
uint64_t test_clock_ms(void);

#endif
