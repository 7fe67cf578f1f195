//! Disks of a running instance.

use super::{Target, refused};
use crate::error::Result;
use crate::model::Instance;
use crate::plan::devices::Change;

/// A root keeps its place; what else of it changes holds from the next start on. Other disks can't come and go.
pub(super) fn prepare(instance: &Instance, change: &Change) -> Result<()> {
    match change {
        Change::Update { .. } => Ok(()),
        Change::Add(_) | Change::Remove(_) => Err(refused(instance, change)),
    }
}

/// Nothing: all that [`prepare`] lets pass holds from the next start on.
#[expect(
    clippy::unused_async,
    reason = "every type of device has a function of this shape"
)]
pub(super) async fn apply(_target: &Target<'_>, _change: &Change) -> Result<()> {
    Ok(())
}
