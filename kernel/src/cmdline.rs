//! The kernel's command line: one table of what it understands.
//!
//! How a line falls into words is in `lib/cmdline`. As on Linux, what the table does not know goes to init: `name=value` into its environment, other
//! words (and everything behind `--`) to its arguments. A value that makes no sense is reported and ignored.

use crate::{config, fault_injection, mm::Randomization};
use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};
use core::sync::atomic::Ordering;
use machine::sync::Once;
use machine::time::CounterKind;

/// What the command line says, or what holds without it.
#[derive(Debug)]
pub(crate) struct Parameters {
    /// The whole line, for /proc/cmdline.
    pub(crate) line: String,
    /// The device with the root file system.
    pub(crate) root: Option<String>,
    /// Its kind; `None`: tried in turn.
    pub(crate) root_type: Option<String>,
    /// Mount options for it.
    pub(crate) root_flags: String,
    /// Whether it is mounted for reading only.
    pub(crate) root_access: RootAccess,
    /// The first program; `None`: the usual places.
    pub(crate) init: Option<String>,
    /// Its arguments, without the name.
    pub(crate) init_arguments: Vec<String>,
    /// Its environment.
    pub(crate) init_environment: Vec<String>,
    /// Consoles in the order given; the last one is /dev/console. Empty: the default.
    pub(crate) consoles: Vec<String>,
    /// The resolution of the screen.
    pub(crate) video: Option<VideoMode>,
    /// The layout of the keyboard.
    pub(crate) keymap: Option<String>,
    /// Messages below this level are printed.
    pub(crate) console_level: u8,
    /// Memory for the log's messages in bytes, if it is to be another than usual.
    pub(crate) log_bytes: Option<usize>,
    /// The kernel's monitor comes up before init, and runs these commands first.
    pub(crate) monitor: Option<String>,
    /// In-kernel tests are run instead of init.
    pub(crate) tests: Option<TestSelection>,
    /// What a panic ends in.
    pub(crate) panic: PanicAction,
    /// QEMU's isa-debug-exit device may be used to report success or failure.
    pub(crate) debug_exit: bool,
    /// How many CPUs are started at most.
    pub(crate) max_cpus: usize,
    /// What the kernel understands is printed.
    pub(crate) help: bool,
    /// Whether the addresses of programs are left to chance.
    pub(crate) randomization: Randomization,
    /// Whether programs get a vDSO.
    pub(crate) vdso: Presence,
    /// What the clocks count by; `None`: the best that there is.
    pub(crate) clock_source: Option<CounterKind>,
    /// What is thought of the TSC.
    pub(crate) tsc_trust: TscTrust,
    /// What is to go wrong on purpose.
    pub(crate) faults: fault_injection::Plan,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    On,
    Off,
}

/// What is thought of the TSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TscTrust {
    /// It is used, and watched.
    Watched,
    /// It is used, and not watched.
    Reliable,
    /// It is not used.
    Unstable,
}

/// How the root file system is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootAccess {
    ReadOnly,
    ReadWrite,
}

/// Which in-kernel tests run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TestSelection {
    All,
    /// Those whose name contains this.
    Containing(String),
}

/// A resolution, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VideoMode {
    /// From left to right.
    pub(crate) width: usize,
    /// From top to bottom.
    pub(crate) height: usize,
}

/// What follows a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PanicAction {
    /// The machine stands still.
    Halt,
    /// It restarts after so many seconds.
    RebootAfter(u32),
    /// The kernel's monitor.
    Monitor,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            line: String::new(),
            root: None,
            root_type: None,
            root_flags: String::new(),
            root_access: RootAccess::ReadWrite,
            init: None,
            init_arguments: Vec::new(),
            init_environment: vec!["HOME=/".to_owned(), "TERM=linux".to_owned()],
            consoles: Vec::new(),
            video: None,
            keymap: None,
            console_level: config::CONSOLE_LEVEL,
            log_bytes: None,
            monitor: None,
            tests: None,
            panic: PanicAction::Halt,
            debug_exit: false,
            max_cpus: usize::MAX,
            help: false,
            randomization: Randomization::On,
            vdso: Presence::On,
            clock_source: None,
            tsc_trust: TscTrust::Watched,
            faults: fault_injection::Plan::default(),
        }
    }
}

/// A kernel parameter.
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value in words, or empty if it has none.
    pub(crate) value: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
    apply: fn(&mut Parameters, &str) -> Result<(), &'static str>,
}

