/* Listeners: accept everything that waits, hand each descriptor on. When that cannot go on, because
 * descriptors or memory have run out or the socket is broken, the listener lets go of the socket
 * for ACCEPT_PAUSE_MS: with the socket watched, the loop would spin on a readiness that nobody can
 * use. */
#include "backend.h"

#include "core/fault.h"
#include "core/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_PAUSE_MS 100
#define ACCEPTS_MAX     64 /* in one go: others want their turn too */

struct listener {
    watch watch;
    loop *loop;
    void (*accepted)(int fd, void *arg);
    void *arg;
    timer pause;
    bool stopped; /* by its own callback */
    bool accepting;
};

static void accept_again(timer *t)
{
    listener *l = CONTAINER_OF(t, listener, pause);
    const error e = l->loop->backend->watch(l->loop, &l->watch);
    if (e.kind)
        loop_timer_arm(l->loop, &l->pause, ACCEPT_PAUSE_MS);
}

static void accept_pause(listener *l)
{
    l->loop->backend->unwatch(l->loop, &l->watch);
    loop_timer_arm(l->loop, &l->pause, ACCEPT_PAUSE_MS);
}

static int accept_one(listener *l)
{
    if (fault_point("listener.accept")) {
        errno = EMFILE;
        return -1;
    }
    return accept4(l->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* Whether it was that one connection's, or one call's, mishap: the next may do better. */
static bool passes(int accept_errno)
{
    switch (accept_errno) {
    case EINTR:
    case ECONNABORTED:
    case EPERM: /* a firewall's */
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
        return true;
    default:
        return false;
    }
}

static void accept_ready(watch *w)
{
    listener *l = w->arg;
    l->accepting = true;
    for (int i = 0; i < ACCEPTS_MAX && !l->stopped; i++) {
        const int fd = accept_one(l);
        if (fd >= 0) {
            l->accepted(fd, l->arg);
            continue;
        }
        if (passes(errno))
            continue;
        if (errno != EAGAIN)
            accept_pause(l);
        break;
    }
    l->accepting = false;
    if (l->stopped)
        free(l);
}

error listener_start(loop *l, int fd, void (*accepted)(int fd, void *arg), void *arg,
                     listener **out)
{
    listener *new = calloc(1, sizeof *new);
    if (!new)
        return error_set(&OUT_OF_MEMORY, "no memory for a listener");
    new->watch = (watch){ .readable = accept_ready, .arg = new, .fd = fd };
    new->loop = l;
    new->accepted = accepted;
    new->arg = arg;
    new->pause.fire = accept_again;
    const error e = l->backend->watch(l, &new->watch);
    if (e.kind) {
        free(new);
        return e;
    }
    *out = new;
    return OK;
}

void listener_stop(listener **owner)
{
    listener *l = *owner;
    *owner = NULL;
    if (!l)
        return;
    if (timer_armed(&l->pause))
        loop_timer_cancel(l->loop, &l->pause);
    else
        l->loop->backend->unwatch(l->loop, &l->watch);
    l->stopped = true;
    if (!l->accepting)
        free(l);
}
