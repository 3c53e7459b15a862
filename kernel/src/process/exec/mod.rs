//! Loading a program: from a file, arguments and an environment to a new address space with a stack and first registers.
//!
//! | file | question |
//! |---|---|
//! | `strings` | what a program may be given, and how it is read |
//! | `executable` | which files can be run |
//! | `script` | what a first line with `#!` means |
//! | `image` | how an ELF file comes into memory |
//! | `stack` | what a program finds on its stack |
//! | `vdso` | how it can tell the time without a system call |
//!
//! Nothing of the calling process changes here: an error leaves all as it was. Source: execve(2), elf(5), the x86-64 psABI,
//! chapter 3.4.

mod executable;
mod image;
mod script;
mod stack;
mod strings;
mod vdso;

pub(crate) use strings::{Strings, read_strings};

use crate::{
    cmdline::{self, Presence},
    error::{Error, Result},
    fs::{dentry::Path, lookup, mount::MountFlags, permission::Caller},
    mm::{AddressSpace, Layout, Limits, ProgramRecord, Randomization},
};
use abi::errno::Errno;
use alloc::{string::String, sync::Arc, vec::Vec};
use core::sync::atomic::AtomicU64;
use executable::Executable;
use machine::user::UserContext;

/// How many scripts may run scripts that run scripts ...
const SCRIPTS_MAX: usize = 5;

/// Whether set-user-ID and set-group-ID bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetIdBits {
    /// They do.
    Honoured,
    /// They do not (PR_SET_NO_NEW_PRIVS).
    Ignored,
}

/// What is to be run.
pub(crate) struct Request {
    /// On whose behalf, and where paths start.
    pub(crate) caller: Caller,
    /// The file.
    pub(crate) place: Path,
    /// What the program is told to be its path (AT_EXECFN).
    pub(crate) name: Vec<u8>,
    /// Arguments; the first one is the name that the caller chose.
    pub(crate) arguments: Strings,
    /// Environment.
    pub(crate) environment: Strings,
    /// RLIMIT_STACK.
    pub(crate) stack_limit: u64,
    /// Whether addresses are left to chance.
    pub(crate) randomization: Randomization,
    /// Whether the file's set-id bits count.
    pub(crate) set_id_bits: SetIdBits,
}

impl Request {
    /// A program by its path, from the caller's directory, with nothing unusual.
    pub(crate) fn new(caller: Caller, path: &[u8], arguments: Strings, environment: Strings) -> Result<Self> {
        let place = lookup::lookup(&caller, &caller.directory, path, lookup::LookupFlags::FOLLOW)?;
        Ok(Self {
            caller,
            place,
            name: path.to_vec(),
            arguments,
            environment,
            stack_limit: abi::resource::Rlimit64::initial(abi::resource::RLIMIT_STACK).cur,
            randomization: Randomization::current(),
            set_id_bits: SetIdBits::Honoured,
        })
    }
}

/// The ids that a set-id file gives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SetIds {
    /// The owner, if the set-user-ID bit counts.
    pub(crate) user: Option<u32>,
    /// The group, if the set-group-ID bit counts.
    pub(crate) group: Option<u32>,
}

/// A program, ready to run.
pub(crate) struct Program {
    /// Its memory.
    pub(crate) address_space: Arc<AddressSpace>,
    /// Its first registers.
    pub(crate) context: UserContext,
    /// The ids that it runs with.
    pub(crate) set_ids: SetIds,
    /// The last component of the path it was started by.
    pub(crate) name: String,
}

/// Loads a program.
///
/// # Errors
/// EACCES: not a regular file, no permission, or mounted without execution. ENOEXEC: neither ELF nor a script. ELOOP: too many
/// scripts run each other. E2BIG: arguments and environment are too long. ETXTBSY: the file is open for writing. ENOENT,
/// ELIBBAD: the interpreter is missing or damaged. ENOMEM.
pub(crate) fn load(mut request: Request) -> Result<Program> {
    let name = base_name(&request.name);
    if request.arguments.is_empty() {
        // As on Linux since 5.18: a program can rely on argv[0].
        request.arguments.push(Vec::new());
    }
    let mut executable = Executable::open(&request.caller, request.place.clone())?;
    let mut scripts = 0;
    // What the interpreter is to open: the script as the caller named it, or a script that interprets it.
    let mut path = request.name.clone();
    while let Some(script) = script::parse(executable.head()) {
        scripts += 1;
        if scripts > SCRIPTS_MAX {
            return Err(Error::new(Errno::ELOOP, "too many scripts run each other"));
        }
        let script = script?;
        script::replace_arguments(&mut request.arguments, &path, &script)?;
        request.place = lookup::lookup(
            &request.caller,
            &request.caller.directory,
            &script.interpreter,
            lookup::LookupFlags::FOLLOW,
        )?;
        executable = Executable::open(&request.caller, request.place.clone())?;
        path = script.interpreter;
    }
    load_elf(&request, executable, name)
}

fn load_elf(request: &Request, executable: Executable, name: String) -> Result<Program> {
    let program = image::Image::read(&executable)?;
    let interpreter = match program.interpreter(&executable)? {
        Some(path) => Some(image::Interpreter::open(&request.caller, &path)?),
        None => None,
    };
    let set_ids = set_ids(request);
    let limits = Limits { stack: AtomicU64::new(request.stack_limit), ..Limits::default() };
    let space = AddressSpace::new(Layout::new(request.stack_limit, request.randomization), limits)?;
    let placed = program.place(&space, &executable)?;
    let (base, entry) = match &interpreter {
        Some(interpreter) => interpreter.place(&space)?,
        None => (0, placed.entry),
    };
    let vdso = match cmdline::parameters().vdso {
        Presence::On => Some(vdso::map(&space)?),
        Presence::Off => None,
    };
    let stack = stack::build(&space, request, &placed, stack::Bases { interpreter: base, vdso }, set_ids)?;
    space.set_heap_start(placed.heap);
    space.set_program(ProgramRecord {
        executable: executable.file,
        _denial: executable.denial,
        arguments: stack.arguments,
        environment: stack.environment,
        auxiliary: stack.auxiliary,
        code: placed.code,
        data: placed.data,
        stack: stack.pointer,
    });
    let context = UserContext::new(entry, stack.pointer);
    Ok(Program { address_space: space, context, set_ids, name })
}

/// The ids that the file gives to who runs it.
fn set_ids(request: &Request) -> SetIds {
    const SET_USER: u32 = 0o4000;
    /// Without the execute bit, the set-group-ID bit once meant mandatory locking.
    const SET_GROUP: u32 = 0o2010;
    let is_ignored = request.set_id_bits == SetIdBits::Ignored
        || request.place.mount.flags().contains(MountFlags::NO_SUID);
    if is_ignored {
        return SetIds::default();
    }
    let metadata = request.place.inode().metadata();
    SetIds {
        user: (metadata.mode & SET_USER == SET_USER).then_some(metadata.user),
        group: (metadata.mode & SET_GROUP == SET_GROUP).then_some(metadata.group),
    }
}

fn base_name(path: &[u8]) -> String {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    String::from_utf8_lossy(name).into_owned()
}
