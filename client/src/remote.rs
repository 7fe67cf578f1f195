//! Remotes: daemons and image servers that are known by name, in a file of the form that LXD's clients have.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use rlxc_client::Endpoint;
use rlxc_client::tls::{Address, Identity, Server, Trust};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Word;

/// The daemon of this host.
pub(crate) const LOCAL: &str = "local";

/// `config.yml` in `RLXC_CONF`, by default `~/.config/rlxc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "named as the file names them")]
pub(crate) struct Remotes {
    pub(crate) default_remote: String,
    pub(crate) remotes: BTreeMap<String, Remote>,
    /// Words that stand for others at the beginning of a command.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) aliases: BTreeMap<String, String>,
    /// What other clients keep here.
    #[serde(flatten)]
    pub(crate) others: BTreeMap<String, Value>,
}

/// A remote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Remote {
    pub(crate) addr: String,
    /// `lxd` or `incus` (a daemon), `simplestreams` (an image server); nothing means a daemon.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) protocol: String,
    pub(crate) public: bool,
    /// The project that is worked in there; nothing means `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) project: String,
    /// What other clients keep here.
    #[serde(flatten)]
    pub(crate) others: BTreeMap<String, Value>,
}

impl Remote {
    /// Whether it speaks the API of daemons: it has images at least.
    pub(crate) fn speaks_api(&self) -> bool {
        matches!(self.protocol.as_str(), "" | "lxd" | "incus")
    }

    /// Whether it keeps instances, not only images.
    pub(crate) fn is_daemon(&self) -> bool {
        !self.public && self.speaks_api()
    }
}

impl Default for Remotes {
    fn default() -> Self {
        let images = Remote {
            addr: "https://images.linuxcontainers.org".to_owned(),
            protocol: "simplestreams".to_owned(),
            public: true,
            ..Remote::default()
        };
        Self {
            default_remote: LOCAL.to_owned(),
            remotes: [("images".to_owned(), images)].into(),
            aliases: BTreeMap::new(),
            others: BTreeMap::new(),
        }
    }
}

