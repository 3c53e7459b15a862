//! Boot, in order: read [`start`] from top to bottom. Before it ran `machine/src/boot/mod.rs`.
//!
//! The order is not a matter of memory: what a step provides it returns as a value that nobody else can make, and what
//! it needs it takes as an argument. A step in the wrong place does not compile.

use crate::block::{self, ram_disk::RamDisk, registry};
use crate::cmdline::{self, PanicAction, Parameters, TestSelection};
use crate::device::{display, input};
use crate::error::{Error, Result};
use crate::fs::fd::{FdTable, OnExec};
use crate::fs::file::OpenFlags;
use crate::fs::open::{self, OpenRequest};
use crate::fs::{self, Caller, FsContext};
use crate::process::{exec, program};
use crate::{clock, device, fault_injection, ktest, log, mm, monitor, sched, sync, sysrq, tty};
use abi::errno::Errno;
use abi::wait::WaitStatus;
use alloc::{sync::Arc, vec::Vec};
use machine::boot::{BootInfo, MemoryKind, Module};
use machine::cpu::StartError;
use machine::{acpi, cpu, io::power, sync::Once};

/// What is tried as the first program if the command line names none.
const FIRST_PROGRAMS: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];

/// Standard input, output and error.
const DESCRIPTORS: u64 = 3;

/// How QEMU's debug exit reports failure (its exit status is then 35).
const FAILURE: u8 = 0x11;

static BOOT: Once<BootInfo> = Once::new();

/// What the boot loader told; `None` before [`start`].
pub(crate) fn boot_info() -> Option<&'static BootInfo> {
    BOOT.get()
}

/// Called before everything else, with a stack and the first serial line, without memory and per-CPU data.
pub(crate) fn early() {
    log::connect(); //                                  messages go to the first serial line, and are kept
    ::log::debug!("boot: the kernel runs");
}

/// The kernel's main function: called once, on the boot CPU, with memory, clock and timer set up and interrupts
/// disabled. What runs here becomes the thread "boot", which ends when the first program runs.
pub(crate) fn start(boot: BootInfo) -> ! {
    sync::declare(); //                                 the order of locks
    let boot = BOOT.call_once(|| boot);
    let log = log::init(boot); //                       messages are kept in the ring
    let parameters = cmdline::init(&boot.command_line, &log); // what the user wants
    apply(parameters);
    greet(boot);
    let threads = required("scheduler", sched::init(&log)); // threads from here on
    let interrupts = enable_interrupts(&threads);
    required("memory", mm::init(&threads)); //          freeing that of programs that ended
    required("sysrq", sysrq::init(&threads)); //        magic keys
    required("monitor", monitor::init(&threads)); //    what one of them calls
    let found = device::find(&threads); //              PCI: before other CPUs use what moves
    start_cpus(parameters, &threads, &found);
    clock::init(parameters); //                         the time of day
    fault_injection::init(&parameters.faults); //       what is to go wrong on purpose
    let devices = device::init(&threads); //            random numbers; null, zero, kmsg, ...
    let disks = required("block", block::init(&threads)); // writing back what changed on disks
    add_ram_disks(&boot.modules, &disks);
    display::prepare(parameters.video, boot.framebuffer.as_ref());
    let probed = device::probe(found, &devices, &disks, &interrupts); // disks, a screen
    display::init(boot.framebuffer.as_ref());
    let terminals = tty::init(&devices); // serial lines, the console
    input::init(parameters); //                         the keyboard
    let files = required("file systems", fs::init(&probed, &terminals)); // writing back; device files
    let root = fs::mount_root(parameters, &files);
    if let Some(tests) = &parameters.tests {
        run_tests(tests, &threads)
    }
    let root = monitor::at_boot(parameters, root); //   if the command line asks for it
    match root.and_then(|root| start_first_program(parameters, &root)) {
        Ok(()) => sched::exit(),
        Err(error) => give_up(error.context),
    }
}

/// What the command line says about the log, the end and itself.
fn apply(parameters: &Parameters) {
    log::set_console_level(parameters.console_level);
    if let Some(bytes) = parameters.log_bytes {
        log::resize(bytes);
    }
    if parameters.debug_exit {
        power::allow_debug_exit();
    }
    if let PanicAction::RebootAfter(seconds) = parameters.panic {
        power::restart_after_panic(seconds);
    }
    if parameters.help {
        cmdline::print_help();
    }
}

fn greet(boot: &BootInfo) {
    ::log::info!("rust-os {}, started by {}", env!("CARGO_PKG_VERSION"), boot.protocol);
    ::log::info!("command line: {}", cmdline::parameters().line);
    let bytes = |kind| -> u64 {
        let regions = boot.memory_map.iter().filter(|region| region.kind == kind);
        regions.map(|region| region.length).sum()
    };
    let given_back = bytes(MemoryKind::BootLoader);
    let usable = bytes(MemoryKind::Usable) + given_back;
    ::log::info!("memory: {} MiB of RAM", usable >> 20);
    if given_back > 0 {
        ::log::info!("memory: {} KiB of it held what the boot loader left", given_back >> 10);
    }
    for (table, problem) in &acpi::platform().problems {
        ::log::warn!("acpi: {table}: {problem}");
    }
}

/// This CPU takes interrupts: [`enable_interrupts`] was called.
pub(crate) struct InterruptsEnabled(());

/// Lets interrupts in on the boot CPU. Their handlers wake threads.
fn enable_interrupts(_threads: &sched::Ready) -> InterruptsEnabled {
    cpu::enable_interrupts();
    InterruptsEnabled(())
}

