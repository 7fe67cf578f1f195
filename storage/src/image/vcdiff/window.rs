//! One window: the next part of the new file, made of a segment of the older one, new bytes and what is in it already.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::DeltaError;
use super::address::AddressCache;
use super::instruction::{Instruction, Kind, decode};
use super::reader::Reader;
use super::section::Expander;

/// The most that xdelta3 puts into one (`XD3_HARDMAXWINSIZE`); it is made in memory.
const LONGEST: usize = 16 << 20;
/// No instruction, with its address, takes more bytes than it makes by this factor; a stream of xz has a head.
const OVERHEAD: (usize, usize) = (4, 1024);

/// Bits of a window's first byte: it stands on the older file, on earlier windows; a checksum follows (xdelta3's own).
const ON_BASE: u8 = 1;
const ON_TARGET: u8 = 1 << 1;
const HAS_CHECKSUM: u8 = 1 << 2;
const CHECKSUM_BYTES: u64 = 4;

/// What a window says of itself.
#[derive(Debug)]
pub(super) struct Window {
    segment: Segment,
    /// Bytes that it makes.
    pub(super) target_length: usize,
    /// Which sections are compressed: a bit each.
    compressed: u8,
    lengths: [usize; 3],
}

/// The part of the older file that a window copies from; it is in the file.
#[derive(Debug, Default)]
struct Segment {
    length: u64,
    position: u64,
}

/// Data, instructions and addresses.
pub(super) type Sections = [Vec<u8>; 3];

impl Window {
    /// Reads the next one up to its sections; `None` at the end of the delta.
    pub(super) fn read(
        delta: &mut Reader<impl Read>,
        base_length: u64,
    ) -> Result<Option<Self>, DeltaError> {
        let Some(indicator) = delta.next()? else {
            return Ok(None);
        };
        if indicator & ON_TARGET != 0 {
            return Err(DeltaError::Unknown("windows that stand on earlier ones"));
        }
        let segment = if indicator & ON_BASE == 0 {
            Segment::default()
        } else {
            Segment::read(delta, base_length)?
        };
        // The length of all that follows says nothing more.
        delta.integer()?;
        let target_length = delta.length(LONGEST)?;
        let compressed = delta.byte()?;
        let most = longest_section(target_length);
        let lengths = [
            delta.length(most)?,
            delta.length(most)?,
            delta.length(most)?,
        ];
        if indicator & HAS_CHECKSUM != 0 {
            delta.skip(CHECKSUM_BYTES)?;
        }
        Ok(Some(Self {
            segment,
            target_length,
            compressed,
            lengths,
        }))
    }

    /// Reads its sections.
    pub(super) fn read_sections(
        &self,
        delta: &mut Reader<impl Read>,
        mut expander: Option<&mut Expander>,
    ) -> Result<Sections, DeltaError> {
        let mut sections = Sections::default();
        for (kind, section) in sections.iter_mut().enumerate() {
            *section = delta.bytes(self.lengths[kind])?;
            if self.compressed & 1 << kind == 0 {
                continue;
            }
            let Some(expander) = &mut expander else {
                return Err(DeltaError::Damaged("it does not say how it is compressed"));
            };
            *section = expander.expand(kind, section, longest_section(self.target_length))?;
        }
        Ok(sections)
    }

    /// Makes its bytes, in place of what is in `made`.
    pub(super) fn fill(
        &self,
        base: &File,
        [data, instructions, addresses]: &Sections,
        made: &mut Vec<u8>,
    ) -> Result<(), DeltaError> {
        made.clear();
        made.reserve(self.target_length);
        let mut filling = Filling {
            window: self,
            base,
            data: Reader::new(data),
            sizes: Reader::new(instructions),
            addresses: Reader::new(addresses),
            cache: AddressCache::new(),
            made,
        };
        while let Some(code) = filling.sizes.next()? {
            let (first, second) = decode(code);
            filling.follow(first)?;
            if let Some(second) = second {
                filling.follow(second)?;
            }
        }
        if made.len() < self.target_length {
            return Err(DeltaError::Damaged("a window is shorter than it says"));
        }
        Ok(())
    }
}

fn longest_section(target_length: usize) -> usize {
    OVERHEAD.0 * target_length + OVERHEAD.1
}

impl Segment {
    fn read(delta: &mut Reader<impl Read>, base_length: u64) -> Result<Self, DeltaError> {
        let (length, position) = (delta.integer()?, delta.integer()?);
        match position.checked_add(length) {
            Some(end) if end <= base_length => Ok(Self { length, position }),
            _ => Err(DeltaError::Damaged("it stands on a longer file")),
        }
    }
}

/// A window under way.
struct Filling<'a> {
    window: &'a Window,
    base: &'a File,
    data: Reader<&'a [u8]>,
    /// Instructions, and sizes between them.
    sizes: Reader<&'a [u8]>,
    addresses: Reader<&'a [u8]>,
    cache: AddressCache,
    made: &'a mut Vec<u8>,
}

impl Filling<'_> {
    fn follow(&mut self, Instruction { kind, size }: Instruction) -> Result<(), DeltaError> {
        let room = self.window.target_length - self.made.len();
        let size = match size {
            0 => self.sizes.length(room)?,
            size if usize::from(size) > room => {
                return Err(DeltaError::Damaged("a window is longer than it says"));
            }
            size => usize::from(size),
        };
        let start = self.made.len();
        match kind {
            Kind::Run => {
                let byte = self.data.byte()?;
                self.made.resize(start + size, byte);
                Ok(())
            }
            Kind::Add => {
                self.made.resize(start + size, 0);
                self.data.fill(&mut self.made[start..])
            }
            Kind::Copy { mode } => self.copy(mode, size),
        }
    }

    /// The addresses of the segment come before those of the window itself. A copy may go on in what it makes.
    fn copy(&mut self, mode: u8, size: usize) -> Result<(), DeltaError> {
        let (segment, start) = (&self.window.segment, self.made.len());
        let here = segment.length + start as u64;
        let address = self.cache.read(&mut self.addresses, mode, here)?;
        let of_base = segment.length.saturating_sub(address);
        let of_base = usize::try_from(of_base).map_or(size, |count| count.min(size));
        if of_base > 0 {
            self.made.resize(start + of_base, 0);
            self.base
                .read_exact_at(&mut self.made[start..], segment.position + address)
                .map_err(DeltaError::Base)?;
        }
        let from = address.saturating_sub(segment.length);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let mut left = size - of_base;
        while left > 0 {
            let count = left.min(self.made.len() - from);
            self.made.extend_from_within(from..from + count);
            left -= count;
        }
        Ok(())
    }
}
