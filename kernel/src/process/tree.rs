//! The process tree: pids, parents and children, groups and sessions, under one lock.
//!
//! A process is in the tree from its fork until its parent has waited for it. Thread ids are taken from the same
//! numbers. The lock is short and may be taken by interrupt handlers (the terminal signals groups); a thread group's
//! lock may be taken under it, never the other way round.

use super::Process;
use super::session::Session;
use crate::error::{Error, Result};
use crate::sched::Thread;
use abi::errno::Errno;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use id_map::IdMap;
use machine::sync::{IrqSpinLock, SpinGuard};

/// The first process: it adopts orphans, and the system ends with it.
pub(crate) const INIT: i32 = 1;
/// Pids are below this (Linux's default).
pub(crate) const PID_LIMIT: i32 = 32_768;
/// Where numbers start again after the last: the low ones are left to early daemons.
const RESTART_AT: i32 = 300;

/// How many processes and threads there may be together (/proc/sys/kernel/threads-max): as on Linux, so many that their
/// stacks take an eighth of memory if one took 16 KiB.
pub(crate) fn threads_max() -> usize {
    const FRAMES_FOR_THREAD: usize = 8 * (16 << 10) / machine::addr::PAGE_SIZE;
    (machine::mm::statistics().total / FRAMES_FOR_THREAD).clamp(20, PID_LIMIT as usize)
}

static TREE: IrqSpinLock<Tree> = IrqSpinLock::new("processes", Tree::new());

/// See the module.
pub(super) struct Tree {
    processes: IdMap<i32, Node>,
    threads: IdMap<i32, Weak<Thread>>,
    groups: IdMap<i32, Group>,
    last_pid: i32,
}

struct Node {
    process: Arc<Process>,
    children: Vec<i32>,
}

struct Group {
    session: Arc<Session>,
    members: Vec<i32>,
}

type TreeGuard = SpinGuard<'static, Tree, machine::sync::Interrupts>;

fn lock() -> TreeGuard {
    TREE.lock()
}

impl Tree {
    const fn new() -> Tree {
        Tree { processes: IdMap::new(), threads: IdMap::new(), groups: IdMap::new(), last_pid: INIT }
    }

    fn is_used(&self, pid: i32) -> bool {
        self.processes.contains_key(pid)
            || self.threads.contains_key(pid)
            || self.groups.contains_key(pid)
            || self.groups.values().any(|group| group.session.id() == pid)
    }

    fn parent_node(&mut self, process: &Process) -> Option<&mut Node> {
        self.processes.get_mut(process.parent_id())
    }

    fn join_group(&mut self, process: &Process, id: i32, session: &Arc<Session>) {
        let group =
            self.groups.get_or_insert_with(id, || Group { session: session.clone(), members: Vec::new() });
        group.members.push(process.pid());
        process.links.group.store(id, Ordering::Relaxed);
    }

    fn leave_group(&mut self, process: &Process) {
        let id = process.group_id();
        let Some(group) = self.groups.get_mut(id) else { return };
        group.members.retain(|pid| *pid != process.pid());
        if group.members.is_empty() {
            self.groups.remove(id);
        }
    }

    /// Whether nobody outside the group, but in its session, is parent of a member; `without` counts as gone.
    fn is_orphaned(&self, id: i32, without: Option<i32>) -> bool {
        let Some(group) = self.groups.get(id) else { return true };
        !group.members.iter().filter(|pid| Some(**pid) != without).any(|pid| {
            let Some(member) = self.processes.get(*pid) else { return false };
            if member.process.has_ended() {
                return false;
            }
            let Some(parent) = self.processes.get(member.process.parent_id()) else { return false };
            parent.process.pid() != INIT
                && parent.process.group_id() != id
                && parent.process.session_id() == group.session.id()
        })
    }
}

/// Takes a number for a process or a thread. It is in use only once it is entered.
///
/// # Errors
/// EAGAIN if all are in use.
fn allocate_pid(tree: &mut Tree) -> Result<i32> {
    let mut pid = tree.last_pid;
    for _ in 0..PID_LIMIT {
        pid = if pid + 1 >= PID_LIMIT { RESTART_AT } else { pid + 1 };
        if !tree.is_used(pid) {
            tree.last_pid = pid;
            return Ok(pid);
        }
    }
    Err(Errno::EAGAIN.into())
}

