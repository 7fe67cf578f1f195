//! `--expiry` and `--no-expiry`.

use anyhow::{Context as _, Result};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use rlxc_api::expiry::Expiry;

/// When a snapshot that is taken now is to be deleted; `None` leaves it to the server.
pub(crate) fn at(expiry: Option<&str>, never: bool) -> Result<Option<rlxc_api::Timestamp>> {
    let Some(text) = expiry else {
        return Ok(never.then(rlxc_api::Timestamp::none));
    };
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    Ok(Some(rlxc_api::Timestamp(after(&now, text)?.to_string())))
}

fn after(now: &Zoned, text: &str) -> Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let expiry: Expiry = text.parse().context("--expiry")?;
    let span = Span::new()
        .try_minutes(expiry.minutes)
        .and_then(|span| span.try_hours(expiry.hours))
        .and_then(|span| span.try_days(expiry.days))
        .and_then(|span| span.try_weeks(expiry.weeks))
        .and_then(|span| span.try_months(expiry.months))
        .and_then(|span| span.try_years(expiry.years))
        .with_context(|| format!("--expiry: `{text}` is too long"))?;
    let at = now
        .checked_add(span)
        .with_context(|| format!("--expiry: `{text}` is too long"))?;
    Ok(at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_now_or_takes_a_time() {
        let now: Zoned = Timestamp::UNIX_EPOCH
            .to_zoned(TimeZone::UTC)
            .with()
            .year(2026)
            .month(1)
            .day(31)
            .hour(10)
            .build()
            .unwrap();
        let at = |text: &str| after(&now, text).unwrap().to_string();
        assert_eq!(at("2w 1H"), "2026-02-14T11:00:00Z");
        assert_eq!(at("1m"), "2026-02-28T10:00:00Z");
        assert_eq!(at("2027-01-01T00:00:00Z"), "2027-01-01T00:00:00Z");
        assert!(after(&now, "soon").is_err());
        assert!(after(&now, "4000000000y").is_err());
    }
}
