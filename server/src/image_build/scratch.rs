//! The directory of one build: deleted when the build does not come to its end.

use std::path::{Path, PathBuf};

use super::error::BuildError;

/// A directory of its own for one build.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    kept: bool,
}

impl Scratch {
    /// Makes `build-<uuid>` in `parent`, and in that the place for mmdebstrap's unfinished tree.
    pub(super) fn create(parent: &Path) -> Result<Self, BuildError> {
        let path = parent.join(format!("build-{}", uuid::Uuid::new_v4()));
        let scratch = Self { path, kept: false };
        let temporary = scratch.temporary();
        std::fs::create_dir_all(&temporary).map_err(|source| BuildError::Io {
            doing: "create directory",
            path: temporary,
            source,
        })?;
        Ok(scratch)
    }

    /// A file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where temporary files go.
    pub(super) fn temporary(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Gives the directory to the caller, without its temporary files.
    pub(super) fn keep(mut self) -> Result<PathBuf, BuildError> {
        let temporary = self.temporary();
        std::fs::remove_dir_all(&temporary).map_err(|source| BuildError::Io {
            doing: "delete directory",
            path: temporary,
            source,
        })?;
        self.kept = true;
        Ok(self.path.clone())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The mounts that mmdebstrap makes in its tree are in its own mount namespace: there are none below this path here.
        if self.kept {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the directory of a build could not be deleted");
        }
    }
}
