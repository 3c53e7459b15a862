"""Pretty-printers: our locks and cells, the standard library's containers, and the types of others that we hold."""

import gdb
import gdb.printing

from .values import btree, data, deque, dynamic, fat, guarded, named, number, numbered, once, peel, per_cpu, pointer, shared, table, text, vector


class Printer:
    """Shows a value by a line; `shown` tells which."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """The line."""
        return self.shown(self.value)


def line(shown):
    """A printer of a line."""
    return type("Line", (Printer,), {"shown": staticmethod(shown)})


class Children(Printer):
    """Shows a line and what is inside."""

    def children(self):
        """Pairs of a name and a value."""
        return iter(self.inside(self.value))


def tree(shown, inside, hint=None):
    """A printer of a line and what is inside; `hint` is the debugger's word for how to show it."""
    members = {"shown": staticmethod(shown), "inside": staticmethod(inside)}
    if hint:
        members["display_hint"] = lambda self: hint
    return type("Tree", (Children,), members)


def short(value):
    """The name of a type without its arguments and the path to it."""
    return value.type.strip_typedefs().name.split("<")[0].rsplit("::", maxsplit=1)[-1]


def lock_class(value):
    """The name that a lock was given."""
    names = [field.name for field in value.type.strip_typedefs().fields()]
    if "class" in names:
        return text(value["class"])
    if "raw" in names:
        return text(value["raw"]["watch"]["name"])
    if "state" in names:
        return text(value["state"]["watch"]["name"])
    if "watch" in names:
        return text(value["watch"]["name"])
    return text(value["waiters"]["name"])


def spin_lock(value):
    """A machine::sync::SpinLock."""
    holder = number(value["state"]["holder"])
    state = "free" if holder == 2**32 - 1 else f"held by CPU {holder}"
    return f'{short(value)} "{lock_class(value)}", {state}'


def mutex(value):
    """A kernel::sync::Mutex."""
    holder = number(value["raw"]["holder"])
    return f'{short(value)} "{lock_class(value)}", ' + (f"held by thread #{holder}" if holder else "free")


def read_write_lock(value):
    """A kernel::sync::RwLock."""
    entrance = guarded(value["raw"]["entrance"])
    writer, readers = number(entrance["writer"]), number(entrance["readers"])
    state = f"written by thread #{writer}" if writer else f"{readers} readers" if readers else "free"
    return f'{short(value)} "{lock_class(value)}", {state}'


def wait_queue(value):
    """A kernel::sched::wait::WaitQueue."""
    return f'WaitQueue "{text(value["name"])}", {number(value["count"])} waiting'


def indexed(values):
    """Values with their numbers, as the debugger wants them."""
    return ((f"[{index}]", value) for index, value in enumerate(values))


def pairs(entries):
    """Keys and values in turn, as the debugger wants those of a map."""
    for index, (key, inner) in enumerate(entries):
        yield f"[{2 * index}]", key
        yield f"[{2 * index + 1}]", inner


def counted(value):
    """An Arc, or a Weak. What it points to is not shown, as that leads round in circles: `print *$behind(X)` does."""
    inner = shared(value)
    if inner is None:
        return f"{short(value)} of nothing"
    whole = fat(value)
    owners = "" if whole is not None else f", {number(pointer(value).dereference()['strong'])} owners"
    name = inner.type.strip_typedefs().name
    summary = SUMMARIES.get(name)
    return f"{short(value)} at {int(inner.address):#x}{owners}: {summary(inner) if summary else name}"


def bytes_or_vector(value):
    """The line of a Vec."""
    return f"Vec of {number(value['len'])}"


def cell(value):
    """What is in a cell of one field."""
    inner = peel(value)
    return inner if inner.type != value.type else "..."


def once_line(value):
    """A spin::Once."""
    return "Once, not set yet" if once(value) is None else "Once"


def once_inside(value):
    """What it holds."""
    inner = once(value)
    return [] if inner is None else [("value", inner)]


def hexadecimal(value):
    """An address, or bits of bitflags."""
    return f"{short(value)}({number(value):#x})"


def thread(value):
    """A kernel::sched::thread::Thread."""
    from . import threads

    return "Thread " + threads.title(threads.Thread(value))


def process(value):
    """A kernel::process::Process."""
    return f"Process {number(value['pid'])}"


def members(value):
    """All fields."""
    return ((field.name, value[field.name]) for field in value.type.strip_typedefs().fields() if field.name)


def per_cpu_inside(value):
    """One for each CPU that runs."""
    return indexed(per_cpu(value))


def level(value):
    """The number of CPUs."""
    return f"{short(value)}, one for each CPU"


# What an owner says of what it owns.
SUMMARIES = {"kernel::sched::thread::Thread": thread, "kernel::process::Process": process}

