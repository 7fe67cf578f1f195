//! Times for people.

use rlxc_api::Timestamp;

/// `2026/11/20 10:00 UTC`: to the minute, in the zone that the daemon wrote; empty for none.
pub(crate) fn short(time: &Timestamp) -> String {
    until(time, 16)
}

/// `2026/11/20 10:00:07 UTC`: to the second.
pub(crate) fn to_the_second(time: &Timestamp) -> String {
    until(time, 19)
}

fn until(time: &Timestamp, end: usize) -> String {
    if time.is_none() {
        return String::new();
    }
    let text = &time.0;
    let (Some(date), Some(clock)) = (text.get(..10), text.get(11..end)) else {
        return text.clone();
    };
    let zone = match text
        .get(19..)
        .map(|rest| rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()))
    {
        Some("Z") | None => "UTC",
        Some(zone) => zone,
    };
    format!("{} {clock} {zone}", date.replace('-', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_the_minute() {
        let short = |text: &str| short(&Timestamp(text.to_owned()));
        assert_eq!(short("2026-11-20T10:01:02.345Z"), "2026/11/20 10:01 UTC");
        assert_eq!(
            short("2026-11-20T10:01:02+01:00"),
            "2026/11/20 10:01 +01:00"
        );
        assert_eq!(short("0001-01-01T00:00:00Z"), "");
        let exact = Timestamp("2026-11-20T10:01:02.345Z".to_owned());
        assert_eq!(to_the_second(&exact), "2026/11/20 10:01:02 UTC");
    }
}
