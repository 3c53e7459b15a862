//! Paths as Linux takes them apart: bytes between slashes.
//!
//! Nothing here looks at a file system: `..` and symbolic links are the walk's business. A slash at the end means that
//! the last component must be a directory, which the walk has to know ([`Components::is_last_directory`]). Source:
//! path_resolution(7).
#![no_std]
#![forbid(unsafe_code)]

/// Longest component in bytes (ENAMETOOLONG beyond).
pub const NAME_MAX: usize = 255;
/// Longest path in bytes, with the final NUL.
pub const PATH_MAX: usize = 4096;

/// A part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component<'a> {
    /// `.`: stay.
    Current,
    /// `..`: to the parent.
    Parent,
    /// A name.
    Name(&'a [u8]),
}

impl<'a> Component<'a> {
    /// The bytes as they stood in the path.
    pub const fn bytes(self) -> &'a [u8] {
        match self {
            Component::Current => b".",
            Component::Parent => b"..",
            Component::Name(name) => name,
        }
    }
}

/// The components of a path, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Components<'a> {
    rest: &'a [u8],
}

impl<'a> Components<'a> {
    /// The components of a path; the slashes at its start are left out.
    pub const fn new(path: &'a [u8]) -> Components<'a> {
        Components { rest: path }
    }

    /// What was not taken yet, without slashes in front. Joined behind the target of a symbolic link, it goes on there.
    pub fn rest(&self) -> &'a [u8] {
        let start = self.rest.iter().position(|&byte| byte != b'/').unwrap_or(self.rest.len());
        &self.rest[start..]
    }

    /// Whether no component is left.
    pub fn is_done(&self) -> bool {
        self.rest().is_empty()
    }

    /// Whether the component that was taken last is the path's last one and has a slash behind it.
    pub fn is_last_directory(&self) -> bool {
        self.is_done() && !self.rest.is_empty()
    }
}

impl<'a> Iterator for Components<'a> {
    type Item = Component<'a>;

    fn next(&mut self) -> Option<Component<'a>> {
        let rest = self.rest();
        let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            return None;
        }
        self.rest = after;
        Some(match name {
            b"." => Component::Current,
            b".." => Component::Parent,
            name => Component::Name(name),
        })
    }
}

/// Whether a walk begins at the root.
pub fn is_absolute(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
}

/// The last component of a path and what leads to it, for calls that make, remove or rename something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// The path of the directory; empty means where the walk begins.
    pub parent: &'a [u8],
    /// The last component; `None` for a path of slashes only, or an empty one.
    pub last: Option<Component<'a>>,
    /// Whether slashes stand behind it.
    pub has_slash: bool,
}

/// Splits off the last component.
pub fn split(path: &[u8]) -> Split<'_> {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let start = path[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let last = Components::new(&path[start..end]).next();
    match last {
        Some(_) => Split { parent: &path[..start], last, has_slash: end < path.len() },
        None => Split { parent: path, last, has_slash: false },
    }
}

/// The last component's bytes as `comm` and messages show them; the path itself if it has none.
pub fn base_name(path: &[u8]) -> &[u8] {
    split(path).last.map_or(path, Component::bytes)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn components_come_without_slashes() {
        let parts: Vec<_> = Components::new(b"//usr/./lib//../x/").collect();
        use Component::*;
        assert_eq!(parts, [Name(b"usr"), Current, Name(b"lib"), Parent, Name(b"x")]);
        assert_eq!(Components::new(b"").count() + Components::new(b"///").count(), 0);
        assert_eq!(Components::new(b"...").next(), Some(Name(b"...")));
    }

    #[test]
    fn the_rest_goes_on_behind_a_link() {
        let mut parts = Components::new(b"/a/b//c/");
        parts.next();
        parts.next();
        assert_eq!((parts.rest(), parts.is_done(), parts.is_last_directory()), (&b"c/"[..], false, false));
        parts.next();
        assert!(parts.is_done() && parts.is_last_directory());
        let mut parts = Components::new(b"a");
        parts.next();
        assert!(parts.is_done() && !parts.is_last_directory());
    }

    #[test]
    fn the_last_component_is_split_off() {
        let name = |path| {
            let split = split(path);
            (split.parent, split.last.map(Component::bytes), split.has_slash)
        };
        assert_eq!(name(b"/a/b"), (&b"/a/"[..], Some(&b"b"[..]), false));
        assert_eq!(name(b"b//"), (&b""[..], Some(&b"b"[..]), true));
        assert_eq!(name(b"/b"), (&b"/"[..], Some(&b"b"[..]), false));
        assert_eq!(name(b"//"), (&b"//"[..], None, false));
        assert_eq!(name(b""), (&b""[..], None, false));
        assert_eq!(split(b"a/..").last, Some(Component::Parent));
        assert_eq!((base_name(b"/bin/sh"), base_name(b"/")), (&b"sh"[..], &b"/"[..]));
    }
}
