//! Templates of instances.

use bytes::Bytes;
use hyper::Method;
use hyper::header::CONTENT_TYPE;

use super::reply;
use crate::connection::{Connection, Reply, request};
use crate::error::ClientError;
use crate::http::full;
use crate::url;

/// The path of a template.
pub fn template_path(instance: &str, template: &str) -> String {
    let path = format!("{}/metadata/templates", url::instance(instance));
    url::with_query(&path, "path", template)
}

impl Connection {
    /// Makes or replaces a template.
    pub async fn push_template(
        &self,
        instance: &str,
        template: &str,
        text: Bytes,
    ) -> Result<Reply, ClientError> {
        let path = self.scoped(&template_path(instance, template));
        let request = request(Method::POST, &path)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(full(text))
            .map_err(|source| ClientError::Request {
                path: path.clone(),
                source,
            })?;
        let response = self.send_streaming(request).await?;
        reply(&path, response).await
    }
}
