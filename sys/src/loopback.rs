//! Loop devices: files that the kernel shows as block devices; see loop(4).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use crate::file::FileError;

/// Opcodes and flags of linux/loop.h.
const LOOP_CLR_FD: libc::Ioctl = 0x4c01;
const LOOP_SET_CAPACITY: libc::Ioctl = 0x4c07;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
const AUTOCLEAR: u32 = 4;
const DIRECT_IO: u32 = 16;
/// Another process may take a device between the question which is free and its use.
const ATTEMPTS: usize = 64;

/// `loop_info64` of linux/loop.h.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `loop_config` of linux/loop.h.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// An attached loop device. It goes by itself when nobody has it open or mounted any more.
#[derive(Debug)]
pub struct LoopDevice {
    file: File,
    path: PathBuf,
}

impl LoopDevice {
    /// Attaches a file to a free loop device.
    pub fn attach(backing: &Path) -> Result<Self, FileError> {
        let file = open(backing)?;
        for _ in 0..ATTEMPTS {
            let path = free_device()?;
            let device = open(&path)?;
            match configure(&device, &file) {
                Ok(()) => return Ok(Self { file: device, path }),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => {
                    return Err(FileError::new("attach to a loop device", backing, error));
                }
            }
        }
        let error = io::Error::from_raw_os_error(libc::EBUSY);
        Err(FileError::new(
            "find a free loop device for",
            backing,
            error,
        ))
    }

    /// The block device.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl LoopDevice {
    /// Detaches at once what was not mounted.
    pub fn detach(self) -> Result<(), FileError> {
        number_call(&self.file, LOOP_CLR_FD)
            .map(drop)
            .map_err(|error| FileError::new("detach", &self.path, error))
    }
}

/// Takes over the new size of the file behind a loop device.
pub fn update_size(device: &Path) -> Result<(), FileError> {
    number_call(&open(device)?, LOOP_SET_CAPACITY)
        .map(drop)
        .map_err(|error| FileError::new("grow", device, error))
}

fn open(path: &Path) -> Result<File, FileError> {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| FileError::new("open", path, error))
}

fn free_device() -> Result<PathBuf, FileError> {
    let control = Path::new("/dev/loop-control");
    let number = number_call(&open(control)?, LOOP_CTL_GET_FREE)
        .map_err(|error| FileError::new("ask for a free device", control, error))?;
    Ok(PathBuf::from(format!("/dev/loop{number}")))
}

/// An ioctl without an argument.
fn number_call(file: &File, opcode: libc::Ioctl) -> io::Result<i32> {
    // SAFETY: the opcodes of this module that come here take no argument, so the kernel touches no memory of ours.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), opcode, 0) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn configure(device: &File, backing: &File) -> io::Result<()> {
    let fd: RawFd = backing.as_raw_fd();
    let config = Config {
        // No file descriptor is negative: the cast keeps its value.
        fd: fd.unsigned_abs(),
        block_size: 0,
        info: Info {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            // Without direct I/O every block would be cached twice; the kernel leaves it where the file can't.
            flags: AUTOCLEAR | DIRECT_IO,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: `config` is a live loop_config in the kernel's layout (repr(C), same fields), which it only reads.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Info>(), 232);
        assert_eq!(size_of::<Config>(), 304);
    }
}
