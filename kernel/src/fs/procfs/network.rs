//! net/: the tables of a network that is not there yet, with their headings. Source: proc_pid_net(5).

use super::{
    process::Target,
    table::{Row, text},
};

macro_rules! heading {
    ($name:literal, $text:literal) => {
        text($name, |_: &Target| Ok($text.to_vec()))
    };
}

/// The directory.
#[rustfmt::skip]
pub(super) const ROWS: &[Row<Target>] = &[
    heading!("dev", b"Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"),
    heading!("route", b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n"),
    heading!("arp", b"IP address       HW type     Flags       HW address            Mask     Device\n"),
    heading!("tcp", b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n"),
    heading!("tcp6", b"  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"),
    heading!("udp", b"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n"),
    heading!("udp6", b"  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"),
    heading!("raw", b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"),
    heading!("raw6", b"  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"),
    heading!("unix", b"Num       RefCount Protocol Flags    Type St Inode Path\n"),
    heading!("if_inet6", b""),
];
