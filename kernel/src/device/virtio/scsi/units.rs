//! Which units there are, and what they are. They are looked for when the adapter is taken into service, and when it says that
//! one has come or gone.

use super::host::{ASKED, Host, Served};
use super::unit::{Facts, Reading, Unit};
use super::wire::{Address, Answer, Event, config};
use crate::block::hardware::Shape;
use crate::block::registry::{self, Kind};
use crate::block::{self, Access, Features, Identity, Limits, RequestQueue};
use crate::error::{Error, Result};
use crate::sched;
use abi::errno::Errno;
use alloc::{format, string::String, sync::Arc, vec, vec::Vec};
use core::sync::atomic::Ordering;
use machine::addr::PAGE_SIZE;
use machine::time;
use scsi::{Cache, Capacity, Command, Device, Inquiry, Lun, Provisioning, Verdict, page};

/// Units of an adapter that are used.
const MAX_UNITS: usize = 256;
/// Units of a target that are looked at.
const MAX_LUNS: usize = 256;
/// Requests of a unit that are under way in a lane at a time.
const MAX_DEPTH: usize = 64;
/// A command that takes longer is lost.
const TIME_LIMIT_NS: u64 = 30_000_000_000;
/// How often something is asked that may work later, and how long in between.
const ATTEMPTS: usize = 20;
const PAUSE_NS: u64 = 50_000_000;
/// Sizes of blocks.
const BLOCK_SIZES: core::ops::RangeInclusive<u32> = 512..=4096;

impl Host {
    /// Looks for all units: those that are new are taken into service, those that are gone are taken from it.
    pub(super) fn find_all(self: &Arc<Self>) {
        let _looking = self.looking.lock();
        let mut found = Vec::new();
        // Its last target is the adapter's word: 256 at most, by the shape of addresses.
        let last = self.session.config::<u16>(config::LAST_TARGET).min(u8::MAX.into()) as u8;
        for target in 0..=last {
            if self.is_gone() {
                return;
            }
            match self.units_of(target) {
                Ok(units) => found.extend(units.into_iter().map(|unit| Address { target, unit })),
                Err(error) => {
                    log::warn!("virtio: {}: target {target}: {error}", self.node.name());
                    break;
                }
            }
        }
        let known: Vec<_> = self.units.lock().iter().map(|served| served.unit.address()).collect();
        known.iter().filter(|address| !found.contains(address)).for_each(|address| self.take_out(*address));
        for address in found.into_iter().filter(|address| !known.contains(address)) {
            self.take_in(address);
        }
    }

    /// Follows what the adapter says, until it goes.
    pub(super) fn watch(self: &Arc<Self>) {
        loop {
            let has_news = || self.is_gone() || self.has_events() || self.is_to_look.load(Ordering::Acquire);
            self.news.wait_for_work(|| has_news().then_some(()));
            if self.is_gone() {
                return;
            }
            if self.is_to_look.swap(false, Ordering::AcqRel) {
                self.find_all();
            }
            let event = self.next_event();
            let is_known =
                |address: Address| self.units.lock().iter().any(|served| served.unit.address() == address);
            match event {
                Some(Event::Come(address)) if !is_known(address) => {
                    let _looking = self.looking.lock();
                    self.take_in(address);
                }
                Some(Event::Gone(address)) => {
                    let _looking = self.looking.lock();
                    self.take_out(address);
                }
                Some(Event::All) => self.find_all(),
                Some(Event::Come(_) | Event::Other) | None => {}
            }
        }
    }

    /// The units of a target, none if it is not there.
    fn units_of(&self, target: u8) -> Result<Vec<u16>> {
        let mut data = vec![0; ASKED];
        let zero = Address { target, unit: 0 };
        let (answer, length) = self.ask_again(zero, &Command::report_luns(ASKED as u32), &mut data)?;
        if !answer.has_target() {
            return Ok(Vec::new());
        }
        let luns = match answer.verdict() {
            Verdict::Done => scsi::luns(&data[..length], MAX_LUNS),
            // An old target has one.
            _ => vec![Lun::ZERO],
        };
        Ok(luns.into_iter().filter_map(Lun::number).collect())
    }

