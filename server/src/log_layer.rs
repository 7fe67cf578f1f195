//! The way of the daemon's log to those who listen to `/1.0/events`: a layer of `tracing`.

use std::collections::BTreeMap;
use std::fmt::Debug;

use rlxc_api::EventLogging;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::Context;

use crate::events::Events;

/// Sends each line to the bus. It must not log by itself: it would hear that too.
struct LogLayer {
    events: Events,
}

/// The layer, with what it takes: our own lines up to `debug`, and none while nobody listens.
pub fn log_layer<S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>>(
    events: Events,
) -> impl Layer<S> {
    let bus = events.clone();
    let wanted = move |metadata: &Metadata<'_>, _: &Context<'_, S>| {
        bus.is_log_heard()
            && *metadata.level() <= Level::DEBUG
            && metadata.target().starts_with("rlxc")
    };
    LogLayer { events }.with_filter(dynamic_filter_fn(wanted))
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.events.logging(&EventLogging {
            message: line.message,
            level: level(*event.metadata().level()).to_owned(),
            context: line.context,
        });
    }
}

/// As LXD's clients know them.
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    }
}

#[derive(Default)]
struct Line {
    message: String,
    context: BTreeMap<String, String>,
}

impl Line {
    fn put(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.context.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn lines_reach_who_listens_and_nobody_else_pays() {
        let events = Events::new(Arc::new(SystemClock));
        let mut heard = events.subscribe();
        let subscriber = tracing_subscriber::registry().with(log_layer(events.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            let listener = events.listen_to_log();
            tracing::warn!(path = "/a", code = 7, "it is {}", "so");
            tracing::info!(target: "somebody_else", "theirs");
            drop(listener);
            tracing::info!("after");
        });
        let event = heard.try_recv().unwrap();
        assert_eq!(event.kind, "logging");
        let line: EventLogging = serde_json::from_value(event.metadata.clone()).unwrap();
        assert_eq!((&*line.level, &*line.message), ("warning", "it is so"));
        assert_eq!(
            (&*line.context["path"], &*line.context["code"]),
            ("/a", "7")
        );
        assert!(heard.try_recv().is_err());
    }
}
