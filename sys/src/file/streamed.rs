//! Files that are written from their beginning to their end and must be on disk then.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

/// Bytes that are sent on their way at once.
const STEP: u64 = 8 << 20;

/// A file whose bytes set out for the disk while more of them come, so that a sync at the end has little left to wait for.
#[derive(Debug)]
pub struct Streamed {
    file: File,
    written: u64,
    begun: u64,
}

impl Streamed {
    /// For a file that is empty.
    pub fn new(file: File) -> Self {
        Self {
            file,
            written: 0,
            begun: 0,
        }
    }

    /// The file, whose bytes are on their way still.
    pub fn into_inner(self) -> File {
        self.file
    }
}

impl Write for Streamed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        if self.written - self.begun >= STEP {
            begin_writeback(&self.file, self.begun, self.written - self.begun);
            self.begun = self.written;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Begins to write a part of a file to disk; see sync_file_range(2). An error of the disk is told by a later fsync as well,
/// a file system that can't do it loses nothing but time.
fn begin_writeback(file: &File, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else {
        return;
    };
    let flags = libc::SYNC_FILE_RANGE_WRITE;
    // SAFETY: it takes a descriptor, which `file` keeps open, and numbers.
    let _begun = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, flags) };
}
