"""Compares what `evaluate-aml` makes of ACPI tables with what ACPICA's `acpiexec` does, which has Linux's interpreter.

The tables are those that QEMU has for some machines, and what `iasl` compiles of `acpi/*.asl`. Every name must be there with
the same kind, every value and every method without arguments must be evaluated to the same, in the same order; what fails
in one must fail in the other.

Usage: acpi.py EVALUATE-AML FOLDER-OF-ASL
"""

import glob
import os
import re
import struct
import subprocess
import sys

# Machines of QEMU, by what their tables have in them.
MACHINES = {
    "q35": ["-machine", "q35"],
    "pc": ["-machine", "pc", "-smp", "2"],
    "hot-plug": [
        "-machine", "q35", "-smp", "2,maxcpus=8", "-m", "128M,slots=4,maxmem=1G", "-device", "vmgenid",
        "-device", "pcie-root-port,id=port0,slot=1", "-device", "pcie-root-port,id=port1,slot=2",
        "-device", "pcie-pci-bridge,id=bridge0,bus=port1", "-device", "pci-testdev,bus=bridge0,addr=1.0",
        "-device", "pxb-pcie,id=bus32,bus_nr=32",
    ],
}

# fw_cfg, QEMU's way to hand things to firmware: its directory's key, and the ports that start a transfer.
DIRECTORY = 0x19
KEYS = 0x60
SELECT_AND_READ = 8 | 2
LARGEST = 0x40000
# Where requests and answers lie in the guest's memory.
REQUESTS, ANSWER = 0x1000, 0x1000000

HEADER = 36

# ObjectType of what has a value.
VALUES = {1, 2, 3, 4, 5, 14}
METHOD = 8
# acpiexec's words in its list of names.
KINDS = {
    "Scope": 0, "Integer": 1, "String": 2, "Buffer": 3, "Package": 4, "RegionField": 5, "BankField": 5, "IndexField": 5,
    "Device": 6, "Event": 7, "Method": 8, "Mutex": 9, "Region": 10, "Power": 11, "Processor": 12, "Thermal": 13,
    "BufferField": 14,
}
# What the interpreters have of themselves.
PREDEFINED = {"\\", "\\_GPE", "\\_PR", "\\_SB", "\\_SI", "\\_TZ", "\\_GL", "\\_OS", "\\_OSI", "\\_REV"}


def run(*command, stdin=""):
    """A program's output; ends the check where it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def firmware_file(name, machine):
    """A file of fw_cfg. The guest does not run; the monitor writes to the ports as it would."""
    # A request for each key, since the keys are known by reading the directory.
    requests = (struct.pack(">IIQ", key << 16 | SELECT_AND_READ, LARGEST, ANSWER) for key in range(KEYS))
    with open("requests", "wb") as file:
        file.write(b"".join(requests))
    loader = f"loader,file=requests,addr={REQUESTS:#x},force-raw=on"
    qemu = subprocess.Popen(
        ["qemu-system-x86_64", *machine, "-accel", "tcg", "-S", "-nodefaults", "-display", "none", "-monitor", "stdio",
         "-device", loader],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )

    def read(key, length):
        # The register is big-endian, and its lower half starts the transfer.
        address = struct.unpack("<I", struct.pack(">I", REQUESTS + 16 * key))[0]
        print(f"o /w 0x514 0\no /w 0x518 {address:#x}\npmemsave {ANSWER:#x} {length} answer\ninfo status",
              file=qemu.stdin, flush=True)
        if not any("VM status" in line for line in qemu.stdout):
            sys.exit("QEMU has ended")
        with open("answer", "rb") as file:
            return file.read()

    directory = read(DIRECTORY, 4 + 64 * KEYS)
    for entry in range(struct.unpack(">I", directory[:4])[0]):
        length, key, _, found = struct.unpack_from(">IHH56s", directory, 4 + 64 * entry)
        if found.rstrip(b"\0").decode() == name:
            content = read(key, length)
            qemu.communicate("quit\n")
            return content
    sys.exit(f"QEMU has no {name} in fw_cfg")


def tables_of(machine, name):
    """Files with the tables that hold code, the DSDT first."""
    tables = firmware_file("etc/acpi/tables", machine)
    found = {b"DSDT": [], b"SSDT": []}
    at = 0
    while tables[at:at + 4].strip(b"\0"):
        signature, length = struct.unpack_from("<4sI", tables, at)
        if signature in found:
            # Firmware would set the checksum.
            table = bytearray(tables[at:at + length])
            table[9] = 0
            table[9] = -sum(table) & 0xff
            path = f"{name}-{signature.decode()}-{len(found[signature])}.aml"
            with open(path, "wb") as file:
                file.write(table)
            found[signature].append(path)
        at += length
        at += len(tables[at:]) - len(tables[at:].lstrip(b"\0"))
    return found[b"DSDT"] + found[b"SSDT"]


def compiled(source):
    """The file that iasl makes of one."""
    name = os.path.splitext(os.path.basename(source))[0]
    # As it stands: no optimization, no folding of constants.
    run("iasl", "-oa", "-of", "-p", name, source)
    return f"{name}.aml"


def nodes(tables, evaluate):
    """What `evaluate-aml` lists: (path, kind, arguments)."""
    lines = run(evaluate, *tables).splitlines()
    words = (line.split() for line in lines if line.startswith("name "))
    return [(path, int(kind), int(arguments)) for _, path, kind, arguments in words]


def judged_nodes(output):
    """The names in acpiexec's list: {path: kind}."""
    names, way = {}, []
    for depth, name, kind in re.findall(r"^ *(\d+) +(\S{4}) (\w+) +0x", output, re.M):
        del way[int(depth):]
        way.append(name.rstrip("_") or "_")
        # Names of acpiexec's own, for its tests.
        if kind != "Alias" and way[0] != "_TI":
            names["\\" + ".".join(way)] = KINDS.get(kind, kind)
    return names


