"""Plays the user of a boot test.

driver.py SPECIFICATION COMMAND...   boots a machine by COMMAND and types at its serial console
driver.py --reference SESSION SHELL  types the commands of a session file to SHELL on this Linux and writes
                                     what they print to standard output, as JSON

The specification is JSON: README.md in this folder describes it. The log of the serial line goes to standard
output as it comes.
"""

import fcntl
import json
import os
import pty
import re
import selectors
import signal
import socket
import subprocess
import sys
import termios
import time

from screen import Screen

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b[()][0-9AB]|\r|\x00")
PANIC = r"kernel panic"
# A message of the kernel's log, which may come anywhere in what programs print.
MESSAGE = re.compile(r"\[ *\d+\.\d{6}\] [^\n]*\n")
SESSION_PROMPT = "@@@"


class Failure(Exception):
    """The test failed; the text says why."""


class Console:
    """A process and what stands on its console: reading with patience, typing."""

    def __init__(self, process, readable, writable, timeout, reject=(), echo=True):
        self.process = process
        self.readable = readable
        self.writable = writable
        self.timeout = timeout
        self.deadline = time.monotonic() + timeout
        self.reject = reject
        self.echo = echo
        self.raw = b""
        self.log = ""
        self.matched = 0  # up to here the log has been matched
        os.set_blocking(readable, False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(readable, selectors.EVENT_READ)

    def read(self, seconds):
        """Takes in what is printed within this time: None at its end, false if there was nothing."""
        if seconds <= 0 or not self.selector.select(seconds):
            return False
        try:
            data = os.read(self.readable, 65536)
        except OSError:  # a terminal whose other side is closed
            data = b""
        if not data:
            return None
        if self.echo:
            sys.stdout.write(data.decode(errors="replace").replace("\r", ""))
            sys.stdout.flush()
        self.raw += data
        self.log = ESCAPES.sub("", self.raw.decode(errors="replace"))
        return True

    def news(self):
        """What it shows since the last step, for reports, unless everybody has seen it."""
        return "" if self.echo else f"; since the last step it shows:\n{self.log[self.matched :]}"

    def wait(self, wanted):
        """Takes in more; false at the end. Fails when time is up or the log has what it must not have."""
        more = self.read(self.deadline - time.monotonic())
        if more is False:
            raise Failure(f"after {self.timeout} s still waiting for {wanted}{self.news()}")
        for pattern in self.reject:
            if found := re.search(pattern, self.log):
                while self.read(1):  # the rest of the report
                    pass
                raise Failure(f"the log has {found.group()!r}")
        return more

    def expect(self, pattern):
        """Waits until this stands in the log behind what was matched before; returns what is in between."""
        while not (found := re.compile(pattern).search(self.log, self.matched)):
            if not self.wait(f"/{pattern}/"):
                status = self.process.wait()
                raise Failure(f"the machine ended before /{pattern}/, with status {status}{self.news()}")
        between = self.log[self.matched : found.start()]
        self.matched = found.end()
        return between

    def type(self, text):
        """Types this."""
        try:
            os.write(self.writable, text.encode())
        except BrokenPipeError:
            pass  # it has ended: what waits for its answer will say so

    def end(self):
        """Waits for its end; returns its status."""
        while self.wait("the machine to end"):
            pass
        return self.process.wait()

    def kill(self):
        """Ends it with all that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def commands_of(path):
    """The commands of a session file: a line each, with the here-document that it may begin."""
    with open(path, encoding="utf-8") as file:
        lines = iter(file.read().splitlines())
    commands = []
    for command in lines:
        if mark := re.search(r"<< *(\w+)", command):
            while not command.endswith("\n" + mark.group(1)):
                command += "\n" + next(lines)
        commands.append(command)
    return commands


def play_session(console, path):
    """Types the commands at a shell's prompt; returns the list of [command, what it printed]."""
    # The prompt is not written as it is: the echo of this line must not be taken for it.
    console.type("mkdir session && cd session && stty -echo; export TZ=UTC0; PS2=; PS1=@@''@\n")
    console.expect(SESSION_PROMPT)
    printed = []
    for command in commands_of(path):
        console.type(command + "\n")
        printed.append([command, MESSAGE.sub("", console.expect(SESSION_PROMPT))])
    return printed


def compare(printed, reference):
    """Fails if a command printed something else than on Linux."""
    differences = 0
    for (command, here), (_, linux) in zip(printed, reference, strict=True):
        if here != linux:
            differences += 1
            print(f"\n--- differs: {command}\n--- on Linux:\n{linux}--- here:\n{here}---")
    if differences:
        raise Failure(f"{differences} of {len(reference)} commands print something else than on Linux")


def expect_screen(pattern, console, screen):
    """Waits until this stands on the screen; returns the picture."""
    while True:
        picture = screen.picture()
        text = picture.text(screen.shapes)
        if re.search(pattern, text):
            return picture
        console.read(0.2)
        if time.monotonic() > console.deadline or console.process.poll() is not None:
            raise Failure(f"still waiting for /{pattern}/ on the screen, which shows:\n{text.rstrip()}")


def expect_answer(pattern, command, console, screen):
    """Gives QEMU's monitor a command until its answer has this."""
    while not re.search(pattern, answer := screen.ask(command)):
        console.read(0.2)
        if time.monotonic() > console.deadline or console.process.poll() is not None:
            raise Failure(f"still waiting for /{pattern}/ from the monitor, which answers:\n{answer.rstrip()}")


class Lines:
    """More serial lines and virtio-consoles, each a socket that QEMU waits for when it starts."""

    def __init__(self, names):
        self.paths = {name: os.path.abspath(f"line-{name}") for name in names}

    def options(self):
        """What QEMU has to be told."""
        options = ["-device", "virtio-serial-pci"] if any(name.startswith("hvc") for name in self.paths) else []
        for name, path in self.paths.items():
            options += ["-chardev", f"socket,id={name},path={path},server=on,wait=on"]
            options += (
                ["-device", f"virtconsole,chardev={name}"]
                if name.startswith("hvc")
                else ["-serial", f"chardev:{name}"]
            )
        return options

    def connect(self, console):
        """Connects to all, in the order in which QEMU waits; returns a console for each name."""
        return {name: self.connect_one(path, console) for name, path in self.paths.items()}

    @staticmethod
    def connect_one(path, console):
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                console.read(0.05)
                if time.monotonic() > console.deadline or console.process.poll() is not None:
                    raise Failure(f"QEMU does not open {path}") from None
        end = connection.detach()
        return Console(console.process, end, end, console.timeout, console.reject, echo=False)


def play_step(step, console, screen):
    """Waits for something and types something, on a serial console or on screen and keyboard."""
    if "screen" not in step:
        console.expect(step["expect"])
        if (pattern := step.get("lacks")) and (found := re.search(pattern, console.log)):
            raise Failure(f"{step.get('line', 'the console')} has {found.group()!r}")
        if letter := step.get("magic"):
            screen.send_break()
            console.type(letter)
        command = step.get("monitor")
        if command and "answer" in step:
            expect_answer(step["answer"], command, console, screen)
        elif command:
            screen.command(command)
        console.type(step.get("send", ""))
        return
    picture = expect_screen(step["screen"], console, screen)
    if name := step.get("picture"):
        with open(name, "wb") as file:
            file.write(picture.png())
    screen.type(step.get("send", ""))
    if size := step.get("resize"):
        screen.resize(*size)
    if "hold" in step:
        screen.hold(step["hold"])
    for action in step.get("point", []):
        screen.point(**action)
    if keys := step.get("press"):
        screen.press(keys)


def run(specification, command):
    """Runs the test; raises Failure."""
    screen = None
    if any({"screen", "magic", "monitor"} & step.keys() for step in specification["type"]):
        screen = Screen(os.path.abspath("monitor"), specification["font"], specification["vgaText"])
        command = [*command, *([] if "--" in command else ["--"]), *screen.options()]
    lines = Lines(specification.get("lines", []))
    if options := lines.options():
        command = [*command, *([] if "--" in command else ["--"]), *options]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    console = Console(
        process,
        process.stdout.fileno(),
        process.stdin.fileno(),
        specification["timeout"],
        specification["reject"] + ([] if specification["panics"] else [PANIC]),
    )
    try:
        lines = lines.connect(console)
        printed = None
        if session := specification["session"]:
            console.expect(session["prompt"])
            console.type("cd /tmp\n")
            console.expect(session["prompt"])
            printed = play_session(console, session["commands"])
            console.type(session["end"] + "\n")
        for step in specification["type"]:
            play_step(step, lines[step["line"]] if "line" in step else console, screen)
        status = console.end()
        for pattern in specification["expect"]:
            if not re.search(pattern, console.log) and not re.search(pattern, MESSAGE.sub("", console.log)):
                raise Failure(f"the log lacks /{pattern}/")
        if status != specification["status"]:
            raise Failure(f"QEMU's status is {status}, not {specification['status']}")
        if printed:
            with open(session["reference"], encoding="utf-8") as file:
                compare(printed, json.load(file))
    finally:
        console.kill()


def write_reference(path, shell):
    """Plays the session to a shell of this Linux, on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [shell, "sh", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(os.environ, PS1="$ ", TERM="linux"),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    console = Console(process, ours, ours, 60, echo=False)
    try:
        console.expect(r"\$ ")
        json.dump(play_session(console, path), sys.stdout, indent=1)
    except Failure as failure:
        sys.exit(f"{failure}; so far:\n{console.log}")
    finally:
        console.kill()


def main():
    """Reports by the exit status."""
    if sys.argv[1] == "--reference":
        write_reference(*sys.argv[2:])
        return
    with open(sys.argv[1], encoding="utf-8") as file:
        specification = json.load(file)
    started = time.monotonic()
    try:
        run(specification, sys.argv[2:])
    except Failure as failure:
        sys.exit(f"\n=== failed: {failure}")
    print(f"\n=== passed in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