    /// Asks until the answer is not that it may work later.
    fn ask_again(&self, address: Address, command: &Command, data: &mut [u8]) -> Result<(Answer, usize)> {
        let mut attempts = ATTEMPTS;
        loop {
            let (answer, length) = self.ask(address, command, data)?;
            attempts -= 1;
            // A unit that was reset, or is new, says so first.
            let is_news = answer.sense.is_some_and(|sense| sense.key == 6);
            if answer.verdict() != Verdict::Retry || attempts == 0 || self.is_gone() {
                return Ok((answer, length));
            }
            if !is_news {
                sched::sleep_until(time::monotonic_ns() + PAUSE_NS);
            }
        }
    }

    /// The data of an answer, if there is a good one.
    fn data_of(&self, address: Address, command: &Command, room: usize) -> Result<Option<Vec<u8>>> {
        let mut data = vec![0; room];
        let (answer, length) = self.ask_again(address, command, &mut data)?;
        data.truncate(length);
        Ok((answer.verdict() == Verdict::Done).then_some(data))
    }

    fn take_in(self: &Arc<Self>, address: Address) {
        match self.try_take_in(address) {
            Ok(()) => {}
            Err(error) => log::warn!("virtio: {}: unit {address}: {error}", self.node.name()),
        }
    }

    fn try_take_in(self: &Arc<Self>, address: Address) -> Result<()> {
        let inquiry =
            self.data_of(address, &Command::inquiry(None, Inquiry::LENGTH as u16), Inquiry::LENGTH)?;
        let Some(inquiry) = inquiry.and_then(|data| Inquiry::read(&data)) else { return Ok(()) };
        let kind = match inquiry.device {
            Device::Disk => Kind::Scsi,
            Device::Cd => Kind::Cd,
            Device::Other(_) | Device::Nothing => return Ok(()),
        };
        if self.units.lock().len() >= MAX_UNITS {
            return Err(Error::new(Errno::ENOSPC, "there are too many units"));
        }
        let (answer, _) = self.ask_again(address, &Command::test_unit_ready(), &mut [])?;
        if answer.verdict() == Verdict::NotReady {
            log::info!("virtio: unit {address}: {} has no medium", inquiry.product);
            return Ok(());
        }
        let facts = self.facts(address, kind, inquiry)?;
        let shape = facts.shape;
        let unit = Unit::new(facts, self)?;
        let requests = RequestQueue::new(unit.clone(), shape);
        unit.requests.call_once(|| Arc::downgrade(&requests));
        self.units.lock().push(Served { unit, requests: requests.clone() });
        match registry::add(kind, requests, Some(self.node.clone())) {
            Ok(disk) => {
                log::debug!("block: {} is unit {address} of {}", disk.name(), self.node.name());
                Ok(())
            }
            Err(error) => {
                self.take_out(address);
                Err(error)
            }
        }
    }

