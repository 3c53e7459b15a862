//! What the system calls itself: uname, /proc/version, /proc/sys/kernel.

use abi::utsname::{FIELD_LEN, Utsname, field};
use machine::sync::SpinLock;

/// Programs ask for it, and expect this.
pub(crate) const SYSTEM: &str = "Linux";
/// The version of Linux whose interface this is, and whose it is not.
pub(crate) const RELEASE: &str = concat!("6.12.0-", env!("CARGO_PKG_VERSION"), "-rust-os");
/// What it really is.
pub(crate) const VERSION: &str = "#1 SMP PREEMPT rust-os";
/// The CPU.
pub(crate) const MACHINE: &str = "x86_64";

type Name = [u8; FIELD_LEN];

static HOST: SpinLock<Name> = SpinLock::new("host name", field(b"rust-os"));
static DOMAIN: SpinLock<Name> = SpinLock::new("domain name", field(b"(none)"));

/// The host name, filled with NUL.
pub(crate) fn host_name() -> Name {
    *HOST.lock()
}

/// The NIS domain, filled with NUL.
pub(crate) fn domain_name() -> Name {
    *DOMAIN.lock()
}

/// Sets the host name; what is longer than 64 bytes is cut.
pub(crate) fn set_host_name(name: &[u8]) {
    *HOST.lock() = field(name);
}

/// Sets the NIS domain; what is longer than 64 bytes is cut.
pub(crate) fn set_domain_name(name: &[u8]) {
    *DOMAIN.lock() = field(name);
}

/// All of it.
pub(crate) fn all() -> Utsname {
    Utsname {
        sysname: field(SYSTEM.as_bytes()),
        nodename: host_name(),
        release: field(RELEASE.as_bytes()),
        version: field(VERSION.as_bytes()),
        machine: field(MACHINE.as_bytes()),
        domainname: domain_name(),
    }
}
