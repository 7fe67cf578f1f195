//! Backups: an instance or a custom volume as one file, which any server of this API can make one of again. What both
//! have in common; what is in the file is told by [`crate::app::instance::backup`] and [`crate::app::volume`].
//!
//! A backup waits on disk until it is fetched, or goes straight to who asked for it.

mod kept;
mod order;
mod parts;
mod stream;

pub use kept::{NewBackup, create, delete, expire, find, list, open, remove, remove_all, rename};
pub use order::ExportOrder;
pub use parts::{Parts, refuse_format};
pub use stream::{Upload, stream};

use rlxc_storage::backup::BackupOrder;

use crate::context::{App, scoped};
use crate::error::Result;
use crate::model::BackupOwner;
use crate::operation::OperationSpec;
use crate::saga::Saga;

/// What an archive may unpack to where the pool does not know how much is free.
pub const MOST: u64 = 1 << 50;

/// Whose backups.
#[derive(Debug, Clone)]
pub struct Owner {
    /// Its id.
    pub id: BackupOwner,
    /// Its project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Its URL, without the project.
    pub path: String,
}

impl Owner {
    /// For errors.
    fn called(&self) -> String {
        let kind = match self.id {
            BackupOwner::Instance(_) => "instance",
            BackupOwner::Volume(_) => "storage volume",
        };
        format!("{kind} `{}`", self.name)
    }

    fn spec(&self, what: &'static str) -> OperationSpec {
        let kind = match self.id {
            BackupOwner::Instance(_) => "instances",
            BackupOwner::Volume(_) => "storage_volumes",
        };
        let url = scoped(self.path.clone(), &self.project);
        OperationSpec::task(what, &self.project, kind, &url)
    }
}

/// Something that is held while it is packed.
pub trait Content: Send + Sync + 'static {
    /// What goes into the file. What the saga has been told goes when it is packed.
    fn order(
        &self,
        app: &App,
        saga: &mut Saga<'_>,
    ) -> impl Future<Output = Result<BackupOrder>> + Send;
}

/// A time as the inventory writes it: others write it in other zones.
pub fn time(text: &str) -> Option<String> {
    text.parse().ok().map(crate::clock::format)
}
