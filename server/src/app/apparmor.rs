//! AppArmor profiles of instances in the kernel: loaded when the first instance needs them. Those that others have too, of
//! this daemon or another, are left there; those of `raw.apparmor` go when nobody runs with them any more.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use rlxc_sys::chain::chain;
use rlxc_sys::tool::{Tool, ToolError};

use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::model::Config;
use crate::plan::apparmor::{Profile, own_profiles, profile};

/// Where AppArmor is, see securityfs.
const SECURITY: &str = "/sys/kernel/security/apparmor";
/// The kind of warning where a profile can't be loaded, and what it is about.
const UNCONFINED: &str = "AppArmor profile not loaded";
const ENTITY: &str = "/1.0";

/// What this host's kernel has, and what was loaded into it.
#[derive(Debug)]
pub struct AppArmor {
    /// Features that ask for rules of their own; none where there is no AppArmor, or none that we may use.
    mediated: Option<BTreeSet<String>>,
    loaded: tokio::sync::Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    names: BTreeSet<String>,
    /// Whether apparmor_parser(8) knows no rules of those features. What it makes asks for none then.
    old_parser: bool,
}

impl AppArmor {
    /// Looks at the kernel. Who is confined already (in a container, say) can load no profiles.
    pub fn detect() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let enabled = read("/sys/module/apparmor/parameters/enabled").trim() == "Y";
        let free = read("/proc/self/attr/current").trim_end_matches(['\n', '\0']) == "unconfined";
        let root = Path::new(SECURITY);
        let mediated = (enabled && free && root.join(".replace").exists()).then(|| features(root));
        Self {
            mediated,
            loaded: tokio::sync::Mutex::default(),
        }
    }

    /// Where there is none.
    pub fn none() -> Self {
        Self {
            mediated: None,
            loaded: tokio::sync::Mutex::default(),
        }
    }

    /// Whether instances are confined by it.
    pub fn is_on(&self) -> bool {
        self.mediated.is_some()
    }
}

/// A feature is a file or a directory of its name, or a word in a `mask`; user namespaces have been both.
fn features(root: &Path) -> BTreeSet<String> {
    let namespaces = std::fs::read_to_string(root.join("features/namespaces/mask"));
    let words = namespaces.unwrap_or_default();
    let known = [
        ("userns_create", "features/namespaces/userns_create"),
        ("io_uring", "features/io_uring"),
        ("posix_mqueue", "features/ipc/posix_mqueue"),
    ];
    let there = known.iter().filter(|(name, path)| {
        root.join(path).exists() || words.split_whitespace().any(|word| word == *name)
    });
    there.map(|(name, _)| (*name).to_owned()).collect()
}

/// Loads the profile that most instances have, so that the first of them need not wait for it.
pub async fn prepare(app: Arc<App>) {
    // What goes wrong is logged, and tried again at the first start.
    drop(ensure(&app, "", &Config::new()).await);
}

/// The name of the profile of an instance, which is in the kernel when this returns; `None` where there is no AppArmor.
pub async fn ensure(app: &App, instance: &str, config: &Config) -> Result<Option<String>> {
    let asked = config.contains_key("raw.apparmor");
    let Some(mediated) = &app.apparmor.mediated else {
        if asked {
            return Err(Error::Invalid(format!(
                "instance `{instance}` has `raw.apparmor`, but no AppArmor of this host can hold it: unset the key, or see `rlxc admin doctor`"
            )));
        }
        return Ok(None);
    };
    let mut loaded = app.apparmor.loaded.lock().await;
    let plain = profile(config, &BTreeSet::new(), app.places.prefix());
    let wanted = if loaded.old_parser {
        plain.clone()
    } else {
        profile(config, mediated, app.places.prefix())
    };
    if loaded.names.contains(&wanted.name) {
        return Ok(Some(wanted.name));
    }
    match blocking(move || load_either(wanted, plain)).await {
        Ok((Profile { name, .. }, old_parser)) => {
            loaded.old_parser |= old_parser;
            loaded.names.insert(name.clone());
            app.resolve(UNCONFINED, ENTITY);
            Ok(Some(name))
        }
        Err(error) if asked => Err(Error::failed(
            format!("load the AppArmor profile of instance `{instance}`"),
            error,
        )),
        Err(error) => {
            let message = format!("instances run without AppArmor: {}", chain(&error));
            app.warn(UNCONFINED, ENTITY, &message).await;
            Ok(None)
        }
    }
}

