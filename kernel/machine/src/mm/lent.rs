//! Frames that the hypervisor below has for a while: nobody reads or writes them meanwhile.

use super::{
    OutOfMemory,
    allocator::{self, Owner},
};
use frames::Zone;

/// On what terms a frame is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lending {
    /// Until the hypervisor gives it back: it is no memory of this machine till then.
    UntilReturned,
    /// Until it is asked for.
    OnDemand,
}

impl Lending {
    fn owner(self) -> Owner {
        match self {
            Lending::UntilReturned => Owner::Lent,
            Lending::OnDemand => Owner::LentOnDemand,
        }
    }
}

/// A frame that a hypervisor has, or is to have. Free again when dropped, which is only to be when the hypervisor has
/// given it back.
#[derive(Debug, PartialEq, Eq)]
pub struct LentFrame {
    number: u32,
    terms: Lending,
}

impl LentFrame {
    /// Takes a free frame; fails when so few are left as for a program's memory.
    pub fn allocate(terms: Lending) -> Result<LentFrame, OutOfMemory> {
        let number = allocator::allocate(terms.owner(), 0, Zone::Any)?;
        Ok(LentFrame { number, terms })
    }

    /// Its physical address, in pages of 4 KiB.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for LentFrame {
    fn drop(&mut self) {
        allocator::free(self.terms.owner(), self.number, 0);
    }
}
