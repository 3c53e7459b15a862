//! Bytes of commands, completions and descriptions.

use crate::block::hardware::Outcome;
use alloc::string::String;

/// A command: 16 double words (section 4.2).
pub(super) type Words = [u32; 16];

/// Length of a command and of a completion in bytes.
pub(super) const COMMAND_LENGTH: usize = 64;
pub(super) const COMPLETION_LENGTH: usize = 16;

/// Administrative commands (section 5).
pub(super) mod admin {
    pub(in super::super) const CREATE_SUBMISSION: u8 = 0x01;
    pub(in super::super) const CREATE_COMPLETION: u8 = 0x05;
    pub(in super::super) const IDENTIFY: u8 = 0x06;
    pub(in super::super) const SET_FEATURES: u8 = 0x09;

    /// What IDENTIFY is to describe.
    pub(in super::super) const IDENTIFY_NAMESPACE: u32 = 0;
    pub(in super::super) const IDENTIFY_CONTROLLER: u32 = 1;
    pub(in super::super) const IDENTIFY_ACTIVE: u32 = 2;
    /// The feature that says how many queues there are.
    pub(in super::super) const FEATURE_QUEUES: u32 = 7;
    /// A queue lies in one piece; a completion queue interrupts.
    pub(in super::super) const QUEUE_CONTIGUOUS: u32 = 1;
    pub(in super::super) const QUEUE_INTERRUPTS: u32 = 2;
}

/// Commands of namespaces (section 6).
pub(super) mod io {
    pub(in super::super) const FLUSH: u8 = 0x00;
    pub(in super::super) const WRITE: u8 = 0x01;
    pub(in super::super) const READ: u8 = 0x02;
    pub(in super::super) const WRITE_ZEROES: u8 = 0x08;
    pub(in super::super) const MANAGE: u8 = 0x09;

    /// In word 12: the write is safe when it is done.
    pub(in super::super) const FORCE_UNIT_ACCESS: u32 = 1 << 30;
    /// In word 11 of MANAGE: the ranges are not used any more.
    pub(in super::super) const DEALLOCATE: u32 = 1 << 2;
}

/// A command with its operation, number and namespace, and nothing else.
pub(super) fn command(operation: u8, number: u16, namespace: u32) -> Words {
    let mut words = [0; 16];
    words[0] = u32::from(operation) | u32::from(number) << 16;
    words[1] = namespace;
    words
}

/// Sets a value of two words.
pub(super) fn set_wide(words: &mut Words, at: usize, value: u64) {
    words[at] = value as u32;
    words[at + 1] = (value >> 32) as u32;
}

/// Where the two pointers to memory stand.
pub(super) const FIRST_POINTER: usize = 6;
pub(super) const SECOND_POINTER: usize = 8;

/// How a command ended: the upper half of the last word of its completion (section 4.6.1), without the phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) u16);

impl Status {
    const INVALID_OPERATION: u16 = 0x001;
    const ABORTED_WITH_QUEUE: u16 = 0x008;
    const ABORTED: u16 = 0x007;
    /// Kind and code together.
    const CODE_MASK: u16 = 0x7ff;
    const KIND_MASK: u16 = 0x700;
    const KIND_MEDIA: u16 = 0x200;
    const DO_NOT_RETRY: u16 = 1 << 14;

    /// Whether it went well.
    pub(super) fn is_success(self) -> bool {
        self.0 & Self::CODE_MASK == 0
    }

    /// What the block layer makes of it.
    pub(super) fn outcome(self) -> Outcome {
        match self.0 & Self::CODE_MASK {
            0 => Outcome::Done,
            Self::INVALID_OPERATION => Outcome::Unsupported,
            Self::ABORTED | Self::ABORTED_WITH_QUEUE => Outcome::Aborted,
            code if code & Self::KIND_MASK == Self::KIND_MEDIA => Outcome::Failed,
            _ if self.0 & Self::DO_NOT_RETRY != 0 => Outcome::Failed,
            _ => Outcome::Retry,
        }
    }
}

/// Length of a description in bytes.
pub(super) const DESCRIPTION: usize = 4096;

/// What a controller says of itself (section 5.15.2.1, figure 251).
#[derive(Clone, Debug)]
pub(super) struct ControllerDescription {
    pub(super) serial: Option<String>,
    pub(super) model: Option<String>,
    pub(super) firmware: Option<String>,
    /// The most pages that a command may transfer.
    pub(super) max_pages: usize,
    pub(super) can_manage: bool,
    pub(super) can_zero: bool,
    pub(super) has_cache: bool,
}

impl ControllerDescription {
    /// `page_shift`: the binary logarithm of the controller's smallest page, less 12.
    pub(super) fn read(bytes: &[u8], page_shift: u32) -> Self {
        let abilities = u16::from_le_bytes([bytes[520], bytes[521]]);
        let shift = u32::from(bytes[77]) + page_shift;
        Self {
            serial: text(&bytes[4..24]),
            model: text(&bytes[24..64]),
            firmware: text(&bytes[64..72]),
            max_pages: if bytes[77] == 0 || shift > 16 { usize::MAX } else { 1 << shift },
            can_manage: abilities & 1 << 2 != 0,
            can_zero: abilities & 1 << 3 != 0,
            has_cache: bytes[525] & 1 != 0,
        }
    }
}

/// What a namespace says of itself (section 5.15.2.2, figure 249).
#[derive(Clone, Copy, Debug)]
pub(super) struct NamespaceDescription {
    pub(super) blocks: u64,
    pub(super) block_size: u32,
}

impl NamespaceDescription {
    /// `None` if it cannot be used: it has no blocks, or they have an odd size or bytes besides the data.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let blocks = u64::from_le_bytes(bytes[..8].try_into().ok()?);
        let format = &bytes[128 + 4 * usize::from(bytes[26] & 0xf)..][..4];
        let has_metadata = format[0] != 0 || format[1] != 0;
        let is_usable = !has_metadata && (9..=12).contains(&format[2]) && blocks > 0;
        let block_size = 1_u32.checked_shl(format[2].into())?;
        blocks.checked_mul(block_size.into())?;
        is_usable.then_some(Self { blocks, block_size })
    }
}

/// Letters filled up with spaces.
fn text(bytes: &[u8]) -> Option<String> {
    let text: String = bytes.iter().copied().map(char::from).collect();
    let text = text.trim_matches([' ', '\0']);
    let is_plain = text.chars().all(|letter| (' '..='~').contains(&letter));
    (is_plain && !text.is_empty()).then(|| text.into())
}
