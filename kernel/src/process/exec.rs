//! Loading a program.

use crate::error::Result;
use crate::mm::AddressSpace;
use alloc::string::String;
use alloc::sync::Arc;
use machine::user::UserContext;

/// What execve was asked for.
pub(crate) struct Request;

/// Ids that a set-id file gives to the process.
pub(crate) struct SetIds {
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
}

/// A program, ready to run.
pub(crate) struct Program {
    pub(crate) address_space: Arc<AddressSpace>,
    /// Its first registers.
    pub(crate) context: UserContext,
    pub(crate) set_ids: SetIds,
    /// The last part of the file's name.
    pub(crate) name: String,
}

/// Loads a program into an address space of its own.
pub(crate) fn load(_request: Request) -> Result<Program> {
    Err(abi::errno::Errno::ENOEXEC.into())
}
