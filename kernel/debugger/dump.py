"""Dumps of QEMU (`dump-guest-memory`): their segments are physical memory unless `-p` was said. A debugger wants virtual
addresses; here the page tables in the dump tell them, and the file gets a second table of segments.

No debugger in here. Source: QEMU's target/i386/arch_dump.c (the note that has the control registers), System V ABI.
"""

import struct

from . import paging

LOAD, NOTE = 1, 4
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
# In QEMUCPUState: version and size, 18 registers, 10 segments of 24 bytes, CR0 to CR2.
CR3 = 8 + 18 * 8 + 10 * 24 + 3 * 8


class Dump:
    """An open dump."""

    def __init__(self, file):
        self.file = file
        self.header = list(HEADER.unpack(self.at(0, HEADER.size)))
        if self.header[0][:6] != b"\x7fELF\x02\x01" or self.header[1] != 4:
            raise ValueError("not a 64-bit ELF core file")
        table, size, count = self.header[5], self.header[9], self.header[10]
        self.segments = [SEGMENT.unpack(self.at(table + index * size, SEGMENT.size)) for index in range(count)]
        self.blocks = [segment for segment in self.segments if segment[0] == LOAD]

    def at(self, offset, length):
        """Bytes of the file."""
        self.file.seek(offset)
        return self.file.read(length)

    def is_physical(self):
        """Whether its segments have no virtual addresses: none, or the physical ones in their place."""
        return all(segment[3] in (0, segment[4]) for segment in self.blocks)

    def word(self, physical):
        """The 8 bytes at a physical address; 0 where there is no memory."""
        for _, _, offset, _, start, length, _, _ in self.blocks:
            if start <= physical and physical + 8 <= start + length:
                return int.from_bytes(self.at(offset + physical - start, 8), "little")
        return 0

    def root(self):
        """The first CPU's root table."""
        for kind, _, offset, _, _, length, _, _ in self.segments:
            if kind == NOTE:
                for name, content in notes(self.at(offset, length)):
                    if name == b"QEMU\0" and len(content) >= CR3 + 8:
                        return int.from_bytes(content[CR3 : CR3 + 8], "little")
        raise ValueError("no control registers in it: not a dump of QEMU")

    def virtual_segments(self):
        """Segments of all that the first CPU's page tables map to memory that is in the dump."""
        found = []
        for virtual, physical, length in merged(pages(self.word, self.root())):
            for _, flags, offset, _, start, size, _, align in self.blocks:
                low, high = max(physical, start), min(physical + length, start + size)
                if low < high:
                    found.append((LOAD, flags, offset + low - start, virtual + low - physical, low, high - low, high - low, align))
        return found

    def translate(self):
        """Writes a table with virtual addresses behind the end of the file, and has the header point there."""
        table = [segment for segment in self.segments if segment[0] != LOAD] + self.virtual_segments()
        if len(table) >= 0xFFFF:
            raise ValueError("its memory is in too many pieces for an ELF file")
        self.file.seek(0, 2)
        self.header[5] = self.file.tell()
        self.header[10] = len(table)
        # No sections.
        self.header[6] = self.header[12] = self.header[13] = 0
        for segment in table:
            self.file.write(SEGMENT.pack(*segment))
        self.file.seek(0)
        self.file.write(HEADER.pack(*self.header))
        return len(table)


def notes(data):
    """The names and contents of notes."""
    while len(data) >= 12:
        name_length, length, _ = struct.unpack_from("<III", data)
        start = 12 + -(-name_length // 4) * 4
        yield data[12 : 12 + name_length], data[start : start + length]
        data = data[start + -(-length // 4) * 4 :]


def pages(read, table, level=4, virtual=0):
    """What page tables map, in order: virtual address, physical address, size."""
    shift = 12 + 9 * (level - 1)
    for index in range(512):
        value = read((table & paging.ADDRESS) + 8 * index)
        if not value & paging.PRESENT:
            continue
        address = virtual | index << shift
        if level == 4 and index >= 256:
            address |= 0xFFFF << 48
        if level == 1 or (value & paging.HUGE and level in (2, 3)):
            yield address, value & paging.ADDRESS & ~((1 << shift) - 1), 1 << shift
        else:
            yield from pages(read, value, level - 1, address)


def merged(mappings):
    """Mappings that continue each other, as one."""
    current = None
    for virtual, physical, size in mappings:
        if current and current[0] + current[2] == virtual and current[1] + current[2] == physical:
            current = (current[0], current[1], current[2] + size)
            continue
        if current:
            yield current
        current = (virtual, physical, size)
    if current:
        yield current
