//! Why a command failed: its status (SAM-5, 5.3) and what the device says to it, the sense data (SPC-4, 4.5).

use crate::number;

/// How a command ended, by the status that the device gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Well.
    Good,
    /// The sense data tell.
    CheckCondition,
    /// Not now: the device, or its queue, is full.
    Busy,
    /// It was ended from outside.
    Aborted,
    /// Another status.
    Other(u8),
}

impl Status {
    /// By its number.
    pub fn of(number: u8) -> Status {
        match number {
            0x00 => Status::Good,
            0x02 => Status::CheckCondition,
            0x08 | 0x28 => Status::Busy,
            0x40 => Status::Aborted,
            other => Status::Other(other),
        }
    }
}

/// Sense data: a key, and what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    /// What kind of thing happened.
    pub key: u8,
    /// What happened, and more on that (ASC, ASCQ).
    pub code: (u8, u8),
}

/// What a failed command means for whoever asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was done all the same.
    Done,
    /// It may work when it is tried again.
    Retry,
    /// It will fail always.
    Failed,
    /// The device does not know such commands.
    Unsupported,
    /// There is no medium, or it is not ready.
    NotReady,
    /// The medium cannot be written.
    Protected,
}

/// Sense keys.
mod key {
    pub(super) const NONE: u8 = 0;
    pub(super) const RECOVERED: u8 = 1;
    pub(super) const NOT_READY: u8 = 2;
    pub(super) const ILLEGAL: u8 = 5;
    pub(super) const ATTENTION: u8 = 6;
    pub(super) const PROTECT: u8 = 7;
    pub(super) const ABORTED: u8 = 11;
}

/// ASC of an operation code that is not known.
const NO_SUCH_OPERATION: u8 = 0x20;
/// ASC of a field of the command that is not right: the operation may be known, but not like this.
const NO_SUCH_FIELD: u8 = 0x24;
/// ASC of a unit that is getting ready.
const GETTING_READY: (u8, u8) = (0x04, 0x01);
/// ASC of a unit that has other units than before, and of one with another capacity.
const OTHER_UNITS: (u8, u8) = (0x3f, 0x0e);
const OTHER_CAPACITY: (u8, u8) = (0x2a, 0x09);

impl Sense {
    /// Reads sense data of either format; `None` if they are of none.
    pub fn read(data: &[u8]) -> Option<Sense> {
        let byte = |at: usize| data.get(at).copied();
        match byte(0)? & 0x7f {
            // Fixed. Codes that are not there are 0.
            0x70 | 0x71 => {
                let added = number(data, 7, 1).unwrap_or(0);
                let code = |at: usize| if added + 8 > at as u64 { byte(at).unwrap_or(0) } else { 0 };
                Some(Sense { key: byte(2)? & 0xf, code: (code(12), code(13)) })
            }
            // By descriptors.
            0x72 | 0x73 => {
                Some(Sense { key: byte(1)? & 0xf, code: (byte(2).unwrap_or(0), byte(3).unwrap_or(0)) })
            }
            _ => None,
        }
    }

    /// What it means for the command.
    pub fn verdict(self) -> Verdict {
        match (self.key, self.code) {
            (key::NONE | key::RECOVERED, _) => Verdict::Done,
            (key::NOT_READY, GETTING_READY) | (key::ATTENTION | key::ABORTED, _) => Verdict::Retry,
            (key::NOT_READY, _) => Verdict::NotReady,
            (key::ILLEGAL, (NO_SUCH_OPERATION | NO_SUCH_FIELD, _)) => Verdict::Unsupported,
            (key::PROTECT, _) => Verdict::Protected,
            _ => Verdict::Failed,
        }
    }

    /// The target has other units than before.
    pub fn says_other_units(self) -> bool {
        self.key == key::ATTENTION && self.code == OTHER_UNITS
    }

    /// The unit has another capacity than before.
    pub fn says_other_capacity(self) -> bool {
        self.key == key::ATTENTION && self.code == OTHER_CAPACITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(key: u8, code: u8, qualifier: u8) -> [u8; 18] {
        let mut data = [0; 18];
        (data[0], data[2], data[7], data[12], data[13]) = (0xf0, key, 10, code, qualifier);
        data
    }

    #[test]
    fn both_formats_are_read() {
        assert_eq!(Sense::read(&fixed(3, 0x11, 4)), Some(Sense { key: 3, code: (0x11, 4) }));
        assert_eq!(Sense::read(&[0x72, 5, 0x20, 1]), Some(Sense { key: 5, code: (0x20, 1) }));
        assert_eq!(Sense::read(&[0x72, 5]), Some(Sense { key: 5, code: (0, 0) }));
        // Fixed ones that end before the codes, by their own word or for good.
        let mut short = fixed(6, 0x29, 1);
        assert_eq!(Sense::read(&short[..13]), Some(Sense { key: 6, code: (0x29, 0) }));
        short[7] = 4;
        assert_eq!(Sense::read(&short), Some(Sense { key: 6, code: (0, 0) }));
        for nothing in [&[][..], &[0x70], &[0x70, 0], &[0x72], &[0, 0, 0, 0], &[0x74, 1, 2, 3], &[0xff; 18]] {
            assert_eq!(Sense::read(nothing), None, "{nothing:x?}");
        }
    }

    #[test]
    fn what_failed_is_told_from_what_may_pass() {
        let verdict = |key, code, qualifier| Sense { key, code: (code, qualifier) }.verdict();
        assert_eq!(verdict(0, 0, 0), Verdict::Done);
        assert_eq!(verdict(1, 0x18, 0), Verdict::Done);
        assert_eq!(verdict(2, 0x3a, 0), Verdict::NotReady);
        assert_eq!(verdict(2, 4, 1), Verdict::Retry);
        assert_eq!(verdict(3, 0x11, 0), Verdict::Failed);
        assert_eq!(verdict(4, 0x44, 0), Verdict::Failed);
        assert_eq!(verdict(5, 0x20, 0), Verdict::Unsupported);
        assert_eq!(verdict(5, 0x24, 0), Verdict::Unsupported);
        assert_eq!(verdict(5, 0x21, 0), Verdict::Failed, "behind the last block");
        assert_eq!(verdict(6, 0x29, 0), Verdict::Retry);
        assert_eq!(verdict(7, 0x27, 0), Verdict::Protected);
        assert_eq!(verdict(11, 0, 6), Verdict::Retry);
        assert!(Sense { key: 6, code: (0x3f, 0x0e) }.says_other_units());
        assert!(Sense { key: 6, code: (0x2a, 0x09) }.says_other_capacity());
        assert!(!Sense { key: 5, code: (0x3f, 0x0e) }.says_other_units());
    }

    #[test]
    fn statuses_are_what_they_are_called() {
        let statuses = [0x00, 0x02, 0x08, 0x28, 0x40, 0x18].map(Status::of);
        let expected = [
            Status::Good,
            Status::CheckCondition,
            Status::Busy,
            Status::Busy,
            Status::Aborted,
            Status::Other(0x18),
        ];
        assert_eq!(statuses, expected);
    }
}
