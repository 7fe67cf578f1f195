//! An operation as a row, and back.

use rlxc_api::{Operation, StatusCode, Timestamp};

use crate::db::operations::OperationRecord;

/// What clients see of a remembered operation.
pub(super) fn render(row: OperationRecord) -> Operation {
    let status = StatusCode::from(row.status_code);
    Operation {
        id: row.id,
        class: row.class,
        description: row.description,
        created_at: Timestamp(row.created_at),
        updated_at: Timestamp(row.updated_at),
        status: status.text().to_owned(),
        status_code: status,
        resources: serde_json::from_value(row.resources).unwrap_or_default(),
        metadata: row
            .metadata
            .and_then(|value| serde_json::from_value(value).ok()),
        may_cancel: false,
        err: row.error,
        location: "none".to_owned(),
    }
}
