//! Files of a container that its image wants written: `templates` in `metadata.yaml`, see
//! <https://documentation.ubuntu.com/lxd/en/latest/reference/image_format/>.

mod render;
pub mod store;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rlxc_storage::image::{ImageMetadata, TemplateMetadata};
use rlxc_storage::{Driver, VolumeRef};
use rlxc_sys::file::{self, FileError};
use rlxc_sys::mount;
use rlxc_sys::path::{self as guarded, Resolve};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};

use crate::context::{App, blocking};
use crate::error::{Cause, Error, Result};
use crate::keys;
use crate::model::Instance;
use crate::plan::expand::Expanded;
use crate::saga::instance_volume;
use render::{Facts, Guest, render};

/// The trigger whose templates are written at the next start.
pub const PENDING: &str = "volatile.apply_template";
/// The longest template.
const LONGEST: u64 = 1 << 20;

/// What happens to an instance, as templates name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// It was made of an image.
    Create,
    /// It was made of another instance.
    Copy,
    /// It was given another name; written when it starts.
    Rename,
    /// It is about to start.
    Start,
}

impl Trigger {
    /// As `metadata.yaml` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Copy => "copy",
            Self::Rename => "rename",
            Self::Start => "start",
        }
    }
}

/// The files that are due.
#[derive(Debug)]
pub struct Due {
    trigger: Trigger,
    files: Vec<(String, TemplateMetadata)>,
}

/// Looks what an instance's image wants written now; `None` for most images, found without a mount or a parse.
pub async fn find(app: &App, instance: &Instance, trigger: Trigger) -> Result<Option<Due>> {
    let driver = app.pools.get(&instance.pool)?;
    let volume = instance_volume(instance.id);
    let files = blocking(move || list(&*driver, volume, trigger))
        .await
        .map_err(|error| Error::Failed {
            what: format!("read the templates of instance `{}`", instance.name),
            source: error,
        })?;
    Ok((!files.is_empty()).then_some(Due { trigger, files }))
}

fn list(
    driver: &dyn Driver,
    volume: VolumeRef,
    trigger: Trigger,
) -> Result<Vec<(String, TemplateMetadata)>, Cause> {
    const KEY: &[u8] = b"template:";
    let text = match file::read(&driver.volume_dir(volume)?.join("metadata.yaml")) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    if !text.windows(KEY.len()).any(|window| window == KEY) {
        return Ok(Vec::new());
    }
    let templates = ImageMetadata::parse(&text)?.templates.into_iter();
    let due = templates.filter(|(_, file)| file.when.iter().any(|when| when == trigger.name()));
    Ok(due.collect())
}

/// Writes the files into the root of an instance that does not run.
pub async fn write(app: &App, instance: &Instance, expanded: &Expanded, due: Due) -> Result<()> {
    let work = Work {
        driver: app.pools.get(&instance.pool)?,
        instance: instance.clone(),
        expanded: expanded.clone(),
    };
    let name = instance.name.clone();
    blocking(move || work.run(&due))
        .await
        .map_err(|error| Error::Failed {
            what: format!("write the templates of instance `{name}`"),
            source: error,
        })
}

struct Work {
    driver: std::sync::Arc<dyn Driver>,
    instance: Instance,
    expanded: Expanded,
}

/// A template that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write `{target}` from the template `{template}`")]
struct TemplateError {
    target: String,
    template: String,
    #[source]
    source: Cause,
}

impl Work {
    fn run(&self, due: &Due) -> Result<(), Cause> {
        let volume = instance_volume(self.instance.id);
        let templates = guarded::open_dir(&self.driver.volume_dir(volume)?.join("templates"))?;
        let mount = mount::assemble(&self.driver.root(volume)?, None)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(&mount, ".", flags, Mode::empty())?;
        for (target, file) in &due.files {
            self.file(root.as_fd(), templates.as_fd(), (target, file), due.trigger)
                .map_err(|source| TemplateError {
                    target: target.clone(),
                    template: file.template.clone(),
                    source,
                })?;
        }
        Ok(())
    }

    fn file(
        &self,
        root: BorrowedFd<'_>,
        templates: BorrowedFd<'_>,
        (target, file): (&str, &TemplateMetadata),
        trigger: Trigger,
    ) -> Result<(), Cause> {
        let path = inside(target);
        if file.create_only && guarded::stat(root, &path, Resolve::InRoot)?.is_some() {
            return Ok(());
        }
        let source = read_template(templates, Path::new(&file.template))?;
        let guest = self.guest();
        let text = render(
            &source,
            &Facts {
                trigger: trigger.name(),
                path: target,
                instance: guest,
                container: guest,
                config: &self.expanded.config,
                devices: &self.expanded.devices,
                properties: &file.properties,
            },
        )?;
        put(root, &path, text.as_bytes(), file)
    }

    fn guest(&self) -> Guest<'_> {
        let text = |yes: bool| if yes { "true" } else { "false" };
        Guest {
            name: &self.instance.name,
            kind: "container",
            architecture: &self.instance.architecture,
            privileged: text(keys::is_true(&self.expanded.config, "security.privileged")),
            ephemeral: text(self.instance.ephemeral),
        }
    }
}

/// The path from the root; what leads out of it is cut here already, and by the kernel anyway.
fn inside(target: &str) -> PathBuf {
    Path::new(target)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

fn read_template(templates: BorrowedFd<'_>, name: &Path) -> Result<String, FileError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let fd = guarded::open_beneath(templates, name, flags, Mode::empty(), Resolve::NoSymlinks)?;
    let mut text = String::new();
    File::from(fd)
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| FileError::new("read", name, error))?;
    Ok(text)
}

fn put(
    root: BorrowedFd<'_>,
    path: &Path,
    text: &[u8],
    file: &TemplateMetadata,
) -> Result<(), Cause> {
    ensure_parents(root, path)?;
    // Not truncated before it is known to be a file: the guest may have put a pipe there.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mode = Mode::from_raw_mode(match &file.mode {
        Some(mode) => u32::from_str_radix(mode, 8)? & 0o7777,
        None => 0o644,
    });
    let existed = guarded::stat(root, path, Resolve::InRoot)?.is_some();
    let fd: OwnedFd = guarded::open_beneath(root, path, flags, mode, Resolve::InRoot)?;
    let failed = |action| move |error| FileError::new(action, path, error);
    let stat = rustix::fs::fstat(&fd).map_err(failed("look at"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::new("write", path, rustix::io::Errno::INVAL).into());
    }
    if !existed || file.mode.is_some() {
        rustix::fs::fchmod(&fd, mode).map_err(failed("set mode of"))?;
    }
    let (uid, gid) = (file.uid.unwrap_or(0), file.gid.unwrap_or(0));
    rustix::fs::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(failed("set owner of"))?;
    rustix::fs::ftruncate(&fd, 0).map_err(failed("empty"))?;
    File::from(fd)
        .write_all(text)
        .map_err(|error| FileError::new("write", path, error))?;
    Ok(())
}

fn ensure_parents(root: BorrowedFd<'_>, path: &Path) -> Result<(), FileError> {
    let mut above = PathBuf::new();
    for part in path.parent().into_iter().flat_map(Path::components) {
        above.push(part);
        if guarded::stat(root, &above, Resolve::InRoot)?.is_none() {
            let mode = Mode::from_raw_mode(0o755);
            guarded::create_dir(root, &above, mode, Resolve::InRoot)?;
        }
    }
    Ok(())
}
