//! What a process does about each signal. Shared by its threads, and by whoever was cloned with CLONE_SIGHAND.

use abi::signal::{DefaultAction, KernelSigaction, SIG_DFL, SIG_IGN, SaFlags, SigSet, Signal};
use machine::sync::IrqSpinLock;

const COUNT: usize = Signal::MAX as usize;

/// The table of actions.
pub(crate) struct Actions(IrqSpinLock<[KernelSigaction; COUNT]>);

/// What is to happen with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Nothing.
    Ignore,
    /// The default, which is not to ignore it.
    Default(DefaultAction),
    /// A handler is called.
    Handler,
}

impl Actions {
    /// Every signal has its default action.
    pub(crate) fn new() -> Actions {
        Actions(IrqSpinLock::new("signal actions", [KernelSigaction::default(); COUNT]))
    }

    /// A copy (fork).
    pub(crate) fn fork(&self) -> Actions {
        Actions(IrqSpinLock::new("signal actions", *self.0.lock()))
    }

    /// A copy for a new program: handlers go back to the default, what is ignored stays ignored (execve).
    pub(crate) fn for_exec(&self) -> Actions {
        let mut table = *self.0.lock();
        for action in &mut table {
            let handler = if action.handler == SIG_IGN { SIG_IGN } else { SIG_DFL };
            *action = KernelSigaction { handler, ..KernelSigaction::default() };
        }
        Actions(IrqSpinLock::new("signal actions", table))
    }

    /// The action for a signal.
    pub(crate) fn get(&self, signal: Signal) -> KernelSigaction {
        self.0.lock()[index(signal)]
    }

    /// Replaces the action for a signal and returns the old one. The mask loses what cannot be blocked.
    pub(crate) fn set(&self, signal: Signal, mut action: KernelSigaction) -> KernelSigaction {
        action.mask = action.mask.difference(SigSet::UNBLOCKABLE);
        core::mem::replace(&mut self.0.lock()[index(signal)], action)
    }

    /// The action for a delivery; with SA_RESETHAND it is used up by that.
    pub(super) fn take(&self, signal: Signal) -> KernelSigaction {
        let mut table = self.0.lock();
        let action = &mut table[index(signal)];
        let taken = *action;
        let is_handler = disposition(signal, &taken) == Disposition::Handler;
        if is_handler && taken.flags & SaFlags::SA_RESETHAND.bits() != 0 {
            action.handler = SIG_DFL;
        }
        taken
    }

    /// Signals that are ignored, and signals that have a handler (/proc/PID/status).
    pub(crate) fn ignored_and_caught(&self) -> (SigSet, SigSet) {
        let (mut ignored, mut caught) = (SigSet::EMPTY, SigSet::EMPTY);
        for (index, action) in self.0.lock().iter().enumerate() {
            let Some(signal) = Signal::new(index as u32 + 1) else { continue };
            match action.handler {
                SIG_DFL => {}
                SIG_IGN => ignored.insert(signal),
                _ => caught.insert(signal),
            }
        }
        (ignored, caught)
    }

    pub(super) fn disposition(&self, signal: Signal) -> Disposition {
        disposition(signal, &self.get(signal))
    }
}

pub(super) fn disposition(signal: Signal, action: &KernelSigaction) -> Disposition {
    match (action.handler, signal.default_action()) {
        (SIG_IGN, _) | (SIG_DFL, DefaultAction::Ignore) => Disposition::Ignore,
        (SIG_DFL, default) => Disposition::Default(default),
        _ => Disposition::Handler,
    }
}

fn index(signal: Signal) -> usize {
    usize::from(signal.number()) - 1
}
