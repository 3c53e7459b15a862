"""What happens to file systems when things go wrong, judged by e2fsck and debugfs.

integrity.py power-cuts ROUNDS SEED COMMAND...      boots a machine by COMMAND with a disk of its own, lets programs
                                                    write to it, and kills the machine at a random moment, again and
                                                    again: what was fsynced must be there, and nothing to repair
integrity.py broken-images COUNT SEED COMMAND...    has the machine mount, walk and empty that many damaged file
                                                    systems: it must live through it
"""

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from driver import Console, Failure

HERE = Path(__file__).parent
# Seconds that anything may take on a machine with much else to do.
PATIENCE = 600
PROMPT = r"root@rust-os:[^ ]*# "
REJECTED = [r"kernel panic", r"lockdep:", r"a thread has been waiting"]
CUT_DISK_MIB = 48
BROKEN_KIB = 128


def tool(*arguments, allowed=(0,)):
    """Runs a program of e2fsprogs; returns what it says."""
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode not in allowed:
        raise Failure(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def boot(command, disks):
    """Starts a machine with these disks behind its root."""
    drives = [part for disk in disks for part in ("--drive", str(disk))]
    process = subprocess.Popen(
        command + drives + ["--cmdline", "quiet"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    return Console(process, process.stdout.fileno(), process.stdin.fileno(), PATIENCE, REJECTED)


def type_at_prompt(console, text):
    console.expect(PROMPT)
    console.type(text + "\n")


def kept_files(log):
    """The files that must be there: path to checksum."""
    return dict(re.findall(r"^kept (\S+) ([0-9a-f]{32})$", log, re.MULTILINE))


def check_kept(image, kept):
    """Compares a file system with what was promised."""
    out = Path("dump")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    tool("debugfs", "-R", f"rdump / {out}", str(image))
    for path, checksum in kept.items():
        file = out / path
        if not file.is_file():
            raise Failure(f"{path} was fsynced and is gone")
        if hashlib.md5(file.read_bytes()).hexdigest() != checksum:
            raise Failure(f"{path} was fsynced and has other contents")


def power_cuts(rounds, seed, command):
    """See the module."""
    choice = random.Random(seed)
    Path("content").mkdir()
    shutil.copy(HERE / "power_cut.sh", "content/work.sh")
    image, repaired = Path("cut.img"), Path("repaired.img")
    tool("mke2fs", "-q", "-t", "ext3", "-b", "4096", "-J", "size=4", "-d", "content", str(image), f"{CUT_DISK_MIB}M")
    for number in range(rounds):
        console = boot(command, [image])
        try:
            type_at_prompt(console, "mount -t ext3 /dev/vdb /mnt && cd /mnt && ls && rm -rf a b")
            for name in "ab":
                type_at_prompt(console, f"sh /mnt/work.sh {name} {choice.randrange(1 << 15)} &")
            console.expect("kept")
            delay = choice.uniform(0.3, 4)
            end = time.monotonic() + delay
            while time.monotonic() < end:
                console.read(end - time.monotonic())
        finally:
            console.kill()
        while console.read(1):  # what it said before it died
            pass
        kept = kept_files(console.log[: console.log.rfind("\n") + 1])
        shutil.copy(image, repaired)
        said = tool("e2fsck", "-fy", str(repaired), allowed=(0, 1))
        if "? yes" in said:
            raise Failure(f"e2fsck had to repair after the journal was recovered:\n{said}")
        tool("e2fsck", "-fn", str(repaired))
        check_kept(repaired, kept)
        print(f"\ncut {number + 1} of {rounds} after {delay:.1f} s: {len(kept)} fsynced files are there", flush=True)
        # In turn, the kernel's own recovery and that of e2fsck are what the next round begins with.
        if number % 2:
            shutil.copy(repaired, image)
    console = boot(command, [image])
    try:
        type_at_prompt(console, "mount -t ext3 /dev/vdb /mnt && ls /mnt && poweroff")
        if status := console.end():
            raise Failure(f"the machine ended with status {status}")
    finally:
        console.kill()
    tool("e2fsck", "-fn", str(image))


def damaged(image, choice):
    """A copy with a few bytes changed where there are any."""
    used = [index for index in range(0, len(image), 1024) if any(image[index : index + 1024])]
    copy = bytearray(image)
    for _ in range(choice.randint(1, 20)):
        place = choice.choice(used) + choice.randrange(1024)
        match choice.randrange(3):
            case 0:
                copy[place] ^= 1 << choice.randrange(8)
            case 1:
                copy[place] = choice.randrange(256)
            case _:  # a number that could be a block or an inode
                place &= ~3
                copy[place : place + 4] = choice.randrange(BROKEN_KIB + 20).to_bytes(4, "little")
    return bytes(copy)


def broken_images(count, seed, command):
    """See the module."""
    choice = random.Random(seed)
    content = Path("content")
    (content / "a/b/c").mkdir(parents=True)
    (content / "a/file").write_bytes(b"x" * 20_000)
    (content / "a/b/small").write_bytes(b"small")
    (content / "a/link").symlink_to("b/small")
    (content / "a/slow").symlink_to("s" * 100)
    for index in range(20):
        (content / f"a/b/c/with a long name, so that blocks fill {index}").touch()
    tool("mke2fs", "-q", "-t", "ext2", "-b", "1024", "-N", "64", "-d", "content", "victim.img", f"{BROKEN_KIB}k")
    victim = Path("victim.img").read_bytes()
    with open("all.img", "wb") as file:
        for _ in range(count):
            file.write(damaged(victim, choice))
    for name in ("one.img", "other.img"):
        Path(name).write_bytes(victim)
    console = boot(command, ["all.img", "one.img", "other.img"])
    try:
        type_at_prompt(console, "dmesg -n 1")
        # Two side by side, each with every second image: what one mounts must not keep the other from unmounting.
        type_at_prompt(
            console,
            f"walk() {{ i=$1; n=0; mkdir -p $3; while [ $i -lt {count} ]; do"
            f" dd if=/dev/vdb of=$2 bs={BROKEN_KIB}k skip=$i count=1 2> /dev/null;"
            " if mount -t ext2 -o errors=continue $2 $3 2> /dev/null; then n=$((n + 1));"
            " ls -lR $3 > /dev/null 2>&1; head -c 100000 $3/a/* $3/a/b/* > /dev/null 2>&1;"
            " cp -r $3/a $3/copy 2> /dev/null; rm -rf $3/* 2> /dev/null;"
            " umount $3 || echo stuck $i; fi; i=$((i + 2)); done; echo mounted $n up to $i; }")
        type_at_prompt(console, "walk 0 /dev/vdc /tmp/one & walk 1 /dev/vdd /tmp/other; wait; echo both have ended")
        console.expect(r"(?m)^both have ended")
        ends = re.findall(r"(?m)^mounted (\d+) up to (\d+)", console.log)
        if sorted(int(end) for _, end in ends) != [count, count + 1]:
            raise Failure("not all were tried")
        mounted = sum(int(number) for number, _ in ends)
        if re.search(r"(?m)^stuck \d", console.log):
            raise Failure("a damaged file system could not be unmounted")
        if mounted < count // 4:
            raise Failure(f"only {mounted} of {count} could be mounted: too much damage to show anything")
        type_at_prompt(console, "poweroff")
        if status := console.end():
            raise Failure(f"the machine ended with status {status}")
    finally:
        console.kill()
    print(f"\n{count} damaged file systems, {mounted} of them mounted")


def main():
    """See the module."""
    what, number, seed, *command = sys.argv[1:]
    try:
        {"power-cuts": power_cuts, "broken-images": broken_images}[what](int(number), int(seed), command)
    except Failure as failure:
        sys.exit(f"{what}: {failure}")


if __name__ == "__main__":
    main()
