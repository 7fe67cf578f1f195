//! Join tokens: base64 of JSON, with a secret that lets one client in, once.

use std::collections::BTreeSet;
use std::time::Duration;

use rlxc_api::CertificateAddToken;

use super::Kind;

/// A token that was given out and is good yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Id of the operation that stands for it.
    pub operation: String,
    /// What the client must know.
    pub secret: String,
    /// Name that the client's certificate gets.
    pub name: String,
    /// What the client's certificate is for.
    pub kind: Kind,
    /// Whether it reaches only `projects`.
    pub restricted: bool,
    /// Names of projects.
    pub projects: BTreeSet<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; none for never.
    pub expires_at: Option<String>,
}

/// The secret of a token as clients send it; `None` where the text is no token.
pub fn read_secret(text: &str) -> Option<String> {
    let bytes = openssl::base64::decode_block(text.trim()).ok()?;
    let token: CertificateAddToken = serde_json::from_slice(&bytes).ok()?;
    Some(token.secret).filter(|secret| !secret.is_empty())
}

/// Reads `core.remote_token_expiry`: numbers with a unit, `S M H d w m y`, added up; a month has 30 days and a year 365.
pub fn parse_lifetime(text: &str) -> Result<Option<Duration>, String> {
    let bad = || format!("`core.remote_token_expiry`: `{text}` is no time such as 1d or 2H 30M");
    let mut seconds = 0_u64;
    for word in text.split_whitespace() {
        let unit = word.chars().last().ok_or_else(bad)?;
        let each: u64 = match unit {
            'S' => 1,
            'M' => 60,
            'H' => 3600,
            'd' => 86400,
            'w' => 7 * 86400,
            'm' => 30 * 86400,
            'y' => 365 * 86400,
            _ => return Err(bad()),
        };
        let number: u32 = word
            .strip_suffix(unit)
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(bad)?;
        seconds = seconds.saturating_add(each.saturating_mul(u64::from(number)));
    }
    // A century is as good as for ever, and can be added to any present.
    let sane = seconds.min(100 * 365 * 86400);
    Ok((sane > 0).then(|| Duration::from_secs(sane)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_add_up() {
        let read = |text| parse_lifetime(text).unwrap().map(|d| d.as_secs());
        assert_eq!(read(""), None);
        assert_eq!(read("1d"), Some(86400));
        assert_eq!(read("2H 30M"), Some(9000));
        assert_eq!(read("4294967295y"), Some(100 * 365 * 86400));
        for text in ["1", "d", "1x", "-1d", "1 d", "1d2H"] {
            assert!(parse_lifetime(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_token_has_no_secret() {
        for text in ["", "password", "e30=", "bnVsbA==", "\u{e9}"] {
            assert_eq!(read_secret(text), None, "{text}");
        }
        let token = openssl::base64::encode_block(br#"{"secret":"s","addresses":null}"#);
        assert_eq!(read_secret(&token).as_deref(), Some("s"));
    }
}
