//! `execve`: what a new program gets, keeps and loses, and which files are no programs.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::role;
use crate::sys::files::{self, Fd, chmod, get, mkdir, open, pipe, put, read_to_end};
use crate::sys::process::{self, Status, execve, fork};
use crate::sys::signals::{self, Action};
use crate::sys::{Errno, probe};

tests! {
    arguments_and_environment_arrive,
    empty_argument_list_is_survived,
    exit_status_of_a_program_arrives,
    process_keeps_its_pid,
    descriptors_stay_open_unless_marked,
    handlers_become_default,
    ignored_signals_stay_ignored,
    blocked_and_pending_signals_stay,
    alternate_stack_is_gone,
    name_follows_the_file,
    forty_programs_in_a_row,
    missing_files_are_no_programs,
    directories_are_no_programs,
    files_without_permission_are_no_programs,
    garbage_is_no_program,
    broken_elf_files_are_refused,
    scripts_run_their_interpreter,
    script_interpreters_can_be_scripts,
    scripts_without_interpreter_fail,
    too_many_arguments_are_refused,
    many_arguments_arrive,
    program_being_written_is_refused,
    running_program_cannot_be_written,
    auxiliary_vector_is_right,
    failed_exec_leaves_the_process_as_it_was,
    group_of_a_program_cannot_be_changed,
    set_user_id_bit_changes_the_user,
}

/// The file of this very program.
fn myself() -> Result<String, crate::report::Stop> {
    match std::env::current_exe() {
        Ok(path) => Ok(path.to_string_lossy().into_owned()),
        Err(error) => skip!("no way to find this program: {error}"),
    }
}

/// Executes this program in a child, in one of its roles.
fn play(words: &[&str]) -> Result<Status, crate::report::Stop> {
    let me = myself()?;
    Ok(fork(|| execute_role(&me, words))?.wait()?)
}

fn execute_role(me: &str, words: &[&str]) -> i32 {
    let mut arguments = vec!["systest", role::WORD];
    arguments.extend(words);
    execve(me, &arguments, &[]).0
}

/// What a program prints: its standard output is a pipe.
fn output_of(body: impl FnOnce() -> i32) -> Result<String, crate::report::Stop> {
    let (reader, writer) = pipe(libc::O_CLOEXEC)?;
    let quiet = open("/dev/null", libc::O_WRONLY | libc::O_CLOEXEC, 0)?;
    let child = fork(|| match files::dup2(*writer, 1).and_then(|_| files::dup2(*quiet, 2)) {
        Ok(_) => body(),
        Err(_) => 97,
    })?;
    drop(writer);
    let text = String::from_utf8_lossy(&read_to_end(*reader)?).into_owned();
    ensure_eq!(child.wait()?, Status::Exited(0), "it printed `{text}`");
    Ok(text)
}

/// The errno of an `execve` that must fail.
fn refusal(file: &str) -> Result<Errno, crate::report::Stop> {
    match fork(|| execve(file, &[file], &[]).0)?.wait()? {
        Status::Exited(errno) => Ok(Errno(errno)),
        other => Err(crate::report::Stop::fail(format!("executing {file}: the process {other}"))),
    }
}

fn arguments_and_environment_arrive() -> Outcome {
    let me = myself()?;
    let text = output_of(|| {
        execve(&me, &["zero", role::WORD, "show", "", "two words"], &["A=1", "EMPTY=", "B=x=y"]).0
    })?;
    let expected = "argument zero\nargument --role\nargument show\nargument \nargument two words\n\
                    environment A=1\nenvironment EMPTY=\nenvironment B=x=y\n";
    ensure_eq!(text, expected);
    Ok(())
}

fn empty_argument_list_is_survived() -> Outcome {
    // Linux gives such a program one empty argument; the program must start, whatever it makes of it.
    put("script", b"#!/bin/sh\nexit 5\n")?;
    chmod("script", 0o755)?;
    let status = fork(|| execve("script", &[], &[]).0)?.wait()?;
    ensure_eq!(status, Status::Exited(5));
    Ok(())
}

fn exit_status_of_a_program_arrives() -> Outcome {
    ensure_eq!(play(&["exit", "77"])?, Status::Exited(77));
    Ok(())
}

