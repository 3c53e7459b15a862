"""Values of Rust types as Python sees them: through the debugger's types, by the names of fields.

Nothing here knows an offset. What the names are of the standard library's private fields is known, as the
toolchain is pinned; the check `debugger` tells when they change.
"""

import gdb


class Command(gdb.Command):
    """One of ours, which does its work in `run`. Memory that is not there is no fault of it."""

    def invoke(self, argument, from_tty):
        """Does it."""
        try:
            self.run(argument, from_tty)
        except gdb.MemoryError as error:
            raise gdb.GdbError(f"{error}: the kernel's page tables are not in use yet, or broken") from error


class NoTypes(gdb.GdbError):
    """The kernel that is debugged has no types in its debug information."""


def static(name):
    """A static of the kernel, by its path."""
    symbol = gdb.lookup_static_symbol(name) or gdb.lookup_global_symbol(name)
    if symbol is not None:
        return symbol.value()
    if gdb.lookup_static_symbol("machine::cpu::local::BOOT") is None:
        raise NoTypes(
            "this kernel has line numbers but no types: the command needs the debug build "
            "(make run-debug, nix build .#kernel-debug; of cargo's builds the one without --release)"
        )
    raise gdb.GdbError(f"this kernel has no static {name}: the visualiser is of another version")


def has_static(name):
    """Whether the kernel has a static of this path."""
    return gdb.lookup_static_symbol(name) is not None


def fields(value):
    """The fields of a structure that take room."""
    return [
        field
        for field in value.type.strip_typedefs().fields()
        if field.name is not None and not field.artificial and field.type.sizeof > 0
    ]


def is_structure(value):
    """Whether it has fields (an enum that carries data counts, too)."""
    return value.type.strip_typedefs().code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)


def is_enum(value):
    """Whether it is an enum whose variants carry data."""
    if value.type.strip_typedefs().code != gdb.TYPE_CODE_STRUCT:
        return False
    return any(field.name is None or field.artificial for field in value.type.strip_typedefs().fields())


def peel(value):
    """What is in cells, atomics and structures of one field."""
    while is_structure(value):
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_UNION:
            value = value["value"]  # MaybeUninit
            continue
        if is_enum(value):
            return value
        inner = fields(value)
        if len(inner) != 1:
            return value
        value = value[inner[0].name]
    return value


def number(value):
    """An integer, in whatever it is wrapped."""
    return int(peel(value))


def variant(value):
    """The name of an enum's variant, and the variant itself (a structure with fields __0, __1, ... or names)."""
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_ENUM:
        return str(value).rsplit("::", maxsplit=1)[-1], None
    for field in value.type.strip_typedefs().fields():
        if field.name is not None and not field.artificial:
            return field.name, value[field.name]
    raise gdb.GdbError(f"{value.type} has no variant now")


def option(value):
    """What an Option holds, or None."""
    name, some = variant(value)
    return some["__0"] if name == "Some" else None


def pointer(value):
    """The address in a reference, a raw pointer, a NonNull or a Box; of a fat one the thin part."""
    value = peel(value)
    if not is_structure(value):
        return value
    names = [field.name for field in fields(value)]
    for name in ("data_ptr", "pointer"):
        if name in names:
            return pointer(value[name])
    # A Box with an allocator, a Unique, an Arc: the first field leads on.
    return pointer(value[names[0]])


def fat(value):
    """The structure of a fat pointer in what is wrapped around it: fields data_ptr and length, or pointer and vtable."""
    value = peel(value)
    names = [field.name for field in fields(value)] if is_structure(value) else []
    if "length" in names or "vtable" in names:
        return value
    if not names:
        return None
    return fat(value[names[0]])


# Arc and Weak without a value point here.
DANGLING = (0, 2**64 - 1)


def shared(value):
    """What an Arc points to; of a Weak, None if it is gone. A trait object comes as what it really is."""
    whole = fat(value)
    address = pointer(value)
    if int(address) in DANGLING:
        return None
    if whole is not None and "vtable" in [field.name for field in fields(whole)]:
        return dynamic(whole, counted=True)
    inner = address.dereference()
    if number(inner["strong"]) == 0:
        return None
    return inner["data"]


