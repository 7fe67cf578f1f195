//! What values of keys may look like.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{Ipv4Net, Ipv6Net};
use rlxc_api::size::ByteSize;

use super::{did_you_mean, parse_bool};

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Anything.
    Text,
    /// true or false, as LXD writes them.
    Bool,
    /// A whole number between two, both included.
    Int(i64, i64),
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// A text that the function accepts, and how to say what it accepts.
    Form(fn(&str) -> bool, &'static str),
}

/// Any whole number.
pub const INT: Kind = Kind::Int(i64::MIN, i64::MAX);
/// How many of something.
pub const COUNT: Kind = Kind::Int(0, i64::MAX);
/// Bytes, with a unit.
pub const SIZE: Kind = Kind::Form(is_size, "a size such as 10GiB");
/// Bytes, or a part of what the host has; not nothing.
pub const SIZE_OR_PERCENT: Kind = Kind::Form(is_size_or_percent, "a size such as 512MiB or 50%");
/// How long something lives, in LXD's units.
pub const LIFETIME: Kind = Kind::Form(
    |text| crate::trust::parse_lifetime(text).is_ok(),
    "a time such as 1d or 2H 30M",
);
/// When something happens: five fields of crontab(5), or a word with `@`; several with `, ` between them.
pub const SCHEDULE: Kind = Kind::Form(is_schedule, "a schedule such as @daily or 0 6 * * *");
/// A MAC address.
pub const MAC: Kind = Kind::Form(
    |text| text.parse().is_ok_and(rlxc_network::Mac::is_unicast),
    "an address such as 00:16:3e:01:02:03, and no multicast address",
);
/// An address of IP over `InfiniBand`, or the GUID at its end.
pub const IPOIB: Kind = Kind::Form(
    |text| {
        let parsed = text.parse::<rlxc_network::LinkAddress>();
        parsed.is_ok_and(|address| address.guid().is_some())
    },
    "an address of 20 bytes, or the last 8 of them, such as 00:02:c9:03:00:0a:0b:0c",
);
/// An IPv4 address.
pub const IPV4: Kind = Kind::Form(parses::<Ipv4Addr>, "an address such as 10.1.2.3");
/// Bits a second.
pub const BIT_RATE: Kind = Kind::Form(
    |text| crate::plan::nic::parse_rate(text).is_some(),
    "a rate such as 100Mbit",
);
/// An IPv6 address.
pub const IPV6: Kind = Kind::Form(parses::<Ipv6Addr>, "an address such as fd42::3");
/// IPv4 addresses.
pub const ADDRESSES4: Kind = Kind::Form(
    |text| all(text, parses::<Ipv4Addr>),
    "addresses such as 10.1.2.3,10.1.2.4",
);
/// IPv6 addresses.
pub const ADDRESSES6: Kind = Kind::Form(
    |text| all(text, parses::<Ipv6Addr>),
    "addresses such as fd42::3,fd42::4",
);
/// Name of an interface of the host or an instance.
pub const INTERFACE: Kind = Kind::Form(is_interface, "an interface's name of at most 15 bytes");
/// Names of interfaces of the host.
pub const INTERFACES: Kind = Kind::Form(|text| all(text, is_interface), "names of interfaces");
/// Addresses of either family.
pub const ADDRESSES: Kind = Kind::Form(
    |text| all(text, parses::<IpAddr>),
    "addresses such as 10.1.2.3,fd42::3",
);
/// One address of either family.
pub const ADDRESS: Kind = Kind::Form(parses::<IpAddr>, "an address such as 10.1.2.3 or fd42::3");
/// IPv4 subnets.
pub const SUBNETS4: Kind = Kind::Form(
    |text| all(text, parses::<Ipv4Net>),
    "subnets such as 10.1.2.0/24,10.1.3.0/24",
);
/// IPv6 subnets.
pub const SUBNETS6: Kind = Kind::Form(
    |text| all(text, parses::<Ipv6Net>),
    "subnets such as fd42:1::/64,fd42:2::/64",
);
/// Permissions of a file.
pub const MODE: Kind = Kind::Form(
    |text| u32::from_str_radix(text, 8).is_ok_and(|mode| mode <= 0o7777),
    "a mode such as 0660",
);
/// A file of the host or the instance.
pub const ABSOLUTE_PATH: Kind = Kind::Form(
    |text| text.starts_with('/') && !text.contains('\0'),
    "an absolute path",
);

impl Kind {
    /// What is wrong with a value, as the end of a sentence that begins with it.
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self {
            Self::Text => Ok(()),
            Self::Bool => parse_bool(value)
                .map(|_| ())
                .ok_or_else(|| "is neither true nor false".to_owned()),
            Self::Int(least, most) => match value.parse::<i64>() {
                Ok(number) if (*least..=*most).contains(&number) => Ok(()),
                _ => Err(format!("is not {}", whole_number(*least, *most))),
            },
            Self::OneOf(words) if words.contains(&value) => Ok(()),
            Self::OneOf(words) => Err(format!(
                "is neither `{}`{}",
                words.join("` nor `"),
                did_you_mean(value, words.iter().copied())
            )),
            Self::Form(accepts, _) if accepts(value) => Ok(()),
            Self::Form(_, wanted) => Err(format!("is not {wanted}")),
        }
    }

    /// LXD's word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int(..) => "integer",
            Self::Text | Self::OneOf(_) | Self::Form(..) => "string",
        }
    }

    /// What may be written, for people; nothing where that is anything.
    pub fn wanted(&self) -> String {
        match self {
            Self::Text => String::new(),
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Int(least, most) => whole_number(*least, *most),
            Self::OneOf(words) => format!("`{}`", words.join("`, `")),
            Self::Form(_, wanted) => (*wanted).to_owned(),
        }
    }
}