def value(lines):
    """A value as acpiexec prints it, as `evaluate-aml` does; lines are taken from the list."""
    line = lines.pop(0).strip()
    if match := re.match(r"\[Integer\] = ([0-9A-F]+)$", line):
        return f"Integer {int(match[1], 16):X}"
    if match := re.match(r'\[String\] Length ([0-9A-F]+) = "(.*)"$', line):
        return f'String "{match[2]}"'
    if match := re.match(r"\[Buffer\] Length ([0-9A-F]+) =(.*)$", line):
        length, rows = int(match[1], 16), [match[2]]
        while len(rows) * 16 < length + 16 and lines and re.match(r"\s+[0-9A-F]{4}: ", lines[0]):
            rows.append(lines.pop(0))
        data = [byte for row in rows for byte in re.findall(r"\b[0-9A-F]{2}\b", row.split("//")[0].split(": ")[-1])]
        return "Buffer" + "".join(f" {byte}" for byte in data[:length])
    if match := re.match(r"\[Package\] Contains (\d+) Elements:$", line):
        return "Package [" + ", ".join(value(lines) for _ in range(int(match[1]))) + "]"
    if match := re.match(r"\[Object Reference\] = .*Name (\S+)", line):
        return "Reference " + (match[1].rstrip("_") or "_")
    if line.startswith("[Null Object]"):
        return "nothing"
    sys.exit(f"acpiexec prints `{line}`, which is not understood")


def judged_values(output):
    """What acpiexec has evaluated, in order."""
    values = []
    for part in re.split(r"^Evaluating ", output, flags=re.M)[1:]:
        lines = part.splitlines()
        path = lines[0].split()[0]
        result = [index for index, line in enumerate(lines) if line.startswith(f"Evaluation of {path} returned object")]
        if result:
            values.append((path, value(lines[result[0] + 1:])))
        elif "AE_BUFFER_OVERFLOW, while executing" in part:
            values.append((path, None))
        else:
            values.append((path, "error" if " failed with status " in part else "nothing"))
    return values


def compare(name, tables, evaluate, questions=()):
    """Compares all of one case; says how much that was, and returns what differs."""
    ours = nodes(tables, evaluate)
    # Methods first: acpiexec has called some already, and what they left in fields would differ.
    asked = [path for path, kind, arguments in ours if path not in PREDEFINED and kind == METHOD and arguments == 0]
    asked += [path for path, kind, _ in ours if path not in PREDEFINED and kind in VALUES]
    asked += questions
    commands = ["namespace"] + [f"evaluate {question}" for question in asked] + ["quit"]
    # -dr: what methods return is not mended.
    theirs = run("acpiexec", "-dr", *tables, stdin="".join(f"{command}\n" for command in commands))
    differences = []
    names, judged = {path: kind for path, kind, _ in ours if path != "\\"}, judged_nodes(theirs)
    for path in sorted(names.keys() ^ judged.keys() | {path for path in names if names[path] != judged.get(path)}):
        differences.append(f"{path}: kind {names.get(path)}, ACPICA: {judged.get(path)}")
    answers = [line.split(" ", 2)[1:] for line in run(evaluate, *tables, stdin="\n".join(asked)).splitlines()
               if line.startswith("value ")]
    values = judged_values(theirs)
    if [path for path, _ in values] != [question.split()[0] for question in asked]:
        sys.exit(f"{name}: acpiexec has not answered what it was asked:\n{theirs}")
    compared = 0
    for question, (_, answer), (_, judged) in zip(asked, answers, values, strict=True):
        answer = "error" if answer.startswith("error:") else answer
        if judged is not None:
            compared += 1
            if answer != judged:
                differences.append(f"{question}\n    ours:   {answer}\n    ACPICA: {judged}")
    print(f"{name}: {len(names)} names and {compared} values compared, {len(differences)} differ")
    return differences


def main():
    evaluate, folder = sys.argv[1:]
    sources = {os.path.basename(path)[:-4]: path for path in glob.glob(f"{folder}/*.asl")}
    routes = compiled(sources.pop("routes"))
    differences = []
    for name, machine in MACHINES.items():
        tables = tables_of(machine, name) + [routes]
        questions = [f"\\RTEL 0x{index:X}" for index in range(32)]
        differences += compare(name, tables, evaluate, questions)
    for name, source in sorted(sources.items()):
        differences += compare(name, [compiled(source)], evaluate)
    if differences:
        sys.exit("\n".join(differences))


main()
