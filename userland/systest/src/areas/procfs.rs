//! `/proc`: what programs read about themselves and the machine.

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, skip, tests};
use crate::sys::files::{self, chdir, exists, get, getcwd, list, open, readlink, stat};
use crate::sys::memory::Mapping;
use crate::sys::process::{self, Status, fork};
use crate::sys::signals;

tests! {
    self_is_this_process,
    exe_is_this_program,
    command_line_is_this_ones,
    environment_is_readable,
    stat_has_its_fields,
    stat_tells_states,
    status_has_its_lines,
    maps_show_mappings,
    descriptors_are_listed,
    directories_are_linked,
    statm_counts_pages,
    name_can_be_read,
    processes_are_listed,
    unknown_processes_are_missing,
    meminfo_adds_up,
    uptime_advances,
    load_average_has_five_fields,
    version_agrees_with_uname,
    cpuinfo_names_each_processor,
    kernel_command_line_is_there,
    mounts_show_the_root,
    file_systems_are_listed,
    kernel_stat_counts,
    files_can_be_read_in_pieces,
    proc_cannot_be_changed,
    kernel_settings_are_readable,
}

/// The text of a file in /proc; skips the test if it is not there.
fn text(name: &str) -> Result<String, Stop> {
    if !exists("/proc/self") {
        skip!("/proc is not mounted");
    }
    Ok(String::from_utf8_lossy(&get(name)?).into_owned())
}

