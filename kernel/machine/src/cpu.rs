//! The CPUs: which one runs this, what it can do, interrupts and preemption off and on.

/// The most CPUs that the kernel can run.
pub const MAX_CPUS: usize = 64;

/// Number of CPUs that run the kernel.
pub fn count() -> usize { todo!() }
/// The CPU that runs this, 0 to `count() - 1`. Stable only while preemption is disabled.
pub fn current_id() -> usize { todo!() }
/// Whether interrupts are enabled on this CPU.
pub fn interrupts_enabled() -> bool { todo!() }
/// Enables interrupts on this CPU.
pub fn enable_interrupts() { todo!() }
/// Disables interrupts until the guard is dropped, which restores what was.
pub fn disable_interrupts() -> InterruptGuard { todo!() }
/// Keeps the current task on this CPU until the guard is dropped. (Spin locks do this too.)
pub fn disable_preemption() -> PreemptionGuard { todo!() }
/// How many guards keep the current task on this CPU.
pub fn preemption_count() -> u32 { todo!() }
/// Enables interrupts and halts until one arrives, atomically. For idle tasks, with interrupts disabled.
pub fn wait_for_interrupt() { todo!() }
/// Asks another CPU to call [`reschedule_interrupt`](crate::upcalls::Upcalls::reschedule_interrupt).
pub fn send_reschedule(cpu: usize) { todo!() }
/// A hardware random number, where the CPU has RDSEED or RDRAND.
pub fn hardware_random() -> Option<u64> { todo!() }
/// Vendor, family, brand string and feature flags, in Linux's /proc/cpuinfo names.
pub fn description() -> Description { todo!() }
/// What /proc/cpuinfo and AT_HWCAP say of the CPU.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of /proc/cpuinfo")]
pub struct Description {
    pub vendor: alloc::string::String, pub family: u32, pub model: u32, pub stepping: u32, pub brand: alloc::string::String,
    pub flags: alloc::vec::Vec<&'static str>, pub tsc_khz: u64, pub hwcap: u32, pub hwcap2: u32, pub physical_bits: u8, pub virtual_bits: u8,
}
/// See [`disable_interrupts`].
#[must_use]
pub struct InterruptGuard(());
/// See [`disable_preemption`].
#[must_use]
pub struct PreemptionGuard(());

/// One `T` for each CPU, each on its own cache lines.
pub struct PerCpu<T>(core::marker::PhantomData<T>);
impl<T: Sync> PerCpu<T> {
    /// Makes one for each possible CPU. (Usable in a `static` through `Once`/`Lazy`.)
    pub fn new(make: impl FnMut(usize) -> T) -> Self { todo!() }
    /// That of the CPU that runs this; the guard shows that it stays the same.
    pub fn get<'a>(&'a self, guard: &'a PreemptionGuard) -> &'a T { todo!() }
    /// That of a given CPU.
    pub fn of(&self, cpu: usize) -> &T { todo!() }
}
