"""Threads: `ps`, `bt-task`, `task`, and the backtrace of one that does not run."""

import gdb
import gdb.unwinder
from gdb.FrameDecorator import FrameDecorator

from .values import Command, fields, guarded, is_structure, number, numbered, once, option, per_cpu, shared, static, text

# kernel/src/sched/thread.rs: the parking token, and bits of `flags`.
PARKED = 2
EXITED, INTERRUPTIBLE, IDLE, STOPPED = 1, 2, 4, 8


class Thread:
    """A kernel/src/sched/thread.rs Thread."""

    def __init__(self, value):
        self.value = value
        self.id = number(value["id"])
        self.name = text(guarded(value["name"]))
        self.cpu = number(value["cpu"])
        self.user = option(value["user"])
        self.tid = number(self.user["tid"]) if self.user is not None else 0
        self.pid = number(shared(self.user["process"])["pid"]) if self.user is not None else 0

    def runs(self):
        """Whether a CPU is on its stack."""
        return bool(number(self.value["on_cpu"]))

    def state(self):
        """The letter that /proc/PID/stat shows."""
        flags = number(self.value["flags"])
        if flags & EXITED:
            return "Z"
        if flags & IDLE:
            return "I"
        if number(self.value["parking"]) != PARKED:
            return "R"
        if flags & STOPPED:
            return "T"
        return "S" if flags & INTERRUPTIBLE else "D"

    def waits_for(self):
        """What it waits for, and the id of the thread that holds it (0: nobody)."""
        waiting = option(guarded(self.value["waiting"]))
        if waiting is None:
            return "", 0
        holder = option(waiting["holder"])
        if holder is not None and is_structure(holder):
            holder = holder["thread"]
        return text(waiting["what"]), 0 if holder is None else number(holder)

    def registers(self):
        """The registers that it was left with, by name: what `switch_stacks` (machine/src/task.rs) pushed."""
        stack = number(shared(self.value["task"])["stack_pointer"])
        saved = gdb.lookup_type("machine::task::Saved")
        frame = gdb.Value(stack).cast(saved.pointer()).dereference()
        names = ("r15", "r14", "r13", "r12", "rbp", "rbx")
        registers = {name: number(frame["registers"][index]) for index, name in enumerate(names)}
        registers["rip"] = number(frame["rip"])
        # Behind the return address that `ret` takes.
        registers["rsp"] = int(frame["rip"].address) + frame["rip"].type.sizeof
        return registers


def cpus():
    """The scheduler's data of each CPU that runs."""
    data = once(static("kernel::sched::cpu::CPUS"))
    if data is None:
        raise gdb.GdbError("there are no threads yet: the scheduler has not started")
    return per_cpu(data)


def threads():
    """All threads, in order of their ids."""
    cpus()  # says so if there are none yet
    listed = (shared(weak) for _, weak in numbered(guarded(static("kernel::sched::watch::THREADS"))))
    return sorted((Thread(thread) for thread in listed if thread is not None), key=lambda thread: thread.id)


def find(name):
    """A thread by the text that names it: a thread id as programs see it, #ID, or its name (of several threads one that
    runs, if there is one)."""
    everyone = threads()
    if name.startswith("#"):
        chosen = [thread for thread in everyone if str(thread.id) == name[1:]]
    elif name.isdigit():
        chosen = [thread for thread in everyone if thread.tid == int(name) and thread.tid]
    else:
        chosen = sorted((thread for thread in everyone if thread.name == name), key=lambda thread: not thread.runs())
    if not chosen:
        raise gdb.GdbError(f"no thread {name}: say a thread id, #ID for any thread's first column of `ps`, or a name")
    return chosen[0]


def current():
    """The thread that the selected CPU runs."""
    ordered = sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.num)
    place = ordered.index(gdb.selected_thread())
    everyone = cpus()
    if place >= len(everyone):
        raise gdb.GdbError("that CPU does not run yet")
    holder = option(guarded(everyone[place]["current"]))
    if holder is None:
        raise gdb.GdbError("that CPU runs no thread yet")
    return Thread(shared(holder))


class Switched(gdb.unwinder.Unwinder):
    """Says that the innermost frame was called by a thread that does not run, so that all frames above it are that
    thread's, found by the debug information as usual. Works on dumps too, where no register can be set."""

    def __init__(self):
        super().__init__("rust-os-switched-thread")
        self.registers = None
        self.live = None

    def show(self, registers):
        """Shows a thread from now on; None: what runs."""
        self.registers = None
        gdb.invalidate_cached_frames()
        if registers is not None:
            self.live = int(gdb.newest_frame().read_register("rsp"))
            self.registers = registers
            gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.registers is None or int(pending.read_register("rsp")) != self.live:
            return None
        kind = gdb.lookup_type("u64")
        # On the thread's stack, below its frames: GDB wants the callers' frames above those that they called.
        frame = FrameId(gdb.Value(self.registers["rsp"] - 8).cast(kind), pending.read_register("rip").cast(kind))
        information = pending.create_unwind_info(frame)
        for name, value in self.registers.items():
            information.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return information