/// Reserves the number of the first process, which nobody else gets.
pub(super) fn reserve_init() -> i32 {
    lock().threads.insert(INIT, Weak::new());
    INIT
}

/// Reserves a number for a thread of a process that is in the tree.
pub(super) fn reserve_tid() -> Result<i32> {
    let most = threads_max();
    let mut tree = lock();
    if tree.threads.len() >= most {
        return Err(Error::new(Errno::EAGAIN, "threads-max is reached"));
    }
    let tid = allocate_pid(&mut tree)?;
    tree.threads.insert(tid, Weak::new());
    Ok(tid)
}

/// Makes a thread known by its number.
pub(super) fn enter_thread(tid: i32, thread: &Arc<Thread>) {
    lock().threads.insert(tid, Arc::downgrade(thread));
}

/// Gives a thread's number back.
pub(super) fn remove_thread(tid: i32) {
    lock().threads.remove(tid);
}

/// Enters a process without a parent, as leader of a session of its own.
pub(super) fn enter_orphan(process: &Arc<Process>) {
    let mut tree = lock();
    let session = Session::new(process.pid());
    process.links.session.store(process.pid(), Ordering::Relaxed);
    *process.session.lock() = session.clone();
    tree.join_group(process, process.pid(), &session);
    tree.processes.insert(process.pid(), Node { process: process.clone(), children: Vec::new() });
}

/// Enters a forked process below its parent, in the parent's group and session.
pub(super) fn enter(process: &Arc<Process>, parent: &Arc<Process>, sibling: &Arc<Process>) {
    let mut tree = lock();
    let session = sibling.session.lock().clone();
    *process.session.lock() = session.clone();
    process.links.session.store(session.id(), Ordering::Relaxed);
    process.links.parent.store(parent.pid(), Ordering::Relaxed);
    tree.join_group(process, sibling.group_id(), &session);
    tree.processes.insert(process.pid(), Node { process: process.clone(), children: Vec::new() });
    if let Some(node) = tree.parent_node(process) {
        node.children.push(process.pid());
    }
}

/// Removes a process that has been waited for; its number is free then.
pub(super) fn remove(process: &Arc<Process>) {
    let removed = {
        let mut tree = lock();
        tree.leave_group(process);
        let pid = process.pid();
        if let Some(node) = tree.parent_node(process) {
            node.children.retain(|child| *child != pid);
        }
        tree.threads.remove(pid);
        tree.processes.remove(pid)
    };
    drop(removed);
}

/// The process with that pid, ended ones that nobody has waited for included.
pub(crate) fn find(pid: i32) -> Option<Arc<Process>> {
    lock().processes.get(pid).map(|node| node.process.clone())
}

/// The thread with that number.
pub(crate) fn find_thread(tid: i32) -> Option<Arc<Thread>> {
    lock().threads.get(tid).and_then(Weak::upgrade)
}

/// The process that a thread id belongs to.
pub(crate) fn find_by_tid(tid: i32) -> Option<Arc<Process>> {
    find(tid).or_else(|| find_thread(tid)?.process().cloned())
}

/// The first process whose pid is above `pid` (for walking through all without holding anything).
pub(crate) fn next_after(pid: i32) -> Option<Arc<Process>> {
    let tree = lock();
    let (_, node) = tree.processes.iter_from(pid.checked_add(1)?).next()?;
    Some(node.process.clone())
}

/// All processes.
pub(crate) fn all() -> Vec<Arc<Process>> {
    lock().processes.values().map(|node| node.process.clone()).collect()
}

/// How many processes and threads there are.
pub(crate) fn count() -> usize {
    lock().threads.len()
}

/// The number that was given out last (/proc/loadavg).
pub(crate) fn last_pid() -> i32 {
    lock().last_pid
}

/// The members of a process group.
pub(crate) fn group_members(id: i32) -> Vec<Arc<Process>> {
    let tree = lock();
    let Some(group) = tree.groups.get(id) else { return Vec::new() };
    group.members.iter().filter_map(|pid| tree.processes.get(*pid)).map(|node| node.process.clone()).collect()
}

/// The session of a process group, if the group exists.
pub(crate) fn session_of_group(id: i32) -> Option<i32> {
    lock().groups.get(id).map(|group| group.session.id())
}

