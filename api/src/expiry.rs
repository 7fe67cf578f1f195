//! How long snapshots are kept: `2w`, `3d 12H`, as in `snapshots.expiry`.

use std::fmt;
use std::str::FromStr;

/// A span of time in the units that expiry is written in; all zero means for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expiry {
    /// `M`.
    pub minutes: u32,
    /// `H`.
    pub hours: u32,
    /// `d`.
    pub days: u32,
    /// `w`.
    pub weeks: u32,
    /// `m`.
    pub months: u32,
    /// `y`.
    pub years: u32,
}

/// Text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiryError(String);

impl fmt::Display for ExpiryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a time such as 3d 12H (units: M minutes, H hours, d days, w weeks, m months, y years)",
            self.0
        )
    }
}

impl std::error::Error for ExpiryError {}

impl FromStr for Expiry {
    type Err = ExpiryError;

    fn from_str(text: &str) -> Result<Self, ExpiryError> {
        let bad = || ExpiryError(text.to_owned());
        let mut expiry = Self::default();
        for word in text.split_whitespace() {
            let unit = word.chars().next_back().ok_or_else(bad)?;
            let number = &word[..word.len() - unit.len_utf8()];
            let count: u32 = number.parse().map_err(|_bad| bad())?;
            let field = match unit {
                'M' => &mut expiry.minutes,
                'H' => &mut expiry.hours,
                'd' => &mut expiry.days,
                'w' => &mut expiry.weeks,
                'm' => &mut expiry.months,
                'y' => &mut expiry.years,
                _ => return Err(bad()),
            };
            *field = field.checked_add(count).ok_or_else(bad)?;
        }
        if expiry == Self::default() && !text.trim().is_empty() && !text.contains('0') {
            return Err(bad());
        }
        Ok(expiry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_units() {
        let expiry: Expiry = "1M 2H 3d 4w 5m 6y".parse().unwrap();
        let fields = [
            expiry.minutes,
            expiry.hours,
            expiry.days,
            expiry.weeks,
            expiry.months,
            expiry.years,
        ];
        assert_eq!(fields, [1, 2, 3, 4, 5, 6]);
        assert_eq!("".parse::<Expiry>().unwrap(), Expiry::default());
        assert_eq!("0d".parse::<Expiry>().unwrap(), Expiry::default());
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["2", "d", "2x", "-1d", "1d2H", "99999999999d", "2ü"] {
            assert!(bad.parse::<Expiry>().is_err(), "{bad}");
        }
    }
}
