//! How new files are compressed, as `compression_algorithm` of LXD's API writes it: `zstd`, or `zstd -19`.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::compression::Compression;

/// A compression, and how hard it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithm {
    /// Which.
    pub compression: Compression,
    /// As its tool counts them, see gzip(1), xz(1), zstd(1); one that keeps up with a disk if `None`.
    pub level: Option<u8>,
}

impl From<Compression> for Algorithm {
    fn from(compression: Compression) -> Self {
        Self {
            compression,
            level: None,
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let (compression, levels) = match name {
            "none" => return alone(Compression::None, words.next()),
            "gzip" => (Compression::Gzip, 1..=9),
            "zstd" => (Compression::Zstd, 1..=19),
            "xz" => (Compression::Xz, 0..=9),
            other => {
                return Err(format!(
                    "nothing can be compressed with `{other}` here: there are none, gzip, zstd and xz"
                ));
            }
        };
        let level = words.next().map(|word| level(name, word, &levels));
        let algorithm = Self {
            compression,
            level: level.transpose()?,
        };
        words
            .next()
            .map_or(Ok(algorithm), |word| Err(too_much(word)))
    }
}

fn alone(compression: Compression, word: Option<&str>) -> Result<Algorithm, String> {
    word.map_or(Ok(compression.into()), |word| Err(too_much(word)))
}

fn level(name: &str, word: &str, levels: &RangeInclusive<u8>) -> Result<u8, String> {
    let number = word
        .strip_prefix('-')
        .and_then(|digits| digits.parse().ok());
    let level = number.filter(|level| levels.contains(level));
    level.ok_or_else(|| {
        format!(
            "`{word}` is no level of {name}: there are -{} to -{}",
            levels.start(),
            levels.end()
        )
    })
}

fn too_much(word: &str) -> String {
    format!("`{word}` means nothing here: a level may follow a compression, as in `zstd -19`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_may_follow_and_nothing_else() {
        let parse = |text: &str| text.parse::<Algorithm>();
        let known = [
            ("none", Compression::None, None),
            ("gzip -9", Compression::Gzip, Some(9)),
            (" zstd  -19 ", Compression::Zstd, Some(19)),
            ("xz -0", Compression::Xz, Some(0)),
            ("xz", Compression::Xz, None),
        ];
        for (text, compression, level) in known {
            assert_eq!(parse(text), Ok(Algorithm { compression, level }), "{text}");
        }
        for (text, named) in [
            ("", "``"),
            ("rar", "`rar`"),
            ("bzip2", "`bzip2`"),
            ("none -1", "`-1`"),
            ("zstd -22", "`-22` is no level of zstd: there are -1 to -19"),
            ("gzip 9", "`9`"),
            ("gzip -0", "`-0`"),
            ("zstd -T0", "`-T0`"),
            ("zstd -3 -T0", "`-T0`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
