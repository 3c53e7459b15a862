//! Process descriptors: pidfd_open, pidfd_send_signal, pidfd_getfd.

use super::Call;
use super::signal::{check_permission, read_info, sender, signal_to_send};
use crate::error::{Error, Result};
use crate::fs::fd::OnExec;
use crate::fs::file::OpenFlags;
use crate::process::credentials::capability;
use crate::process::{descriptor, signal, tree};
use abi::errno::Errno;
use abi::event::PidfdFlags;
use abi::signal::SI_USER;

/// pidfd_open(2): process, flags.
pub(super) fn pidfd_open(call: &mut Call<'_>) -> Result<u64> {
    let flags = PidfdFlags::from_bits(call.uint(1)).ok_or(Errno::EINVAL)?;
    let pid = call.int(0);
    if pid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let process = match tree::find(pid) {
        Some(process) => process,
        None if tree::find_thread(pid).is_some() => {
            return Err(Error::new(Errno::EINVAL, "a thread, not a process"));
        }
        None => return Err(Errno::ESRCH.into()),
    };
    let fd = descriptor::install(call.process(), process, OpenFlags::from_bits_retain(flags.bits()))?;
    Ok(fd as u64)
}

/// pidfd_send_signal(2): descriptor, signal, information, flags.
pub(super) fn pidfd_send_signal(call: &mut Call<'_>) -> Result<u64> {
    if call.uint(3) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let number = call.uint(1);
    let (process, _) = descriptor::find(call.process(), call.fd(0))?;
    if tree::find(process.pid()).is_none() {
        return Err(Error::new(Errno::ESRCH, "the process has ended"));
    }
    let info = match call.address(2) {
        Some(_) => {
            let info = read_info(call, 2, process.pid(), number)?;
            let given: abi::signal::SigInfo = call.read(2)?;
            if given.signo as u32 != number {
                return Err(Errno::EINVAL.into());
            }
            Some(info)
        }
        None => None,
    };
    let signal = signal_to_send(number)?;
    check_permission(call, &process, signal)?;
    if let Some(signal) = signal {
        let info = info.unwrap_or_else(|| sender(call, signal, SI_USER));
        signal::send_to_process(&process, signal, info)?;
    }
    Ok(0)
}

/// pidfd_getfd(2): descriptor of a process, descriptor in that process, flags.
pub(super) fn pidfd_getfd(call: &mut Call<'_>) -> Result<u64> {
    if call.uint(2) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (process, _) = descriptor::find(call.process(), call.fd(0))?;
    let (own, other) = (call.process().credentials(), process.credentials());
    let is_same = [other.uid, other.euid, other.suid].iter().all(|id| *id == own.uid);
    let may_look = own.has(capability::SYS_PTRACE) || (is_same && process.is_dumpable());
    if !may_look {
        return Err(Errno::EPERM.into());
    }
    let files = process.try_files().ok_or(Errno::ESRCH)?;
    let file = files.get_any(call.fd(1))?;
    Ok(call.process().files().install(file, OnExec::Close)? as u64)
}
