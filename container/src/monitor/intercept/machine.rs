//! sysinfo(2): uptime, load, memory and processes of the container, as its files of `/proc` show them.

use rlxc_sys::seccomp::Answer;
use rustix::io::Errno;

use super::caller::Caller;
use crate::view::{Figures, Machine};

/// Fills the caller's structure.
pub(super) fn tell(caller: &Caller<'_>, address: u64, figures: &Figures) -> Result<Answer, Errno> {
    let machine = figures.machine();
    caller.still_waits()?;
    caller.write(address, &render(&machine))?;
    Ok(Answer::Done(0))
}

/// `struct sysinfo` of a kernel of 64 bits, both of whose machines that we know are little-endian.
fn render(machine: &Machine) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(112);
    let words = [machine.uptime].into_iter().chain(machine.loads).chain([
        machine.total,
        machine.free,
        machine.shared,
        machine.buffers,
        machine.swap_total,
        machine.swap_free,
    ]);
    for word in words {
        bytes.extend(word.to_le_bytes());
    }
    let processes = u16::try_from(machine.processes).unwrap_or(u16::MAX);
    bytes.extend(processes.to_le_bytes());
    bytes.extend([0; 6]);
    // No memory above the rest, and no free one there.
    bytes.extend([0; 16]);
    // Sizes are in bytes.
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([0; 4]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_is_the_kernels() {
        let machine = Machine {
            uptime: 1,
            loads: [2, 3, 4],
            total: 5,
            free: 6,
            shared: 7,
            buffers: 8,
            swap_total: 9,
            swap_free: 10,
            processes: 100_000,
        };
        let bytes = render(&machine);
        // sizeof(struct sysinfo)
        assert_eq!(bytes.len(), 112);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!([word(0), word(24), word(32), word(72)], [1, 4, 5, 10]);
        assert_eq!(bytes[80..84], [0xff, 0xff, 0, 0]);
        assert_eq!(bytes[104..108], [1, 0, 0, 0]);
    }
}
