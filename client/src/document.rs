//! Objects that people write as YAML: what is in them must be understood, for what is left out of an object is unset.

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, fstat};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::hint;
use crate::printer::Printer;

/// Who hears nothing for so long is told what is waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// The object that is to be made, where stdin is a file or a pipe with YAML in it. `Whole` is the object as the API shows
/// it: what `show` prints can be given back.
///
/// As in LXD's client a pipe is read to its end, by whichever verb makes something. Left alone are terminals, devices, and
/// sockets: those are what programs (Node.js, inetd, some servers of ssh) give to the commands that they run, and keep open.
pub(crate) fn given<T, Whole>(printer: &Printer) -> Result<Option<T>>
where
    T: DeserializeOwned,
    Whole: Default + Serialize,
{
    let mut stdin = std::io::stdin();
    let Ok(facts) = fstat(&stdin) else {
        return Ok(None);
    };
    match FileType::from_raw_mode(facts.st_mode) {
        FileType::RegularFile => {}
        FileType::Fifo => say_if_silent(printer)?,
        _ => return Ok(None),
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).context("read stdin")?;
    if is_empty(&text) {
        return Ok(None);
    }
    let whole = serde_json::to_value(Whole::default())?;
    read(&text, &whole)
        .context("understand the YAML on stdin (if it is not for this command, add `< /dev/null`)")
        .map(Some)
}

fn say_if_silent(printer: &Printer) -> Result<()> {
    let stdin = std::io::stdin();
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    let limit = SILENCE.try_into()?;
    if rustix::event::poll(&mut ready, Some(&limit)) == Ok(0) {
        printer.note("Waiting for YAML on stdin, to its end; without any, add `< /dev/null`.");
    }
    Ok(())
}

/// Whether there is no document: nothing, or comments only.
fn is_empty(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line == "---" || line.starts_with('#'))
}

/// Reads the writable part of an object. It may have the other fields of the `whole` object, which change nothing.
pub(crate) fn read<T: DeserializeOwned>(text: &str, whole: &Value) -> Result<T> {
    ensure!(!is_empty(text), "the YAML is empty: `{{}}` would unset all");
    let mut unknown = Vec::new();
    let object = serde_ignored::deserialize(serde_norway::Deserializer::from_str(text), |path| {
        let path = path.to_string();
        if !path.contains('.') && whole.get(&path).is_none() {
            unknown.push(path);
        }
    })?;
    if let Some(key) = unknown.first() {
        let known = whole.as_object().into_iter().flatten();
        let near = hint::did_you_mean(key, known.map(|(name, _)| name.as_str()));
        let near = near.map_or_else(String::new, |near| format!(": {near}"));
        anyhow::bail!("unknown field `{key}`{near}");
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use rlxc_api::{Profile, ProfilePut};

    use super::*;

    fn profile(text: &str) -> Result<ProfilePut> {
        read(text, &serde_json::to_value(Profile::default()).unwrap())
    }

    #[test]
    fn what_show_prints_is_read() {
        let text = "name: web\nused_by: []\nproject: default\nconfig:\n  limits.cpu: '2'\n";
        assert_eq!(profile(text).unwrap().config["limits.cpu"], "2");
        assert_eq!(profile("{}").unwrap(), ProfilePut::default());
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        for empty in ["", "\n", "---\n", "# limits\n\n"] {
            let error = profile(empty).unwrap_err().to_string();
            assert!(error.contains("is empty"), "{error}");
        }
        let error = profile("confg:\n  limits.cpu: '2'\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown field `confg`: did you mean `config`?"
        );
        profile("config: 7").unwrap_err();
    }
}
