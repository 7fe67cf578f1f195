//! `multipart/form-data`, RFC 7578: images of two files travel in it, both ways.

use bytes::{Buf, Bytes, BytesMut};

/// Separates the parts of what we send; no file holds it but by design.
pub(crate) const BOUNDARY: &str = "rlxc-5f0c9a6e1d7b4b0e8a32c41fd96b7e05";

/// The lines before a part's content.
pub(crate) fn header(field: &str, file: &str) -> Bytes {
    let file = file.replace(['"', '\r', '\n'], "_");
    Bytes::from(format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    ))
}

/// The line after the last part.
pub(crate) fn trailer() -> Bytes {
    Bytes::from(format!("--{BOUNDARY}--\r\n"))
}

/// The boundary that a `Content-Type` names.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let parameters = content_type.strip_prefix("multipart/form-data")?;
    let (_, value) = parameters.split_once("boundary=")?;
    Some(
        value
            .split(';')
            .next()
            .unwrap_or(value)
            .trim()
            .trim_matches('"'),
    )
}

/// What the parser found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A part begins: its field and its file name.
    Part {
        /// Name of the field.
        field: String,
        /// Name of the file.
        file: String,
    },
    /// Content of the part.
    Data(Bytes),
    /// It needs more input.
    More,
    /// The last part is over.
    End,
    /// This is no multipart.
    Malformed,
}

/// Cuts a stream of bytes into parts.
#[derive(Debug)]
pub(crate) struct Parser {
    delimiter: Vec<u8>,
    buffer: BytesMut,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Headers,
    Body,
    Over,
}

/// Headers of a part that are longer are not headers.
const MAX_HEADERS: usize = 16 * 1024;

impl Parser {
    pub(crate) fn new(boundary: &str) -> Self {
        // The first delimiter has no line before it: pretend that there was one.
        Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            buffer: BytesMut::from(&b"\r\n"[..]),
            state: State::Preamble,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(crate) fn next(&mut self) -> Piece {
        match self.state {
            State::Preamble => match find(&self.buffer, &self.delimiter) {
                Some(at) => {
                    self.buffer.advance(at + self.delimiter.len());
                    self.state = State::Headers;
                    self.next()
                }
                None => Piece::More,
            },
            State::Headers => self.headers(),
            State::Body => self.body(),
            State::Over => Piece::End,
        }
    }

    fn headers(&mut self) -> Piece {
        if self.buffer.starts_with(b"--") {
            self.state = State::Over;
            return Piece::End;
        }
        let Some(end) = find(&self.buffer, b"\r\n\r\n") else {
            return if self.buffer.len() > MAX_HEADERS {
                Piece::Malformed
            } else {
                Piece::More
            };
        };
        let lines = self.buffer.split_to(end + 4);
        let text = String::from_utf8_lossy(&lines).into_owned();
        self.state = State::Body;
        let disposition = text
            .lines()
            .find(|line| {
                line.to_ascii_lowercase()
                    .starts_with("content-disposition:")
            })
            .unwrap_or_default();
        Piece::Part {
            field: parameter(disposition, "name"),
            file: parameter(disposition, "filename"),
        }
    }

    fn body(&mut self) -> Piece {
        if let Some(at) = find(&self.buffer, &self.delimiter) {
            if at > 0 {
                return Piece::Data(self.buffer.split_to(at).freeze());
            }
            self.buffer.advance(self.delimiter.len());
            self.state = State::Headers;
            return self.next();
        }
        // The end of the buffer may be the beginning of a delimiter.
        let safe = self.buffer.len().saturating_sub(self.delimiter.len());
        if safe == 0 {
            Piece::More
        } else {
            Piece::Data(self.buffer.split_to(safe).freeze())
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack.get(from..)?.iter().position(|byte| *byte == first) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn parameter(line: &str, name: &str) -> String {
    line.split(';')
        .filter_map(|part| part.trim().split_once('='))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &[u8], step: usize) -> Vec<(String, String, Vec<u8>)> {
        let mut parser = Parser::new(BOUNDARY);
        let mut parts: Vec<(String, String, Vec<u8>)> = Vec::new();
        let mut chunks = input.chunks(step);
        loop {
            match parser.next() {
                Piece::Part { field, file } => parts.push((field, file, Vec::new())),
                Piece::Data(data) => parts.last_mut().unwrap().2.extend_from_slice(&data),
                Piece::More => parser.feed(chunks.next().unwrap()),
                Piece::End => return parts,
                Piece::Malformed => panic!("malformed"),
            }
        }
    }

    #[test]
    fn what_is_sent_is_read_back_however_it_is_cut() {
        let body = [
            &header("metadata", "meta.tar.xz")[..],
            b"abc\r\n--rlxc\r\n",
            b"\r\n",
            &header("rootfs", "root.squashfs"),
            &[0u8; 300],
            b"\r\n",
            &trailer(),
        ]
        .concat();
        for step in [1, 2, 7, 64, 10_000] {
            let parts = parse(&body, step);
            assert_eq!(parts.len(), 2);
            assert_eq!(
                parts[0],
                (
                    "metadata".into(),
                    "meta.tar.xz".into(),
                    b"abc\r\n--rlxc\r\n".to_vec()
                )
            );
            assert_eq!(parts[1].2.len(), 300);
        }
    }

    #[test]
    fn the_boundary_is_found() {
        assert_eq!(
            boundary("multipart/form-data; boundary=\"x y\"; a=b"),
            Some("x y")
        );
        assert_eq!(boundary("application/octet-stream"), None);
    }
}
