/* The test client. Sockets block, with a poll before each read, so that a server that hangs fails
 * the test instead of hanging it. The server under test leads a process group of its own and is
 * told to die with us: no test leaves processes behind, however it ends.
 *
 * Invariant: whatever cannot be done ends the process with a message; callers check answers only.
 */
#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOG_BYTES_MAX ((size_t)1 << 20)
#define ANSWER_MAX    ((size_t)128 << 20)

NORETURN static void give_up(const char *what)
{
    (void)fprintf(stderr, "test client: %s: %s\n", what, strerror(errno));
    exit(1);
}

uint64_t test_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void test_pause_ms(long ms)
{
    const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&pause, NULL);
}

/* --- the server ------------------------------------------------------------------------------ */

static char *read_log(const server_process *s)
{
    char *text = malloc(LOG_BYTES_MAX + 1);
    if (!text)
        give_up("memory for the log");
    const ssize_t got = pread(s->log_fd, text, LOG_BYTES_MAX, 0);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

bool server_logged(const server_process *s, const char *text)
{
    char *log = read_log(s);
    const bool found = strstr(log, text) != NULL;
    free(log);
    return found;
}

void server_print_log(const server_process *s)
{
    char *log = read_log(s);
    (void)fprintf(stderr, "--- the server's log:\n%s---\n", log);
    free(log);
}

static void change_environment(const char *const *changes)
{
    setenv("PORT", "0", 1);
    for (; changes && *changes; changes++) {
        char name[64];
        const size_t len = strcspn(*changes, "=");
        (void)snprintf(name, sizeof name, "%.*s", (int)len, *changes);
        if ((*changes)[len] == '=')
            setenv(name, *changes + len + 1, 1);
        else
            unsetenv(name);
    }
}

NORETURN static void become_program(int log_fd, const char *const *arguments,
                                    const char *const *environment, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    change_environment(environment);
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

void program_launch(server_process *s, const char *const *arguments, const char *const *environment)
{
    if (!arguments[0])
        give_up("the program under test is not named in the environment");
    *s =
        (server_process){ .log_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC | O_APPEND, 0600) };
    if (s->log_fd < 0)
        give_up("temporary file for the log");
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* workers that lose their supervisor become ours to reap */
    const pid_t parent = getpid();
    s->pid = fork();
    if (s->pid < 0)
        give_up("fork");
    if (s->pid == 0)
        become_program(s->log_fd, arguments, environment, parent);
    setpgid(s->pid, s->pid);
}

void server_launch(server_process *s, const char *program, const char *const *environment)
{
    program_launch(s, (const char *const[]){ program, NULL }, environment);
}

/* The port in "address":"127.0.0.1:4711", once that was logged. */
static uint16_t logged_port(const server_process *s)
{
    char *log = read_log(s);
    const char *at = strstr(log, "127.0.0.1:");
    const uint16_t port = at ? (uint16_t)strtoul(at + 10, NULL, 10) : 0;
    free(log);
    return port;
}

void server_start(server_process *s, const char *program, const char *const *environment)
{
    server_launch(s, program, environment);
    server_await(s);
}

void server_await(server_process *s)
{
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; test_clock_ms() < end_ms;) {
        s->port = logged_port(s);
        if (s->port) {
            answer a;
            http_get(s->port, "/health", &a);
            const bool serves = a.status == 200;
            answer_free(&a);
            if (serves)
                return;
        }
        if (waitpid(s->pid, NULL, WNOHANG) != 0)
            break;
        test_pause_ms(5);
    }
    server_print_log(s);
    errno = 0;
    give_up("the server did not start");
}

int program_end(server_process *s, char *log, size_t bytes)
{
    const int status = server_wait(s);
    char *text = read_log(s);
    (void)snprintf(log, bytes, "%s", text);
    free(text);
    server_kill(s);
    return status;
}

int server_run_to_end(const char *program, const char *const *environment, char *log, size_t bytes)
{
    server_process s;
    server_launch(&s, program, environment);
    return program_end(&s, log, bytes);
}

int server_wait(server_process *s)
{
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; test_clock_ms() < end_ms;) {
        int status;
        const pid_t ended = waitpid(s->pid, &status, WNOHANG);
        if (ended == s->pid)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (ended < 0)
            give_up("waiting for the server");
        test_pause_ms(5);
    }
    server_print_log(s);
    errno = 0;
    give_up("the server did not end");
}

