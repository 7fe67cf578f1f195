//! Images: `/1.0/images` and `/1.0/images/{fingerprint}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::{Timestamp, nullable};

/// The writable fields of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImagePut {
    /// Look for a newer one at the source.
    pub auto_update: bool,
    /// `os`, `release`, `description`, …
    #[serde(deserialize_with = "nullable")]
    pub properties: BTreeMap<String, String>,
    /// Open to clients that are not trusted.
    pub public: bool,
    /// From when on it is out of date; none for never.
    pub expires_at: Timestamp,
    /// Profiles of new instances that name none; left out, they stay as they are, or are `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Vec<String>>,
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Image {
    /// The writable fields.
    #[serde(flatten)]
    pub put: ImagePut,
    /// Names of it.
    #[serde(deserialize_with = "nullable")]
    pub aliases: Vec<ImageAlias>,
    /// Architecture as the kernel names it, `x86_64`.
    pub architecture: String,
    /// Fetched on behalf of an instance; deleted when not used for long.
    pub cached: bool,
    /// Name of the file that it was imported from.
    pub filename: String,
    /// SHA-256 of its file, or of its two files in order, in hexadecimal.
    pub fingerprint: String,
    /// Bytes, packed.
    pub size: i64,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_source: Option<ImageSource>,
    /// `container`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an instance was last made from it.
    pub last_used_at: Timestamp,
    /// When it came here.
    pub uploaded_at: Timestamp,
    /// Project that it belongs to.
    pub project: String,
}

/// A name of an image, as the image lists it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImageAlias {
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
}

/// Where an image came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImageSource {
    /// Alias there.
    pub alias: String,
    /// Certificate of that server.
    pub certificate: String,
    /// `simplestreams`, `lxd`, …
    pub protocol: String,
    /// Address.
    pub server: String,
    /// `container`, or empty.
    pub image_type: String,
}

/// Body of `POST /1.0/images`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImagesPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: ImagePut,
    /// Name of the file.
    pub filename: String,
    /// Where to get it from.
    pub source: Option<ImagesPostSource>,
    /// How to pack it: `gzip`, `zstd`, `xz`, `none`, …; empty is the server's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compression_algorithm: String,
    /// Names to give to it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub aliases: Vec<ImageAlias>,
}

/// Where to get a new image from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImagesPostSource {
    /// `image`, `instance`, `snapshot`, `url` or `build` (extension `image_build`).
    #[serde(rename = "type")]
    pub kind: String,
    /// `pull` or `push`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// `url`: address of the file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// `instance`: its name; `snapshot`: `instance/snapshot`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `image`: fingerprint at the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// `image`: secret of a private image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// `image`: project at the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// `image`: alias at the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
    /// `image`: certificate of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    /// `image`: `simplestreams`, `lxd`, `incus` or `oci`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// `image`: address of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// `image`: `container`, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_type: String,
    /// `build`: `debian` or `ubuntu`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub distribution: String,
    /// `build`: number or code name; empty is the newest stable one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub release: String,
    /// `build`: architecture; empty is the host's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// `build`: `default`, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// `build`: packages over those of the variant.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub packages: Vec<String>,
    /// `build`: archive to fetch from; empty is `images.build.mirror`, the host's, or mmdebstrap's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mirror: String,
}

/// Body of `POST /1.0/images/{fingerprint}/export`: push to another server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImageExportPost {
    /// Address of that server.
    pub target: String,
    /// Secret of the upload there.
    pub secret: String,
    /// Certificate of that server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    /// Names to give to it there.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub aliases: Vec<ImageAlias>,
    /// Project there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}