/// Whether nobody could let a stopped process of the group go on: all parents are inside, or in other sessions.
pub(crate) fn is_orphaned_group(id: i32) -> bool {
    lock().is_orphaned(id, None)
}

/// A process's parent.
pub(crate) fn parent_of(process: &Process) -> Option<Arc<Process>> {
    let tree = lock();
    tree.processes.get(process.parent_id()).map(|node| node.process.clone())
}

/// A process's children, ended ones included.
pub(crate) fn children_of(process: &Process) -> Vec<Arc<Process>> {
    let tree = lock();
    let Some(node) = tree.processes.get(process.pid()) else { return Vec::new() };
    node.children.iter().filter_map(|pid| tree.processes.get(*pid)).map(|node| node.process.clone()).collect()
}

/// Moves a process into another group (setpgid); the caller has checked who may.
///
/// # Errors
/// EPERM if the group does not exist in the session and is not to be the process's own, or a session leader is moved.
pub(super) fn set_group(process: &Arc<Process>, id: i32) -> Result<()> {
    let mut tree = lock();
    let session = process.session.lock().clone();
    if session.id() == process.pid() {
        return Err(Errno::EPERM.into());
    }
    let exists = tree.groups.get(id).is_some_and(|group| group.session.id() == session.id());
    if !exists && id != process.pid() {
        return Err(Errno::EPERM.into());
    }
    tree.leave_group(process);
    tree.join_group(process, id, &session);
    Ok(())
}

/// Makes a process the leader of a new session and group (setsid).
///
/// # Errors
/// EPERM if it leads a group.
pub(super) fn set_session(process: &Arc<Process>) -> Result<()> {
    let mut tree = lock();
    if tree.groups.contains_key(process.pid()) {
        return Err(Errno::EPERM.into());
    }
    let session = Session::new(process.pid());
    tree.leave_group(process);
    tree.join_group(process, process.pid(), &session);
    process.links.session.store(process.pid(), Ordering::Relaxed);
    let old = core::mem::replace(&mut *process.session.lock(), session);
    drop(tree);
    drop(old);
    Ok(())
}

/// What the end of a process does to its family.
pub(super) struct Bereaved {
    /// The children, who have a new parent now.
    pub(super) children: Vec<Arc<Process>>,
    /// Groups that nobody can let go on any more.
    pub(super) orphaned_groups: Vec<i32>,
}

/// Gives the children of a process that ends to the nearest ancestor that adopts orphans, or to init.
pub(super) fn abandon_children(process: &Arc<Process>) -> Bereaved {
    let mut tree = lock();
    let pid = process.pid();
    let adopter = find_adopter(&tree, process);
    let children =
        tree.processes.get_mut(pid).map(|node| core::mem::take(&mut node.children)).unwrap_or_default();
    let mut groups: Vec<i32> = children
        .iter()
        .filter_map(|child| tree.processes.get(*child))
        .map(|node| node.process.group_id())
        .chain([process.group_id()])
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups.retain(|group| !tree.is_orphaned(*group, None));
    let mut adopted = Vec::with_capacity(children.len());
    for child in children {
        let Some(node) = tree.processes.get(child) else { continue };
        let new_parent = adopter.as_ref().map_or(0, |adopter| adopter.pid());
        node.process.links.parent.store(new_parent, Ordering::Relaxed);
        adopted.push(node.process.clone());
        if let Some(adopter) = tree.processes.get_mut(new_parent) {
            adopter.children.push(child);
        }
    }
    // What was not orphaned before, and is without this process.
    groups.retain(|group| tree.is_orphaned(*group, Some(pid)));
    Bereaved { children: adopted, orphaned_groups: groups }
}

fn find_adopter(tree: &Tree, process: &Process) -> Option<Arc<Process>> {
    let mut ancestor = tree.processes.get(process.parent_id());
    while let Some(node) = ancestor {
        if node.process.is_init() || (node.process.adopts_orphans() && !node.process.has_ended()) {
            return Some(node.process.clone());
        }
        ancestor = tree.processes.get(node.process.parent_id());
    }
    tree.processes
        .get(INIT)
        .filter(|node| node.process.pid() != process.pid())
        .map(|node| node.process.clone())
}
