//! Which instances are listed: the beginning of a name, an expression, or `key=value`.
//!
//! As in LXD's client, a key of the configuration may be abbreviated part by part (`u.owner` is `user.owner`), a value is an expression
//! for the whole value, and several values of a field are divided by commas.

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use regex_lite::Regex;
use rlxc_api::InstanceFull;

/// One filter, ready to be asked often.
#[derive(Debug)]
pub(super) enum Filter {
    Name {
        beginning: String,
        expression: Option<Regex>,
    },
    Field {
        name: String,
        values: Vec<String>,
    },
    Address {
        family: &'static str,
        nets: Vec<IpNet>,
    },
    Key {
        abbreviated: String,
        value: String,
        expression: Option<Regex>,
    },
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let Some((key, value)) = text.split_once('=') else {
            return Ok(Self::Name {
                beginning: text.to_owned(),
                expression: Regex::new(text).ok(),
            });
        };
        let values = || value.split(',').map(str::to_owned).collect();
        Ok(match key {
            "name" | "state" | "status" | "type" | "architecture" | "project" | "location"
            | "profile" | "profiles" => Self::Field {
                name: key.to_owned(),
                values: values(),
            },
            "ipv4" => Self::Address {
                family: "inet",
                nets: nets(value)?,
            },
            "ipv6" => Self::Address {
                family: "inet6",
                nets: nets(value)?,
            },
            _ => Self::Key {
                abbreviated: key.to_owned(),
                value: value.to_owned(),
                expression: Regex::new(&format!("^(?:{value})$")).ok(),
            },
        })
    }

    /// Whether it can only be told of the state.
    pub(super) fn needs_state(&self) -> bool {
        matches!(self, Self::Address { .. })
    }

    pub(super) fn fits(&self, full: &InstanceFull) -> bool {
        let instance = &full.instance;
        match self {
            Self::Name {
                beginning,
                expression,
            } => {
                instance.name.starts_with(beginning)
                    || expression
                        .as_ref()
                        .is_some_and(|expression| expression.is_match(&instance.name))
            }
            Self::Field { name, values } => {
                let is = |field: &str| values.iter().any(|value| field.eq_ignore_ascii_case(value));
                match name.as_str() {
                    "name" => is(&instance.name),
                    "type" => is(&instance.kind),
                    "architecture" => is(&instance.put.architecture),
                    "project" => is(&instance.project),
                    "location" => is(&instance.location),
                    "state" | "status" => is(&instance.status),
                    _ => instance
                        .put
                        .profiles
                        .iter()
                        .flatten()
                        .any(|profile| is(profile)),
                }
            }
            Self::Address { family, nets } => {
                let networks = full.state.iter().flat_map(|state| state.network.values());
                networks
                    .flat_map(|nic| &nic.addresses)
                    .filter(|address| address.family == *family)
                    .filter_map(|address| address.address.parse().ok())
                    .any(|address: std::net::IpAddr| nets.iter().any(|net| net.contains(&address)))
            }
            Self::Key {
                abbreviated,
                value,
                expression,
            } => {
                let keys = instance.expanded_config.iter().chain(&instance.put.config);
                keys.filter(|(key, _)| abbreviates(abbreviated, key))
                    .any(|(_, set)| {
                        set == value
                            || expression
                                .as_ref()
                                .is_some_and(|expression| expression.is_match(set))
                    })
            }
        }
    }
}

/// Whether each part of `short` begins that of `key`.
fn abbreviates(short: &str, key: &str) -> bool {
    let (short, key): (Vec<_>, Vec<_>) = (short.split('.').collect(), key.split('.').collect());
    short.len() == key.len()
        && short
            .iter()
            .zip(key)
            .all(|(short, key)| key.starts_with(short))
}

fn nets(text: &str) -> Result<Vec<IpNet>> {
    let net = |word: &str| {
        let address = word.parse::<std::net::IpAddr>().map(IpNet::from);
        address.or_else(|_| word.parse::<IpNet>()).with_context(|| {
            format!("`{word}` is neither an address nor a subnet such as 10.0.0.0/24")
        })
    };
    text.split(',').map(net).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::instance;
    use super::*;

    fn fits(filter: &str) -> bool {
        Filter::parse(filter).unwrap().fits(&instance())
    }

    #[test]
    fn names_fields_keys_and_addresses() {
        for yes in [
            "c",
            "c1",
            "^c.$",
            ".*1",
            "name=c1",
            "name=x,c1",
            "state=running",
            "status=RUNNING",
            "user.owner=ann",
            "u.o=ann",
            "user.owner=a.*",
            "ipv4=10.0.0.0/24",
            "ipv4=10.0.0.2",
            "ipv6=fd42::/16",
            "type=container",
        ] {
            assert!(fits(yes), "{yes}");
        }
        for no in [
            "x",
            "^1",
            "name=c",
            "state=stopped",
            "user.owner=an",
            "u.o.x=ann",
            "ipv4=10.1.0.0/24",
            "ipv6=fe00::/16",
        ] {
            assert!(!fits(no), "{no}");
        }
        assert!(Filter::parse("ipv4=here").is_err());
    }
}
