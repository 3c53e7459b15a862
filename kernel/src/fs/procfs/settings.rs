//! sys/: settings of the kernel. Source: proc_sys(5).

use super::table::{Row, RowKind, rows, text};
use crate::{
    config,
    device::random,
    error::{Error, Result},
    fault_injection::{self, Attribute},
    fs::{inotify, pipe},
    log::{self, Levels},
    mm::{
        self,
        commit::{self, Overcommit},
    },
    process::{credentials::capability, tree, try_current},
    sched::{self, watch},
    utsname,
};
use abi::errno::Errno;
use alloc::{format, vec::Vec};
use core::{
    ops::RangeInclusive,
    sync::atomic::{AtomicU64, Ordering},
};
use machine::sync::Once;
use runqueue::RealTimeLimit;

/// A value that programs read and that nothing here depends on.
macro_rules! fixed {
    ($name:literal, $value:expr) => {
        text($name, |()| Ok(format!("{}\n", $value).into_bytes()))
    };
}

/// A number in a range that lies in an atomic.
macro_rules! number {
    ($name:literal, $place:expr, $range:expr) => {
        Row {
            name: $name,
            mode: 0o644,
            kind: RowKind::Setting(
                |()| Ok(format!("{}\n", AtomicU64::load($place, Ordering::Relaxed)).into_bytes()),
                |(), text| set_number(text, $place, $range),
            ),
        }
    };
}

/// The directory of a point of fault injection.
macro_rules! point {
    (@$name:literal, $point:path, $attribute:ident) => {
        Row {
            name: $name,
            mode: 0o644,
            kind: RowKind::Setting(
                |()| Ok($point.show(Attribute::$attribute)),
                |(), text| $point.set(Attribute::$attribute, text),
            ),
        }
    };
    ($name:literal, $point:path) => {
        rows(
            $name,
            &[
                point!(@"probability", $point, Probability),
                point!(@"interval", $point, Interval),
                point!(@"times", $point, Times),
                point!(@"space", $point, Space),
                point!(@"task-filter", $point, TaskFilter),
                point!(@"struck", $point, Struck),
            ],
        )
    };
}

/// The directory.
pub(super) const ROWS: &[Row<()>] = &[
    rows("kernel", KERNEL),
    rows("vm", MEMORY),
    rows("fs", FILES),
    rows("net", &[rows("core", NETWORK_CORE), rows("ipv4", NETWORK_IPV4)]),
];

const KERNEL: &[Row<()>] = &[
    Row { name: "hostname", mode: 0o644, kind: RowKind::Setting(host_name, set_host_name) },
    Row { name: "domainname", mode: 0o644, kind: RowKind::Setting(domain_name, set_domain_name) },
    fixed!("ostype", utsname::SYSTEM),
    fixed!("osrelease", utsname::RELEASE),
    fixed!("version", utsname::VERSION),
    fixed!("pid_max", tree::PID_LIMIT),
    fixed!("threads-max", tree::threads_max()),
    fixed!("ngroups_max", 65536),
    fixed!("cap_last_cap", abi::prctl::CAP_LAST_CAP),
    fixed!("overflowuid", 65534),
    fixed!("overflowgid", 65534),
    number!("randomize_va_space", &mm::RANDOMIZE_VA_SPACE, 0..=2),
    fixed!("core_pattern", "core"),
    fixed!("tainted", 0),
    Row {
        name: "hung_task_timeout_secs",
        mode: 0o644,
        kind: RowKind::Setting(hung_timeout, set_hung_timeout),
    },
    Row { name: "hung_task_warnings", mode: 0o644, kind: RowKind::Setting(hung_warnings, set_hung_warnings) },
    Row { name: "sched_rt_period_us", mode: 0o644, kind: RowKind::Setting(rt_period, set_rt_period) },
    Row { name: "sched_rt_runtime_us", mode: 0o644, kind: RowKind::Setting(rt_runtime, set_rt_runtime) },
    fixed!("sched_rr_timeslice_ms", runqueue::ROUND_ROBIN_NS / 1_000_000),
    text("stack_deepest", deepest_stack),
    Row { name: "printk", mode: 0o644, kind: RowKind::Setting(printk, set_printk) },
    Row { name: "sysrq", mode: 0o644, kind: RowKind::Setting(sysrq, set_sysrq) },
    fixed!("shmmax", u64::MAX >> 12 << 12),
    rows("random", RANDOM),
    rows(
        "fault_injection",
        &[
            point!("failslab", fault_injection::FAILSLAB),
            point!("fail_page_alloc", fault_injection::FAIL_PAGE_ALLOC),
            point!("spurious_wakeup", fault_injection::SPURIOUS_WAKEUP),
            point!("delay", fault_injection::DELAY),
            point!("preempt", fault_injection::PREEMPT),
        ],
    ),
];