/// Every parameter. A new one is a row here and a field above.
#[rustfmt::skip]
pub(crate) const TABLE: &[Parameter] = &[
    Parameter { name: "root", value: "DEVICE", help: "the root file system: /dev/vda, /dev/vda2, /dev/ram0, PARTUUID=..., or tmpfs",
        apply: |p, v| text(v).map(|v| p.root = Some(v)) },
    Parameter { name: "rootfstype", value: "TYPE", help: "its kind; otherwise the known ones are tried",
        apply: |p, v| text(v).map(|v| p.root_type = Some(v)) },
    Parameter { name: "rootflags", value: "OPTIONS", help: "mount options for it",
        apply: |p, v| text(v).map(|v| p.root_flags = v) },
    Parameter { name: "ro", value: "", help: "mount the root file system for reading only",
        apply: |p, _| { p.root_access = RootAccess::ReadOnly; Ok(()) } },
    Parameter { name: "rw", value: "", help: "mount it for reading and writing (the default)",
        apply: |p, _| { p.root_access = RootAccess::ReadWrite; Ok(()) } },
    Parameter { name: "init", value: "PATH", help: "the first program; otherwise /sbin/init, /etc/init, /bin/init, /bin/sh",
        apply: |p, v| text(v).map(|v| p.init = Some(v)) },
    Parameter { name: "console", value: "TTY[,OPTIONS]", help: "print the log there: ttyS0, ttyS1,115200n8, hvc0, tty0; may be given several times, the last one becomes /dev/console",
        apply: |p, v| text(v).map(|v| p.consoles.push(v)) },
    Parameter { name: "video", value: "WIDTHxHEIGHT", help: "the resolution of the screen, such as 1920x1080",
        apply: |p, v| video_mode(v).map(|v| p.video = Some(v)) },
    Parameter { name: "keymap", value: "NAME", help: "the layout of the keyboard: us (the default), uk, de, fr, dvorak",
        apply: |p, v| text(v).map(|v| p.keymap = Some(v)) },
    Parameter { name: "loglevel", value: "0-8", help: "messages below this level are printed on the console",
        apply: |p, v| number(v).map(|v| p.console_level = v) },
    Parameter { name: "log_buf_len", value: "BYTES[K|M]", help: "memory for messages, 4K to 64M",
        apply: |p, v| log_size(v).map(|v| p.log_bytes = Some(v)) },
    Parameter { name: "quiet", value: "", help: "print only errors and worse",
        apply: |p, _| { p.console_level = config::CONSOLE_LEVEL_QUIET; Ok(()) } },
    Parameter { name: "debug", value: "", help: "print everything",
        apply: |p, _| { p.console_level = crate::log::LEVEL_DEBUG + 1; Ok(()) } },
    Parameter { name: "ktest", value: "[NAME]", help: "run the in-kernel tests (whose name contains NAME) instead of init",
        apply: |p, v| { p.tests = Some(selection(v)); Ok(()) } },
    Parameter { name: "monitor", value: "[LIST]", help: "the kernel's monitor, before init; runs these commands (between semicolons) first. A list of its commands at the end of the line does the same",
        apply: |p, v| { p.monitor = Some(v.to_owned()); Ok(()) } },
    Parameter { name: "panic", value: "SECONDS|monitor", help: "restart so long after a panic; 0 never, negative at once; or the kernel's monitor",
        apply: |p, v| panic_action(v).map(|v| p.panic = v) },
    Parameter { name: "debug_exit", value: "", help: "QEMU has an isa-debug-exit device at port 0xf4: report how things ended through it",
        apply: |p, _| { p.debug_exit = true; Ok(()) } },
    Parameter { name: "maxcpus", value: "N", help: "start at most so many CPUs",
        apply: |p, v| number::<usize>(v).map(|v| p.max_cpus = v.max(1)) },
    Parameter { name: "nosmp", value: "", help: "use one CPU only",
        apply: |p, _| { p.max_cpus = 1; Ok(()) } },
    Parameter { name: "help", value: "", help: "print this list at boot",
        apply: |p, _| { p.help = true; Ok(()) } },
    Parameter { name: "norandmaps", value: "", help: "leave no addresses of programs to chance",
        apply: |p, _| { p.randomization = Randomization::Off; Ok(()) } },
    Parameter { name: "vdso", value: "0|1", help: "whether programs get the code that tells the time without a system call",
        apply: |p, v| presence(v).map(|v| p.vdso = v) },
    Parameter { name: "clocksource", value: "tsc|hpet", help: "what the clocks count by",
        apply: |p, v| CounterKind::named(v).map(|v| p.clock_source = Some(v)).ok_or("no such counter") },
    Parameter { name: "tsc", value: "reliable|unstable", help: "whether the time-stamp counter needs no watching, or must not be used",
        apply: |p, v| tsc_trust(v).map(|v| p.tsc_trust = v) },
    Parameter { name: "failslab", value: "INTERVAL,PROBABILITY,SPACE,TIMES", help: "allocations of the heap fail, for threads with 1 in /proc/PID/make-it-fail",
        apply: |p, v| p.faults.set(&fault_injection::FAILSLAB, v) },
    Parameter { name: "fail_page_alloc", value: "INTERVAL,PROBABILITY,SPACE,TIMES", help: "allocations of frames fail, for the same threads",
        apply: |p, v| p.faults.set(&fault_injection::FAIL_PAGE_ALLOC, v) },
    Parameter { name: "fault_injection", value: "POINT:PERCENT,...", help: "points: failslab, fail_page_alloc, spurious_wakeup, delay, preempt; also in /proc/sys/kernel/fault_injection",
        apply: |p, v| p.faults.set_many(v) },
];