/// Where all that belongs to the client is.
pub(crate) fn directory() -> Option<PathBuf> {
    let set = |key| {
        std::env::var_os(key)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("RLXC_CONF")
        .or_else(|| set("XDG_CONFIG_HOME").map(|config| config.join("rlxc")))
        .or_else(|| set("HOME").map(|home| home.join(".config/rlxc")))
}

/// The same, where there must be one.
pub(crate) fn needed_directory() -> Result<PathBuf> {
    directory().context("neither RLXC_CONF nor HOME is set")
}

/// The authority that has signed the certificates of this client's servers, where it has one of its own.
pub(crate) fn authority() -> Option<PathBuf> {
    let file = directory()?.join("client.ca");
    file.exists().then_some(file)
}

/// The certificate that was accepted for a remote.
pub(crate) fn pinned_path(name: &str) -> Result<PathBuf> {
    Ok(needed_directory()?
        .join("servercerts")
        .join(format!("{name}.crt")))
}

impl Remotes {
    fn path() -> Option<PathBuf> {
        Some(directory()?.join("config.yml"))
    }

    /// Reads the file; the defaults where there is none.
    pub(crate) fn load() -> Result<Self> {
        let Some(path) = Self::path() else {
            return Ok(Self::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_norway::from_str(&text)
                .with_context(|| format!("understand {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// Writes the file, at once or not at all.
    pub(crate) fn save(&self) -> Result<()> {
        let path = Self::path().context("neither RLXC_CONF nor HOME is set")?;
        let directory = path
            .parent()
            .context("the configuration has no directory")?;
        std::fs::create_dir_all(directory)
            .with_context(|| format!("create {}", directory.display()))?;
        let file =
            tempfile::NamedTempFile::new_in(directory).context("create the new configuration")?;
        std::fs::write(file.path(), serde_norway::to_string(self)?)
            .context("write the new configuration")?;
        file.persist(&path)
            .with_context(|| format!("replace {}", path.display()))?;
        Ok(())
    }

    /// The image servers, in the order of their names.
    pub(crate) fn image_servers(&self) -> impl Iterator<Item = (&str, &Remote)> {
        self.remotes
            .iter()
            .filter(|(_, remote)| remote.protocol == "simplestreams")
            .map(|(name, remote)| (name.as_str(), remote))
    }

    /// The remote that is meant where none is named.
    pub(crate) fn default_name(&self) -> &str {
        if self.default_remote.is_empty() {
            LOCAL
        } else {
            &self.default_remote
        }
    }

    /// Whether a remote has nothing but an index and files.
    pub(crate) fn is_image_server(&self, name: &str) -> bool {
        let known = self.remotes.get(name);
        known.is_some_and(|remote| !remote.speaks_api())
    }

    /// Whether a name is taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        name == LOCAL || self.remotes.contains_key(name)
    }

    /// The project that is worked in on a remote, if one was chosen.
    pub(crate) fn project(&self, name: &str) -> Option<&str> {
        let remote = self.remotes.get(name)?;
        Some(remote.project.as_str()).filter(|project| !project.is_empty())
    }

    /// Chooses the project to work in on a remote. This host's needs an entry for it, as LXD's clients keep it.
    pub(crate) fn set_project(&mut self, name: &str, project: &str) {
        let here = || Remote {
            addr: "unix://".to_owned(),
            ..Remote::default()
        };
        let remote = self.remotes.entry(name.to_owned()).or_insert_with(here);
        project.clone_into(&mut remote.project);
    }

    /// Where the daemon `name` listens.
    pub(crate) fn endpoint(&self, name: &str) -> Result<Endpoint> {
        let Some(remote) = self.remotes.get(name) else {
            ensure!(
                name == LOCAL,
                "there is no remote `{name}`{}",
                self.near(name)
            );
            return Ok(Endpoint::local());
        };
        if let Some(socket) = remote.addr.strip_prefix("unix:") {
            let socket = socket.trim_start_matches("//");
            // LXD's clients write nothing for the usual socket.
            return Ok(if socket.is_empty() {
                Endpoint::local()
            } else {
                Endpoint::Unix(socket.into())
            });
        }
        if !remote.speaks_api() {
            bail!("remote `{name}` is an image server: it has images, not instances");
        }
        let address: Address = remote.addr.parse().map_err(anyhow::Error::msg)?;
        let path = pinned_path(name)?;
        let trust = match std::fs::read(&path) {
            Ok(pem) => Trust::Pinned(pem),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Trust::Authorities,
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        let identity = Identity::find(&needed_directory()?);
        let server = Server::new(address, trust, identity).with_authority(authority());
        Ok(Endpoint::Tls(Arc::new(server)))
    }

    /// What may have been meant, as a sentence that follows.
    pub(crate) fn near(&self, name: &str) -> String {
        let names = self.remotes.keys().map(String::as_str).chain([LOCAL]);
        crate::hint::did_you_mean(name, names).map_or_else(
            || ": see `rlxc remote list`".to_owned(),
            |near| format!(": {near}"),
        )
    }
}

/// Takes the remote off a word: `box:c1`, `box:` and `box:c1/etc/hosts`, but not `c1/a:b`.
pub(crate) fn split(word: &str) -> (Option<&str>, &str) {
    match word.split_once(':') {
        Some((remote, rest)) if !remote.is_empty() && !remote.contains(['/', '=']) => {
            (Some(remote), rest)
        }
        _ => (None, word),
    }
}

/// Takes the remote off all words of a command and gives it back; the words must agree. `default` is meant where none is named.
pub(crate) fn take(words: Vec<Word<'_>>, default: &str) -> Result<String> {
    let mut chosen: Option<(String, String)> = None;
    for Word { text, may_be_bare } in words {
        let (remote, rest) = split(text);
        if !may_be_bare && rest.is_empty() {
            match remote {
                Some(_) => bail!("a name must follow `{text}`"),
                None => bail!("a name on the command line is empty"),
            }
        }
        let remote = remote.unwrap_or(default).to_owned();
        if let Some((first, of)) = &chosen {
            ensure!(
                *first == remote,
                "`{of}` is on `{first}` and `{text}` on `{remote}`: one command is for one remote"
            );
        } else {
            chosen = Some((remote, text.clone()));
        }
        *text = rest.to_owned();
    }
    Ok(chosen.map_or_else(|| default.to_owned(), |(remote, _)| remote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(words: &[&str]) -> Result<(String, Vec<String>)> {
        let mut words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let parts = words.iter_mut().map(|text| Word {
            text,
            may_be_bare: false,
        });
        let remote = take(parts.collect(), LOCAL)?;
        Ok((remote, words))
    }

    #[test]
    fn the_remote_is_taken_off_all_words() {
        let plain = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            taken(&["local:c1"]).unwrap(),
            ("local".into(), plain(&["c1"]))
        );
        assert_eq!(
            taken(&["box:a", "box:b"]).unwrap(),
            ("box".into(), plain(&["a", "b"]))
        );
        assert!(taken(&["box:"]).is_err());
        assert!(taken(&["c1", ""]).is_err());
        assert_eq!(
            taken(&["c1/a:b"]).unwrap(),
            ("local".into(), plain(&["c1/a:b"]))
        );
        assert_eq!(taken(&[]).unwrap(), ("local".into(), Vec::new()));
        let error = taken(&["box:a", "b"]).unwrap_err().to_string();
        assert!(error.contains("one command is for one remote"), "{error}");
    }

    #[test]
    fn a_file_of_lxds_form_is_read_and_kept() {
        let text = "default-remote: box\nremotes:\n  box:\n    addr: https://a.example:8443\n    protocol: lxd\n    public: false\n    project: team\n    auth_type: tls\n  ours:\n    addr: https://a.example\n    protocol: simplestreams\n    public: true\naliases:\n  ls: list\n";
        let remotes: Remotes = serde_norway::from_str(text).unwrap();
        assert_eq!(
            remotes
                .image_servers()
                .map(|(name, _)| name)
                .collect::<Vec<_>>(),
            ["ours"]
        );
        assert!(remotes.remotes["box"].is_daemon());
        let again = serde_norway::to_string(&remotes).unwrap();
        for kept in ["project: team", "auth_type: tls", "ls: list"] {
            assert!(again.contains(kept), "{again}");
        }
        assert!(remotes.endpoint("ours").is_err());
        assert!(
            remotes
                .endpoint("bax")
                .unwrap_err()
                .to_string()
                .contains("`box`")
        );
    }
}
