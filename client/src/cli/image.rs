//! `image` and `image alias`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FormatArg, ListOfArgs, NameArgs};

// `image`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ImageVerb {
    /// List images.
    #[command(visible_alias = "ls")]
    List(ImageListArgs),
    /// Print an image as YAML.
    Show(NameArgs),
    /// Show what an image is and when it was used.
    Info(NameArgs),
    /// Import an image: one tarball, metadata and a root file system, a directory, or a URL.
    #[command(
        after_help = "Examples:\n  rlxc image import image.tar.xz --alias mine\n  rlxc image import meta.tar.xz root.squashfs box: os=Debian\n  rlxc image import https://images.example.org/image.tar.xz"
    )]
    Import(ImageImportArgs),
    /// Copy an image from one server to another.
    #[command(
        visible_alias = "cp",
        after_help = "Examples:\n  rlxc image copy images:debian/12 local: --alias debian\n  rlxc image copy box:golden local: --copy-aliases\n  rlxc image copy local:golden box: --mode push"
    )]
    Copy(ImageCopyArgs),
    /// Look for newer images where these came from.
    Refresh(ImagesArgs),
    /// Print a property of an image.
    GetProperty(ImagePropertyArgs),
    /// Set a property of an image.
    SetProperty(ImageSetPropertyArgs),
    /// Take a property away from an image.
    UnsetProperty(ImagePropertyArgs),
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
    Alias(ImageAliasVerb),
}

// `image list`.
#[derive(Debug, Args)]
pub(crate) struct ImageListArgs {
    /// Which ones: a part of an alias, the beginning of a fingerprint, or key=value of properties; a remote before them.
    pub(crate) filters: Vec<String>,
    /// Columns: l alias, L aliases, f fingerprint, F whole fingerprint, p public, d description, e project, a architecture,
    /// t type, s size, u upload date.
    #[arg(short = 'c', long, default_value = "lfpdatsu")]
    pub(crate) columns: String,
    /// Those of all projects.
    #[arg(long)]
    pub(crate) all_projects: bool,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// `image import`.
#[derive(Debug, Args)]
pub(crate) struct ImageImportArgs {
    /// The image, its metadata, a directory with both, or a URL.
    #[arg(value_name = "FILE|DIRECTORY|URL")]
    pub(crate) file: String,
    /// The root file system (a tarball or a squashfs), the remote to import it on, and properties.
    #[arg(value_name = "ROOTFS | REMOTE: | KEY=VALUE")]
    pub(crate) words: Vec<String>,
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

/// How an image gets from one server to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum CopyMode {
    /// The target fetches it.
    #[default]
    Pull,
    /// The source sends it.
    Push,
    /// It goes through this client.
    Relay,
}

// `image copy`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct ImageCopyArgs {
    /// Image on a remote.
    #[arg(value_name = "[REMOTE:]IMAGE")]
    pub(crate) source: String,
    /// Remote to copy it to.
    #[arg(value_name = "REMOTE:")]
    pub(crate) target: String,
    /// Alias there, may be given more than once.
    #[arg(long = "alias", value_name = "ALIAS")]
    pub(crate) aliases: Vec<String>,
    /// Give it the aliases there that it has here.
    #[arg(long)]
    pub(crate) copy_aliases: bool,
    /// Take these aliases over even if other images have them.
    #[arg(long)]
    pub(crate) reuse: bool,
    /// Let it follow its source.
    #[arg(long)]
    pub(crate) auto_update: bool,
    /// Open it to clients that are not trusted.
    #[arg(long)]
    pub(crate) public: bool,
    /// Profile of instances that are made of it, may be given more than once.
    #[arg(short = 'p', long = "profile", value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// Project there.
    #[arg(long, value_name = "PROJECT")]
    pub(crate) target_project: Option<String>,
    /// Who carries it.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mode: CopyMode,
}

// A property of an image.
#[derive(Debug, Args)]
pub(crate) struct ImagePropertyArgs {
    /// Alias or fingerprint.
    pub(crate) name: String,
    /// Property.
    pub(crate) key: String,
}

// `image set-property`.
#[derive(Debug, Args)]
pub(crate) struct ImageSetPropertyArgs {
    /// Alias or fingerprint.
    pub(crate) name: String,
    /// Property.
    pub(crate) key: String,
    /// Value.
    pub(crate) value: String,
}

// `image export`.
#[derive(Debug, Args)]
pub(crate) struct ImageExportArgs {
    /// Alias or fingerprint.
    pub(crate) name: String,
    /// Directory, or name of the (first) file [default: the directory that we are in].
    pub(crate) target: Option<PathBuf>,
}

// `image build`.
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

// Images.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Aliases or fingerprints.
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
}

// `image alias`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
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

// `image alias create`.
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

// `image alias rename`.
#[derive(Debug, Args)]
pub(crate) struct ImageAliasRenameArgs {
    /// Alias.
    pub(crate) alias: String,
    /// New name.
    pub(crate) new_name: String,
}
