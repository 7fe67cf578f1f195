//! Gzip on all cores: what is written is cut into blocks, each of which becomes a member of its own. A file of several
//! members is what they decompress to, one after the other (RFC 1952, 2.2).

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use libdeflater::{CompressionLvl, Compressor};

/// Bytes of a member before it is compressed: a member begins without knowledge of those before it, which costs nothing at
/// this size.
const BLOCK: usize = 1 << 20;
/// A file becomes a little smaller than by gzip(1) as it is called mostly, in a third of the time.
const LEVEL: u8 = 5;
/// Blocks for each thread that wait or are being compressed.
const BLOCKS_AHEAD: usize = 2;

/// A block, and where its member goes.
type Job = (Vec<u8>, SyncSender<io::Result<Vec<u8>>>);

/// Compresses what is written to it into `out`.
pub(crate) struct GzipEncoder<W> {
    out: W,
    block: Vec<u8>,
    /// The threads end with it.
    jobs: Sender<Job>,
    /// Members in their order.
    members: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    most: usize,
    any: bool,
}

impl<W: Write> GzipEncoder<W> {
    pub(crate) fn new(out: W, threads: usize, level: Option<u8>) -> io::Result<Self> {
        let level = level.unwrap_or(LEVEL);
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("rlxc-gzip".into())
                .spawn(move || compress_all(&queue, level))?;
        }
        Ok(Self {
            out,
            block: Vec::with_capacity(BLOCK),
            jobs,
            members: VecDeque::new(),
            most: threads * BLOCKS_AHEAD,
            any: false,
        })
    }

    fn submit(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let (sender, member) = sync_channel(1);
        self.jobs.send((block, sender)).map_err(gone)?;
        self.members.push_back(member);
        self.any = true;
        self.take(self.most)
    }

    /// Writes members until no more than `left` are on their way.
    fn take(&mut self, left: usize) -> io::Result<()> {
        while self.members.len() > left {
            let Some(member) = self.members.pop_front() else {
                break;
            };
            self.out.write_all(&member.recv().map_err(gone)??)?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        // Nothing at all is one empty member.
        if !self.block.is_empty() || !self.any {
            self.submit()?;
        }
        self.take(0)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for GzipEncoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK {
            self.submit()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.submit()?;
        }
        self.take(0)?;
        self.out.flush()
    }
}

fn gone<E>(_: E) -> io::Error {
    io::Error::other("a thread that compresses has ended")
}

/// The work of a thread. It ends with the encoder.
fn compress_all(queue: &Mutex<Receiver<Job>>, level: u8) {
    let level = CompressionLvl::new(level.into()).unwrap_or_default();
    let mut compressor = Compressor::new(level);
    loop {
        // What is held while waiting is the turn to wait.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((block, member)) = job else { return };
        // Whoever gave up does not want it any more.
        drop(member.send(compress(&mut compressor, &block)));
    }
}

fn compress(compressor: &mut Compressor, block: &[u8]) -> io::Result<Vec<u8>> {
    let mut member = vec![0; compressor.gzip_compress_bound(block.len())];
    let length = compressor
        .gzip_compress(block, &mut member)
        .map_err(io::Error::other)?;
    member.truncate(length);
    Ok(member)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Bytes that don't repeat within a block, so that a member in a wrong place shows.
    fn sample(length: usize) -> Vec<u8> {
        let numbers = (0..length.div_ceil(4)).map(|number| u32::try_from(number).unwrap());
        let mut bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn others_read_what_was_written_whatever_the_length() {
        for length in [0, 1, BLOCK - 1, BLOCK, 9 * BLOCK + 7] {
            let plain = sample(length);
            let mut encoder = GzipEncoder::new(Vec::new(), 3, None).unwrap();
            for piece in plain.chunks(70_001) {
                encoder.write_all(piece).unwrap();
            }
            let packed = encoder.finish().unwrap();
            let mut read = Vec::new();
            flate2::read::MultiGzDecoder::new(&packed[..])
                .read_to_end(&mut read)
                .unwrap();
            assert!(read == plain, "of {length} bytes");
        }
    }

    #[test]
    fn memory_does_not_grow_with_what_is_written_and_an_error_ends_it() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self
                    .0
                    .checked_sub(bytes.len())
                    .ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut encoder = GzipEncoder::new(Full(100_000), 2, None).unwrap();
        let zeros = vec![0; BLOCK];
        let mut written = 0;
        let error = loop {
            match encoder.write_all(&zeros) {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
            assert!(encoder.members.len() <= 4);
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(written > 50, "it is full of {written} blocks already");
    }
}
