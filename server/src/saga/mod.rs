//! Undo across subsystems: what is about to happen is written to the journal first, so that a failure, and a crash at
//! any moment, can be undone.
//!
//! After a crash everything unfinished is unwound, never resumed: the user asks again. Undo is idempotent and derived
//! only from the entry, since it may run for an effect that never happened.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use rlxc_storage::VolumeRef;
use rlxc_sys::chain::chain;

pub use entry::{
    JournalEntry, custom_volume, hidden_snapshot, instance_volume, rebuild_volume, snapshot_id,
};

use crate::context::App;
use crate::db;
use crate::error::{Error, Result};

/// The kind of warning that tells of it, and what it is about.
const UNDO_FAILED: &str = "Undo failed";
const ENTITY: &str = "/1.0";

/// The journalled effects of one operation, so far.
#[derive(Debug)]
pub struct Saga<'a> {
    app: &'a App,
    operation: String,
    entries: Vec<(i64, JournalEntry)>,
    /// Numbers of the entries that are undone even if all goes well.
    temporary: Vec<i64>,
}

impl<'a> Saga<'a> {
    /// Nothing done yet.
    pub fn new(app: &'a App, operation: &str) -> Self {
        Self {
            app,
            operation: operation.to_owned(),
            entries: Vec::new(),
            temporary: Vec::new(),
        }
    }

    /// The operation whose effects these are.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Records what the caller does next.
    pub async fn intend(&mut self, entry: JournalEntry) -> Result<()> {
        let (operation, text) = (self.operation.clone(), encode(&entry)?);
        let id = self
            .app
            .db
            .note(move |tx| db::journal::append(tx, &operation, &text))
            .await?;
        self.entries.push((id, entry));
        Ok(())
    }

    /// Records what the caller does next for as long as the operation lasts: it is undone in any case.
    pub async fn intend_temporary(&mut self, entry: JournalEntry) -> Result<()> {
        self.intend(entry).await?;
        self.temporary
            .extend(self.entries.last().map(|(id, _)| *id));
        Ok(())
    }

    /// Records what the caller does next, and changes rows in the same transaction: both are there or none. On disk when
    /// this returns, for what there is no way back from.
    pub async fn intend_with<F>(&mut self, entry: JournalEntry, change: F) -> Result<()>
    where
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<()> + Send + 'static,
    {
        let both = self.with_entry(&entry, change)?;
        let id = self.app.db.write(both).await?;
        self.entries.push((id, entry));
        Ok(())
    }

    /// The same for what a user waits for, and can ask for again: a power cut may take back the rows, not the effect.
    pub async fn intend_noted<F>(&mut self, entry: JournalEntry, change: F) -> Result<()>
    where
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<()> + Send + 'static,
    {
        let both = self.with_entry(&entry, change)?;
        let id = self.app.db.note(both).await?;
        self.entries.push((id, entry));
        Ok(())
    }

    /// A change together with an entry in the journal; gives the number of that.
    fn with_entry<F>(
        &self,
        entry: &JournalEntry,
        change: F,
    ) -> Result<impl FnOnce(&rusqlite::Transaction<'_>) -> Result<i64> + Send + use<F>>
    where
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<()> + Send + 'static,
    {
        let (operation, text) = (self.operation.clone(), encode(entry)?);
        Ok(move |tx: &rusqlite::Transaction<'_>| {
            change(tx)?;
            db::journal::append(tx, &operation, &text).map_err(Error::from)
        })
    }

    /// Takes note of an entry that the caller wrote in a transaction of its own.
    pub fn recorded(&mut self, id: i64, entry: JournalEntry) {
        self.entries.push((id, entry));
    }

    /// Keeps what this saga did: the journal forgets it. Before the operation's own end, so it is on disk no later than
    /// what is reported. If it can't be kept it is undone, or the next start would undo what was reported as done.
    pub async fn commit(self) -> Result<()> {
        let ids = self.ids();
        let forgotten = self.app.db.note(move |tx| forget(tx, &ids)).await;
        self.unless_failed(forgotten).await
    }

