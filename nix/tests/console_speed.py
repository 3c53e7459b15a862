"""How fast text appears on the screen, here and on Linux: `cat` of a file to a console of 1920x1080 pixels.

console_speed.py BUSYBOX LINUX COMMAND...   boots both by COMMAND in the same machine, with the same busybox as init

Each system reads the file into memory first, then the cat is timed from here, by what is said on the serial line. What
is compared is bytes a second: Linux gets less text, as it draws every line that passes. Fails if Linux is the faster.
"""

import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from cpio import archive
from driver import Console, Failure

# Bytes of text, and how often: a run of Linux takes minutes.
OURS = (10_000_000, 3)
LINUX = (400_000, 1)
PATIENCE = 1800
# On fewer cells the comparison would be another one.
LEAST_CELLS = 60 * 213

WORDS = """kernel page fault table of the thread scheduler maps memory lock cell console driver reads device block
inode and writes path root file system call user signal timer queue""".split()

INIT = """#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
chvt 1
echo; echo "cells: $(stty -F /dev/tty1 size)"
for kind in plain coloured; do
    cat /text/$kind > /dev/null
    for time in $(seq {times}); do
        echo; echo "begin $kind"
        cat /text/$kind > /dev/tty1
        echo; echo "end $kind"
    done
done
echo; echo done
poweroff -f
"""


def text(size, is_coloured):
    """Lines of 80 to 100 characters; in the coloured text three words of each stand out."""
    choice = random.Random(1)
    lines, length = [], 0
    while length < size:
        words, wanted = [f"{len(lines):06}"], choice.randint(80, 100)
        while len(" ".join(words)) < wanted:
            words.append(choice.choice(WORDS))
        line = " ".join(words)[:wanted].rstrip()
        if is_coloured:
            words = line.split(" ")
            for index in choice.sample(range(len(words)), 3):
                words[index] = f"\x1b[{choice.choice([1, 4, *range(31, 37)])}m{words[index]}\x1b[0m"
            line = " ".join(words)
        lines.append(line)
        length += len(line) + 1
    return "".join(line + "\n" for line in lines)


def tree(folder, busybox, size, times):
    """What both systems find at their root."""
    for name in ["bin", "dev", "proc", "text"]:
        (folder / name).mkdir(parents=True)
    shutil.copy(busybox, folder / "bin/busybox")
    (folder / "bin/busybox").chmod(0o755)
    for applet in ["cat", "chvt", "mount", "poweroff", "seq", "stty"]:
        (folder / "bin" / applet).symlink_to("busybox")
    (folder / "init").write_text(INIT.replace("{times}", str(times)))
    (folder / "init").chmod(0o755)
    for kind in ["plain", "coloured"]:
        (folder / "text" / kind).write_text(text(size, kind == "coloured"))


def measure(command, size):
    """Boots; returns the bytes a second of each kind of text."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    console = Console(process, process.stdout.fileno(), None, PATIENCE, echo=False)
    times = {}
    try:
        console.expect(r"cells: ")
        rows, columns = console.expect(r"\n").split()
        if int(rows) * int(columns) < LEAST_CELLS:
            raise Failure(f"its console has {rows} rows of {columns} characters only")
        while True:
            console.expect(r"\n(?=begin |done\n)")
            if not console.log.startswith("begin", console.matched):
                break
            console.expect(r"begin ")
            kind = console.expect(r"\n")
            begun = time.monotonic()
            console.expect(f"end {kind}\n")
            times.setdefault(kind, []).append(time.monotonic() - begun)
    finally:
        console.kill()
    return {kind: size / statistics.median(seconds) for kind, seconds in times.items()}


def main(busybox, linux, *command):
    """See the module."""
    screen = ["-global", "VGA.xres=1920", "-global", "VGA.yres=1080", "-global", "VGA.vgamem_mb=32"]
    tree(Path("ours"), busybox, *OURS)
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-b", "4096", "-d", "ours", "ours.img", "40M"], check=True)
    tree(Path("linux"), busybox, *LINUX)
    Path("linux.cpio").write_bytes(archive(Path("linux")))
    ours = [*command, "--test", "--rootfs", "ours.img", "--cmdline", "quiet init=/init video=1920x1080", "--", *screen]
    # UEFI's framebuffer is the one that every Linux has a driver for.
    theirs = [*command, "--test", "--boot", "none", "--uefi", "--", *screen]
    theirs += ["-kernel", linux, "-initrd", "linux.cpio", "-append", "console=ttyS0 quiet"]
    here, there = measure(ours, OURS[0]), measure(theirs, LINUX[0])
    is_slower = False
    for kind, speed in here.items():
        ratio = speed / there[kind]
        print(f"{kind}: {speed / 1e6:.2f} MB/s, Linux {there[kind] / 1e6:.4f} MB/s: {ratio:.1f} times as fast")
        is_slower |= ratio < 1
    return int(is_slower)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failure as failure:
        sys.exit(f"console-speed: {failure}")
