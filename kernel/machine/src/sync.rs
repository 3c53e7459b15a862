//! Spin locks whose type says what they disable while held.

use core::ops::{Deref, DerefMut};

/// Names what a spin lock keeps from happening on this CPU while it is held.
pub trait Context {}
/// Preemption only: for data that interrupt handlers never touch.
pub struct Preemption;
/// Interrupts (and preemption): for data shared with interrupt handlers.
pub struct Interrupts;
impl Context for Preemption {}
impl Context for Interrupts {}

/// A lock that spins. `class` names it in lock reports.
pub struct SpinLock<T, C: Context = Preemption>(T, core::marker::PhantomData<C>);
/// A spin lock that interrupt handlers may take too.
pub type IrqSpinLock<T> = SpinLock<T, Interrupts>;
impl<T, C: Context> SpinLock<T, C> {
    /// A free lock of the class `class`.
    pub const fn new(_class: &'static str, value: T) -> Self { Self(value, core::marker::PhantomData) }
    /// Takes it, spinning.
    pub fn lock(&self) -> SpinGuard<'_, T, C> { todo!() }
    /// Takes it if it is free.
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T, C>> { todo!() }
    /// The value; exclusive access needs no lock.
    pub fn get_mut(&mut self) -> &mut T { todo!() }
}
/// The held lock.
pub struct SpinGuard<'a, T, C: Context>(&'a SpinLock<T, C>);
impl<T, C: Context> Deref for SpinGuard<'_, T, C> { type Target = T; fn deref(&self) -> &T { todo!() } }
impl<T, C: Context> DerefMut for SpinGuard<'_, T, C> { fn deref_mut(&mut self) -> &mut T { todo!() } }
pub use spin::{Lazy, Once};
