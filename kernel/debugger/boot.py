"""The two ends: `kernel-entry` stops where the kernel begins, `open-dump` looks at what was left of it."""

import os
import stat

import gdb

from .dump import Dump
from .memory import IMAGE
from .values import Command


class KernelEntry(Command):
    """Stop at the kernel's first instruction, whatever boots it.

    Multiboot2 and PVH enter where the image lies in physical memory, before paging is on; Limine enters at its virtual
    address. The image is linked where it runs, so from `boot_start` on addresses are what the symbols say. The
    breakpoints are in hardware, as the code is not in memory yet when they are set, and gone after the first stop."""

    def __init__(self):
        super().__init__("kernel-entry", gdb.COMMAND_BREAKPOINTS, gdb.COMPLETE_NONE)

    def run(self, argument, from_tty):
        if is_loaded():
            print("the kernel is in memory already")
            return
        breakpoints = []
        for symbol, is_physical in (("pvh_entry", True), ("multiboot2_entry", True), ("limine_entry", False)):
            place = symbol_address(symbol) - (IMAGE if is_physical else 0)
            breakpoints.append(gdb.Breakpoint(f"*{place:#x}", type=gdb.BP_HARDWARE_BREAKPOINT))
            print(f"stops at {symbol}, {place:#x}")

        def forget(event):
            gdb.events.stop.disconnect(forget)
            for breakpoint in filter(gdb.Breakpoint.is_valid, breakpoints):
                breakpoint.delete()

        gdb.events.stop.connect(forget)


def is_loaded():
    """Whether the kernel can be seen where it runs: it has been started."""
    try:
        gdb.selected_inferior().read_memory(symbol_address("limine_entry"), 1)
    except gdb.MemoryError:
        return False
    return True


def symbol_address(name):
    """The address of a label."""
    words = gdb.execute(f"info address {name}", to_string=True).split()
    for word in words:
        if word.startswith("0x"):
            return int(word.rstrip("."), 16)
    raise gdb.GdbError(f"the kernel has no symbol {name}")


class OpenDump(Command):
    """Look at a dump of QEMU's dump-guest-memory: open-dump FILE.

    A dump of physical memory (without -p) gets a table of segments by virtual addresses first, at the end of the file; that
    is done once."""

    def __init__(self):
        super().__init__("open-dump", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)

    def run(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) != 1:
            raise gdb.GdbError("usage: open-dump FILE")
        try:
            translate(words[0])
        except (OSError, ValueError) as error:
            raise gdb.GdbError(f"{words[0]}: {error}") from error
        gdb.execute(f"target core {words[0]}")


def translate(name):
    """Gives a dump virtual addresses if it has none."""
    with open(name, "rb") as file:
        if not Dump(file).is_physical():
            return
    # QEMU makes it for reading only.
    os.chmod(name, os.stat(name).st_mode | stat.S_IWUSR)
    with open(name, "r+b") as file:
        print(f"{name} is of physical memory: {Dump(file).translate()} segments found by its page tables")


def register():
    """Makes the commands known."""
    KernelEntry()
    OpenDump()
