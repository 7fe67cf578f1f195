//! Sections of windows that xdelta3 has compressed. Each of the three kinds is one stream of xz through the whole delta, flushed at
//! the end of each window; before each part stands how long it becomes.

use liblzma::stream::{Action, Stream};

use super::DeltaError;
use super::reader::Reader;

/// What a decoder may need: the dictionary of the strongest preset has 64 MiB.
const MEMORY: u64 = 80 << 20;

/// The streams of data, instructions and addresses.
pub(super) struct Expander([Stream; 3]);

impl Expander {
    pub(super) fn new() -> Result<Self, DeltaError> {
        let stream = || Stream::new_stream_decoder(MEMORY, 0).map_err(damaged);
        Ok(Self([stream()?, stream()?, stream()?]))
    }

    /// Expands the next part of a kind to `most` bytes at most.
    pub(super) fn expand(
        &mut self,
        kind: usize,
        stored: &[u8],
        most: usize,
    ) -> Result<Vec<u8>, DeltaError> {
        let mut stored = Reader::new(stored);
        let mut expanded = vec![0; stored.length(most)?];
        let (mut input, mut room) = (stored.into_inner(), expanded.as_mut_slice());
        let stream = &mut self.0[kind];
        while !room.is_empty() {
            let before = (stream.total_in(), stream.total_out());
            stream.process(input, room, Action::Run).map_err(damaged)?;
            let read = count(stream.total_in() - before.0);
            let made = count(stream.total_out() - before.1);
            if read == 0 && made == 0 {
                return Err(DeltaError::Damaged("a compressed section is too short"));
            }
            (input, room) = (&input[read..], &mut room[made..]);
        }
        if !input.is_empty() {
            return Err(DeltaError::Damaged("a compressed section is too long"));
        }
        Ok(expanded)
    }
}

/// Both are lengths of slices.
fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn damaged(error: liblzma::stream::Error) -> DeltaError {
    match error {
        liblzma::stream::Error::MemLimit => DeltaError::Unknown("a dictionary of more than 64 MiB"),
        _ => DeltaError::Damaged("a compressed section can't be expanded"),
    }
}
