//! The envelope of every JSON reply.

use serde::{Deserialize, Serialize};

use crate::operation::Operation;
use crate::status_code::StatusCode;

/// A reply. All fields are always there, even where they are empty: some clients read them unasked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de>"))]
pub struct Response<T> {
    /// `sync`, `async` or `error`.
    #[serde(rename = "type")]
    pub kind: ResponseType,
    /// Text of `status_code`.
    pub status: String,
    /// `Success`, `OperationCreated`, or none where it is an error.
    pub status_code: StatusCode,
    /// `async`: path of the operation, without a query.
    pub operation: String,
    /// `error`: the HTTP code.
    pub error_code: u16,
    /// `error`: what went wrong.
    pub error: String,
    /// The content; `async`: the [`Operation`].
    pub metadata: Option<T>,
}

/// Kind of a reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseType {
    /// Done.
    #[default]
    Sync,
    /// Begun; an operation goes on.
    Async,
    /// Refused or not possible.
    Error,
}

impl<T> Default for Response<T> {
    fn default() -> Self {
        Self {
            kind: ResponseType::Sync,
            status: String::new(),
            status_code: StatusCode::None,
            operation: String::new(),
            error_code: 0,
            error: String::new(),
            metadata: None,
        }
    }
}

impl<T> Response<T> {
    /// The reply to a request that is done.
    pub fn sync(metadata: T) -> Self {
        Self {
            kind: ResponseType::Sync,
            status: StatusCode::Success.text().to_owned(),
            status_code: StatusCode::Success,
            operation: String::new(),
            error_code: 0,
            error: String::new(),
            metadata: Some(metadata),
        }
    }

    /// The reply to a request that is refused or not possible, with its HTTP code.
    pub fn error(code: u16, message: impl Into<String>) -> Self {
        Self {
            kind: ResponseType::Error,
            status: String::new(),
            status_code: StatusCode::None,
            operation: String::new(),
            error_code: code,
            error: message.into(),
            metadata: None,
        }
    }
}

impl Response<Operation> {
    /// The reply to a request whose operation goes on.
    pub fn asynchronous(operation: Operation) -> Self {
        Self {
            kind: ResponseType::Async,
            status: StatusCode::OperationCreated.text().to_owned(),
            status_code: StatusCode::OperationCreated,
            operation: operation.url(),
            error_code: 0,
            error: String::new(),
            metadata: Some(operation),
        }
    }
}
