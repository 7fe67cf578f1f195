//! What clients read of the configuration keys.

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::TestDaemon;

#[tokio::test]
async fn keys_are_served_in_the_shape_of_lxd() {
    let daemon = TestDaemon::new();
    let url = "/1.0/metadata/configuration";
    let reply = daemon.ok(Method::GET, url, Value::Null).await;
    let keys = reply["configs"]["instance"]["resource-limits"]["keys"]
        .as_array()
        .unwrap();
    let memory = keys.iter().find_map(|key| key.get("limits.memory"));
    assert_eq!(
        memory,
        Some(&json!({
            "type": "string",
            "shortdesc": "Most memory that it may use",
            "longdesc": "Most memory that it may use: a size such as 512MiB or 50%.",
            "defaultdesc": "all",
            "liveupdate": "yes",
        }))
    );
    for entity in [
        "device-disk",
        "network-bridge",
        "project",
        "server",
        "storage",
    ] {
        let groups = reply["configs"][entity].as_object().unwrap();
        assert!(!groups.is_empty(), "{entity}");
    }
}
