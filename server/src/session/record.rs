//! `record-output`: what a command writes is kept as logs of its instance, to be fetched later.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;

use super::exec::{Session, started, wait};
use super::pipes::{Pipe, save};
use crate::context::App;
use crate::error::{Error, Result};
use crate::files::logs;
use crate::operation::Handle;

/// Where output is recorded.
pub(super) struct Recording {
    pub(super) app: Arc<App>,
    pub(super) instance: i64,
    pub(super) name: String,
}

impl Recording {
    /// Runs a command to its end; `output` in the operation's metadata says where to find what it wrote.
    pub(super) async fn run(self, session: Session, operation: &Handle) -> Result<i32> {
        let failed = |error| Error::failed("record the output of the command", error);
        let [(name, file), (error_name, error_file)] =
            logs::record(&self.app, self.instance, operation.id()).await?;
        let null = File::open("/dev/null").map_err(failed)?;
        let (stdout, stderr) = (Pipe::new().map_err(failed)?, Pipe::new().map_err(failed)?);
        let stdio = vec![OwnedFd::from(null), stdout.writer, stderr.writer];
        let command = started(session.running.exec(session.request, stdio).await)?;
        let (end, ended) = watch::channel(false);
        let saving = [
            tokio::spawn(save(file, stdout.reader, ended.clone())),
            tokio::spawn(save(error_file, stderr.reader, ended)),
        ];
        let status = wait(command.as_ref()).await?;
        end.send_replace(true);
        for task in saving {
            let saved = task
                .await
                .map_err(|error| Error::internal(Box::new(error)))?;
            saved.map_err(failed)?;
        }
        let url = |file: &str| format!("/1.0/instances/{}/logs/exec-output/{file}", self.name);
        operation.set("output", json!({ "1": url(&name), "2": url(&error_name) }));
        Ok(status)
    }
}