/// stack_deepest: the most that a thread ever used of its kernel stack, the stack's size (bytes), and the thread's name.
fn deepest_stack((): &()) -> Result<Vec<u8>> {
    let deepest = crate::sched::watch::deepest_stack();
    let show =
        |stack: crate::sched::watch::StackUse| format!("{} {} {}\n", stack.used, stack.size, stack.name);
    Ok(deepest.map(show).unwrap_or_default().into_bytes())
}

/// printk: what is printed on the console, see [`Levels`].
fn printk((): &()) -> Result<Vec<u8>> {
    let Levels { console, message, minimum, default } = log::levels();
    Ok(format!("{console}\t{message}\t{minimum}\t{default}\n").into_bytes())
}

/// Takes one to four of the numbers; the rest stay.
fn set_printk((): &(), text: &[u8]) -> Result<()> {
    let text = core::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
    let mut levels = log::levels();
    let places = [&mut levels.console, &mut levels.message, &mut levels.minimum, &mut levels.default];
    for (place, word) in places.into_iter().zip(text.split_ascii_whitespace()) {
        *place = word.parse().map_err(|_| Errno::EINVAL)?;
    }
    log::set_levels(levels);
    Ok(())
}

/// sysrq: whether magic keys are obeyed. Linux's masks of single keys count as "yes".
fn sysrq((): &()) -> Result<Vec<u8>> {
    Ok(format!("{}\n", u8::from(crate::sysrq::is_allowed())).into_bytes())
}

fn set_sysrq((): &(), text: &[u8]) -> Result<()> {
    let number: Option<u32> = core::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok());
    crate::sysrq::allow(number.ok_or(Errno::EINVAL)? != 0);
    Ok(())
}

const RANDOM: &[Row<()>] = &[
    text("uuid", |()| Ok(format_uuid(random_bytes()))),
    text("boot_id", |()| Ok(format_uuid(*BOOT_ID.call_once(random_bytes)))),
    fixed!("entropy_avail", 256),
    fixed!("poolsize", 256),
];

const MEMORY: &[Row<()>] = &[
    Row { name: "overcommit_memory", mode: 0o644, kind: RowKind::Setting(overcommit, set_overcommit) },
    number!("overcommit_ratio", &commit::RATIO, 0..=i32::MAX as u64),
    number!("overcommit_kbytes", &commit::LIMIT_KIB, 0..=u64::MAX >> 12),
    number!("admin_reserve_kbytes", &commit::ADMIN_RESERVE_KIB, 0..=u64::MAX >> 12),
    number!("user_reserve_kbytes", &commit::USER_RESERVE_KIB, 0..=u64::MAX >> 12),
    number!("max_map_count", &mm::AREAS_MAX, 0..=i32::MAX as u64),
    fixed!("mmap_min_addr", crate::mm::USER_START),
    fixed!("swappiness", 0),
    fixed!("dirty_writeback_centisecs", config::FLUSH_INTERVAL_NS / 10_000_000),
    Row { name: "drop_caches", mode: 0o200, kind: RowKind::Setting(|()| Ok(Vec::new()), drop_caches) },
];

const FILES: &[Row<()>] = &[
    rows(
        "inotify",
        &[
            number!("max_queued_events", &inotify::MAXIMUM_EVENTS, 0..=i32::MAX as u64),
            number!("max_user_instances", &inotify::MAXIMUM_INSTANCES, 0..=i32::MAX as u64),
            number!("max_user_watches", &inotify::MAXIMUM_WATCHES, 0..=i32::MAX as u64),
        ],
    ),
    fixed!("file-max", i64::MAX),
    fixed!("nr_open", 1_048_576),
    fixed!("pipe-max-size", pipe::MAXIMUM_CAPACITY),
    text("file-nr", |()| Ok(format!("{}\t0\t{}\n", crate::fs::file::count(), i64::MAX).into_bytes())),
    text("dentry-state", |()| {
        Ok(format!("{0}\t{0}\t45\t0\t0\t0\n", crate::fs::dentry_cache::size()).into_bytes())
    }),
];

const NETWORK_CORE: &[Row<()>] = &[fixed!("somaxconn", 4096)];
const NETWORK_IPV4: &[Row<()>] = &[fixed!("ip_local_port_range", "32768\t60999")];

static BOOT_ID: Once<[u8; 16]> = Once::new();
/// The largest that Linux takes: what a signed number of ticks can hold, at 1000 a second.
const LONGEST_TIMEOUT: u64 = i64::MAX as u64 / 1000;

fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    bytes
}

/// A random UUID (RFC 9562, version 4).
fn format_uuid(mut bytes: [u8; 16]) -> Vec<u8> {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = Vec::with_capacity(37);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push(b'-');
        }
        text.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    text.push(b'\n');
    text
}

/// The bytes of a field up to its NUL, and a newline.
fn line(field: &[u8]) -> Vec<u8> {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    [&field[..end], b"\n"].concat()
}

fn host_name((): &()) -> Result<Vec<u8>> {
    Ok(line(&utsname::host_name()))
}

