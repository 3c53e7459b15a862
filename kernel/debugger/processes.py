"""Processes: `vmmap`, and `user` and `ubreak`, which debug a program."""

import os

import gdb

from . import elf
from .values import Command, data, guarded, number, numbered, once, option, shared, static, text

# kernel/src/mm/area.rs: MappingFlags::SHARED; abi::mman::Prot.
SHARED = 1
READ, WRITE, EXECUTE = 1, 2, 4


class Area:
    """A stretch of a program's memory."""

    def __init__(self, start, end, mapping):
        self.start, self.end = start, end
        self.protection = number(mapping["protection"])
        self.is_shared = bool(number(mapping["flags"]) & SHARED)
        backing = option(mapping["backing"])
        self.offset = number(backing["offset"]) if backing is not None else 0
        self.name = source_name(backing["source"]) if backing is not None else ""

    def permissions(self):
        """As /proc/PID/maps writes them."""
        letters = [letter if self.protection & bit else "-" for bit, letter in ((READ, "r"), (WRITE, "w"), (EXECUTE, "x"))]
        return "".join(letters) + ("s" if self.is_shared else "p")


def source_name(source):
    """What is behind an area: the path of a file, or the name that the source has for itself."""
    value = shared(source)
    if value is None:
        return "[shared memory]"
    names = [field.name for field in value.type.fields()]
    if "path" in names:
        return path_name(value["path"])
    if "name" in names:
        return text(value["name"])
    return f"[{value.type.name.rsplit('::', maxsplit=1)[-1]}]"


def path_name(path):
    """The name of a kernel/src/fs/dentry.rs Path, up through the mounts."""
    parts = []
    if (path.type.strip_typedefs().name or "").endswith("::KeptPath"):
        path = path["__0"]
    mount, dentry = shared(path["mount"]), shared(path["dentry"])
    for _ in range(4096):
        if dentry.address == shared(mount["root"]).address:
            place = option(guarded(mount["place"]))
            if place is None:
                break
            mount, dentry = shared(place["mount"]), shared(place["dentry"])
            continue
        place = guarded(dentry["place"])
        parts.append(data(place["name"]).decode(errors="replace"))
        parent = option(place["parent"])
        if parent is None:
            break
        dentry = shared(parent)
    return "/" + "/".join(reversed(parts))


class Process:
    """A kernel/src/process/mod.rs Process."""

    def __init__(self, value):
        self.value = value
        self.pid = number(value["pid"])

    def space(self):
        """Its AddressSpace."""
        found = option(guarded(self.value["resources"]["address_space"]))
        if found is None:
            raise gdb.GdbError(f"process {self.pid} has ended: it has no memory")
        return shared(found)

    def root(self):
        """The physical address of its root table."""
        return number(shared(self.space()["root"]["__0"])["table"])

    def areas(self):
        """Its areas, in order of their addresses."""
        state = guarded(self.space()["state"])
        return [
            Area(start, number(rest["__0"]), rest["__1"]) for start, rest in numbered(state["areas"]["areas"])
        ]

    def heap(self):
        """The addresses of its heap."""
        heap = guarded(self.space()["state"])["heap"]
        return number(heap["start"]), number(heap["end"])

    def program(self):
        """The path of the file that it executes; empty if that is not known."""
        record = once(self.space()["program"])
        return path_name(shared(shared(record)["executable"])["path"]) if record is not None else ""

    def stack(self):
        """Where its stack pointer was at the start."""
        record = once(self.space()["program"])
        return number(shared(record)["stack"]) if record is not None else 0


def processes():
    """All processes, in order of their ids."""
    tree = guarded(static("kernel::process::tree::TREE"))
    return [Process(shared(node["process"])) for _, node in numbered(tree["processes"])]


def find(word):
    """A process by its id, or by the name of its first thread; by an empty word that which the selected CPU runs."""
    from . import threads

    if not word:
        pid = threads.current().pid
        if not pid:
            raise gdb.GdbError("the selected CPU runs no program: say which process")
    elif word.isdigit():
        pid = int(word)
    else:
        found = [thread.pid for thread in threads.threads() if thread.name == word and thread.pid]
        pid = found[0] if found else 0
    for process in processes():
        if process.pid == pid:
            return process
    raise gdb.GdbError(f"no process {word} (see ps)")


def role(process, area):
    """What /proc/PID/maps says of an area that has no file."""
    start, end = process.heap()
    if area.name:
        return area.name
    if area.start < end and start < area.end:
        return "[heap]"
    return "[stack]" if area.start <= process.stack() < area.end else ""


