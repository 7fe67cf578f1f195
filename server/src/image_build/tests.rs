use std::os::unix::fs::MetadataExt as _;

use super::*;

#[test]
fn reads_names_as_users_write_them() {
    let request = BuildRequest::parse("debian/12/arm64");
    assert_eq!(request.architecture.as_deref(), Some("arm64"));
    let recipe = BuildRequest::parse("ubuntu/noble/minimal")
        .resolve()
        .unwrap();
    assert_eq!(recipe.aliases()[0], "ubuntu/24.04/minimal");
    assert_eq!(
        BuildRequest::parse("debian")
            .resolve()
            .unwrap()
            .release
            .number,
        "13"
    );
}

#[test]
fn refuses_unknown_variants_and_packages() {
    assert_eq!(
        BuildRequest::parse("debian/12/fancy")
            .resolve()
            .unwrap_err()
            .to_string(),
        "variant `fancy` is not known; variants are: default, minimal"
    );
    let mut request = BuildRequest::parse("debian");
    request.packages = vec!["--oops".to_owned()];
    assert!(request.resolve().is_err());
}

fn entries(path: &Path) -> Vec<String> {
    let list = std::fs::read_dir(path).unwrap();
    list.map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A host whose keyring exists, and a work directory of its own.
fn host(directory: &Path) -> BuildHost {
    std::fs::write(directory.join("debian-archive-keyring.gpg"), "").unwrap();
    let work_dir = directory.join("work");
    std::fs::create_dir(&work_dir).unwrap();
    BuildHost {
        keyrings: directory.to_owned(),
        apt: directory.to_owned(),
        ..BuildHost::new(&work_dir)
    }
}

#[tokio::test]
async fn a_missing_key_is_told_before_anything_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(directory.path());
    let request = BuildRequest::parse("ubuntu/noble");
    let error = build(&request, &host, drop, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("apt-get install ubuntu-keyring"),
        "{error}"
    );
    assert!(entries(&host.work_dir).is_empty());
}

/// The rest runs mmdebstrap, which needs root; says so where it can't.
fn can_build() -> bool {
    let reason = if rlxc_sys::tool::find("mmdebstrap").is_none() {
        "mmdebstrap is not installed"
    } else if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        "not root"
    } else {
        return true;
    };
    assert!(
        std::env::var_os("RLXC_FORBID_SKIP").is_none(),
        "must not skip: {reason}"
    );
    println!("skipped: {reason}");
    false
}

#[tokio::test]
async fn an_unreachable_mirror_is_told_and_leaves_nothing() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = host(directory.path());
    let mut request = BuildRequest::parse("debian/12");
    // Nothing listens on the discard port.
    request.mirror =
        Some("http://127.0.0.1:9/debian http://127.0.0.1:9/debian-security".to_owned());
    let error = build(&request, &host, drop, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(
        matches!(error, BuildError::MirrorUnreachable { .. }),
        "{error:?}"
    );
    assert!(entries(&host.work_dir).is_empty());
}

#[tokio::test]
async fn cancelling_ends_all_processes_and_leaves_nothing() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = host(directory.path());
    // A mirror that accepts connections and then says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut request = BuildRequest::parse("debian/12");
    let uri = format!("http://{}/debian", silent.local_addr().unwrap());
    request.mirror = Some(format!("{uri} {uri}"));
    let cancel = CancellationToken::new();
    let progress = |text: String| {
        if text == "reading package lists" {
            cancel.cancel();
        }
    };
    let error = build(&request, &host, progress, cancel.clone())
        .await
        .unwrap_err();
    assert!(matches!(error, BuildError::Cancelled), "{error:?}");
    assert!(entries(&host.work_dir).is_empty());
    let marker = host.work_dir.to_string_lossy().into_owned();
    assert_eq!(processes_with(&marker), Vec::<String>::new());
}

/// Processes whose environment mentions `marker`, which each process of a build has as its `TMPDIR`.
fn processes_with(marker: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    all.map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|pid| pid.starts_with(|c: char| c.is_ascii_digit()) && *pid != own)
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(marker)
        })
        .collect()
}
