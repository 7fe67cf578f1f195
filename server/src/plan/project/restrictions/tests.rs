//! What passes with which keys, as a table.

use super::*;

fn config(text: &str) -> Config {
    text.split_whitespace()
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap();
            (key.to_owned(), value.replace('+', " "))
        })
        .collect()
}

fn check(project: &str, keys: &str, device: &str) -> Result<(), String> {
    let project = config(&format!("restricted=true {project}"));
    let mut devices = Devices::new();
    if !device.is_empty() {
        devices.insert("d".to_owned(), config(device));
    }
    let config = config(keys);
    Restrictions::of("team", &project).unwrap().check(Subject {
        what: "instance `c1`",
        config: &config,
        devices: &devices,
    })
}

#[test]
fn a_project_that_is_not_restricted_forbids_nothing() {
    assert!(Restrictions::of("team", &config("restricted.snapshots=block")).is_none());
    assert!(Restrictions::of("team", &config("restricted=false")).is_none());
}

#[test]
fn keys_pass_only_where_they_may() {
    for (keys, project) in [
        (
            "security.nesting=true",
            "restricted.containers.nesting=allow",
        ),
        (
            "security.privileged=true",
            "restricted.containers.privilege=allow",
        ),
        ("raw.lxc=x", "restricted.containers.lowlevel=allow"),
        ("raw.seccomp=x", "restricted.containers.lowlevel=allow"),
        (
            "limits.memory.swap=false",
            "restricted.containers.lowlevel=allow",
        ),
        (
            "raw.idmap=both+1000+0",
            "restricted.containers.lowlevel=allow",
        ),
        (
            "raw.idmap=both+1000+0",
            "restricted.idmap.uid=1000 restricted.idmap.gid=900-1100",
        ),
        (
            "raw.idmap=uid+1000-1001+0-1",
            "restricted.idmap.uid=1000-1001",
        ),
        (
            "security.syscalls.intercept.mknod=true",
            "restricted.containers.interception=allow",
        ),
        (
            "security.syscalls.intercept.mount=true",
            "restricted.containers.interception=full",
        ),
    ] {
        assert_eq!(check(project, keys, ""), Ok(()), "{keys} {project}");
        let error = check("", keys, "").unwrap_err();
        let key = keys.split('=').next().unwrap();
        assert!(
            error.starts_with(&format!(
                "`{key}` of instance `c1` is not allowed in project `team`"
            )),
            "{error}"
        );
    }
    for harmless in [
        "limits.memory=1GiB security.nesting=false security.privileged=false user.a=b",
        "volatile.eth0.hwaddr=x environment.A=b security.syscalls.intercept.mknod=false",
    ] {
        assert_eq!(check("", harmless, ""), Ok(()));
    }
}

#[test]
fn narrower_permissions_do_not_let_more_through() {
    for (keys, project) in [
        ("raw.idmap=both+1000+0", "restricted.idmap.uid=1000"),
        ("raw.idmap=uid+999-1001+0", "restricted.idmap.uid=1000-1001"),
        ("raw.idmap=uid+x+0", "restricted.idmap.uid=1000"),
        (
            "security.syscalls.intercept.mount=true",
            "restricted.containers.interception=allow",
        ),
        (
            "security.privileged=true",
            "restricted.containers.privilege=isolated",
        ),
        (
            "security.idmap.isolated=false",
            "restricted.containers.privilege=isolated",
        ),
    ] {
        assert!(check(project, keys, "").is_err(), "{keys} {project}");
    }
}

#[test]
fn what_opens_walls_is_low_level() {
    const DISKS: &str = "restricted.devices.disk=allow";
    let low_level = format!("{DISKS} restricted.containers.lowlevel=allow");
    for (keys, device) in [
        ("security.syscalls.deny_default=false", ""),
        ("security.syscalls.blacklist_default=no", ""),
        ("", "type=disk source=/home/u path=/x propagation=rshared"),
        (
            "",
            "type=disk pool=default source=v path=/x propagation=slave",
        ),
    ] {
        let wrong = check(DISKS, keys, device).unwrap_err();
        assert!(
            wrong.ends_with("restricted.containers.lowlevel=block"),
            "{wrong}"
        );
        assert_eq!(check(&low_level, keys, device), Ok(()));
    }
    for (keys, device) in [
        (
            "security.syscalls.deny_default=true security.syscalls.deny=mkdir",
            "",
        ),
        ("", "type=disk source=/home/u path=/x propagation=private"),
    ] {
        assert_eq!(check(DISKS, keys, device), Ok(()));
    }
}

