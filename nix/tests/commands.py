"""Runs what a document gives to the reader's own machine: the commands of its fenced blocks ```sh, and what goes to QEMU's
monitor and to editors' debuggers.

commands.py DOCUMENT   in a copy of the project, with a `nix` in the path that has the apps already; RUST_OS_GDB is the
                       path of the socket where systems and debuggers meet

Fenced blocks, in the order of the document:

    ```sh       a command each line. What one starts decides what must come of it: a system shows its shell, or a test that
                passed; one that waits for a debugger gets the next command, or one of ours, and goes on to its shell; a
                debugger has our commands; something to build is asked for; all else ends with success
    ```qemu     said to the monitor of the system of the command before, as transcript.py has it
    ```json     VS Code's launch.json: its setupCommands prepare a debugger for a halted system
    ```elisp    Emacs: the command line in it starts such a debugger
"""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time

from driver import Console, Failure
from transcript import compare, exchanges

BLOCK = re.compile(r"^```(sh|qemu|json|elisp)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Seconds for one command, on a machine with much else to do.
PATIENCE = 300
PROMPT = r"root@rust-os:[^ ]*# "
HALTED = "halted until a debugger connects"
DEBUGGER = "nix run .#gdb"
GDB = r"\(gdb\) "
SOCKET = os.environ["RUST_OS_GDB"]
# What QEMU's terminal understands: Ctrl-A x ends it, Ctrl-A c leads to its monitor.
QUIT, TO_MONITOR = "\x01x", "\x01c"
# QEMU's short form of a server for debuggers, at a port that is another's perhaps; and what it is here.
SERVER = (" -s", f" -gdb unix:{SOCKET},server=on,wait=off")
# The kernel as cargo names it, for editors.
CARGO_KERNEL = "target/x86_64-unknown-none/debug/kernel"


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


def ask(debugger, command, wanted):
    """Has a debugger at its prompt answer a command with this pattern."""
    debugger.type(command + "\n")
    answer = debugger.expect(GDB)
    if not re.search(wanted, answer):
        raise Failure(f"{command!r} should answer /{wanted}/ but answers\n{answer}")


def debug_halted(system, command):
    """Connects a debugger to a halted system, and lets that go on, by the kernel's first instruction, to its shell."""
    debugger = start(command)
    try:
        for wanted in [r"stops at .*\n", r"Breakpoint \d+, "]:
            debugger.expect(wanted)
            debugger.expect(GDB)
            debugger.type("continue\n")
        system.expect(PROMPT)
    finally:
        debugger.kill()


def debug_running(command):
    """Connects a debugger to a system that shows its shell."""
    debugger = start(command)
    try:
        debugger.expect(GDB)
        ask(debugger, "ps", r"\binit\b")
    finally:
        debugger.kill()


def debug_for_editor(command, preparations):
    """Connects a debugger that an editor, itself started in the development shell, starts in MI to a halted system."""
    os.makedirs(os.path.dirname(CARGO_KERNEL), exist_ok=True)
    shutil.copyfile("result/kernel.debug", CARGO_KERNEL)
    system = start_halted("nix run .#debug")
    debugger = start(f"nix develop --command {command}")
    try:
        debugger.expect(GDB.strip())
        for line in [*preparations, f"target remote {SOCKET}"]:
            debugger.type(f"-interpreter-exec console {json.dumps(line)}\n")
            debugger.expect(r"\^(done|connected)")
        # One of our commands; it is too early for an answer.
        debugger.type('-interpreter-exec console "ps"\n')
        debugger.expect(r'\^error,msg=".*page tables are not in use yet')
        quit_system(system)
    finally:
        debugger.kill()
        system.kill()


def for_vscode(text):
    """Its launch.json."""
    folder = os.getcwd()
    configuration = json.loads(text.replace("${workspaceFolder}", folder))["configurations"][0]
    commands = [setup["text"] for setup in configuration["setupCommands"]]
    debug_for_editor("gdb --interpreter=mi", [*commands, f"file {configuration['program']}"])


def for_emacs(text):
    """A call of its `gdb`."""
    if not os.path.exists("rust-os"):  # the folder of the project in that of the user
        os.symlink(".", "rust-os")
    debug_for_editor(re.search(r'\(gdb "(.*)"\)', text).group(1), [])


def start_halted(command):
    """Starts a system that waits for a debugger."""
    if os.path.exists(SOCKET):
        os.remove(SOCKET)
    system = start(command)
    system.expect(HALTED)
    while not os.path.exists(SOCKET):
        system.read(0.1)
        if time.monotonic() > system.deadline or system.process.poll() is not None:
            raise Failure("QEMU waits for no debugger")
    return system


def play_monitor(system, text):
    """A conversation with QEMU's monitor."""
    system.type(TO_MONITOR)
    system.expect(r"\(qemu\) ")
    for typed, wanted, _ in exchanges("qemu", text):
        system.type(typed + "\n")
        compare(system.expect(r"\(qemu\) "), wanted, typed)


def play_system(command, following, monitor):
    """A command that starts a system; tells whether a debugger was connected by the command behind it."""
    is_debugger = following is not None and re.search(r"^make gdb\b|\.#gdb\b", following) is not None
    if re.search(r"^make run-debug\b|\.#debug\b", command):
        system = start_halted(command)
    else:
        system = start(command.replace(*SERVER))
    try:
        if HALTED in system.log:
            debug_halted(system, following if is_debugger else DEBUGGER)
        else:
            system.expect("ktest: ok " if "ktest" in command else PROMPT)
            if is_debugger:
                debug_running(following)
        if monitor:
            play_monitor(system, monitor)
        quit_system(system)
    finally:
        system.kill()
    return is_debugger


def play_debugged_qemu(command):
    """A command that starts QEMU in a debugger."""
    debugger = start(command)
    try:
        debugger.expect(GDB)
        debugger.type("run\n")
        debugger.expect(PROMPT)
        debugger.type(QUIT)
        debugger.expect("exited normally")
        debugger.expect(GDB)
        debugger.type("quit\n")
        if status := debugger.end():
            raise Failure(f"GDB ends with status {status}")
    finally:
        debugger.kill()


def play_other(command):
    """A command that starts no system."""
    process = start(command)
    try:
        if "open-dump" in command:
            process.expect(GDB)
            ask(process, "ps", r"\binit\b")
            process.type("quit\n")
        elif re.search(r"^make (stress|integrity)\b|\bbuild\b", command):
            process.expect("(to be )?built: ")
        if status := process.end():
            raise Failure(f"{command!r} ends with status {status}")
    finally:
        process.kill()


def play(command, following, monitor):
    """Runs one; tells whether it took `following` with it."""
    took_next = False
    if "RUN_QEMU_GDB=yes" in command:
        play_debugged_qemu(command)
    elif re.search(r"^make run|\.#(qemu|debug)\b", command):
        took_next = play_system(command, following, monitor)
    else:
        play_other(command)
    for log in re.findall(r"(?: -D |rrfile=)(\S+)", command):
        if os.path.getsize(log) == 0:
            raise Failure(f"{command!r} left nothing in {log}")
        os.remove(log)
    return took_next


def play_document(text):
    """All of it; returns the number of commands."""
    blocks = BLOCK.findall(text)
    count = 0
    for (kind, block), (next_kind, next_block) in zip(blocks, [*blocks[1:], ("", "")]):
        if kind == "json":
            for_vscode(block)
        elif kind == "elisp":
            for_emacs(block)
        commands = [line for line in block.splitlines() if line.strip()] if kind == "sh" else []
        count += len(commands)
        while commands:
            command = commands.pop(0)
            monitor = next_block if next_kind == "qemu" and not commands else None
            if play(command, commands[0] if commands else None, monitor):
                commands.pop(0)
    return count


def main():
    """Reports by the exit status."""
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    started = time.monotonic()
    try:
        count = play_document(text)
    except Failure as failure:
        sys.exit(f"\n=== failed: {failure}")
    if count == 0:
        sys.exit("\n=== failed: the document has no commands")
    print(f"\n=== {count} commands played in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
