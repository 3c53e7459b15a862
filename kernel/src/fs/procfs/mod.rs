//! procfs: processes and the system as files. Source: proc(5).
//!
//! One file per area, each with its rows; the tables are put together here and in `process.rs`. To add a file:
//! a function that makes its text, and a row.
//!
//! | file | what |
//! |---|---|
//! | `root.rs` | the root directory: the rows below, and a directory for each process |
//! | `system.rs` | cpuinfo, meminfo, version and the like |
//! | `activity.rs` | stat, schedstat, uptime, loadavg |
//! | `file_locks.rs` | locks |
//! | `zones.rs` | buddyinfo, zoneinfo, slabinfo |
//! | `mounts.rs` | mounts, mountinfo, filesystems |
//! | `settings.rs` | sys/: kernel, vm, fs, net |
//! | `irq.rs` | interrupts, irq/ |
//! | `resources.rs` | iomem, ioports |
//! | `terminals.rs` | consoles, tty/ |
//! | `sysrq.rs` | sysrq-trigger |
//! | `network.rs` | net/: empty tables |
//! | `process.rs`, `memory.rs`, `files.rs` | what is in the directory of a process: figures, memory, descriptors |
//! | `table.rs` | directories that are tables |

mod activity;
mod address_space;
mod file_locks;
mod files;
mod irq;
mod kmsg;
#[cfg(debug_assertions)]
mod locks;
mod memory;
mod mounts;
mod network;
mod process;
mod process_settings;
mod resources;
mod root;
mod settings;
mod system;
mod table;
mod terminals;
mod timers;
mod zones;

pub(super) use process::cpu_list;
pub(crate) use root::text_of;

use super::{
    file_system::{FileSystem, NameCaching, Statistics},
    filesystems::{self, MountRequest},
    inode::Inode,
    synthetic::Node,
};
use crate::error::Result;
use abi::stat::{DeviceNumber, PROC_SUPER_MAGIC};
use alloc::sync::Arc;

struct ProcFs {
    device: DeviceNumber,
    root: Arc<Node>,
}

/// Mounts a procfs.
pub(super) fn mount(_request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    let device = filesystems::new_device();
    Ok(Arc::new(ProcFs { device, root: Node::root(device, root::Root::new()) }))
}

impl FileSystem for ProcFs {
    fn kind(&self) -> &'static str {
        "proc"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn device(&self) -> DeviceNumber {
        self.device
    }

    fn statistics(&self) -> Result<Statistics> {
        Ok(Statistics {
            magic: PROC_SUPER_MAGIC as u64,
            block_size: 4096,
            name_length: 255,
            ..Statistics::default()
        })
    }

    fn name_caching(&self) -> NameCaching {
        NameCaching::Revalidate
    }
}
