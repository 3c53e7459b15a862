"""Page tables of x86-64, walked in software. Source: Intel SDM vol. 3, 4.5 (4-level paging).

No debugger in here: memory is a function from a physical address to the 8 bytes there, so that tests can bring
their own.
"""

import collections

PRESENT = 1
HUGE = 1 << 7
NO_EXECUTE = 1 << 63
ADDRESS = 0x000F_FFFF_FFFF_F000

FLAGS = (
    (1 << 1, "write"),
    (1 << 2, "user"),
    (1 << 3, "write-through"),
    (1 << 4, "uncached"),
    (1 << 5, "accessed"),
    (1 << 6, "dirty"),
    (1 << 8, "global"),
)

# An entry that was looked at: its level (4 is the root's), its index, its value.
Entry = collections.namedtuple("Entry", "level index value")
# Where a walk led: the entries, and the physical address or None.
Walk = collections.namedtuple("Walk", "entries physical size")


def walk(read, root, address):
    """Follows an address through the tables from the physical address `root` on."""
    entries = []
    table = root & ADDRESS
    for level in (4, 3, 2, 1):
        shift = 12 + 9 * (level - 1)
        index = address >> shift & 0x1FF
        value = read(table + 8 * index)
        entries.append(Entry(level, index, value))
        if not value & PRESENT:
            return Walk(entries, None, 0)
        if level == 1 or (value & HUGE and level in (2, 3)):
            size = 1 << shift
            return Walk(entries, (value & ADDRESS & ~(size - 1)) + (address & (size - 1)), size)
        table = value & ADDRESS
    raise AssertionError("level 1 ends the walk")


def describe(value):
    """The bits of an entry in words."""
    if not value & PRESENT:
        return "not present"
    words = [word for bit, word in FLAGS if value & bit]
    words.append("no-execute" if value & NO_EXECUTE else "execute")
    return " ".join(words)
