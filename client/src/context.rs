//! What every command needs: the daemon and the printer.

use std::io::IsTerminal;

use anyhow::Result;
use rlxc_api::{Operation, Server};
use rlxc_client::{ClientError, Connection, Endpoint, Reply, url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::{Format, ListOfAllArgs};
use crate::printer::Printer;
use crate::progress::Progress;
use crate::remote::Remotes;
use crate::render::{self, Table};

/// What every command needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) client: Connection,
    pub(crate) printer: Printer,
    /// Name of the remote that the command is about.
    pub(crate) remote: String,
    /// Name of the project that the command works in.
    pub(crate) project: String,
}

/// The project that always exists.
pub(crate) const DEFAULT_PROJECT: &str = "default";

impl Context {
    pub(crate) fn new(
        remote: String,
        endpoint: Endpoint,
        project: Option<String>,
        printer: Printer,
    ) -> Self {
        Self {
            project: project
                .clone()
                .unwrap_or_else(|| DEFAULT_PROJECT.to_owned()),
            client: Connection::new(endpoint, project),
            printer,
            remote,
        }
    }

    /// The same about another remote, in the project that is worked in there unless one is given.
    pub(crate) fn elsewhere(&self, remote: &str, project: Option<String>) -> Result<Self> {
        let remotes = Remotes::load()?;
        let endpoint = remotes.endpoint(remote)?;
        let project = project
            .or_else(|| remotes.project(remote).map(str::to_owned))
            .or_else(|| endpoint.own_project());
        let printer = self.printer.clone();
        Ok(Self::new(remote.to_owned(), endpoint, project, printer))
    }

    /// Whether the server has an extension of the API.
    pub(crate) async fn has_extension(&self, name: &str) -> Result<bool, ClientError> {
        let server: Server = self.client.get("/1.0").await?;
        let mut all = server.untrusted.api_extensions.iter();
        Ok(all.any(|extension| extension == name))
    }

    /// Waits until what was asked is done, with its progress shown beside `label`. Ctrl-C cancels it.
    pub(crate) async fn finish(
        &self,
        reply: Reply,
        label: &str,
    ) -> Result<Option<Operation>, ClientError> {
        let Reply::Begun(operation) = reply else {
            return Ok(None);
        };
        let progress = Progress::new(label, self.printer.is_quiet());
        let follow = self
            .client
            .follow(&operation, |changed| progress.show(changed));
        tokio::pin!(follow);
        let done = loop {
            tokio::select! {
                done = &mut follow => break done,
                _pressed = tokio::signal::ctrl_c() => {
                    // What can't be cancelled goes on in the daemon; leave it there.
                    self.client.cancel(&operation).await?;
                    progress.note("cancelling");
                }
            }
        };
        progress.end();
        done.map(Some)
    }

    /// Prints a list: the objects of the API, or rows made of them.
    pub(crate) fn list<T: Serialize>(
        &self,
        format: Format,
        objects: &T,
        table: impl FnOnce() -> Table,
    ) -> Result<()> {
        let text = match format {
            Format::Json => render::json(objects)?,
            Format::Yaml => render::yaml(objects)?,
            Format::Table => table().bordered(),
            Format::Compact => table().compact(),
            Format::Csv => table().csv(),
        };
        self.printer.print(&text)
    }

    /// Prints the things at `path`, which are in projects: of this one, or of all with a column that tells which.
    pub(crate) async fn list_of_projects<T: Serialize + DeserializeOwned>(
        &self,
        path: &str,
        args: &ListOfAllArgs,
        table: impl FnOnce(&[T]) -> Table,
        project: impl Fn(&T) -> &str,
    ) -> Result<()> {
        let mut path = url::with_query(path, "recursion", "1");
        if args.all_projects {
            path = url::with_query(&path, "all-projects", "true");
        }
        let all: Vec<T> = self.client.get(&path).await?;
        self.list(args.list.format, &all, || {
            let table = table(&all);
            if args.all_projects {
                table.beginning_with("PROJECT", all.iter().map(project))
            } else {
                table
            }
        })
    }

    /// Prints an object as YAML.
    pub(crate) fn yaml<T: Serialize>(&self, object: &T) -> Result<()> {
        self.printer.print(&render::yaml(object)?)
    }
}

/// Whether people are at both ends.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}
