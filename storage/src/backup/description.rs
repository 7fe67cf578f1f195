//! `backup.yaml` as it lies on a pool, in the directory of each volume: what the inventory says of it, should that be lost.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::Path;

use rlxc_sys::file::{self, Durability, FileError};
use rlxc_sys::path::{self, Resolve};
use rustix::fs::{Mode, OFlags};

use super::index::BackupConfig;
use crate::image::ImageError;

/// Its name.
const NAME: &str = "backup.yaml";
/// What nobody's description is larger than.
const MOST: u64 = 16 << 20;

/// Puts the description of a volume into the volume's directory, durably.
pub fn save_description(directory: &Path, description: &BackupConfig) -> Result<(), ImageError> {
    let text = description.render()?;
    let target = directory.join(NAME);
    file::write_atomic(&target, text.as_bytes(), 0o600, Durability::Durable)?;
    Ok(())
}

/// The description in a volume's directory; `None` if there is none. The pool may have been somebody else's: links are not
/// followed.
pub fn load_description(directory: &Path) -> Result<Option<BackupConfig>, ImageError> {
    let dir = path::open_dir(directory)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let (name, links) = (Path::new(NAME), Resolve::NoSymlinks);
    let opened = match path::open_beneath(dir.as_fd(), name, flags, Mode::empty(), links) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let mut text = Vec::new();
    std::fs::File::from(opened)
        .take(MOST)
        .read_to_end(&mut text)
        .map_err(|error| FileError::new("read", directory.join(NAME), error))?;
    BackupConfig::parse(&text).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::OnDisk;

    #[test]
    fn is_read_as_it_was_written_and_links_are_not_followed() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(load_description(base.path()).unwrap(), None);
        let description = BackupConfig {
            on_disk: Some(OnDisk {
                idmap_base: Some(1_000_000),
                snapshots: [("s1".to_owned(), 7)].into(),
            }),
            ..BackupConfig::default()
        };
        save_description(base.path(), &description).unwrap();
        let read = load_description(base.path()).unwrap();
        assert_eq!(read, Some(description));
        let file = base.path().join(NAME);
        std::fs::write(&file, "container: [").unwrap();
        assert!(load_description(base.path()).is_err());
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        assert!(load_description(base.path()).is_err());
    }
}
