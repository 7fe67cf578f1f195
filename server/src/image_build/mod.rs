//! Builds images of Debian and Ubuntu from the distribution's own packages, with mmdebstrap.
//!
//! [`build`] joins pure parts (which release, which packages, which mirror) and one effect: a run of mmdebstrap whose
//! tarball becomes a split image. It does not import the image; that is the caller's.

pub mod apt;
mod error;
mod log;
pub mod mirror;
mod pack;
pub mod recipe;
pub mod release;
mod run;
mod scratch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rlxc_api::ImageMetadata;
use tokio_util::sync::CancellationToken;

pub use error::BuildError;

use crate::simplestreams::architecture;
use recipe::{Recipe, Variant};
use release::Release;

/// What a user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildRequest {
    /// `debian` or `ubuntu`.
    pub distribution: String,
    /// Number or code name; empty for the newest stable one.
    pub release: String,
    /// `amd64` or `x86_64`, …; the host's own unless set.
    pub architecture: Option<String>,
    /// `default` or `minimal`; see [`Variant`].
    pub variant: Option<String>,
    /// More packages to install.
    pub packages: Vec<String>,
    /// Where to take packages from: one URI, or two with a blank between them, the second for security updates.
    pub mirror: Option<String>,
}

impl BuildRequest {
    /// Reads `debian`, `debian/12`, `ubuntu/noble/minimal`, `debian/13/arm64`; what it names is checked by [`Self::resolve`].
    pub fn parse(name: &str) -> Self {
        let mut words = name.split('/').map(str::to_owned);
        let mut request = Self {
            distribution: words.next().unwrap_or_default(),
            release: words.next().unwrap_or_default(),
            ..Self::default()
        };
        for word in words {
            if architecture::debian_name(&word).is_some() {
                request.architecture = Some(word);
            } else {
                request.variant = Some(word);
            }
        }
        request
    }

    /// Checks every part and says what will be built; touches nothing.
    pub fn resolve(&self) -> Result<Recipe, BuildError> {
        let wanted = self.architecture.as_deref();
        let architecture = match wanted {
            None => architecture::native(),
            Some(name) => {
                architecture::debian_name(name).ok_or_else(|| BuildError::UnknownName {
                    kind: "architecture",
                    name: name.to_owned(),
                    hint: format!("this host is {}", architecture::native()),
                })?
            }
        };
        self.packages
            .iter()
            .try_for_each(|name| recipe::check_package_name(name))?;
        Ok(Recipe {
            release: Release::find(&self.distribution, &self.release)?,
            variant: Variant::parse(self.variant.as_deref())?,
            architecture,
            extra: self.packages.clone(),
        })
    }
}

/// What a build takes from the daemon and the host.
#[derive(Debug, Clone)]
pub struct BuildHost {
    /// A directory for unfinished work, on a file system with about 1 GiB to spare; results are left there too.
    pub work_dir: PathBuf,
    /// The configuration's `images.build.mirror`.
    pub mirror: Option<String>,
    /// The configuration's `core.proxy_http`; the host's apt is asked unless set.
    pub proxy: Option<String>,
    /// Where public keys of archives are: `/usr/share/keyrings`.
    pub keyrings: PathBuf,
    /// The host's apt configuration: `/etc/apt`.
    pub apt: PathBuf,
}

impl BuildHost {
    /// A usual host.
    pub fn new(work_dir: &Path) -> Self {
        Self {
            work_dir: work_dir.to_owned(),
            mirror: None,
            proxy: None,
            keyrings: "/usr/share/keyrings".into(),
            apt: "/etc/apt".into(),
        }
    }
}

/// A split image, ready to be imported; its files belong to the caller now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// The directory that holds both files and nothing else; to be deleted after the import.
    pub directory: PathBuf,
    /// The metadata tarball.
    pub metadata: PathBuf,
    /// The root file system, `tar.zst`.
    pub rootfs: PathBuf,
    /// The image's properties, also in `metadata`.
    pub properties: BTreeMap<String, String>,
    /// Names that fit it, the most exact first: `debian/13`, `debian/trixie`, `debian`.
    pub aliases: Vec<String>,
}

/// Builds an image. `progress` is told what is going on, in words for people. When `cancel` fires, every process of the
/// build is killed, its files are deleted, and the result is [`BuildError::Cancelled`].
pub async fn build(
    request: &BuildRequest,
    host: &BuildHost,
    progress: impl Fn(String) + Send + Sync,
    cancel: CancellationToken,
) -> Result<BuiltImage, BuildError> {
    let recipe = request.resolve()?;
    let keyring = find_keyring(&recipe, &host.keyrings)?;
    let wanted = request.mirror.as_deref().or(host.mirror.as_deref());
    let sources = apt::load_sources(&host.apt);
    let mirror = mirror::plan_mirror(&recipe, wanted, &sources, &keyring)?;
    let proxies = find_proxies(host).await;
    progress(format!(
        "building {} from {}",
        recipe.release.title(),
        mirror.origin
    ));
    let scratch = scratch::Scratch::create(&host.work_dir)?;
    let (metadata, rootfs) = (scratch.path("metadata.tar"), scratch.path("rootfs.tar.zst"));
    let command = run::render_command(&recipe, &mirror, &proxies, &scratch.temporary())?;
    run::run(command, &rootfs, &progress, &cancel).await?;
    let document = describe(&recipe);
    pack::write_metadata(&document, &metadata)?;
    Ok(BuiltImage {
        directory: scratch.keep()?,
        metadata,
        rootfs,
        properties: document.properties,
        aliases: recipe.aliases(),
    })
}

fn find_keyring(recipe: &Recipe, keyrings: &Path) -> Result<String, BuildError> {
    let distribution = recipe.release.distribution;
    let path = keyrings.join(distribution.keyring());
    if path.is_file() {
        return Ok(path.to_string_lossy().into_owned());
    }
    Err(BuildError::KeyringMissing {
        distribution: distribution.title(),
        path,
        package: distribution.keyring_package(),
    })
}

async fn find_proxies(host: &BuildHost) -> apt::Proxies {
    if let Some(proxy) = &host.proxy {
        return apt::Proxies {
            http: Some(proxy.clone()),
            https: Some(proxy.clone()),
        };
    }
    // Without an answer there is no proxy, which is the usual case anyway.
    tokio::task::spawn_blocking(apt::load_proxies)
        .await
        .unwrap_or_default()
}

fn describe(recipe: &Recipe) -> ImageMetadata {
    let created = jiff::Timestamp::now().as_second();
    let kernel = architecture::kernel_name(recipe.architecture);
    ImageMetadata {
        architecture: kernel.unwrap_or(recipe.architecture).to_owned(),
        creation_date: created,
        properties: recipe.properties(created),
        ..ImageMetadata::default()
    }
}

#[cfg(test)]
mod tests;
