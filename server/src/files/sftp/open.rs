//! Opening files and directories for a session.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use russh_sftp::protocol::{File as Entry, FileAttributes, OpenFlags};
use rustix::fs::{AtFlags, OFlags};

use super::attributes;
use crate::error::{Error, Result};
use crate::files::attributes::{Attributes, Kind};
use crate::files::root::Root;
use crate::files::tree::{Found, Tree, list, reopen};

/// Names in one reply.
const BATCH: usize = 100;

/// What a handle stands for. It keeps the root open.
#[derive(Debug)]
pub(super) enum Open {
    /// A file.
    File {
        /// As it was opened.
        file: File,
        /// What it was called.
        path: String,
        /// Held.
        _root: Arc<Root>,
    },
    /// A directory that is being listed.
    Directory {
        /// The directory.
        fd: OwnedFd,
        /// What was not told yet.
        names: VecDeque<String>,
        /// Held.
        _root: Arc<Root>,
    },
}

/// Opens a file as the flags say.
pub(super) fn file(
    tree: &Tree,
    path: &Path,
    flags: OpenFlags,
    wanted: &FileAttributes,
) -> Result<File> {
    let missing = || Error::not_found("file", path.display().to_string());
    let (read, append) = (
        flags.contains(OpenFlags::READ),
        flags.contains(OpenFlags::APPEND),
    );
    if !append && !flags.contains(OpenFlags::WRITE) {
        let found = tree.follow(path, OFlags::empty())?.ok_or_else(missing)?;
        // A directory can be opened, as by open(2): clients do so before they ask what it is.
        let found = match found.facts.kind {
            Kind::Directory => found.fd,
            _ => regular(found, path)?,
        };
        return reopen(&found, OFlags::RDONLY, path);
    }
    let mut access = if read { OFlags::RDWR } else { OFlags::WRONLY };
    if append {
        access |= OFlags::APPEND;
    }
    let truncate = if flags.contains(OpenFlags::TRUNCATE) {
        OFlags::TRUNC
    } else {
        OFlags::empty()
    };
    let there = || -> Result<Option<File>> {
        match tree.follow(path, OFlags::empty())? {
            Some(found) => reopen(&regular(found, path)?, access | truncate, path).map(Some),
            None => Ok(None),
        }
    };
    let exclusive = flags.contains(OpenFlags::EXCLUDE);
    let taken = || Error::exists("file", path.display().to_string());
    if !exclusive && let Some(file) = there()? {
        return Ok(file);
    }
    if !flags.contains(OpenFlags::CREATE) {
        return Err(missing());
    }
    let attributes = Attributes {
        uid: wanted.uid,
        gid: wanted.gid,
        mode: wanted.permissions.map(|mode| mode & 0o7777),
    };
    let owner = tree.owner(attributes)?;
    match tree.make_file(path, attributes, owner)? {
        Some(file) => reopen(&OwnedFd::from(file), access, path),
        None if exclusive => Err(taken()),
        // Somebody else has made it just now.
        None => there()?.ok_or_else(taken),
    }
}

fn regular(found: Found, path: &Path) -> Result<OwnedFd> {
    if found.facts.kind == Kind::File {
        return Ok(found.fd);
    }
    let (path, kind) = (path.display(), found.facts.kind.text());
    Err(Error::Conflict(format!("`{path}` is a {kind}, not a file")))
}

/// Opens a directory; its names as they are now.
pub(super) fn directory(tree: &Tree, path: &Path) -> Result<(OwnedFd, VecDeque<String>)> {
    let found = tree
        .follow(path, OFlags::DIRECTORY)?
        .ok_or_else(|| Error::not_found("directory", path.display().to_string()))?;
    let names = list(&found.fd, path)?;
    let all = [".", ".."].map(str::to_owned).into_iter().chain(names);
    Ok((found.fd, all.collect()))
}

/// The next names with what they stand for; none at the end.
pub(super) fn next_entries(tree: &Tree, fd: &OwnedFd, names: &mut VecDeque<String>) -> Vec<Entry> {
    let mut entries = Vec::new();
    while entries.len() < BATCH
        && let Some(name) = names.pop_front()
    {
        // What is gone meanwhile is not there.
        if let Ok(stat) = rustix::fs::statat(fd, &*name, AtFlags::SYMLINK_NOFOLLOW) {
            entries.push(Entry::new(name, attributes::of(&tree.owners, &stat)));
        }
    }
    entries
}
