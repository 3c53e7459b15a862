"""The kernel, for GDB: commands and pretty-printers.

`kernel/build.rs` puts these files into the kernel's ELF (section `.debug_gdb_scripts`), from where GDB loads them
when the kernel is in its auto-load safe-path. docs/debugging.md shows their use.

| file | what |
|---|---|
| `values.py` | Rust's values: cells, enums, pointers, containers |
| `threads.py` | `ps`, `bt-task`, `task`, `$current()`, `$pid()` |
| `processes.py` | `vmmap`, `user`, `ubreak` |
| `memory.py`, `paging.py` | `pte`, `$phys()`, `$direct()`; page tables |
| `messages.py`, `ring.py` | `dmesg`; the format of the log |
| `locks.py` | `locks` |
| `boot.py`, `dump.py` | `kernel-entry`, `open-dump`; dumps of physical memory |
| `printers.py` | pretty-printers |
| `elf.py` | where a program's segments lie |

`tests/` has tests of what needs no debugger; the check `debugger` plays docs/debugging.md for the rest.

They find everything by the types in the kernel's debug information, which the debug build has; with a release kernel
they say so. They only read, so they work on a system that runs (and is halted for it), has panicked, or was dumped.
"""


def register(objfile):
    """Makes everything known to GDB."""
    from . import boot, locks, memory, messages, printers, processes, threads

    threads.register(objfile)
    printers.register(objfile)
    for module in (boot, locks, memory, messages, processes):
        module.register()