static PARAMETERS: Once<Parameters> = Once::new();

/// Reads the command line. Once, early at boot; it can log.
pub(crate) fn init(line: &str, _log: &crate::log::Ready) -> &'static Parameters {
    let parameters = PARAMETERS.call_once(|| parse(line));
    if parameters.randomization == Randomization::Off {
        crate::mm::RANDOMIZE_VA_SPACE.store(0, Ordering::Relaxed);
    }
    parameters
}

/// Prints every parameter with its meaning.
pub(crate) fn print_help() {
    for row in TABLE {
        let equals = if row.value.is_empty() { "" } else { "=" };
        log::info!("{:24} {}", format!("{}{equals}{}", row.name, row.value), row.help);
    }
}

/// What the command line said.
pub(crate) fn parameters() -> &'static Parameters {
    PARAMETERS.call_once(Parameters::default)
}

fn parse(line: &str) -> Parameters {
    let mut parameters = Parameters { line: line.trim().to_owned(), ..Parameters::default() };
    let (line, commands) = split_commands(line);
    for word in ::cmdline::parameters(line) {
        let value = word.value.as_deref().unwrap_or("");
        match TABLE.iter().find(|row| word.is(row.name)) {
            Some(row) => {
                if let Err(reason) = (row.apply)(&mut parameters, value) {
                    let (name, expected) = (row.name, row.value);
                    log::warn!("command line: {name}={value}: {reason} (expected {name}={expected})");
                }
            }
            // Parameters of modules, like `usbcore.quirks=1`, mean nothing to init.
            None if word.key.contains('.') => {}
            None if word.value.is_some() => {
                set_environment(&mut parameters.init_environment, format!("{}={value}", word.key));
            }
            None => parameters.init_arguments.push(word.key.into_owned()),
        }
    }
    let rest = ::cmdline::init_arguments(line).map(|word| word.into_owned());
    parameters.init_arguments.extend(rest);
    if let Some(commands) = commands {
        let list = parameters.monitor.get_or_insert_default();
        *list = format!("{list}; {commands}");
    }
    parameters
}

/// The line without the list of the monitor's commands at its end, and that: it begins with the first word that is one of
/// them and no parameter. What `init=` names gets its arguments as they are.
fn split_commands(line: &str) -> (&str, Option<&str>) {
    let mut has_init = false;
    let start = ::cmdline::position(line, |word| {
        let is_parameter = word.value.is_some() || TABLE.iter().any(|row| word.is(row.name));
        has_init |= word.is("init");
        !is_parameter && !has_init && crate::monitor::is_command(&word.key)
    });
    match start {
        Some(start) => (&line[..start], Some(line[start..].trim())),
        None => (line, None),
    }
}

/// Adds `name=value`, in the place of an earlier value of that name.
fn set_environment(environment: &mut Vec<String>, word: String) {
    let name_length = word.find('=').map_or(word.len(), |at| at + 1);
    let name = &word[..name_length];
    match environment.iter_mut().find(|old| old.starts_with(name)) {
        Some(old) => *old = word,
        None => environment.push(word),
    }
}

fn presence(value: &str) -> Result<Presence, &'static str> {
    match value {
        "0" => Ok(Presence::Off),
        "1" => Ok(Presence::On),
        _ => Err("neither 0 nor 1"),
    }
}

fn tsc_trust(value: &str) -> Result<TscTrust, &'static str> {
    match value {
        "reliable" => Ok(TscTrust::Reliable),
        "unstable" => Ok(TscTrust::Unstable),
        _ => Err("neither of the two"),
    }
}

