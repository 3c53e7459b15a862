"""`locks`: who holds and who waits."""

import gdb

from . import threads
from .values import Command, fields, guarded, has_static, number, option, per_cpu, pointer, shared, static, text


class Locks(Command):
    """Show the threads that wait for locks, and who holds those.

    In debug builds also the locks that each CPU (spin locks) and each thread (sleeping ones) holds, and where it took
    them."""

    def __init__(self):
        super().__init__("locks", gdb.COMMAND_STATUS, gdb.COMPLETE_NONE)

    def run(self, argument, from_tty):
        everyone = threads.threads()
        print_waiting(everyone)
        if not has_static("machine::sync::checks::CPUS"):
            print("what else is held only a kernel with checked locks knows: the debug build")
            return
        print_held(everyone)


def print_waiting(everyone):
    """Prints the threads that wait for a lock, and who holds it."""
    names = {thread.id: thread.name for thread in everyone}
    is_any = False
    for thread in everyone:
        what, holder = thread.waits_for()
        if holder:
            is_any = True
            print(f'#{thread.id} "{thread.name}" waits for {what}, held by #{holder} "{names.get(holder, "gone")}"')
    if not is_any:
        print("no thread waits for a lock")


def print_held(everyone):
    """Prints what everybody holds."""
    is_any = False
    for number_of_cpu, cpu in enumerate(per_cpu(static("machine::sync::checks::CPUS"))):
        for field, suffix in (("task", ""), ("handler", ", in an interrupt handler")):
            for lock in held(cpu[field]):
                is_any = True
                print(f"CPU {number_of_cpu}{suffix} holds {lock}")
    for thread in everyone:
        for lock in held(shared(thread.value["task"])["locks"]["__0"]):
            is_any = True
            print(f'#{thread.id} "{thread.name}" holds {lock}')
    if not is_any:
        print("nobody holds a lock")


def held(cell):
    """The locks in a lib/lockdep Held, each in words."""
    names = guarded(static("machine::sync::checks::GRAPH"))["names"]
    locks = guarded(cell)["locks"]
    length = locks.type.range()[1] + 1
    for lock in filter(None.__ne__, (option(locks[index]) for index in range(length))):
        yield f'"{text(names[number(lock["class"])])}" at {number(lock["address"]):#x}, taken at {place(lock["place"])}'


def place(location):
    """A place in the sources: a reference to a core::panic::Location."""
    found = pointer(location).dereference()
    name = next(field.name for field in fields(found) if field.name.startswith("file"))
    file = text(found[name]).rstrip("\0")
    return f"{file}:{number(found['line'])}"


def register():
    """Makes the command known."""
    Locks()
