"""What needs no debugger: page tables, ELF files, the log. `python3 -m unittest discover -s kernel/debugger/tests`."""

import io
import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from debugger import dump, elf, paging, ring  # noqa: E402  (the path has to be set first)


class Paging(unittest.TestCase):
    """Walks through tables that are a dictionary."""

    # Root at 0x1000; 0x2000, 0x3000, 0x4000 below it.
    TABLES = {
        0x1000 + 8 * 511: 0x2023,
        0x2000 + 8 * 510: 0x3023,
        0x3000 + 8 * 8: 0x4023,
        0x3000 + 8 * 9: 0x0080_00E3 | paging.NO_EXECUTE,
        0x4000 + 8 * 1: 0x9_9121,
        0x1000: 0x5027,
        0x5000 + 8: 0x4000_01E3,
    }

    def walk(self, address):
        """A walk, root bits that are no address included."""
        return paging.walk(lambda place: self.TABLES.get(place, 0), 0x1018, address)

    def test_a_page_of_4_kib(self):
        walk = self.walk(0xFFFF_FFFF_8100_1234)
        self.assertEqual((walk.physical, walk.size), (0x99234, 4096))
        self.assertEqual([(entry.level, entry.index) for entry in walk.entries], [(4, 511), (3, 510), (2, 8), (1, 1)])

    def test_huge_pages(self):
        walk = self.walk(0xFFFF_FFFF_8120_1234)
        self.assertEqual((walk.physical, walk.size), (0x80_1234, 2 << 20))
        walk = self.walk(0x4012_3456)
        self.assertEqual((walk.physical, walk.size), (0x4012_3456, 1 << 30))

    def test_what_is_not_there(self):
        for address, entries in ((0xFFFF_8000_0000_0000, 1), (0x0, 2), (0xFFFF_FFFF_8100_2000, 4)):
            walk = self.walk(address)
            self.assertIsNone(walk.physical)
            self.assertEqual(len(walk.entries), entries)

    def test_bits_in_words(self):
        self.assertEqual(paging.describe(0), "not present")
        self.assertEqual(paging.describe(0x167), "write user accessed dirty global execute")
        self.assertEqual(paging.describe(0x1 | paging.NO_EXECUTE), "no-execute")


def program(*segments):
    """An ELF file with these segments: offset, address, length, flags."""
    header = struct.pack("<4sBB10xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 2, 62, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    table = b"".join(
        struct.pack("<IIQQQQQQ", elf.LOAD, flags, offset, address, address, length, length, 0x1000)
        for offset, address, length, flags in segments
    )
    return header + table


class Elf(unittest.TestCase):
    """Where programs lie."""

    # As lld makes them: the page at 0xc000 of the file is mapped twice.
    FILE = program((0, 0x200000, 0xC454, 4), (0xC460, 0x20D460, 0x21000, 5), (0x2D460, 0x22F460, 0x900, 6))

    def test_segments(self):
        self.assertEqual(elf.segments(self.FILE)[1], elf.Segment(0xC460, 0x20D460, 0x21000, 5))

    def test_a_program_at_its_place(self):
        self.assertEqual(elf.bias(self.FILE, 0xC000, 0x20D000), 0)

    def test_a_program_that_is_moved(self):
        self.assertEqual(elf.bias(self.FILE, 0xC000, 0x5555_5560_D000), 0x5555_5540_0000)

    def test_the_middle_of_the_code(self):
        self.assertEqual(elf.bias(self.FILE, 0x1_0000, 0x7000_0021_1000), 0x7000_0000_0000)

    def test_what_is_not_code(self):
        self.assertIsNone(elf.bias(self.FILE, 0x2E000, 0x230000))

    def test_what_is_no_program(self):
        with self.assertRaises(ValueError):
            elf.segments(b"#!/bin/sh\n")


def record(time_ns, cpu, priority, text):
    """A message as the ring has it."""
    return struct.pack("<HHBQ", len(text), cpu, priority, time_ns) + text


class Ring(unittest.TestCase):
    """Reading the log."""

    RECORDS = record(1_000_000, 0, 6, b"first") + record(2_500_000_000, 3, 4, b"second")

    def test_messages_in_turn(self):
        wanted = [ring.Message(1_000_000, 0, 6, "first"), ring.Message(2_500_000_000, 3, 4, "second")]
        self.assertEqual(ring.parse_ring(self.RECORDS + bytes(50), 0, len(self.RECORDS)), wanted)

    def test_around_the_end(self):
        for start in range(1, 70):
            memory = bytearray(70)
            for index, byte in enumerate(self.RECORDS):
                memory[(start + index) % len(memory)] = byte
            texts = [message.text for message in ring.parse_ring(bytes(memory), start, len(self.RECORDS))]
            self.assertEqual(texts, ["first", "second"])

    def test_early_messages(self):
        memory = struct.pack("<HBQ", 3, 6, 7) + b"one" + struct.pack("<HBQ", 0, 4, 8)
        self.assertEqual(ring.parse_early(memory), [ring.Message(7, 0, 6, "one"), ring.Message(8, 0, 4, "")])


def physical_dump():
    """A dump of two blocks of memory, with a page table in the first: 0x0 to 0x5fff and 0x99000 to 0x9afff."""
    low, high = bytearray(0x6000), bytearray(b"H" * 0x1000 + b"I" * 0x1000)
    entries = {0x1000 + 8 * 511: 0x2003, 0x2000 + 8 * 510: 0x3003, 0x3000 + 8 * 8: 0x4003}
    # Two pages in a row, one elsewhere, one that is no memory.
    entries.update({0x4000: 0x9_9003, 0x4008: 0x9_A003, 0x4028: 0x5003, 0x4030: 0xFEE0_0003})
    for place, value in entries.items():
        low[place : place + 8] = value.to_bytes(8, "little")
    low[0x5000:] = b"L" * 0x1000
    state = bytes(dump.CR3) + (0x1000).to_bytes(8, "little") + bytes(32)
    note = struct.pack("<III", 5, len(state), 0) + b"QEMU\0\0\0\0" + state
    start = dump.HEADER.size + 3 * dump.SEGMENT.size
    header = dump.HEADER.pack(
        b"\x7fELF\x02\x01\x01" + bytes(9), 4, 62, 1, 0, dump.HEADER.size, 0, 0, dump.HEADER.size, dump.SEGMENT.size, 3, 0, 0, 0
    )
    places = ((4, len(note), 0), (1, len(low), 0), (1, len(high), 0x9_9000))
    table = b""
    for kind, length, physical in places:
        table += dump.SEGMENT.pack(kind, 0, start, physical, physical, length, length, 0)
        start += length
    return io.BytesIO(header + table + note + bytes(low) + bytes(high))


class Dump(unittest.TestCase):
    """Dumps of physical memory."""

    def test_segments_get_virtual_addresses(self):
        file = physical_dump()
        opened = dump.Dump(file)
        self.assertTrue(opened.is_physical())
        self.assertEqual(opened.root(), 0x1000)
        self.assertEqual(opened.translate(), 3)
        again = dump.Dump(file)
        self.assertFalse(again.is_physical())
        found = {segment[3]: again.at(segment[2], segment[5]) for segment in again.blocks}
        wanted = {0xFFFF_FFFF_8100_0000: b"H" * 0x1000 + b"I" * 0x1000, 0xFFFF_FFFF_8100_5000: b"L" * 0x1000}
        self.assertEqual(found, wanted)

    def test_what_is_no_dump(self):
        with self.assertRaises(ValueError):
            dump.Dump(io.BytesIO(program()))


if __name__ == "__main__":
    unittest.main()