SPIN_LOCK = tree(spin_lock, lambda value: [("value", guarded(value))])
MUTEX = tree(mutex, lambda value: [("value", guarded(value))])

# By the beginning of a type's name.
TABLE = (
    ("machine::sync::SpinLock<", SPIN_LOCK),
    ("machine::sync::spin::SpinLock<", SPIN_LOCK),
    ("kernel::sync::Mutex<", MUTEX),
    ("kernel::sync::mutex::Mutex<", MUTEX),
    ("kernel::sync::RwLock<", tree(read_write_lock, lambda value: [("value", guarded(value))])),
    ("kernel::sync::rwlock::RwLock<", tree(read_write_lock, lambda value: [("value", guarded(value))])),
    ("kernel::sched::wait::WaitQueue", line(wait_queue)),
    ("kernel::sched::thread::Thread", tree(thread, members)),
    ("kernel::process::Process", tree(process, members)),
    ("machine::cpu::PerCpu<", tree(level, per_cpu_inside, "array")),
    ("machine::cpu::StaticPerCpu<", tree(level, per_cpu_inside, "array")),
    ("vma::AreaMap<", tree(lambda value: "AreaMap", lambda value: pairs(numbered(value["areas"])), "map")),
    ("alloc::collections::btree::map::BTreeMap<", tree(lambda value: f"BTreeMap of {number(value['length'])}", lambda value: pairs(btree(value)), "map")),
    ("id_map::IdMap<", tree(lambda value: f"IdMap of {len(table(value['entries']))}", lambda value: pairs(numbered(value)), "map")),
    ("id_map::bytes::BytesMap<", tree(lambda value: f"BytesMap of {len(table(value['entries']))}", lambda value: pairs(named(value)), "map")),
    ("alloc::vec::Vec<", tree(bytes_or_vector, lambda value: indexed(vector(value)), "array")),
    (
        "alloc::collections::vec_deque::VecDeque<",
        tree(lambda value: f"VecDeque of {number(value['len'])}", lambda value: indexed(deque(value)), "array"),
    ),
    ("alloc::string::String", line(lambda value: '"' + text(value) + '"')),
    ("alloc::sync::Arc<[u8]", line(lambda value: repr(data(value)))),
    ("alloc::sync::Arc<", line(counted)),
    ("alloc::sync::Weak<", line(counted)),
    ("core::sync::atomic::Atomic", line(cell)),
    ("core::cell::Cell<", line(cell)),
    ("core::cell::UnsafeCell<", line(cell)),
    ("spin::once::Once<", tree(once_line, once_inside)),
    ("spin::mutex::spin::SpinMutex<", tree(lambda value: "SpinMutex", lambda value: [("value", guarded(value))])),
    ("spin::rwlock::RwLock<", tree(lambda value: "RwLock", lambda value: [("value", guarded(value))])),
    ("x86_64::addr::PhysAddr", line(hexadecimal)),
    ("x86_64::addr::VirtAddr", line(hexadecimal)),
    ("abi::mman::Prot", line(hexadecimal)),
    ("kernel::mm::area::MappingFlags", line(hexadecimal)),
    ("abi::errno::Errno", line(lambda value: f"Errno({number(value)})")),
)


class Collection(gdb.printing.PrettyPrinter):
    """Finds the printer of a value."""

    def __init__(self):
        super().__init__("rust-os")

    def __call__(self, value):
        kind = value.type.strip_typedefs()
        if kind.code not in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION) or kind.name is None:
            return None
        for beginning, printer in TABLE:
            exact = not beginning.endswith(("<", "Atomic"))
            if kind.name == beginning or (not exact and kind.name.startswith(beginning)):
                return printer(value)
        return None


class Behind(gdb.Function):
    """$behind(X): the address of what an Arc, a Weak, a Box or a reference points to; of a trait object, as what it
    really is; of a lock, of what it guards."""

    def __init__(self):
        super().__init__("behind")

    def invoke(self, value):
        name = value.type.strip_typedefs().name or ""
        if name.startswith(("alloc::sync::Arc", "alloc::sync::Weak")):
            inner = shared(value)
        elif name.startswith(("machine::sync::", "kernel::sync::", "spin::")):
            inner = once(value) if "::Once<" in name else guarded(value)
        else:
            whole = fat(value)
            inner = dynamic(whole) if whole is not None and "vtable" in str(whole.type.fields()[1].name) else None
            inner = pointer(value).dereference() if inner is None else inner
        if inner is None:
            raise gdb.GdbError("there is nothing behind it")
        return inner.address


def register(objfile):
    """Makes the printers known."""
    # GDB would look for a symbol at each address that it prints, and complain about those of vtables.
    gdb.execute("set print symbol off")
    Behind()
    gdb.printing.register_pretty_printer(objfile, Collection(), replace=True)

