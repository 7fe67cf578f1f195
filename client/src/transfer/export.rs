//! Downloads of images.

use std::path::{Path, PathBuf};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use hyper::{Method, Response as HttpResponse};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::connection::{Connection, broken};
use crate::error::ClientError;
use crate::multipart::{self, Parser, Piece};
use crate::url;

impl Connection {
    /// Downloads an image into `directory`; gives back its one or two files.
    ///
    /// `name` replaces the name that the daemon gives; the second file gets `.root` after it.
    pub async fn export_image(
        &self,
        fingerprint: &str,
        directory: &Path,
        name: Option<&str>,
        received: impl Fn(u64),
    ) -> Result<Vec<PathBuf>, ClientError> {
        let path = self.scoped(&format!("/1.0/images/{}/export", url::encode(fingerprint)));
        let response = self.download(&path).await?;
        let head = |key| {
            response
                .headers()
                .get(key)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let boundary = multipart::boundary(head(CONTENT_TYPE)).map(str::to_owned);
        let given = head(CONTENT_DISPOSITION)
            .split("filename=")
            .nth(1)
            .map(|name| name.trim_matches('"').to_owned());
        let fallback = given
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| fingerprint.to_owned());
        let Some(boundary) = boundary else {
            let target = directory.join(plain(name.unwrap_or(&fallback)));
            save(response, &path, &target, received).await?;
            return Ok(vec![target]);
        };
        let mut parts = Parts {
            directory,
            name,
            files: Vec::new(),
            open: None,
        };
        let mut parser = Parser::new(&boundary);
        let mut body = response.into_body();
        let mut total = 0;
        loop {
            match parser.next() {
                Piece::Part { file, .. } => parts.begin(&file, &fallback).await?,
                Piece::Data(data) => parts.write(&data).await?,
                Piece::End => return parts.end().await,
                piece @ (Piece::More | Piece::Malformed) => {
                    let frame = if piece == Piece::More {
                        body.frame().await
                    } else {
                        None
                    };
                    let Some(frame) = frame else {
                        return Err(ClientError::Incomplete {
                            path,
                            what: "the end of its last part",
                        });
                    };
                    if let Ok(data) = frame.map_err(broken(&Method::GET, &path))?.into_data() {
                        total += u64::try_from(data.len()).unwrap_or(0);
                        received(total);
                        parser.feed(&data);
                    }
                }
            }
        }
    }
}

struct Parts<'a> {
    directory: &'a Path,
    name: Option<&'a str>,
    files: Vec<PathBuf>,
    open: Option<File>,
}

impl Parts<'_> {
    async fn begin(&mut self, file: &str, fallback: &str) -> Result<(), ClientError> {
        self.close().await?;
        let given = if file.is_empty() { fallback } else { file };
        let name = match (self.name, self.files.is_empty()) {
            (Some(name), true) => plain(name),
            (Some(name), false) => format!("{}.root", plain(name)),
            (None, _) => plain(given),
        };
        let target = self.directory.join(name);
        self.open = Some(create(&target).await?);
        self.files.push(target);
        Ok(())
    }

    async fn write(&mut self, data: &[u8]) -> Result<(), ClientError> {
        let (Some(file), Some(path)) = (&mut self.open, self.files.last()) else {
            return Ok(());
        };
        file.write_all(data)
            .await
            .map_err(ClientError::io(format!("write {}", path.display())))
    }

    async fn close(&mut self) -> Result<(), ClientError> {
        match self.open.take() {
            Some(mut file) => file
                .flush()
                .await
                .map_err(ClientError::io("write the image")),
            None => Ok(()),
        }
    }

    async fn end(mut self) -> Result<Vec<PathBuf>, ClientError> {
        self.close().await?;
        Ok(self.files)
    }
}

/// A file name from the other side, kept from naming another directory.
fn plain(name: &str) -> String {
    match name.rsplit('/').next() {
        None | Some("" | "." | "..") => "image".to_owned(),
        Some(last) => last.to_owned(),
    }
}

async fn create(path: &Path) -> Result<File, ClientError> {
    File::create(path)
        .await
        .map_err(ClientError::io(format!("create {}", path.display())))
}

pub(super) async fn save(
    response: HttpResponse<Incoming>,
    path: &str,
    target: &Path,
    received: impl Fn(u64),
) -> Result<(), ClientError> {
    let fail = || ClientError::io(format!("write {}", target.display()));
    let mut file = create(target).await?;
    let mut body = response.into_body();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(broken(&Method::GET, path))?.into_data() {
            file.write_all(&data).await.map_err(fail())?;
            total += u64::try_from(data.len()).unwrap_or(0);
            received(total);
        }
    }
    file.flush().await.map_err(fail())
}
