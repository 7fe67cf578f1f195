//! Sparse files in archives: which parts have data. The formats are those of GNU tar, see
//! <https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html>.

/// More pieces than this are an attack on memory.
pub(crate) const PIECES_LIMIT: usize = 1 << 20;

/// Where the data of a sparse file belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SparseMap {
    /// Bytes, holes included.
    pub(crate) size: u64,
    /// Offset and length of each piece of data.
    pub(crate) pieces: Vec<(u64, u64)>,
}

impl SparseMap {
    pub(crate) fn new(size: u64) -> Self {
        Self {
            size,
            pieces: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, offset: u64, length: u64) {
        self.pieces.push((offset, length));
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The map, if its pieces follow each other within the file and add up to the data that is there.
    pub(crate) fn checked(self, data: u64) -> Result<Self, &'static str> {
        let mut end = 0u64;
        let mut sum = 0u64;
        for (offset, length) in &self.pieces {
            let next = offset.checked_add(*length);
            let next = next.filter(|next| *offset >= end && *next <= self.size);
            end = next.ok_or("a sparse file whose pieces overlap or lie outside")?;
            sum += length;
        }
        if sum != data || self.size > i64::MAX as u64 {
            return Err("a sparse file whose pieces are not its data");
        }
        Ok(self)
    }
}

/// The `GNU.sparse.*` records of pax.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    pub(crate) major: Option<u64>,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pieces: Option<Vec<(u64, u64)>>,
    old: bool,
}

impl Records {
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let number = || {
            let text = std::str::from_utf8(value).ok();
            let number = text.and_then(|text| text.parse::<u64>().ok());
            number.ok_or("a sparse file with a wrong number")
        };
        match key {
            b"major" => self.major = Some(number()?),
            b"name" => self.name = Some(value.to_owned()),
            b"size" | b"realsize" => self.size = Some(number()?),
            b"map" => self.pieces = Some(parse_map(value).ok_or("a sparse file with a wrong map")?),
            b"offset" | b"numbytes" => self.old = true,
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn is_unsupported(&self) -> bool {
        self.old && self.pieces.is_none()
    }

    /// Pax format 0.1: the map is a record.
    pub(crate) fn map(self) -> Option<SparseMap> {
        let (size, pieces) = (self.size?, self.pieces?);
        Some(SparseMap { size, pieces })
    }
}

fn parse_map(value: &[u8]) -> Option<Vec<(u64, u64)>> {
    let text = std::str::from_utf8(value).ok()?;
    if text.is_empty() {
        return Some(Vec::new());
    }
    let numbers: Option<Vec<u64>> = text.split(',').map(|number| number.parse().ok()).collect();
    let numbers = numbers?;
    let pairs = numbers.chunks_exact(2);
    pairs
        .remainder()
        .is_empty()
        .then(|| pairs.map(|pair| (pair[0], pair[1])).collect())
}

/// Pax format 1.0: how many pieces, then offset and length of each, a line for each number. `None` if `text`
/// ends before the map does.
pub(crate) fn parse_lines(
    text: &[u8],
    size: Option<u64>,
) -> Option<Result<SparseMap, &'static str>> {
    let wrong = || Some(Err("a sparse file with a wrong map"));
    let newlines = text.split(|byte| *byte == b'\n').count() - 1;
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut number = || {
        let line = std::str::from_utf8(lines.next()?).ok()?;
        line.parse::<u64>().ok()
    };
    if newlines == 0 {
        return None;
    }
    let count = number().and_then(|count| usize::try_from(count).ok());
    let (Some(count), Some(size)) = (count, size) else {
        return wrong();
    };
    if count > PIECES_LIMIT {
        return wrong();
    }
    if newlines < 1 + 2 * count {
        return None;
    }
    let mut map = SparseMap::new(size);
    for _ in 0..count {
        match (number(), number()) {
            (Some(offset), Some(length)) => map.push(offset, length),
            _ => return wrong(),
        }
    }
    Some(Ok(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_maps_that_overlap_leave_the_file_or_lack_data() {
        let map = |pieces: &[(u64, u64)]| SparseMap {
            size: 100,
            pieces: pieces.to_vec(),
        };
        assert!(map(&[(0, 10), (50, 10), (100, 0)]).checked(20).is_ok());
        assert!(map(&[(0, 10), (5, 10)]).checked(20).is_err());
        assert!(map(&[(95, 10)]).checked(10).is_err());
        assert!(map(&[(u64::MAX, 10)]).checked(10).is_err());
        assert!(map(&[(0, 10)]).checked(11).is_err());
    }

    #[test]
    fn reads_a_map_of_lines_when_all_of_it_is_there() {
        assert!(parse_lines(b"2\n0\n5\n10", Some(20)).is_none());
        let map = parse_lines(b"2\n0\n5\n10\n1\n\0\0", Some(20))
            .unwrap()
            .unwrap();
        assert_eq!(map.pieces, [(0, 5), (10, 1)]);
        assert!(parse_lines(b"x\n", Some(20)).unwrap().is_err());
    }
}