fn process_keeps_its_pid() -> Outcome {
    let me = myself()?;
    let child = fork(|| {
        let pid = process::getpid().unwrap_or(-1).to_string();
        execute_role(&me, &["pid-is", &pid])
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn descriptors_stay_open_unless_marked() -> Outcome {
    let stays = open("/dev/null", libc::O_RDONLY, 0)?;
    let closes = open("/dev/null", libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
    let marked = files::dup(*stays)?;
    files::fcntl(*marked, libc::F_SETFD, libc::FD_CLOEXEC)?;
    let unmarked = files::dup(*closes)?;
    let (number, copy) = (|fd: &Fd| fd.raw().to_string(), files::fcntl(*closes, libc::F_DUPFD_CLOEXEC, 0)?);
    ensure_eq!(play(&["is-open", &number(&stays)])?, Status::Exited(0));
    ensure_eq!(play(&["is-open", &number(&closes)])?, Status::Exited(1));
    ensure_eq!(play(&["is-open", &number(&marked)])?, Status::Exited(1));
    ensure_eq!(play(&["is-open", &number(&unmarked)])?, Status::Exited(0), "dup clears the mark");
    ensure_eq!(play(&["is-open", &copy.to_string()])?, Status::Exited(1), "F_DUPFD_CLOEXEC");
    Ok(())
}

fn handlers_become_default() -> Outcome {
    signals::act(libc::SIGUSR1, Action::Record, libc::SA_RESTART, &[libc::SIGUSR2])?;
    ensure_eq!(play(&["is-default", &libc::SIGUSR1.to_string()])?, Status::Exited(0));
    Ok(())
}

fn ignored_signals_stay_ignored() -> Outcome {
    signals::act(libc::SIGUSR1, Action::Ignore, 0, &[])?;
    ensure_eq!(play(&["is-ignored", &libc::SIGUSR1.to_string()])?, Status::Exited(0));
    ensure_eq!(play(&["is-ignored", &libc::SIGUSR2.to_string()])?, Status::Exited(1));
    Ok(())
}

fn blocked_and_pending_signals_stay() -> Outcome {
    let me = myself()?;
    signals::block(libc::SIGUSR1)?;
    let number = libc::SIGUSR1.to_string();
    ensure_eq!(play(&["is-blocked", &number])?, Status::Exited(0));
    let child = fork(|| {
        let _ = signals::raise(libc::SIGUSR1);
        execute_role(&me, &["is-pending", &number])
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn alternate_stack_is_gone() -> Outcome {
    signals::alternate_stack(16 * 1024)?;
    // The runtime of the new program may install one of its own: then this cannot be seen from outside.
    match play(&["has-alternate-stack"])? {
        Status::Exited(1) => Ok(()),
        Status::Exited(0) => skip!("the runtime installs an alternate stack itself"),
        other => Err(crate::report::Stop::fail(other)),
    }
}

fn name_follows_the_file() -> Outcome {
    let me = myself()?;
    process::set_name("before")?;
    let name: String = me.rsplit('/').next().unwrap_or_default().chars().take(15).collect();
    ensure_eq!(play(&["name-is", &name])?, Status::Exited(0));
    Ok(())
}

fn forty_programs_in_a_row() -> Outcome {
    for code in 0..40 {
        ensure_eq!(play(&["exit", &code.to_string()])?, Status::Exited(code));
    }
    Ok(())
}

fn missing_files_are_no_programs() -> Outcome {
    put("file", b"x")?;
    ensure_eq!(refusal("nothing")?, Errno(libc::ENOENT));
    ensure_eq!(refusal("")?, Errno(libc::ENOENT));
    ensure_eq!(refusal("no/such/directory")?, Errno(libc::ENOENT));
    ensure_eq!(refusal("file/below")?, Errno(libc::ENOTDIR));
    files::symlink("loop", "loop")?;
    ensure_eq!(refusal("loop")?, Errno(libc::ELOOP));
    Ok(())
}

fn directories_are_no_programs() -> Outcome {
    mkdir("directory", 0o777)?;
    ensure_eq!(refusal("directory")?, Errno(libc::EACCES));
    ensure_eq!(refusal("/dev/null")?, Errno(libc::EACCES));
    Ok(())
}

fn files_without_permission_are_no_programs() -> Outcome {
    put("script", b"#!/bin/sh\nexit 0\n")?;
    chmod("script", 0o644)?;
    ensure_eq!(refusal("script")?, Errno(libc::EACCES));
    Ok(())
}

fn garbage_is_no_program() -> Outcome {
    for (name, content) in
        [("empty", &b""[..]), ("text", b"exit 0\n"), ("short", b"\x7fELF"), ("blank", b"#!  \n")]
    {
        put(name, content)?;
        chmod(name, 0o755)?;
        ensure_eq!(refusal(name)?, Errno(libc::ENOEXEC), "{name}");
    }
    Ok(())
}

/// Changes one field of a copy of this program and tells what `execve` says.
fn with_changed_header(name: &str, offset: usize, bytes: &[u8]) -> Result<Status, crate::report::Stop> {
    let mut image = get(&myself()?)?;
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(name, &image)?;
    chmod(name, 0o755)?;
    Ok(fork(|| execve(name, &[name, role::WORD, "exit", "0"], &[]).0)?.wait()?)
}

fn broken_elf_files_are_refused() -> Outcome {
    let refused = Status::Exited(libc::ENOEXEC);
    ensure_eq!(with_changed_header("good", 0, b"\x7fELF")?, Status::Exited(0));
    ensure_eq!(with_changed_header("class", 0, b"\x7fELG")?, refused);
    ensure_eq!(with_changed_header("machine", 18, &[0xff, 0xff])?, refused);
    ensure_eq!(with_changed_header("type", 16, &[1, 0])?, refused);
    ensure_eq!(with_changed_header("entries", 56, &[0, 0])?, refused);
    ensure_eq!(with_changed_header("entry-size", 54, &[55, 0])?, refused);
    // Program headers far outside the file: some error, and this process lives.
    let far = with_changed_header("far", 32, &[0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0])?;
    ensure!(matches!(far, Status::Exited(libc::ENOEXEC | libc::EIO)), "headers outside the file: {far}");
    Ok(())
}

fn scripts_run_their_interpreter() -> Outcome {
    let me = myself()?;
    if me.len() > 200 {
        skip!("the path of this program is too long for a `#!` line");
    }
    put("script", format!("#! {me}   --role show  \nignored\n").as_bytes())?;
    chmod("script", 0o755)?;
    // All of the line behind the interpreter is one argument; then the script's name and its arguments.
    let text = output_of(|| execve("./script", &["zero", "one"], &["A=1"]).0);
    ensure!(text.is_err(), "the interpreter must see `--role show` as one word");
    put("script", format!("#!{me} --role\n").as_bytes())?;
    files::rename("script", "show")?;
    let text = output_of(|| execve("show", &["zero", "one"], &["A=1"]).0)?;
    ensure_eq!(
        text,
        format!("argument {me}\nargument --role\nargument show\nargument one\nenvironment A=1\n")
    );
    Ok(())
}

fn script_interpreters_can_be_scripts() -> Outcome {
    let here = files::getcwd(4096)?;
    put("first", b"#!/bin/sh\nexit 21\n")?;
    chmod("first", 0o755)?;
    put("second", format!("#!{here}/first\n").as_bytes())?;
    chmod("second", 0o755)?;
    ensure_eq!(fork(|| execve("second", &["second"], &[]).0)?.wait()?, Status::Exited(21));
    put("self", format!("#!{here}/self\n").as_bytes())?;
    chmod("self", 0o755)?;
    ensure_eq!(refusal("self")?, Errno(libc::ELOOP));
    Ok(())
}

fn scripts_without_interpreter_fail() -> Outcome {
    put("script", b"#!/no/such/interpreter\n")?;
    chmod("script", 0o755)?;
    ensure_eq!(refusal("script")?, Errno(libc::ENOENT));
    Ok(())
}

fn too_many_arguments_are_refused() -> Outcome {
    let me = myself()?;
    // One string above 128 KiB, and all strings above a quarter of the stack limit.
    let long = "x".repeat(128 * 1024);
    let child = fork(|| execve(&me, &["systest", &long], &[]).0)?;
    ensure_eq!(child.wait()?, Status::Exited(libc::E2BIG));
    let block = "y".repeat(100 * 1024);
    let many = vec![block.as_str(); 70];
    let child = fork(|| execve(&me, &many, &[]).0)?;
    ensure_eq!(child.wait()?, Status::Exited(libc::E2BIG));
    Ok(())
}

fn many_arguments_arrive() -> Outcome {
    let me = myself()?;
    let words: Vec<String> = (0..2000).map(|number| format!("word-{number}")).collect();
    let text = output_of(|| {
        let mut arguments = vec!["zero", role::WORD, "show"];
        arguments.extend(words.iter().map(String::as_str));
        execve(&me, &arguments, &[]).0
    })?;
    ensure_eq!(text.lines().count(), 2003);
    ensure_eq!(text.lines().last(), Some("argument word-1999"));
    Ok(())
}

fn program_being_written_is_refused() -> Outcome {
    put("script", b"#!/bin/sh\nexit 0\n")?;
    chmod("script", 0o755)?;
    let writer = open("script", libc::O_WRONLY, 0)?;
    ensure_eq!(refusal("script")?, Errno(libc::ETXTBSY));
    drop(writer);
    ensure_eq!(fork(|| execve("script", &["script"], &[]).0)?.wait()?, Status::Exited(0));
    Ok(())
}

fn running_program_cannot_be_written() -> Outcome {
    let image = get(&myself()?)?;
    put("program", &image)?;
    chmod("program", 0o755)?;
    let (reader, writer) = pipe(libc::O_CLOEXEC)?;
    let child = fork(|| execve("program", &["program", role::WORD, "wait"], &[]).0)?;
    drop(writer); // the last writing end closes when the program has started
    ensure_eq!(read_to_end(*reader)?, b"");
    let refused = open("program", libc::O_WRONLY, 0).map(drop);
    let truncated = files::truncate("program", 0);
    signals::kill(child.pid(), libc::SIGKILL)?;
    child.wait()?;
    ensure_errno!(refused, ETXTBSY);
    ensure_errno!(truncated, ETXTBSY);
    Ok(())
}

fn auxiliary_vector_is_right() -> Outcome {
    ensure_eq!(process::auxiliary(libc::AT_PAGESZ), 4096);
    ensure_eq!(process::auxiliary(libc::AT_PHENT), 56);
    ensure!(process::auxiliary(libc::AT_PHNUM) > 0 && process::auxiliary(libc::AT_PHDR) != 0);
    ensure!(process::auxiliary(libc::AT_ENTRY) != 0);
    ensure_eq!(process::auxiliary(libc::AT_SECURE), 0);
    ensure_eq!(process::auxiliary(libc::AT_CLKTCK), 100);
    ensure_eq!(process::auxiliary(libc::AT_UID), u64::from(crate::sys::users::getuid()?));
    let random = process::auxiliary_random();
    ensure!(random.is_some_and(|bytes| bytes != [0; 16]), "AT_RANDOM is {random:?}");
    let name = process::auxiliary_file_name();
    ensure!(name.as_ref().is_some_and(|name| name.ends_with("systest")), "AT_EXECFN is {name:?}");
    Ok(())
}

fn failed_exec_leaves_the_process_as_it_was() -> Outcome {
    signals::act(libc::SIGUSR1, Action::Record, 0, &[])?;
    let marked = open("/dev/null", libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
    ensure_eq!(execve("/no/such/file", &["x"], &[]), Errno(libc::ENOENT));
    put("text", b"no program")?;
    chmod("text", 0o755)?;
    ensure_eq!(execve("text", &["x"], &[]), Errno(libc::ENOEXEC));
    signals::raise(libc::SIGUSR1)?;
    ensure_eq!(signals::handled(libc::SIGUSR1), 1);
    files::fcntl(*marked, libc::F_GETFD, 0)?;
    Ok(())
}

fn group_of_a_program_cannot_be_changed() -> Outcome {
    let me = myself()?;
    let (reader, writer) = pipe(libc::O_CLOEXEC)?;
    let child = fork(|| execute_role(&me, &["wait"]))?;
    drop(writer);
    ensure_eq!(read_to_end(*reader)?, b"");
    ensure_errno!(process::setpgid(child.pid(), 0), EACCES);
    Ok(())
}

fn set_user_id_bit_changes_the_user() -> Outcome {
    if !crate::sys::users::rules_all_users() {
        skip!("needs root over all users");
    }
    let here = files::statfs(".")?;
    if here.flags & libc::ST_NOSUID != 0 {
        skip!("this file system is mounted nosuid");
    }
    put("program", &get(&myself()?)?)?;
    or_skip!(files::chown("program", 1234, 1234), EPERM);
    chmod("program", 0o6755)?;
    let status = fork(|| {
        let ids = probe(libc::SYS_geteuid, &[]);
        if ids != Ok(0) {
            return 1;
        }
        execve("program", &["program", role::WORD, "effective-user-is", "1234"], &[]).0
    })?
    .wait()?;
    ensure_eq!(status, Status::Exited(0));
    Ok(())
}
