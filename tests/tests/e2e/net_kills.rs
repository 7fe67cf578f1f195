//! The daemon dies in the midst of what changes networks: afterwards the kernel has what is listed, and nothing else.

use rlxc_tests::{Daemon, require};

use super::daemon_with_c1;
use super::net_faults::{beside, rules};

/// A change, its undo, and how it shows.
struct Change {
    done: &'static str,
    undone: &'static str,
    /// What lists it, and the text by which it is found there.
    listed: (&'static str, &'static str),
    /// Whether the kernel has it.
    is_there: fn(&Daemon) -> bool,
}

const CHANGES: [Change; 5] = [
    Change {
        done: "network forward create lab 192.0.2.10 target_address=10.77.1.9",
        undone: "network forward delete lab 192.0.2.10",
        listed: ("network forward list lab -f csv", "192.0.2.10"),
        is_there: |daemon| rules(daemon).contains("192.0.2.10"),
    },
    Change {
        done: "network forward port add lab 192.0.2.11 tcp 80 10.77.1.8",
        undone: "network forward port remove lab 192.0.2.11 tcp 80",
        listed: ("network forward show lab 192.0.2.11", "listen_port"),
        is_there: |daemon| rules(daemon).contains("10.77.1.8"),
    },
    Change {
        done: "network acl rule add web ingress action=allow protocol=tcp destination_port=4711",
        undone: "network acl rule remove web ingress destination_port=4711",
        listed: ("network acl show web", "4711"),
        is_there: |daemon| rules(daemon).contains("4711"),
    },
    Change {
        done: "network attach lab c1 eth1",
        undone: "network detach lab c1 eth1",
        listed: ("config device list c1", "eth1"),
        is_there: |daemon| {
            let links = beside(daemon, "c1", &["ip", "-o", "link"]).ok().unwrap();
            links.stdout.contains(": eth1")
        },
    },
    Change {
        done: "network rename near0 far0",
        undone: "network rename far0 near0",
        listed: ("network list -f csv", "far0"),
        is_there: |daemon| {
            let links = daemon.world().run(&["ip", "-o", "link"]).stdout;
            let names = ["near0", "far0"].map(|name| links.contains(&format!(": {name}:")));
            assert_ne!(names[0], names[1], "{links}");
            names[1]
        },
    },
];

impl Change {
    fn is_listed(&self, daemon: &Daemon) -> bool {
        let (line, text) = self.listed;
        daemon.cli().ok(line.split(' ')).contains(text)
    }

    /// Kills the daemon this part of the way through a command; whether what it did is listed then.
    #[track_caller]
    fn kill_at(&self, daemon: &mut Daemon, line: &str, part: (u32, u32)) -> bool {
        let wanted = line == self.done;
        if self.is_listed(daemon) == wanted {
            let back = if wanted { self.undone } else { self.done };
            daemon.cli().ok(back.split(' '));
        }
        let run = daemon.cli().command(line.split(' '));
        let took = run.ok().unwrap().elapsed;
        let back = if wanted { self.undone } else { self.done };
        daemon.cli().ok(back.split(' '));
        let running = std::thread::spawn(move || drop(run.output()));
        std::thread::sleep(took * part.0 / part.1);
        daemon.kill();
        running.join().unwrap();
        daemon.start();
        let listed = self.is_listed(daemon);
        assert_eq!((self.is_there)(daemon), listed, "{line} killed at {part:?}");
        listed == wanted
    }
}

#[test]
fn what_is_listed_is_there_whenever_the_daemon_dies() {
    require!(root);
    let (mut daemon, before) = daemon_with_c1();
    for line in [
        "network acl create web",
        "network create lab ipv4.address=10.77.1.1/24 ipv6.address=none security.acls=web",
        "network forward create lab 192.0.2.11",
        "network create near0 ipv4.address=10.77.2.1/24 ipv6.address=none",
    ] {
        daemon.cli().ok(line.split(' '));
    }
    let (mut done, mut undone) = (0, 0);
    for change in &CHANGES {
        for line in [change.done, change.undone] {
            for part in [(0, 1), (1, 3), (2, 3), (4, 3)] {
                if change.kill_at(&mut daemon, line, part) {
                    done += 1;
                } else {
                    undone += 1;
                }
            }
        }
        if change.is_listed(&daemon) {
            daemon.cli().ok(change.undone.split(' '));
        }
    }
    assert!(done > 0 && undone > 0, "{done} done, {undone} not");
    let cli = daemon.cli();
    cli.ok(["restart", "-f", "c1"]);
    for line in [
        "delete -f c1",
        "network delete lab",
        "network delete near0",
        "network acl delete web",
    ] {
        cli.ok(line.split(' '));
    }
    before.assert_none(&daemon);
}
