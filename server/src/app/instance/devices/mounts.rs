//! What mount(2) may do in a running instance: `security.syscalls.intercept.mount.allowed`, `.fuse` and `.shift`, as far as it
//! was started with `security.syscalls.intercept.mount`; that itself is part of its filter, which can't change.

use rlxc_container::spec::MountInterception;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::error::{Error, Result};
use crate::plan::expand::Expanded;
use crate::plan::interception::plan_interception;
use crate::runtime::RuntimeError;

/// What may be mounted, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountsChange {
    before: MountInterception,
    after: MountInterception,
}

/// Decides what changes, if anything. Keys that don't go together are refused by the next start.
pub(super) fn prepare(before: &Expanded, after: &Expanded) -> Option<MountsChange> {
    let plan = |of: &Expanded| plan_interception(&of.config).unwrap_or_default().mount;
    let (before, after) = plan(before).zip(plan(after))?;
    (before != after).then_some(MountsChange { before, after })
}

/// Carries out a change.
pub(super) async fn apply(target: &Target<'_>, change: &MountsChange) -> Result<()> {
    set(target, &change.after).await
}

/// Undoes a change, whether or not it happened.
pub(super) async fn undo(target: &Target<'_>, change: &MountsChange) -> Result<()> {
    set(target, &change.before).await
}

async fn set(target: &Target<'_>, mounts: &MountInterception) -> Result<()> {
    match target.running.set_mounts(mounts.clone()).await {
        // A monitor from before there was such a thing: it holds from the next start on.
        Ok(()) | Err(RuntimeError::Unsupported { .. }) => Ok(()),
        Err(error) => {
            let what = format!(
                "change `security.syscalls.intercept.mount.*` of `{}`",
                target.name
            );
            Err(Error::failed(what, error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Expanded {
        let key = |name: &str| format!("security.syscalls.intercept.{name}");
        let pairs = pairs
            .iter()
            .map(|(name, value)| (key(name), (*value).to_owned()));
        Expanded {
            config: pairs.collect(),
            ..Expanded::default()
        }
    }

    #[test]
    fn only_what_is_intercepted_already_changes() {
        let none = with(&[]);
        let on = with(&[("mount", "true")]);
        let ext4 = with(&[("mount", "true"), ("mount.allowed", "ext4")]);
        for (before, after) in [(&none, &ext4), (&ext4, &none), (&ext4, &ext4)] {
            assert_eq!(prepare(before, after), None);
        }
        let change = prepare(&on, &ext4).unwrap();
        assert_eq!(
            (change.before.allowed, change.after.allowed),
            (vec![], vec!["ext4".to_owned()])
        );
    }
}
