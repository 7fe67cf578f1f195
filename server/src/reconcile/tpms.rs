//! TPMs of instances: one whose emulator has died is switched on again; those of instances that have ended are switched off,
//! and what was kept by those that are gone goes.

use super::report;
use super::runs::ids;
use crate::app::instance::{self, tpm};
use crate::context::{App, blocking, instance_url};
use crate::error::Result;
use crate::instance::state::Verb;

/// Looks at all instances that have had a TPM.
pub(super) async fn mend(app: &App) -> Result<()> {
    let directory = app.places.tpms();
    let mut findings = Vec::new();
    for id in blocking(move || ids(&directory)).await {
        // What belongs to no instance was of one that is deleted, which the journal knows of.
        let Some(handle) = app.instances.get(id) else {
            continue;
        };
        // One that is being changed is looked at the next time.
        let status = handle.status();
        if status.code != status.state.status() {
            continue;
        }
        let Ok(permit) = handle.begin(Verb::Files, "", "TPMs").await else {
            continue;
        };
        let (instance, expanded) = instance::load(app, id).await?;
        let running = permit.running().map(AsRef::as_ref);
        let url = instance_url(&instance.project, &instance.name);
        let found = tpm::mend(app, id, &expanded.devices, running).await;
        let found = found.into_iter();
        findings.extend(found.map(|(device, text)| (format!("{url} {device}"), text)));
    }
    report(app, "TPM ended", findings).await
}
