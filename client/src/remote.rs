//! Remotes: image servers that are known by name. Most commands never read their file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// The daemon of this host.
pub(crate) const LOCAL: &str = "local";

/// `config.yml` in `RLXC_CONF`, by default `~/.config/rlxc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Remotes {
    pub(crate) default_remote: String,
    pub(crate) remotes: BTreeMap<String, Remote>,
}

/// A remote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Remote {
    pub(crate) addr: String,
    pub(crate) protocol: String,
    pub(crate) public: bool,
}

impl Default for Remotes {
    fn default() -> Self {
        let images = Remote {
            addr: "https://images.linuxcontainers.org".to_owned(),
            protocol: "simplestreams".to_owned(),
            public: true,
        };
        Self {
            default_remote: LOCAL.to_owned(),
            remotes: [("images".to_owned(), images)].into(),
        }
    }
}

impl Remotes {
    fn path() -> Option<PathBuf> {
        let set = |key| {
            std::env::var_os(key)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let directory = set("RLXC_CONF")
            .or_else(|| set("XDG_CONFIG_HOME").map(|config| config.join("rlxc")))
            .or_else(|| set("HOME").map(|home| home.join(".config/rlxc")))?;
        Some(directory.join("config.yml"))
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
}

/// A name of an instance or another object of this host; `local:` before it is taken off.
pub(crate) fn local_name(name: &str) -> Result<String, String> {
    match name.split_once(':') {
        None => Ok(name.to_owned()),
        Some((LOCAL, "")) => Err("a name must follow `local:`".to_owned()),
        Some((LOCAL, name)) => Ok(name.to_owned()),
        Some((remote, _)) => Err(format!(
            "there is no daemon `{remote}`: only `local` is known"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_is_taken_off() {
        assert_eq!(local_name("local:c1").as_deref(), Ok("c1"));
        assert_eq!(local_name("c1").as_deref(), Ok("c1"));
        assert!(local_name("far:c1").is_err());
    }

    #[test]
    fn a_file_of_lxds_form_is_read() {
        let text = "default-remote: local\nremotes:\n  ours:\n    addr: https://a.example\n    protocol: simplestreams\n    public: true\n";
        let remotes: Remotes = serde_norway::from_str(text).unwrap();
        assert_eq!(
            remotes
                .image_servers()
                .map(|(name, _)| name)
                .collect::<Vec<_>>(),
            ["ours"]
        );
    }
}
