/* Reload: how one supervisor hands its sockets and its workers to the next, in the same process. */
#ifndef HTTP_SRC_RELOAD_H
#define HTTP_SRC_RELOAD_H

#include "listen.h"

#include <sys/types.h>

/* The variable that carries an inheritance. */
#define HTTP_INHERITED "HTTP_INHERITED"

typedef struct http_heir_socket {
    int fd;
    str text; /* of the address, as its configuration had it */
} http_heir_socket;

/* A worker of a former program. */
typedef struct http_old_worker {
    pid_t pid;           /* 0: gone */
    uint64_t kill_at_ms; /* it was told to finish until then; 0: it still accepts */
} http_old_worker;

typedef struct http_inheritance {
    bool given;
    bool rehearsal; /* only to find out whether the program would start */
    int tickets_fd; /* of the keys of TLS tickets; -1: none */
    http_heir_socket *sockets;
    uint32_t socket_count;
    http_old_worker *workers;
    uint32_t worker_count;
} http_inheritance;

/* How a program is started again. */
typedef struct http_program {
    char *const *arguments;
    char *const *environment; /* as the process was given it */
} http_program;

/* Reads HTTP_INHERITED and takes it out of the environment; every socket is checked and made
 * close-on-exec. Lives in `a`.
 *   fails  CONFIG_INVALID when it is not exactly what a predecessor in this process writes */
error http_inheritance_take(arena *a, http_inheritance *out);
/* "HTTP_INHERITED=…", NUL-terminated, in `a`. */
const char *http_inheritance_text(arena *a, bool rehearsal, pid_t supervisor,
                                  const http_listening *l, int tickets_fd,
                                  const http_old_worker *workers, uint32_t count);
/* Replaces the calling process by the program, with the sockets of `l` and `tickets_fd`, unless it
 * is -1, open in it. Returns only on failure, with errno set and everything as before. */
void http_program_exec(const http_program *program, arena *a, const http_listening *l,
                       int tickets_fd, const char *inherited);

#endif
