"""The kernel's log: `dmesg`."""

import gdb

from .ring import parse_early, parse_ring
from .values import Command, guarded, number, pointer, read, static


def messages():
    """All messages that the kernel still has."""
    ring = guarded(static("kernel::log::RING"))
    length = number(ring["bytes"]["len"])
    if length == 0:
        buffer = static("kernel::log::early::BUFFER")
        return parse_early(read(int(buffer.address), number(static("kernel::log::early::USED"))))
    memory = read(int(pointer(ring["bytes"]["buf"])), length)
    return parse_ring(memory, number(ring["start"]), number(ring["used"]))


class Dmesg(Command):
    """Show the kernel's log: dmesg [-l LEVEL] [COUNT], the last COUNT messages, those of LEVEL (0 to 7) or graver."""

    def __init__(self):
        super().__init__("dmesg", gdb.COMMAND_STATUS, gdb.COMPLETE_NONE)

    def run(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        level = 7
        if words[:1] == ["-l"]:
            if not (len(words) > 1 and words[1].isdigit()):
                raise gdb.GdbError("usage: dmesg [-l LEVEL] [COUNT]")
            level = int(words[1])
            words = words[2:]
        if len(words) > 1 or not all(word.isdigit() for word in words):
            raise gdb.GdbError("usage: dmesg [-l LEVEL] [COUNT]")
        chosen = [message for message in messages() if message.priority & 7 <= level]
        for message in chosen[-int(words[0]) :] if words else chosen:
            seconds, rest = divmod(message.time_ns // 1000, 1_000_000)
            print(f"[{seconds:5}.{rest:06}] {message.text}")


def register():
    """Makes the command known."""
    Dmesg()
