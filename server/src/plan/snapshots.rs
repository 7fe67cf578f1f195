//! When snapshots are taken by themselves, what they are called, and when they go: pure.

use cronexpr::{FallbackTimezoneOption, ParseOptions};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rlxc_api::expiry::Expiry;

use crate::model::Config;

/// What a snapshot is called that is to take the place of another, until it does: no name that a user gives has a slash.
pub fn until_replaced(name: &str) -> String {
    format!("{name}/new")
}

/// Whether a schedule has a moment after `after` and no later than `until`, in the host's time zone. Several that
/// were missed count once.
pub fn is_due(schedule: &str, after: Timestamp, until: Timestamp) -> Result<bool, String> {
    // Fields may hold commas without blanks, so schedules of several parts have them with blanks.
    let parts = if schedule.trim_start().starts_with('@') {
        schedule.split(',').collect()
    } else {
        schedule.split(", ").collect::<Vec<_>>()
    };
    for part in parts.into_iter().map(str::trim) {
        let Some(fields) = fields(part) else {
            continue;
        };
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::System;
        let next = cronexpr::parse_crontab_with(fields, options)
            .and_then(|crontab| crontab.find_next(after))
            .map_err(|error| format!("`{part}` is no schedule: {error}"))?;
        if next.timestamp() <= until {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The five fields of crontab(5) that a word stands for; nothing for `@never`.
fn fields(part: &str) -> Option<&str> {
    Some(match part {
        "" | "@never" => return None,
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@annually" | "@yearly" => "0 0 1 1 *",
        fields => fields,
    })
}

/// When a snapshot of `now` is to go, by a text such as `2w 3d`; never if it is empty or zero.
pub fn expires_at(expiry: &str, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let parsed: Expiry = expiry
        .parse()
        .map_err(|error| format!("snapshots.expiry: {error}"))?;
    if parsed == Expiry::default() {
        return Ok(None);
    }
    let far = |_| format!("snapshots.expiry: `{expiry}` is too long");
    let span = Span::new()
        .try_minutes(parsed.minutes)
        .and_then(|span| span.try_hours(parsed.hours))
        .and_then(|span| span.try_days(parsed.days))
        .and_then(|span| span.try_weeks(parsed.weeks))
        .and_then(|span| span.try_months(parsed.months))
        .and_then(|span| span.try_years(parsed.years))
        .map_err(far)?;
    let end = now.to_zoned(TimeZone::UTC).checked_add(span).map_err(far)?;
    Ok(Some(end.timestamp()))
}

/// When a snapshot of `now` is to go, as the inventory writes it: by what was asked for, or by `snapshots.expiry`. "No
/// time" asks for none.
pub fn expiry_of(
    asked: Option<rlxc_api::Timestamp>,
    config: &Config,
    now: Timestamp,
) -> Result<Option<String>, String> {
    match asked {
        Some(time) if time.is_none() => Ok(None),
        Some(time) => Ok(Some(time.0)),
        None => {
            let expiry = config.get("snapshots.expiry").map_or("", String::as_str);
            Ok(expires_at(expiry, now)?.map(crate::clock::format))
        }
    }
}

/// The name of the next snapshot: `pattern` with the time in place of `{{ creation_date|date:'2006-01-02' }}` and the
/// next number in place of `%d`. Without a `%d` a number follows where the name is taken.
pub fn next_name(pattern: &str, taken: &[&str], now: Timestamp) -> Result<String, String> {
    let pattern = if pattern.is_empty() {
        "snap%d"
    } else {
        pattern
    };
    let name = with_dates(pattern, now)?;
    match name.split_once("%d") {
        Some((before, after)) => Ok(numbered(before, after, taken)),
        None if taken.contains(&name.as_str()) => Ok(numbered(&format!("{name}-"), "", taken)),
        None => Ok(name),
    }
}

fn numbered(before: &str, after: &str, taken: &[&str]) -> String {
    let numbers = taken.iter().filter_map(|name| {
        let middle = name.strip_prefix(before)?.strip_suffix(after)?;
        middle.parse::<u64>().ok()
    });
    let next = numbers.max().map_or(0, |highest| highest + 1);
    format!("{before}{next}{after}")
}

fn with_dates(pattern: &str, now: Timestamp) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((tag, behind)) = after.split_once("}}") else {
            return Err(format!(
                "snapshots.pattern: `{pattern}` has a tag that never ends"
            ));
        };
        out.push_str(before);
        out.push_str(&date(tag.trim(), now).ok_or_else(|| {
            format!(
                "snapshots.pattern: `{}` is not known: there is creation_date|date:'2006-01-02_15-04-05'",
                tag.trim()
            )
        })?);
        rest = behind;
    }
    Ok(out + rest)
}

fn date(tag: &str, now: Timestamp) -> Option<String> {
    let zoned = now.to_zoned(TimeZone::system());
    let filter = tag.strip_prefix("creation_date")?.trim();
    if filter.is_empty() {
        return Some(zoned.strftime("%Y-%m-%d_%H-%M-%S").to_string());
    }
    let argument = filter
        .strip_prefix('|')?
        .trim()
        .strip_prefix("date:")?
        .trim();
    let quote = argument
        .chars()
        .next()
        .filter(|c| matches!(c, '\'' | '"'))?;
    let layout = argument.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(zoned.strftime(&strftime(layout)).to_string())
}

/// A layout of Go's package time as one of strftime(3).
fn strftime(layout: &str) -> String {
    const WORDS: [(&str, &str); 14] = [
        ("2006", "%Y"),
        ("January", "%B"),
        ("Jan", "%b"),
        ("Monday", "%A"),
        ("Mon", "%a"),
        ("MST", "%Z"),
        ("01", "%m"),
        ("02", "%d"),
        ("15", "%H"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("PM", "%p"),
    ];
    let mut out = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some((word, code)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            out.push_str(code);
            rest = &rest[word.len()..];
        } else {
            out.push(first);
            if first == '%' {
                out.push('%');
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn due_is_what_lies_between() {
        let due = |schedule: &str, after: &str, until: &str| {
            is_due(schedule, at(after), at(until)).unwrap()
        };
        let (noon, later) = ("2026-03-01T12:30:00Z", "2026-03-01T12:31:00Z");
        assert!(!due("@hourly", noon, later));
        assert!(due("@hourly", noon, "2026-03-01T13:00:00Z"));
        assert!(due("*/1 * * * *", noon, later));
        assert!(due("@hourly, @daily", noon, "2026-03-01T13:00:10Z"));
        assert!(due("1,31 * * * *", noon, later));
        assert!(!due("@never", noon, "2027-03-01T13:00:10Z"));
        // Days without a daemon: once is enough to know.
        assert!(due("@daily", noon, "2026-03-09T12:30:00Z"));
        assert!(is_due("every day", at(noon), at(later)).is_err());
    }

    #[test]
    fn names_count_on() {
        let now = at("2026-03-01T12:30:05Z");
        let name = |pattern: &str, taken: &[&str]| next_name(pattern, taken, now).unwrap();
        assert_eq!(name("", &[]), "snap0");
        assert_eq!(name("", &["snap0", "snap7", "other"]), "snap8");
        assert_eq!(name("auto-%d-x", &["auto-3-x"]), "auto-4-x");
        let dated = name("d-{{ creation_date|date:'2006-01-02' }}", &[]);
        assert!(dated.starts_with("d-2026-0"), "{dated}");
        assert_eq!(name("{{creation_date|date:\"2006%\"}}", &[]), "2026%");
        assert_eq!(name("daily", &["daily"]), "daily-0");
        assert_eq!(name("daily", &["daily", "daily-0"]), "daily-1");
        assert!(next_name("{{ name }}", &[], now).is_err());
        assert!(next_name("{{ creation_date", &[], now).is_err());
    }

    #[test]
    fn expiry_counts_from_the_snapshot() {
        let now = at("2026-01-31T10:00:00Z");
        let end = |text: &str| expires_at(text, now).unwrap().map(|time| time.to_string());
        assert_eq!(end("1m"), Some("2026-02-28T10:00:00Z".to_owned()));
        assert_eq!(end("2w 1H"), Some("2026-02-14T11:00:00Z".to_owned()));
        assert_eq!(end(""), None);
        assert_eq!(end("0d"), None);
        assert!(expires_at("soon", now).is_err());
        assert!(expires_at("4000000000y", now).is_err());
    }
}