void server_kill(server_process *s)
{
    if (s->pid <= 0)
        return;
    kill(-s->pid, SIGKILL);
    while (waitpid(-s->pid, NULL, 0) > 0)
        ;
    s->pid = 0;
    close(s->log_fd);
}

/* --- connections ----------------------------------------------------------------------------- */

bool peer_try_connect(peer *p, uint16_t port)
{
    *p = (peer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    if (p->fd < 0)
        give_up("socket");
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(p->fd, (struct sockaddr *)(void *)&to, sizeof to) < 0) {
        peer_close(p);
        return false;
    }
    const int on = 1;
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return true;
}

void peer_connect(peer *p, uint16_t port)
{
    if (!peer_try_connect(p, port))
        give_up("connect");
}

void peer_close(peer *p)
{
    if (p->layer)
        p->layer->close(p);
    if (p->fd >= 0)
        close(p->fd);
    free(p->in);
    *p = (peer){ .fd = -1 };
}

void peer_reset(peer *p)
{
    const struct linger at_once = { .l_onoff = 1 };
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    peer_close(p);
}

static bool take_some(peer *p, int timeout_ms)
{
    struct pollfd waits = { .fd = p->fd, .events = POLLIN };
    const bool has_more = p->layer && p->layer->has_more(p);
    if (p->ended || (!has_more && poll(&waits, 1, timeout_ms) != 1))
        return false;
    if (p->capacity - p->len < 65536) {
        p->capacity = p->capacity * 2 + 131072;
        p->in = p->capacity > ANSWER_MAX ? NULL : realloc(p->in, p->capacity);
        if (!p->in)
            give_up("memory for an answer");
    }
    char *to = p->in + p->len;
    const size_t room = p->capacity - p->len;
    const ssize_t got =
        p->layer ? p->layer->receive(p, to, room) : recv(p->fd, to, room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    p->ended = got <= 0;
    p->reset = got < 0;
    p->len += got > 0 ? (size_t)got : 0;
    return true;
}

void peer_send(peer *p, str bytes)
{
    while (bytes.len > 0) {
        const ssize_t sent = p->layer
                                 ? p->layer->send(p, bytes.ptr, bytes.len)
                                 : send(p->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            bytes = str_slice(bytes, (size_t)sent, bytes.len);
            continue;
        }
        if (errno != EAGAIN)
            return;
        struct pollfd waits = { .fd = p->fd, .events = POLLOUT };
        if (poll(&waits, 1, PEER_WAIT_MS) != 1)
            give_up("the server takes nothing");
    }
}

void peer_sendf(peer *p, const char *format, ...)
{
    char text[16384];
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text)
        give_up("the request is too long");
    peer_send(p, (str){ text, (size_t)len });
}

void peer_end(peer *p)
{
    if (p->layer)
        p->layer->end(p);
    shutdown(p->fd, SHUT_WR);
}

/* Waits until at least `wanted` bytes are there; false when the connection ends before. */
static bool wait_for(peer *p, size_t wanted)
{
    while (p->len < wanted && !p->ended) {
        if (!take_some(p, PEER_WAIT_MS))
            give_up("no answer in time");
    }
    return p->len >= wanted;
}

static bool wait_for_head(peer *p, size_t *bytes)
{
    for (;;) {
        const char *end = p->len ? memmem(p->in, p->len, "\r\n\r\n", 4) : NULL;
        if (end) {
            *bytes = (size_t)(end - p->in) + 4;
            return true;
        }
        if (!wait_for(p, p->len + 1))
            return false;
    }
}

str answer_header(const answer *a, const char *name)
{
    str rest = a->head;
    str_cut(&rest, '\n');
    while (rest.ptr) {
        str value = str_cut(&rest, '\n');
        const str key = str_cut(&value, ':');
        if (str_eq_nocase(key, str_from_c(name)) && value.ptr)
            return str_trim(value, STR(" \r"));
    }
    return STR_NONE;
}

/* Takes the first `bytes` of the input away. */
static void drop(peer *p, size_t bytes)
{
    p->len -= bytes;
    memmove(p->in, p->in + bytes, p->len);
}

/* Undoes the chunks that stand in the input behind the head: their data moves together.
 *   returns false when they end too early */
