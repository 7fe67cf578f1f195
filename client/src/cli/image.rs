//! `image` and `image alias`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FormatArg, ListOfArgs, NameArgs};

/// `image`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// List images.
    #[command(visible_alias = "ls")]
    List(ImageListArgs),
    /// Print an image as YAML.
    Show(NameArgs),
    /// Show what an image is and when it was used.
    Info(NameArgs),
    /// Import an image: one tarball, or metadata and a root file system.
    Import(ImageImportArgs),
    /// Save an image as one or two files.
    Export(ImageExportArgs),
    /// Build an image from the packages of a distribution.
    #[command(
        after_help = "Releases: debian/12, debian/13, ubuntu/22.04, ubuntu/24.04, …; without one the newest stable.\n\nExample:\n  rlxc image build debian/12 --alias base --packages openssh-server,vim"
    )]
    Build(ImageBuildArgs),
    /// Delete images.
    #[command(visible_alias = "rm")]
    Delete(ImagesArgs),
    /// Edit the properties of an image as YAML; from stdin where that is no terminal.
    Edit(NameArgs),
    /// Manage aliases.
    #[command(subcommand)]
    Alias(ImageAliasVerb),
}

/// `image list`.
#[derive(Debug, Args)]
pub(crate) struct ImageListArgs {
    /// Which ones: a part of an alias or of a fingerprint, or key=value of the properties.
    pub(crate) filters: Vec<String>,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

/// `image import`.
#[derive(Debug, Args)]
pub(crate) struct ImageImportArgs {
    /// The image, or its metadata.
    pub(crate) file: PathBuf,
    /// The root file system: a tarball or a squashfs.
    pub(crate) rootfs: Option<PathBuf>,
    /// Remote to import it on, with a colon.
    #[arg(value_name = "REMOTE:")]
    pub(crate) remote: Option<String>,
    /// Alias, may be given more than once.
    #[arg(long = "alias", value_name = "ALIAS")]
    pub(crate) aliases: Vec<String>,
    /// Give it these aliases even if other images have them.
    #[arg(long)]
    pub(crate) reuse: bool,
    /// Open it to clients that are not trusted.
    #[arg(long)]
    pub(crate) public: bool,
}

/// `image export`.
#[derive(Debug, Args)]
pub(crate) struct ImageExportArgs {
    /// Alias or fingerprint.
    pub(crate) name: String,
    /// Directory, or name of the (first) file [default: the directory that we are in].
    pub(crate) target: Option<PathBuf>,
}

/// `image build`.
#[derive(Debug, Args)]
pub(crate) struct ImageBuildArgs {
    /// Distribution and release.
    #[arg(value_name = "DISTRIBUTION/RELEASE")]
    pub(crate) release: String,
    /// Alias, may be given more than once [default: the release].
    #[arg(long = "alias", value_name = "ALIAS")]
    pub(crate) aliases: Vec<String>,
    /// Variant: default or minimal.
    #[arg(long)]
    pub(crate) variant: Option<String>,
    /// Packages to add, joined by commas.
    #[arg(long, value_delimiter = ',', value_name = "PACKAGES")]
    pub(crate) packages: Vec<String>,
    /// Archive to fetch from.
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<String>,
    /// Architecture [default: the host's].
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) architecture: Option<String>,
    /// Build it even if there is an image with this alias, which passes to the new one.
    #[arg(long)]
    pub(crate) reuse: bool,
}

/// Images.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Aliases or fingerprints.
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
}

/// `image alias`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageAliasVerb {
    /// List aliases.
    #[command(visible_alias = "ls")]
    List(ListOfArgs),
    /// Name an image.
    Create(ImageAliasCreateArgs),
    /// Delete aliases; the image stays.
    #[command(visible_alias = "rm")]
    Delete(ImagesArgs),
    /// Rename an alias.
    Rename(ImageAliasRenameArgs),
}

/// `image alias create`.
#[derive(Debug, Args)]
pub(crate) struct ImageAliasCreateArgs {
    /// Alias.
    pub(crate) alias: String,
    /// Fingerprint of the image, or another alias of it.
    pub(crate) image: String,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// `image alias rename`.
#[derive(Debug, Args)]
pub(crate) struct ImageAliasRenameArgs {
    /// Alias.
    pub(crate) alias: String,
    /// New name.
    pub(crate) new_name: String,
}