class FrameId:
    """What tells a frame from others."""

    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


SWITCHED = Switched()


def first_frame():
    """The innermost frame of the thread that is shown: behind that of the CPU, with what is inlined there."""
    frame = gdb.newest_frame()
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    return frame.older()


def parameter(symbol, frame):
    """An argument of a function, if it is short."""
    try:
        value = symbol.value(frame)
        if is_structure(value) and fields(value):
            return f"{symbol.name}=..."
        return f"{symbol.name}={value.format_string(symbols=False)}"
    except gdb.error:
        return f"{symbol.name}=?"


def describe(frame):
    """A line about a frame, as `backtrace` has it."""
    decorated = FrameDecorator(frame)
    arguments = ", ".join(parameter(each.symbol(), frame) for each in decorated.frame_args() or ())
    place = frame.find_sal()
    where = f" at {place.symtab.filename}:{place.line}" if place.symtab else ""
    return f"{frame.pc():#018x} in {frame.name() or '??'} ({arguments}){where}"


def print_frames(frame):
    """Prints a frame and all that called it."""
    number_ = 0
    while frame is not None and frame.is_valid() and frame.pc() != 0:
        print(f"#{number_:<3} {describe(frame)}")
        frame = frame.older()
        number_ += 1


def print_backtrace(thread):
    """Prints where a thread is."""
    if thread.runs():
        ordered = sorted(gdb.selected_inferior().threads(), key=lambda each: each.num)
        before = gdb.selected_thread()
        ordered[min(thread.cpu, len(ordered) - 1)].switch()
        try:
            print_frames(gdb.newest_frame())
        finally:
            before.switch()
        return
    SWITCHED.show(thread.registers())
    try:
        print_frames(first_frame())
    finally:
        SWITCHED.show(None)


def title(thread):
    """A thread in a few words."""
    whose = f", thread {thread.tid} of process {thread.pid}" if thread.tid else ""
    what, holder = thread.waits_for()
    waits = f", waits for {what}" if what else ""
    held = f", held by thread #{holder}" if holder else ""
    return f'#{thread.id} "{thread.name}"{whose}, {thread.state()} on CPU {thread.cpu}{waits}{held}'


class Ps(Command):
    """List all threads: ps [WORD], only those whose name has the word in it.

    Columns: the kernel's id, process and thread id (none: a thread of the kernel), state as in ps(1) (an asterisk: a
    CPU runs it), CPU, name, and what it waits for."""

    def __init__(self):
        super().__init__("ps", gdb.COMMAND_STATUS, gdb.COMPLETE_NONE)

    def run(self, argument, from_tty):
        print(f"{'ID':>6} {'PID':>5} {'TID':>5} S  CPU NAME             WAITS FOR")
        for thread in threads():
            if argument not in thread.name:
                continue
            what, holder = thread.waits_for()
            held = f" (held by #{holder})" if holder else ""
            ids = f"{thread.pid or '':>5} {thread.tid or '':>5}"
            runs = "*" if thread.runs() else " "
            line = f"{'#' + str(thread.id):>6} {ids} {thread.state()}{runs} {thread.cpu:>3} {thread.name:<16} {what}{held}"
            print(line.rstrip())


class BtTask(Command):
    """Show where a thread is in the kernel: bt-task TID, bt-task #ID, bt-task NAME, or bt-task all."""

    def __init__(self):
        super().__init__("bt-task", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def run(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("usage: bt-task TID, #ID, NAME, or all (see ps)")
        chosen = threads() if argument == "all" else [find(argument)]
        for thread in chosen:
            print(title(thread))
            print_backtrace(thread)


class Task(Command):
    """Look at a thread that does not run as if it did: task TID, #ID or NAME; task off.

    Until `task off`, or until the system goes on, `bt`, `up`, `info locals` and so on are about that thread; frame 0 is
    where the selected CPU really is."""

    def __init__(self):
        super().__init__("task", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def run(self, argument, from_tty):
        if argument in ("", "off"):
            SWITCHED.show(None)
            return
        thread = find(argument)
        if thread.runs():
            raise gdb.GdbError(f"it runs: say `thread {thread.cpu + 1}`")
        SWITCHED.show(thread.registers())
        first_frame().select()
        print(title(thread))
        print(describe(gdb.selected_frame()))


class CurrentThread(gdb.Function):
    """$current(): the kernel's Thread that the selected CPU runs."""

    def __init__(self):
        super().__init__("current")

    def invoke(self):
        return current().value


class Pid(gdb.Function):
    """$pid(): the id of the process that the selected CPU runs, 0 if it is a thread of the kernel."""

    def __init__(self):
        super().__init__("pid")

    def invoke(self):
        return current().pid


def register(objfile):
    """Makes the commands known."""
    gdb.unwinder.register_unwinder(objfile, SWITCHED, replace=True)
    gdb.events.cont.connect(forget)
    for command in (Ps, BtTask, Task, CurrentThread, Pid):
        command()


def forget(event):
    """The system goes on: what its threads were left with is no longer so."""
    SWITCHED.registers = None
