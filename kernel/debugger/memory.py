"""Physical memory, and `pte`: how an address is mapped."""

import gdb

from . import paging
from .values import Command, number, static

# machine/src/mm/layout.rs: there the kernel maps all of memory.
DIRECT_MAP = 0xFFFF_8000_0000_0000
# linker.ld (KERNEL_VMA): before paging is on, the image lies at its addresses less this.
IMAGE = 0xFFFF_FFFF_8000_0000


def word(physical):
    """The 8 bytes at a physical address."""
    data = gdb.selected_inferior().read_memory(DIRECT_MAP + physical, 8)
    return int.from_bytes(bytes(data), "little")


def kernel_root():
    """The physical address of the kernel's own root table."""
    root = number(static("machine::mm::kernel_table::ROOT"))
    if root == 0:
        raise gdb.GdbError("the kernel has not built its page tables yet")
    return root


def current_root():
    """The root table of the selected CPU; that of the kernel if its registers are not known (in a dump)."""
    try:
        return int(gdb.parse_and_eval("$cr3"))
    except (gdb.error, TypeError, ValueError):
        return kernel_root()


def physical(address, root=None):
    """The physical address behind a virtual one, or None."""
    kernel_root()
    return paging.walk(word, current_root() if root is None else root, address).physical


def address_of(text):
    """An address from an expression, or the name of a function."""
    try:
        value = gdb.parse_and_eval(text)
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_FUNC:
            value = value.address
        return int(value.cast(gdb.lookup_type("u64"))) & (1 << 64) - 1
    except gdb.error as error:
        # Paths of Rust are no expressions to GDB, but it finds functions by them.
        try:
            _, places = gdb.decode_line(text)
        except gdb.error:
            raise gdb.GdbError(str(error)) from error
        return places[0].pc


class Pte(Command):
    """Show how an address is mapped: pte ADDRESS [PID or NAME].

    The entries on the way through the page tables of the selected CPU, or of a process."""

    def __init__(self):
        super().__init__("pte", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def run(self, argument, from_tty):
        from . import processes

        words = gdb.string_to_argv(argument)
        if len(words) not in (1, 2):
            raise gdb.GdbError("usage: pte ADDRESS [PID or NAME]")
        address = address_of(words[0])
        kernel_root()
        root = processes.find(words[1]).root() if len(words) == 2 else current_root()
        result = paging.walk(word, root, address)
        print(f"root table at {root & paging.ADDRESS:#x}")
        for entry in result.entries:
            print(f"level {entry.level}, entry {entry.index:3}: {entry.value:#018x} {paging.describe(entry.value)}")
        if result.physical is None:
            print(f"{address:#x} is not mapped")
        else:
            print(f"{address:#x} is at physical {result.physical:#x}, in a page of {result.size >> 10} KiB")


class Phys(gdb.Function):
    """$phys(ADDRESS): the physical address behind a virtual one."""

    def __init__(self):
        super().__init__("phys")

    def invoke(self, address):
        found = physical(int(address) & (1 << 64) - 1)
        if found is None:
            raise gdb.GdbError("that address is not mapped")
        return found


class Direct(gdb.Function):
    """$direct(PHYSICAL): where the kernel sees a physical address, as a pointer to bytes."""

    def __init__(self):
        super().__init__("direct")

    def invoke(self, address):
        return gdb.Value(DIRECT_MAP + int(address)).cast(gdb.lookup_type("u8").pointer())


def register():
    """Makes the commands known."""
    Pte()
    Phys()
    Direct()
