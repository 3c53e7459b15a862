//! What the system is doing, from the files of /proc.

use std::collections::HashMap;
use std::fs;

/// Time that CPUs had since the start, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CpuTime {
    pub(crate) busy: u64,
    pub(crate) total: u64,
}

impl CpuTime {
    /// How much of the time since `earlier` was used, from 0 to 1.
    pub(crate) fn load_since(self, earlier: CpuTime) -> f32 {
        let total = self.total.saturating_sub(earlier.total);
        let busy = self.busy.saturating_sub(earlier.busy).min(total);
        if total == 0 { 0.0 } else { busy as f32 / total as f32 }
    }
}

/// Memory in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) free: u64,
    pub(crate) cached: u64,
    pub(crate) available: u64,
}

/// A process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) state: char,
    pub(crate) threads: u32,
    /// Ticks of CPU time it has used.
    pub(crate) ticks: u64,
    /// Of its memory, what is in RAM, in KiB.
    pub(crate) resident: u64,
    /// The part of one CPU that it had lately, from 0 on.
    pub(crate) load: f32,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) version: String,
    pub(crate) uptime_seconds: u64,
    pub(crate) cpus: Vec<CpuTime>,
    pub(crate) memory: Memory,
    pub(crate) tasks: Vec<Task>,
}

impl Figures {
    /// Reads them; what cannot be read is empty. Loads are since `earlier`.
    pub(crate) fn read(earlier: &Figures) -> Figures {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpus = cpus(&text("/proc/stat"));
        let ticks: u64 =
            cpus.iter().zip(&earlier.cpus).map(|(now, old)| now.total.saturating_sub(old.total)).sum();
        // What one CPU had.
        let ticks = ticks / cpus.len().max(1) as u64;
        let old: HashMap<u32, u64> = earlier.tasks.iter().map(|task| (task.pid, task.ticks)).collect();
        let mut tasks: Vec<Task> = pids()
            .filter_map(|pid| task(&text(&format!("/proc/{pid}/stat"))))
            .map(|task| {
                let used = old.get(&task.pid).map_or(0, |old| task.ticks.saturating_sub(*old));
                Task { load: if ticks == 0 { 0.0 } else { used as f32 / ticks as f32 }, ..task }
            })
            .collect();
        tasks.sort_by(|a, b| {
            b.load.total_cmp(&a.load).then(b.resident.cmp(&a.resident)).then(a.pid.cmp(&b.pid))
        });
        let uptime = text("/proc/uptime");
        let uptime_seconds = uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        let version = text("/proc/sys/kernel/osrelease").trim().to_string();
        Figures { version, uptime_seconds, cpus, memory: memory(&text("/proc/meminfo")), tasks }
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// From /proc/stat: each CPU's time.
fn cpus(text: &str) -> Vec<CpuTime> {
    let cpu = |line: &str| {
        let rest =
            line.strip_prefix("cpu").filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))?;
        let fields: Vec<u64> =
            rest.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).take(8).collect();
        // User, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen.
        let total: u64 = fields.iter().sum();
        let idle = fields.get(3).copied()? + fields.get(4).copied().unwrap_or(0);
        Some(CpuTime { busy: total - idle, total })
    };
    text.lines().filter_map(cpu).collect()
}

fn memory(text: &str) -> Memory {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let cached = value("Cached") + value("Buffers");
    Memory { total: value("MemTotal"), free: value("MemFree"), cached, available: value("MemAvailable") }
}

/// From /proc/PID/stat: the name stands in parentheses and may contain some itself.
fn task(text: &str) -> Option<Task> {
    const PAGE_KIB: u64 = 4;
    let (pid, rest) = text.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The fields from the third of proc(5) on: state is 0, utime 11, stime 12, threads 17, rss 21.
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    Some(Task {
        pid: pid.parse().ok()?,
        name: name.to_string(),
        state: fields.first()?.chars().next()?,
        threads: number(17)?.try_into().unwrap_or(u32::MAX),
        ticks: number(11)?.saturating_add(number(12)?),
        resident: number(21)?.saturating_mul(PAGE_KIB),
        load: 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_read_and_the_sum_is_left_out() {
        let text =
            "cpu  10 0 10 80 0 0 0 0 0 0\ncpu0 4 0 6 30 10 0 0 0 0 0\ncpu1 6 0 4 50 0 0 0 0 0 0\nintr 5\n";
        let cpus = cpus(text);
        assert_eq!(cpus, [CpuTime { busy: 10, total: 50 }, CpuTime { busy: 10, total: 60 }]);
        assert_eq!(cpus[0].load_since(CpuTime::default()), 0.2);
        assert_eq!(cpus[0].load_since(cpus[0]), 0.0);
        assert_eq!(super::cpus("cpu0 1 2\ncpux\n"), []);
    }

    #[test]
    fn memory_is_read() {
        let text = "MemTotal:  100 kB\nMemFree:  40 kB\nMemAvailable: 60 kB\nBuffers: 5 kB\nCached: 20 kB\n";
        assert_eq!(memory(text), Memory { total: 100, free: 40, cached: 25, available: 60 });
        assert_eq!(memory(""), Memory::default());
    }

    #[test]
    fn names_may_contain_parentheses_and_spaces() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 70 8 0 0 20 0 3 0 99 4096 25 0";
        let task = task(&format!("42 (a (b) c) {rest}")).unwrap();
        assert_eq!((task.pid, task.name.as_str(), task.state), (42, "a (b) c", 'S'));
        assert_eq!((task.ticks, task.threads, task.resident), (78, 3, 100));
        assert_eq!(super::task("42 (short) S 1 2"), None);
    }

    #[test]
    fn this_system_has_a_cpu_memory_and_this_task() {
        let figures = Figures::read(&Figures::default());
        assert!(!figures.cpus.is_empty() && figures.memory.total > figures.memory.free);
        assert!(figures.tasks.iter().any(|task| task.pid == std::process::id()));
    }
}
