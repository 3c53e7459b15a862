//! What goes along with a message: open files and credentials. Source: cmsg(3), unix(7).

use super::Call;
use crate::{
    error::{Error, Result},
    fs::{fd::OnExec, file::File},
    mm::user::{UserPtr, UserSlice},
    net::socket::Received,
    process::credentials::capability,
};
use abi::{
    errno::Errno,
    socket::{Cmsghdr, MsgFlags, Msghdr, SCM_CREDENTIALS, SCM_MAX_FD, SCM_RIGHTS, SOL_SOCKET, Ucred},
};
use alloc::{sync::Arc, vec::Vec};
use zerocopy::{FromBytes, IntoBytes};

const HEAD: usize = size_of::<Cmsghdr>();
/// Control messages start at multiples of this.
const ALIGNMENT: usize = 8;
/// The most bytes of them (/proc/sys/net/core/optmem_max).
const LENGTH_MAX: u64 = 20480;

/// The control messages of one that is sent.
#[derive(Default)]
pub(super) struct Control {
    pub(super) files: Vec<Arc<File>>,
    pub(super) credentials: Option<Ucred>,
}

/// Takes the control messages of a program apart.
pub(super) fn read(call: &Call<'_>, header: &Msghdr) -> Result<Control> {
    let mut control = Control::default();
    if header.control == 0 || header.controllen < HEAD as u64 {
        return Ok(control);
    }
    if header.controllen > LENGTH_MAX {
        return Err(Errno::ENOBUFS.into());
    }
    let bytes = UserSlice::<u8>::new(header.control, header.controllen as usize).read_vec()?;
    let mut rest = &bytes[..];
    while let Ok((head, data)) = Cmsghdr::read_from_prefix(rest) {
        let length = usize::try_from(head.len).ok().and_then(|length| length.checked_sub(HEAD));
        let data = length.and_then(|length| data.get(..length));
        let data = data.ok_or(Error::new(Errno::EINVAL, "a control message ends behind the buffer"))?;
        if head.level == SOL_SOCKET as i32 {
            match u32::try_from(head.kind) {
                Ok(SCM_RIGHTS) => add_files(call, &mut control.files, data)?,
                Ok(SCM_CREDENTIALS) => control.credentials = Some(check_credentials(call, data)?),
                _ => return Err(Error::new(Errno::EINVAL, "no such control message")),
            }
        }
        rest = rest.get((HEAD + data.len()).next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(control)
}

fn add_files(call: &Call<'_>, files: &mut Vec<Arc<File>>, data: &[u8]) -> Result<()> {
    let table = call.process().files();
    for fd in data.chunks_exact(size_of::<i32>()) {
        if files.len() == SCM_MAX_FD {
            return Err(Error::new(Errno::EINVAL, "more than 253 descriptors"));
        }
        let fd = i32::read_from_bytes(fd).expect("a chunk has four bytes");
        files.push(table.get_any(fd)?);
    }
    Ok(())
}

/// What a program may claim to be: itself, or with privilege anybody.
fn check_credentials(call: &Call<'_>, data: &[u8]) -> Result<Ucred> {
    let claim = Ucred::read_from_bytes(data).map_err(|_| Errno::EINVAL)?;
    let own = call.process().credentials();
    let is_pid = claim.pid == call.process().pid() || own.has(capability::SYS_ADMIN);
    let is_user = [own.uid, own.euid, own.suid].contains(&claim.uid) || own.has(capability::SETUID);
    let is_group = [own.gid, own.egid, own.sgid].contains(&claim.gid) || own.has(capability::SETGID);
    if is_pid && is_user && is_group { Ok(claim) } else { Err(Errno::EPERM.into()) }
}

/// What was written for the receiver.
pub(super) struct Written {
    /// Bytes.
    pub(super) length: u64,
    /// MSG_CTRUNC, if there was not enough room.
    pub(super) flags: MsgFlags,
}

/// Gives a program what came along with a message.
pub(super) fn write(
    call: &Call<'_>,
    header: &Msghdr,
    received: Received,
    flags: MsgFlags,
) -> Result<Written> {
    let room = if header.control == 0 { 0 } else { header.controllen };
    let mut writer = Writer { address: header.control, room, length: 0, flags: MsgFlags::empty() };
    if let Some(credentials) = received.credentials {
        writer.add(SCM_CREDENTIALS, credentials.as_bytes())?;
    }
    if !received.files.is_empty() {
        let on_exec = if flags.contains(MsgFlags::MSG_CMSG_CLOEXEC) { OnExec::Close } else { OnExec::Keep };
        let fds = install_files(call, &received.files, writer.room_for_fds(), on_exec);
        if fds.len() < received.files.len() {
            writer.flags |= MsgFlags::MSG_CTRUNC;
        }
        if !fds.is_empty() {
            writer.add(SCM_RIGHTS, fds.as_bytes())?;
        }
    }
    Ok(Written { length: writer.length, flags: writer.flags })
}

/// Gives descriptors to as many files as there is room for.
fn install_files(call: &Call<'_>, files: &[Arc<File>], room: usize, on_exec: OnExec) -> Vec<i32> {
    let table = call.process().files();
    let fds = files.iter().take(room).map_while(|file| table.install(file.clone(), on_exec).ok());
    fds.collect()
}

/// Control messages on their way to a program.
struct Writer {
    address: u64,
    room: u64,
    length: u64,
    flags: MsgFlags,
}

impl Writer {
    fn left(&self) -> usize {
        usize::try_from(self.room.saturating_sub(self.length)).unwrap_or(usize::MAX)
    }

    fn room_for_fds(&self) -> usize {
        self.left().saturating_sub(HEAD) / size_of::<i32>()
    }

    /// Adds one, cut to what fits.
    fn add(&mut self, kind: u32, data: &[u8]) -> Result<()> {
        let left = self.left();
        if left < HEAD {
            self.flags |= MsgFlags::MSG_CTRUNC;
            return Ok(());
        }
        let part = &data[..data.len().min(left - HEAD)];
        if part.len() < data.len() {
            self.flags |= MsgFlags::MSG_CTRUNC;
        }
        let length = HEAD + part.len();
        let head = Cmsghdr { len: length as u64, level: SOL_SOCKET as i32, kind: kind as i32 };
        let place = self.address.checked_add(self.length).ok_or(Errno::EFAULT)?;
        UserPtr::new(place).write(&head)?;
        UserSlice::new(place.checked_add(HEAD as u64).ok_or(Errno::EFAULT)?, part.len()).write(part)?;
        self.length += length.next_multiple_of(ALIGNMENT).min(left) as u64;
        Ok(())
    }
}
