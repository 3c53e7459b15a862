//! What a device says of itself: INQUIRY (SPC-4, 6.6), its pages (7.8; SBC-3, 6.6), REPORT LUNS (SPC-4, 6.33).

use crate::number;
use alloc::string::String;
use alloc::vec::Vec;

/// Pages of INQUIRY.
pub mod page {
    /// Which pages there are.
    pub const PAGES: u8 = 0x00;
    /// The serial number.
    pub const SERIAL: u8 = 0x80;
    /// How much a command may be about.
    pub const LIMITS: u8 = 0xb0;
    /// Whether the medium turns.
    pub const CHARACTERISTICS: u8 = 0xb1;
    /// How blocks are given back.
    pub const PROVISIONING: u8 = 0xb2;
}

/// A logical unit of a target, as REPORT LUNS writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lun(pub [u8; 8]);

impl Lun {
    /// The first, which every target has.
    pub const ZERO: Lun = Lun([0; 8]);

    /// Its number, if it is one of one level: below 2^14.
    pub fn number(self) -> Option<u16> {
        let [high, low, rest @ ..] = self.0;
        // Peripheral addressing (00b) on bus 0, or flat addressing (01b).
        let is_plain = rest == [0; 6] && (high == 0 || high >> 6 == 1);
        is_plain.then(|| u16::from_be_bytes([high & 0x3f, low]))
    }
}

/// The units that an answer to REPORT LUNS names, `most` at most.
pub fn luns(answer: &[u8], most: usize) -> Vec<Lun> {
    let Some(length) = number(answer, 0, 4) else { return Vec::new() };
    let list = answer.get(8..).unwrap_or_default();
    let list = &list[..list.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
    let mut luns = Vec::new();
    for chunk in list.chunks_exact(8).take(most) {
        let mut lun = Lun([0; 8]);
        lun.0.copy_from_slice(chunk);
        if !luns.contains(&lun) {
            luns.push(lun);
        }
    }
    luns
}

/// Kinds of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A disk.
    Disk,
    /// A CD or DVD drive.
    Cd,
    /// Something else, by its number.
    Other(u8),
    /// There is none at this unit.
    Nothing,
}

/// What INQUIRY answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// What it is.
    pub device: Device,
    /// Its medium can be changed.
    pub is_removable: bool,
    /// Who has made it.
    pub vendor: String,
    /// What it is called.
    pub product: String,
    /// Its firmware's version.
    pub revision: String,
}

impl Inquiry {
    /// Bytes that are asked for.
    pub const LENGTH: usize = 36;

    /// Reads the answer; `None` if it says nothing.
    pub fn read(answer: &[u8]) -> Option<Inquiry> {
        let first = *answer.first()?;
        let device = match (first >> 5, first & 0x1f) {
            (0, 0x00) => Device::Disk,
            (0, 0x05) => Device::Cd,
            (0, other) => Device::Other(other),
            _ => Device::Nothing,
        };
        let text = |from: usize, to: usize| text(answer.get(from..to.min(answer.len())).unwrap_or_default());
        Some(Inquiry {
            device,
            is_removable: answer.get(1).is_some_and(|byte| byte & 0x80 != 0),
            vendor: text(8, 16),
            product: text(16, 32),
            revision: text(32, 36),
        })
    }
}

/// Printable characters, without blanks around them.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text: String =
        bytes.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '?' }).collect();
    text.trim().into()
}

/// The contents of a page, if the answer is that page.
fn contents(answer: &[u8], wanted: u8) -> Option<&[u8]> {
    let length = usize::try_from(number(answer, 2, 2)?).ok()?;
    let rest = answer.get(4..)?;
    (answer.get(1) == Some(&wanted)).then(|| &rest[..rest.len().min(length)])
}

/// Which pages there are, by the page of pages.
pub fn pages(answer: &[u8]) -> Vec<u8> {
    contents(answer, page::PAGES).unwrap_or_default().to_vec()
}

/// The serial number, by its page.
pub fn serial_number(answer: &[u8]) -> Option<String> {
    Some(text(contents(answer, page::SERIAL)?)).filter(|text| !text.is_empty())
}

/// Whether the medium turns, by the page of characteristics. What does not say so does.
pub fn is_rotational(answer: &[u8]) -> bool {
    let rate = contents(answer, page::CHARACTERISTICS).and_then(|contents| number(contents, 0, 2));
    rate != Some(1)
}

/// How much a command may be about, in blocks; 0: the device does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Blocks of a transfer.
    pub transfer: u32,
    /// Blocks of an UNMAP, in one range at least.
    pub unmap: u32,
    /// Blocks of a WRITE SAME.
    pub write_same: u64,
}

impl Limits {
    /// Reads the page.
    pub fn read(answer: &[u8]) -> Limits {
        let contents = contents(answer, page::LIMITS).unwrap_or_default();
        // Offsets are those of the standard, less the four bytes of the header.
        let field = |at: usize, length: usize| number(contents, at - 4, length).unwrap_or(0);
        let ranges = field(24, 4);
        Limits {
            transfer: field(8, 4) as u32,
            unmap: if ranges == 0 { 0 } else { field(20, 4) as u32 },
            write_same: field(36, 8),
        }
    }
}

