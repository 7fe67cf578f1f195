//! cloud-init of Debian in an instance: it finds the guest API, or the files that the templates of its image wrote, and does
//! what it is told.

use std::time::Duration;

use rlxc_tests::process::{Output, eventually};
use rlxc_tests::{Cli, Daemon, Uplink, require, skip};

const BOOT: Duration = Duration::from_secs(120);
const INSTALL: Duration = Duration::from_secs(300);
const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIhz2GK/XCUj4i6Q5yQJNL1MKMG9qN2JeMNHHMnDuYy me@here";

/// The templates of an image with cloud-init, as those of the usual image servers are: path in the instance, name, text.
const TEMPLATES: [(&str, &str, &str); 4] = [
    (
        "meta-data",
        "cloud-init-meta.tpl",
        "#cloud-config\ninstance-id: {{ container.name }}\nlocal-hostname: {{ container.name }}\n{{ config_get(\"user.meta-data\", \"\") }}\n",
    ),
    (
        "user-data",
        "cloud-init-user.tpl",
        "{{ config_get(\"cloud-init.user-data\", config_get(\"user.user-data\", properties.default)) }}\n",
    ),
    (
        "vendor-data",
        "cloud-init-vendor.tpl",
        "{{ config_get(\"cloud-init.vendor-data\", config_get(\"user.vendor-data\", properties.default)) }}\n",
    ),
    (
        "network-config",
        "cloud-init-network.tpl",
        "{% if config_get(\"user.network-config\", \"\") == \"\" %}version: 1\nconfig:\n  - type: physical\n    name: eth0\n    subnets:\n      - type: dhcp\n{% else %}{{ config_get(\"user.network-config\", \"\") }}{% endif %}\n",
    ),
];

fn metadata(architecture: &str) -> String {
    let files = TEMPLATES.map(|(file, template, _)| {
        format!(
            "  /var/lib/cloud/seed/nocloud-net/{file}:\n    when: [create, copy]\n    template: {template}\n    properties:\n      default: \"#cloud-config\\n{{}}\"\n"
        )
    });
    let head = format!("architecture: {architecture}\ncreation_date: 1700000000\ntemplates:\n");
    head + &files.concat()
}

/// The images `cloud`, Debian with the package, and `seeded`, which has templates for it too.
fn import_cloud(daemon: &Daemon) -> Result<(), Output> {
    rlxc_tests::image::import_debian(daemon);
    let cli = daemon.cli();
    cli.ok(["launch", "debian/12", "base"]);
    cli.wait_ipv4("base");
    let script = "export DEBIAN_FRONTEND=noninteractive; apt-get -q update && \
        apt-get -q install -y --no-install-recommends cloud-init && apt-get clean && cloud-init clean --logs && : > /etc/machine-id";
    let install = cli.command(["exec", "base", "--", "sh", "-c", script]);
    let installed = install.deadline(INSTALL).output().unwrap();
    if installed.code != 0 {
        return Err(installed);
    }
    cli.ok(["stop", "base"]);
    let publish = |alias| cli.ok(["publish", "base", "--alias", alias, "--compression", "none"]);
    publish("cloud");
    for (_, name, text) in TEMPLATES {
        cli.ok(["config", "template", "create", "base", name]);
        let line = cli.command(["config", "template", "edit", "base", name]);
        let made = line.stdin(text).output().unwrap();
        assert_eq!(made.code, 0, "{made}");
    }
    let edit = cli.command(["config", "metadata", "edit", "base"]);
    let made = edit
        .stdin(metadata(std::env::consts::ARCH))
        .output()
        .unwrap();
    assert_eq!(made.code, 0, "{made}");
    publish("seeded");
    cli.ok(["delete", "base"]);
    Ok(())
}

#[track_caller]
fn assert_done(cli: Cli<'_>, name: &str, source: &str) {
    let mut status = String::new();
    eventually("cloud-init is done", BOOT, || {
        let output = cli.run(["exec", name, "--", "cloud-init", "status", "--long"]);
        status = format!("{output}");
        output.stdout.contains("status: done") || output.stdout.contains("status: error")
    });
    assert!(status.contains("status: done"), "{status}");
    assert!(status.contains(source), "{status}");
}

/// `c1` is told by the guest API, `c2`, which has none, by its image's templates.
fn launch(cli: Cli<'_>) {
    let key = format!("cloud-init.ssh-keys.mine=root:{SSH_KEY}");
    cli.ok([
        "launch",
        "cloud",
        "c1",
        "-c",
        "cloud-init.user-data=#cloud-config\nhostname: told\nruncmd:\n- echo ran > /root/ran\nwrite_files:\n- path: /root/written\n  content: by user data\n",
        "-c",
        "cloud-init.vendor-data=#cloud-config\nwrite_files:\n- path: /root/never\n  content: users win\ntimezone: Asia/Tokyo\n",
        "-c",
        "cloud-init.network-config=version: 2\nethernets:\n  eth0:\n    dhcp4: true\n    mtu: 1400\n",
        "-c",
        &key,
    ]);
    cli.ok([
        "launch",
        "seeded",
        "c2",
        "-c",
        "security.devlxd=false",
        "-c",
        "user.user-data=#cloud-config\nwrite_files:\n- path: /root/written\n  content: by the seed\n",
        "-c",
        &key,
    ]);
}

#[test]
fn debian_with_cloud_init_does_what_it_is_told() {
    require!(root);
    let daemon = Daemon::initialized_with(Uplink::Nat);
    if let Err(output) = import_cloud(&daemon) {
        let reason = format!("needs Debian's archive for the package cloud-init: {output}");
        return skip(module_path!(), &reason);
    }
    let cli = daemon.cli();
    launch(cli);
    assert_done(cli, "c1", "DataSourceLXD");
    assert_eq!(cli.exec("c1", &["cat", "/root/written"]), "by user data");
    assert_eq!(cli.exec("c1", &["cat", "/root/ran"]), "ran");
    assert_eq!(cli.exec("c1", &["hostname"]), "told");
    assert_eq!(
        cli.exec("c1", &["readlink", "/etc/localtime"]),
        "/usr/share/zoneinfo/Asia/Tokyo"
    );
    assert_eq!(cli.exec("c1", &["cat", "/sys/class/net/eth0/mtu"]), "1400");
    assert!(
        cli.exec("c1", &["cat", "/root/.ssh/authorized_keys"])
            .contains(SSH_KEY)
    );
    assert_done(cli, "c2", "DataSourceNoCloud");
    assert_eq!(cli.exec("c2", &["cat", "/root/written"]), "by the seed");
    assert_eq!(cli.exec("c2", &["hostname"]), "c2");
    assert!(
        cli.exec("c2", &["cat", "/root/.ssh/authorized_keys"])
            .contains(SSH_KEY)
    );
    // Not another time: it is the same machine after a restart.
    cli.exec("c1", &["rm", "/root/ran"]);
    cli.ok(["restart", "c1"]);
    assert_done(cli, "c1", "DataSourceLXD");
    assert_eq!(
        cli.run(["exec", "c1", "--", "test", "-e", "/root/ran"])
            .code,
        1
    );
    cli.ok(["delete", "-f", "c1", "c2"]);
}
