//! What can be set in the directory of a process or thread. Source: proc_pid(5).

use super::process::Target;
use crate::{
    error::{Error, Result},
    process::{credentials::capability, current, try_current},
    sched::Thread,
};
use abi::errno::Errno;
use alloc::{format, string::String, sync::Arc, vec::Vec};

/// comm: its name.
pub(super) fn name(target: &Target) -> Result<Vec<u8>> {
    Ok(format!("{}\n", target.name()).into_bytes())
}

/// Only the process itself may write its name.
pub(super) fn set_name(target: &Target, text: &[u8]) -> Result<()> {
    let is_own = try_current().is_some_and(|current| Arc::ptr_eq(&current, &target.process));
    let thread = target.any_thread().filter(|_| is_own).ok_or(Errno::EINVAL)?;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    thread.set_name(&String::from_utf8_lossy(&text[..text.len().min(15)]));
    Ok(())
}

/// Others' slack takes CAP_SYS_NICE.
fn slack_of(target: &Target) -> Result<Arc<Thread>> {
    let caller = current();
    let may = caller.pid() == target.process.pid() || caller.credentials().has(capability::SYS_NICE);
    if !may {
        return Err(Errno::EPERM.into());
    }
    target.any_thread().ok_or(Errno::ESRCH.into())
}

/// timerslack_ns.
pub(super) fn timer_slack(target: &Target) -> Result<Vec<u8>> {
    let thread = slack_of(target)?;
    let slack_ns = thread.user().map_or(0, |user| user.timer_slack_ns());
    Ok(format!("{slack_ns}\n").into_bytes())
}

/// The same, written.
pub(super) fn set_timer_slack(target: &Target, text: &[u8]) -> Result<()> {
    let parsed = core::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok());
    let slack_ns: u64 = parsed.ok_or(Errno::EINVAL)?;
    if let Some(user) = slack_of(target)?.user() {
        user.set_timer_slack_ns(slack_ns);
    }
    Ok(())
}

/// oom_score_adj.
pub(super) fn oom_score_adj(target: &Target) -> Result<Vec<u8>> {
    Ok(format!("{}\n", target.process.oom_score_adj()).into_bytes())
}

/// Going below what it is takes CAP_SYS_RESOURCE.
pub(super) fn set_oom_score_adj(target: &Target, text: &[u8]) -> Result<()> {
    let parsed: Option<i16> = core::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok());
    let adjustment = parsed
        .filter(|adjustment| (-1000..=1000).contains(adjustment))
        .ok_or(Error::new(Errno::EINVAL, "-1000 to 1000"))?;
    let may_lower = try_current().is_some_and(|current| current.credentials().has(capability::SYS_RESOURCE));
    if adjustment < target.process.oom_score_adj() && !may_lower {
        return Err(Errno::EACCES.into());
    }
    target.process.set_oom_score_adj(adjustment);
    Ok(())
}

/// The thread that a file about faults on purpose is for.
fn faulty(target: &Target) -> Result<Arc<Thread>> {
    Ok(target.any_thread().ok_or(Errno::ESRCH)?)
}

/// A number for such a file; that takes CAP_SYS_RESOURCE.
fn fault_number(text: &[u8], limit: u32) -> Result<u32> {
    if !try_current().is_some_and(|current| current.credentials().has(capability::SYS_RESOURCE)) {
        return Err(Errno::EPERM.into());
    }
    let number: Option<u32> = core::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok());
    number.filter(|number| *number <= limit).ok_or(Error::new(Errno::EINVAL, "not a number in range"))
}

/// make-it-fail: whether faults on purpose are for it.
pub(super) fn make_it_fail(target: &Target) -> Result<Vec<u8>> {
    Ok(format!("{}\n", u8::from(faulty(target)?.faults.is_wanted())).into_bytes())
}

/// The same, written.
pub(super) fn set_make_it_fail(target: &Target, text: &[u8]) -> Result<()> {
    faulty(target)?.faults.set_wanted(fault_number(text, 1)? == 1);
    Ok(())
}

/// fail-nth: which allocation is to fail.
pub(super) fn fail_nth(target: &Target) -> Result<Vec<u8>> {
    Ok(format!("{}\n", faulty(target)?.faults.nth()).into_bytes())
}

/// The same, written.
pub(super) fn set_fail_nth(target: &Target, text: &[u8]) -> Result<()> {
    faulty(target)?.faults.set_nth(fault_number(text, u32::MAX)?);
    Ok(())
}
