//! What can go wrong, sorted by what the caller can do about it. Only [`crate::http`] knows the HTTP codes.

use std::error::Error as StdError;

use crate::db::DbError;

/// Any error as a cause.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The error of the application layer. What a client should read is in the text; causes follow by `source`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("{kind} `{name}` not found{hint}")]
    NotFound {
        /// `instance`, `image`, …
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The nearest names, as a sentence that follows, or nothing.
        hint: String,
    },
    /// The name is taken.
    #[error("{kind} `{name}` already exists")]
    AlreadyExists {
        /// `instance`, `image`, …
        kind: &'static str,
        /// Whose name it is.
        name: String,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The request makes sense, but this part of it failed for a reason that the user can mend.
    #[error("{what}")]
    Failed {
        /// What was being done, to what.
        what: String,
        /// Why it did not work.
        #[source]
        source: Cause,
    },
    /// Another operation holds it.
    #[error("instance `{name}` is busy: operation {operation} ({verb}) is under way")]
    Busy {
        /// Which instance.
        name: String,
        /// What is being done to it.
        verb: &'static str,
        /// By which operation.
        operation: String,
    },
    /// It is in use, or in a state that does not allow this.
    #[error("{0}")]
    Conflict(String),
    /// `If-Match` did not match.
    #[error("the {0} was changed by somebody else meanwhile: read it again")]
    Changed(&'static str),
    /// What is always there can't go, whoever asks.
    #[error("{0}")]
    Protected(String),
    /// Not for this caller.
    #[error("not authorized")]
    Forbidden,
    /// The host lacks something.
    #[error("{0}")]
    Unavailable(String),
    /// The operation was cancelled.
    #[error("the operation was cancelled")]
    Cancelled,
    /// Our fault, or the disk's.
    #[error("internal error")]
    Internal(#[source] Cause),
}

impl Error {
    /// There is no such thing.
    pub fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound {
            kind,
            name: name.into(),
            hint: String::new(),
        }
    }

    /// The name is taken.
    pub fn exists(kind: &'static str, name: impl Into<String>) -> Self {
        Self::AlreadyExists {
            kind,
            name: name.into(),
        }
    }

    /// Something failed while doing `what`.
    pub fn failed(what: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Failed {
            what: what.into(),
            source: source.into(),
        }
    }

    /// Our fault.
    pub fn internal(source: impl Into<Cause>) -> Self {
        Self::Internal(source.into())
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<rlxc_api::name::NameError> for Error {
    fn from(error: rlxc_api::name::NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// The result of the application layer.
pub type Result<T, E = Error> = std::result::Result<T, E>;
