//! Deltas in the format VCDIFF (RFC 3284) as `xdelta3` writes them: a file is rebuilt from an older one and what differs.
//!
//! Image servers have them beside squashfs files. A delta is a header and windows, each of which makes the next part of
//! the file: instructions say which bytes are new, and which are copied from the older file or from what the window has made.
//!
//! Nothing in a delta is believed: memory is bounded by the size of a window, the result by what the caller expects, and the
//! work by both. Whether the result is right is for the caller to find out, who knows its hash; the checksums of
//! windows are skipped. Not read are windows that stand on earlier ones and code tables of a delta's own, which xdelta3
//! never writes, and the compressions DJW and FGK, which it uses only where it is told to.

mod address;
mod instruction;
mod reader;
mod section;
mod window;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use rlxc_sys::interrupt;

use reader::Reader;
use section::Expander;
use window::Window;

const MAGIC: [u8; 4] = [0xd6, 0xc3, 0xc4, 0];
const BUFFER: usize = 1 << 16;

/// Bits of the header: there is a compressor of sections, a code table, and (xdelta3's own) names of files.
const HAS_COMPRESSOR: u8 = 1;
const HAS_CODE_TABLE: u8 = 1 << 1;
const HAS_NAMES: u8 = 1 << 2;
/// xdelta3's number of liblzma.
const LZMA: u8 = 2;

/// Why a file can't be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// It is no delta, or one that makes no sense.
    #[error("the delta is damaged: {0}")]
    Damaged(&'static str),
    /// It is sound, as far as anyone can tell.
    #[error("the delta has {0}, which is not read here")]
    Unknown(&'static str),
    /// It makes more than it should.
    #[error("the delta makes more than {size} bytes")]
    TooBig {
        /// How many it should.
        size: u64,
    },
    /// It can't be read to its end, or somebody broke the work off.
    #[error("read the delta")]
    Read(#[source] io::Error),
    /// The older file can't be read.
    #[error("read the file that the delta stands on")]
    Base(#[source] io::Error),
    /// The new file can't be written.
    #[error("write the file that the delta makes")]
    Write(#[source] io::Error),
}

/// Writes to `out` what `delta` makes of `base`: `size` bytes, or it fails. Ends early where the thread's work is to end.
pub fn apply_delta(
    base: &File,
    delta: impl Read,
    out: &mut impl Write,
    size: u64,
) -> Result<(), DeltaError> {
    let mut delta = Reader::new(BufReader::with_capacity(BUFFER, delta));
    let mut expander = read_header(&mut delta)?;
    let base_length = base.metadata().map_err(DeltaError::Base)?.len();
    let (mut left, mut made) = (size, Vec::new());
    while let Some(window) = Window::read(&mut delta, base_length)? {
        interrupt::check().map_err(DeltaError::Read)?;
        left = left
            .checked_sub(window.target_length as u64)
            .ok_or(DeltaError::TooBig { size })?;
        let sections = window.read_sections(&mut delta, expander.as_mut())?;
        window.fill(base, &sections, &mut made)?;
        out.write_all(&made).map_err(DeltaError::Write)?;
    }
    if left > 0 {
        return Err(DeltaError::Damaged("it ends before the file does"));
    }
    Ok(())
}

/// What expands compressed sections, if there may be any.
fn read_header(delta: &mut Reader<impl Read>) -> Result<Option<Expander>, DeltaError> {
    if delta.bytes(MAGIC.len())? != MAGIC {
        return Err(DeltaError::Damaged("it does not begin like one"));
    }
    let indicator = delta.byte()?;
    let mut expander = None;
    if indicator & HAS_COMPRESSOR != 0 {
        if delta.byte()? != LZMA {
            return Err(DeltaError::Unknown(
                "sections that are compressed otherwise than by LZMA",
            ));
        }
        expander = Some(Expander::new()?);
    }
    if indicator & HAS_CODE_TABLE != 0 {
        return Err(DeltaError::Unknown("a code table of its own"));
    }
    if indicator & HAS_NAMES != 0 {
        let length = delta.integer()?;
        delta.skip(length)?;
    }
    Ok(expander)
}

#[cfg(test)]
mod tests;
