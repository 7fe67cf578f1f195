//! Reads a stream of btrfs-send(8), version 1: commands that make a subvolume what another is. Knows nothing of where they
//! are carried out. Format: fs/btrfs/send.h of Linux and btrfs-stream(5).

use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::Cause;

const MAGIC: &[u8; 13] = b"btrfs-stream\0";
const VERSION: u32 = 1;
/// `BTRFS_SEND_BUF_SIZE` of version 1 is half of this.
const COMMAND_LIMIT: usize = 128 << 10;
/// Length, number and checksum of a command.
const HEADER: usize = 10;

/// A point in time, in seconds and nanoseconds.
pub(super) type Time = (i64, u32);

/// What is to be done. Paths are relative to the subvolume, and not to be trusted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Begin with an empty subvolume.
    Subvolume { uuid: Vec<u8> },
    /// Begin with a copy of the one before.
    Snapshot { uuid: Vec<u8> },
    /// Make an empty file.
    File(PathBuf),
    /// Make a directory.
    Directory(PathBuf),
    /// Make a device node.
    Node {
        path: PathBuf,
        mode: u64,
        device: u64,
    },
    /// Make a fifo.
    Fifo(PathBuf),
    /// Make a socket.
    Socket(PathBuf),
    /// Make a symbolic link.
    Symlink { path: PathBuf, target: PathBuf },
    /// Give another name, and take the old one.
    Rename { from: PathBuf, to: PathBuf },
    /// Give one more name.
    Link { path: PathBuf, existing: PathBuf },
    /// Remove a name of a file.
    Unlink(PathBuf),
    /// Remove an empty directory.
    RemoveDirectory(PathBuf),
    /// Set an extended attribute.
    SetXattr {
        path: PathBuf,
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// Remove one.
    RemoveXattr { path: PathBuf, name: Vec<u8> },
    /// Write.
    Write {
        path: PathBuf,
        offset: u64,
        data: Vec<u8>,
    },
    /// Share what a file of this subvolume, or of the one before, has.
    Clone {
        path: PathBuf,
        offset: u64,
        length: u64,
        uuid: Vec<u8>,
        from: PathBuf,
        from_offset: u64,
    },
    /// Set the length of a file.
    Truncate { path: PathBuf, size: u64 },
    /// Set permissions.
    Mode { path: PathBuf, mode: u64 },
    /// Set owners.
    Owner { path: PathBuf, uid: u64, gid: u64 },
    /// Set the times of access and of change.
    Times {
        path: PathBuf,
        accessed: Time,
        modified: Time,
    },
    /// Nothing more comes.
    End,
    /// Tells something that is nothing to do.
    Nothing,
}

/// Something in a stream that should not be.
pub(super) fn malformed(problem: impl Into<String>) -> Cause {
    Cause::Stream {
        problem: problem.into(),
    }
}

/// A stream whose header was read.
pub(super) struct Stream<'a> {
    from: &'a mut dyn Read,
    buffer: Vec<u8>,
}

impl<'a> Stream<'a> {
    pub(super) fn open(from: &'a mut dyn Read) -> Result<Self, Cause> {
        let mut header = [0; MAGIC.len() + 4];
        read(from, &mut header)?;
        let (magic, version) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(malformed("it is none"));
        }
        let version = number(version)?;
        if version != u64::from(VERSION) {
            return Err(malformed(format!("version {version} is not known here")));
        }
        let buffer = Vec::new();
        Ok(Self { from, buffer })
    }

    /// The next command.
    pub(super) fn next(&mut self) -> Result<Command, Cause> {
        let mut header = [0; HEADER];
        read(self.from, &mut header)?;
        let length = usize::try_from(number(&header[..4])?).unwrap_or(usize::MAX);
        if length > COMMAND_LIMIT {
            return Err(malformed(format!("a command of {length} bytes")));
        }
        let (code, wanted) = (number(&header[4..6])?, number(&header[6..])?);
        self.buffer.resize(length, 0);
        read(self.from, &mut self.buffer)?;
        header[6..].fill(0);
        let sum = checksum(checksum(0, &header), &self.buffer);
        if u64::from(sum) != wanted {
            return Err(malformed("a checksum does not fit: it is damaged"));
        }
        Fields::parse(&self.buffer)?.command(code)
    }
}

