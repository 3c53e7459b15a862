"""How fast the file system on a virtio disk is, here and on Linux: both boot the same image, with the same program.

disk_speed.py [OPTION...] COMMAND...   COMMAND starts QEMU with the flags that both get

The systems take turns; of each measurement (`disk-speed --list` says what they are) the table has the median of all
rounds, the least and the greatest, and how many times as fast we are. The image is made anew for each boot, with the
features of our root disks, so with a journal; Linux mounts it by its driver for ext4, as ext3. Linux does without its
mitigations of faults of CPUs, as we do.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from cpio import archive
from driver import Console, Failure

PATIENCE = 900
DISK = 768 << 20

# What both find at the root of the disk.
INIT = """#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
echo; echo begin
disk-speed --dir / {options}
echo; echo "end $?"
sync
poweroff -f
"""

# What Linux needs before: drivers. Those that its kernel has built in are not in the folder of modules.
MODULES = ["virtio_pci", "virtio_blk", "ext4"]
LOADER = """#!/bin/busybox sh
export PATH=/bin
mount -t devtmpfs dev /dev
for module in {modules}; do insmod /modules/$module; done
until [ -e /dev/vda ]; do sleep 0.1; done
mount -t ext3 /dev/vda /root
exec switch_root /root /init
"""
MODULE_FILE = re.compile(r"(?P<name>.+)\.ko(?P<packed>\.xz|\.gz)?")


def programs(folder, busybox, applets):
    """Puts busybox into /bin."""
    for name in ["bin", "dev", "proc", "root"]:
        (folder / name).mkdir(parents=True)
    shutil.copy(busybox, folder / "bin/busybox")
    for applet in applets:
        (folder / "bin" / applet).symlink_to("busybox")


def script(path, text):
    """A file that can be executed."""
    path.write_text(text)
    path.chmod(0o755)


def unpacked(path, packed):
    """The bytes of a module."""
    if packed == ".xz":
        import lzma
        return lzma.decompress(path.read_bytes())
    if packed == ".gz":
        import gzip
        return gzip.decompress(path.read_bytes())
    return path.read_bytes()


def modules_of(folder):
    """The modules to load, each behind what it depends on: a list of (name, bytes)."""
    files = {}
    for root, _, names in os.walk(folder or "/nonexistent"):
        for name in names:
            if found := MODULE_FILE.fullmatch(name):
                files[found["name"].replace("-", "_")] = (Path(root) / name, found["packed"])
    loaded = {}

    def load(name):
        if name in loaded or name not in files:
            return
        data = unpacked(*files[name])
        depends = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in depends[1].decode().split(",") if depends else []:
            load(other.replace("-", "_"))
        loaded[name] = data

    for name in MODULES:
        load(name)
    return list(loaded.items())


def loader(busybox, modules):
    """Linux's initial file system."""
    folder = Path("loader")
    programs(folder, busybox, ["insmod", "mount", "sleep", "switch_root"])
    (folder / "modules").mkdir()
    for name, data in modules:
        (folder / "modules" / name).write_bytes(data)
    script(folder / "init", LOADER.format(modules=" ".join(name for name, _ in modules)))
    return archive(folder)


def measure(command):
    """Boots; returns the rate and the unit of each measurement."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    console = Console(process, process.stdout.fileno(), None, PATIENCE, [r"[Kk]ernel panic"], echo=False)
    try:
        console.expect(r"\nbegin\n")
        printed = console.expect(r"\nend (?=\d+\n)")
        if (status := console.expect(r"\n")) != "0":
            raise Failure(f"disk-speed ends with status {status}:\n{printed}")
        console.end()
    finally:
        console.kill()
    return {name: (float(rate), unit) for name, rate, unit in re.findall(r"disk-speed: (\S+) ([\d.]+) (\S+)", printed)}


def figure(number):
    """A rate in a few characters."""
    return f"{number:.1f}" if number < 1000 else f"{number:.0f}"


def table(ours, theirs):
    """Prints the lines for lists of what `measure` returns."""
    def summary(rates):
        return f"{figure(statistics.median(rates)):>8} {f'({figure(min(rates))} to {figure(max(rates))})':<20}"

    print(f"{'':14} {'':8} {'rust-os':>8} {'':20} {'Linux':>8} {'':20} times as fast")
    for name, (_, unit) in ours[0].items():
        here, there = ([rates[name][0] for rates in rounds] for rounds in (ours, theirs))
        ratio = statistics.median(here) / statistics.median(there)
        print(f"{name:14} {unit:8} {summary(here)} {summary(there)} {ratio:.2f}")


def main():
    """See the module."""
    parser = argparse.ArgumentParser()
    for name in ["busybox", "program", "kernel", "linux"]:
        parser.add_argument(f"--{name}", required=True, help="a file of what is compared")
    parser.add_argument("--modules", default="", help="the folder of Linux's modules")
    parser.add_argument("--rounds", type=int, default=3, help="how often each system is booted (3)")
    parser.add_argument("--measure", default="", help="options of the program disk-speed, such as --only stat,open")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    tree = Path("tree")
    programs(tree, options.busybox, ["mount", "poweroff", "sync"])
    shutil.copy(options.program, tree / "bin/disk-speed")
    script(tree / "init", INIT.format(options=options.measure))
    Path("loader.cpio").write_bytes(loader(options.busybox, modules_of(options.modules)))
    Path("mke2fs.conf").write_text("[fs_types]\nsmall = {\n}\n")  # none of the machine's defaults
    make = ["mke2fs", "-q", "-F", "-t", "ext2", "-b", "4096", "-I", "256", "-m", "0", "-O",
            "none,filetype,sparse_super,large_file,has_journal", "-d", "tree", "disk.img"]
    command = [*options.command, "--test", "--boot", "none", "--drive", "disk.img", "--"]
    systems = [
        ["-kernel", options.kernel, "-append", "root=/dev/vda rw console=ttyS0 quiet init=/init debug_exit"],
        ["-kernel", options.linux, "-append", "console=ttyS0 quiet mitigations=off", "-initrd", "loader.cpio"],
    ]
    rounds = [[], []]
    for number in range(options.rounds):
        for index, (name, more) in enumerate(zip(["rust-os", "Linux"], systems, strict=True)):
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
            with open("disk.img", "wb") as image:
                image.truncate(DISK)
            subprocess.run(make, check=True, env={**os.environ, "MKE2FS_CONFIG": "mke2fs.conf"})
            rounds[index].append(measure([*command, *more]))
    table(*rounds)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"disk-speed: {failure}")