/// How blocks can be given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provisioning {
    /// UNMAP is known.
    pub has_unmap: bool,
    /// So is WRITE SAME that gives back.
    pub has_write_same: bool,
}

impl Provisioning {
    /// Reads the page.
    pub fn read(answer: &[u8]) -> Provisioning {
        let flags = contents(answer, page::PROVISIONING).and_then(|contents| contents.get(1)).copied();
        let has = |bit: u8| flags.is_some_and(|flags| flags & 1 << bit != 0);
        Provisioning { has_unmap: has(7), has_write_same: has(6) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> [u8; 36] {
        let mut answer = [0; 36];
        answer[8..16].copy_from_slice(b"QEMU    ");
        answer[16..32].copy_from_slice(b"QEMU HARDDISK   ");
        answer[32..].copy_from_slice(b"2.5+");
        answer
    }

    #[test]
    fn an_answer_says_what_the_device_is() {
        let inquiry = Inquiry::read(&disk()).expect("it is long enough");
        assert_eq!(inquiry.device, Device::Disk);
        assert!(!inquiry.is_removable);
        assert_eq!(
            (&*inquiry.vendor, &*inquiry.product, &*inquiry.revision),
            ("QEMU", "QEMU HARDDISK", "2.5+")
        );
        let mut cd = disk();
        (cd[0], cd[1], cd[9]) = (5, 0x80, 7);
        let cd = Inquiry::read(&cd).expect("it is long enough");
        assert_eq!((cd.device, cd.is_removable, &*cd.vendor), (Device::Cd, true, "Q?MU"));
        let mut nothing = disk();
        for (first, device) in [
            (0x7f, Device::Nothing),
            (0x20, Device::Nothing),
            (0x0c, Device::Other(12)),
            (0x1f, Device::Other(31)),
        ] {
            nothing[0] = first;
            assert_eq!(Inquiry::read(&nothing).map(|inquiry| inquiry.device), Some(device));
        }
    }

    #[test]
    fn units_are_listed_once_and_as_many_as_there_are() {
        let mut answer = alloc::vec![0, 0, 0, 40, 0, 0, 0, 0];
        for (first, second) in [(0, 0), (0, 3), (0x41, 2), (0, 3), (0xc1, 0)] {
            answer.extend([first, second, 0, 0, 0, 0, 0, 0]);
        }
        let numbers = |luns: Vec<Lun>| luns.iter().map(|lun| lun.number()).collect::<Vec<_>>();
        assert_eq!(numbers(luns(&answer, 99)), [Some(0), Some(3), Some(0x102), None]);
        assert_eq!(numbers(luns(&answer, 2)), [Some(0), Some(3)]);
        // A length that is shorter or longer than the answer, and one that ends within a unit.
        answer[3] = 17;
        assert_eq!(luns(&answer, 99).len(), 2);
        answer[..4].fill(0xff);
        assert_eq!(luns(&answer, 99).len(), 4);
        assert_eq!(luns(&answer[..15], 99), []);
    }

    #[test]
    fn pages_are_believed_only_if_they_were_asked_for() {
        let serial = [0, 0x80, 0, 6, b' ', b'a', b'b', b'c', 0, b'x'];
        assert_eq!(serial_number(&serial).as_deref(), Some("abc"));
        assert_eq!(serial_number(&[0, 0x83, 0, 3, b'a', b'b', b'c']), None);
        assert_eq!(serial_number(&[0, 0x80, 0, 2, b' ', b' ']), None);
        assert_eq!(pages(&[0, 0, 0xff, 0xff, 0, 0x80, 0xb0]), [0, 0x80, 0xb0]);
        assert!(is_rotational(&[]) && is_rotational(&[0, 0xb1, 0, 60, 0x1c, 0x20]));
        assert!(!is_rotational(&[0, 0xb1, 0, 60, 0, 1]));
        assert_eq!(
            Provisioning::read(&[0, 0xb2, 0, 4, 0, 0xc0]),
            Provisioning { has_unmap: true, has_write_same: true }
        );
        assert_eq!(Provisioning::read(&[0, 0xb2, 0, 1, 0, 0xc0]), Provisioning::default());
    }

    #[test]
    fn limits_stand_where_the_standard_says() {
        let mut answer = [0; 64];
        (answer[1], answer[3]) = (0xb0, 60);
        answer[11] = 8;
        answer[23] = 9;
        answer[43] = 10;
        assert_eq!(Limits::read(&answer), Limits { transfer: 8, unmap: 0, write_same: 10 });
        answer[27] = 1;
        assert_eq!(Limits::read(&answer).unmap, 9);
        assert_eq!(Limits::read(&answer[..30]), Limits { transfer: 8, unmap: 9, write_same: 0 });
    }

    #[test]
    fn no_answer_is_too_odd() {
        // Every byte of every length up to a few, at both ends of its range, with lengths that lie.
        for length in 0..70 {
            for fill in [0, 1, 0x7f, 0x80, 0xff] {
                let answer = alloc::vec![fill; length];
                let _ = (Inquiry::read(&answer), luns(&answer, 1000), pages(&answer), serial_number(&answer));
                let _ = (is_rotational(&answer), Limits::read(&answer), Provisioning::read(&answer));
            }
        }
    }
}