fn self_is_this_process() -> Outcome {
    text("/proc/self/stat")?;
    ensure_eq!(readlink("/proc/self")?, process::getpid()?.to_string());
    let child = fork(|| {
        let me = process::getpid().unwrap_or_default().to_string();
        i32::from(readlink("/proc/self") != Ok(me))
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn exe_is_this_program() -> Outcome {
    text("/proc/self/stat")?;
    let path = readlink("/proc/self/exe")?;
    ensure!(path.ends_with("systest") && path.starts_with('/'), "`{path}`");
    ensure_eq!(stat("/proc/self/exe")?.st_ino, stat(&path)?.st_ino);
    ensure!(get("/proc/self/exe")?.starts_with(b"\x7fELF"));
    Ok(())
}

fn command_line_is_this_ones() -> Outcome {
    let seen = text("/proc/self/cmdline")?;
    let expected: String = std::env::args().map(|argument| argument + "\0").collect();
    ensure_eq!(seen, expected);
    Ok(())
}

fn environment_is_readable() -> Outcome {
    let seen = text("/proc/self/environ")?;
    let expected: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    let seen: Vec<&str> = seen.split_terminator('\0').collect();
    ensure_eq!(seen, expected);
    Ok(())
}

/// The fields of /proc/PID/stat behind the name, the state first.
fn stat_fields(pid: &str) -> Result<Vec<String>, Stop> {
    let line = text(&format!("/proc/{pid}/stat"))?;
    let Some((_, rest)) = line.rsplit_once(") ") else {
        return Err(Stop::fail(format!("odd line `{line}`")));
    };
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

fn stat_has_its_fields() -> Outcome {
    let line = text("/proc/self/stat")?;
    ensure!(line.starts_with(&format!("{} (", process::getpid()?)) && line.ends_with('\n'));
    let fields = stat_fields("self")?;
    ensure!(fields.len() >= 42, "{} fields behind the name", fields.len());
    ensure_eq!(fields[0], "R");
    ensure_eq!(fields[1], process::getppid()?.to_string());
    ensure_eq!(fields[2], process::getpgrp()?.to_string());
    ensure_eq!(fields[3], process::getsid(0)?.to_string());
    ensure_eq!(fields[17], "1", "threads");
    ensure!(fields[20].parse::<u64>().is_ok_and(|bytes| bytes > 4096), "virtual size {}", fields[20]);
    Ok(())
}

fn stat_tells_states() -> Outcome {
    let child = fork(|| {
        loop {
            let _ = signals::pause();
        }
    })?;
    let pid = child.pid().to_string();
    let state = |wanted: &str| -> Outcome {
        let start = std::time::Instant::now();
        loop {
            let seen = stat_fields(&pid)?[0].clone();
            if seen == wanted {
                return Ok(());
            }
            ensure!(start.elapsed().as_secs() < 5, "state {seen}, expected {wanted}");
        }
    };
    state("S")?;
    signals::kill(child.pid(), libc::SIGSTOP)?;
    state("T")?;
    signals::kill(child.pid(), libc::SIGKILL)?;
    state("Z")?;
    child.wait()?;
    ensure!(!exists(&format!("/proc/{pid}")));
    Ok(())
}

fn status_has_its_lines() -> Outcome {
    process::set_name("odd name")?;
    let status = text("/proc/self/status")?;
    let line = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    ensure_eq!(line("Name"), Some("odd name".to_owned()));
    ensure_eq!(line("Pid"), Some(process::getpid()?.to_string()));
    ensure_eq!(line("PPid"), Some(process::getppid()?.to_string()));
    ensure_eq!(line("Tgid"), Some(process::getpid()?.to_string()));
    let users: Vec<String> = line("Uid").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    ensure_eq!(users, vec![crate::sys::users::getuid()?.to_string(); 4]);
    ensure!(line("State").is_some_and(|state| state.starts_with('R')));
    ensure!(line("VmRSS").is_some_and(|size| size.ends_with(" kB")));
    ensure_eq!(line("Threads"), Some("1".to_owned()));
    Ok(())
}

fn maps_show_mappings() -> Outcome {
    let mapping = Mapping::private(5 * 4096)?;
    mapping.protect(4096, 4096, libc::PROT_READ)?;
    mapping.protect(2 * 4096, 4096, libc::PROT_NONE)?;
    let maps = text("/proc/self/maps")?;
    let start = mapping.address() + 4096;
    ensure!(maps.contains(&format!("{:x}-{:x} r--p 00000000 00:00 0", start, start + 4096)), "{maps}");
    ensure!(maps.contains(&format!("{:x}-{:x} ---p", start + 4096, start + 8192)), "{maps}");
    ensure!(
        maps.lines().any(|line| line.contains(" r-xp ") && line.ends_with("systest")),
        "the program's code"
    );
    ensure!(maps.lines().any(|line| line.ends_with("[stack]")), "the stack");
    for line in maps.lines() {
        ensure!(!line.contains(" rwx"), "writable and executable: {line}");
    }
    let mut last = 0;
    for line in maps.lines().filter(|line| !line.ends_with("[vsyscall]")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text: &str| usize::from_str_radix(text, 16).unwrap_or_default();
        let Some((from, to)) = range else { return Err(Stop::fail(format!("odd line `{line}`"))) };
        ensure!(last <= number(from) && number(from) < number(to), "out of order: {line}");
        last = number(to);
    }
    Ok(())
}

fn descriptors_are_listed() -> Outcome {
    text("/proc/self/stat")?;
    files::put("file", b"content")?;
    let file = open("file", libc::O_RDONLY, 0)?;
    let here = getcwd(4096)?;
    ensure_eq!(readlink(&format!("/proc/self/fd/{}", *file))?, format!("{here}/file"));
    ensure!(list("/proc/self/fd")?.contains(&file.to_string()));
    let (reader, _writer) = files::pipe(0)?;
    let pipe = readlink(&format!("/proc/self/fd/{}", *reader))?;
    ensure_eq!(pipe, format!("pipe:[{}]", files::fstat(*reader)?.st_ino));
    ensure_eq!(get(&format!("/proc/self/fd/{}", *file))?, b"content");
    files::unlink("file")?;
    ensure_eq!(readlink(&format!("/proc/self/fd/{}", *file))?, format!("{here}/file (deleted)"));
    ensure_errno!(readlink("/proc/self/fd/999"), ENOENT);
    Ok(())
}

fn directories_are_linked() -> Outcome {
    text("/proc/self/stat")?;
    files::mkdir("below", 0o755)?;
    chdir("below")?;
    ensure_eq!(readlink("/proc/self/cwd")?, getcwd(4096)?);
    ensure_eq!(readlink("/proc/self/root")?, "/");
    ensure_eq!(stat("/proc/self/cwd/.")?.st_ino, stat(".")?.st_ino);
    Ok(())
}

fn statm_counts_pages() -> Outcome {
    let statm = text("/proc/self/statm")?;
    let fields: Vec<u64> = statm.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    ensure_eq!(fields.len(), 7);
    ensure!(fields[0] >= fields[1] && fields[1] > 0, "{statm}");
    Ok(())
}

fn name_can_be_read() -> Outcome {
    process::set_name("a-name")?;
    ensure_eq!(text("/proc/self/comm")?, "a-name\n");
    Ok(())
}

fn processes_are_listed() -> Outcome {
    text("/proc/self/stat")?;
    let child = fork(|| {
        loop {
            let _ = signals::pause();
        }
    })?;
    let names = list("/proc")?;
    ensure!(names.contains(&process::getpid()?.to_string()) && names.contains(&child.pid().to_string()));
    ensure!(names.contains(&"1".to_owned()) && names.contains(&"self".to_owned()));
    for name in names.iter().filter(|name| name.parse::<u32>().is_ok()) {
        // One may have ended meanwhile.
        ensure!(get(&format!("/proc/{name}/stat")).map_or_else(
            |errno| errno.0 == libc::ENOENT || errno.0 == libc::ESRCH,
            |line| line.ends_with(b"\n")
        ));
    }
    Ok(())
}

fn unknown_processes_are_missing() -> Outcome {
    text("/proc/self/stat")?;
    for name in ["/proc/1073741822/stat", "/proc/0/stat", "/proc/-1", "/proc/01/stat", "/proc/nothing"] {
        ensure_errno!(get(name), ENOENT);
    }
    Ok(())
}

/// The number behind a name at the start of a line.
fn number_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse().ok()
}

fn meminfo_adds_up() -> Outcome {
    let info = text("/proc/meminfo")?;
    let [total, free, available] =
        ["MemTotal:", "MemFree:", "MemAvailable:"].map(|name| number_of(&info, name));
    let (Some(total), Some(free), Some(available)) = (total, free, available) else {
        return Err(Stop::fail(format!("lines are missing: {info}")));
    };
    ensure!(free <= total && available <= total && total > 1024, "{total} {free} {available}");
    let sysinfo = process::sysinfo()?;
    let by_call = sysinfo.totalram * u64::from(sysinfo.mem_unit.max(1)) / 1024;
    ensure!(by_call.abs_diff(total) <= total / 50, "{total} KiB here, {by_call} KiB by sysinfo");
    ensure!(
        ["Buffers:", "Cached:", "SwapTotal:", "SwapFree:"]
            .iter()
            .all(|name| number_of(&info, name).is_some())
    );
    Ok(())
}

fn uptime_advances() -> Outcome {
    let uptime = || -> Result<f64, Stop> {
        let line = text("/proc/uptime")?;
        let first = line.split(' ').next().and_then(|field| field.parse().ok());
        first.ok_or_else(|| Stop::fail(format!("odd line `{line}`")))
    };
    let before = uptime()?;
    crate::sys::time::nanosleep(std::time::Duration::from_millis(50))?;
    let after = uptime()?;
    ensure!(after >= before + 0.03 && after < before + 10.0, "{before} and {after}");
    ensure!((after - process::sysinfo()?.uptime as f64).abs() <= 2.0);
    Ok(())
}

fn load_average_has_five_fields() -> Outcome {
    let line = text("/proc/loadavg")?;
    let fields: Vec<&str> = line.split_whitespace().collect();
    ensure_eq!(fields.len(), 5);
    ensure!(fields[..3].iter().all(|field| field.parse::<f64>().is_ok()), "{line}");
    ensure!(fields[3].contains('/') && fields[4].parse::<u32>().is_ok(), "{line}");
    Ok(())
}

fn version_agrees_with_uname() -> Outcome {
    let version = text("/proc/version")?;
    let [system, _, release, _, _] = process::uname()?;
    ensure!(version.starts_with(&format!("{system} version {release}")), "{version}");
    Ok(())
}

fn cpuinfo_names_each_processor() -> Outcome {
    let info = text("/proc/cpuinfo")?;
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    ensure!(count >= process::affinity()?.len(), "{count} processors");
    ensure!(info.contains("flags") && info.contains("model name") && info.contains(" fxsr "));
    Ok(())
}

fn kernel_command_line_is_there() -> Outcome {
    let line = text("/proc/cmdline")?;
    ensure!(line.ends_with('\n') && line.lines().count() == 1);
    Ok(())
}

fn mounts_show_the_root() -> Outcome {
    let mounts = text("/proc/mounts")?;
    ensure_eq!(text("/proc/self/mounts")?, mounts);
    for line in mounts.lines() {
        ensure_eq!(line.split(' ').count(), 6, "{line}");
    }
    ensure!(mounts.lines().any(|line| line.split(' ').nth(1) == Some("/")));
    ensure!(mounts.lines().any(|line| line.split(' ').nth(1) == Some("/proc") && line.contains(" proc ")));
    Ok(())
}

fn file_systems_are_listed() -> Outcome {
    let list = text("/proc/filesystems")?;
    ensure!(
        list.lines().any(|line| line == "nodev\tproc") && list.lines().any(|line| line == "nodev\ttmpfs")
    );
    ensure!(list.lines().any(|line| line.starts_with('\t')), "one on a device");
    Ok(())
}

fn kernel_stat_counts() -> Outcome {
    let stat = text("/proc/stat")?;
    let cpu = stat.lines().next().unwrap_or_default();
    ensure!(cpu.starts_with("cpu  ") && cpu.split_whitespace().count() >= 8, "{cpu}");
    ensure!(stat.lines().any(|line| line.starts_with("cpu0 ")));
    let boot = number_of(&stat, "btime ").unwrap_or_default();
    let now = crate::sys::time::time()?;
    ensure!(boot > 0 && boot <= now + 1, "booted at {boot}, now {now}");
    ensure!(number_of(&stat, "processes ").is_some_and(|count| count > 0));
    Ok(())
}

fn files_can_be_read_in_pieces() -> Outcome {
    let whole = text("/proc/filesystems")?;
    let file = open("/proc/filesystems", libc::O_RDONLY, 0)?;
    let mut pieces = Vec::new();
    let mut bytes = [0; 7];
    loop {
        match files::read(*file, &mut bytes)? {
            0 => break,
            count => pieces.extend_from_slice(&bytes[..count]),
        }
    }
    ensure_eq!(String::from_utf8_lossy(&pieces), whole);
    ensure_eq!(files::pread(*file, &mut bytes, 3)?, 7);
    ensure_eq!(bytes, whole.as_bytes()[3..10]);
    ensure_eq!(files::fstat(*file)?.st_size, 0);
    Ok(())
}

fn proc_cannot_be_changed() -> Outcome {
    text("/proc/self/stat")?;
    ensure_errno!(files::put("/proc/new", b""), ENOENT | EACCES | EPERM);
    ensure_errno!(files::mkdir("/proc/new", 0o755), ENOENT | EACCES | EPERM);
    ensure_errno!(files::unlink("/proc/version"), EPERM | EACCES);
    ensure_errno!(files::rmdir("/proc/self"), ENOTDIR | EPERM | EACCES);
    Ok(())
}

fn kernel_settings_are_readable() -> Outcome {
    text("/proc/self/stat")?;
    if !exists("/proc/sys/kernel") {
        skip!("no /proc/sys");
    }
    let [_, node, release, _, _] = process::uname()?;
    ensure_eq!(text("/proc/sys/kernel/osrelease")?, format!("{release}\n"));
    ensure_eq!(text("/proc/sys/kernel/hostname")?, format!("{node}\n"));
    ensure_eq!(text("/proc/sys/kernel/ostype")?, "Linux\n");
    ensure!(text("/proc/sys/kernel/pid_max")?.trim().parse::<u32>().is_ok());
    let (first, second) = (text("/proc/sys/kernel/random/uuid")?, text("/proc/sys/kernel/random/uuid")?);
    ensure!(first != second && first.len() == 37);
    ensure_eq!(text("/proc/sys/kernel/random/boot_id")?, text("/proc/sys/kernel/random/boot_id")?);
    Ok(())
}