class Vmmap(Command):
    """List what is mapped in a process: vmmap [PID or NAME]; if none is said, in that which the selected CPU runs."""

    def __init__(self):
        super().__init__("vmmap", gdb.COMMAND_STATUS, gdb.COMPLETE_NONE)

    def run(self, argument, from_tty):
        process = find(argument)
        for area in process.areas():
            place = f"{area.start:08x}-{area.end:08x} {area.permissions()} {area.offset:08x}"
            print(f"{place} {role(process, area)}".rstrip())


class Programs(gdb.Parameter):
    """Folders with programs that have debug information, separated by colons: `user` looks there for what a process
    executes, by its whole path (a copy of the root file system) and by its name."""

    set_doc = "Set the folders in which `user` looks for programs."
    show_doc = "Show the folders in which `user` looks for programs."

    def __init__(self):
        super().__init__("rust-os-programs", gdb.COMMAND_FILES, gdb.PARAM_STRING)
        self.value = os.environ.get("RUST_OS_PROGRAMS", "")

    def get_set_string(self):
        return ""

    def get_show_string(self, value):
        return f"Programs are looked for in {value or 'no folder'}."

    def file_of(self, path):
        """Where the debugger finds the program of a path, or None."""
        for folder in filter(None, (self.value or "").split(":")):
            for candidate in (os.path.join(folder, path.lstrip("/")), os.path.join(folder, os.path.basename(path))):
                if os.path.isfile(candidate):
                    return candidate
        return None


class User(Command):
    """Debug a program: user PID [FILE] or user NAME [FILE]; user off.

    Takes the symbols of what the process has mapped from the folders of `set rust-os-programs`, or of its program from
    FILE, and puts them where the process has it. `ubreak` then sets breakpoints in it."""

    def __init__(self):
        super().__init__("user", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)
        self.loaded = []
        self.program = ""

    def forget(self):
        """Takes away the symbols of the former program."""
        for file in self.loaded:
            for objfile in gdb.objfiles():
                if objfile.filename == os.path.realpath(file):
                    gdb.execute(f"remove-symbol-file {file}", to_string=True)
        self.loaded = []
        self.program = ""

    def run(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if words == ["off"]:
            self.forget()
            return
        if len(words) not in (1, 2):
            raise gdb.GdbError("usage: user PID [FILE], user NAME [FILE], user off")
        process = find(words[0])
        self.forget()
        program = self.program = process.program()
        missing = []
        for path, area in first_code(process).items():
            file = words[1] if len(words) == 2 and path == program else PROGRAMS.file_of(path)
            if file is None:
                missing.append(path)
            else:
                self.load(file, area)
        print(f"process {process.pid} executes {program or '?'}")
        for path in missing:
            print(f"no file for {path}: name it (user PID FILE) or its folder (set rust-os-programs FOLDER)")

    def load(self, file, area):
        """Takes a file's symbols, for where an area has it."""
        with open(file, "rb") as opened:
            moved = elf.bias(opened.read(), area.offset, area.start)
        if moved is None:
            raise gdb.GdbError(f"{file} is not what the process has mapped at {area.start:#x}")
        gdb.execute(f"add-symbol-file {file} -o {moved:#x}", to_string=True)
        self.loaded.append(file)
        print(f"symbols of {file}, moved by {moved:#x}")


class ProgramBreakpoint(gdb.Breakpoint):
    """Stops where a program is executed, and not when another one has something else at that address. In hardware, for
    the code may not be in memory yet, and what is there may be shared with others."""

    def __init__(self, location, program):
        super().__init__(location, type=gdb.BP_HARDWARE_BREAKPOINT)
        self.program = program

    def stop(self):
        """Whether to stop."""
        from . import threads

        user = threads.current().user
        return user is not None and Process(shared(user["process"])).program() == self.program


class Ubreak(Command):
    """Set a breakpoint in the program that `user` has taken: ubreak FUNCTION, FILE:LINE or *ADDRESS.

    It stops every process that executes this program, and no other. There are four such breakpoints."""

    def __init__(self):
        super().__init__("ubreak", gdb.COMMAND_BREAKPOINTS, gdb.COMPLETE_LOCATION)

    def run(self, argument, from_tty):
        if not USER.program:
            raise gdb.GdbError("which program? Say `user PID` first")
        ProgramBreakpoint(argument, USER.program)


def first_code(process):
    """The first executable area of each file that a process has mapped, by path."""
    found = {}
    for area in process.areas():
        if area.protection & EXECUTE and area.name.startswith("/"):
            found.setdefault(area.name, area)
    return found


PROGRAMS = Programs()
USER = User()


def register():
    """Makes the commands known."""
    Vmmap()
    Ubreak()
