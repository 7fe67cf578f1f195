//! The requests of a session, each answered with one packet. Synchronous: all of it may wait for a disk.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rlxc_sys::chain::chain;
use russh_sftp::protocol::{
    Attrs, Data, File as Entry, FileAttributes, Handle, Name, Open as OpenRequest, Packet, Read,
    Status, StatusCode, Version, Write,
};
use rustix::fs::{AtFlags, OFlags};

use super::open::{self, Open};
use super::{CHUNK, attributes, extended};
use crate::error::Error;
use crate::files::attributes::{Attributes, Kind, Modify, Push, WriteMode};
use crate::files::root::Root;
use crate::files::tree::{Tree, read_link, stat};
use crate::files::write::within_quota;

/// Handles of one session.
pub(super) const MOST_HANDLES: usize = 1024;

/// The state of a session: what it has open.
#[derive(Debug, Default)]
pub(super) struct Session {
    handles: HashMap<String, Open>,
    next: u64,
}

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) struct Refusal(StatusCode, String);

impl Refusal {
    pub(super) fn unsupported() -> Self {
        Self(StatusCode::OpUnsupported, "it is not known here".to_owned())
    }

    pub(super) fn unreadable() -> Self {
        Self(
            StatusCode::BadMessage,
            "the packet can't be read".to_owned(),
        )
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(code(&error), chain(&error).to_string())
    }
}

fn code(error: &Error) -> StatusCode {
    match error {
        Error::NotFound { .. } => StatusCode::NoSuchFile,
        Error::Invalid(_) | Error::Forbidden => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    }
}

/// A reply that says no.
pub(super) fn refused(id: u32, status_code: StatusCode, text: &str) -> Packet {
    Packet::Status(Status {
        id,
        status_code,
        error_message: text.to_owned(),
        language_tag: "en".to_owned(),
    })
}

/// A reply that tells of an error.
pub(super) fn failed(id: u32, error: &Error) -> Packet {
    refused(id, code(error), &chain(error).to_string())
}

/// A reply that says yes.
pub(super) fn done(id: u32) -> Packet {
    refused(id, StatusCode::Ok, "done")
}

fn at_end(id: u32) -> Packet {
    refused(id, StatusCode::Eof, "that was all")
}