fn text(value: &str) -> Result<String, &'static str> {
    if value.is_empty() { Err("the value is missing") } else { Ok(value.to_owned()) }
}

fn number<T: core::str::FromStr>(value: &str) -> Result<T, &'static str> {
    value.parse().map_err(|_| "not a number in range")
}

/// A size with an optional K or M behind it.
fn log_size(value: &str) -> Result<usize, &'static str> {
    let (digits, shift) = match value.as_bytes().last() {
        Some(b'K' | b'k') => (&value[..value.len() - 1], 10),
        Some(b'M' | b'm') => (&value[..value.len() - 1], 20),
        _ => (value, 0),
    };
    let size = number::<usize>(digits)?.checked_mul(1 << shift).ok_or("too large")?;
    if (4 << 10..=64 << 20).contains(&size) { Ok(size) } else { Err("too small or too large") }
}

fn selection(value: &str) -> TestSelection {
    if value.is_empty() { TestSelection::All } else { TestSelection::Containing(value.to_owned()) }
}

fn video_mode(value: &str) -> Result<VideoMode, &'static str> {
    let (width, height) = value.split_once('x').ok_or("not two numbers with an x between them")?;
    let mode = VideoMode { width: number(width)?, height: number(height)? };
    let is_sane = |pixels| (64..=16_384).contains(&pixels);
    if is_sane(mode.width) && is_sane(mode.height) { Ok(mode) } else { Err("from 64x64 to 16384x16384") }
}

fn panic_action(value: &str) -> Result<PanicAction, &'static str> {
    if value == "monitor" {
        return Ok(PanicAction::Monitor);
    }
    Ok(match number::<i32>(value)? {
        0 => PanicAction::Halt,
        seconds => PanicAction::RebootAfter(u32::try_from(seconds).unwrap_or(0)),
    })
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    #[kernel_test]
    fn words_go_where_linux_puts_them() {
        let line =
            "root=/dev/vda1 ro foo bar=1 usb.quirk=2 HOME=/root quiet ktest=mm init=\"/bin/sh\" -- -x y=z";
        let parameters = parse(line);
        assert_eq!(parameters.root.as_deref(), Some("/dev/vda1"));
        assert_eq!(parameters.root_access, RootAccess::ReadOnly);
        assert_eq!(parameters.init.as_deref(), Some("/bin/sh"));
        assert_eq!(parameters.init_arguments, ["foo", "-x", "y=z"]);
        assert_eq!(parameters.init_environment, ["HOME=/root", "TERM=linux", "bar=1"]);
        assert_eq!(parameters.console_level, config::CONSOLE_LEVEL_QUIET);
        assert_eq!(parameters.tests, Some(TestSelection::Containing("mm".to_owned())));
    }

    #[kernel_test]
    fn a_list_of_commands_ends_the_line() {
        let list = "mount 2; write-framebuffer hello!; exec 20 /bin/primes 15000; test";
        let parameters = parse(&format!("root=/dev/vda rw console=ttyS0 {list}"));
        assert_eq!(parameters.monitor.as_deref(), Some(format!("; {list}").as_str()));
        assert!(parameters.init_arguments.is_empty());
        assert_eq!(parse("monitor").monitor.as_deref(), Some(""));
        assert_eq!(parse("monitor='ls /; exit' test;").monitor.as_deref(), Some("ls /; exit; test;"));
        for others in ["single", "-- ls /", "init=/bin/busybox ls /", "x=ls", "panic help"] {
            assert_eq!(parse(others).monitor, None, "{others}");
        }
        assert_eq!(parse("init=/bin/busybox ls /").init_arguments, ["ls", "/"]);
        assert_eq!(parse("panic=monitor").panic, PanicAction::Monitor);
    }

    #[kernel_test]
    fn nonsense_is_reported_and_ignored() {
        let parameters = parse("loglevel=many root= maxcpus=0 panic=-1 debug-exit");
        assert_eq!(parameters.console_level, config::CONSOLE_LEVEL);
        assert_eq!(parse("log_buf_len=256K").log_bytes, Some(256 << 10));
        for size in ["", "K", "1", "1G", "65M", "99999999999999999999M", "18446744073709551615K"] {
            assert_eq!(parse(&format!("log_buf_len={size}")).log_bytes, None, "{size}");
        }
        assert_eq!(parameters.root, None);
        assert_eq!(parameters.max_cpus, 1);
        assert_eq!(parameters.panic, PanicAction::RebootAfter(0));
        assert!(parameters.debug_exit);
    }
}
