//! What a container sees of the machine: files of `/proc` and `/sys` that show what it got, not what the host has.
//!
//! ```text
//! monitor: FUSE file system, detached ─▶ init: binds its files over those of the kernel
//! reader ─▶ kernel ─▶ monitor's poll loop ─▶ figures of the control group, put into the host's words
//! ```
//! The monitor serves them itself, so that they live exactly as long as the container, and no container's view hangs on
//! another's. `docs/decisions/0007-view.md` says why not otherwise. Where the host runs lxcfs, that is bound instead.

mod figures;
mod text;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rlxc_sys::mount;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use crate::cgroup::Cgroup;
use crate::confine::InPhase;
use crate::protocol::Failure;
pub(crate) use figures::{Figures, Machine};
use wire::{Attributes, Message, Request};

const PHASE: &str = "view";
/// The device that FUSE file systems are served by.
const FUSE: &str = "/dev/fuse";
const ROOT: u64 = 1;
/// The files, and what they are bound over.
pub(crate) const FILES: [(&str, &str); 8] = [
    ("cpuinfo", "/proc/cpuinfo"),
    ("diskstats", "/proc/diskstats"),
    ("loadavg", "/proc/loadavg"),
    ("meminfo", "/proc/meminfo"),
    ("stat", "/proc/stat"),
    ("swaps", "/proc/swaps"),
    ("uptime", "/proc/uptime"),
    ("online", "/sys/devices/system/cpu/online"),
];
/// Texts that are remembered for those who read them piece by piece; others get a new one.
const REMEMBERED: usize = 8;
/// How long a text is the same for who asks for its size and then for itself.
const FRESH: Duration = Duration::from_millis(20);
/// Requests that are answered before others of the monitor's have their turn.
const BATCH: usize = 16;

/// The file system of one container.
pub(crate) struct View {
    fuse: OwnedFd,
    owner: (u32, u32),
    figures: Figures,
    texts: VecDeque<(u64, Vec<u8>)>,
    /// The text whose size was last asked for: of which file, when.
    counted: Option<(u64, Instant, Vec<u8>)>,
    last_handle: u64,
}

impl View {
    /// Makes the file system, whose files belong to `owner` (host ids), and its detached mount. `None` on a host without
    /// FUSE: the container sees the host's figures then.
    pub(crate) fn open(
        cgroup: &Cgroup,
        owner: (u32, u32),
    ) -> Result<Option<(Self, OwnedFd)>, Failure> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fuse = match rustix::fs::open(FUSE, flags, Mode::empty()) {
            Ok(fuse) => fuse,
            Err(Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::PERM) => return Ok(None),
            Err(errno) => return Err(errno).in_phase(PHASE, || format!("open `{FUSE}`")),
        };
        let descriptor = fuse.as_raw_fd().to_string();
        let options = [
            ("source", "rlxc"),
            ("fd", descriptor.as_str()),
            ("rootmode", "40555"),
            ("user_id", "0"),
            ("group_id", "0"),
            ("allow_other", ""),
            ("default_permissions", ""),
        ];
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let mount = mount::create("fuse", &options, flags).in_phase(PHASE, String::new)?;
        let view = Self {
            fuse,
            owner,
            figures: Figures::new(cgroup.clone()),
            texts: VecDeque::new(),
            counted: None,
            last_handle: 0,
        };
        Ok(Some((view, mount)))
    }

    /// Readable when there is something to answer.
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.fuse
    }

    /// Answers what is there, never waiting. An error means that nobody has it mounted any more.
    pub(crate) fn attend(&mut self) -> io::Result<()> {
        for _ in 0..BATCH {
            let Some(message) = wire::receive(self.fuse.as_fd())? else {
                break;
            };
            if message.request == Request::Forget {
                continue;
            }
            // A figure that can't be made out must not end the container.
            let answer = catch_unwind(AssertUnwindSafe(|| self.answer(&message)));
            let answer = answer.unwrap_or(Err(Errno::IO));
            wire::reply(
                self.fuse.as_fd(),
                message.unique,
                answer.as_deref().map_err(|e| *e),
            );
        }
        Ok(())
    }

    fn answer(&mut self, message: &Message) -> Result<Vec<u8>, Errno> {
        match &message.request {
            Request::Init => Ok(wire::init()),
            Request::Lookup(name) => {
                let node = (2..).zip(FILES).find(|(_, (file, _))| file == name);
                let (node, _) = node.ok_or(Errno::NOENT)?;
                Ok(wire::entry(self.attributes(node)))
            }
            Request::Attributes => {
                let size = self.size(message.node);
                let attributes = self.attributes(message.node);
                Ok(wire::attributes(Attributes { size, ..attributes }))
            }
            Request::Open => {
                self.last_handle += 1;
                Ok(wire::open(self.last_handle))
            }
            Request::Read {
                handle,
                offset,
                size,
            } => self.read(message.node, (*handle, *offset, *size)),
            Request::Release { handle } => {
                self.texts.retain(|(other, _)| other != handle);
                Ok(Vec::new())
            }
            Request::Statistics => Ok(wire::statistics()),
            Request::Forget | Request::Other => Err(Errno::NOSYS),
        }
    }

    fn attributes(&self, node: u64) -> Attributes {
        let (uid, gid) = self.owner;
        let mode = if node == ROOT { 0o040_555 } else { 0o100_444 };
        Attributes {
            node,
            size: 0,
            mode,
            uid,
            gid,
        }
    }

    /// Who reads by sendfile(2) gets no more than that, and who reads at once the very text that was counted.
    fn size(&mut self, node: u64) -> u64 {
        let Some(text) = self.text(node) else {
            return 0;
        };
        let size = text.len() as u64;
        self.counted = Some((node, Instant::now(), text));
        size
    }

    fn text(&mut self, node: u64) -> Option<Vec<u8>> {
        if let Some((counted, at, text)) = &self.counted
            && *counted == node
            && at.elapsed() < FRESH
        {
            return Some(text.clone());
        }
        let index = usize::try_from(node).ok()?.checked_sub(2)?;
        let (name, _) = FILES.get(index)?;
        self.figures.text(name).map(String::into_bytes)
    }

    /// A text is new whenever it is read from its beginning, as those of the kernel are.
    fn read(
        &mut self,
        node: u64,
        (handle, offset, size): (u64, u64, u32),
    ) -> Result<Vec<u8>, Errno> {
        let known = self.texts.iter().any(|(other, _)| *other == handle);
        if offset == 0 || !known {
            self.texts.retain(|(other, _)| *other != handle);
            let text = self.text(node).ok_or(Errno::IO)?;
            self.texts.push_back((handle, text));
            if self.texts.len() > REMEMBERED {
                self.texts.pop_front();
            }
        }
        let text = self.texts.iter().find(|(other, _)| *other == handle);
        let (_, text) = text.ok_or(Errno::IO)?;
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(text.len());
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let to = from.saturating_add(length).min(text.len());
        Ok(text[from..to].to_vec())
    }
}
