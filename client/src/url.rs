//! Paths of the API: names are encoded, so that none of them can reach another path.

use std::fmt::Write as _;

/// `name` as one segment of a path, or as a value in a query: RFC 3986, all but unreserved characters encoded.
pub fn encode(name: &str) -> String {
    name.bytes()
        .fold(String::with_capacity(name.len()), |mut text, byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ok = write!(text, "%{byte:02X}");
            }
            text
        })
}

/// Undoes [`encode`]; what is not encoded well stays as it is.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// `/1.0/instances/{name}`.
pub fn instance(name: &str) -> String {
    format!("/1.0/instances/{}", encode(name))
}

/// The last segment of a URL, decoded, without its query: the name of the object.
pub fn last(url: &str) -> String {
    let path = url.split('?').next().unwrap_or(url);
    decode(path.rsplit('/').next().unwrap_or(path))
}

/// `path` with `key=value` added to its query.
pub fn with_query(path: &str, key: &str, value: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{key}={}", encode(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(instance("../x?a=b"), "/1.0/instances/..%2Fx%3Fa%3Db");
        assert_eq!(decode(&encode("debian/12 é%")), "debian/12 é%");
        assert_eq!(decode("100%"), "100%");
    }

    #[test]
    fn the_last_segment_is_the_name() {
        assert_eq!(
            last("/1.0/images/aliases/debian%2F12?project=x"),
            "debian/12"
        );
    }

    #[test]
    fn queries_are_joined() {
        let path = with_query("/1.0/instances", "recursion", "2");
        assert_eq!(
            with_query(&path, "filter", "a b"),
            "/1.0/instances?recursion=2&filter=a%20b"
        );
    }
}
