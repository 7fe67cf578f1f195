//! What can go wrong with an image server: whether it can't be reached, doesn't have the image, or sent nonsense are
//! three different things to a caller, who may look elsewhere, tell the nearest names, or try again.

use std::path::PathBuf;

use crate::web::WebError;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum SimplestreamsError {
    /// There is no such server, or no answer that could be used.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Its index can't be understood.
    #[error("`{url}` is not an index of images")]
    BadIndex {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It has no such image.
    #[error(
        "the image server has no image `{name}` for {architecture}{}",
        did_you_mean(nearest)
    )]
    NotFound {
        /// As asked for.
        name: String,
        /// Debian's name of the architecture.
        architecture: String,
        /// Names that it has, nearest first.
        nearest: Vec<String>,
    },
    /// A file is not what the index promised.
    #[error("`{file}` from the image server is damaged: {reason}")]
    Corrupt {
        /// The path on the server.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A delta can't be applied.
    #[error("apply the delta `{file}` from the image server")]
    Delta {
        /// The path on the server.
        file: String,
        /// Why.
        #[source]
        source: rlxc_storage::image::DeltaError,
    },
    /// A file could not be written here.
    #[error("write `{}`", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The caller cancelled it.
    #[error("the download was cancelled")]
    Cancelled,
}

fn did_you_mean(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    let names: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
    format!("; the nearest: {}", names.join(", "))
}
