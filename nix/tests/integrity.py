"""What happens to file systems when things go wrong, judged by e2fsck and debugfs.

integrity.py power-cuts ROUNDS SEED COMMAND...      boots a machine by COMMAND with a disk of its own, lets programs
                                                    write to it, and kills the machine at a random moment, again and
                                                    again: what was fsynced must be there, nothing that lay on the disk
                                                    before in any file, and nothing to repair
integrity.py tree FILES SEED COMMAND...             has the machine copy a tree of that many files from one disk to another,
                                                    and compares what it read and what it wrote, byte for byte
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
PATIENCE = 900
PROMPT = r"root@rust-os:[^ ]*# "
REJECTED = [r"kernel panic", r"lockdep:", r"a thread has been waiting"]
CUT_DISK_MIB = 48
# What the disk holds where nothing was written.
OLD = b"what lay on the disk before\n"
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


def check_old(tree):
    """Nothing that lay on the disk before shows in a file, and space that was taken ahead is zero."""
    seen = 0
    for file in tree.rglob("*"):
        if file.is_symlink() or not file.is_file():
            continue
        contents = file.read_bytes()
        seen += 1
        if OLD[:20] in contents:
            raise Failure(f"{file} shows what lay on the disk before")
        if re.fullmatch(r"p\d", file.name) and contents.strip(b"\0"):
            raise Failure(f"{file} was never written to and is not zero")
    return seen


def power_cuts(rounds, seed, command):
    """See the module."""
    choice = random.Random(seed)
    Path("content").mkdir()
    shutil.copy(HERE / "power_cut.sh", "content/work.sh")
    image, repaired = Path("cut.img"), Path("repaired.img")
    image.write_bytes((OLD * ((CUT_DISK_MIB << 20) // len(OLD) + 1))[: CUT_DISK_MIB << 20])
    tool("mke2fs", "-q", "-F", "-t", "ext3", "-b", "4096", "-J", "size=4", "-E", "nodiscard", "-d", "content", str(image))
    for number in range(rounds):
        console = boot(command, [image])
        try:
            type_at_prompt(console, "mount -t ext3 /dev/vdb /mnt && cd /mnt && ls && rm -rf a b")
            for name in "ab":
                type_at_prompt(console, f"sh /mnt/work.sh {name} {choice.randrange(1 << 15)} &")
            console.expect("kept")
            delay = choice.uniform(0.1, 3)
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
        files = check_old(Path("dump"))
        print(f"\ncut {number + 1} of {rounds} after {delay:.1f} s: {len(kept)} fsynced files are there, of {files}", flush=True)
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


# Names that programs stumble over.
ODD_NAMES = [
    b"new\nline", b" leading", b"trailing ", b"-rf", b"--", b"*", b"?", b"[a]", b"quo'te\"", b"back\\slash", b"$HOME",
    b"`x`", b"a;b", b"\t", b"\x01\x7f", b"#", b"~", b"...", "Größe".encode(), "日本語".encode(), b"\xff\xfe not UTF-8",
    b"n" * 255, "ü".encode() * 127, b"%s%n", b"|", b"&", b"<>", b"{a,b}", b"=", b"lost+found ",
]


def make_tree(root, count, choice):
    """A tree of so many files: a full directory, deep ones, odd names, holes, links."""
    def put(path, contents):
        with open(path, "wb") as file:
            file.write(contents)

    os.mkdir(root)
    for place in (b"many", b"odd", b"large"):
        os.mkdir(os.path.join(root, place))
    for index, name in enumerate(ODD_NAMES):
        put(os.path.join(root, b"odd", name), name * index)
        directory = os.path.join(root, b"odd", b"in %d" % index)
        os.mkdir(directory)
        os.mkdir(os.path.join(directory, name))
        os.symlink(name, os.path.join(directory, b"to"))
    deep = root
    for level in range(100):
        deep = os.path.join(deep, b"deep %d" % level)
        os.mkdir(deep)
        put(os.path.join(deep, b"file"), choice.randbytes(level * 37))
    os.link(os.path.join(deep, b"file"), os.path.join(root, b"a second name"))
    # Of 3 GiB, with data at its start, in each height of the block map, and at its end.
    size = 3 << 30 if count >= 100_000 else 300 << 20
    with open(os.path.join(root, b"large", b"sparse"), "wb") as file:
        for offset in (0, 40_000, 1 << 20, 5 << 20, size // 2, size - 5000):
            file.seek(offset)
            file.write(choice.randbytes(5000))
    put(os.path.join(root, b"large", b"dense"), choice.randbytes(20 << 20))
    # Two thirds in one directory, the others in many.
    for index in range(count):
        if index % 3:
            path = os.path.join(root, b"many", b"%d-%x" % (index, index * 0x9E3779B1 & 0xFFFFFFFF))
        else:
            directory = os.path.join(root, b"few", b"%d" % (index // 3000))
            os.makedirs(directory, exist_ok=True)
            path = os.path.join(directory, b"file %d" % index)
        put(path, choice.randbytes(choice.choice((0, 10, 100, 1000, 5000))))


def digests(root):
    """What `find . | sort` and `md5sum` of all files in that order come to, as the machine reckons it."""
    paths = [b"."]
    for directory, directories, files in os.walk(root):
        inside = b"." + directory[len(root):]
        paths += [os.path.join(inside, name) for name in directories + files]
    paths.sort()
    names, contents = hashlib.md5(), hashlib.md5()
    for path in paths:
        names.update(path + b"\0")
        place = os.path.join(root, path[2:])
        if not os.path.islink(place) and os.path.isfile(place):
            with open(place, "rb") as file:
                digest = hashlib.file_digest(file, "md5").hexdigest()
            contents.update(digest.encode() + b"  " + path + b"\n")
    return names.hexdigest(), contents.hexdigest()


def same_trees(one, other):
    """Fails unless two trees are the same: names, types, permissions, times, links and every byte."""
    def walk(root):
        for directory, directories, files in os.walk(root):
            for name in directories + files:
                yield os.path.join(directory, name)[len(root) + 1:]

    expected = sorted(walk(one))
    if expected != sorted(path for path in walk(other) if path != b"lost+found"):
        raise Failure("the copy has other names")
    for path in expected:
        here, there = os.path.join(one, path), os.path.join(other, path)
        old, new = os.lstat(here), os.lstat(there)
        # debugfs gives symbolic links the time at which it makes them.
        is_same_time = int(old.st_mtime) == int(new.st_mtime) or os.path.islink(here)
        if old.st_mode != new.st_mode or not is_same_time:
            raise Failure(f"{path} has mode {new.st_mode:o} and time {new.st_mtime}, not {old.st_mode:o}, {old.st_mtime}")
        if os.path.islink(here):
            if os.readlink(here) != os.readlink(there):
                raise Failure(f"{path} leads elsewhere")
        elif os.path.isfile(here):
            with open(here, "rb") as left, open(there, "rb") as right:
                while chunk := left.read(1 << 20):
                    if right.read(1 << 20) != chunk:
                        raise Failure(f"{path} has other contents")
                if right.read(1):
                    raise Failure(f"{path} is longer")
    return len(expected)


def tree(count, seed, command):
    """See the module."""
    choice = random.Random(seed)
    original, copy = b"original", b"copy"
    make_tree(original, count, choice)
    is_large = count >= 100_000
    inodes = count * 5 // 4 + 1000
    for name, mib, options in (
        ("from.img", 1200 if is_large else 200, ["-t", "ext2", "-d", "original"]),
        ("to.img", 5000 if is_large else 700, ["-t", "ext3"]),
    ):
        tool("mke2fs", "-q", "-b", "4096", "-N", str(inodes), *options, name, f"{mib}M")
    console = boot(command, ["from.img", "to.img"])
    console.deadline += 5 * PATIENCE
    try:
        type_at_prompt(console, "mkdir /tmp/b; mount -o ro /dev/vdb /mnt && mount -t ext3 /dev/vdc /tmp/b && rmdir /tmp/b/*")
        type_at_prompt(console, "cd /mnt; all() { find . ! -path ./lost+found \"$@\" -print0 | LC_ALL=C sort -z; }")
        type_at_prompt(console, "echo names $(all | md5sum); echo contents $(all -type f | xargs -0 md5sum | md5sum)")
        type_at_prompt(console, "for i in *; do [ \"$i\" = lost+found ] || cp -a \"$i\" /tmp/b/; done; echo copied $?")
        type_at_prompt(console, "cd /; umount /tmp/b && umount /mnt && poweroff")
        if status := console.end():
            raise Failure(f"the machine ended with status {status}")
    finally:
        console.kill()
    names, contents = digests(original)
    for what, digest in (("names", names), ("contents", contents)):
        found = re.findall(rf"(?m)^{what} ([0-9a-f]{{32}})", console.log)
        if found != [digest]:
            raise Failure(f"the machine read other {what}: {found}, not {digest}")
    tool("e2fsck", "-fn", "to.img")
    os.mkdir(copy)
    tool("debugfs", "-R", "rdump / copy", "to.img")
    print(f"\n{same_trees(original, copy)} names, all bytes as they were, read and written")


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
        {"power-cuts": power_cuts, "broken-images": broken_images, "tree": tree}[what](int(number), int(seed), command)
    except Failure as failure:
        sys.exit(f"{what}: {failure}")


if __name__ == "__main__":
    main()
