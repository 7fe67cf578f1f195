//! Bytes and numbers of a delta, or of a section of it, one after the other.

use std::io::{self, Read};

use super::DeltaError;

/// What has not been read yet.
#[derive(Debug)]
pub(super) struct Reader<R>(R);

impl<R: Read> Reader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self(inner)
    }

    /// The next byte; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<u8>, DeltaError> {
        let mut byte = [0];
        match self.0.read_exact(&mut byte) {
            Ok(()) => Ok(Some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(DeltaError::Read(error)),
        }
    }

    /// A byte that must be there.
    pub(super) fn byte(&mut self) -> Result<u8, DeltaError> {
        self.next()?.ok_or(DeltaError::Damaged("it ends too early"))
    }

    /// Seven bits a byte, the highest first; all bytes but the last have the eighth bit (RFC 3284, section 2).
    pub(super) fn integer(&mut self) -> Result<u64, DeltaError> {
        let mut value = 0u64;
        loop {
            let byte = self.byte()?;
            if value > u64::MAX >> 7 {
                return Err(DeltaError::Damaged("a number is too big"));
            }
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }

    /// A number that counts bytes in memory.
    pub(super) fn length(&mut self, most: usize) -> Result<usize, DeltaError> {
        let length = usize::try_from(self.integer()?).unwrap_or(usize::MAX);
        if length > most {
            return Err(DeltaError::Damaged("a part of it is too long"));
        }
        Ok(length)
    }

    /// So many bytes; the caller has bounded the number.
    pub(super) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, DeltaError> {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// As many bytes as there is room for.
    pub(super) fn fill(&mut self, room: &mut [u8]) -> Result<(), DeltaError> {
        self.0.read_exact(room).map_err(DeltaError::Read)
    }

    pub(super) fn skip(&mut self, count: u64) -> Result<(), DeltaError> {
        io::copy(&mut (&mut self.0).take(count), &mut io::sink()).map_err(DeltaError::Read)?;
        Ok(())
    }

    /// What is left.
    pub(super) fn into_inner(self) -> R {
        self.0
    }
}
