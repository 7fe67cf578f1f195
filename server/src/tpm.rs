//! Emulated TPMs of instances, by one swtpm(8) each: what it answers is a device of the host's kernel, which hands the
//! commands that its nodes get to the process; see Documentation/security/tpm/tpm_vtpm_proxy.rst.
//!
//! swtpm puts itself in the background and outlives the daemon; the device ends with the process. Layout, for the device
//! `tpm` of an instance: `STATE/tpm/` is what the TPM keeps, `RUN/tpm-tpm.pid` is swtpm's, and `RUN/tpm-tpm.chip` names the
//! kernel's device once swtpm has told it.

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rlxc_sys::background::{self, Background};
use rlxc_sys::file::{self, Durability};
use rlxc_sys::tool::{self, Tool};

use crate::error::{Error, Result};
use crate::uevent::Uevents;

const PROXY: &str = "/dev/vtpmx";
const MODULE: &str = "tpm_vtpm_proxy";
/// How long the kernel may talk to a TPM until it makes nodes for it: it lets the TPM test itself first.
const PATIENCE: Duration = Duration::from_secs(30);

/// The kernel's nodes of a TPM: `major:minor` of the bare one, and of the one whose resources the kernel manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chip {
    /// Such as `tpm0`.
    pub name: String,
    /// Of `/dev/tpm0`.
    pub plain: String,
    /// Of `/dev/tpmrm0`.
    pub managed: String,
}

/// The emulator of one device.
#[derive(Debug, Clone)]
pub struct Emulator {
    state: PathBuf,
    pid: PathBuf,
    chip: PathBuf,
}

/// Refuses what this host can't do. Loads the kernel's module, where that is what is missing.
pub fn check() -> Result<(), String> {
    if !Path::new(PROXY).exists() {
        // Whether it could be loaded is seen by what it makes.
        drop(Tool::new("modprobe").args(["-b", MODULE]).run());
    }
    let module = format!(
        "`{PROXY}`, which the kernel's module `{MODULE}` makes: `modprobe {MODULE}` tells why it is not there"
    );
    let program = "the program `swtpm`: `apt-get install swtpm`".to_owned();
    let missing: Vec<String> = [
        (!Path::new(PROXY).exists()).then_some(module),
        tool::find("swtpm").is_none().then_some(program),
    ]
    .into_iter()
    .flatten()
    .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "this host can't emulate a TPM, it lacks {}; a TPM of the host itself can be had as `unix-char`, `source=/dev/tpmrm0`",
        missing.join(", and ")
    ))
}

/// The names of devices whose emulators have left something in a run directory.
pub fn known(run: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let device = |name: &str| Some(name.strip_prefix("tpm-")?.strip_suffix(".pid")?.to_owned());
    names.filter_map(|name| device(&name)).collect()
}

impl Emulator {
    /// That of a device, by the directories of its instance for what stays and what does not.
    pub fn new(states: &Path, run: &Path, device: &str) -> Self {
        Self {
            state: states.join(device),
            pid: run.join(format!("tpm-{device}.pid")),
            chip: run.join(format!("tpm-{device}.chip")),
        }
    }

    /// What it is recognised by.
    fn argument(&self) -> OsString {
        let mut argument = OsString::from("dir=");
        argument.push(&self.state);
        argument
    }

    /// Its process.
    pub fn process(&self) -> Option<Background> {
        background::find(&self.pid, &self.argument())
    }

    /// The kernel's name of its device, as far as it was told.
    pub fn chip_name(&self) -> Option<String> {
        file::read_text(&self.chip).ok()
    }

