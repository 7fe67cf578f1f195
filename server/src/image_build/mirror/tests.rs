use super::*;
use crate::image_build::apt::parse_deb822;
use crate::image_build::recipe::Variant;

fn recipe(distribution: &str, release: &str, architecture: &'static str) -> Recipe {
    Recipe {
        release: Release::find(distribution, release).unwrap(),
        variant: Variant::Default,
        architecture,
        extra: Vec::new(),
    }
}

fn plan(recipe: &Recipe, wanted: Option<&str>, host: &str) -> Mirror {
    plan_mirror(recipe, wanted, &parse_deb822(host), "/k.gpg").unwrap()
}

const HOST: &str = "Types: deb\nURIs: http://near.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
    Types: deb\nURIs: http://near.example/debian-security\nSuites: bookworm-security\nComponents: main\n";

#[test]
fn public_archive_when_nothing_else_is_known() {
    let mirror = plan(&recipe("debian", "13", "amd64"), None, "");
    assert_eq!(
        mirror.lines,
        [
            "deb [signed-by=/k.gpg] http://deb.debian.org/debian trixie main",
            "deb [signed-by=/k.gpg] http://deb.debian.org/debian trixie-updates main",
            "deb [signed-by=/k.gpg] http://deb.debian.org/debian-security trixie-security main",
        ]
    );
    assert_eq!(mirror.origin, "deb.debian.org");
}

#[test]
fn ports_have_an_archive_of_their_own() {
    let mirror = plan(&recipe("ubuntu", "noble", "arm64"), None, HOST);
    assert!(mirror.lines[0].contains("http://ports.ubuntu.com/ubuntu-ports noble main universe"));
}

#[test]
fn the_hosts_mirror_serves_other_releases_too() {
    let mirror = plan(&recipe("debian", "13", "amd64"), None, HOST);
    assert!(mirror.lines[0].contains(" http://near.example/debian trixie "));
    assert!(mirror.lines[2].contains(" http://near.example/debian-security trixie-security "));
    assert!(
        mirror
            .inside
            .contains("URIs: http://near.example/debian\nSuites: trixie trixie-updates\n")
    );
    assert!(
        mirror
            .inside
            .contains("Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg")
    );
}

#[test]
fn passwords_and_local_names_stay_out_of_the_image() {
    for wanted in [
        "http://user:secret@near.example/debian",
        "http://localhost:3142/debian",
    ] {
        let mirror = plan(&recipe("debian", "12", "amd64"), Some(wanted), HOST);
        assert!(mirror.lines[0].contains(wanted), "{}", mirror.lines[0]);
        assert!(
            mirror
                .inside
                .contains("URIs: http://deb.debian.org/debian\n"),
            "{}",
            mirror.inside
        );
        assert!(!mirror.origin.contains("secret"));
    }
}

#[test]
fn a_mirror_may_come_with_one_for_security() {
    let both = plan(
        &recipe("debian", "12", "amd64"),
        Some("https://a.example/d https://b.example/s/"),
        "",
    );
    assert!(both.lines[2].contains(" https://b.example/s bookworm-security "));
    let ubuntu = plan(
        &recipe("ubuntu", "22.04", "amd64"),
        Some("https://a.example/u"),
        "",
    );
    assert!(ubuntu.lines[2].contains(" https://a.example/u jammy-security "));
}

#[test]
fn refuses_what_is_not_a_mirror() {
    for bad in [
        "",
        "file:///srv",
        "a.example/debian",
        "http://a http://b http://c",
    ] {
        let error =
            plan_mirror(&recipe("debian", "12", "amd64"), Some(bad), &[], "/k").unwrap_err();
        assert!(
            matches!(error, BuildError::UnknownName { kind: "mirror", .. }),
            "{bad}"
        );
    }
}

#[test]
fn rolling_releases_have_one_suite() {
    assert_eq!(
        plan(&recipe("debian", "sid", "amd64"), None, HOST)
            .lines
            .len(),
        1
    );
}
