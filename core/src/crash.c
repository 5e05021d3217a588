/* Crash containment. The signal handler runs on an alternate stack and does two things: it notes
 * what happened in the loop's crash report, and it rewrites the interrupted context so that the
 * thread "returns" into fiber_switch_load with the loop's saved stack: as if the fiber had switched
 * back by itself. Everything else is done there, by fiber.c, on the loop's stack.
 *
 * Invariant: nothing async-signal-unsafe is called in the handler. */
#include "core/crash.h"

#include "crash_context.h"
#include "fiber_private.h"
#include "fiber_switch.h"
#include "stack.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ALTERNATE_STACK_BYTES 65536

static const int CRASH_SIGNALS[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGUSR1 };

/* Walks the frame-pointer chain inside the fiber's stack. */
static void collect_frames(crash_report *report, const stack *s, const void *pc, uintptr_t frame)
{
    report->frames[0] = pc;
    report->frame_count = 1;
    const uintptr_t low = (uintptr_t)s->low, top = (uintptr_t)s->top;
    while (report->frame_count < CRASH_FRAMES_MAX && frame >= low && frame + 16 <= top &&
           frame % sizeof(void *) == 0) {
        const uintptr_t *pair = (const uintptr_t *)frame;
        if (pair[1] == 0)
            break;
        report->frames[report->frame_count++] = (const void *)(pair[1] - 1); /* in the call */
        if (pair[0] <= frame)
            break;
        frame = pair[0];
    }
}

static void signaled(int signo, siginfo_t *info, void *context)
{
    fiber *f = worker_self.fiber;
    if (!f || f->loop->crashed || f->state != FIBER_RUNNING) {
        if (signo == SIGUSR1)
            return;                   /* the runaway has just given way */
        (void)signal(signo, SIG_DFL); /* not ours: happens again, with what the system does */
        if (signo == SIGABRT)
            (void)raise(signo);
        return;
    }
    loop *l = f->loop;
    l->crashed = 1;
    l->crash = (crash_report){
        .signo = signo,
        .address = signo == SIGSEGV || signo == SIGBUS ? info->si_addr : NULL,
        .fiber = f,
        .fiber_fn = f->fn,
        .fiber_arg = f->arg,
    };
    uintptr_t frame = crash_context_frame(context);
    if (signo == SIGABRT && worker_self.invariant_frame) {
        l->crash.invariant = worker_self.invariant; /* on the stack that is never used again */
        frame = worker_self.invariant_frame;
        worker_self.invariant_frame = 0;
    }
    collect_frames(&l->crash, f->stack, crash_context_pc(context), frame);
    crash_context_redirect(context, fiber_switch_load, l->context);
}

/* A thread that has one already (a sanitizer's, or from an earlier call) keeps it. */
static error alternate_stack(void)
{
    stack_t present;
    if (sigaltstack(NULL, &present) == 0 && !(present.ss_flags & SS_DISABLE))
        return OK;
    void *memory = mmap(NULL, ALTERNATE_STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return error_set_errno(&SYSTEM_FAILED, errno, "mmap of the signal stack");
    const stack_t alternate = { .ss_sp = memory, .ss_size = ALTERNATE_STACK_BYTES };
    if (sigaltstack(&alternate, NULL) < 0) {
        const int why = errno;
        munmap(memory, ALTERNATE_STACK_BYTES);
        return error_set_errno(&SYSTEM_FAILED, why, "sigaltstack");
    }
    return OK;
}

error crash_contain(loop *l, void (*on_crash)(const crash_report *report, void *arg), void *arg)
{
    TRY(alternate_stack());
    l->on_crash = on_crash;
    l->on_crash_arg = arg;
    struct sigaction action = { .sa_sigaction = signaled, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(CRASH_SIGNALS); i++) {
        if (sigaction(CRASH_SIGNALS[i], &action, NULL) < 0)
            return error_set_errno(&SYSTEM_FAILED, errno, "sigaction");
    }
    return OK;
}

void crash_describe_frame(const void *frame, char *out, size_t bytes)
{
    Dl_info info;
    if (dladdr(frame, &info) && info.dli_fname) {
        const uintptr_t offset = (uintptr_t)frame - (uintptr_t)info.dli_fbase;
        if (snprintf(out, bytes, "%s+0x%lx (%s)", info.dli_fname, (unsigned long)offset,
                     info.dli_sname ? info.dli_sname : "?") >= 0)
            return;
    }
    if (snprintf(out, bytes, "%p", frame) < 0)
        out[0] = '\0';
}
