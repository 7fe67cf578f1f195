//! `size` of the root disk: what the root volume of an instance may take.

use rlxc_api::size::ByteSize;
use rlxc_storage::Cause;

use crate::context::{App, blocking, instance_url};
use crate::error::{Error, Result};
use crate::model::Instance;
use crate::plan::expand::{Expanded, root_disk};
use crate::saga::instance_volume;

const NOT_ENFORCED: &str = "Storage quota not enforced";

/// What the root disk says, in bytes; nothing, and 0, is no limit.
pub(super) fn size(expanded: &Expanded) -> Result<Option<u64>> {
    let text = root_disk(&expanded.devices).and_then(|(_, root)| root.get("size"));
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let size: ByteSize = text.parse().map_err(|_bad| {
        Error::Invalid(format!(
            "root disk: `size={text}` is not a size such as 5GiB"
        ))
    })?;
    Ok(Some(size.bytes()).filter(|bytes| *bytes > 0))
}

/// Changes the limit, at once. Less than what is in use is refused; a pool that can't limit leaves a warning.
pub(super) async fn set(
    app: &App,
    instance: &Instance,
    before: Option<u64>,
    wanted: Option<u64>,
) -> Result<()> {
    if before == wanted {
        return Ok(());
    }
    let (driver, volume) = (app.pools.get(&instance.pool)?, instance_volume(instance.id));
    let url = instance_url(&instance.project, &instance.name);
    let can = driver.capabilities();
    if !can.quota {
        match wanted {
            Some(_) => app.warn(NOT_ENFORCED, &url, can.no_quota).await,
            None => app.resolve(NOT_ENFORCED, &url),
        }
        return Ok(());
    }
    let what = format!("limit the root disk of instance `{}`", instance.name);
    blocking(move || driver.set_quota(volume, wanted))
        .await
        .map_err(|error| match error.cause() {
            Some(cause @ Cause::BelowUse { .. }) => Error::Invalid(format!("{what}: {cause}")),
            _ => Error::failed(what, error),
        })
}
