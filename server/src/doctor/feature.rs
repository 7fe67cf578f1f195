//! Kernel features that clients ask for: `environment.kernel_features` of `GET /1.0`. Cheap: two small files are read.

use std::collections::BTreeMap;

/// What the running kernel has, in the names of LXD's API, `"true"` or `"false"`.
pub fn kernel_features() -> BTreeMap<String, String> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    derive_features(
        &read("/proc/sys/kernel/osrelease"),
        &read("/proc/sys/kernel/seccomp/actions_avail"),
    )
}

/// Kernel versions are those that brought the feature, see <https://kernelnewbies.org/LinuxVersions>.
fn derive_features(release: &str, actions: &str) -> BTreeMap<String, String> {
    let version = parse_version(release);
    let listener = actions
        .split_whitespace()
        .any(|action| action == "user_notif");
    [
        ("idmapped_mounts", version >= (5, 12)),
        ("idmapped_mounts_v2", version >= (5, 19)),
        ("netnsid_getifaddrs", version >= (5, 0)),
        ("seccomp_listener", listener),
        ("seccomp_listener_continue", listener && version >= (5, 5)),
        ("uevent_injection", version >= (4, 18)),
        ("unpriv_fscaps", version >= (4, 14)),
    ]
    .map(|(name, has)| (name.to_owned(), has.to_string()))
    .into()
}

/// Major and minor number of `6.1.0-13-amd64`.
pub(super) fn parse_version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .trim()
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_distributions() {
        assert_eq!(parse_version("6.1.0-13-amd64\n"), (6, 1));
        assert_eq!(parse_version("5.15-rc1"), (5, 15));
        assert_eq!(parse_version(""), (0, 0));
    }

    #[test]
    fn old_kernels_lack_features() {
        let old = derive_features("5.4.0", "kill_process user_notif log allow");
        assert_eq!(old["idmapped_mounts"], "false");
        assert_eq!(old["seccomp_listener"], "true");
        assert_eq!(old["seccomp_listener_continue"], "false");
        assert!(
            derive_features("6.18.1", "user_notif")
                .values()
                .all(|has| has == "true")
        );
    }

    #[test]
    fn this_kernel_has_names() {
        assert!(kernel_features().contains_key("idmapped_mounts"));
    }
}
