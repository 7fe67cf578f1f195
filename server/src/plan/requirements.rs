//! What an image says that it needs: its properties `requirements.*`, which its instances keep as `image.requirements.*`. The words are
//! those of LXD's image format.

use crate::keys::is_true;
use crate::model::Config;

/// Tells why an instance can't run as it is configured.
pub fn check(config: &Config) -> Result<(), String> {
    let says = |name: &str, value: &str| {
        let held = config.get(&format!("image.requirements.{name}"));
        held.is_some_and(|held| held.eq_ignore_ascii_case(value))
    };
    if says("cgroup", "v1") {
        return Err(
            "its image needs control groups of version 1, and containers have version 2 here"
                .to_owned(),
        );
    }
    if says("nesting", "true") && !is_true(config, "security.nesting") {
        return Err("its image runs containers inside: set `security.nesting` to true".to_owned());
    }
    if says("privileged", "false") && is_true(config, "security.privileged") {
        return Err(
            "its image can't be privileged: `security.privileged` must not be true".to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_needs_must_be_there() {
        let check = |keys: &[(&str, &str)]| {
            let pairs = keys
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            check(&pairs.collect())
        };
        let image = |name: &'static str| match name {
            "nesting" => ("image.requirements.nesting", "true"),
            "privileged" => ("image.requirements.privileged", "false"),
            _ => ("image.requirements.cgroup", "v1"),
        };
        assert_eq!(check(&[("image.requirements.secureboot", "false")]), Ok(()));
        assert!(check(&[image("cgroup")]).unwrap_err().contains("version 1"));
        assert!(
            check(&[image("nesting")])
                .unwrap_err()
                .contains("`security.nesting`")
        );
        assert_eq!(
            check(&[image("nesting"), ("security.nesting", "true")]),
            Ok(())
        );
        assert_eq!(check(&[image("privileged")]), Ok(()));
        assert!(check(&[image("privileged"), ("security.privileged", "true")]).is_err());
    }
}
