//! PATCH: what is given is laid over what is there. Keys merge one by one, an empty value takes a key away; a device that
//! is given replaces that device.

use rlxc_api::{ConfigMap, DevicesMap, InstancePut};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// Lays `changes` over an instance.
pub(super) fn instance(current: InstancePut, changes: Value) -> Result<InstancePut> {
    if changes
        .get("restore")
        .is_some_and(|restore| restore.as_str() != Some(""))
    {
        return Err(Error::Invalid(
            "restore is not possible with PATCH: use PUT".to_owned(),
        ));
    }
    let mut merged = overlay(&current, changes.clone())?;
    let given: InstancePut = parse(changes)?;
    merged.config = config(current.config, given.config);
    merged.devices = devices(current.devices, given.devices);
    Ok(merged)
}

/// Lays the top-level fields of `changes` over `current`.
pub(super) fn overlay<T: serde::Serialize + DeserializeOwned>(
    current: &T,
    changes: Value,
) -> Result<T> {
    let mut value = serde_json::to_value(current).map_err(Error::internal)?;
    if let (Some(target), Value::Object(fields)) = (value.as_object_mut(), changes) {
        target.extend(fields);
    }
    parse(value)
}

/// Keys over keys; an empty value takes one away.
pub(super) fn config(mut current: ConfigMap, changes: ConfigMap) -> ConfigMap {
    current.extend(changes);
    current.retain(|_, value| !value.is_empty());
    current
}

/// Devices over devices.
pub(super) fn devices(mut current: DevicesMap, changes: DevicesMap) -> DevicesMap {
    current.extend(changes);
    current
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|error| Error::Invalid(format!("the body is not what it should be: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put(value: Value) -> InstancePut {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn keys_merge_and_devices_are_replaced() {
        let current = put(
            json!({"description": "d", "config": {"a": "1", "b": "2"}, "devices": {"x": {"type": "disk", "path": "/x"}}}),
        );
        let merged = instance(
            current,
            json!({"config": {"a": "", "c": "3"}, "devices": {"x": {"type": "none"}}}),
        )
        .unwrap();
        assert_eq!(
            merged,
            put(
                json!({"description": "d", "config": {"b": "2", "c": "3"}, "devices": {"x": {"type": "none"}}, "profiles": null})
            )
        );
    }

    #[test]
    fn restore_is_refused() {
        assert!(instance(InstancePut::default(), json!({"restore": "s"})).is_err());
    }
}
