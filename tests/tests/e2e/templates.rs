//! Metadata and templates of an instance, and what cloud-init gets by them.

use rlxc_tests::require;

use super::daemon_with_c1;

const METADATA: &str = "architecture: x86_64\ncreation_date: 1\ntemplates:\n  /etc/renamed:\n    when: [rename]\n    template: name.tpl\n  \
    /etc/started:\n    when: [start]\n    template: name.tpl\n  /etc/seed:\n    when: [start, copy]\n    template: seed.tpl\n    \
    properties: {default: '#cloud-config'}\n";

#[test]
fn templates_are_written_when_their_time_comes() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let feed = |text: &str, args: &[&str]| {
        let output = cli.feed(text.as_bytes(), args.iter().copied());
        assert_eq!(output.code, 0, "{output}");
    };
    let name = "{{ trigger }} {{ instance.name }}";
    feed(name, &["config", "template", "edit", "c1", "name.tpl"]);
    let seed = "{{ config_get(\"user.user-data\", properties.default) }}";
    feed(seed, &["config", "template", "edit", "c1", "seed.tpl"]);
    feed(METADATA, &["config", "metadata", "edit", "c1"]);
    let shown = cli.ok(["config", "metadata", "show", "c1"]);
    assert!(shown.contains("/etc/renamed"), "{shown}");
    assert_eq!(
        cli.ok(["config", "template", "show", "c1", "name.tpl"]),
        name
    );
    let listed = cli.ok(["config", "template", "list", "c1", "-f", "csv"]);
    assert_eq!(listed, "name.tpl\nseed.tpl");
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(["rename", "c1", "c2"]);
    cli.ok(["start", "c2"]);
    assert_eq!(cli.exec("c2", &["cat", "/etc/renamed"]), "rename c2");
    assert_eq!(cli.exec("c2", &["cat", "/etc/started"]), "start c2");
    assert_eq!(cli.exec("c2", &["cat", "/etc/seed"]), "#cloud-config");
    cli.ok(["stop", "-f", "c2"]);
    cli.ok(["config", "set", "c2", "user.user-data=mine"]);
    cli.ok(["copy", "c2", "c3"]);
    cli.ok(["start", "c3"]);
    assert_eq!(cli.exec("c3", &["cat", "/etc/seed"]), "mine");
    // Not renamed once more.
    assert_eq!(cli.exec("c3", &["cat", "/etc/renamed"]), "rename c2");
    cli.ok(["config", "template", "delete", "c3", "name.tpl"]);
    cli.fails(["config", "template", "show", "c3", "name.tpl"]);
    for bad in ["../metadata.yaml", "/etc/passwd", ".."] {
        cli.fails(["config", "template", "show", "c3", bad]);
        cli.fails(["config", "template", "create", "c3", bad]);
    }
    assert_eq!(
        cli.ok(["config", "template", "show", "c2", "name.tpl"]),
        name,
        "the copy has its own"
    );
}
