//! PATCH: what is given is laid over what is there. Keys merge one by one, an empty value takes a key away; a device that
//! is given replaces that device; any other field is replaced.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Lays `changes` over the writable part of a resource.
pub(super) fn merge<T: Serialize + DeserializeOwned>(current: &T, changes: Value) -> Result<T> {
    if changes
        .get("restore")
        .is_some_and(|restore| restore.as_str() != Some(""))
    {
        return Err(Error::Invalid(
            "restore is not possible with PATCH: use PUT".to_owned(),
        ));
    }
    let mut merged = serde_json::to_value(current).map_err(Error::internal)?;
    if let (Some(target), Value::Object(fields)) = (merged.as_object_mut(), changes) {
        for (name, value) in fields {
            lay_over(target, name, value);
        }
    }
    serde_json::from_value(merged)
        .map_err(|error| Error::Invalid(format!("the body is not what it should be: {error}")))
}

fn lay_over(target: &mut Map<String, Value>, name: String, value: Value) {
    let by_key = matches!(name.as_str(), "config" | "devices" | "properties");
    match (target.get_mut(&name), value) {
        (Some(Value::Object(entries)), Value::Object(given)) if by_key => {
            entries.extend(given);
            entries.retain(|_, entry| entry.as_str() != Some(""));
        }
        // Go writes null for a map that is empty.
        (_, Value::Null) if by_key => {}
        (_, value) => {
            target.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rlxc_api::InstancePut;
    use serde_json::json;

    fn put(value: Value) -> InstancePut {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn keys_merge_and_devices_are_replaced() {
        let current = put(
            json!({"description": "d", "config": {"a": "1", "b": "2"}, "devices": {"x": {"type": "disk", "path": "/x"}}}),
        );
        let changes = json!({"config": {"a": "", "c": "3"}, "devices": {"x": {"type": "none"}}});
        let expected = put(
            json!({"description": "d", "config": {"b": "2", "c": "3"}, "devices": {"x": {"type": "none"}}}),
        );
        assert_eq!(merge(&current, changes).unwrap(), expected);
    }

    #[test]
    fn restore_is_refused() {
        assert!(merge(&InstancePut::default(), json!({"restore": "s"})).is_err());
    }
}