    /// Starts it, with what it has kept or as a new TPM; returns the kernel's name of the device, which gets its nodes in a
    /// moment. It must not run.
    pub fn launch(&self) -> Result<String> {
        let failed = |error| Error::failed(format!("make {}", self.state.display()), error);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&self.state).map_err(failed)?;
        let mut pid = OsString::from("file=");
        pid.push(&self.pid);
        // It returns once its child in the background listens, or with the reason why not.
        let told = Tool::new("swtpm")
            .args(["chardev", "--tpm2", "--vtpm-proxy", "--daemon"])
            .args([OsString::from("--tpmstate"), self.argument()])
            .args([OsString::from("--pid"), pid])
            .run()
            .map_err(|error| Error::failed("start swtpm", error))?;
        let told = String::from_utf8_lossy(&told).into_owned();
        let name = chip_told(&told).ok_or_else(|| {
            Error::Invalid(format!(
                "swtpm did not tell its device, but `{}`",
                told.trim()
            ))
        })?;
        file::write_atomic(&self.chip, name.as_bytes(), 0o600, Durability::Volatile)
            .map_err(|error| Error::failed("note the device of swtpm", error))?;
        Ok(name)
    }

    /// Ends it, and with it the device; fine if it does not run. What the TPM keeps stays.
    pub fn end(&self) -> Result<()> {
        if let Some(process) = self.process() {
            let ended = process.end();
            ended.map_err(|error| Error::failed("end swtpm", error))?;
        }
        let removed = file::remove(&self.pid).and_then(|()| file::remove(&self.chip));
        removed.map_err(|error| Error::failed("forget swtpm", error))
    }
}

/// `New TPM device: /dev/tpm0 (major/minor = 10/224)`.
fn chip_told(text: &str) -> Option<String> {
    let rest = text.split("New TPM device: /dev/").nth(1)?;
    let name = rest.split_whitespace().next()?;
    let number = name.strip_prefix("tpm")?;
    let is_one = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| name.to_owned())
}

/// The nodes of a device of the kernel, if it has them yet.
fn nodes(name: &str) -> Option<Chip> {
    let number = name.strip_prefix("tpm")?;
    let read = |path: String| Some(file::read_text(Path::new(&path)).ok()?.trim().to_owned());
    Some(Chip {
        name: name.to_owned(),
        plain: read(format!("/sys/class/tpm/{name}/dev"))?,
        managed: read(format!("/sys/class/tpmrm/tpmrm{number}/dev"))?,
    })
}

/// Waits for the nodes of a device that was made a moment ago, or a while; `events` have been listened to since before that.
pub async fn settled(name: &str, events: &Uevents) -> Result<Chip> {
    let appear = async {
        loop {
            if let Some(chip) = nodes(name) {
                return chip;
            }
            events.next().await;
        }
    };
    let appeared = tokio::time::timeout(PATIENCE, appear).await;
    appeared.map_err(|_elapsed| {
        Error::Invalid(format!(
            "the kernel did not take `{name}` for a TPM within {} s: its log tells why",
            PATIENCE.as_secs()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_swtpm_tells_is_read() {
        let told = "New TPM device: /dev/tpm12 (major/minor = 254/65548)\n";
        assert_eq!(chip_told(told).as_deref(), Some("tpm12"));
        for other in [
            "",
            "New TPM device: /dev/../x (",
            "New TPM device: /dev/tpm ",
        ] {
            assert_eq!(chip_told(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_started_is_known_by_its_files() {
        let run = tempfile::tempdir().unwrap();
        let emulator = Emulator::new(Path::new("/state"), run.path(), "my-tpm");
        assert!(known(run.path()).is_empty() && emulator.process().is_none());
        std::fs::write(&emulator.pid, "1").unwrap();
        std::fs::write(&emulator.chip, "tpm3").unwrap();
        std::fs::write(run.path().join("proxy-a.lock"), "").unwrap();
        assert_eq!(known(run.path()), ["my-tpm"]);
        assert_eq!(emulator.chip_name().as_deref(), Some("tpm3"));
        assert!(emulator.process().is_none(), "init is no swtpm");
        emulator.end().unwrap();
        assert!(known(run.path()).is_empty() && emulator.chip_name().is_none());
    }
}