fn set_host_name((): &(), text: &[u8]) -> Result<()> {
    utsname::set_host_name(text.trim_ascii_end());
    Ok(())
}

fn domain_name((): &()) -> Result<Vec<u8>> {
    Ok(line(&utsname::domain_name()))
}

fn set_domain_name((): &(), text: &[u8]) -> Result<()> {
    utsname::set_domain_name(text.trim_ascii_end());
    Ok(())
}

fn hung_timeout((): &()) -> Result<Vec<u8>> {
    Ok(format!("{}\n", watch::hung_timeout_seconds()).into_bytes())
}

fn set_hung_timeout((): &(), text: &[u8]) -> Result<()> {
    watch::set_hung_timeout_seconds(number(text, 0..=LONGEST_TIMEOUT)?);
    Ok(())
}

fn hung_warnings((): &()) -> Result<Vec<u8>> {
    Ok(format!("{}\n", watch::hung_warnings()).into_bytes())
}

fn set_hung_warnings((): &(), text: &[u8]) -> Result<()> {
    watch::set_hung_warnings(number(text, -1..=i64::from(i32::MAX))?);
    Ok(())
}

/// A number that somebody writes; EINVAL outside the range.
fn number<N: core::str::FromStr + PartialOrd>(text: &[u8], range: RangeInclusive<N>) -> Result<N> {
    let number = core::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok());
    number.filter(|number| range.contains(number)).ok_or(Error::new(Errno::EINVAL, "a number in range"))
}

fn overcommit((): &()) -> Result<Vec<u8>> {
    Ok(format!("{}\n", commit::overcommit() as u8).into_bytes())
}

/// A number that root has written.
fn written_number(text: &[u8]) -> Result<i64> {
    if !try_current().is_some_and(|process| process.credentials().has(capability::SYS_ADMIN)) {
        return Err(Errno::EPERM.into());
    }
    let number = core::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok());
    Ok(number.ok_or(Errno::EINVAL)?)
}

fn rt_period((): &()) -> Result<Vec<u8>> {
    Ok(format!("{}\n", sched::real_time_limit().period_ns / 1_000).into_bytes())
}

fn set_rt_period((): &(), text: &[u8]) -> Result<()> {
    let limit = sched::real_time_limit();
    let micros = u64::try_from(written_number(text)?).map_err(|_| Errno::EINVAL)?;
    set_limit(RealTimeLimit { period_ns: micros.saturating_mul(1_000), ..limit })
}

fn rt_runtime((): &()) -> Result<Vec<u8>> {
    match sched::real_time_limit().runtime_ns {
        Some(runtime_ns) => Ok(format!("{}\n", runtime_ns / 1_000).into_bytes()),
        None => Ok(b"-1\n".to_vec()),
    }
}

/// -1: real-time threads may take all.
fn set_rt_runtime((): &(), text: &[u8]) -> Result<()> {
    let limit = sched::real_time_limit();
    let runtime_ns = match written_number(text)? {
        -1 => None,
        micros => Some(u64::try_from(micros).map_err(|_| Errno::EINVAL)?.saturating_mul(1_000)),
    };
    set_limit(RealTimeLimit { runtime_ns, ..limit })
}

fn set_limit(limit: RealTimeLimit) -> Result<()> {
    /// As on Linux: the most that a period can be, in nanoseconds.
    const LONGEST_NS: u64 = i32::MAX as u64 * 1_000;
    let is_possible = (1..=LONGEST_NS).contains(&limit.period_ns)
        && limit.runtime_ns.is_none_or(|runtime_ns| runtime_ns <= limit.period_ns);
    if !is_possible {
        return Err(Error::new(Errno::EINVAL, "0 < period, and runtime <= period"));
    }
    sched::set_real_time_limit(limit);
    Ok(())
}

fn set_overcommit((): &(), text: &[u8]) -> Result<()> {
    commit::set_overcommit(match text.trim_ascii() {
        b"0" => Overcommit::Heuristic,
        b"1" => Overcommit::Always,
        b"2" => Overcommit::Strict,
        _ => return Err(Errno::EINVAL.into()),
    });
    Ok(())
}

/// Stores a decimal number, if it is in the range. EINVAL if it is none, or not.
fn set_number(text: &[u8], place: &AtomicU64, range: RangeInclusive<u64>) -> Result<()> {
    place.store(number(text, range)?, Ordering::Relaxed);
    Ok(())
}

/// 1: clean pages, 2: names, 3: both.
fn drop_caches((): &(), text: &[u8]) -> Result<()> {
    if !try_current().is_some_and(|process| process.credentials().has(capability::SYS_ADMIN)) {
        return Err(Errno::EPERM.into());
    }
    let what: u32 =
        core::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if !(1..=3).contains(&what) {
        return Err(Error::new(Errno::EINVAL, "1, 2 or 3"));
    }
    if what & 2 != 0 {
        crate::fs::dentry_cache::shrink(usize::MAX);
    }
    if what & 1 != 0 {
        crate::mm::drop_caches();
    }
    Ok(())
}
