//! devices/: what the drivers know, and the CPUs under devices/system.

use super::{
    classes,
    tree::{Entries, bytes, directory, link, setting, text, wish},
};
use crate::{
    device::{Device, pci, registry},
    error::{Error, Result},
    fs::procfs::cpu_list,
    process::{self, credentials::capability},
};
use abi::errno::Errno;
use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};
use machine::{
    cpu,
    time::{self, CounterKind},
};

/// Bytes of a PCI function's header that do not depend on what it is.
const PCI_HEADER: u16 = 64;

/// The directory.
pub(super) fn all() -> Entries {
    let mut entries = vec![directory("system", system), directory("virtual", classes::virtual_devices)];
    entries.extend(registry::root().children().into_iter().map(device));
    entries
}

/// The way from a device's directory up to /sys: programs (lspci) count on it that links between devices, buses and drivers
/// are relative.
fn up(node: &registry::Node) -> String {
    "../".repeat(node.path().split('/').count())
}

/// A device of the drivers' tree.
fn device(node: Arc<registry::Node>) -> super::tree::Entry {
    let name = node.name().to_string();
    directory(name, move || {
        let mut entries: Entries = node.children().into_iter().map(device).collect();
        entries.extend(classes::disks_of(&node));
        let function = pci::BUS.devices().into_iter().find(|device| Arc::ptr_eq(device.node(), &node));
        if let Some(function) = function {
            entries.push(configuration(function.clone()));
            entries.push(wish("remove", move || pci::remove(&function)));
        }
        for (index, attribute) in node.attributes().iter().enumerate() {
            let node = node.clone();
            entries.push(text(attribute.name, move || {
                let text = (node.attributes()[index].show)();
                match node.driver() {
                    Some(driver) if node.attributes()[index].name == "uevent" => {
                        format!("DRIVER={driver}\n{text}")
                    }
                    _ => text,
                }
            }));
        }
        if !node.bus().is_empty() {
            entries.push(link("subsystem", format!("{}bus/{}", up(&node), node.bus())));
        }
        if let Some(driver) = node.driver() {
            entries.push(link("driver", format!("{}bus/{}/drivers/{driver}", up(&node), node.bus())));
        }
        entries
    })
}

/// The configuration space of a function: for those who may not administer the system, its header only, as on Linux.
fn configuration(device: Arc<pci::PciDevice>) -> super::tree::Entry {
    bytes("config", device.configuration_size().into(), move || {
        let is_told =
            process::try_current().is_none_or(|process| process.credentials().has(capability::SYS_ADMIN));
        device.read_configuration(if is_told { device.configuration_size() } else { PCI_HEADER })
    })
}

fn system() -> Entries {
    vec![directory("cpu", cpus), directory("clocksource", clock_sources), directory("node", memory_nodes)]
}

/// All CPUs, as a list of ranges.
fn all_cpus() -> String {
    let count = cpu::count();
    cpu_list(if count >= 64 { u64::MAX } else { (1 << count) - 1 })
}

fn cpus() -> Entries {
    let mut entries = vec![
        text("online", all_cpus),
        text("possible", all_cpus),
        text("present", all_cpus),
        text("offline", String::new),
        text("kernel_max", || "63".into()),
    ];
    entries.extend((0..cpu::count()).map(|id| {
        directory(format!("cpu{id}"), move || {
            vec![directory("topology", move || {
                vec![
                    text("core_id", move || id.to_string()),
                    text("physical_package_id", || "0".into()),
                    text("thread_siblings_list", move || id.to_string()),
                    text("core_siblings_list", all_cpus),
                ]
            })]
        })
    }));
    entries
}

fn clock_sources() -> Entries {
    vec![directory("clocksource0", || {
        vec![
            text("available_clocksource", || {
                time::available_counters().map(CounterKind::name).collect::<Vec<_>>().join(" ")
            }),
            setting("current_clocksource", || time::current_counter().name().into(), set_clock_source),
        ]
    })]
}

fn set_clock_source(text: &[u8]) -> Result<()> {
    let kind = core::str::from_utf8(text).ok().and_then(CounterKind::named).ok_or(Errno::EINVAL)?;
    if !time::use_counter(kind) {
        return Err(Error::new(Errno::EINVAL, "the counter cannot be used"));
    }
    log::info!("clock: counts by {}", kind.name());
    // Timers were set by the counter before.
    crate::sched::timer::clock_was_set();
    Ok(())
}

fn memory_nodes() -> Entries {
    vec![
        text("online", || "0".into()),
        text("possible", || "0".into()),
        directory("node0", || vec![text("cpulist", all_cpus)]),
    ]
}
