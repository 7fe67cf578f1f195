//! TPMs of a running instance.

use super::Target;
use crate::app::instance::tpm;
use crate::error::{Error, Result};
use crate::plan::devices::Change;

/// Refuses what this host has not got.
pub(super) async fn prepare(change: &Change) -> Result<()> {
    match change {
        Change::Remove(_) => Ok(()),
        Change::Add(device) | Change::Update { after: device, .. } => {
            tpm::check(&device.name).await
        }
    }
}

/// Carries out a change. What a TPM keeps goes when the change is written, not before: it may be undone.
pub(super) async fn apply(target: &Target<'_>, change: &Change) -> Result<()> {
    let device = change.device();
    let key = (target.id, device.name.as_str());
    let failed = |error| {
        let what = format!("set device `{}` of instance `{}`", device.name, target.name);
        Error::failed(what, error)
    };
    if let Change::Remove(_) = change {
        let set = target.running.set_devices(&device.name, Vec::new()).await;
        set.map_err(failed)?;
        return tpm::end(target.app, key).await;
    }
    let nodes = tpm::ensure(target.app, key, &device.keys).await?;
    let set = target.running.set_devices(&device.name, nodes).await;
    set.map_err(failed)
}
