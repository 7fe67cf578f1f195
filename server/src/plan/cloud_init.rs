//! What cloud-init is told: the keys of `cloud-init.ssh-keys.*` are laid into the data that the user wrote. Pure.

use serde_norway::{Mapping, Value};

use crate::model::Config;

const SSH_KEYS: &str = "cloud-init.ssh-keys.";
/// What user data begins with that is configuration and not a script.
const MARK: &str = "#cloud-config";
/// Where a key may be imported from: Launchpad and GitHub, see `ssh_import_id` of cloud-init.
const IMPORTS: [&str; 2] = ["lp:", "gh:"];

/// Whether a value is a user and a key, or a user and whose keys are to be imported.
pub fn is_ssh_key(value: &str) -> bool {
    let Some((user, key)) = value.split_once(':') else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !user.is_empty()
        && user.bytes().all(plain)
        && !key.trim().is_empty()
        && !key.contains(['\n', '\0'])
}

/// Lays the keys into the vendor data, and into the user data where there is some: of two lists of users cloud-init takes the
/// user's and forgets the vendor's. Data that is no such configuration stays as it is.
pub fn add_ssh_keys(config: &mut Config) {
    let of_users = config.iter().filter(|(key, _)| key.starts_with(SSH_KEYS));
    let of_users: Vec<(String, String)> = of_users
        .filter_map(|(_, value)| value.split_once(':'))
        .map(|(user, key)| (user.to_owned(), key.trim().to_owned()))
        .collect();
    if of_users.is_empty() {
        return;
    }
    for (name, is_needed) in [("vendor-data", true), ("user-data", false)] {
        let names = ["cloud-init.", "user."].map(|prefix| format!("{prefix}{name}"));
        let is_set = |key: &&String| config.get(*key).is_some_and(|text| !text.trim().is_empty());
        let found = names.iter().find(is_set);
        let text = found.and_then(|key| config.get(key));
        if text.is_none() && !is_needed {
            continue;
        }
        if let Some(text) = merge(text.map_or(MARK, String::as_str), &of_users) {
            config.insert(found.unwrap_or(&names[0]).clone(), text);
        }
    }
}

fn merge(text: &str, keys: &[(String, String)]) -> Option<String> {
    let first = text.lines().next().unwrap_or_default();
    if first.trim_end() != MARK {
        return None;
    }
    let mut data = match serde_norway::from_str(text).ok()? {
        Value::Mapping(data) => data,
        Value::Null => Mapping::new(),
        _ => return None,
    };
    let users = data
        .entry("users".into())
        // Who is there without being listed stays.
        .or_insert_with(|| Value::Sequence(vec!["default".into()]));
    let users = users.as_sequence_mut()?;
    for (user, key) in keys {
        let is_meant = |entry: &&mut Value| entry.get("name").and_then(Value::as_str) == Some(user);
        if users.iter_mut().find(is_meant).is_none() {
            let entry = Mapping::from_iter([("name".into(), user.as_str().into())]);
            users.push(Value::Mapping(entry));
        }
        let entry = users.iter_mut().find(is_meant)?.as_mapping_mut()?;
        let is_import = IMPORTS.iter().any(|site| key.starts_with(site));
        let list = if is_import {
            "ssh_import_id"
        } else {
            "ssh_authorized_keys"
        };
        let list = entry
            .entry(list.into())
            .or_insert_with(|| Value::Sequence(Vec::new()));
        list.as_sequence_mut()?.push(key.as_str().into());
    }
    let text = serde_norway::to_string(&data).ok()?;
    Some(format!("{MARK}\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&str, &str)]) -> Config {
        let mut config = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        add_ssh_keys(&mut config);
        config
    }

    #[test]
    fn keys_go_into_vendor_data_and_into_user_data_that_is_there() {
        let key = ("cloud-init.ssh-keys.me", "root:ssh-ed25519 AAAA me");
        let alone = told(&[key]);
        let vendor = "#cloud-config\nusers:\n- default\n- name: root\n  ssh_authorized_keys:\n  - ssh-ed25519 AAAA me\n";
        assert_eq!(alone["cloud-init.vendor-data"], vendor);
        assert!(!alone.contains_key("cloud-init.user-data"));
        let user = "#cloud-config\nusers:\n- name: root\n  shell: /bin/sh\n";
        let both = told(&[
            key,
            ("cloud-init.ssh-keys.you", "you:gh:you"),
            ("user.user-data", user),
        ]);
        assert_eq!(
            both["user.user-data"],
            "#cloud-config\nusers:\n- name: root\n  shell: /bin/sh\n  ssh_authorized_keys:\n  - ssh-ed25519 AAAA me\n- name: you\n  ssh_import_id:\n  - gh:you\n"
        );
    }

    #[test]
    fn what_is_no_configuration_stays() {
        for text in [
            "#!/bin/sh\necho",
            "#cloud-config\n[1]",
            "#cloud-config\na: [",
            "#cloud-config\nusers: me",
        ] {
            let config = told(&[
                ("cloud-init.ssh-keys.a", "a:b"),
                ("cloud-init.user-data", text),
            ]);
            assert_eq!(config["cloud-init.user-data"], text);
        }
        let config = told(&[("cloud-init.user-data", "#cloud-config\n")]);
        assert_eq!(config.len(), 1);
    }

    #[test]
    fn a_key_has_a_user() {
        for good in ["root:gh:me", "me:ssh-ed25519 AAAA a@b"] {
            assert!(is_ssh_key(good), "{good}");
        }
        for bad in ["", "root", ":key", "a b:key", "root: ", "root:a\nb"] {
            assert!(!is_ssh_key(bad), "{bad}");
        }
    }
}
