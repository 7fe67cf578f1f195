//! An image server: files and a list of them in the format of simplestreams, over HTTP or HTTPS, by a thread that ends with the
//! test. It breaks off or stalls where it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use serde_json::{Value, json};

use crate::archive::fingerprint;

/// A server and what it has.
#[derive(Debug)]
pub struct ImageServer {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    files: BTreeMap<String, Vec<u8>>,
    products: BTreeMap<String, Value>,
    breaks: Option<Break>,
    stalls: Option<String>,
    asked: Vec<String>,
}

/// Where connections end too early.
#[derive(Debug, Clone)]
struct Break {
    path: String,
    times: u32,
}

/// A line of images, by what a list says of it.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// Names with commas between them.
    pub aliases: &'a str,
    /// Debian's name of its architecture.
    pub architecture: &'a str,
    /// Which build it is.
    pub serial: &'a str,
}

/// Debian's name of this host's architecture.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl ImageServer {
    /// A server that does not encrypt.
    pub fn http() -> anyhow::Result<Self> {
        Self::start("http", Ok)
    }

    /// One with this certificate and key, PEM.
    pub fn https(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
        builder.set_certificate_chain_file(certificate)?;
        builder.set_private_key_file(key, SslFiletype::PEM)?;
        let acceptor = builder.build();
        Self::start("https", move |stream| Ok(acceptor.accept(stream)?))
    }

    fn start<S: Read + Write>(
        scheme: &str,
        wrap: impl Fn(TcpStream) -> anyhow::Result<S> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let wrap = Arc::new(wrap);
        let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let known = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (wrap, known) = (Arc::clone(&wrap), Arc::clone(&known));
                // A client that goes away is no business of the server.
                std::thread::spawn(move || {
                    let served = wrap(stream).and_then(|stream| answer(stream, &known));
                    drop(served);
                });
            }
        });
        Ok(Self { url, shared })
    }

    /// Its root.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn change(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Serves a file, in place of one that was there.
    pub fn put(&self, path: &str, content: &[u8]) {
        self.change(|shared| {
            shared.files.insert(format!("/{path}"), content.to_vec());
        });
    }

    /// Serves these files (`ftype`, content, and what else the list says of it by field: hashes of the whole image, say) and lists
    /// them as an image.
    pub fn publish(&self, product: Product<'_>, files: &[(&str, &[u8], Value)]) {
        let Product {
            aliases,
            architecture,
            serial,
        } = product;
        let name = aliases.split(',').next().unwrap_or_default();
        let mut items = serde_json::Map::new();
        for (ftype, content, fields) in files {
            let path = format!("images/{name}/{architecture}/{serial}/{ftype}");
            self.put(&path, content);
            let mut item = json!({"ftype": ftype, "path": path, "size": content.len(), "sha256": fingerprint(&[content])});
            for (field, value) in fields.as_object().into_iter().flatten() {
                item[field] = value.clone();
            }
            items.insert((*ftype).to_owned(), item);
        }
        self.change(|shared| {
            let key = format!("{name}:{architecture}");
            let entry = shared.products.entry(key).or_insert_with(|| {
                json!({"aliases": aliases, "arch": architecture, "os": "Busybox", "release": "one", "release_title": "1",
                    "variant": "default", "versions": {}})
            });
            entry["versions"][serial] = json!({"label": "release", "items": items});
            shared.list();
        });
    }

    /// Says what an image needs.
    pub fn require(&self, alias: &str, requirements: &Value) {
        self.change(|shared| {
            let key = format!("{alias}:{}", architecture());
            shared.products.entry(key).and_modify(|product| {
                product["requirements"] = requirements.clone();
            });
            shared.list();
        });
    }

    /// Ends the next connections after half of any file whose path ends so.
    pub fn break_off(&self, path: &str, times: u32) {
        self.change(|shared| {
            let path = path.to_owned();
            shared.breaks = Some(Break { path, times });
        });
    }
}

impl ImageServer {
    /// Sends half of any file whose path ends so, and then nothing.
    pub fn stall(&self, path: &str) {
        self.change(|shared| shared.stalls = Some(path.to_owned()));
    }

    /// Which files of images it was asked for since the last time, by the ends of their paths.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = Vec::new();
        self.change(|shared| asked = std::mem::take(&mut shared.asked));
        asked.retain(|path| path.starts_with("/images/"));
        let name = |path: String| path.rsplit('/').next().unwrap_or_default().to_owned();
        asked.into_iter().map(name).collect()
    }
}

impl Shared {
    fn list(&mut self) {
        let index = json!({"format": "index:1.0", "index": {"images": {"datatype": "image-downloads",
            "path": "streams/v1/images.json", "format": "products:1.0", "products": self.products.keys().collect::<Vec<_>>()}}});
        let products = json!({"format": "products:1.0", "datatype": "image-downloads", "content_id": "images",
            "products": self.products});
        for (path, content) in [("index", index), ("images", products)] {
            let path = format!("/streams/v1/{path}.json");
            self.files.insert(path, content.to_string().into_bytes());
        }
    }

    /// What is sent of a file.
    fn part<'a>(&mut self, path: &str, content: &'a [u8]) -> &'a [u8] {
        match &mut self.breaks {
            Some(here) if here.times > 0 && path.ends_with(&here.path) => {
                here.times -= 1;
                &content[..content.len() / 2]
            }
            _ => content,
        }
    }
}

fn answer(stream: impl Read + Write, shared: &Mutex<Shared>) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        anyhow::ensure!(reader.read_line(&mut line)? > 0, "half a request");
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (file, sent, stalls) = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.asked.push(path.to_owned());
        let file = shared.files.get(path).cloned();
        let sent = file
            .as_ref()
            .map(|content| shared.part(path, content).len());
        let stalls = shared.stalls.as_ref();
        let stalls = stalls.is_some_and(|end| path.ends_with(end));
        (file, sent.unwrap_or_default(), stalls)
    };
    let status = if file.is_some() {
        "200 OK"
    } else {
        "404 Not Found"
    };
    let content = file.unwrap_or_default();
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    )?;
    if stalls {
        stream.write_all(&content[..sent / 2])?;
        stream.flush()?;
        std::thread::sleep(Duration::from_secs(300));
    }
    stream.write_all(&content[..sent])?;
    stream.flush()?;
    Ok(())
}
