"""The format of the kernel's log. No debugger in here."""

import collections

# A message: nanoseconds since boot, CPU, syslog priority, text.
Message = collections.namedtuple("Message", "time_ns cpu priority text")

# lib/message-ring: length (2 bytes), CPU (2), priority (1), time (8), all little-endian, and the text.
HEADER = 13
# log/early.rs: length (2), priority (1), time (8).
EARLY_HEADER = 11


def parse_ring(memory, start, used):
    """The messages of a ring: the oldest is at `start`, all together take `used` bytes."""
    turned = (memory[start:] + memory[:start])[:used]
    messages = []
    while len(turned) >= HEADER:
        length = int.from_bytes(turned[0:2], "little")
        cpu, priority = int.from_bytes(turned[2:4], "little"), turned[4]
        time_ns = int.from_bytes(turned[5:13], "little")
        text = turned[HEADER : HEADER + length].decode(errors="replace")
        messages.append(Message(time_ns, cpu, priority, text))
        turned = turned[HEADER + length :]
    return messages


def parse_early(memory):
    """The messages from before there was a ring."""
    messages = []
    while len(memory) >= EARLY_HEADER:
        length = int.from_bytes(memory[0:2], "little")
        text = memory[EARLY_HEADER : EARLY_HEADER + length].decode(errors="replace")
        messages.append(Message(int.from_bytes(memory[3:11], "little"), 0, memory[2], text))
        memory = memory[EARLY_HEADER + length :]
    return messages
