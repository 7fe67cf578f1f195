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
fn mmdebstrap_chooses_when_nothing_is_known() {
    for (distribution, release, architecture, host) in [
        ("debian", "13", "amd64", ""),
        // The host's archive is of another distribution.
        ("ubuntu", "noble", "arm64", HOST),
    ] {
        let mirror = plan(&recipe(distribution, release, architecture), None, host);
        assert_eq!((mirror.lines.len(), mirror.inside), (0, None));
    }
}

#[test]
fn the_hosts_mirror_serves_other_releases_too() {
    let mirror = plan(&recipe("debian", "13", "amd64"), None, HOST);
    assert!(mirror.lines[0].contains(" http://near.example/debian trixie "));
    assert!(mirror.lines[2].contains(" http://near.example/debian-security trixie-security "));
    let inside = mirror.inside.unwrap();
    assert!(inside.contains("URIs: http://near.example/debian\nSuites: trixie trixie-updates\n"));
    assert!(inside.contains("Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"));
}

#[test]
fn passwords_and_local_names_stay_out_of_the_image() {
    for wanted in [
        "http://user:secret@near.example/debian",
        "http://localhost:3142/debian",
    ] {
        let recipe = recipe("debian", "12", "amd64");
        let mirror = plan(&recipe, Some(wanted), HOST);
        assert!(mirror.lines[0].contains(wanted), "{}", mirror.lines[0]);
        let inside = mirror.inside.unwrap();
        assert!(
            inside.contains("URIs: http://near.example/debian\n"),
            "{inside}"
        );
        assert!(!mirror.origin.contains("secret"));
        assert_eq!(plan(&recipe, Some(wanted), "").inside, None);
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
    let alone = plan(
        &recipe("debian", "12", "amd64"),
        Some("http://a.example/debian/"),
        "",
    );
    assert!(alone.lines[2].contains(" http://a.example/debian-security bookworm-security "));
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
