//! Who a process is: user and group ids, supplementary groups, capabilities. Source: credentials(7), capabilities(7).
//!
//! A set of credentials never changes: who changes his makes a copy and puts it in place of the old one, so that
//! a file operation under way keeps those it began with.

use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::sync::Lazy;

/// The numbers of capabilities that something here asks for.
pub(crate) mod capability {
    pub(crate) const DAC_READ_SEARCH: u32 = 2;
    pub(crate) const KILL: u32 = 5;
    pub(crate) const SETGID: u32 = 6;
    pub(crate) const SETUID: u32 = 7;
    pub(crate) const SETPCAP: u32 = 8;
    pub(crate) const IPC_LOCK: u32 = 14;
    pub(crate) const SYS_CHROOT: u32 = 18;
    pub(crate) const SYS_PTRACE: u32 = 19;
    pub(crate) const SYS_ADMIN: u32 = 21;
    pub(crate) const SYS_BOOT: u32 = 22;
    pub(crate) const SYS_NICE: u32 = 23;
    pub(crate) const SYS_RESOURCE: u32 = 24;
    pub(crate) const SYS_TIME: u32 = 25;
    pub(crate) const SYS_TTY_CONFIG: u32 = 26;
    pub(crate) const WAKE_ALARM: u32 = 35;
    pub(crate) const MKNOD: u32 = 27;
    pub(crate) const SYSLOG: u32 = 34;
}

/// Every capability there is.
pub(crate) const ALL_CAPABILITIES: u64 = (1 << (abi::prctl::CAP_LAST_CAP + 1)) - 1;

/// The id that means "leave it as it is" in system calls.
pub(crate) const KEEP: u32 = u32::MAX;

/// See the module. The fields are those of credentials(7).
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) euid: u32,
    pub(crate) suid: u32,
    pub(crate) fsuid: u32,
    pub(crate) gid: u32,
    pub(crate) egid: u32,
    pub(crate) sgid: u32,
    pub(crate) fsgid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) bounding: u64,
    pub(crate) ambient: u64,
    pub(crate) keeps_capabilities: bool,
}

impl Credentials {
    /// The first process: user 0 with every capability.
    pub(crate) fn root() -> Arc<Credentials> {
        static ROOT: Lazy<Arc<Credentials>> = Lazy::new(|| {
            Arc::new(Credentials {
                uid: 0,
                euid: 0,
                suid: 0,
                fsuid: 0,
                gid: 0,
                egid: 0,
                sgid: 0,
                fsgid: 0,
                groups: Vec::new(),
                effective: ALL_CAPABILITIES,
                permitted: ALL_CAPABILITIES,
                inheritable: 0,
                bounding: ALL_CAPABILITIES,
                ambient: 0,
                keeps_capabilities: false,
            })
        });
        ROOT.clone()
    }

    /// Whether a capability (see [`capability`]) is in force.
    pub(crate) fn has(&self, capability: u32) -> bool {
        self.effective >> capability & 1 != 0
    }

    /// Those that access(2) asks about: the real ids in place of the effective ones.
    pub(crate) fn with_real_ids(&self) -> Credentials {
        let mut real = self.clone();
        (real.fsuid, real.fsgid) = (self.uid, self.gid);
        real.effective = if self.uid == 0 { self.permitted } else { 0 };
        real
    }

    /// Whether this sender may signal that receiver (kill(2)).
    pub(crate) fn may_signal(&self, receiver: &Credentials) -> bool {
        self.has(capability::KILL)
            || [self.uid, self.euid].iter().any(|id| *id == receiver.uid || *id == receiver.suid)
    }

    /// Whether this one may change scheduling and limits of a process with those credentials.
    pub(crate) fn may_adjust(&self, other: &Credentials) -> bool {
        self.has(capability::SYS_NICE) || self.euid == other.uid || self.euid == other.euid
    }

    /// What a change of user ids does to the capabilities: they go when the last user id 0 goes, and the
    /// effective ones follow the effective user id.
    pub(crate) fn adapt_capabilities(&mut self, before: &Credentials) {
        let was_root = [before.uid, before.euid, before.suid].contains(&0);
        let is_root = [self.uid, self.euid, self.suid].contains(&0);
        if was_root && !is_root && !self.keeps_capabilities {
            self.permitted = 0;
            self.effective = 0;
            self.ambient = 0;
        }
        match (before.euid == 0, self.euid == 0) {
            (true, false) => self.effective = 0,
            (false, true) => self.effective = self.permitted,
            _ => {}
        }
    }

    /// What execve makes of them: the set-id bits of the file (`None`: not set), and root's privilege.
    pub(crate) fn for_exec(&self, set_uid: Option<u32>, set_gid: Option<u32>) -> Credentials {
        let mut new = self.clone();
        new.euid = set_uid.unwrap_or(self.euid);
        new.egid = set_gid.unwrap_or(self.egid);
        (new.suid, new.fsuid, new.sgid, new.fsgid) = (new.euid, new.euid, new.egid, new.egid);
        if new.euid == 0 || new.uid == 0 {
            new.permitted = new.bounding | new.inheritable;
            new.effective = if new.euid == 0 { new.permitted } else { 0 };
        } else {
            new.permitted = new.ambient;
            new.effective = new.ambient;
        }
        new.keeps_capabilities = false;
        new
    }

    /// Whether the program runs with other rights than those of its caller (AT_SECURE).
    pub(crate) fn is_elevated(&self) -> bool {
        self.uid != self.euid || self.gid != self.egid
    }
}
