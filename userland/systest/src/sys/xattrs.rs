//! Extended attributes.

use super::{Result, call, path};

pub(crate) fn set(file: &str, name: &str, value: &[u8], flags: i32) -> Result<()> {
    call!(SYS_setxattr, &path(file)?, &path(name)?, value.as_ptr(), value.len(), flags).map(drop)
}

pub(crate) fn set_of_link(file: &str, name: &str, value: &[u8]) -> Result<()> {
    call!(SYS_lsetxattr, &path(file)?, &path(name)?, value.as_ptr(), value.len(), 0).map(drop)
}

pub(crate) fn set_of_fd(fd: i32, name: &str, value: &[u8]) -> Result<()> {
    call!(SYS_fsetxattr, fd, &path(name)?, value.as_ptr(), value.len(), 0).map(drop)
}

/// Reads a value into a buffer of `room` bytes; with none, the answer is as long as the value.
pub(crate) fn get(file: &str, name: &str, room: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0; room];
    let length = call!(SYS_getxattr, &path(file)?, &path(name)?, buffer.as_mut_ptr(), room)?;
    buffer.resize(length, 0);
    Ok(buffer)
}

pub(crate) fn get_of_fd(fd: i32, name: &str, room: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0; room];
    let length = call!(SYS_fgetxattr, fd, &path(name)?, buffer.as_mut_ptr(), room)?;
    buffer.resize(length, 0);
    Ok(buffer)
}

/// The names, sorted.
pub(crate) fn list(file: &str) -> Result<Vec<String>> {
    let mut buffer = vec![0; 4096];
    let room = buffer.len();
    let length = call!(SYS_listxattr, &path(file)?, buffer.as_mut_ptr(), room)?;
    let names = buffer[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort();
    Ok(names)
}

pub(crate) fn remove(file: &str, name: &str) -> Result<()> {
    call!(SYS_removexattr, &path(file)?, &path(name)?).map(drop)
}
