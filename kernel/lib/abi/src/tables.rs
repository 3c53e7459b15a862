//! Macros that turn a table of names, values and meanings into documented constants.
//!
//! `like PATH` names the crate or module whose equally named constants must have the same value; the comparison is made
//! when the tests compile, so a wrong number does not build.

/// Constants of one type: `constants! { u32, like libc; NAME = value, "meaning"; ... }`.
macro_rules! constants {
    ($ty:ty, like $($from:ident)::+; $($name:ident = $value:expr, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub const $name: $ty = $value;
        )*
        #[cfg(test)]
        const _: () = {
            use $($from)::+ as reference;
            $(assert!($name as u32 == reference::$name as u32, stringify!($name));)*
        };
    };
    ($ty:ty; $($name:ident = $value:expr, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub const $name: $ty = $value;
        )*
    };
}

/// A set of flags: `flags! { /// Doc. Name: u32, like libc; FLAG = value, "meaning"; ... }`.
macro_rules! flags {
    ($(#[$meta:meta])* $set:ident: $ty:ty, like $($from:ident)::+; $($name:ident = $value:expr, $doc:literal;)*) => {
        flags! { $(#[$meta])* $set: $ty; $($name = $value, $doc;)* }
        #[cfg(test)]
        const _: () = {
            use $($from)::+ as reference;
            $(assert!($set::$name.bits() as u32 == reference::$name as u32, stringify!($name));)*
        };
    };
    ($(#[$meta:meta])* $set:ident: $ty:ty; $($name:ident = $value:expr, $doc:literal;)*) => {
        bitflags::bitflags! {
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
            pub struct $set: $ty {
                $(#[doc = $doc] const $name = $value;)*
            }
        }
    };
}
