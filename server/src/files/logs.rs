//! Logs about instances: what its console was written, what commands with `record-output` wrote.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rlxc_sys::file::FileError;
use rlxc_sys::path::{Resolve, open_beneath, open_dir, unlink};
use rustix::fs::{Mode, OFlags};

use crate::app::instance;
use crate::context::{App, blocking};
use crate::error::{Error, Result};

/// What recorded output is called: `exec_<operation>.stdout` and `.stderr`.
const RECORDED: &str = "exec_";

/// Which logs are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Recorded output of commands.
    Recorded,
}

impl Which {
    fn includes(self, name: &str) -> bool {
        is_name(name) && (self == Self::All || name.starts_with(RECORDED))
    }
}

/// The names of an instance's logs, sorted.
pub async fn list(app: &App, project: &str, name: &str, which: Which) -> Result<Vec<String>> {
    let id = instance::find_id(app, project, name).await?;
    let path = app.places.instance_logs(id);
    blocking(move || {
        let names = match rlxc_sys::file::list_dir(&path) {
            Ok(names) => names,
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        Ok(names.filter(|name| which.includes(name)).collect())
    })
    .await
}

/// Opens a log.
pub async fn open(
    app: &App,
    project: &str,
    name: &str,
    which: Which,
    file: &str,
) -> Result<(File, u64)> {
    let id = instance::find_id(app, project, name).await?;
    let file = check(which, file)?;
    let path = app.places.instance_logs(id);
    blocking(move || {
        let logs = directory(&path, &file)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let how = Resolve::NoSymlinks;
        let open = open_beneath(&logs, Path::new(&file), flags, Mode::empty(), how);
        let open = File::from(open.map_err(failed)?);
        let facts = open
            .metadata()
            .map_err(|error| Error::failed(format!("look at log `{file}`"), error))?;
        if facts.is_file() {
            Ok((open, facts.len()))
        } else {
            Err(Error::not_found("log", file))
        }
    })
    .await
}

/// Removes recorded output; other logs belong to the daemon.
pub async fn delete(app: &App, project: &str, name: &str, file: &str) -> Result<()> {
    let id = instance::find_id(app, project, name).await?;
    let file = check(Which::All, file)?;
    if !Which::Recorded.includes(&file) {
        return Err(Error::Invalid(format!(
            "log `{file}` can't be deleted: only recorded output can (`{RECORDED}…`)"
        )));
    }
    let path = app.places.instance_logs(id);
    blocking(move || {
        let logs = directory(&path, &file)?;
        unlink(&logs, Path::new(&file), Resolve::NoSymlinks).map_err(failed)
    })
    .await
}

/// Two new files for what a command writes, and their names.
pub(crate) async fn record(app: &App, id: i64, operation: &str) -> Result<[(String, File); 2]> {
    let path = app.places.instance_logs(id);
    let names = ["stdout", "stderr"].map(|stream| format!("{RECORDED}{operation}.{stream}"));
    blocking(move || {
        let logs = open_dir(&path).map_err(failed)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let create = |name: &str| {
            let (path, how) = (Path::new(name), Resolve::NoSymlinks);
            let file = open_beneath(&logs, path, flags, Mode::from_raw_mode(0o600), how);
            Ok::<_, Error>((name.to_owned(), File::from(file.map_err(failed)?)))
        };
        Ok([create(&names[0])?, create(&names[1])?])
    })
    .await
}

fn directory(path: &Path, file: &str) -> Result<OwnedFd> {
    match open_dir(path) {
        // An instance that never ran has no directory.
        Err(error) if error.is_not_found() => Err(Error::not_found("log", file)),
        other => other.map_err(failed),
    }
}

fn check(which: Which, file: &str) -> Result<String> {
    if which.includes(file) {
        Ok(file.to_owned())
    } else {
        Err(Error::not_found("log", file))
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

fn failed(error: FileError) -> Error {
    if error.is_not_found() {
        let name = error.path.file_name().unwrap_or_default();
        return Error::not_found("log", name.to_string_lossy());
    }
    Error::failed(error.to_string(), error.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_name() {
        assert!(is_name("console.log"));
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "../x",
            "a/b",
            "/etc/passwd",
            "a\0b",
            "a b",
        ] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn only_recorded_output_counts_as_such() {
        assert!(Which::Recorded.includes("exec_1.stdout"));
        assert!(!Which::Recorded.includes("console.log"));
    }
}
