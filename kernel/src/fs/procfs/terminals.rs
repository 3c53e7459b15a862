//! Terminals: consoles, tty/drivers, tty/ldiscs, tty/driver/serial. Source: proc(5), Linux's
//! Documentation/admin-guide/devices.txt.

use crate::error::Result;
use crate::tty;
use alloc::vec::Vec;

/// consoles: where the log is printed.
pub(super) fn consoles((): &()) -> Result<Vec<u8>> {
    Ok(tty::consoles::report().into_bytes())
}

/// tty/driver/serial.
pub(super) fn serial((): &()) -> Result<Vec<u8>> {
    Ok(tty::serial::report().into_bytes())
}

/// tty/drivers: by what name and number terminals are known; ps reads it.
pub(super) fn drivers((): &()) -> Result<Vec<u8>> {
    let text = "\
        /dev/tty             /dev/tty        5       0 system:/dev/tty\n\
        /dev/console         /dev/console    5       1 system:console\n\
        /dev/ptmx            /dev/ptmx       5       2 system\n\
        /dev/vc/0            /dev/vc/0       4       0 system:vtmaster\n\
        hvc                  /dev/hvc      229 0-7 system\n\
        serial               /dev/ttyS       4 64-67 serial\n\
        pty_slave            /dev/pts      136 0-1048575 pty:slave\n\
        pty_master           /dev/ptm      128 0-1048575 pty:master\n\
        unknown              /dev/tty        4 1-63 console\n";
    Ok(text.into())
}

/// tty/ldiscs: what may stand between a terminal and its line.
pub(super) fn disciplines((): &()) -> Result<Vec<u8>> {
    Ok(b"n_tty       0\n".to_vec())
}
