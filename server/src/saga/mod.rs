//! Undo across subsystems: what is about to happen is written to the journal first, so that a failure, and a crash at
//! any moment, can be undone.
//!
//! After a crash everything unfinished is unwound, never resumed: the user asks again. Undo is idempotent and derived
//! only from the entry, since it may run for an effect that never happened.

mod entry;

use rlxc_sys::chain::chain;

pub use entry::{JournalEntry, instance_volume, snapshot_id};

use crate::context::App;
use crate::db;
use crate::error::Result;

/// The journalled effects of one operation, so far.
#[derive(Debug)]
pub struct Saga<'a> {
    app: &'a App,
    operation: String,
    entries: Vec<(i64, JournalEntry)>,
}

impl<'a> Saga<'a> {
    /// Nothing done yet.
    pub fn new(app: &'a App, operation: &str) -> Self {
        Self {
            app,
            operation: operation.to_owned(),
            entries: Vec::new(),
        }
    }

    /// The operation whose effects these are.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Records what the caller does next.
    pub async fn intend(&mut self, entry: JournalEntry) -> Result<()> {
        let (operation, text) = (
            self.operation.clone(),
            db::keys::to_json("a journal entry", &entry)?,
        );
        let id = self
            .app
            .db
            .note(move |tx| db::journal::append(tx, &operation, &text))
            .await?;
        self.entries.push((id, entry));
        Ok(())
    }

    /// Takes note of an entry that the caller wrote in a transaction of its own.
    pub fn recorded(&mut self, id: i64, entry: JournalEntry) {
        self.entries.push((id, entry));
    }

    /// Keeps what this saga did: the journal forgets it. Queued before the operation's own end, so it is on disk no later
    /// than what is reported.
    pub fn commit(self) {
        let ids: Vec<i64> = self.entries.iter().map(|(id, _)| *id).collect();
        self.app
            .db
            .post(move |tx| ids.iter().try_for_each(|id| db::journal::remove(tx, *id)));
    }

    /// Undoes everything, the last first. What can't be undone stays in the journal and becomes a warning.
    pub async fn unwind(self) {
        for (id, entry) in self.entries.into_iter().rev() {
            undo(self.app, id, &entry).await;
        }
    }

    /// Commits or unwinds, as `result` demands, and passes it on.
    pub async fn settle<T>(self, result: Result<T>) -> Result<T> {
        match result {
            Ok(value) => {
                self.commit();
                Ok(value)
            }
            Err(error) => {
                self.unwind().await;
                Err(error)
            }
        }
    }
}

/// Unwinds what a crash left in the journal. Runs before the API opens.
pub async fn recover(app: &App) -> Result<()> {
    let left = app.db.read(db::journal::list).await?;
    for (id, text) in left {
        match serde_json::from_str::<JournalEntry>(&text) {
            Ok(entry) => {
                tracing::info!(?entry, "undoing what was under way when the daemon ended");
                undo(app, id, &entry).await;
            }
            Err(error) => tracing::error!(entry = text, %error, "a journal entry can't be read"),
        }
    }
    Ok(())
}

async fn undo(app: &App, id: i64, entry: &JournalEntry) {
    let result = match entry.undo(app).await {
        Ok(()) => {
            app.db
                .note::<_, crate::error::Error, _>(move |tx| Ok(db::journal::remove(tx, id)?))
                .await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::error!(?entry, error = %chain(&error), "undo failed");
        app.warn(
            "Undo failed",
            "/1.0",
            &format!("{entry:?}: {}", chain(&error)),
        )
        .await;
    }
}
