//! Where copies come from: addresses are told by their distance to recent ones (RFC 3284, section 5.3).

use super::DeltaError;
use super::reader::Reader;

const NEAR: usize = 4;
const SAME: usize = 3 * 256;

/// The addresses of the copies of one window so far.
#[derive(Debug)]
pub(super) struct AddressCache {
    near: [u64; NEAR],
    next: usize,
    same: [u64; SAME],
}

impl AddressCache {
    pub(super) fn new() -> Self {
        Self {
            near: [0; NEAR],
            next: 0,
            same: [0; SAME],
        }
    }

    /// The next address, which is below `here`, the address of the byte that is to be made.
    pub(super) fn read(
        &mut self,
        addresses: &mut Reader<&[u8]>,
        mode: u8,
        here: u64,
    ) -> Result<u64, DeltaError> {
        let address = match mode {
            0 => Some(addresses.integer()?),
            1 => here.checked_sub(addresses.integer()?),
            2..=5 => self.near[usize::from(mode) - 2].checked_add(addresses.integer()?),
            _ => {
                let block = 256 * (usize::from(mode) - 6);
                let known = self.same.get(block + usize::from(addresses.byte()?));
                known.copied()
            }
        };
        let address = address.filter(|address| *address < here);
        let address = address.ok_or(DeltaError::Damaged("it copies what is not there"))?;
        self.near[self.next] = address;
        self.next = (self.next + 1) % NEAR;
        if let Ok(slot) = usize::try_from(address % SAME as u64) {
            self.same[slot] = address;
        }
        Ok(address)
    }
}
