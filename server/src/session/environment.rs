//! The environment of a command that is run in an instance. Pure.

use std::collections::BTreeMap;

use crate::model::Config;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `container` is what init has too: programs ask it where they are, see systemd's `CONTAINER_INTERFACE`.
const DEFAULTS: [(&str, &str); 3] = [("PATH", PATH), ("LANG", "C.UTF-8"), ("container", "lxc")];

/// What a command gets: defaults, under the instance's `environment.*`, under what the request says.
pub(super) fn build(
    user: u32,
    snaps: bool,
    config: &Config,
    request: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from(DEFAULTS.map(owned));
    if snaps {
        environment.extend([("PATH".to_owned(), format!("{PATH}:/snap/bin"))]);
    }
    if user == 0 {
        environment.extend([("HOME", "/root"), ("USER", "root")].map(owned));
    }
    let configured = config.iter().filter_map(|(key, value)| {
        Some((key.strip_prefix("environment.")?.to_owned(), value.clone()))
    });
    environment.extend(configured);
    environment.extend(request.clone());
    environment
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_wins_over_the_configuration_over_the_defaults() {
        let config =
            Config::from([("environment.A", "config"), ("environment.LANG", "de_DE")].map(owned));
        let request = BTreeMap::from([("A", "request")].map(owned));
        let environment = build(0, false, &config, &request);
        assert_eq!(environment["A"], "request");
        assert_eq!(environment["LANG"], "de_DE");
        assert_eq!(environment["HOME"], "/root");
        assert_eq!(environment["container"], "lxc");
    }

    #[test]
    fn snaps_come_last() {
        let environment = build(0, true, &Config::new(), &BTreeMap::new());
        assert!(environment["PATH"].ends_with("/bin:/snap/bin"));
    }

    #[test]
    fn only_root_has_roots_home() {
        assert!(!build(1000, false, &Config::new(), &BTreeMap::new()).contains_key("HOME"));
    }
}
