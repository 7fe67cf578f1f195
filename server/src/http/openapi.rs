//! `/1.0/openapi.json`: the API as an OpenAPI document, as it is in `docs`. How it is made is told in `api/src/openapi`.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::get;

use super::render::Reply;
use crate::context::App;

const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/1.0/openapi.json", get(show))
}

async fn show() -> Reply {
    Ok(([(CONTENT_TYPE, "application/json")], DOCUMENT).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::Method;
    use serde_json::Value;

    use super::super::routes;
    use super::DOCUMENT;
    use crate::testing::TestDaemon;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut written = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                written.insert((method.clone(), path.clone()));
            }
        }
        // What is internal is not of the API, and `containers` is another name.
        let routers: BTreeSet<_> = routes::all()
            .into_iter()
            .filter(|(_, path)| {
                !path.starts_with("/internal/") && !path.starts_with("/1.0/containers")
            })
            .map(|(method, path)| (method, path.replace("{*", "{")))
            .collect();
        let missing: Vec<_> = routers.difference(&written).collect();
        let gone: Vec<_> = written.difference(&routers).collect();
        assert!(
            missing.is_empty() && gone.is_empty(),
            "a line in api/src/openapi/table.rs is missing for {missing:#?}; these are gone: {gone:#?}; \
             then UPDATE_DOCS=1 cargo nextest run -p rlxc-api openapi"
        );
        assert!(written.len() > 100, "{}", written.len());
    }

    #[tokio::test]
    async fn the_document_is_served_as_it_is() {
        let daemon = TestDaemon::new();
        let (status, document) = daemon
            .call(Method::GET, "/1.0/openapi.json", Value::Null)
            .await;
        assert_eq!(status, 200);
        assert_eq!(document["openapi"], "3.1.0");
    }
}
