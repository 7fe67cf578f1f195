//! What can go wrong while an image is built, in words that tell the user what to do.

use std::path::PathBuf;

use rlxc_sys::tool::ToolError;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The distribution is not one that can be built.
    #[error("distribution `{name}` can't be built here; known: {}", known.join(", "))]
    UnknownDistribution {
        /// As it was asked for.
        name: String,
        /// Those that can, nearest first.
        known: Vec<&'static str>,
    },
    /// The distribution is known, its release is not.
    #[error("`{distribution}` has no release `{release}`; known: {}", known.join(", "))]
    UnknownRelease {
        /// The distribution.
        distribution: &'static str,
        /// As it was asked for.
        release: String,
        /// Those that can be built, nearest first.
        known: Vec<&'static str>,
    },
    /// Neither a variant nor an architecture nor a package that has this name.
    #[error("{kind} `{name}` is not known; {hint}")]
    UnknownName {
        /// What kind of name it is.
        kind: &'static str,
        /// As it was asked for.
        name: String,
        /// What would be.
        hint: String,
    },
    /// The public key that the archive is signed with is not on the host.
    #[error(
        "the packages of {distribution} can't be verified: `{}` is missing; install it with `apt-get install {package}`, \
         or copy that file from a machine that runs {distribution}",
        path.display()
    )]
    KeyringMissing {
        /// The distribution.
        distribution: &'static str,
        /// Where its key belongs.
        path: PathBuf,
        /// The package that brings it.
        package: &'static str,
    },
    /// mmdebstrap (or unshare) is not installed or can't be run.
    #[error("build with mmdebstrap (`apt-get install mmdebstrap` installs it)")]
    Tool {
        /// Why.
        #[source]
        source: ToolError,
    },
    /// A file or a pipe of the build could not be used.
    #[error("{doing} `{}`", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The mirror did not answer.
    #[error(
        "the package mirror can't be reached: {detail}; another one can be set with `images.build.mirror`"
    )]
    MirrorUnreachable {
        /// In apt's words.
        detail: String,
    },
    /// The mirror answered, but not with what it must.
    #[error("the package mirror doesn't serve this release as it should: {detail}")]
    MirrorWrong {
        /// In apt's words.
        detail: String,
    },
    /// A package that was asked for doesn't exist in that release.
    #[error("package `{package}` doesn't exist in this release")]
    PackageMissing {
        /// Its name.
        package: String,
    },
    /// The file system of the work directory is full.
    #[error("no space is left in `{}`: a build needs about 1 GiB for a while", path.display())]
    DiskFull {
        /// The work directory.
        path: PathBuf,
    },
    /// mmdebstrap ended with an error of another kind.
    #[error("mmdebstrap stopped while {stage}: {detail}")]
    Failed {
        /// What it was doing.
        stage: String,
        /// Its last words.
        detail: String,
    },
    /// It was cancelled; nothing is left behind.
    #[error("the build was cancelled")]
    Cancelled,
}
