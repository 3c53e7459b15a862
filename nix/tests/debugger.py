"""Plays docs/debugging.md: what stands there as typed is typed, and what stands below must come out.

debugger.py DOCUMENT GDB COMMAND...   boots a machine by COMMAND, halted, with a debugger's socket `gdb`, and
                                      debugs it by GDB

Fenced blocks, in the order of the document:

    ```gdb      lines after `(gdb) ` are typed to the debugger, the others must be in its answer, in turn; a line
                `^C` interrupts the system; a block that begins with an answer waits for the system to stop
    ```guest    lines after `root@rust-os:~# ` and `monitor> ` are typed to the guest, the others must be in its answer

What goes to other programs is played by commands.py; transcript.py says how answers are compared.
"""

import os
import re
import signal
import subprocess
import sys
import time

from driver import Console, Failure
from transcript import MONITOR, SHELL, compare, exchanges, pattern_of

BLOCK = re.compile(r"^```(gdb|guest)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Seconds for all of it, on a machine with much else to do.
PATIENCE = 600
GDB_PROMPT = r"\(gdb\) "
GUEST_PROMPTS = {SHELL: r"root@rust-os:[^ ]*# ", MONITOR: "monitor> "}


class Session:
    """The machine and its debugger."""

    def __init__(self, gdb, machine):
        self.guest_process = self.start(machine)
        guest = self.guest_process
        self.guest = Console(guest, guest.stdout.fileno(), guest.stdin.fileno(), PATIENCE)
        while not os.path.exists("gdb"):
            if guest.poll() is not None:
                raise Failure(f"the machine ended with status {guest.wait()}")
            time.sleep(0.01)
        process = self.start(gdb)
        self.gdb = Console(process, process.stdout.fileno(), process.stdin.fileno(), PATIENCE)
        self.is_prompt_due = True

    @staticmethod
    def start(command):
        """Starts a program with pipes."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, start_new_session=True, **pipes)

    def answer(self):
        """What the debugger says until it is ready for the next command."""
        return self.gdb.expect(GDB_PROMPT)

    def interrupt(self):
        """Has the debugger stop the system. One that is just letting it go on may miss the first wish."""

        def is_ready():
            return re.search(GDB_PROMPT, self.gdb.log[self.gdb.matched :])

        while not is_ready():
            os.kill(self.gdb.process.pid, signal.SIGINT)
            while not is_ready() and self.gdb.read(5):
                pass
            if time.monotonic() > self.gdb.deadline:
                raise Failure("the system cannot be stopped")

    def debug(self, typed, wanted, is_last):
        """An exchange with the debugger."""
        if typed == "^C":
            self.interrupt()
        elif typed is not None:
            self.gdb.type(typed + "\n")
        if typed == "continue" and is_last and wanted in ([], ["Continuing."]):
            self.gdb.expect("Continuing")
            return
        compare(self.answer(), wanted, typed or "the system that stops")

    def use(self, typed, wanted, prompt, is_stopped):
        """An exchange with the guest's shell, after which this prompt comes; `is_stopped`: a breakpoint is in the way of
        the answer."""
        if self.is_prompt_due:
            self.guest.expect(GUEST_PROMPTS[SHELL])
        self.guest.type(typed + "\n")
        self.is_prompt_due = is_stopped
        if is_stopped:
            return
        if any("kernel panic" in line for line in wanted):
            for line in wanted:  # there will be no prompt
                self.guest.expect(pattern_of(line))
            return
        compare(self.guest.expect(GUEST_PROMPTS[prompt]), wanted, typed)

    def play(self, kind, text, following):
        """Plays a block; `following` is what the next one exchanges."""
        rows = exchanges(kind, text)
        for index, (typed, wanted, prompt) in enumerate(rows):
            is_last = index == len(rows) - 1
            if kind == "gdb":
                self.debug(typed, wanted, is_last)
            elif (typed, prompt) == ("continue", MONITOR):
                self.guest.type("continue\n")
                for line in wanted:  # the shell's prompt has come long before
                    self.guest.expect(pattern_of(line))
            else:
                is_stopped = is_last and following[:1] != [] and following[0][0] is None
                self.use(typed, wanted, prompt if is_last else rows[index + 1][2], is_stopped)

    def end(self):
        """Ends both."""
        self.gdb.kill()
        self.guest.kill()


def main():
    """Reports by the exit status."""
    document, gdb, *machine = sys.argv[1:]
    with open(document, encoding="utf-8") as file:
        blocks = BLOCK.findall(file.read())
    os.environ["RUST_OS_GDB"] = os.path.abspath("gdb")
    started = time.monotonic()
    session = Session([gdb, "-nx", "-ex", "set width 0", "-ex", "set height 0", "-ex", "set confirm off"], machine)
    try:
        session.answer()
        for (kind, text), (next_kind, next_text) in zip(blocks, blocks[1:] + [("gdb", "")]):
            session.play(kind, text, exchanges(next_kind, next_text) if next_kind == "gdb" else [])
    except Failure as failure:
        sys.exit(f"\n=== failed: {failure}")
    finally:
        session.end()
    print(f"\n=== passed in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