impl Session {
    /// Whether nothing is open.
    pub(super) fn is_idle(&self) -> bool {
        self.handles.is_empty()
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, root: &Arc<Root>, packet: Packet) -> Packet {
        if let Packet::Init(_) = packet {
            return Packet::Version(Version {
                extensions: extended::OFFERED
                    .map(|(name, version)| (name.to_owned(), version.to_owned()))
                    .into(),
                ..Version::new()
            });
        }
        let Some(id) = id_of(&packet) else {
            return refused(0, StatusCode::BadMessage, "it is no request");
        };
        let answered = root.tree().map_err(Refusal::from).and_then(|tree| {
            let _identity = tree.become_guest_root()?;
            self.carry_out(root, tree, packet)
        });
        answered.unwrap_or_else(|Refusal(code, text)| refused(id, code, &text))
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a table of the requests: one line each"
    )]
    fn carry_out(
        &mut self,
        root: &Arc<Root>,
        tree: &Tree,
        packet: Packet,
    ) -> Result<Packet, Refusal> {
        match packet {
            Packet::Open(request) => self.open(root, tree, &request),
            Packet::Close(request) => match self.handles.remove(&request.handle) {
                Some(_closed) => Ok(done(request.id)),
                None => Err(no_handle()),
            },
            Packet::Read(request) => self.read(&request),
            Packet::Write(request) => self.write(&request),
            Packet::Lstat(request) => {
                let fd = tree.look(Path::new(&request.path), OFlags::NOFOLLOW)?;
                facts(tree, request.id, &fd, &request.path)
            }
            Packet::Stat(request) => {
                let fd = tree.look(Path::new(&request.path), OFlags::empty())?;
                facts(tree, request.id, &fd, &request.path)
            }
            Packet::Fstat(request) => {
                let (file, path) = self.file(&request.handle)?;
                facts(tree, request.id, file, path)
            }
            Packet::SetStat(request) => {
                let path = Path::new(&request.path);
                let found = tree.follow(path, OFlags::empty())?;
                let found = found.ok_or_else(|| Error::not_found("file", &*request.path))?;
                attributes::apply(tree, &found.fd, path, &request.attrs)?;
                Ok(done(request.id))
            }
            Packet::FSetStat(request) => {
                let (file, path) = self.file(&request.handle)?;
                let fd = file.as_fd().try_clone_to_owned();
                let fd = fd.map_err(|error| Error::failed("change the file", error))?;
                attributes::apply(tree, &fd, Path::new(path), &request.attrs)?;
                Ok(done(request.id))
            }
            Packet::OpenDir(request) => {
                let (fd, names) = open::directory(tree, Path::new(&request.path))?;
                let root = Arc::clone(root);
                let open = Open::Directory {
                    fd,
                    names,
                    _root: root,
                };
                self.keep(request.id, open)
            }
            Packet::ReadDir(request) => self.list(tree, request.id, &request.handle),
            Packet::Remove(request) => {
                tree.unlink(Path::new(&request.filename), AtFlags::empty())?;
                Ok(done(request.id))
            }
            Packet::RmDir(request) => {
                tree.unlink(Path::new(&request.path), AtFlags::REMOVEDIR)?;
                Ok(done(request.id))
            }
            Packet::MkDir(request) => {
                make_dir(tree, Path::new(&request.path), &request.attrs)?;
                Ok(done(request.id))
            }
            Packet::RealPath(request) => Ok(name(request.id, normal(&request.path))),
            Packet::Rename(request) => {
                let (old, new) = (Path::new(&request.oldpath), Path::new(&request.newpath));
                tree.rename(old, new, false)?;
                Ok(done(request.id))
            }
            Packet::ReadLink(request) => {
                let path = Path::new(&request.path);
                let fd = tree.look(path, OFlags::NOFOLLOW)?;
                let target = read_link(&fd, path)?;
                Ok(name(
                    request.id,
                    String::from_utf8_lossy(&target).into_owned(),
                ))
            }
            // All clients send the target first, as OpenSSH does; the draft and the library have it the other way.
            Packet::Symlink(request) => {
                let (target, link) = (&request.linkpath, &request.targetpath);
                tree.make_link(
                    Path::new(link),
                    target.as_bytes(),
                    &push(Kind::Symlink, None),
                )?;
                Ok(done(request.id))
            }
            Packet::Extended(request) => {
                extended::answer(self, tree, request.id, (&request.request, request.data))
            }
            _ => Err(Refusal::unsupported()),
        }
    }

    fn open(
        &mut self,
        root: &Arc<Root>,
        tree: &Tree,
        request: &OpenRequest,
    ) -> Result<Packet, Refusal> {
        let path = Path::new(&request.filename);
        let file = open::file(tree, path, request.pflags, &request.attrs)?;
        let open = Open::File {
            file,
            path: request.filename.clone(),
            _root: Arc::clone(root),
        };
        self.keep(request.id, open)
    }

    fn keep(&mut self, id: u32, open: Open) -> Result<Packet, Refusal> {
        if self.handles.len() >= MOST_HANDLES {
            return Err(Refusal(
                StatusCode::Failure,
                "too many files are open".to_owned(),
            ));
        }
        self.next += 1;
        let handle = self.next.to_string();
        self.handles.insert(handle.clone(), open);
        Ok(Packet::Handle(Handle { id, handle }))
    }

    /// An open file and its name.
    pub(super) fn file(&self, handle: &str) -> Result<(&File, &str), Refusal> {
        match self.handles.get(handle) {
            Some(Open::File { file, path, .. }) => Ok((file, path)),
            _ => Err(no_handle()),
        }
    }

    fn read(&self, request: &Read) -> Result<Packet, Refusal> {
        let (file, path) = self.file(&request.handle)?;
        let mut data = vec![0; request.len.min(CHUNK) as usize];
        let count = file
            .read_at(&mut data, request.offset)
            .map_err(|error| Error::failed(format!("read `{path}`"), error))?;
        if count == 0 && !data.is_empty() {
            return Ok(at_end(request.id));
        }
        data.truncate(count);
        Ok(Packet::Data(Data {
            id: request.id,
            data,
        }))
    }

    fn write(&self, request: &Write) -> Result<Packet, Refusal> {
        let (file, path) = self.file(&request.handle)?;
        within_quota(|| file.write_all_at(&request.data, request.offset))
            .map_err(|error| Error::failed(format!("write `{path}`"), error))?;
        Ok(done(request.id))
    }

    fn list(&mut self, tree: &Tree, id: u32, handle: &str) -> Result<Packet, Refusal> {
        let Some(Open::Directory { fd, names, .. }) = self.handles.get_mut(handle) else {
            return Err(no_handle());
        };
        let files = open::next_entries(tree, fd, names);
        if files.is_empty() {
            return Ok(at_end(id));
        }
        Ok(Packet::Name(Name { id, files }))
    }
}

