//! Images from other servers.
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Image;
use crate::operation::Handle;
use rlxc_api::{InstanceSource, Requestor};
use std::sync::Arc;

/// Fetches.
pub(super) async fn from_server(
    _app: &Arc<App>,
    _who: &Requestor,
    _project: &str,
    source: &InstanceSource,
    _operation: &Handle,
) -> Result<Image> {
    Err(Error::Unavailable(format!(
        "{} can't be reached",
        source.server
    )))
}
