"""As much of the ELF format as tells where a program's segments lie. Source: System V ABI, chapters 4 and 5.

No debugger in here.
"""

import collections
import struct

LOAD = 1
EXECUTE = 1

# One loadable segment: its place in the file, its address, its length in the file, its flags.
Segment = collections.namedtuple("Segment", "offset address length flags")


def segments(data):
    """The loadable segments of a 64-bit little-endian ELF file."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    found = []
    for index in range(count):
        kind, flags, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, table + index * size)
        if kind == LOAD:
            found.append(Segment(offset, address, length, flags))
    return found


def bias(data, offset, address):
    """By how much a program is moved whose code at `offset` of its file, a page's first byte, is mapped at `address`;
    None if none of its code is there."""
    for segment in segments(data):
        if not segment.flags & EXECUTE:
            # Its last page may be the first of the code, mapped a second time.
            continue
        start = segment.offset & ~0xFFF
        if start <= offset < segment.offset + segment.length:
            return address - ((segment.address & ~0xFFF) + (offset - start))
    return None
