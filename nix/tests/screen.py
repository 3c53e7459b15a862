"""The screen of a machine under test: typing on its keyboard, reading what it shows.

Text is read back by the shapes of the characters, which are taken from the font that the kernel draws with: an
image of one bit a pixel, 16 characters in a row, the printable ASCII characters first.
"""

import json
import os
import socket
import struct
import time
import zlib

WIDTH, HEIGHT = 9, 18
PER_ROW = 16
ASCII = [chr(code) for code in range(0x20, 0x7F)]

# Names of keys for QEMU's `sendkey`, beside letters and digits (qapi/ui.json, QKeyCode; layout us).
KEYS = {
    " ": "spc", "\n": "ret", "\t": "tab", "\b": "backspace", "-": "minus", "=": "equal", "[": "bracket_left",
    "]": "bracket_right", "\\": "backslash", ";": "semicolon", "'": "apostrophe", "`": "grave_accent",
    ",": "comma", ".": "dot", "/": "slash",
    "!": "shift-1", "@": "shift-2", "#": "shift-3", "$": "shift-4", "%": "shift-5", "^": "shift-6", "&": "shift-7",
    "*": "shift-8", "(": "shift-9", ")": "shift-0", "_": "shift-minus", "+": "shift-equal", "{": "shift-bracket_left",
    "}": "shift-bracket_right", "|": "shift-backslash", ":": "shift-semicolon", '"': "shift-apostrophe",
    "~": "shift-grave_accent", "<": "shift-comma", ">": "shift-dot", "?": "shift-slash",
}  # fmt: skip


def key_of(character):
    """What to press for a character."""
    if character in KEYS:
        return KEYS[character]
    return f"shift-{character.lower()}" if character.isupper() else character


def shapes_of(path):
    """The characters by their shapes: HEIGHT numbers of WIDTH bits, also as they are drawn in bold."""
    with open(path, "rb") as file:
        data = file.read()
    pitch = WIDTH * PER_ROW // 8
    shapes = {}
    for index, character in enumerate(ASCII):
        left, top = index % PER_ROW * WIDTH, index // PER_ROW * HEIGHT
        rows = []
        for y in range(top, top + HEIGHT):
            line = int.from_bytes(data[y * pitch : (y + 1) * pitch], "big")
            rows.append(line >> (PER_ROW * WIDTH - left - WIDTH) & (1 << WIDTH) - 1)
        shapes.setdefault(tuple(rows), character)
        shapes.setdefault(tuple(row | row >> 1 for row in rows), character)
    return shapes


