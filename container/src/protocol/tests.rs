//! The golden form of each message. A test that fails here means that running monitors would not understand: add,
//! never change.

use super::*;

fn golden(message: &(impl Serialize + DeserializeOwned + PartialEq + std::fmt::Debug), json: &str) {
    assert_eq!(serde_json::to_string(message).unwrap(), json);
    let back = serde_json::from_str(json).unwrap();
    assert_eq!(message, &back);
}

#[test]
fn later_requests_are_frozen() {
    golden(
        &Request::SetDevices {
            device: "kmsg".into(),
            nodes: vec![DeviceSpec {
                device: "kmsg".into(),
                source: "/dev/kmsg".into(),
                path: "/dev/kmsg".into(),
                kind: "c".into(),
                number: "1:11".into(),
                mode: 0o660,
                uid: 0,
                gid: 0,
                optional: false,
            }],
        },
        r#"{"request":"set-devices","device":"kmsg","nodes":[{"device":"kmsg","source":"/dev/kmsg","path":"/dev/kmsg","kind":"c","number":"1:11","mode":432,"uid":0,"gid":0,"optional":false}]}"#,
    );
    golden(
        &Request::SetRlimits {
            rlimits: vec![("nofile".into(), 1, 2)],
        },
        r#"{"request":"set-rlimits","rlimits":[["nofile",1,2]]}"#,
    );
}

#[test]
fn the_request_for_mounts_is_frozen() {
    golden(
        &Request::SetMounts {
            mounts: MountInterception {
                allowed: vec!["ext4".into()],
                fuse: [("xfs".to_owned(), "fusexfs".to_owned())].into(),
                shift: true,
            },
        },
        r#"{"request":"set-mounts","mounts":{"allowed":["ext4"],"fuse":{"xfs":"fusexfs"},"shift":true}}"#,
    );
}

