use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;

#[test]
fn redirects_are_followed_from_where_they_are() {
    let base: Uri = "https://a.example/b/c?q".parse().unwrap();
    for (location, expected) in [
        ("http://x/y", "http://x/y"),
        ("//x/y", "https://x/y"),
        ("/y", "https://a.example/y"),
        ("y", "https://a.example/b/y"),
    ] {
        assert_eq!(resolve(&base, location), expected);
    }
}

#[test]
fn other_addresses_are_refused() {
    for url in ["ftp://a/b", "a/b", "https://", "/x"] {
        let error = parse(url).unwrap_err().to_string();
        assert!(error.contains(url), "{error}");
    }
}

/// A server that gives these answers, one a connection.
fn serve(answers: Vec<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"GET /"));
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    format!("http://{address}/list")
}

#[tokio::test]
async fn documents_are_read_to_their_end_or_not_at_all() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntext";
    let moved = "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
    let got = get_document(&serve(vec![moved, whole]), None).await;
    assert_eq!(got.unwrap(), "text");
    for (answers, expected) in [
        (
            vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntext"],
            "end",
        ),
        (
            vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"],
            "the server says 404 Not Found",
        ),
        (vec![moved; REDIRECTS + 1], "again and again"),
    ] {
        let error = get_document(&serve(answers), None).await.unwrap_err();
        let mut text = error.to_string();
        let mut cause = Error::source(&error);
        while let Some(error) = cause {
            text.extend([": ".to_owned(), error.to_string()]);
            cause = error.source();
        }
        assert!(text.contains(expected), "{text}");
    }
}
