//! The list of all commands.

use super::command::{Argument, Command, Needs};
use super::commands::{
    devices, disks, fat, files, firmware, general, memory, messages, programs, screen, tests, threads, time,
};

/// Every command. A new one is a row here and a function in `commands/`.
#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { name: "help", usage: "[<command>]", help: "lists the commands, or explains one",
        needs: Needs::Nothing, arguments: &[Argument::Command], run: general::help },
    Command { name: "history", usage: "", help: "shows the lines that were typed",
        needs: Needs::Nothing, arguments: NONE, run: general::history },
    Command { name: "page", usage: "[on|off|<rows>]", help: "whether long output stops after each page",
        needs: Needs::Nothing, arguments: &[Argument::OneOf(&["on", "off"])], run: general::page },
    Command { name: "continue", usage: "", help: "leaves the monitor: what it held up goes on",
        needs: Needs::Nothing, arguments: NONE, run: general::leave },
    Command { name: "exit", usage: "", help: "ends QEMU by its debug exit (switches off where there is none)",
        needs: Needs::Nothing, arguments: NONE, run: general::exit },
    Command { name: "poweroff", usage: "", help: "switches the machine off",
        needs: Needs::Nothing, arguments: NONE, run: general::poweroff },
    Command { name: "reboot", usage: "", help: "restarts the machine",
        needs: Needs::Nothing, arguments: NONE, run: general::reboot },
    Command { name: "panic", usage: "[<message>]", help: "panics",
        needs: Needs::Nothing, arguments: NONE, run: general::panic },
    Command { name: "test", usage: "[<words>]", help: "runs the in-kernel tests (whose name contains one of the words, with commas between)",
        needs: Needs::System, arguments: &[Argument::Test], run: tests::test },

    Command { name: "dmesg", usage: "[<count>]", help: "shows the log's messages, all or the last ones",
        needs: Needs::Nothing, arguments: NONE, run: messages::dmesg },
    Command { name: "loglevel", usage: "[<0-8>]", help: "shows or sets which messages are printed: those below the level",
        needs: Needs::Nothing, arguments: NONE, run: messages::loglevel },

    Command { name: "ps", usage: "", help: "lists all threads and what they wait for",
        needs: Needs::Nothing, arguments: NONE, run: threads::ps },
    Command { name: "backtrace", usage: "[<thread>|all]", help: "shows where the monitor or another thread is in the kernel",
        needs: Needs::Nothing, arguments: &[Argument::OneOf(&["all"])], run: threads::backtrace },
    Command { name: "locks", usage: "", help: "shows the locks that are held and waited for (debug builds: all that are held)",
        needs: Needs::Nothing, arguments: NONE, run: threads::locks },
    Command { name: "cpus", usage: "", help: "shows what each CPU is doing",
        needs: Needs::System, arguments: NONE, run: threads::cpus },
    Command { name: "prime", usage: "sync <n> | async <n> <tasks>", help: "finds the n-th prime in a kernel task and waits for it, or starts several",
        needs: Needs::System, arguments: &[Argument::OneOf(&["sync", "async"]), Argument::Free], run: programs::prime },
    Command { name: "exec", usage: "<count> <path> [<argument>...]", help: "starts processes, waits for each, shows how they ended",
        needs: Needs::System, arguments: &[Argument::Free, Argument::Path], run: programs::exec },

    Command { name: "memory", usage: "", help: "shows how memory is used",
        needs: Needs::Nothing, arguments: NONE, run: memory::memory },
    Command { name: "slab", usage: "", help: "shows the kernel heap by size classes",
        needs: Needs::Nothing, arguments: NONE, run: memory::slab },
    Command { name: "page-table", usage: "[<address> [<pid>]]", help: "tries page tables out, or shows the way to an address (of a process)",
        needs: Needs::Nothing, arguments: NONE, run: memory::page_table },

    Command { name: "list-pci", usage: "", help: "looks for all PCI functions again and shows their configuration",
        needs: Needs::Nothing, arguments: NONE, run: devices::list_pci },
    Command { name: "list-virtio", usage: "", help: "shows the virtio devices and their capabilities",
        needs: Needs::Nothing, arguments: NONE, run: devices::list_virtio },
    Command { name: "interrupts", usage: "", help: "shows who has which interrupt, and how many came",
        needs: Needs::Nothing, arguments: NONE, run: devices::interrupts },
    Command { name: "boot-info", usage: "", help: "shows what the boot loader told, and the memory map",
        needs: Needs::Nothing, arguments: NONE, run: firmware::boot_info },
    Command { name: "print-acpi", usage: "", help: "shows what ACPI's tables tell",
        needs: Needs::Nothing, arguments: NONE, run: firmware::print_acpi },
    Command { name: "rng", usage: "<bytes>", help: "shows random bytes of the virtio device",
        needs: Needs::System, arguments: NONE, run: devices::rng },

    Command { name: "block", usage: "list | read <disk> <sector> | write <disk> <sector> <number> | id <disk>", help: "lists disks; shows a sector; writes a number into one; shows the serial number",
        needs: Needs::System, arguments: &[Argument::OneOf(&["list", "read", "write", "id"]), Argument::Disk, Argument::Free], run: disks::block },
    Command { name: "fat", usage: "bios <disk> | ls <disk> <path> | cat <disk> <path>", help: "shows the BIOS parameter block of a FAT file system; a directory; a file",
        needs: Needs::System, arguments: &[Argument::OneOf(&["bios", "ls", "cat"]), Argument::Disk, Argument::Free], run: fat::fat },
    Command { name: "mount", usage: "<disk>|sysfs", help: "makes that ext2 disk, or sysfs, the root file system",
        needs: Needs::System, arguments: &[Argument::Disk, Argument::Free], run: files::mount },
    Command { name: "umount", usage: "", help: "takes away the root that was mounted last",
        needs: Needs::System, arguments: NONE, run: files::umount },
    Command { name: "ls", usage: "<path>", help: "lists a directory",
        needs: Needs::System, arguments: &[Argument::Path], run: files::ls },
    Command { name: "cat", usage: "<path>", help: "shows a file",
        needs: Needs::System, arguments: &[Argument::Path], run: files::cat },
    Command { name: "write-to-file", usage: "<path> <word>", help: "overwrites a file with one word; makes it if need be",
        needs: Needs::System, arguments: &[Argument::Path, Argument::Free], run: files::write_to_file },
    Command { name: "write-framebuffer", usage: "<text>...", help: "writes a line on the screen",
        needs: Needs::System, arguments: NONE, run: screen::write_framebuffer },

    Command { name: "timer", usage: "<milliseconds>", help: "logs a message later, from the timer's interrupt",
        needs: Needs::System, arguments: NONE, run: time::timer },
    Command { name: "timers", usage: "", help: "shows the clocks, and what waits for them",
        needs: Needs::Nothing, arguments: NONE, run: devices::timers },
    Command { name: "sleep", usage: "<milliseconds>", help: "sleeps; Ctrl-C ends it",
        needs: Needs::System, arguments: NONE, run: time::sleep },
];

const NONE: &[Argument] = &[];

/// The command of that name.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