#[test]
fn a_refusal_says_once_what_would_allow_it() {
    let ids = check("", "raw.idmap=uid+1000-1001+0-1", "").unwrap_err();
    assert!(
        ids.ends_with("restricted.idmap.uid is not set: a list with 1000-1001 would allow it"),
        "{ids}"
    );
    let tpm = check("", "", "type=tpm").unwrap_err();
    assert!(
        tpm.ends_with("it has restricted=true and no key that allows devices of type `tpm`"),
        "{tpm}"
    );
}

#[test]
fn devices_pass_only_where_they_may() {
    for (device, project) in [
        (
            "type=unix-char path=/dev/kmsg",
            "restricted.devices.unix-char=allow",
        ),
        ("type=unix-block", "restricted.devices.unix-block=allow"),
        ("type=unix-hotplug", "restricted.devices.unix-hotplug=allow"),
        ("type=usb", "restricted.devices.usb=allow"),
        ("type=gpu", "restricted.devices.gpu=allow"),
        ("type=infiniband", "restricted.devices.infiniband=allow"),
        ("type=pci", "restricted.devices.pci=allow"),
        ("type=proxy", "restricted.devices.proxy=allow"),
        (
            "type=nic nictype=bridged parent=br0",
            "restricted.devices.nic=allow",
        ),
        (
            "type=disk source=/srv path=/srv",
            "restricted.devices.disk=allow",
        ),
        (
            "type=disk source=/home/u/x path=/x",
            "restricted.devices.disk=allow restricted.devices.disk.paths=/home/u,/srv",
        ),
    ] {
        assert_eq!(check(project, "", device), Ok(()), "{device} {project}");
        let error = check("", "", device).unwrap_err();
        assert!(error.starts_with("device `d` of instance `c1`"), "{error}");
    }
    for harmless in [
        "type=none",
        "type=disk path=/ pool=default",
        "type=disk path=/data pool=default source=v",
        "type=nic network=rlxcbr0",
    ] {
        assert_eq!(check("", "", harmless), Ok(()), "{harmless}");
    }
}

#[test]
fn what_is_narrowed_stays_narrow() {
    for (device, project) in [
        ("type=new-thing", ""),
        ("type=nic network=a", "restricted.devices.nic=block"),
        ("type=nic network=a host_name=eth0", ""),
        ("type=nic network=a ipv4.routes=10.0.0.0/8", ""),
        ("type=nic network=a vlan=7", ""),
        ("type=nic network=a", "restricted.networks.access=b,c"),
        (
            "type=nic nictype=bridged parent=a",
            "restricted.devices.nic=allow restricted.networks.access=b",
        ),
        (
            "type=disk path=/data pool=default source=v",
            "restricted.devices.disk=block",
        ),
        (
            "type=disk path=/ pool=a",
            "restricted.storage-pools.access=b",
        ),
        (
            "type=disk source=/home/uu path=/x",
            "restricted.devices.disk=allow restricted.devices.disk.paths=/home/u",
        ),
        (
            "type=disk source=/home/u/../v path=/x",
            "restricted.devices.disk=allow restricted.devices.disk.paths=/home/u",
        ),
        (
            "type=disk source=/home/u path=/x shift=true",
            "restricted.devices.disk=allow restricted.devices.disk.paths=/home/u",
        ),
        (
            "type=disk source=home/u path=/x",
            "restricted.devices.disk=allow restricted.devices.disk.paths=home/u",
        ),
    ] {
        assert!(check(project, "", device).is_err(), "{device} {project}");
    }
    assert_eq!(
        check("restricted.networks.access=b,a", "", "type=nic network=a"),
        Ok(())
    );
}

#[test]
fn actions_and_servers_are_asked_for_by_their_key() {
    let project = config("restricted=true restricted.images.servers=a.example,b.example");
    let restrictions = Restrictions::of("team", &project).unwrap();
    let error = restrictions
        .check_action("restricted.snapshots", "a snapshot")
        .unwrap_err();
    assert_eq!(
        error,
        "a snapshot is not allowed in project `team`: it has restricted=true and restricted.snapshots=block"
    );
    assert_eq!(
        restrictions.check_image_server("https://b.example:8443/x"),
        Ok(())
    );
    assert!(
        restrictions
            .check_image_server("https://c.example")
            .is_err()
    );
}

#[test]
fn zones_are_those_that_are_named_and_what_is_in_them() {
    let project = config("restricted=true restricted.networks.zones=lab.example,x.test");
    let restrictions = Restrictions::of("team", &project).unwrap();
    for (zone, allowed) in [
        ("lab.example", true),
        ("a.lab.example", true),
        ("x.test", true),
        ("otherlab.example", false),
        ("example", false),
    ] {
        assert_eq!(restrictions.check_zone(zone).is_ok(), allowed, "{zone}");
    }
    let project = config("restricted=true");
    let restrictions = Restrictions::of("team", &project).unwrap();
    assert!(restrictions.check_zone("lab.example").is_err());
}