/// Starts the other CPUs, as many as `maxcpus=` allows; they run threads at once.
fn start_cpus(parameters: &Parameters, _threads: &sched::Ready, _found: &device::Found) {
    let listed = acpi::platform().interrupts.cpus.iter().filter(|cpu| cpu.is_enabled);
    let ids: Vec<u32> = listed.map(|cpu| cpu.apic_id).collect();
    for (id, why) in cpu::start_others(&ids, parameters.max_cpus) {
        let why = match why {
            StartError::TooMany => "only 64 can be used",
            StartError::Unreachable => "ids above 254 need an x2APIC",
            StartError::OutOfMemory => "out of memory",
            StartError::NoAnswer => "it does not answer",
        };
        ::log::error!("smp: the CPU with APIC id {id} is not started: {why}");
    }
    let mode = if cpu::has_x2apic() { ", x2APIC" } else { "" };
    ::log::info!("smp: {} CPUs{mode}", cpu::count());
}

/// Boot modules become disks: ram0, ram1, ...
fn add_ram_disks(modules: &[Module], _disks: &block::Ready) {
    for module in modules {
        if let Err(error) = registry::add(registry::Kind::Ram, Arc::new(RamDisk::new(module.data())), None) {
            ::log::error!("block: module {}: {error}", module.name);
        }
    }
}

fn run_tests(selection: &TestSelection, _threads: &sched::Ready) -> ! {
    match selection {
        TestSelection::All => ktest::run(""),
        TestSelection::Containing(words) => ktest::run(words),
    }
}

/// Starts the first program on the console: what `init=` names, else the first of [`FIRST_PROGRAMS`] that runs.
fn start_first_program(parameters: &Parameters, _root: &fs::RootMounted) -> Result<()> {
    let files = open_console()?;
    if let Some(path) = &parameters.init {
        return start_program(path, parameters, &files).map_err(|error| {
            ::log::error!("init: init={path}: {error}");
            Error::new(error.errno, "the program that init= names does not start")
        });
    }
    for path in FIRST_PROGRAMS {
        match start_program(path, parameters, &files) {
            Ok(()) => return Ok(()),
            Err(error) if error.errno == Errno::ENOENT => {}
            Err(error) => ::log::error!("init: {path}: {error}"),
        }
    }
    ::log::error!("init: tried {}; name another one with init=", FIRST_PROGRAMS.join(" "));
    Err(Error::new(Errno::ENOENT, "no program to start"))
}

fn start_program(path: &str, parameters: &Parameters, files: &Arc<FdTable>) -> Result<()> {
    let caller = Caller::kernel()?;
    let context = Arc::new(FsContext::new(caller.root.clone()));
    let bytes = |text: &alloc::string::String| text.as_bytes().to_vec();
    let mut arguments: Vec<_> = [path.as_bytes().to_vec()].into();
    arguments.extend(parameters.init_arguments.iter().map(bytes));
    let environment = parameters.init_environment.iter().map(bytes).collect();
    let request = exec::Request::new(caller, path.as_bytes(), arguments, environment)?;
    ::log::info!("init: starting {path}");
    program::start_first(request, files.clone(), context).map(drop)
}

/// Standard input, output and error: the console. A system without one runs all the same.
fn open_console() -> Result<Arc<FdTable>> {
    let files = FdTable::new();
    let caller = Caller::kernel()?;
    match open::open(&caller, &caller.root, b"/dev/console", OpenRequest::new(OpenFlags::O_RDWR)) {
        Ok(console) => {
            for _ in 0..DESCRIPTORS {
                files.install_from(0, console.clone(), OnExec::Keep, DESCRIPTORS)?;
            }
        }
        Err(error) => ::log::warn!("init: no /dev/console for the first program: {error}"),
    }
    Ok(files)
}

/// A part without which nothing runs. Fails only without memory.
fn required<T>(part: &str, outcome: Result<T>) -> T {
    outcome.unwrap_or_else(|error| {
        ::log::error!("init: {part}: {error}");
        give_up("the system cannot start")
    })
}

/// Ends a boot that cannot succeed, because of what the user asked for: one clear line, no backtrace.
pub(crate) fn give_up(why: &str) -> ! {
    if cmdline::parameters().panic == PanicAction::Monitor {
        ::log::error!("init: {why}; the monitor is left");
        monitor::run_on_console();
    }
    ::log::error!("init: {why}; the system is halted");
    power::debug_exit(FAILURE);
    match cmdline::parameters().panic {
        PanicAction::Halt | PanicAction::Monitor => power::halt(),
        PanicAction::RebootAfter(seconds) => {
            machine::time::busy_wait_ns(u64::from(seconds) * crate::clock::SECOND_NS);
            power::reboot()
        }
    }
}

/// The first process is gone, and nothing works without it. Linux panics; here it is one line as well, since the
/// kernel is not at fault.
pub(crate) fn first_process_ended(status: WaitStatus) -> ! {
    ::log::error!("init: the first process has ended: {status:?}");
    give_up("no process is left to run the system")
}

/// How the system ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Off.
    PowerOff,
    /// From the beginning.
    Reboot,
    /// Standing still.
    Halt,
}

/// Ends the system in an orderly way: file systems are written and marked clean.
pub(crate) fn shutdown(action: Action) -> ! {
    fs::mount::shut_down();
    clock::save();
    ::log::info!("init: {action:?}");
    tty::consoles::flush();
    match action {
        Action::PowerOff => power::power_off(),
        Action::Reboot => power::reboot(),
        Action::Halt => power::halt(),
    }
}
