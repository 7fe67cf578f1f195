//! Projects side by side, by our own client and by LXD's.

use rlxc_tests::{Daemon, require};

pub(super) const ROOT: [&str; 6] = ["device", "add", "default", "root", "disk", "path=/"];

/// Gives a project a profile that its instances can be made with.
#[track_caller]
pub(super) fn furnish(daemon: &Daemon, project: &str) {
    let cli = daemon.cli();
    let profile = |words: &[&str]| {
        let mut line = vec!["--project", project, "profile"];
        line.extend(words);
        cli.ok(line);
    };
    profile(&[&ROOT[..], &["pool=default"]].concat());
    let nic = ["device", "add", "default", "eth0", "nic"];
    profile(&[&nic[..], &["name=eth0", "network=rlxcbr0"]].concat());
}

#[test]
fn two_projects_have_containers_of_the_same_name() {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let cli = daemon.cli();
    cli.ok([
        "project",
        "create",
        "team",
        "-c",
        "features.images=false",
        "-c",
        "limits.instances=2",
    ]);
    furnish(&daemon, "team");
    cli.ok(["launch", "busybox", "c1"]);
    cli.ok(["--project", "team", "launch", "busybox", "c1"]);
    cli.exec("c1", &["sh", "-c", "echo default > /root/whose"]);
    assert_eq!(cli.ok(["project", "get-current"]), "default");
    cli.ok(["project", "switch", "team"]);
    assert_eq!(cli.ok(["project", "get-current"]), "team");
    assert_eq!(cli.exec("c1", &["hostname"]), "c1");
    assert_eq!(
        cli.run(["exec", "c1", "--", "test", "-e", "/root/whose"])
            .code,
        1
    );
    cli.exec("c1", &["sh", "-c", "echo team > /root/whose"]);
    let team = cli.wait_ipv4("c1");
    cli.ok(["snapshot", "create", "c1", "s0"]);
    assert_eq!(
        cli.ok(["list", "--all-projects", "-c", "n", "-f", "csv"]),
        "default,c1\nteam,c1"
    );
    let list = cli.ok(["project", "list", "-f", "csv"]);
    assert!(list.contains("team (current),NO,YES"), "{list}");
    cli.ok(["launch", "busybox", "c2"]);
    let text = cli.fails(["launch", "busybox", "c3"]);
    assert!(
        text.contains("project `team` has limits.instances=2"),
        "{text}"
    );
    let usage = cli.ok(["project", "info", "team", "-f", "csv"]);
    assert!(usage.contains("INSTANCES,2,2"), "{usage}");
    cli.ok(["project", "switch", "default"]);
    each_is_itself(&daemon, &team);
    moved_and_copied(&daemon);
}

/// Names, files and addresses of `c1` of `default`, beside a `c1` of `team` that has the address `team`.
#[track_caller]
fn each_is_itself(daemon: &Daemon, team: &str) {
    let cli = daemon.cli();
    let other = cli.wait_ipv4("c1");
    assert_ne!(team, other);
    assert_eq!(cli.exec("c1", &["cat", "/root/whose"]), "default");
    // Each is itself for DNS as well.
    let asked = cli.exec("c1", &["nslookup", "c1.rlxc"]);
    // As whole words: one address may be the beginning of the other.
    let answers = |address: &str| asked.split_whitespace().any(|word| word == address);
    assert!(answers(&other) && !answers(team), "{asked}");
    let asked = cli.exec("c1", &["nslookup", "c1--team.rlxc"]);
    assert!(asked.contains(team), "{asked}");
}

#[track_caller]
fn moved_and_copied(daemon: &Daemon) {
    let cli = daemon.cli();
    cli.ok(["delete", "-f", "c1"]);
    cli.ok(["--project", "team", "stop", "-f", "c1"]);
    cli.ok([
        "--project",
        "team",
        "move",
        "c1",
        "--target-project",
        "default",
    ]);
    cli.ok(["start", "c1"]);
    assert_eq!(cli.exec("c1", &["cat", "/root/whose"]), "team");
    cli.ok(["restore", "c1", "s0"]);
    cli.ok(["copy", "c1/s0", "c9", "--target-project", "team"]);
    cli.ok(["--project", "team", "delete", "-f", "c9", "c2"]);
    cli.ok(["delete", "-f", "c1"]);
    cli.ok(["project", "delete", "team"]);
}

#[test]
fn networks_profiles_and_acls_of_all_projects_are_listed() {
    require!(root);
    let daemon = Daemon::initialized();
    let cli = daemon.cli();
    let ok = |line: &str| cli.ok(line.split_whitespace());
    ok("project create team -c features.networks=true");
    ok("network create teambr ipv4.address=none ipv6.address=none --project team");
    ok("network acl create theirs --project team");
    ok("network acl create ours");
    ok("profile create special --project team");
    for (list, of_default, of_team) in [
        ("network list", "default,rlxcbr0", "team,teambr"),
        ("network acl list", "default,ours", "team,theirs"),
        ("profile list", "default,default", "team,special"),
    ] {
        let all = ok(&format!("{list} --all-projects --format csv"));
        assert!(all.contains(of_default) && all.contains(of_team), "{all}");
        let own = ok(&format!("{list} --format csv"));
        let name = of_team.trim_start_matches("team,");
        assert!(!own.contains(name), "{own}");
    }
}

#[test]
fn lxds_own_client_works_with_projects() {
    require!(root);
    require!(tool "lxc");
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let conf = daemon.dir().with_file_name("lxc");
    std::fs::create_dir(&conf).unwrap();
    let lxc = |args: &[&str]| -> String {
        let mut line = vec![
            "env".to_owned(),
            format!("LXD_DIR={}", daemon.dir().display()),
            format!("LXD_CONF={}", conf.display()),
            "lxc".to_owned(),
        ];
        line.extend(args.iter().map(|&arg| arg.to_owned()));
        let output = daemon.world().enter(line).output().unwrap();
        assert!(output.code == 0, "lxc {args:?}: {output}");
        output.stdout.trim_end().to_owned()
    };
    lxc(&["project", "create", "team", "-c", "features.images=false"]);
    let list = lxc(&["project", "list", "-f", "csv"]);
    assert!(
        list.contains("default (current)") && list.contains("team,NO,YES"),
        "{list}"
    );
    lxc(&["project", "switch", "team"]);
    lxc(&[&["profile"][..], &ROOT, &["pool=default"]].concat());
    lxc(&["launch", "busybox", "c1"]);
    assert_eq!(lxc(&["exec", "c1", "--", "hostname"]), "c1");
    assert!(lxc(&["list", "--all-projects", "-f", "csv"]).starts_with("team,c1,RUNNING"));
    lxc(&["project", "set", "team", "limits.instances", "3"]);
    assert_eq!(lxc(&["project", "get", "team", "limits.instances"]), "3");
    let info = lxc(&["project", "info", "team", "-f", "csv"]);
    assert!(info.contains("INSTANCES,3,1"), "{info}");
    lxc(&["project", "unset", "team", "limits.instances"]);
    lxc(&["stop", "-f", "c1"]);
    lxc(&["move", "c1", "--target-project", "default"]);
    lxc(&["--project", "default", "start", "c1"]);
    lxc(&["--project", "default", "delete", "-f", "c1"]);
    assert!(lxc(&["project", "show", "team"]).contains("name: team"));
    lxc(&["project", "switch", "default"]);
    lxc(&["project", "rename", "team", "crew"]);
    lxc(&["project", "delete", "crew"]);
}
