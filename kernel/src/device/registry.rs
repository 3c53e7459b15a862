//! The tree of devices, as /sys/devices shows it.
//!
//! Every device of every bus has a [`Node`]: its name, the bus it is on, the driver that has it, and attributes,
//! which are short texts made when they are asked for. The tree only describes; who may use a device is
//! decided by the bus's own device type.

use alloc::{boxed::Box, format, string::String, sync::Arc, sync::Weak, vec::Vec};
use machine::sync::{Lazy, Once, SpinLock};

/// A device in the tree.
pub(crate) struct Node {
    name: String,
    bus: &'static str,
    attributes: Vec<Attribute>,
    driver: SpinLock<Option<&'static str>>,
    parent: Once<Weak<Node>>,
    children: SpinLock<Vec<Arc<Node>>>,
}

/// One fact about a device: a file in its directory in /sys.
pub(crate) struct Attribute {
    /// The file's name.
    pub(crate) name: &'static str,
    /// Makes the text, without a newline at the end.
    pub(crate) show: Box<dyn Fn() -> String + Send + Sync>,
}

impl Attribute {
    /// An attribute that does not change.
    pub(crate) fn fixed(name: &'static str, text: String) -> Self {
        Self { name, show: Box::new(move || text.clone()) }
    }
}

static ROOT: Lazy<Arc<Node>> = Lazy::new(|| Node::new("devices".into(), "", Vec::new()));

/// The root of the tree, which is no device.
pub(crate) fn root() -> &'static Arc<Node> {
    &ROOT
}

impl Node {
    /// A device that is not in the tree yet.
    pub(crate) fn new(name: String, bus: &'static str, attributes: Vec<Attribute>) -> Arc<Node> {
        Arc::new(Node {
            name,
            bus,
            attributes,
            driver: SpinLock::new("device driver", None),
            parent: Once::new(),
            children: SpinLock::new("device children", Vec::new()),
        })
    }

    /// Puts `child` below this device, once.
    pub(crate) fn add_child(self: &Arc<Self>, child: Arc<Node>) {
        child.parent.call_once(|| Arc::downgrade(self));
        let mut children = self.children.lock();
        children.push(child);
    }

    /// Takes a device out of the tree, and all that is below it.
    pub(super) fn remove_child(&self, child: &Arc<Node>) {
        self.children.lock().retain(|known| !Arc::ptr_eq(known, child));
    }

    /// The device that it is below.
    pub(super) fn parent(&self) -> Option<Arc<Node>> {
        self.parent.get().and_then(Weak::upgrade)
    }

    /// Where it is in /sys, from `devices` on.
    pub(crate) fn path(&self) -> String {
        match self.parent.get().and_then(Weak::upgrade) {
            Some(parent) => format!("{}/{}", parent.path(), self.name),
            None => self.name.clone(),
        }
    }

    /// Its name, unique among its siblings.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The bus it is on, empty for devices without one.
    pub(crate) fn bus(&self) -> &'static str {
        self.bus
    }

    /// The driver that has it.
    pub(crate) fn driver(&self) -> Option<&'static str> {
        *self.driver.lock()
    }

    /// Notes who has it.
    pub(super) fn set_driver(&self, driver: Option<&'static str>) {
        *self.driver.lock() = driver;
    }

    /// Its facts.
    pub(crate) fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// What is below it, at this moment.
    pub(crate) fn children(&self) -> Vec<Arc<Node>> {
        self.children.lock().clone()
    }
}