fn read(from: &mut dyn Read, buffer: &mut [u8]) -> Result<(), Cause> {
    from.read_exact(buffer).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            malformed("it is truncated")
        } else {
            Cause::ReadStream(error)
        }
    })
}

fn number(bytes: &[u8]) -> Result<u64, Cause> {
    let mut whole = [0; 8];
    let room = whole.get_mut(..bytes.len());
    room.ok_or_else(|| malformed("a number is too long"))?
        .copy_from_slice(bytes);
    Ok(u64::from_le_bytes(whole))
}

/// CRC-32C without the inversions, as the kernel's `crc32c` has it.
fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let (mut byte, mut index): (usize, u32) = (0, 0);
        while byte < 256 {
            let mut value = index;
            let mut bit = 0;
            while bit < 8 {
                let odd = value & 1 == 1;
                value >>= 1;
                if odd {
                    value ^= 0x82f6_3b78;
                }
                bit += 1;
            }
            table[byte] = value;
            byte += 1;
            index += 1;
        }
        table
    };
    bytes.iter().fold(seed, |sum, byte| {
        let index = (sum ^ u32::from(*byte)) & 0xff;
        (sum >> 8) ^ TABLE[index as usize]
    })
}

/// The attributes of a command, by their numbers (`BTRFS_SEND_A_…`).
struct Fields<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Fields<'a> {
    fn parse(mut rest: &'a [u8]) -> Result<Self, Cause> {
        let mut fields = Vec::new();
        while let Some((head, tail)) = rest.split_at_checked(4) {
            let length = usize::try_from(number(&head[2..])?).unwrap_or(usize::MAX);
            let (value, tail) = tail
                .split_at_checked(length)
                .ok_or_else(|| malformed("an attribute is longer than its command"))?;
            fields.push((number(&head[..2])?, value));
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(Self(fields));
        }
        Err(malformed("a command has a rest"))
    }

    fn bytes(&self, wanted: u64) -> Result<&'a [u8], Cause> {
        let found = self.0.iter().find(|(field, _)| *field == wanted);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| malformed(format!("attribute {wanted} is missing")))
    }

    fn owned(&self, wanted: u64) -> Result<Vec<u8>, Cause> {
        Ok(self.bytes(wanted)?.to_vec())
    }

    fn number(&self, wanted: u64) -> Result<u64, Cause> {
        number(self.bytes(wanted)?)
    }

    fn path(&self, wanted: u64) -> Result<PathBuf, Cause> {
        Ok(std::ffi::OsString::from_vec(self.owned(wanted)?).into())
    }

    fn time(&self, wanted: u64) -> Result<Time, Cause> {
        let short = || malformed("a time is too short");
        let (seconds, nanoseconds) = self.bytes(wanted)?.split_at_checked(8).ok_or_else(short)?;
        let nanoseconds = u32::try_from(number(nanoseconds)?).unwrap_or(u32::MAX);
        if nanoseconds >= 1_000_000_000 {
            return Err(malformed("a time makes no sense"));
        }
        Ok((number(seconds)?.cast_signed(), nanoseconds))
    }

    /// What `BTRFS_SEND_C_…` of this number is.
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn command(&self, code: u64) -> Result<Command, Cause> {
        const PATH: u64 = 15;
        let path = || self.path(PATH);
        Ok(match code {
            1 => Command::Subvolume {
                uuid: self.owned(1)?,
            },
            2 => Command::Snapshot {
                uuid: self.owned(1)?,
            },
            3 => Command::File(path()?),
            4 => Command::Directory(path()?),
            5 => Command::Node {
                path: path()?,
                mode: self.number(5)?,
                device: self.number(8)?,
            },
            6 => Command::Fifo(path()?),
            7 => Command::Socket(path()?),
            8 => Command::Symlink {
                path: path()?,
                target: self.path(17)?,
            },
            9 => Command::Rename {
                from: path()?,
                to: self.path(16)?,
            },
            10 => Command::Link {
                path: path()?,
                existing: self.path(17)?,
            },
            11 => Command::Unlink(path()?),
            12 => Command::RemoveDirectory(path()?),
            13 => Command::SetXattr {
                path: path()?,
                name: self.owned(13)?,
                value: self.owned(14)?,
            },
            14 => Command::RemoveXattr {
                path: path()?,
                name: self.owned(13)?,
            },
            15 => Command::Write {
                path: path()?,
                offset: self.number(18)?,
                data: self.owned(19)?,
            },
            16 => Command::Clone {
                path: path()?,
                offset: self.number(18)?,
                length: self.number(24)?,
                uuid: self.owned(20)?,
                from: self.path(22)?,
                from_offset: self.number(23)?,
            },
            17 => Command::Truncate {
                path: path()?,
                size: self.number(4)?,
            },
            18 => Command::Mode {
                path: path()?,
                mode: self.number(5)?,
            },
            19 => Command::Owner {
                path: path()?,
                uid: self.number(6)?,
                gid: self.number(7)?,
            },
            20 => Command::Times {
                path: path()?,
                accessed: self.time(11)?,
                modified: self.time(10)?,
            },
            21 => Command::End,
            22 => Command::Nothing,
            other => return Err(malformed(format!("command {other} is not known here"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command as the kernel writes it.
    fn command(code: u16, fields: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (field, value) in fields {
            body.extend(field.to_le_bytes());
            body.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
            body.extend(*value);
        }
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        let mut bytes = [&length[..], &code.to_le_bytes(), &[0; 4], &body].concat();
        let sum = checksum(0, &bytes);
        bytes[6..10].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn stream(commands: &[Vec<u8>]) -> Vec<u8> {
        [&MAGIC[..], &VERSION.to_le_bytes(), &commands.concat()].concat()
    }

    fn all(bytes: &[u8]) -> Result<Vec<Command>, Cause> {
        let mut from = bytes;
        let mut stream = Stream::open(&mut from)?;
        let mut found = Vec::new();
        while found.last() != Some(&Command::End) {
            found.push(stream.next()?);
        }
        Ok(found)
    }

    #[test]
    fn checksums_are_those_of_the_kernel() {
        // The check value of CRC-32C, which inverts before and after.
        assert_eq!(!checksum(!0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn commands_are_read() {
        let bytes = stream(&[
            command(1, &[(15, b"x"), (1, &[7; 16]), (2, &[0; 8])]),
            command(15, &[(15, b"f"), (18, &8_u64.to_le_bytes()), (19, b"data")]),
            command(21, &[]),
        ]);
        let expected = [
            Command::Subvolume { uuid: vec![7; 16] },
            Command::Write {
                path: "f".into(),
                offset: 8,
                data: b"data".to_vec(),
            },
            Command::End,
        ];
        assert_eq!(all(&bytes).unwrap(), expected);
    }

    #[test]
    fn what_is_no_stream_or_a_damaged_one_is_refused() {
        let whole = stream(&[command(3, &[(15, b"file")]), command(21, &[])]);
        let mut damaged = whole.clone();
        *damaged.get_mut(whole.len() - 12).unwrap() ^= 1;
        let cases = [
            (b"no stream at all, but long".to_vec(), "it is none"),
            (whole[..whole.len() - 1].to_vec(), "truncated"),
            (damaged, "checksum"),
            (stream(&[command(99, &[])]), "command 99"),
            (stream(&[command(3, &[])]), "attribute 15"),
            (stream(&[vec![0xff; 10]]), "bytes"),
        ];
        for (bytes, words) in cases {
            let error = all(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
