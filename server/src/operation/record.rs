//! An operation as a row, and back.

use rlxc_api::{Operation, Requestor, StatusCode, Timestamp};

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
        requestor: read_requestor(&row.requestor),
    }
}

/// Who asked, as the row has it.
pub(super) fn requestor_text(who: &Requestor) -> String {
    serde_json::to_string(who).unwrap_or_default()
}

/// The first daemons wrote `protocol:name`.
fn read_requestor(text: &str) -> Option<Requestor> {
    if let Ok(who) = serde_json::from_str(text) {
        return Some(who);
    }
    let (protocol, username) = text.split_once(':')?;
    Some(Requestor {
        username: username.to_owned(),
        protocol: protocol.to_owned(),
        address: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_is_read_in_both_forms() {
        let who = Requestor {
            username: "root".to_owned(),
            protocol: "unix".to_owned(),
            address: "@".to_owned(),
        };
        assert_eq!(read_requestor(&requestor_text(&who)), Some(who.clone()));
        let old = Requestor {
            address: String::new(),
            ..who
        };
        assert_eq!(read_requestor("unix:root"), Some(old));
        assert_eq!(read_requestor(""), None);
    }
}
