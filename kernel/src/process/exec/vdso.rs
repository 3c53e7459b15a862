//! The vDSO in a new program: the kernel's code for telling the time, behind the page that it reads.
//!
//! Both are mapped together, anywhere above the stack where there is room, else where mmap finds some. The page is read
//! only and stays so; the code is private like a library's, so that a debugger can set breakpoints in it.

use crate::{
    error::{Error, Result},
    mm::{AddressSpace, MapRequest, MappingFlags, PERMISSIONS, PageSource, Place},
};
use abi::{errno::Errno, mman::Prot};
use alloc::{sync::Arc, vec::Vec};
use machine::{
    addr::{PAGE_SIZE, USER_END},
    mm::{Frame, OutOfMemory},
    sync::Once,
    time,
};

const PAGE: u64 = PAGE_SIZE as u64;

/// The vDSO's page, or its code.
struct Pages {
    frames: Vec<Frame>,
    name: &'static [u8],
}

impl PageSource for Pages {
    fn page(&self, index: u64) -> Result<Frame> {
        self.cached(index).ok_or(Error::new(Errno::ENXIO, "behind the end of the vDSO"))
    }

    fn cached(&self, index: u64) -> Option<Frame> {
        self.frames.get(usize::try_from(index).ok()?).cloned()
    }

    fn size(&self) -> u64 {
        self.frames.len() as u64 * PAGE
    }

    fn mark_dirty(&self, _index: u64) {}

    fn device_and_inode(&self) -> (u64, u64) {
        (0, 0)
    }

    fn name(&self) -> Vec<u8> {
        self.name.to_vec()
    }
}

struct Vdso {
    page: Arc<Pages>,
    code: Arc<Pages>,
}

static VDSO: Once<Vdso> = Once::new();

fn vdso() -> core::result::Result<&'static Vdso, OutOfMemory> {
    VDSO.try_call_once(|| {
        let count = time::vdso_length().div_ceil(PAGE_SIZE);
        let code = (0..count).map(time::vdso_frame).collect::<core::result::Result<_, OutOfMemory>>()?;
        Ok(Vdso {
            page: Arc::new(Pages { frames: [time::vvar_frame()?].into(), name: b"[vvar]" }),
            code: Arc::new(Pages { frames: code, name: b"[vdso]" }),
        })
    })
}

/// Maps it; returns where the code starts (AT_SYSINFO_EHDR).
///
/// # Errors
/// ENOMEM.
pub(super) fn map(space: &AddressSpace) -> Result<u64> {
    let vdso = vdso()?;
    let length = PAGE + vdso.code.size();
    let whole = |place: Place| space.map(MapRequest::anonymous(place, length, Prot::empty()));
    let start = match above_stack(space, length) {
        Some(address) => whole(Place::FixedNew(address)).or_else(|_| whole(Place::Anywhere(None)))?,
        None => whole(Place::Anywhere(None))?,
    };
    let map = |address: u64, pages: &Arc<Pages>, protection: Prot, allowed: Prot| {
        space.map(MapRequest {
            place: Place::Fixed(address),
            length: pages.size(),
            protection,
            allowed,
            flags: MappingFlags::NO_DUMP,
            source: Some((pages.clone(), 0)),
        })
    };
    map(start, &vdso.page, Prot::PROT_READ, Prot::PROT_READ)?;
    map(start + PAGE, &vdso.code, Prot::PROT_READ | Prot::PROT_EXEC, PERMISSIONS)
}

/// A random place above the stack, if there is room.
fn above_stack(space: &AddressSpace, length: u64) -> Option<u64> {
    let bottom = space.layout().stack_top;
    let places = (USER_END.checked_sub(bottom)?.checked_sub(length)? / PAGE).checked_sub(1)?;
    (places > 0).then(|| bottom + crate::device::random::number() % places * PAGE)
}
