use std::collections::BTreeSet;

use super::*;

fn check(scope: &Scope, key: &str, value: &str) -> Result<(), String> {
    scope.check(&Config::from([(key.to_owned(), value.to_owned())]))
}

#[test]
fn every_key_stands_once_and_says_what_it_does() {
    for scope in SCOPES {
        let mut names = BTreeSet::new();
        for key in scope.keys() {
            assert!(
                names.insert(key.name),
                "{}: {} stands twice",
                scope.entity,
                key.name
            );
            assert!(
                !key.about.is_empty() && !key.about.ends_with('.'),
                "{}",
                key.name
            );
            assert!(key.about.lines().count() == 1, "{}", key.name);
        }
        for group in scope.groups {
            let sorted = group.keys.is_sorted_by(|a, b| a.name < b.name);
            assert!(
                sorted,
                "{}: the keys of {} are not in order",
                scope.entity, group.name
            );
        }
    }
}

#[test]
fn knows_its_keys() {
    for (key, value) in [
        ("limits.memory", "512MiB"),
        ("limits.memory", "50%"),
        ("limits.cpu", "0-3,5"),
        ("limits.kernel.nofile", "1024:unlimited"),
        ("user.anything", "x"),
        ("volatile.eth0.hwaddr", "x"),
        ("no.such.key", ""),
    ] {
        assert_eq!(check(&instance::SCOPE, key, value), Ok(()), "{key}");
    }
}

#[test]
fn a_wrong_key_or_value_is_named_with_what_would_be_right() {
    for (key, value, expected) in [
        (
            "limits.memroy",
            "1",
            "unknown configuration key `limits.memroy`. Did you mean `limits.memory`?",
        ),
        ("user.", "x", "unknown configuration key `user.`"),
        (
            "limits.memory",
            "much",
            "`limits.memory=much` is not a size such as 512MiB or 50%",
        ),
        (
            "boot.autostart",
            "often",
            "`boot.autostart=often` is neither true nor false",
        ),
        (
            "limits.cpu.priority",
            "11",
            "`limits.cpu.priority=11` is not a whole number from 0 to 10",
        ),
        (
            "boot.stop.priority",
            "1.5",
            "`boot.stop.priority=1.5` is not a whole number",
        ),
        (
            "limits.memory.enforce",
            "sfot",
            "`limits.memory.enforce=sfot` is neither `hard` nor `soft`. Did you mean `soft`?",
        ),
    ] {
        assert_eq!(check(&instance::SCOPE, key, value).unwrap_err(), expected);
    }
}

#[test]
fn a_star_stands_for_something_in_between() {
    let key = Key::new("tunnel.*.id", Kind::Text, "");
    assert!(key.is_called("tunnel.a.id"));
    assert!(!key.is_called("tunnel..id") || key.is_called("tunnel..id"));
    for other in ["tunnel.id", "tunnel.a.ids", "tunnel.a"] {
        assert!(!key.is_called(other), "{other}");
    }
}

#[test]
fn paths_of_disks_lead_where_they_say() {
    let check = |kind: &str, path: &str| {
        let keys = [("type", kind), ("source", "/srv"), ("path", path)];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
        check_devices(&Devices::from([("d".to_owned(), Config::from(keys))]))
    };
    for (path, expected) in [
        ("/same/../same", "leads back by `..`"),
        ("/../../x", "leads back by `..`"),
        ("/proc", "`path=/proc` would hide"),
        ("//sys/.", "would hide"),
        ("/dev/", "would hide"),
    ] {
        for kind in ["disk", "unix-char"] {
            let wrong = check(kind, path).unwrap_err();
            assert!(wrong.contains(expected), "{wrong}");
        }
    }
    for path in ["/dev/shm", "/proc/sys/x", "/sys/fs/bpf", "/device", "/a..b"] {
        assert_eq!(check("disk", path), Ok(()));
    }
}

#[test]
fn devices_are_checked_by_their_type() {
    let devices = |keys: &[(&str, &str)]| {
        let keys = keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        check_devices(&Devices::from([("eth0".to_owned(), keys.collect())]))
    };
    let nic = ("type", "nic");
    assert_eq!(devices(&[nic, ("network", "br0"), ("user.a", "b")]), Ok(()));
    assert_eq!(devices(&[("type", "none")]), Ok(()));
    for (keys, expected) in [
        (
            &[nic, ("netwrok", "br0")][..],
            "device `eth0`: unknown key of a NIC `netwrok`. Did you mean `network`?",
        ),
        (
            &[nic, ("hwaddr", "1:2")],
            "device `eth0`: `hwaddr=1:2` is not an address such as 00:16:3e:01:02:03, and no multicast address",
        ),
        (
            &[("type", "nci")],
            "device `eth0` has type `nci`, which is not known here: there are disk, gpu, infiniband, nic, none, proxy, tpm, unix-block, unix-char, unix-hotplug, usb",
        ),
        (
            &[
                ("type", "unix-char"),
                ("source", "/dev/zero"),
                ("path", "/root/zz"),
                ("mode", "0600"),
            ],
            "device `eth0`: `path=/root/zz` is not below `/dev`: the host's own node is shown there, and of `major`, `minor`, `uid`, `gid`, `mode` none can be chosen",
        ),
        (
            &[("network", "br0")],
            "device `eth0` needs a type: disk, gpu, infiniband, nic, none, proxy, tpm, unix-block, unix-char, unix-hotplug, usb",
        ),
    ] {
        assert_eq!(devices(keys).unwrap_err(), expected);
    }
}

#[test]
fn what_only_begins_alike_is_not_offered() {
    let near = |wanted: &str| did_you_mean(wanted, ["core.proxy_ignore_hosts"].into_iter());
    assert_eq!(near("core.foo"), "");
    assert_eq!(
        near("core.proxy_ignore_host"),
        ". Did you mean `core.proxy_ignore_hosts`?"
    );
}
