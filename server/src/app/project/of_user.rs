//! The project of a Unix user: made when they first come by the socket for users, and from then on an ordinary one, which an
//! administrator may change. It is restricted, so that what its user does in it stays in it.

use rusqlite::Transaction;

use super::change;
use crate::context::{App, blocking};
use crate::db::{DEFAULT_PROJECT, profiles, projects};
use crate::error::{Error, Result};
use crate::model::{Config, Devices};
use crate::plan::project::keys;

/// Name of the project of a user.
pub fn name_of(uid: u32) -> String {
    format!("user-{uid}")
}

/// A user, as the host knows them.
#[derive(Debug)]
struct User {
    uid: u32,
    /// Their name, for people.
    name: String,
    gid: Option<u32>,
    home: Option<String>,
}

/// Makes the project of a user unless it is there.
pub async fn ensure(app: &App, uid: u32) -> Result<()> {
    let name = name_of(uid);
    let key = name.clone();
    let there = app
        .db
        .read(move |tx| projects::find_id(tx, &key))
        .await?
        .is_some();
    if there {
        return Ok(());
    }
    let user = blocking(move || look_up(uid)).await;
    app.db
        .write(move |tx| {
            // Two requests may come at once.
            if projects::find_id(tx, &name)?.is_some() {
                return Ok(());
            }
            make(tx, &name, &user)
        })
        .await
}

/// Who is not in the host's data base still has a project, without a directory of the host.
fn look_up(uid: u32) -> User {
    let found = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    let home = found
        .as_ref()
        .map(|user| user.dir.to_string_lossy().into_owned())
        .filter(|home| home.starts_with('/') && home != "/" && !home.contains(','));
    User {
        uid,
        name: found
            .as_ref()
            .map_or_else(|| uid.to_string(), |user| user.name.clone()),
        gid: found.map(|user| user.gid.as_raw()),
        home,
    }
}

fn make(tx: &Transaction<'_>, name: &str, user: &User) -> Result<()> {
    let shared = profiles::find(tx, DEFAULT_PROJECT, "default")?;
    let devices = shared
        .map(|profile| usual(profile.devices))
        .unwrap_or_default();
    let config = keys::with_defaults(config(user, &devices));
    let description = format!("Project of user {}", user.name);
    let id = change::insert(tx, name, &description, &config)?;
    let own =
        profiles::find(tx, id, "default")?.ok_or_else(|| Error::not_found("profile", "default"))?;
    profiles::update(tx, own.id, &own.description, &Config::new(), &devices)?;
    super::gate::check(tx, id)
}

/// The root disk and the managed NICs of the profile that instances of the server usually have.
fn usual(devices: Devices) -> Devices {
    let fits = |device: &Config| match device.get("type").map(String::as_str) {
        Some("disk") => device.get("path").is_some_and(|path| path == "/"),
        Some("nic") => device.contains_key("network"),
        _ => false,
    };
    devices
        .into_iter()
        .filter(|(_, device)| fits(device))
        .collect()
}

fn config(user: &User, devices: &Devices) -> Config {
    let networks: Vec<&str> = devices
        .values()
        .filter_map(|device| device.get("network").map(String::as_str))
        .collect();
    let mut config = Config::new();
    let mut set = |key: &str, value: String| {
        config.insert(key.to_owned(), value);
    };
    set("restricted", "true".to_owned());
    for key in ["containers.nesting", "snapshots", "backups"] {
        set(&format!("restricted.{key}"), "allow".to_owned());
    }
    set("restricted.idmap.uid", user.uid.to_string());
    if let Some(gid) = user.gid {
        set("restricted.idmap.gid", gid.to_string());
    }
    if let Some(home) = &user.home {
        set("restricted.devices.disk", "allow".to_owned());
        set("restricted.devices.disk.paths", home.clone());
    }
    if networks.is_empty() {
        set("restricted.devices.nic", "block".to_owned());
    } else {
        set("restricted.networks.access", networks.join(","));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(pairs: &[(&str, &str)]) -> Config {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn user(home: Option<&str>) -> User {
        User {
            uid: 1000,
            name: "ann".to_owned(),
            gid: Some(100),
            home: home.map(str::to_owned),
        }
    }

    #[test]
    fn a_user_gets_root_disk_and_networks_of_the_usual_profile() {
        let devices = Devices::from([
            (
                "root".to_owned(),
                device(&[("type", "disk"), ("path", "/"), ("pool", "p")]),
            ),
            (
                "eth0".to_owned(),
                device(&[("type", "nic"), ("network", "br0")]),
            ),
            (
                "host".to_owned(),
                device(&[("type", "disk"), ("source", "/"), ("path", "/host")]),
            ),
            (
                "kmsg".to_owned(),
                device(&[("type", "unix-char"), ("path", "/dev/kmsg")]),
            ),
        ]);
        let own = usual(devices);
        assert_eq!(own.keys().collect::<Vec<_>>(), ["eth0", "root"]);
        let config = config(&user(Some("/home/ann")), &own);
        assert_eq!(config["restricted.networks.access"], "br0");
        assert_eq!(config["restricted.devices.disk.paths"], "/home/ann");
        assert_eq!(config["restricted.idmap.uid"], "1000");
        assert_eq!(config["restricted.idmap.gid"], "100");
        assert_eq!(crate::keys::project::SCOPE.check(&config), Ok(()));
    }

    #[test]
    fn without_a_home_or_a_network_there_is_none_to_give() {
        let config = config(&user(None), &Devices::new());
        assert!(!config.contains_key("restricted.devices.disk"));
        assert_eq!(config["restricted.devices.nic"], "block");
    }
}
