//! The namespace: named objects in a tree.
//!
//! What a method creates while it runs goes away when it returns. Nodes are kept in a list in the order of their
//! creation, and methods nest, so that is the end of the list.

use crate::Error;
use crate::code::{Code, Path, Segment};
use crate::field::{BufferField, Field, Region};
use crate::machine::Interpreter;
use crate::value::{Name, Value};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// A node of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    /// A scope and nothing more, as the root is.
    Scope,
    Device,
    Processor,
    PowerResource,
    ThermalZone,
    Value(Value),
    Method(Method),
    Region(Region),
    Field(Field),
    BufferField(BufferField),
    /// With one flow of control there is nothing to wait for.
    Mutex,
    Event,
    /// Another name for a node.
    Alias(NodeId),
    /// `_OSI`, which is not in any table.
    OperatingSystems,
}

/// A method's body, and how many arguments it takes.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) code: Code,
    pub(crate) arguments: u8,
}

#[derive(Debug)]
struct Node {
    name: Segment,
    parent: NodeId,
    object: Object,
}

/// All nodes.
#[derive(Debug)]
pub(crate) struct Namespace {
    nodes: Vec<Node>,
    children: BTreeMap<(NodeId, Segment), NodeId>,
    limit: usize,
}

impl Namespace {
    pub(crate) const ROOT: NodeId = NodeId(0);

    /// The nodes that every system has.
    pub(crate) fn new(limit: usize) -> Namespace {
        let root = Node { name: *b"\\___", parent: Self::ROOT, object: Object::Scope };
        let mut namespace = Namespace { nodes: [root].into(), children: BTreeMap::new(), limit };
        let predefined = [
            (*b"_GPE", Object::Scope),
            (*b"_PR_", Object::Scope),
            (*b"_SB_", Object::Device),
            (*b"_SI_", Object::Scope),
            (*b"_TZ_", Object::Device),
            (*b"_GL_", Object::Mutex),
            (*b"_OS_", Object::Value(Value::string("Microsoft Windows NT"))),
            (*b"_OSI", Object::OperatingSystems),
            (*b"_REV", Object::Value(Value::Integer(2))),
        ];
        for (name, object) in predefined {
            namespace.insert(Self::ROOT, name, object);
        }
        namespace
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Forgets all but the first `len` nodes.
    pub(crate) fn truncate(&mut self, len: usize) {
        for node in self.nodes.drain(len.min(self.nodes.len())..) {
            let key = (node.parent, node.name);
            if self.children.get(&key).is_some_and(|id| id.0 as usize >= len) {
                self.children.remove(&key);
            }
        }
    }

    fn insert(&mut self, parent: NodeId, name: Segment, object: Object) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { name, parent, object });
        self.children.insert((parent, name), id);
        id
    }

    /// Adds an object under a name that is new in its scope.
    pub(crate) fn add(&mut self, scope: NodeId, path: &Path, object: Object) -> Result<NodeId, Error> {
        let (name, way) = path.segments.split_last().ok_or(Error::Malformed("an object without a name"))?;
        let parent = self.walk(scope, path, way).ok_or_else(|| self.unknown(scope, path))?;
        if self.children.contains_key(&(parent, *name)) {
            return Err(Error::Exists(self.path_of(parent) + "." + &text(name)));
        }
        if self.nodes.len() >= self.limit {
            return Err(Error::TooMuch("names"));
        }
        Ok(self.insert(parent, *name, object))
    }

    /// From a scope up and then down.
    fn walk(&self, scope: NodeId, path: &Path, segments: &[Segment]) -> Option<NodeId> {
        let mut node = if path.is_absolute { Self::ROOT } else { scope };
        for _ in 0..path.up {
            if node == Self::ROOT {
                return None;
            }
            node = self.parent(node);
        }
        for name in segments {
            node = self.child(node, name)?;
        }
        Some(node)
    }

    /// What a path means in a scope; a single name is looked for in the scopes around as well.
    pub(crate) fn find(&self, scope: NodeId, path: &Path) -> Option<NodeId> {
        let found = self.walk(scope, path, &path.segments);
        let is_searched = !path.is_absolute && path.up == 0 && path.segments.len() == 1;
        if found.is_some() || !is_searched {
            return found;
        }
        let name = path.segments.first()?;
        let mut around = scope;
        while around != Self::ROOT {
            around = self.parent(around);
            if let Some(found) = self.child(around, name) {
                return Some(found);
            }
        }
        None
    }

    /// The error for a path that means nothing.
    pub(crate) fn unknown(&self, scope: NodeId, path: &Path) -> Error {
        let names: Vec<_> = path.segments.iter().map(text).collect();
        let up = "^".repeat(path.up.into());
        let start = if path.is_absolute { "\\" } else { "" };
        Error::Unknown(alloc::format!("{start}{up}{} in {}", names.join("."), self.path_of(scope)))
    }

    /// A child, aliases followed.
    pub(crate) fn child(&self, node: NodeId, name: &Segment) -> Option<NodeId> {
        let child = *self.children.get(&(node, *name))?;
        match self.object(child) {
            // An alias is made of what was found, which is none itself.
            Some(Object::Alias(target)) => Some(*target),
            _ => Some(child),
        }
    }

    pub(crate) fn object(&self, node: NodeId) -> Option<&Object> {
        self.nodes.get(node.0 as usize).map(|node| &node.object)
    }

    pub(crate) fn object_mut(&mut self, node: NodeId) -> Option<&mut Object> {
        self.nodes.get_mut(node.0 as usize).map(|node| &mut node.object)
    }

    /// The node around; the root's is the root.
    pub(crate) fn parent(&self, node: NodeId) -> NodeId {
        self.nodes.get(node.0 as usize).map_or(Self::ROOT, |node| node.parent)
    }

    /// The name of a node.
    pub(crate) fn name(&self, node: NodeId) -> Option<Segment> {
        self.nodes.get(node.0 as usize).map(|node| node.name)
    }

    /// All nodes in the order of their creation: those outside before those inside.
    pub(crate) fn all(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// The nodes in each node, in the order of their creation.
    pub(crate) fn children_of_all(&self) -> BTreeMap<NodeId, Vec<NodeId>> {
        let mut children = BTreeMap::<_, Vec<_>>::new();
        // The root is in itself.
        for node in self.all().skip(1) {
            children.entry(self.parent(node)).or_default().push(node);
        }
        children
    }

    /// All devices, those outside before those inside.
    pub(crate) fn devices(&self) -> impl Iterator<Item = NodeId> {
        let is_device = |node: &Node| matches!(node.object, Object::Device);
        (0..).zip(&self.nodes).filter(move |(_, node)| is_device(node)).map(|(index, _)| NodeId(index))
    }

    /// The path of a node, from the root.
    pub(crate) fn path_of(&self, node: NodeId) -> String {
        let mut names = Vec::new();
        let mut at = node;
        while at != Self::ROOT {
            let Some(node) = self.nodes.get(at.0 as usize) else { break };
            names.push(text(&node.name));
            at = node.parent;
        }
        names.reverse();
        String::from("\\") + &names.join(".")
    }
}

