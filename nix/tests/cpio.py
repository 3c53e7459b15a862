"""Linux's initial file system, made of a folder."""

import os


def archive(folder):
    """A folder as Linux's initial file system: the "newc" format of cpio."""
    parts = []

    def add(name, mode, data):
        name = name.encode() + b"\0"
        fields = [len(parts) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        head = b"070701" + "".join(f"{field:08x}" for field in fields).encode() + name
        parts.append(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))

    for path in sorted(folder.rglob("*")):
        data = b""
        if path.is_symlink():
            data = os.readlink(path).encode()
        elif path.is_file():
            data = path.read_bytes()
        add(str(path.relative_to(folder)), path.lstat().st_mode, data)
    add("TRAILER!!!", 0, b"")
    return b"".join(parts)