def dynamic(whole, counted=False):
    """What a trait object is: the type that its vtable is for. `counted`: it lies in an Arc."""
    kind = vtable_type(int(whole["vtable"]))
    if kind is None:
        return None
    address = int(pointer(whole))
    if counted:
        # ArcInner: two counts, then the value at its alignment.
        counts = 2 * gdb.lookup_type("usize").sizeof
        alignment = max(kind.alignof, 1)
        address += -(-counts // alignment) * alignment
    return gdb.Value(address).cast(kind.pointer()).dereference()


def vtable_type(address):
    """The type that the vtable at an address is for, or None: by what its first entry, the function that drops one, is
    called. A type that needs no dropping has none."""
    drop = int(gdb.Value(address).cast(gdb.lookup_type("usize").pointer()).dereference())
    block = gdb.block_for_pc(drop) if drop else None
    name = block.function.name if block and block.function else ""
    kind = name.partition("<")[2][:-1]
    try:
        return gdb.lookup_type(kind) if kind else None
    except gdb.error:
        return None


def vector(value):
    """The elements of a Vec."""
    return array(pointer(value["buf"]), number(value["len"]), element_type(value))


def element_type(value):
    """The first type argument."""
    return value.type.strip_typedefs().template_argument(0)


def array(address, length, kind):
    """`length` values of a type from an address on, as a list."""
    start = address.cast(kind.pointer())
    return [start[index] for index in range(length)]


def deque(value):
    """The elements of a VecDeque, in order."""
    kind = element_type(value)
    start = pointer(value["buf"]).cast(kind.pointer())
    capacity, head = capacity_of(value["buf"]), number(value["head"])
    return [start[(head + index) % capacity] for index in range(number(value["len"]))]


def capacity_of(buffer):
    """The capacity of a RawVec."""
    return number(buffer["inner"]["cap"])


def text(value):
    """A str, String, [u8] or what holds one, as Python text."""
    return data(value).decode(errors="replace")


def data(value):
    """The bytes of a str, String, Vec<u8>, or a fat pointer to bytes."""
    name = value.type.strip_typedefs().name or ""
    if name.startswith("alloc::string::String"):
        value = value["vec"]
        name = "alloc::vec::Vec"
    if name.startswith("alloc::vec::Vec"):
        return read(int(pointer(value["buf"])), number(value["len"]))
    whole = fat(value)
    address, length = int(pointer(whole)), number(whole["length"])
    if name.startswith("alloc::sync::Arc"):
        address += 2 * gdb.lookup_type("usize").sizeof
    return read(address, length)


def read(address, length):
    """Bytes of memory."""
    if length == 0:
        return b""
    return bytes(gdb.selected_inferior().read_memory(address, length))


def btree(value):
    """The pairs of a BTreeMap, in order of the keys."""
    root = option(value["root"])
    if root is None:
        return
    leaf = peel(root["node"])
    yield from subtree(leaf, number(root["height"]), internal_type(leaf))


def numbered(value):
    """The keys of an IdMap, as numbers, and the values, in order of the keys."""
    # Of an i32 the sign bit is turned over in the map.
    is_signed = value.type.strip_typedefs().template_argument(0).name == "i32"
    offset = 2**31 if is_signed else 0
    entries = [(number(entry["__0"]) - offset, entry["__1"]) for entry in table(value["entries"])]
    return sorted(entries, key=lambda entry: entry[0])


def named(value):
    """The keys of a BytesMap and the values, in order of the keys."""
    entries = sorted(((data(entry["__0"]), entry["__1"]) for entry in table(value["entries"])), key=lambda entry: entry[0])
    return [(repr(key), entry) for key, entry in entries]


def table(value):
    """The entries of a table of id_map, in no order."""
    return [entry for piece in vector(value["pieces"]) for entry in vector(piece)]


def internal_type(leaf):
    """The type of inner nodes, by what leaves say of their parents."""
    parent = leaf.dereference()["parent"]
    for field in parent.type.strip_typedefs().fields():
        if field.name == "Some":
            return field.type.fields()[0].type.template_argument(0)
    # The root has no parent, and shows only the variant that it is: the type's name tells.
    name = leaf.type.target().name.replace("::LeafNode<", "::InternalNode<", 1)
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        return None


def subtree(node, height, inner):
    """The pairs below a node."""
    leaf = node.dereference()
    keys, values = leaf["keys"], leaf["vals"]
    count = number(leaf["len"])
    edges = node.cast(inner.pointer()).dereference()["edges"] if height else None
    for index in range(count + 1):
        if height:
            yield from subtree(peel(edges[index]), height - 1, inner)
        if index < count:
            yield initialised(keys[index]), initialised(values[index])


def initialised(value):
    """What a MaybeUninit holds."""
    return value["value"]["value"]["__0"]


def guarded(lock):
    """What a lock guards, whether it is held or not."""
    name = lock.type.strip_typedefs().name
    if name.startswith("machine::sync::"):
        return lock["value"]["value"]
    if name.startswith("kernel::sync::"):
        return guarded(lock["cell"])
    if name.startswith("spin::"):
        return lock["data"]["value"]
    raise gdb.GdbError(f"{name} is no lock that the visualiser knows")


def once(value):
    """What a spin::Once holds, or None."""
    is_complete = number(value["status"]) == 2
    return initialised(value["data"]["value"]) if is_complete else None


def per_cpu(value):
    """The values of a PerCpu or StaticPerCpu, or of an array with one for each CPU: those of the CPUs that run."""
    count = number(static("machine::cpu::COUNT"))
    lines = value["__0"] if is_structure(value) else value
    if is_structure(lines):
        whole = fat(lines)
        lines = pointer(whole).cast(pointer(whole).type)
    each = [lines[index] for index in range(count)]
    return [line["__0"] if (line.type.name or "").startswith("machine::cpu::CacheLine") else line for line in each]
