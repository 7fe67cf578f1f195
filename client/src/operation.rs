//! Operations: waiting for them, with their progress.

use std::time::Duration;

use rlxc_api::{Operation, StatusCode};
use serde_json::Value;

use crate::connection::{Connection, Reply};
use crate::error::ClientError;

/// Operations that end before this are not watched: most do, and opening a websocket would double their price.
const PATIENCE: Duration = Duration::from_millis(150);

impl Connection {
    /// Waits until an operation is over, however it ends.
    pub async fn wait_for_end(&self, operation: &Operation) -> Result<Operation, ClientError> {
        if operation.is_final() {
            return Ok(operation.clone());
        }
        self.get(&format!("{}/wait?timeout=-1", operation.url()))
            .await
    }

    /// Waits until an operation has succeeded; fails with the daemon's words where it does not.
    pub async fn wait(&self, operation: &Operation) -> Result<Operation, ClientError> {
        succeeded(self.wait_for_end(operation).await?)
    }

    /// Waits until what was asked is done; gives back the operation where there was one.
    pub async fn finish(&self, reply: Reply) -> Result<Option<Operation>, ClientError> {
        match reply {
            Reply::Done(_) => Ok(None),
            Reply::Begun(operation) => self.wait(&operation).await.map(Some),
        }
    }

    /// As [`Connection::wait`]; `changed` sees the operation whenever it changes.
    pub async fn follow(
        &self,
        operation: &Operation,
        mut changed: impl FnMut(&Operation),
    ) -> Result<Operation, ClientError> {
        let end = self.wait_for_end(operation);
        tokio::pin!(end);
        if let Ok(over) = tokio::time::timeout(PATIENCE, &mut end).await {
            return succeeded(over?);
        }
        tokio::select! {
            biased;
            over = &mut end => return succeeded(over?),
            // Without events there is no progress to show, and nothing else is lost.
            _watched = self.watch(&operation.id, &mut changed) => {}
        }
        succeeded(end.await?)
    }

    async fn watch(
        &self,
        id: &str,
        changed: &mut impl FnMut(&Operation),
    ) -> Result<(), ClientError> {
        let mut events = self.events(&["operation"], false).await?;
        // What happened before the websocket was open.
        changed(&self.get(&format!("/1.0/operations/{id}")).await?);
        while let Some(event) = events.next().await? {
            if event.metadata.get("id").and_then(Value::as_str) != Some(id) {
                continue;
            }
            if let Ok(operation) = serde_json::from_value(event.metadata) {
                changed(&operation);
            }
        }
        Ok(())
    }

    /// Asks for an operation to be cancelled.
    pub async fn cancel(&self, operation: &Operation) -> Result<(), ClientError> {
        self.delete(&operation.url()).await.map(|_| ())
    }
}

fn succeeded(operation: Operation) -> Result<Operation, ClientError> {
    match operation.status_code {
        StatusCode::Success => Ok(operation),
        code => Err(ClientError::Operation {
            message: if operation.err.is_empty() {
                format!("{}: {}", operation.description, operation.status)
            } else {
                operation.err
            },
            description: operation.description,
            cancelled: code == StatusCode::Cancelled,
        }),
    }
}
