//! `metadata.yaml`: what an image says about itself. The format is LXD's, see
//! <https://documentation.ubuntu.com/lxd/en/latest/reference/image_format/>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ImageError;

/// The content of `metadata.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageMetadata {
    /// As uname(2) names it: `x86_64`, `aarch64`.
    pub architecture: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    /// Seconds since 1970; 0 for never.
    #[serde(default)]
    pub expiry_date: i64,
    /// `os`, `release`, `description` and what else the maker says.
    #[serde(default, deserialize_with = "texts")]
    pub properties: BTreeMap<String, String>,
    /// Files of the container that are written from templates, by their absolute path in it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub templates: BTreeMap<String, TemplateMetadata>,
}

/// When and from what one file of a container is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateMetadata {
    /// `create`, `copy`, `rename`, `start`.
    #[serde(default)]
    pub when: Vec<String>,
    /// Only if the file is not there yet.
    #[serde(default)]
    pub create_only: bool,
    /// The name of the template in `templates/`.
    pub template: String,
    /// What the template may ask for.
    #[serde(default, deserialize_with = "texts")]
    pub properties: BTreeMap<String, String>,
    /// Owner; 0 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group; 0 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Mode, as octal text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

impl ImageMetadata {
    /// Parses the text of `metadata.yaml`.
    pub fn parse(text: &[u8]) -> Result<Self, ImageError> {
        serde_norway::from_slice(text).map_err(|source| ImageError::Metadata { source })
    }

    /// The text of `metadata.yaml`.
    pub fn render(&self) -> Result<String, ImageError> {
        serde_norway::to_string(self).map_err(|source| ImageError::Metadata { source })
    }
}

/// Makers of images write `release: 12` and `serial: 20240101_05:24` without quotes: any scalar is text.
fn texts<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let values: Option<BTreeMap<String, serde_norway::Value>> = Option::deserialize(deserializer)?;
    values
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| {
            use serde::de::Error as _;
            let text = match value {
                serde_norway::Value::Null => String::new(),
                serde_norway::Value::Bool(value) => value.to_string(),
                serde_norway::Value::Number(value) => value.to_string(),
                serde_norway::Value::String(value) => value,
                _ => {
                    return Err(D::Error::custom(format!(
                        "the property `{key}` is not a text"
                    )));
                }
            };
            Ok((key, text))
        })
        .collect()
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_makers_of_images_write() {
        let text = "architecture: amd64\ncreation_date: 1700000000\nproperties:\n  os: Debian\n  release: 12\n  \
                    serial: 20240101_05:24\ntemplates:\n  /etc/hostname:\n    when: [create, copy]\n    \
                    template: hostname.tpl\n    properties: {}\n";
        let metadata = ImageMetadata::parse(text.as_bytes()).unwrap();
        assert_eq!(metadata.properties["release"], "12");
        assert_eq!(metadata.templates["/etc/hostname"].when, ["create", "copy"]);
        let again = ImageMetadata::parse(metadata.render().unwrap().as_bytes()).unwrap();
        assert_eq!(again, metadata);
    }

    #[test]
    fn takes_nothing_for_empty_maps() {
        let text = "architecture: x86_64\ncreation_date: 1\nproperties:\ntemplates:\n";
        let metadata = ImageMetadata::parse(text.as_bytes()).unwrap();
        assert!(metadata.properties.is_empty() && metadata.templates.is_empty());
    }

    #[test]
    fn says_what_is_missing() {
        let error = ImageMetadata::parse(b"properties: {}").unwrap_err();
        let text = rlxc_sys::chain::chain(&error).to_string();
        assert!(text.contains("missing field `architecture`"), "{text}");
    }
}
