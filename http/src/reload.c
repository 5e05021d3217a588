/* The inheritance, in text, from one program to its successor, which may be of another version:
 *
 *   HTTP_INHERITED="2 exec 4711 9 2 5=127.0.0.1:8080 6=127.0.0.1:8080 4712:0 4713:88123"
 *                   |  |    |   | |  sockets, by descriptor and address  workers, by pid, and until
 *                   |  |    |   | their number                           when (0: not told to
 * finish) |  |    |   the file of ticket keys (0: none) |  |    the supervisor |  "exec", or
 * "rehearse" version of this text
 *
 * A successor that is not sure of any part of it does not start. It cannot be one by accident: the
 * pid must be its own, or in a rehearsal its parent's, and each descriptor must be a listening
 * socket, or a file in memory, that was left open on purpose.
 *
 * Invariant: outside http_program_exec every one of them is close-on-exec. */
#include "reload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_BYTES_MAX  ((size_t)128 << 10) /* of a variable, in Linux */
#define SOCKETS_MAX     8192
#define OLD_WORKERS_MAX 4096

static error not_ours(const char *what)
{
    return error_set(&CONFIG_INVALID, "%s is not for this process: %s", HTTP_INHERITED, what);
}

static bool take_number(str *rest, char separator, uint64_t max, uint64_t *out)
{
    return str_to_uint64(str_cut(rest, separator), out) && *out <= max;
}

/* A listening stream socket that does not block, and that nobody has adopted yet. */
static bool is_listening(int fd)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof type;
    const int open_flags = fcntl(fd, F_GETFL), flags = fcntl(fd, F_GETFD);
    if (open_flags < 0 || !(open_flags & O_NONBLOCK) || flags < 0 || (flags & FD_CLOEXEC))
        return false;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

static error take_sockets(arena *a, str *rest, http_inheritance *out)
{
    uint64_t count, fd;
    if (!take_number(rest, ' ', SOCKETS_MAX, &count))
        return not_ours("number of sockets");
    out->sockets = ARENA_NEW_ARRAY(a, http_heir_socket, (size_t)count);
    for (; out->socket_count < count; out->socket_count++) {
        str one = str_cut(rest, ' ');
        if (!take_number(&one, '=', INT32_MAX, &fd) || one.len == 0 || fd <= STDERR_FILENO ||
            !is_listening((int)fd))
            return not_ours("a socket");
        if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
            return not_ours("a socket's flags");
        out->sockets[out->socket_count] = (http_heir_socket){ (int)fd, one };
    }
    return OK;
}

/* A file that was made with memfd_create: nothing else has seals. What is in it is for tickets.c.
 */
static error take_tickets(str *rest, http_inheritance *out)
{
    uint64_t fd;
    if (!take_number(rest, ' ', INT32_MAX, &fd))
        return not_ours("ticket keys");
    if (fd == 0)
        return OK;
    const int flags = fcntl((int)fd, F_GETFD);
    if (fd <= STDERR_FILENO || flags < 0 || (flags & FD_CLOEXEC) ||
        fcntl((int)fd, F_GET_SEALS) < 0 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return not_ours("the file of ticket keys");
    out->tickets_fd = (int)fd;
    return OK;
}

static bool is_child(pid_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static error take_workers(arena *a, str *rest, http_inheritance *out)
{
    out->workers = ARENA_NEW_ARRAY(a, http_old_worker, OLD_WORKERS_MAX);
    while (rest->ptr) {
        uint64_t pid, until;
        str one = str_cut(rest, ' ');
        if (!take_number(&one, ':', INT32_MAX, &pid) || !str_to_uint64(one, &until) ||
            out->worker_count == OLD_WORKERS_MAX)
            return not_ours("a worker");
        if (!out->rehearsal && !is_child((pid_t)pid))
            return not_ours("a worker that is no child");
        out->workers[out->worker_count++] = (http_old_worker){ (pid_t)pid, until };
    }
    return OK;
}

error http_inheritance_take(arena *a, http_inheritance *out)
{
    *out = (http_inheritance){ .tickets_fd = -1 };
    const char *given = getenv(HTTP_INHERITED);
    if (!given)
        return OK;
    str rest = str_copy(a, str_from_c(given));
    unsetenv(HTTP_INHERITED);
    uint64_t pid;
    if (!str_eq(str_cut(&rest, ' '), STR("2")))
        return not_ours("version");
    const str purpose = str_cut(&rest, ' ');
    out->rehearsal = str_eq(purpose, STR("rehearse"));
    if (!out->rehearsal && !str_eq(purpose, STR("exec")))
        return not_ours("purpose");
    if (!take_number(&rest, ' ', INT32_MAX, &pid) ||
        (pid_t)pid != (out->rehearsal ? getppid() : getpid()))
        return not_ours("pid");
    TRY(take_tickets(&rest, out));
    TRY(take_sockets(a, &rest, out));
    TRY(take_workers(a, &rest, out));
    out->given = true;
    return OK;
}

const char *http_inheritance_text(arena *a, bool rehearsal, pid_t supervisor,
                                  const http_listening *l, int tickets_fd,
                                  const http_old_worker *workers, uint32_t count)
{
    buf out;
    buf_init_arena(&out, a, TEXT_BYTES_MAX);
    buf_append_format(&out, "%s=2 %s %d %d %u", HTTP_INHERITED, rehearsal ? "rehearse" : "exec",
                      (int)supervisor, tickets_fd < 0 ? 0 : tickets_fd, l->socket_count);
    for (uint32_t i = 0; i < l->socket_count; i++) {
        const http_socket *s = &l->sockets[i];
        buf_append_format(&out, " %d=%.*s", s->fd, STR_ARG(l->addresses[s->address].text));
    }
    for (uint32_t i = 0; i < count; i++)
        buf_append_format(&out, " %d:%llu", (int)workers[i].pid,
                          (unsigned long long)workers[i].kill_at_ms);
    buf_append_char(&out, '\0');
    return out.failed ? NULL : out.data;
}

static void keep_over_exec(const http_listening *l, int tickets_fd, bool keep)
{
    if (tickets_fd >= 0)
        (void)fcntl(tickets_fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
    for (uint32_t i = 0; i < l->socket_count; i++)
        (void)fcntl(l->sockets[i].fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

void http_program_exec(const http_program *program, arena *a, const http_listening *l,
                       int tickets_fd, const char *inherited)
{
    size_t count = 0, kept = 0;
    while (program->environment[count])
        count++;
    const char **environment = ARENA_NEW_ARRAY(a, const char *, count + 2);
    for (size_t i = 0; i < count; i++) {
        if (!str_starts_with(str_from_c(program->environment[i]), STR(HTTP_INHERITED "=")))
            environment[kept++] = program->environment[i];
    }
    environment[kept] = inherited;
    keep_over_exec(l, tickets_fd, true);
    /* By its name and not as /proc/self/exe: that would be the old program for ever. */
    char *const *given = (char *const *)(uintptr_t)environment;
    const char *name = program->arguments[0];
    if (strchr(name, '/'))
        execve(name, program->arguments, given);
    else
        execvpe(name, program->arguments, given);
    const int why = errno;
    keep_over_exec(l, tickets_fd, false);
    errno = why;
}
