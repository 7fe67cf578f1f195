//! Undo for effects inside one function: each effect pushes its undo right after it succeeded.
//!
//! A dropped [`Rollback`] runs what was pushed, last first; [`Rollback::commit`] keeps the effects.
//! An undo that fails is reported with its label and does not stop the others.

use std::fmt;

use crate::chain::chain;
use crate::interrupt;

/// Why an undo failed; any error will do.
pub type UndoError = Box<dyn std::error::Error + Send + Sync>;
type Undo<'a> = Box<dyn FnOnce() -> Result<(), UndoError> + Send + 'a>;

/// A stack of labelled undo actions.
#[must_use = "a rollback that is dropped at once undoes nothing"]
pub struct Rollback<'a> {
    what: &'static str,
    undos: Vec<(&'static str, Undo<'a>)>,
}

impl fmt::Debug for Rollback<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<_> = self.undos.iter().map(|(label, _)| label).collect();
        f.debug_struct("Rollback")
            .field("what", &self.what)
            .field("undos", &labels)
            .finish()
    }
}

impl<'a> Rollback<'a> {
    /// An empty stack; `what` names the whole in logs.
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            undos: Vec::new(),
        }
    }

    /// Registers the undo of the effect that just succeeded.
    pub fn push<E>(&mut self, label: &'static str, undo: impl FnOnce() -> Result<(), E> + Send + 'a)
    where
        E: Into<UndoError>,
    {
        self.undos
            .push((label, Box::new(move || undo().map_err(Into::into))));
    }

    /// Keeps all effects: nothing will be undone.
    pub fn commit(mut self) {
        self.undos.clear();
    }

    /// Undoes everything now and returns the labels of what could not be undone.
    pub fn unwind(mut self) -> Vec<&'static str> {
        self.run()
    }

    fn run(&mut self) -> Vec<&'static str> {
        let mut leftovers = Vec::new();
        while let Some((label, undo)) = self.undos.pop() {
            // What has been broken off is undone to its end.
            if let Err(error) = interrupt::scope(|| false, undo) {
                tracing::warn!(what = self.what, undo = label, error = %chain(&*error), "undo failed");
                leftovers.push(label);
            }
        }
        leftovers
    }
}

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        self.run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn undoes_last_first_and_goes_on_after_a_failure() {
        let seen = Mutex::new(Vec::new());
        let mut rollback = Rollback::new("test");
        rollback.push("a", || -> Result<(), UndoError> {
            seen.lock().unwrap().push("a");
            Ok(())
        });
        rollback.push("b", || Err::<(), UndoError>("no".into()));
        assert_eq!(rollback.unwind(), ["b"]);
        assert_eq!(*seen.lock().unwrap(), ["a"]);
    }

    #[test]
    fn commit_keeps_the_effects() {
        let mut rollback = Rollback::new("test");
        rollback.push("a", || -> Result<(), UndoError> {
            panic!("undone after commit")
        });
        rollback.commit();
    }
}
