//! Names that were checked: one that is held as one of these types never needs checking again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// What it should have named: `instance`, `network`, …
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid {} name `{}`: {}",
            self.kind,
            self.name.escape_debug(),
            self.reason
        )
    }
}

impl std::error::Error for NameError {}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $check:path;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                match $check(&name) {
                    Ok(()) => Ok(Self(name)),
                    Err(reason) => Err(NameError { kind: $kind, name, reason }),
                }
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::try_from(name.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// Name of an instance: a host name of one label, RFC 1123 §2.1, that is not a number.
    InstanceName, "instance", hostname;
    /// Name of a snapshot.
    SnapshotName, "snapshot", entity;
    /// Name of a profile.
    ProfileName, "profile", entity;
    /// Name of a project: stands in URLs and in names of hosts as it is.
    ProjectName, "project", project;
    /// Name of a storage pool.
    PoolName, "storage pool", entity;
    /// Name of a storage volume.
    VolumeName, "storage volume", entity;
    /// Name of a device.
    DeviceName, "device", entity;
    /// Name of a network, which is that of its interface too: at most 15 characters, netdevice(7).
    NetworkName, "network", interface;
    /// Alias of an image; may hold `/`.
    AliasName, "alias", alias;
}

fn hostname(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > 63 {
        return Err("it must have 1 to 63 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err("it may only hold letters, digits and hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err("it may not begin or end with a hyphen");
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return Err("it may not be a number");
    }
    Ok(())
}

fn entity(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > 64 {
        return Err("it must have 1 to 64 characters");
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.:+@".contains(&b))
    {
        return Err("it may only hold letters, digits and the characters - _ . : + @");
    }
    if name.starts_with(['-', '.']) {
        return Err("it may not begin with a hyphen or a dot");
    }
    Ok(())
}

fn project(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > 63 {
        return Err("it must have 1 to 63 characters");
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    {
        return Err("it may only hold letters, digits, hyphens and dots");
    }
    if name.starts_with(['-', '.']) {
        return Err("it may not begin with a hyphen or a dot");
    }
    Ok(())
}

fn interface(name: &str) -> Result<(), &'static str> {
    if name.len() < 2 || name.len() > 15 {
        return Err("it must have 2 to 15 characters");
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        return Err("it may only hold letters, digits and the characters - _ .");
    }
    if name.starts_with(['-', '.']) {
        return Err("it may not begin with a hyphen or a dot");
    }
    Ok(())
}

fn alias(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > 255 {
        return Err("it must have 1 to 255 characters");
    }
    if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it may not hold white space");
    }
    if name.starts_with('/') || name.ends_with('/') || name.contains("//") {
        return Err("each part between slashes must have a name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_name_can_leave_its_directory(name: String) {
            if let Ok(name) = name.parse::<SnapshotName>() {
                prop_assert!(!name.contains('/') && &*name != "." && &*name != "..");
            }
        }

        #[test]
        fn host_names_pass(name in "[a-z][a-z0-9]{0,30}(-[a-z0-9]{1,30})?") {
            prop_assert!(name.parse::<InstanceName>().is_ok());
        }
    }

    #[test]
    fn instances_are_host_names() {
        for good in ["c1", "a", "1c", "web-01", "A"] {
            assert!(good.parse::<InstanceName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "12",
            "a.b",
            "a_b",
            "a/b",
            "é",
            &"x".repeat(64),
        ] {
            assert!(bad.parse::<InstanceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_are_interfaces() {
        assert!("rlxcbr0".parse::<NetworkName>().is_ok());
        for bad in ["", "x", "..", "a b", "a/b", "sixteencharacter"] {
            assert!(bad.parse::<NetworkName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let error = "a\n/".parse::<InstanceName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r"invalid instance name `a\n/`: it may only hold letters, digits and hyphens"
        );
    }
}
