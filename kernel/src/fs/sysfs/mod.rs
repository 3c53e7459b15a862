//! sysfs: the kernel's objects as directories. Source: sysfs(5).
//!
//! | file | what |
//! |---|---|
//! | `devices.rs` | devices/: the device tree of the drivers, the CPUs |
//! | `buses.rs` | bus/: buses, their devices and drivers |
//! | `classes.rs` | block/, class/: disks and terminals by kind |
//! | `tree.rs` | directories that are put together from closures |

mod buses;
mod classes;
mod devices;
mod tree;

use super::{
    file_system::{FileSystem, NameCaching, Statistics},
    filesystems::{self, MountRequest},
    inode::Inode,
    synthetic::Node,
};
use crate::{
    error::Result,
    mm::{self, HugePolicy},
};
use abi::{
    errno::Errno,
    stat::{DeviceNumber, SYSFS_MAGIC},
};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use tree::{Tree, directory, setting, text};

struct SysFs {
    device: DeviceNumber,
    root: Arc<Node>,
}

/// Mounts a sysfs.
pub(super) fn mount(_request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    let device = filesystems::new_device();
    Ok(Arc::new(SysFs { device, root: Node::root(device, Tree::new(root)) }))
}

/// The root directory.
fn root() -> tree::Entries {
    alloc::vec![
        directory("block", classes::disks),
        directory("bus", buses::all),
        directory("class", classes::all),
        directory("dev", || alloc::vec![
            directory("block", classes::disks_by_number),
            directory("char", || alloc::vec![])
        ]),
        directory("devices", devices::all),
        directory("firmware", || alloc::vec![]),
        directory("fs", || alloc::vec![directory("ext2", || alloc::vec![])]),
        directory("kernel", kernel),
        directory("module", || alloc::vec![]),
    ]
}

fn kernel() -> tree::Entries {
    alloc::vec![directory("mm", || {
        alloc::vec![directory("transparent_hugepage", || {
            alloc::vec![
                setting("enabled", show_huge_policy, set_huge_policy),
                text("hpage_pmd_size", || "2097152".into()),
            ]
        })]
    })]
}

/// All policies, the one in force in brackets.
fn show_huge_policy() -> String {
    let current = mm::huge_policy();
    let word = |policy: &HugePolicy| match policy {
        policy if *policy == current => format!("[{}]", policy.name()),
        policy => policy.name().into(),
    };
    HugePolicy::ALL.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn set_huge_policy(text: &[u8]) -> Result<()> {
    let policy = HugePolicy::ALL.into_iter().find(|policy| policy.name().as_bytes() == text);
    mm::set_huge_policy(policy.ok_or(Errno::EINVAL)?);
    Ok(())
}

impl FileSystem for SysFs {
    fn kind(&self) -> &'static str {
        "sysfs"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn device(&self) -> DeviceNumber {
        self.device
    }

    fn statistics(&self) -> Result<Statistics> {
        Ok(Statistics {
            magic: SYSFS_MAGIC as u64,
            block_size: 4096,
            name_length: 255,
            ..Statistics::default()
        })
    }

    fn name_caching(&self) -> NameCaching {
        NameCaching::Revalidate
    }
}
