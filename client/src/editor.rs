//! Lets people edit YAML: in their editor, or from stdin where that is no terminal.

use std::io::{IsTerminal, Read};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::printer::Printer;
use crate::{document, render};

/// Gives back what may be changed of `whole` as it was edited; `None` where nothing was changed.
pub(crate) fn edit<T>(printer: &Printer, whole: &Value, comment: &str) -> Result<Option<T>>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    if !std::io::stdin().is_terminal() {
        let text = std::io::read_to_string(std::io::stdin()).context("read stdin")?;
        return document::read(&text, whole)
            .context("understand the YAML on stdin")
            .map(Some);
    }
    let object: T = serde_json::from_value(whole.clone()).context("understand the object")?;
    let mut text = String::new();
    for line in comment.lines() {
        text.extend(["# ", line, "\n"]);
    }
    text += &render::yaml(&object)?;
    loop {
        text = text_in_editor(&text, "yaml")?;
        match document::read::<T>(&text, whole) {
            Ok(edited) if edited == object => return Ok(None),
            Ok(edited) => return Ok(Some(edited)),
            Err(error) => {
                printer.note(&format!("this is not valid: {error:#}"));
                if !printer
                    .ask("Edit it again? [Y/n]")?
                    .to_lowercase()
                    .starts_with('n')
                {
                    continue;
                }
                bail!("nothing was changed");
            }
        }
    }
}

/// What comes on stdin; `None` where that is a terminal.
pub(crate) fn piped() -> Result<Option<Vec<u8>>> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(None);
    }
    let mut text = Vec::new();
    stdin.read_to_end(&mut text).context("read stdin")?;
    Ok(Some(text))
}

/// Reads an object as YAML from stdin.
pub(crate) fn from_stdin<T: DeserializeOwned>() -> Result<T> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("read stdin")?;
    serde_norway::from_str(&text).context("understand the YAML on stdin")
}

/// Lets a text be edited, in a file that only we can read.
pub(crate) fn text_in_editor(text: &str, extension: &str) -> Result<String> {
    let suffix = format!(".{extension}");
    let file = tempfile::Builder::new()
        .prefix("rlxc-")
        .suffix(&suffix)
        .tempfile()
        .context("create a file to edit")?;
    std::fs::write(file.path(), text).context("write the file to edit")?;
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|key| {
            std::env::var(key)
                .ok()
                .filter(|editor| !editor.trim().is_empty())
        })
        .unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    #[expect(
        clippy::disallowed_methods,
        reason = "the editor is the user's own, with the user's environment and terminal"
    )]
    let status = Command::new(program)
        .args(words)
        .arg(file.path())
        .status()
        .with_context(|| format!("run the editor `{program}` (set EDITOR to another)"))?;
    anyhow::ensure!(
        status.success(),
        "the editor `{program}` ended with {status}"
    );
    std::fs::read_to_string(file.path()).context("read the edited file")
}
