//! Sizes in bytes, as configuration keys write them: `10GiB`, `5MB`, `512`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// Why a text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeError {
    /// It does not begin with a whole number.
    Number,
    /// What follows the number is no unit.
    Unit,
    /// It is more than 2⁶⁴ bytes.
    TooLarge,
}

/// Powers of 1024 first: `Display` takes the first that divides.
const UNITS: [(&str, u64); 12] = [
    ("EiB", 1 << 60),
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("EB", 1_000_000_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

impl ByteSize {
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Rounded for people, with two decimals: `1.50GiB`.
    pub fn human(self) -> String {
        let Some((unit, factor)) = UNITS[..6].iter().find(|(_, factor)| self.0 >= *factor) else {
            return format!("{}B", self.0);
        };
        let hundredths = u128::from(self.0) * 100 / u128::from(*factor);
        format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100)
    }
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(SizeError::Number);
        }
        let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
        let unit = unit.trim();
        let factor = match unit {
            "" | "B" | "bytes" => 1,
            unit => UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .map(|(_, factor)| *factor)
                .ok_or(SizeError::Unit)?,
        };
        number
            .checked_mul(factor)
            .map(Self)
            .ok_or(SizeError::TooLarge)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match unit {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = SizeError;

    fn try_from(text: String) -> Result<Self, SizeError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a size begins with a whole number, as in `10GiB`",
            Self::Unit => "the unit of a size is one of B, kB, MB, GB, TB, PB, EB, KiB, MiB, GiB, TiB, PiB, EiB",
            Self::TooLarge => "the size is too large",
        })
    }
}

impl std::error::Error for SizeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes: u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _read: Result<ByteSize, _> = text.parse();
        }

        #[test]
        fn units_multiply(number in 0u64..1000) {
            for (unit, factor) in UNITS.iter().filter(|(_, factor)| *factor < 1 << 50) {
                prop_assert_eq!(format!("{number}{unit}").parse(), Ok(ByteSize(number * factor)));
            }
        }
    }

    #[test]
    fn reads_what_people_write() {
        assert_eq!("512".parse(), Ok(ByteSize(512)));
        assert_eq!("10GiB".parse(), Ok(ByteSize(10 << 30)));
        assert_eq!("5MB".parse(), Ok(ByteSize(5_000_000)));
        assert_eq!("1 kB".parse(), Ok(ByteSize(1000)));
        assert_eq!("GiB".parse::<ByteSize>(), Err(SizeError::Number));
        assert_eq!("-1".parse::<ByteSize>(), Err(SizeError::Number));
        assert_eq!("5X".parse::<ByteSize>(), Err(SizeError::Unit));
        assert_eq!("16EiB".parse::<ByteSize>(), Err(SizeError::TooLarge));
    }

    #[test]
    fn rounds_for_people() {
        assert_eq!(ByteSize(1_610_612_736).human(), "1.50GiB");
        assert_eq!(ByteSize(17).human(), "17B");
    }
}
