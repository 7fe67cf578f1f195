//! When a file system is mounted: the kernel tells whoever polls `/proc/self/mountinfo`, proc(5).

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};

/// Waits for something to be mounted.
pub(super) struct Watch {
    table: File,
    target: PathBuf,
    before: usize,
}

impl Watch {
    /// Sees what is mounted from now on; `target` is a path without links.
    pub(super) fn new(target: &Path) -> io::Result<Self> {
        let mut table = File::open("/proc/self/mountinfo")?;
        Ok(Self {
            before: count(&mut table, target)?,
            target: target.to_owned(),
            table,
        })
    }

    /// Returns once something new is mounted there, and answers: sshfs mounts first, and then looks whether it can. Blocks.
    pub(super) fn wait(mut self) -> io::Result<()> {
        loop {
            if self.is_there()? && self.target.metadata().is_ok() && self.is_there()? {
                return Ok(());
            }
            poll(&mut [PollFd::new(&self.table, PollFlags::PRI)], None)?;
        }
    }

    fn is_there(&mut self) -> io::Result<bool> {
        Ok(count(&mut self.table, &self.target)? > self.before)
    }
}

/// How many file systems are mounted on `target`, one above the other.
fn count(table: &mut File, target: &Path) -> io::Result<usize> {
    let mut text = Vec::new();
    table.rewind()?;
    table.read_to_end(&mut text)?;
    let wanted = escaped(target);
    let lines = text.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(points.filter(|point| *point == wanted).count())
}

/// As the table writes it: in octal what would end a field.
fn escaped(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if b" \t\n\\".contains(&byte) {
            text.extend(format!("\\{byte:03o}").into_bytes());
        } else {
            text.push(byte);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_in_the_table() {
        let mut table = File::open("/proc/self/mountinfo").unwrap();
        assert!(count(&mut table, Path::new("/proc")).unwrap() >= 1);
        assert_eq!(count(&mut table, Path::new("/no such place")).unwrap(), 0);
        assert_eq!(escaped(Path::new("/a b\\c")), b"/a\\040b\\134c");
    }
}
