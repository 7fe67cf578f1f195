//! The default code table: which one or two instructions a byte stands for (RFC 3284, section 5.6).

/// Where bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The next byte of the data, again and again.
    Run,
    /// The next bytes of the data.
    Add,
    /// Bytes of the older file or of this window, at an address that is told in one of nine modes.
    Copy {
        /// 0 to 8.
        mode: u8,
    },
}

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) kind: Kind,
    /// Bytes; 0 if the number follows.
    pub(super) size: u8,
}

fn add(size: u8) -> Instruction {
    Instruction {
        kind: Kind::Add,
        size,
    }
}

fn copy(mode: u8, size: u8) -> Instruction {
    Instruction {
        kind: Kind::Copy { mode },
        size,
    }
}

/// What the byte says.
pub(super) fn decode(code: u8) -> (Instruction, Option<Instruction>) {
    let run = Instruction {
        kind: Kind::Run,
        size: 0,
    };
    match code {
        0 => (run, None),
        1..=18 => (add(code - 1), None),
        19..=162 => {
            let (mode, step) = ((code - 19) / 16, (code - 19) % 16);
            let size = if step == 0 { 0 } else { step + 3 };
            (copy(mode, size), None)
        }
        163..=234 => {
            let (mode, step) = ((code - 163) / 12, (code - 163) % 12);
            (add(step / 3 + 1), Some(copy(mode, step % 3 + 4)))
        }
        235..=246 => {
            let (mode, step) = ((code - 235) / 4 + 6, (code - 235) % 4);
            (add(step + 1), Some(copy(mode, 4)))
        }
        247..=255 => (copy(code - 247, 4), Some(add(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_standard() {
        // The first and the last of each line of the table there.
        for (code, expected) in [
            (1, (add(0), None)),
            (18, (add(17), None)),
            (19, (copy(0, 0), None)),
            (34, (copy(0, 18), None)),
            (147, (copy(8, 0), None)),
            (162, (copy(8, 18), None)),
            (163, (add(1), Some(copy(0, 4)))),
            (174, (add(4), Some(copy(0, 6)))),
            (223, (add(1), Some(copy(5, 4)))),
            (234, (add(4), Some(copy(5, 6)))),
            (235, (add(1), Some(copy(6, 4)))),
            (246, (add(4), Some(copy(8, 4)))),
            (247, (copy(0, 4), Some(add(1)))),
            (255, (copy(8, 4), Some(add(1)))),
        ] {
            assert_eq!(decode(code), expected, "{code}");
        }
        assert_eq!(decode(0).0.kind, Kind::Run);
    }
}
