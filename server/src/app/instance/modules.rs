//! `linux.kernel_modules`: modules of the host's kernel that an instance needs, since it can load none itself.

use std::path::Path;

use rlxc_sys::tool::Tool;

use crate::context::blocking;
use crate::error::{Error, Result};
use crate::model::{Config, Instance};

/// Loads what is missing, see modprobe(8). What is loaded stays: others may use it by then.
pub(super) async fn load(instance: &Instance, config: &Config) -> Result<()> {
    let Some(names) = config.get("linux.kernel_modules") else {
        return Ok(());
    };
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    let instance = instance.name.clone();
    blocking(move || {
        let missing = names.iter().filter(|name| !is_there(name));
        for name in missing {
            let loaded = Tool::new("modprobe").args(["-b", name]).run();
            loaded.map_err(|error| {
                let what = format!(
                    "load kernel module `{name}` for instance `{instance}` (linux.kernel_modules)"
                );
                Error::failed(what, error)
            })?;
        }
        Ok(())
    })
    .await
}

/// Loaded, or built in with parameters of its own.
fn is_there(name: &str) -> bool {
    Path::new("/sys/module")
        .join(name.replace('-', "_"))
        .is_dir()
}
