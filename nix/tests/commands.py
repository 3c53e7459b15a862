"""Runs the commands that a document gives to the reader's own machine: the lines of its fenced blocks ```sh.

commands.py DOCUMENT   in a copy of the project, with a `nix` in the path that has the apps already; RUST_OS_GDB is the
                       path of the socket where systems and debuggers meet

What a command starts decides what must come of it: a system shows its shell, or a test that passed; one that is halted
waits for a debugger, which is the next command or comes here, and lets it go on; something to build is asked for.
"""

import os
import pty
import re
import subprocess
import sys
import time

from driver import Console, Failure

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Seconds for one command, on a machine with much else to do.
PATIENCE = 300
PROMPT = r"root@rust-os:[^ ]*# "
HALTED = "halted until a debugger connects"
DEBUGGER = "nix run .#gdb"
SOCKET = os.environ["RUST_OS_GDB"]
# Ctrl-A x and Ctrl-A c: what QEMU's terminal understands.
QUIT = "\x01x"


def start(command):
    """Runs a line in a shell with a terminal."""
    ours, theirs = pty.openpty()
    print(f"\n=== {command}", flush=True)
    process = subprocess.Popen(
        ["bash", "-c", command], start_new_session=True, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    return Console(process, ours, ours, PATIENCE)


def quit_system(system):
    """Ends QEMU by its keys."""
    system.type(QUIT)
    if status := system.end():
        raise Failure(f"QEMU ends with status {status}")


def debug(system, command):
    """Connects a debugger to a halted system, and lets that go on, by the kernel's first instruction, to its shell."""
    debugger = start(command)
    try:
        for wanted in [r"stops at .*\n", r"Breakpoint \d+, "]:
            debugger.expect(wanted)
            debugger.expect(r"\(gdb\) ")
            debugger.type("continue\n")
        system.expect(PROMPT)
    finally:
        debugger.kill()


def is_debugger(command):
    """Whether it is to be connected to a system that another command has started."""
    return re.search(r"^make gdb\b|\.#gdb\b", command) is not None


def play(command, following):
    """Runs one; tells whether it took `following` with it."""
    if os.path.exists(SOCKET):
        os.remove(SOCKET)
    system = start(command)
    takes_next = False
    try:
        if re.search(r"^make run-debug\b|\.#debug\b", command):
            system.expect(HALTED)
            while not os.path.exists(SOCKET):
                system.read(0.1)
                if time.monotonic() > system.deadline or system.process.poll() is not None:
                    raise Failure("QEMU waits for no debugger")
            takes_next = following is not None and is_debugger(following)
            debug(system, following if takes_next else DEBUGGER)
            quit_system(system)
        elif re.search(r"^make run\b|\.#qemu\b", command):
            system.expect("ktest: ok " if "ktest" in command else PROMPT)
            quit_system(system)
        else:
            system.expect("to be built: ")
            if status := system.end():
                raise Failure(f"{command!r} ends with status {status}")
    finally:
        system.kill()
    for log in re.findall(r"(?: -D |rrfile=)(\S+)", command):
        if os.path.getsize(log) == 0:
            raise Failure(f"{command!r} left nothing in {log}")
        os.remove(log)
    return takes_next


def main():
    """Reports by the exit status."""
    with open(sys.argv[1], encoding="utf-8") as file:
        blocks = BLOCK.findall(file.read())
    started = time.monotonic()
    count = 0
    try:
        for block in blocks:
            commands = [line for line in block.splitlines() if line.strip()]
            while commands:
                command = commands.pop(0)
                count += 1
                if play(command, commands[0] if commands else None):
                    commands.pop(0)
                    count += 1
    except Failure as failure:
        sys.exit(f"\n=== failed: {failure}")
    if count == 0:
        sys.exit("\n=== failed: the document has no commands")
    print(f"\n=== {count} commands played in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