/// Takes profiles out of the kernel that came of `raw.apparmor` and that no instance runs with.
pub async fn sweep(app: &App) -> Result<()> {
    if !app.apparmor.is_on() {
        return Ok(());
    }
    let mut loaded = app.apparmor.loaded.lock().await;
    let ids = app.instances.ids().into_iter();
    let all: Vec<_> = ids.map(|id| app.instances.status(id)).collect();
    // One that is being started has its profile before it has a process.
    if all.iter().any(|one| one.code != one.state.status()) {
        return Ok(());
    }
    let running = all.iter().filter_map(|one| one.running.as_ref());
    let inits: Vec<i32> = running.map(|running| running.init_pid()).collect();
    let own = own_profiles(app.places.prefix());
    let removed = blocking(move || remove_unused(&own, &inits)).await;
    let removed = removed.map_err(|error| Error::failed("remove AppArmor profiles", error))?;
    loaded.names.retain(|name| !removed.contains(name));
    Ok(())
}

fn remove_unused(own: &str, inits: &[i32]) -> io::Result<BTreeSet<String>> {
    let root = Path::new(SECURITY);
    let list = std::fs::read_to_string(root.join("profiles"))?;
    // `NAME (MODE)`, one a line.
    let names = list.lines().filter_map(|line| line.split(' ').next());
    let mut unused: BTreeSet<String> = names
        .filter(|name| name.starts_with(own))
        .map(str::to_owned)
        .collect();
    if unused.is_empty() {
        return Ok(unused);
    }
    for pid in inits {
        // Of one that has just ended there is nothing to read.
        let label = std::fs::read_to_string(format!("/proc/{pid}/attr/current"));
        let label = label.unwrap_or_default();
        unused.retain(|name| !label.starts_with(name.as_str()));
    }
    for name in &unused {
        let mut remove = std::fs::OpenOptions::new();
        let mut remove = remove.write(true).open(root.join(".remove"))?;
        remove.write_all(name.as_bytes())?;
    }
    Ok(unused)
}

/// Loads the profile that is wanted, or the plain one if the parser is too old for it; returns which, and whether it is.
fn load_either(wanted: Profile, plain: Profile) -> Result<(Profile, bool), ToolError> {
    match load(&wanted.text) {
        Err(_) if plain != wanted && load(&plain.text).is_ok() => Ok((plain, true)),
        result => result.map(|()| (wanted, false)),
    }
}

fn load(text: &str) -> Result<(), ToolError> {
    let parser = Tool::new("apparmor_parser").args(["--replace", "--skip-cache", "--quiet"]);
    parser.input(text.as_bytes()).run().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_a_file_or_a_word() {
        let write = |root: &Path, path: &str, text: &str| {
            let path = root.join("features").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let old = tempfile::tempdir().unwrap();
        write(old.path(), "namespaces/pivot_root", "no\n");
        assert_eq!(features(old.path()), BTreeSet::new());
        // As Linux 6.12 has them.
        let linux = tempfile::tempdir().unwrap();
        write(linux.path(), "namespaces/mask", "userns_create\n");
        write(linux.path(), "io_uring/mask", "sqpoll override_creds\n");
        let both = ["io_uring", "userns_create"].map(str::to_owned);
        assert_eq!(features(linux.path()), BTreeSet::from(both));
        let ubuntu = tempfile::tempdir().unwrap();
        write(
            ubuntu.path(),
            "namespaces/userns_create/mask",
            "interface\n",
        );
        let one = ["userns_create"].map(str::to_owned);
        assert_eq!(features(ubuntu.path()), BTreeSet::from(one));
    }
}