#[test]
fn requests_are_frozen() {
    golden(&Request::Continue, r#"{"request":"continue"}"#);
    golden(
        &Request::Hello { protocol: 1 },
        r#"{"request":"hello","protocol":1}"#,
    );
    golden(&Request::Status, r#"{"request":"status"}"#);
    golden(
        &Request::Signal { signal: 15 },
        r#"{"request":"signal","signal":15}"#,
    );
    golden(&Request::Shutdown, r#"{"request":"shutdown"}"#);
    golden(
        &Request::ExecSignal { signal: 2 },
        r#"{"request":"exec-signal","signal":2}"#,
    );
    golden(
        &Request::ExecResize {
            width: 80,
            height: 25,
        },
        r#"{"request":"exec-resize","width":80,"height":25}"#,
    );
    golden(&Request::ConsoleAttach, r#"{"request":"console-attach"}"#);
    golden(
        &Request::ConsoleResize {
            width: 80,
            height: 25,
        },
        r#"{"request":"console-resize","width":80,"height":25}"#,
    );
    golden(
        &Request::ConsoleLog { clear: true },
        r#"{"request":"console-log","clear":true}"#,
    );
    golden(
        &Request::Unmount {
            target: "/data".into(),
        },
        r#"{"request":"unmount","target":"/data"}"#,
    );
    golden(
        &Request::Mount {
            mount: MountSpec {
                source: "/srv".into(),
                target: "/data".into(),
                readonly: true,
                shift: true,
                recursive: true,
                optional: true,
                file: false,
                beneath: None,
                propagation: "rslave".into(),
                options: String::new(),
            },
        },
        r#"{"request":"mount","mount":{"source":"/srv","target":"/data","readonly":true,"shift":true,"recursive":true,"optional":true,"file":false,"beneath":null,"propagation":"rslave"}}"#,
    );
}

#[test]
fn exec_is_frozen() {
    golden(
        &Request::Exec(ExecRequest {
            argv: vec!["ls".to_owned()],
            env: vec![("PATH".to_owned(), "/bin".to_owned())],
            user: 1,
            group: 2,
            cwd: "/root".to_owned(),
            terminal: Some(TerminalSize {
                width: 80,
                height: 25,
            }),
        }),
        r#"{"request":"exec","argv":["ls"],"env":[["PATH","/bin"]],"user":1,"group":2,"cwd":"/root","terminal":{"width":80,"height":25}}"#,
    );
}

#[test]
fn start_is_frozen_and_short_forms_are_read() {
    let short = r#"{"request":"start","spec":{"instance":"1","name":"c1","runtime-dir":"/run/c1","cgroup":"rlxc/1","rootfs":{"tree":{"path":"/srv/c1"}}}}"#;
    let Request::Start { spec } = serde_json::from_str(short).unwrap() else {
        panic!("not a start");
    };
    insta::assert_json_snapshot!("start", Request::Start { spec });
}

#[test]
fn replies_are_frozen() {
    golden(&Reply::Cloned { pid: 7 }, r#"{"reply":"cloned","pid":7}"#);
    golden(
        &Reply::Running { init_pid: 7 },
        r#"{"reply":"running","init_pid":7}"#,
    );
    golden(
        &Reply::Failed(Failure {
            phase: "root file system".to_owned(),
            errno: 2,
            detail: "no".to_owned(),
        }),
        r#"{"reply":"failed","phase":"root file system","errno":2,"detail":"no"}"#,
    );
    golden(
        &Reply::Hello {
            protocol: 1,
            instance: "1".to_owned(),
            init_pid: 7,
            started_at: 9,
        },
        r#"{"reply":"hello","protocol":1,"instance":"1","init_pid":7,"started_at":9}"#,
    );
    golden(
        &Reply::Status {
            init_pid: 7,
            commands: 0,
            console_attached: false,
        },
        r#"{"reply":"status","init_pid":7,"commands":0,"console_attached":false}"#,
    );
    golden(&Reply::Done, r#"{"reply":"done"}"#);
    golden(
        &Reply::Error {
            detail: "no".to_owned(),
            errno: 1,
        },
        r#"{"reply":"error","detail":"no","errno":1}"#,
    );
    golden(&Reply::Unsupported, r#"{"reply":"unsupported"}"#);
    golden(&Reply::Console, r#"{"reply":"console"}"#);
    golden(
        &Reply::ConsoleLog { size: 3 },
        r#"{"reply":"console-log","size":3}"#,
    );
}

#[test]
fn replies_of_exec_and_end_are_frozen() {
    golden(
        &Reply::ExecStarted { pid: 7 },
        r#"{"reply":"exec-started","pid":7}"#,
    );
    golden(
        &Reply::ExecFailed {
            errno: 2,
            detail: "no".to_owned(),
        },
        r#"{"reply":"exec-failed","errno":2,"detail":"no"}"#,
    );
    golden(
        &Reply::ExecExited { status: 137 },
        r#"{"reply":"exec-exited","status":137}"#,
    );
    for (cause, json) in [
        (ExitCause::Halt, r#"{"kind":"halt"}"#),
        (ExitCause::Reboot, r#"{"kind":"reboot"}"#),
        (
            ExitCause::Signal { signal: 9 },
            r#"{"kind":"signal","signal":9}"#,
        ),
        (ExitCause::Exit { code: 1 }, r#"{"kind":"exit","code":1}"#),
    ] {
        golden(
            &Reply::Exited { cause },
            &format!(r#"{{"reply":"exited","cause":{json}}}"#),
        );
    }
}

#[test]
fn the_future_is_not_an_error() {
    let unknown = r#"{"request":"fly","height":7}"#;
    assert_eq!(
        serde_json::from_str::<Request>(unknown).unwrap(),
        Request::Unknown
    );
    let unknown = r#"{"reply":"flown"}"#;
    assert_eq!(
        serde_json::from_str::<Reply>(unknown).unwrap(),
        Reply::Unknown
    );
}