fn whole_number(least: i64, most: i64) -> String {
    match (least, most) {
        (i64::MIN, i64::MAX) => "a whole number".to_owned(),
        (least, i64::MAX) => format!("a whole number from {least} on"),
        (least, most) => format!("a whole number from {least} to {most}"),
    }
}

/// A value as messages show it.
pub(super) fn shortened(value: &str) -> String {
    const SHOWN: usize = 100;
    let line = value.lines().next().unwrap_or_default();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.len() < value.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

fn parses<T: std::str::FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

/// What the kernel takes as a name, see `dev_valid_name` in net/core/dev.c.
fn is_interface(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.contains(['/', ':'])
        && !text.contains(char::is_whitespace)
}

/// Whether all parts of a list pass.
pub(super) fn all(list: &str, accepts: fn(&str) -> bool) -> bool {
    list.split(',').map(str::trim).all(accepts)
}

fn is_size(text: &str) -> bool {
    text.parse::<ByteSize>().is_ok()
}

fn is_size_or_percent(text: &str) -> bool {
    let some = match text.strip_suffix('%') {
        Some(percent) => percent
            .parse::<u64>()
            .ok()
            .filter(|percent| *percent <= 100),
        None => text.parse().ok().map(ByteSize::bytes),
    };
    some.is_some_and(|some| some > 0)
}

/// The fields of crontab(5): minute, hour, day of the month, month, day of the week.
const FIELDS: [RangeInclusive<u8>; 5] = [0..=59, 0..=23, 1..=31, 1..=12, 0..=7];

fn is_schedule(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "@hourly",
        "@daily",
        "@midnight",
        "@weekly",
        "@monthly",
        "@annually",
        "@yearly",
        "@never",
    ];
    if text.starts_with('@') {
        return all(text, |word| WORDS.contains(&word));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    fields.len() == FIELDS.len()
        && fields
            .iter()
            .zip(FIELDS)
            .all(|(field, range)| field.split(',').all(|part| is_times(part, &range)))
}

/// One part of a field of crontab(5): `*`, `5`, `1-5`, `*/10`.
fn is_times(part: &str, range: &RangeInclusive<u8>) -> bool {
    let number = |text: &str| text.parse::<u8>().is_ok_and(|n| range.contains(&n));
    let (base, step) = match part.split_once('/') {
        Some((base, step)) => (base, Some(step)),
        None => (part, None),
    };
    let stepped = step.is_none_or(|step| step.parse::<u8>().is_ok_and(|step| step > 0));
    stepped
        && match base.split_once('-') {
            Some((first, last)) => number(first) && number(last),
            None => base == "*" || number(base),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(kind: Kind, values: &[&str], refused: &[&str]) {
        for value in values {
            assert_eq!(kind.check(value), Ok(()), "{value}");
        }
        for value in refused {
            assert!(kind.check(value).is_err(), "{value}");
        }
    }

    #[test]
    fn forms_take_what_is_right_and_nothing_else() {
        accepts(SIZE, &["10GiB", "5"], &["50%", "x", "-1"]);
        accepts(SIZE_OR_PERCENT, &["50%", "1MB"], &["101%", "%", "0", "0%"]);
        accepts(LIFETIME, &["1d", "2H 30M"], &["1x", "d"]);
        accepts(
            SCHEDULE,
            &["@daily", "@hourly, @weekly", "0 6 * * *", "*/5 1-5,7 1 1 0"],
            &[
                "@often",
                "0 6 * *",
                "60 6 * * *",
                "*/0 * * * *",
                "a b c d e",
                "@daily,",
            ],
        );
        accepts(
            MAC,
            &["00:16:3e:01:02:03"],
            &["00:16:3e", "x", "01:16:3e:01:02:03", "00:00:00:00:00:00"],
        );
        let guid = "00:02:c9:03:00:0a:0b:0c";
        let whole = format!("80:00:02:08:fe:80:00:00:00:00:00:00:{guid}");
        accepts(IPOIB, &[guid, &whole], &["00:16:3e:01:02:03", "x", ""]);
        accepts(IPV4, &["10.0.0.1"], &["10.0.0.256", "fd42::1"]);
        accepts(IPV6, &["fd42::1"], &["10.0.0.1"]);
        accepts(ADDRESSES, &["10.0.0.1, fd42::1"], &["10.0.0.1,", ""]);
        accepts(SUBNETS4, &["10.0.0.0/8"], &["10.0.0.0", "fd42::/64"]);
        accepts(SUBNETS6, &["fd42::/64"], &["10.0.0.0/8"]);
        accepts(MODE, &["0660", "7"], &["8", "77777", "rw"]);
        accepts(ABSOLUTE_PATH, &["/a"], &["a", "/a\0b"]);
        accepts(Kind::Int(0, 10), &["0", "10"], &["-1", "11", "1.0", " 1"]);
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        assert_eq!(shortened("a\nb"), "a…");
        assert_eq!(shortened(&"é".repeat(200)), format!("{}…", "é".repeat(100)));
        assert_eq!(shortened("short"), "short");
    }
}
