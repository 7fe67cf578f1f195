//! Limits of a running instance, which change with its devices: all of it or nothing.

use rlxc_api::size::ByteSize;
use rlxc_container::cgroup::{CgroupError, MemoryFigures};
use rlxc_container::spec::Limits;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::app::instance::limits;
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::model::Instance;
use crate::plan::expand::Expanded;
use crate::plan::limits::{LimitPlan, Rlimit, check_host};
use crate::plan::rlimits;
use crate::runtime::{Running, RuntimeError};

const KEY: &str = "limits.memory";

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

/// Refuses resource limits that the kernel would refuse. To lower a hard one can't be undone, so this is asked before
/// anything is done.
pub(super) async fn check(
    app: &App,
    instance: &str,
    running: &dyn Running,
    change: &LimitChange,
) -> Result<()> {
    if app.host.may_raise_rlimits || change.rlimits_before == change.rlimits_after {
        return Ok(());
    }
    let init = running.init_pid();
    let (now, own) = blocking(move || (hard_limits(init), hard_limits("self"))).await;
    let (before, after) = (&change.rlimits_before, &change.rlimits_after);
    rlimits::check(instance, (&now, &own), (before, after)).map_err(Error::Invalid)
}

/// Of a process; none of one that has ended.
fn hard_limits(pid: impl std::fmt::Display) -> rlimits::Hard {
    rlimits::parse(&std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default())
}

/// Carries out a change.
pub(super) async fn apply(target: &Target<'_>, change: &LimitChange) -> Result<()> {
    let failed = |error| Error::failed(format!("limit instance `{}`", target.name), error);
    let (app, cgroup) = (target.app, target.app.cgroup(target.id));
    if change.before != change.after {
        let limited = app
            .runtime
            .limit(cgroup.clone(), change.after.clone())
            .await;
        limited.map_err(|error| {
            in_use(target.name, &error, &change.after, cgroup.memory())
                .unwrap_or_else(|| failed(error))
        })?;
    }
    if change.rlimits_before != change.rlimits_after {
        let given = target.running.set_rlimits(change.rlimits_after.clone());
        given.await.map_err(failed)?;
    }
    Ok(())
}

/// What the kernel means by EBUSY where it was to take memory back: see `memory.limit_in_bytes` in the kernel's
/// Documentation/admin-guide/cgroup-v1/memory.rst.
fn in_use(
    name: &str,
    error: &RuntimeError,
    limits: &Limits,
    memory: Option<MemoryFigures>,
) -> Option<Error> {
    let RuntimeError::Limit(CgroupError::Limit { what: KEY, source }) = error else {
        return None;
    };
    let CgroupError::Write { source, .. } = &**source else {
        return None;
    };
    let is_busy = source.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error());
    let (wanted, used) = limits.memory.filter(|_| is_busy).zip(memory)?;
    let human = |bytes| ByteSize(bytes).human();
    Some(Error::Invalid(format!(
        "`{KEY}`: instance `{name}` uses {} now, and the kernel can't take back as much as {} would need: end something in \
         it, or allow more",
        human(used.usage),
        human(wanted)
    )))
}

/// Undoes a change, whether or not it happened.
pub(super) async fn undo(target: &Target<'_>, change: &LimitChange) -> Result<()> {
    apply(target, &change.inverse()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_in_use_is_told_of() {
        let refused = |errno: rustix::io::Errno, what| {
            RuntimeError::Limit(CgroupError::Limit {
                what,
                source: Box::new(CgroupError::Write {
                    path: "/x/memory.limit_in_bytes".into(),
                    value: "1024".to_owned(),
                    source: errno.into(),
                }),
            })
        };
        let limits = Limits {
            memory: Some(1024),
            ..Limits::default()
        };
        let told = |error| {
            let memory = MemoryFigures {
                usage: 5 << 20,
                ..MemoryFigures::default()
            };
            in_use("c1", &error, &limits, Some(memory)).map(|error| error.to_string())
        };
        let told_of = told(refused(rustix::io::Errno::BUSY, KEY)).unwrap();
        assert!(
            told_of.contains("`limits.memory`: instance `c1` uses 5.00MiB now")
                && told_of.contains("1.00KiB"),
            "{told_of}"
        );
        assert_eq!(told(refused(rustix::io::Errno::INVAL, KEY)), None);
        let other = refused(rustix::io::Errno::BUSY, "limits.hugepages");
        assert_eq!(told(other), None);
    }
}
