"""Fibers for gdb: `source tools/brio_gdb.py`, in a live process or on a core file.

    brio fibers            every fiber of every loop: name, what it waits for, its request, backtrace
    brio fiber NAME        makes bt, up, frame and info locals show that fiber (an address does too)
    brio fiber             back to the thread's own frames

A parked fiber's registers stand on its stack, where fiber_switch left them. An unwinder lets gdb go on
from there instead of from the frame that runs: nothing in the process is changed. While a fiber is shown,
frame 0 is still the thread's own and the fiber's frames begin at 1. Running the program ends it.

Needs debug information about types: any build but release.
"""

import gdb
from gdb.unwinder import Unwinder, register_unwinder

# What fiber_switch_<cpu>.S saves, from the saved stack pointer up: registers at offsets, and where the
# stack pointer is after the return.
SAVED = {
    "x86_64": ({"r15": 0, "r14": 8, "r13": 16, "r12": 24, "rbx": 32, "rbp": 40, "rip": 48}, "rsp", 56),
    "aarch64": (
        {**{"x%d" % (19 + i): 8 * i for i in range(12)}, "pc": 88},
        "sp",
        160,
    ),
}


def cpu():
    """The key of SAVED for the program, by gdb's name of its architecture."""
    name = gdb.selected_inferior().architecture().name()
    for key, known in (("x86_64", "i386:x86-64"), ("aarch64", "aarch64")):
        if name.startswith(known):
            return key
    raise gdb.GdbError("brio: no fiber switch for " + name)


def type_of(name):
    try:
        return gdb.lookup_type(name)
    except gdb.error as unknown:
        raise gdb.GdbError("brio: no debug information about %s: is this a dev build?" % name) from unknown


def elements(head, type_name, member):
    """The elements of an intrusive list (core/list.h)."""
    element = type_of(type_name)
    offset = next(f.bitpos // 8 for f in element.fields() if f.name == member)
    node = head["head"]["next"]
    while node != head["head"].address:
        yield gdb.Value(int(node) - offset).cast(element.pointer()).dereference()
        node = node["next"]


def loops():
    """The loops of all threads, each with the fiber that it runs."""
    selected = gdb.selected_thread()
    if selected is None:
        raise gdb.GdbError("brio: no process")
    found = []
    try:
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            worker = gdb.parse_and_eval("worker_self")
            if worker["loop"]:
                found.append((worker["loop"].dereference(), int(worker["fiber"])))
    except gdb.error as failed:
        raise gdb.GdbError("brio: cannot read worker_self: %s" % failed) from failed
    finally:
        selected.switch()
    return found


def fibers():
    """(fiber, whether it runs) of all that have not ended."""
    return [
        (fiber, int(fiber.address) == running)
        for loop, running in loops()
        for fiber in elements(loop["fibers"], "struct fiber", "sibling")
    ]


def slice_text(value):
    """A str's bytes as text; a request's may be any."""
    return value["ptr"].string("latin-1", length=int(value["len"])) if value["ptr"] else ""


def run_of_requests():
    """Where the function of the HTTP engine's fibers is; -1 in a program without it."""
    try:
        return int(gdb.parse_and_eval("(unsigned long)&http_request_run"))
    except gdb.error:
        return -1


def request_of(fiber):
    """What a fiber of the HTTP engine works for: its route, request line and id; else nothing."""
    if int(fiber["fn"]) != run_of_requests():
        return ""
    request = fiber["arg"].cast(type_of("struct http_request").pointer())
    route = request["match"]["route"]
    return ", %s (%s %s, id %s)" % (
        route["pattern"].string() if route else "no route",
        slice_text(request["head"]["method_name"]),
        slice_text(request["head"]["target"]),
        request["id"].string("latin-1", length=16),
    )


def describe(fiber, runs):
    if runs:
        what = "running"
    elif str(fiber["state"]) == "FIBER_PARKED":
        what = "waits for " + fiber["waits_for"].string()
    else:
        what = "ready"
    return "fiber 0x%x %s: %s%s" % (int(fiber.address), fiber["name"].string(), what, request_of(fiber))


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class FiberUnwinder(Unwinder):
    """Puts a fiber's frames behind the thread's innermost one."""

    def __init__(self):
        super().__init__("brio fibers")
        self.context = None  # the shown fiber's saved stack pointer
        self.innermost = None  # stack pointer and program counter of the thread's frame 0

    def show(self, context):
        """None: the thread's own frames again."""
        self.context = None
        gdb.invalidate_cached_frames()
        if context is None:
            return
        frame = gdb.newest_frame()
        self.innermost = (int(frame.read_register("sp")), int(frame.read_register("pc")))
        self.context = context
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.context is None:
            return None
        sp, pc = pending.read_register("sp"), pending.read_register("pc")
        if (int(sp), int(pc)) != self.innermost:
            return None
        registers, stack_pointer, frame_bytes = SAVED[cpu()]
        # As if frame 0 stood on the fiber's stack too: gdb ends a backtrace that seems to go down.
        here = gdb.Value(self.context).cast(sp.type)
        info = pending.create_unwind_info(FrameId(here, pc))
        word = gdb.lookup_type("unsigned long").pointer()
        for register, offset in registers.items():
            saved = gdb.Value(self.context + offset).cast(word).dereference()
            info.add_saved_register(register, saved.cast(pending.read_register(register).type))
        above = gdb.Value(self.context + frame_bytes)
        info.add_saved_register(stack_pointer, above.cast(pending.read_register(stack_pointer).type))
        return info


class HideInnermost:
    """A frame filter: bt leaves out the thread's own frame while a fiber is shown."""

    def __init__(self):
        self.name = "brio fibers"
        self.priority = 100
        self.enabled = True
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        if UNWINDER.context is None:
            return frames
        return (f for f in frames if f.inferior_frame().level() > 0)


class Brio(gdb.Command):
    """Brio's fibers: brio fibers, brio fiber NAME."""

    def __init__(self):
        super().__init__("brio", gdb.COMMAND_STACK, prefix=True)


class Fibers(gdb.Command):
    """Prints every fiber: its name, what it waits for, and its backtrace."""

    def __init__(self):
        super().__init__("brio fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        shown = UNWINDER.context
        every = fibers()
        try:
            for fiber, runs in every:
                print(describe(fiber, runs))
                if not runs:
                    UNWINDER.show(int(fiber["context"]))
                    gdb.execute("backtrace")
        finally:
            UNWINDER.show(shown)
        print("%d fibers" % len(every))


class Fiber(gdb.Command):
    """Shows the frames of the fiber with that name or address; without one, the thread's own."""

    def __init__(self):
        super().__init__("brio fiber", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        UNWINDER.show(None)
        if not argument:
            return
        for fiber, runs in fibers():
            if argument in (fiber["name"].string(), hex(int(fiber.address))):
                print(describe(fiber, runs))
                if not runs:
                    UNWINDER.show(int(fiber["context"]))
                    gdb.execute("frame 1")
                return
        raise gdb.GdbError("brio: there is no fiber " + argument)


UNWINDER = FiberUnwinder()
register_unwinder(None, UNWINDER, replace=True)
HideInnermost()
Brio()
Fibers()
Fiber()
gdb.events.cont.connect(lambda event: UNWINDER.show(None))
