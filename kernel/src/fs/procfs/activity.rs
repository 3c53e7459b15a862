//! Files about what the CPUs do: stat, schedstat, uptime, loadavg. Source: proc(5).

use super::{
    irq,
    system::{TICK_NS, done},
};
use crate::{
    clock,
    error::Result,
    process::tree,
    sched::{self, CpuUsage, State, watch},
};
use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;
use machine::cpu;

/// What each CPU has done up to now.
fn usages() -> Vec<CpuUsage> {
    (0..cpu::count()).map(sched::cpu_usage).collect()
}

/// Times of a CPU in ticks: user, nice, system, idle, and six kinds that are not told apart here (waiting for disks is
/// idle, interrupts are the system's).
fn cpu_line(name: &str, usages: &[CpuUsage]) -> String {
    let ticks = |of: fn(&CpuUsage) -> u64| usages.iter().map(of).sum::<u64>() / TICK_NS;
    format!(
        "{name} {} {} {} {} 0 0 0 0 0 0\n",
        ticks(|usage| usage.user_ns),
        ticks(|usage| usage.nice_ns),
        ticks(|usage| usage.system_ns),
        ticks(|usage| usage.idle_ns),
    )
}

/// stat.
pub(super) fn stat((): &()) -> Result<Vec<u8>> {
    let usages = usages();
    let mut text = cpu_line("cpu ", &usages);
    for (id, usage) in usages.iter().enumerate() {
        text.push_str(&cpu_line(&format!("cpu{id}"), &[*usage]));
    }
    let switches: u64 = usages.iter().map(|usage| usage.switches).sum();
    let blocked = watch::all()
        .iter()
        .filter(|thread| thread.state() == State::Waiting && thread.process().is_some())
        .count();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "intr {}\nctxt {switches}\nbtime {}\nprocesses {}\nprocs_running {}\nprocs_blocked {blocked}\n",
        irq::total(),
        clock::boot_time_ns() / clock::SECOND_NS,
        tree::last_pid(),
        sched::running_threads(),
    );
    done(text)
}

/// schedstat, version 15 without domains. For each CPU: two counts of yielding and one that is always 0, switches, those
/// to nothing, wake-ups and local ones (not counted), nanoseconds of running and of waiting, turns.
pub(super) fn schedstat((): &()) -> Result<Vec<u8>> {
    let mut text = format!("version 15\ntimestamp {}\n", clock::monotonic_ns() / TICK_NS);
    for (id, usage) in usages().iter().enumerate() {
        let ran_ns = usage.user_ns + usage.nice_ns + usage.system_ns;
        let _ = writeln!(
            text,
            "cpu{id} 0 0 {} {} 0 0 {ran_ns} {} {}",
            usage.switches,
            usage.switches.saturating_sub(usage.turns),
            usage.delay_ns,
            usage.turns
        );
    }
    done(text)
}

/// uptime: since boot, and idle, in seconds.
pub(super) fn uptime((): &()) -> Result<Vec<u8>> {
    let show = |ns: u64| format!("{}.{:02}", ns / clock::SECOND_NS, ns % clock::SECOND_NS / 10_000_000);
    let idle = usages().iter().map(|usage| usage.idle_ns).sum();
    done(format!("{} {}\n", show(clock::monotonic_ns()), show(idle)))
}

/// loadavg.
pub(super) fn loadavg((): &()) -> Result<Vec<u8>> {
    // The averages count in units of 1/65536, as sysinfo(2) gives them.
    let show = |load: u64| format!("{}.{:02}", load >> 16, ((load & 0xffff) * 100) >> 16);
    let [one, five, fifteen] = sched::load_averages().map(show);
    done(format!(
        "{one} {five} {fifteen} {}/{} {}\n",
        sched::running_threads(),
        tree::count(),
        tree::last_pid()
    ))
}