    /// Asks a unit what it is.
    fn facts(&self, address: Address, kind: Kind, inquiry: Inquiry) -> Result<Facts> {
        let capacity = self.capacity(address, kind)?;
        if !capacity.block_size.is_power_of_two() || !BLOCK_SIZES.contains(&capacity.block_size) {
            return Err(Error::new(Errno::ENODEV, "its blocks have an odd size"));
        }
        let (cache, limits, provisioning, is_rotational) = match kind {
            Kind::Cd => (Cache::read(&[]), scsi::Limits::default(), Provisioning::default(), true),
            _ => {
                let modes = Command::mode_sense(Cache::PAGE, Cache::LENGTH as u16);
                let modes = self.data_of(address, &modes, Cache::LENGTH)?.unwrap_or_default();
                let pages = self.page(address, page::PAGES)?;
                let pages = scsi::pages(&pages);
                let page = |page: u8| match pages.contains(&page) {
                    true => self.page(address, page),
                    false => Ok(Vec::new()),
                };
                (
                    Cache::read(&modes),
                    scsi::Limits::read(&page(page::LIMITS)?),
                    Provisioning::read(&page(page::PROVISIONING)?),
                    scsi::is_rotational(&page(page::CHARACTERISTICS)?),
                )
            }
        };
        let is_read_only = kind == Kind::Cd || cache.is_protected;
        let block_size = u64::from(capacity.block_size);
        let blocks = |count: u64| count.min(u32::MAX.into()).saturating_mul(block_size);
        let size = capacity.blocks.checked_mul(block_size);
        let max_segments = self.max_segments();
        let most = match (kind, limits.transfer) {
            (Kind::Cd, _) => blocks(u16::MAX.into()),
            (_, 0) => u64::MAX,
            (_, blocks_at_once) => blocks(blocks_at_once.into()),
        };
        let sectors = u64::from(self.session.config::<u32>(config::SECTORS)).max(8) * 512;
        let max_length = (max_segments * PAGE_SIZE) as u64;
        let max_length = max_length.min(most).min(sectors).max(PAGE_SIZE as u64);
        let depth = self.session.config::<u32>(config::DEPTH).max(1) as usize;
        let shape = Shape {
            size_bytes: size.ok_or(Error::new(Errno::ENODEV, "it is too large"))?,
            block_size: capacity.block_size,
            access: if is_read_only { Access::ReadOnly } else { Access::ReadWrite },
            features: Features {
                has_cache: cache.has_cache && !is_read_only,
                has_safe_writes: cache.has_safe_writes,
                max_discard: if provisioning.has_unmap { blocks(limits.unmap.into()) } else { 0 },
                max_zeroes: blocks(limits.write_same),
                is_rotational,
            },
            limits: Limits {
                max_length,
                max_segments,
                depth: depth.min(MAX_DEPTH),
                needs_whole_pages: false,
            },
            lanes: self.lanes.len(),
            are_others_alone: false,
            time_limit_ns: TIME_LIMIT_NS,
            memory_alignment: block::MEMORY_ALIGNMENT,
        };
        let serial = scsi::serial_number(&self.page(address, page::SERIAL)?);
        let name = format!("{} {}", inquiry.vendor, inquiry.product);
        let told = |text: String| Some(text.trim().into()).filter(|text: &String| !text.is_empty());
        let identity = Identity { serial, model: told(name), firmware: told(inquiry.revision) };
        let reading = if kind == Kind::Cd { Reading::Short } else { Reading::Long };
        Ok(Facts { address, reading, identity, shape })
    }

    fn capacity(&self, address: Address, kind: Kind) -> Result<Capacity> {
        let long = Command::read_capacity_16(Capacity::LENGTH as u32);
        let capacity = match kind {
            Kind::Cd => None,
            _ => self.data_of(address, &long, Capacity::LENGTH)?.and_then(|data| Capacity::read_16(&data)),
        };
        let capacity = match capacity {
            Some(capacity) => Some(capacity),
            None => self
                .data_of(address, &Command::read_capacity_10(), Capacity::SHORT_LENGTH)?
                .and_then(|data| Capacity::read_10(&data)),
        };
        capacity.ok_or(Error::new(Errno::ENODEV, "it does not tell its size"))
    }

    /// A page of INQUIRY, empty if there is none.
    fn page(&self, address: Address, page: u8) -> Result<Vec<u8>> {
        const ROOM: usize = 255;
        let data = self.data_of(address, &Command::inquiry(Some(page), ROOM as u16), ROOM)?;
        Ok(data.unwrap_or_default())
    }

    /// A unit has gone. (Whoever calls this is the only one who looks for units.)
    fn take_out(&self, address: Address) {
        let served = {
            let mut units = self.units.lock();
            let index = units.iter().position(|served| served.unit.address() == address);
            index.map(|index| units.remove(index))
        };
        if let Some(served) = served {
            log::info!("virtio: {}: unit {address} has gone", self.node.name());
            served.requests.remove();
        }
    }
}
