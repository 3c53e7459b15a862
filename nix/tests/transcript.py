"""What a document shows of a conversation: after prompts what is typed, and below what must come out.

Numbers may be others, any amount of space stands for any, `...` for anything.
"""

import re

from driver import Failure

SHELL, MONITOR = "root@rust-os:~# ", "monitor> "
PROMPTS = {"gdb": ("(gdb) ",), "guest": (SHELL, MONITOR), "qemu": ("(qemu) ",)}
NUMBER = r"(0x)?[0-9a-f]*[0-9][0-9a-f]*"


def pattern_of(line):
    """What a line of the document stands for."""
    pieces = []
    for piece in re.split(r"(\.\.\.|\b" + NUMBER.replace("(", "(?:") + r"\b|\s+)", line.strip()):
        if piece == "...":
            pieces.append(".*")
        elif re.fullmatch(NUMBER, piece):
            pieces.append("(0x)?[0-9a-f]+")
        elif piece.isspace():
            pieces.append(r"\s+")
        else:
            pieces.append(re.escape(piece))
    return "".join(pieces)


def exchanges(kind, text):
    """What is typed (None: nothing), the lines of the answer, and the prompt before it."""
    found = []
    for line in text.splitlines():
        if prompt := next(filter(line.startswith, PROMPTS[kind]), None):
            found.append((line.removeprefix(prompt), [], prompt))
        elif line == "^C":
            found.append(("^C", [], None))
        elif line.strip():
            if not found:
                found.append((None, [], None))
            found[-1][1].append(line)
    return found


def compare(answer, wanted, typed):
    """Fails unless the lines of the document stand in the answer, in turn."""
    place = 0
    lines = answer.splitlines()
    for line in wanted:
        pattern = re.compile(pattern_of(line))
        while place < len(lines) and not pattern.search(lines[place]):
            place += 1
        if place == len(lines):
            raise Failure(f"{typed!r} should answer\n    {line}\nbut answers\n{answer}")
        place += 1
