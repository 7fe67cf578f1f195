//! `monitor`.

use std::collections::BTreeMap;
use std::fmt::Display;

use anyhow::Result;
use rlxc_api::{Event, EventLifecycle, EventLogging, Operation};
use serde_json::Value;

use crate::cli::{EventFormat, MonitorArgs};
use crate::context::Context;
use crate::render;

/// Of the log, the most important first.
const LEVELS: [&str; 4] = ["error", "warning", "info", "debug"];

pub(crate) async fn run(context: &Context, args: &MonitorArgs) -> Result<()> {
    let kinds: Vec<&str> = args.kinds.iter().map(String::as_str).collect();
    let mut events = context.client.events(&kinds, args.all_projects).await?;
    while let Some(event) = events.next().await? {
        if !is_important(&event, &args.loglevel) {
            continue;
        }
        let text = match args.format {
            _ if args.pretty => pretty(&event),
            EventFormat::Pretty => pretty(&event),
            EventFormat::Json => serde_json::to_string(&event)? + "\n",
            EventFormat::Yaml => render::yaml(&event)? + "\n",
        };
        context.printer.print(&text)?;
    }
    Ok(())
}

/// Whether a line of the log is at least of this level; all other events are.
fn is_important(event: &Event, level: &str) -> bool {
    let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
    let line_level = event.metadata.get("level").and_then(Value::as_str);
    match (event.kind.as_str(), line_level) {
        ("logging", Some(line_level)) => rank(line_level) <= rank(level),
        _ => true,
    }
}

/// `2026/11/20 10:00:07 UTC INFO  instance-started /1.0/instances/c1 by root`.
fn pretty(event: &Event) -> String {
    let time = render::time_to_the_second(&event.timestamp);
    let metadata = event.metadata.clone();
    let (level, text) = match event.kind.as_str() {
        "logging" => match serde_json::from_value::<EventLogging>(metadata) {
            Ok(line) => (line.level.to_uppercase(), log_line(&line)),
            Err(_other) => ("INFO".to_owned(), event.metadata.to_string()),
        },
        "lifecycle" => match serde_json::from_value::<EventLifecycle>(metadata) {
            Ok(happened) => ("INFO".to_owned(), happening(&happened)),
            Err(_other) => ("INFO".to_owned(), event.metadata.to_string()),
        },
        _ => match serde_json::from_value::<Operation>(metadata) {
            Ok(operation) => ("INFO".to_owned(), progress(&operation)),
            Err(_other) => ("INFO".to_owned(), event.metadata.to_string()),
        },
    };
    format!("{time} {level:<7} [{}] {text}\n", event.kind)
}

fn log_line(line: &EventLogging) -> String {
    line.message.clone() + &pairs(&line.context)
}

fn happening(event: &EventLifecycle) -> String {
    let who = event.requestor.as_ref();
    let who = who.map_or_else(String::new, |who| {
        format!(" by {} ({})", who.username, who.protocol)
    });
    format!(
        "{} {}{}{who}",
        event.action,
        event.source,
        pairs(&event.context)
    )
}

fn pairs(context: &BTreeMap<String, impl Display>) -> String {
    let words: Vec<String> = context
        .iter()
        .map(|(key, value)| format!(" {key}={value}"))
        .collect();
    words.concat()
}

fn progress(operation: &Operation) -> String {
    let progress = operation.progress().map(|text| format!(" {text}"));
    let error = Some(&operation.err).filter(|text| !text.is_empty());
    let error = error.map(|text| format!(": {text}"));
    format!(
        "{} {}: {}{}{}",
        operation.id,
        operation.description,
        operation.status,
        progress.unwrap_or_default(),
        error.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use rlxc_api::Timestamp;
    use serde_json::json;

    use super::*;

    fn event(kind: &str, metadata: Value) -> Event {
        Event {
            kind: kind.to_owned(),
            timestamp: Timestamp("2026-11-20T10:00:07.1Z".to_owned()),
            metadata,
            ..Event::default()
        }
    }

    #[test]
    fn each_kind_is_one_line() {
        let lines = [
            event(
                "logging",
                json!({"level": "warning", "message": "low", "context": {"pool": "default"}}),
            ),
            event(
                "lifecycle",
                json!({"action": "instance-started", "source": "/1.0/instances/c1", "requestor": {"username": "root", "protocol": "unix"}}),
            ),
            event(
                "operation",
                json!({"id": "1", "description": "Starting instance", "status": "Failure", "err": "no"}),
            ),
            event("odd", json!("text")),
        ];
        let text: String = lines.iter().map(pretty).collect();
        assert_eq!(
            text,
            "2026/11/20 10:00:07 UTC WARNING [logging] low pool=default\n\
             2026/11/20 10:00:07 UTC INFO    [lifecycle] instance-started /1.0/instances/c1 by root (unix)\n\
             2026/11/20 10:00:07 UTC INFO    [operation] 1 Starting instance: Failure: no\n\
             2026/11/20 10:00:07 UTC INFO    [odd] \"text\"\n"
        );
    }

    #[test]
    fn the_level_is_for_the_log_only() {
        let line = |level: &str| event("logging", json!({ "level": level }));
        assert!(is_important(&line("error"), "warning"));
        assert!(!is_important(&line("info"), "warning"));
        assert!(is_important(&line("debug"), "debug"));
        assert!(is_important(&event("lifecycle", json!({})), "error"));
    }
}
