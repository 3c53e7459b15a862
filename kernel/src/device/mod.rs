//! Devices and their drivers.