static bool unchunk(peer *p, size_t head_bytes, size_t *body_bytes)
{
    *body_bytes = 0;
    for (;;) {
        const size_t at = head_bytes + *body_bytes;
        const char *lf;
        while (!(lf = memchr(p->in + at, '\n', p->len - at))) {
            if (!wait_for(p, p->len + 1))
                return false;
        }
        char *end;
        const size_t size = strtoul(p->in + at, &end, 16);
        if (end == p->in + at || strncmp(end, "\r\n", 2) != 0)
            give_up("a malformed chunk size in an answer");
        const size_t line = (size_t)(lf + 1 - (p->in + at));
        if (!wait_for(p, at + line + size + 2))
            return false;
        if (strncmp(p->in + at + line + size, "\r\n", 2) != 0)
            give_up("a chunk in an answer does not end");
        memmove(p->in + at, p->in + at + line, p->len - at - line);
        p->len -= line;
        memmove(p->in + at + size, p->in + at + size + 2, p->len - at - size - 2);
        p->len -= 2;
        *body_bytes += size;
        if (size == 0)
            return true;
    }
}

/* How long the body behind the head is; false when it is broken off. */
static bool wait_for_body(peer *p, const answer *a, size_t head_bytes, size_t *body_bytes)
{
    uint64_t announced = 0;
    const str length = answer_header(a, "content-length");
    if (str_eq_nocase(answer_header(a, "transfer-encoding"), STR("chunked")))
        return unchunk(p, head_bytes, body_bytes);
    if (!length.ptr) { /* until the end of the connection */
        while (wait_for(p, p->len + 1))
            ;
        *body_bytes = p->len - head_bytes;
        return !p->reset;
    }
    if (!str_to_uint64(length, &announced))
        give_up("bad Content-Length in an answer");
    *body_bytes = (size_t)announced;
    return wait_for(p, head_bytes + *body_bytes);
}

void peer_read(peer *p, bool to_head, answer *out)
{
    *out = (answer){ 0 };
    size_t head_bytes, body_bytes = 0;
    if (!wait_for_head(p, &head_bytes))
        return;
    out->head = (str){ p->in, head_bytes };
    const int status = (int)strtol(p->in + strcspn(p->in, " "), NULL, 10);
    const bool has_body = !to_head && status >= 200 && status != 204 && status != 304;
    str head_copy = { strndup(p->in, head_bytes), head_bytes }; /* the input moves meanwhile */
    if (!head_copy.ptr)
        give_up("memory for an answer");
    out->head = head_copy;
    const bool whole = !has_body || wait_for_body(p, out, head_bytes, &body_bytes);
    out->head = STR_NONE;
    free((char *)head_copy.ptr);
    if (!whole)
        return; /* broken off: no answer */
    out->bytes = malloc(head_bytes + body_bytes + 1);
    if (!out->bytes)
        give_up("memory for an answer");
    memcpy(out->bytes, p->in, head_bytes + body_bytes);
    out->bytes[head_bytes + body_bytes] = '\0';
    drop(p, head_bytes + body_bytes);
    out->head = (str){ out->bytes, head_bytes };
    out->body = (str){ out->bytes + head_bytes, body_bytes };
    out->status = status;
    out->closes = str_eq_nocase(answer_header(out, "connection"), STR("close"));
}

bool peer_sees_end(peer *p)
{
    return !wait_for(p, p->len + 1) && p->len == 0;
}

void answer_free(answer *a)
{
    free(a->bytes);
    *a = (answer){ 0 };
}

void http_get(uint16_t port, const char *path, answer *out)
{
    peer p;
    *out = (answer){ 0 };
    if (!peer_try_connect(&p, port))
        return;
    peer_sendf(&p, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    peer_read(&p, false, out);
    peer_close(&p);
}

double http_metric(uint16_t port, const char *name)
{
    double sum = 0;
    answer a;
    http_get(port, "/metrics", &a);
    str rest = a.body;
    while (rest.ptr) {
        const str line = str_cut(&rest, '\n');
        if (!str_starts_with(line, str_from_c(name)))
            continue;
        const char next = line.len > strlen(name) ? line.ptr[strlen(name)] : '\0';
        const char *value = memrchr(line.ptr, ' ', line.len);
        if ((next == ' ' || next == '{') && value)
            sum += strtod(value + 1, NULL);
    }
    answer_free(&a);
    return sum;
}
