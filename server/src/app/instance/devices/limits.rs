//! Limits of a running instance, which change with its devices: all of it or nothing.

use rlxc_container::spec::Limits;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::app::instance::limits;
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Instance;
use crate::plan::expand::Expanded;
use crate::plan::limits::{LimitPlan, Rlimit, check_host};

/// What an instance may use, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitChange {
    before: Limits,
    after: Limits,
    rlimits_before: Vec<Rlimit>,
    rlimits_after: Vec<Rlimit>,
}

impl LimitChange {
    fn inverse(&self) -> Self {
        let Self {
            before,
            after,
            rlimits_before,
            rlimits_after,
        } = self.clone();
        Self {
            before: after,
            after: before,
            rlimits_before: rlimits_after,
            rlimits_after: rlimits_before,
        }
    }
}

/// Decides what changes, if anything; and what of it this host can't honour.
pub(super) async fn prepare(
    app: &App,
    instance: &Instance,
    before: &Expanded,
    after: &Expanded,
) -> Result<(Option<Box<LimitChange>>, Option<Vec<String>>)> {
    if !concerns_limits(before, after) {
        return Ok((None, None));
    }
    check_host(&before.config, &after.config, &app.host).map_err(Error::Invalid)?;
    // What it was given at its start in spite of a key that is wrong was nothing.
    let mut old = limits::plan(app, instance, before)
        .await
        .unwrap_or_default();
    if let Some(cpus) = app.runtime.cpus(&app.cgroup(instance.id)) {
        old.limits.cpus = old.limits.cpus.is_some().then_some(cpus);
    }
    let LimitPlan {
        limits,
        rlimits,
        unmet,
        ..
    } = limits::plan(app, instance, after).await?;
    let change = LimitChange {
        before: old.limits,
        after: limits,
        rlimits_before: old.rlimits,
        rlimits_after: rlimits,
    };
    let differs = change.inverse() != change;
    Ok((differs.then(|| Box::new(change)), Some(unmet)))
}

/// Whether a key differs that has to do with limits, of the instance or of one of its disks.
fn concerns_limits(before: &Expanded, after: &Expanded) -> bool {
    let keys = |of: &Expanded| -> Vec<(String, String)> {
        let own = of
            .config
            .iter()
            .filter(|(key, _)| key.starts_with("limits."));
        let own = own.map(|(key, value)| (key.clone(), value.clone()));
        let disks = of.devices.iter().filter(|(_, keys)| {
            let is_disk = keys.get("type").is_some_and(|kind| kind == "disk");
            is_disk && keys.keys().any(|key| key.starts_with("limits."))
        });
        own.chain(disks.map(|(name, keys)| (name.clone(), format!("{keys:?}"))))
            .collect()
    };
    keys(before) != keys(after)
}

/// Carries out a change.
pub(super) async fn apply(target: &Target<'_>, change: &LimitChange) -> Result<()> {
    let failed = |error| Error::failed(format!("limit instance `{}`", target.name), error);
    let (app, cgroup) = (target.app, target.app.cgroup(target.id));
    if change.before != change.after {
        let limited = app.runtime.limit(cgroup, change.after.clone()).await;
        limited.map_err(failed)?;
    }
    if change.rlimits_before != change.rlimits_after {
        let given = target.running.set_rlimits(change.rlimits_after.clone());
        given.await.map_err(failed)?;
    }
    Ok(())
}

/// Undoes a change, whether or not it happened.
pub(super) async fn undo(target: &Target<'_>, change: &LimitChange) -> Result<()> {
    apply(target, &change.inverse()).await
}