    /// The same for what becomes true by its rows: they are written in the transaction in which the journal forgets.
    pub async fn commit_with<T, F>(self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<T> + Send + 'static,
    {
        let changed = self.and_forget(change);
        let changed = self.app.db.write(changed).await;
        self.unless_failed(changed).await
    }

    /// The same for rows that a power cut may take back: nothing that is lost for good follows from them.
    pub async fn commit_noted<T, F>(self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<T> + Send + 'static,
    {
        let changed = self.and_forget(change);
        let changed = self.app.db.note(changed).await;
        self.unless_failed(changed).await
    }

    /// The same as [`Saga::commit_with`] where the change leaves something behind that nobody names any more: it is undone next, by the next daemon if
    /// this one dies.
    pub async fn commit_and_undo<F>(self, left: JournalEntry, change: F) -> Result<()>
    where
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<()> + Send + 'static,
    {
        let mut rest = Saga::new(self.app, &self.operation);
        let (operation, entry) = (self.operation.clone(), left.clone());
        let number = self
            .commit_with(move |tx| {
                change(tx)?;
                append(tx, &operation, &entry)
            })
            .await?;
        rest.recorded(number, left);
        rest.unwind().await;
        Ok(())
    }

    /// Keeps what there is no way back from: if the journal can't forget it at once, it is told and tried again.
    pub async fn keep(self) {
        let ids = self.ids();
        if let Err(error) = self.app.db.note(move |tx| forget(tx, &ids)).await {
            for (id, entry) in &self.entries {
                let message = format!("{entry:?} was done: {}", chain(&error));
                abandon(self.app, *id, &message).await;
            }
        }
    }

    /// A change, with which the journal forgets what this saga did.
    fn and_forget<T, F>(
        &self,
        change: F,
    ) -> impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T> + Send + use<T, F>
    where
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<T> + Send + 'static,
    {
        let ids = self.ids();
        move |tx| {
            let value = change(tx)?;
            forget(tx, &ids).map(|()| value)
        }
    }

    /// What the journal forgets when all went well.
    fn ids(&self) -> Vec<i64> {
        let ids = self.entries.iter().map(|(id, _)| *id);
        ids.filter(|id| !self.temporary.contains(id)).collect()
    }

    async fn unless_failed<T>(mut self, result: Result<T>) -> Result<T> {
        if result.is_ok() {
            self.entries.retain(|(id, _)| self.temporary.contains(id));
        }
        self.unwind().await;
        result
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
            Ok(value) => self.commit().await.map(|()| value),
            failed @ Err(_) => self.unless_failed(failed).await,
        }
    }
}

/// Writes an entry in a transaction of the caller's; its number.
pub fn append(
    tx: &rusqlite::Transaction<'_>,
    operation: &str,
    entry: &JournalEntry,
) -> Result<i64> {
    Ok(db::journal::append(tx, operation, &encode(entry)?)?)
}

fn forget(tx: &rusqlite::Transaction<'_>, ids: &[i64]) -> Result<()> {
    Ok(ids.iter().try_for_each(|id| db::journal::remove(tx, *id))?)
}

/// Volumes that are being made, put back or removed now, or still must be.
pub fn volumes_at_work(tx: &rusqlite::Transaction<'_>) -> Result<BTreeSet<VolumeRef>> {
    let entries = db::journal::list(tx)?;
    let parsed = entries
        .iter()
        .filter_map(|(_, text)| serde_json::from_str::<JournalEntry>(text).ok());
    Ok(parsed.filter_map(|entry| entry.volume()).collect())
}

/// Unwinds what a crash left in the journal. Runs before the API opens.
pub async fn recover(app: &App) -> Result<()> {
    retry(app).await?;
    let left = app.db.read(db::journal::list).await?;
    for (id, text) in left {
        if let Some(entry) = decode(app, id, &text).await {
            tracing::info!(?entry, "undoing what was under way when the daemon ended");
            undo(app, id, &entry).await;
        }
    }
    settle_warning(app).await
}

/// Tries again what could not be undone when it should have been.
pub async fn retry(app: &App) -> Result<()> {
    let left = app.db.read(db::journal::abandoned).await?;
    if left.is_empty() {
        return Ok(());
    }
    for (id, text) in left {
        if let Some(entry) = decode(app, id, &text).await {
            if entry.can_wait() {
                let _turn = entry.turn(app).await;
                undo(app, id, &entry).await;
            } else {
                app.db.note(move |tx| forget(tx, &[id])).await?;
            }
        }
    }
    settle_warning(app).await
}

async fn settle_warning(app: &App) -> Result<()> {
    if app.db.read(db::journal::abandoned).await?.is_empty() {
        app.resolve(UNDO_FAILED, ENTITY);
    }
    Ok(())
}

fn encode(entry: &JournalEntry) -> Result<String> {
    Ok(db::keys::to_json("a journal entry", entry)?)
}

async fn decode(app: &App, id: i64, text: &str) -> Option<JournalEntry> {
    match serde_json::from_str(text) {
        Ok(entry) => Some(entry),
        Err(error) => {
            let message = format!("journal entry {id} can't be read: {error}");
            abandon(app, id, &message).await;
            None
        }
    }
}

async fn undo(app: &App, id: i64, entry: &JournalEntry) {
    let result = match entry.undo(app).await {
        Ok(()) => {
            app.db
                .note::<_, Error, _>(move |tx| Ok(db::journal::remove(tx, id)?))
                .await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        abandon(
            app,
            id,
            &format!("{entry} could not be undone: {}", chain(&error)),
        )
        .await;
    }
}

/// What can't be undone now stays in the journal, for [`retry`] and for the next start.
async fn abandon(app: &App, id: i64, message: &str) {
    tracing::error!(message, "undo failed");
    let marked: Result<()> = app
        .db
        .note(move |tx| Ok(db::journal::abandon(tx, id)?))
        .await;
    if let Err(error) = marked {
        tracing::error!(error = %chain(&error), "a journal entry waits for the next start");
    }
    app.warn(UNDO_FAILED, ENTITY, message).await;
}