class Picture:
    """Pixels of three bytes."""

    def __init__(self, ppm):
        magic, size, _, self.pixels = ppm.split(b"\n", 3)
        assert magic == b"P6", "QEMU writes binary PPM"
        self.width, self.height = map(int, size.split())

    def png(self):
        """As a PNG file."""

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        pitch = self.width * 3
        rows = b"".join(b"\0" + self.pixels[y * pitch : (y + 1) * pitch] for y in range(self.height))
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        signature = b"\x89PNG\r\n\x1a\n"
        return signature + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")

    def cell(self, row, column):
        """The pixels of a cell, a list of rows."""
        pitch, start = self.width * 3, column * WIDTH * 3
        rows = []
        for y in range(row * HEIGHT, (row + 1) * HEIGHT):
            line = self.pixels[y * pitch + start : y * pitch + start + WIDTH * 3]
            rows.append([line[x : x + 3] for x in range(0, len(line), 3)])
        return rows

    def text(self, shapes):
        """The lines of text; what is no known character is U+FFFD."""
        lines = []
        for row in range(self.height // HEIGHT):
            line = "".join(read(self.cell(row, column), shapes) for column in range(self.width // WIDTH))
            lines.append(line.rstrip())
        return "\n".join(lines) + "\n"


class Cells:
    """VGA's text mode: in each cell a character and an attribute."""

    ROWS, COLUMNS = 25, 80

    def __init__(self, memory):
        self.characters = memory[::2].decode("cp437")

    def text(self, _shapes):
        """The lines of text."""
        starts = range(0, self.ROWS * self.COLUMNS, self.COLUMNS)
        return "".join(self.characters[start : start + self.COLUMNS].rstrip() + "\n" for start in starts)


def read(cell, shapes):
    """The character in a cell of two colours, whichever of them is the background."""
    colors = {pixel for line in cell for pixel in line}
    if len(colors) == 1:
        return " "
    for color in sorted(colors):
        rows = tuple(sum((pixel != color) << (WIDTH - 1 - x) for x, pixel in enumerate(line)) for line in cell)
        if rows in shapes:
            return shapes[rows]
    return "\ufffd"


class Window:
    """A viewer of the screen that does nothing but resize it, by the RFB protocol (RFC 6143) and its extension
    "ExtendedDesktopSize"."""

    EXTENDED_DESKTOP_SIZE = -308

    def __init__(self, path):
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(path)
        self.read(12)
        self.connection.send(b"RFB 003.008\n")
        self.read(self.read(1)[0])  # kinds of security, of which 1 is none
        self.connection.send(b"\x01")
        self.read(4)
        self.connection.send(b"\x01")  # others may watch, too
        self.size = struct.unpack(">HH", self.read(4))
        self.read(16)
        self.read(struct.unpack(">I", self.read(4))[0])  # the name
        self.connection.send(struct.pack(">BxHii", 2, 2, 0, self.EXTENDED_DESKTOP_SIZE))

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.connection.recv(length - len(data))
            if not more:
                raise OSError("QEMU closes the window")
            data += more
        return data

    def resize(self, width, height):
        screen = struct.pack(">IHHHHI", 0, 0, 0, width, height, 0)
        self.connection.send(struct.pack(">BxHHBx", 251, width, height, 1) + screen)


class Screen:
    """The screen and the keyboard, by QEMU's machine protocol on a socket."""

    def __init__(self, path, font, vga_text=False):
        self.path = path
        self.shapes = shapes_of(font)
        self.vga_text = vga_text
        self.file = None
        self.window = None

    def options(self):
        """What QEMU needs for it."""
        return ["-qmp", f"unix:{self.path},server=on,wait=off", "-vnc", f"unix:{self.path}.vnc"]

    def call(self, command, **arguments):
        """Has QEMU do something."""
        if self.file is None:
            deadline = time.monotonic() + 30
            connection = socket.socket(socket.AF_UNIX)
            # The socket may not be there yet, or nobody may listen to it yet.
            while connection.connect_ex(self.path) != 0:
                if time.monotonic() > deadline:
                    raise OSError("QEMU does not start")
                time.sleep(0.01)
            self.file = connection.makefile("rw")
            self.file.readline()  # the greeting
            self.call("qmp_capabilities")
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:  # events may come before the answer
            answer = json.loads(self.file.readline())
            if "error" in answer:
                raise OSError(f"{command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def ask(self, line):
        """Gives QEMU's monitor a command; returns its answer."""
        return self.call("human-monitor-command", **{"command-line": line})

    def command(self, line):
        """Gives QEMU's monitor a command that has nothing to answer."""
        if answer := self.ask(line):
            raise OSError(f"{line}: {answer}")

    def send_break(self):
        """Sends a BREAK on the first serial line."""
        self.call("chardev-send-break", id="serial0")

    def press(self, keys):
        """Presses keys together: `ctrl-alt-delete`."""
        self.call("human-monitor-command", **{"command-line": f"sendkey {keys} 20"})
        # The machine must see them go up before the next ones go down.
        time.sleep(0.05)

    def hold(self, key):
        """Holds a key down for long enough to repeat."""
        self.call("human-monitor-command", **{"command-line": f"sendkey {key} 1500"})

    def type(self, text):
        """Types this."""
        for character in text:
            self.press(key_of(character))

    def point(self, **what):
        """Uses the mouse or tablet: `x`, `y`: steps to move; `left`, `top`: where to go (of 32767); `click`: a button."""
        moves = [("rel", "x", "x"), ("rel", "y", "y"), ("abs", "x", "left"), ("abs", "y", "top")]
        events = [
            {"type": kind, "data": {"axis": axis, "value": what[name]}} for kind, axis, name in moves if name in what
        ]
        if events:
            self.call("input-send-event", events=events)
        if "click" in what:
            for down in True, False:
                button = {"type": "btn", "data": {"down": down, "button": what["click"]}}
                self.call("input-send-event", events=[button])

    def resize(self, width, height):
        """Gives the window another size, as a viewer does."""
        self.window = self.window or Window(f"{self.path}.vnc")
        self.window.resize(width, height)

    def picture(self):
        """What it shows now."""
        if self.vga_text:
            path = os.path.abspath(f"{self.path}.cells")
            self.call("pmemsave", val=0xB8000, size=Cells.ROWS * Cells.COLUMNS * 2, filename=path)
            with open(path, "rb") as file:
                return Cells(file.read())
        path = f"{self.path}.ppm"
        self.call("screendump", filename=path)
        with open(path, "rb") as file:
            return Picture(file.read())

    def text(self):
        """The text that it shows now."""
        return self.picture().text(self.shapes)