fn no_handle() -> Refusal {
    Refusal(StatusCode::Failure, "no such handle is open".to_owned())
}

fn name(id: u32, name: String) -> Packet {
    let files = vec![Entry::dummy(name)];
    Packet::Name(Name { id, files })
}

fn facts(tree: &Tree, id: u32, fd: impl std::os::fd::AsFd, path: &str) -> Result<Packet, Refusal> {
    let stat = stat(fd, Path::new(path))?;
    let attrs = attributes::of(&tree.owners, &stat);
    Ok(Packet::Attrs(Attrs { id, attrs }))
}

fn push(kind: Kind, mode: Option<u32>) -> Push {
    Push {
        kind,
        attributes: Attributes {
            mode,
            ..Attributes::default()
        },
        modify: Modify::default(),
        write: WriteMode::Overwrite,
    }
}

fn make_dir(tree: &Tree, path: &Path, wanted: &FileAttributes) -> Result<(), Error> {
    // As good as made elsewhere, but not here: clients want to know.
    if tree.follow(path, OFlags::empty())?.is_some() {
        return Err(Error::exists("file", path.display().to_string()));
    }
    let mode = wanted.permissions.map(|mode| mode & 0o7777);
    tree.make_dir(path, &push(Kind::Directory, mode))
}

/// An absolute path without `.` and `..`, as far as the names alone tell.
fn normal(path: &str) -> String {
    let mut normal = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            _ => {}
        }
    }
    normal.to_string_lossy().into_owned()
}

/// The number of a request.
fn id_of(packet: &Packet) -> Option<u32> {
    Some(match packet {
        Packet::Open(request) => request.id,
        Packet::Close(request) => request.id,
        Packet::Read(request) => request.id,
        Packet::Write(request) => request.id,
        Packet::Lstat(request) => request.id,
        Packet::Fstat(request) => request.id,
        Packet::SetStat(request) => request.id,
        Packet::FSetStat(request) => request.id,
        Packet::OpenDir(request) => request.id,
        Packet::ReadDir(request) => request.id,
        Packet::Remove(request) => request.id,
        Packet::MkDir(request) => request.id,
        Packet::RmDir(request) => request.id,
        Packet::RealPath(request) => request.id,
        Packet::Stat(request) => request.id,
        Packet::Rename(request) => request.id,
        Packet::ReadLink(request) => request.id,
        Packet::Symlink(request) => request.id,
        Packet::Extended(request) => request.id,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_stay_inside() {
        for (path, expected) in [
            ("", "/"),
            (".", "/"),
            ("/a/./b/../c/", "/a/c"),
            ("../../etc", "/etc"),
            ("home", "/home"),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }
}
