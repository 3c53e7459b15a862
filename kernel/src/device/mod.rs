//! Devices and their drivers.

pub(crate) mod random {
    //! Random numbers.

    /// A random number.
    pub(crate) fn number() -> u64 {
        machine::cpu::hardware_random().unwrap_or_default()
    }
}
