//! Brings one file to disk: checked against size and hash while it comes, continued where it broke off.

use std::io;
use std::path::Path;

use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE};
use hyper::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::error::SimplestreamsError;
use crate::web::{HttpClient, Url, WebError, next_chunk};
use rlxc_api::simplestreams::catalogue::RemoteFile;

/// How often a file is asked for again after it broke off; reset by each attempt that brought something.
const FRUITLESS_ATTEMPTS: u32 = 3;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// A download under way.
pub(super) struct Download<'a> {
    pub(super) http: &'a HttpClient,
    pub(super) url: &'a Url,
    pub(super) file: &'a RemoteFile,
    pub(super) target: &'a Path,
}

/// What has come so far.
struct Received {
    output: File,
    count: u64,
    own: Sha256,
    combined: Sha256,
}

/// Why an attempt ended before the file did.
enum Broken {
    /// Asking again may help.
    Again(SimplestreamsError),
    /// It won't.
    Never(SimplestreamsError),
}

impl Download<'_> {
    /// Runs it. `before` has hashed what precedes this file in the image's fingerprint; returned with this file added.
    /// `progress` is told how many bytes are there.
    pub(super) async fn run(
        &self,
        before: &Sha256,
        progress: &(impl Fn(u64) + Send + Sync),
    ) -> Result<Sha256, SimplestreamsError> {
        let output = File::create_new(self.target)
            .await
            .map_err(|source| self.write_error(source))?;
        let mut received = Received {
            output,
            count: 0,
            own: Sha256::new(),
            combined: before.clone(),
        };
        let mut fruitless = 0;
        while received.count < self.file.size {
            let had = received.count;
            match self.attempt(&mut received, before, progress).await {
                Ok(()) => {}
                Err(Broken::Never(error)) => return Err(error),
                Err(Broken::Again(error)) => {
                    fruitless = if received.count > had {
                        1
                    } else {
                        fruitless + 1
                    };
                    if fruitless >= FRUITLESS_ATTEMPTS {
                        return Err(error);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        received
            .output
            .sync_all()
            .await
            .map_err(|source| self.write_error(source))?;
        let hash = hex::encode(received.own.finalize());
        if hash == self.file.sha256 {
            return Ok(received.combined);
        }
        Err(self.corrupt(format!(
            "its hash is {hash} instead of {}",
            self.file.sha256
        )))
    }

    async fn attempt(
        &self,
        received: &mut Received,
        before: &Sha256,
        progress: &(impl Fn(u64) + Send + Sync),
    ) -> Result<(), Broken> {
        let response =
            self.http
                .get(self.url, received.count)
                .await
                .map_err(|error| match error {
                    WebError::Unreachable { .. } => Broken::Again(error.into()),
                    other => Broken::Never(other.into()),
                })?;
        if response.status() == StatusCode::OK && received.count > 0 {
            // It doesn't do ranges: from the start again.
            received
                .restart(before)
                .await
                .map_err(|source| Broken::Never(self.write_error(source)))?;
        }
        self.check_head(response.status(), response.headers(), received.count)?;
        let mut body = response.into_body();
        while let Some(chunk) = next_chunk(&mut body)
            .await
            .map_err(|source| Broken::Again(self.lost(source)))?
        {
            if received.count + chunk.len() as u64 > self.file.size {
                let reason = format!(
                    "it is longer than the {} bytes that were promised",
                    self.file.size
                );
                return Err(Broken::Never(self.corrupt(reason)));
            }
            received
                .append(&chunk)
                .await
                .map_err(|source| Broken::Never(self.write_error(source)))?;
            progress(received.count);
        }
        if received.count < self.file.size {
            let reason = format!(
                "it ends after {} of {} bytes",
                received.count, self.file.size
            );
            return Err(Broken::Again(self.corrupt(reason)));
        }
        Ok(())
    }

    /// Refuses at once what is going to be wrong.
    fn check_head(&self, status: StatusCode, headers: &HeaderMap, from: u64) -> Result<(), Broken> {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &hyper::header::HeaderValue| value.to_str().ok())
        };
        let start = text(CONTENT_RANGE)
            .and_then(|range| range.strip_prefix("bytes "))
            .and_then(|range| range.split('-').next()?.parse::<u64>().ok());
        if status == StatusCode::PARTIAL_CONTENT && start != Some(from) {
            return Err(Broken::Never(self.corrupt(
                "the server sent another part than was asked for".to_owned(),
            )));
        }
        let length = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        match length {
            Some(length) if from.saturating_add(length) != self.file.size => {
                let reason = format!(
                    "it has {} bytes instead of {}",
                    from.saturating_add(length),
                    self.file.size
                );
                Err(Broken::Never(self.corrupt(reason)))
            }
            _ => Ok(()),
        }
    }

    fn corrupt(&self, reason: String) -> SimplestreamsError {
        SimplestreamsError::Corrupt {
            file: self.file.path.clone(),
            reason,
        }
    }

    fn lost(&self, source: io::Error) -> SimplestreamsError {
        let server = self.url.authority();
        WebError::Unreachable { server, source }.into()
    }

    fn write_error(&self, source: io::Error) -> SimplestreamsError {
        SimplestreamsError::Write {
            path: self.target.to_owned(),
            source,
        }
    }
}

impl Received {
    async fn append(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.output.write_all(chunk).await?;
        self.own.update(chunk);
        self.combined.update(chunk);
        self.count += chunk.len() as u64;
        Ok(())
    }

    async fn restart(&mut self, before: &Sha256) -> io::Result<()> {
        self.output.set_len(0).await?;
        self.output.rewind().await?;
        self.count = 0;
        self.own = Sha256::new();
        self.combined = before.clone();
        Ok(())
    }
}