/// What can be asked of loaded tables without running their code.
impl Interpreter<'_> {
    /// The root of the namespace.
    pub fn root(&self) -> NodeId {
        Namespace::ROOT
    }

    /// The child of a node with this name.
    pub fn child(&self, node: NodeId, name: Segment) -> Option<NodeId> {
        self.namespace.child(node, &name)
    }

    /// The node around a node; the root's is the root.
    pub fn parent(&self, node: NodeId) -> NodeId {
        self.namespace.parent(node)
    }

    /// All devices, those outside before those inside.
    pub fn devices(&self) -> Vec<NodeId> {
        self.namespace.devices().collect()
    }

    /// All nodes in the order of their creation: those outside before those inside.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.namespace.all().collect()
    }

    /// The number of ObjectType for what a node is (ACPI Specification 6.5, 19.6.96), nothing of which is evaluated; and
    /// how many arguments it takes.
    pub fn kind(&self, node: NodeId) -> (u64, usize) {
        let arguments = match self.namespace.object(node) {
            Some(Object::Method(method)) => method.arguments.into(),
            Some(Object::OperatingSystems) => 1,
            _ => 0,
        };
        (self.node_kind(node), arguments)
    }

    /// A node's path, for messages.
    pub fn path(&self, node: NodeId) -> String {
        self.namespace.path_of(node)
    }

    /// The node that an element of a package names.
    pub fn named(&self, name: &Name) -> Option<NodeId> {
        self.namespace.find(name.scope, &name.path)
    }
}

/// A name without the underscores that fill it up.
fn text(name: &Segment) -> String {
    let length = name.iter().rposition(|byte| *byte != b'_').map_or(1, |last| last + 1);
    String::from_utf8_lossy(name.get(..length).unwrap_or(name)).into_owned()
}
