//! `get`, `set`, `unset`, `show` and `edit`, the same for all that has configuration keys.

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::Pair;
use crate::context::Context;
use crate::editor;

/// Reads KEY=VALUE…, or KEY VALUE.
pub(crate) fn pairs(words: &[String]) -> Result<Vec<Pair>> {
    if let [key, value] = words
        && !key.contains('=')
    {
        return Ok(vec![Pair {
            key: key.clone(),
            value: value.clone(),
        }]);
    }
    words
        .iter()
        .map(|word| {
            word.parse()
                .map_err(|error| anyhow::anyhow!("`{word}`: {error}"))
        })
        .collect()
}

/// The keys as a map of JSON.
pub(crate) fn map(pairs: Vec<Pair>) -> std::collections::BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|Pair { key, value }| (key, value))
        .collect()
}

/// Prints a key of the object at `path`; `field` is `config` or `expanded_config`.
pub(crate) async fn get(context: &Context, path: &str, field: &str, key: &str) -> Result<()> {
    let object: Value = context.client.get(path).await?;
    match &object[field][key] {
        Value::Null => context.printer.line(""),
        Value::String(value) => context.printer.line(value),
        other => context.printer.line(&other.to_string()),
    }
}

/// Sets keys; an empty value unsets.
pub(crate) async fn set(context: &Context, path: &str, pairs: Vec<Pair>) -> Result<()> {
    let reply = context
        .client
        .patch(path, &json!({ "config": map(pairs) }))
        .await?;
    context.finish(reply, "Changing the configuration").await?;
    Ok(())
}

/// Unsets a key, which must be set.
pub(crate) async fn unset(context: &Context, path: &str, key: &str) -> Result<()> {
    let object: Value = context.client.get(path).await?;
    if object["config"][key].is_null() {
        bail!("`{key}` is not set");
    }
    set(
        context,
        path,
        vec![Pair {
            key: key.to_owned(),
            value: String::new(),
        }],
    )
    .await
}

/// Lets the writable fields of the object at `path` be edited.
pub(crate) async fn edit<T>(context: &Context, path: &str, comment: &str) -> Result<()>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    let tagged = context.client.get_tagged::<Value>(path).await?;
    let Some(edited) = editor::edit::<T>(&context.printer, &tagged.value, comment)? else {
        context.printer.note("Nothing was changed.");
        return Ok(());
    };
    let reply = context
        .client
        .put(path, &edited, tagged.etag.as_deref())
        .await?;
    context
        .finish(reply, "Changing the configuration")
        .await
        .context("change it")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn both_forms_are_read() {
        let pair = |key: &str, value: &str| Pair {
            key: key.into(),
            value: value.into(),
        };
        assert_eq!(
            pairs(&words("a=1 b=2=3")).unwrap(),
            [pair("a", "1"), pair("b", "2=3")]
        );
        assert_eq!(pairs(&words("a 1=2")).unwrap(), [pair("a", "1=2")]);
        assert!(pairs(&words("a")).is_err());
    }
}
