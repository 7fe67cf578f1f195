//! Understands what mmdebstrap, apt and dpkg print: progress for people, and the reason of a failure. Pure.

use std::collections::VecDeque;

/// How many of the last lines are kept for the diagnosis.
const KEPT_LINES: usize = 300;

/// Follows a build, line by line.
#[derive(Debug)]
pub(super) struct Log {
    stage: String,
    packages: u32,
    configured: u32,
    lines: VecDeque<String>,
}

/// Why a build failed, as far as its output tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Diagnosis {
    /// No answer from the mirror.
    Unreachable(String),
    /// It answers, but the release isn't there, or its signature is wrong.
    WrongMirror(String),
    /// No such package.
    PackageMissing(String),
    /// The disk is full.
    DiskFull,
    /// Something else: the last errors.
    Other(String),
}

impl Default for Log {
    fn default() -> Self {
        Self {
            stage: "starting".to_owned(),
            packages: 0,
            configured: 0,
            lines: VecDeque::new(),
        }
    }
}

impl Log {
    /// What is being done, for an error message.
    pub(super) fn stage(&self) -> &str {
        &self.stage
    }

    /// Takes the next line and returns what to show now, if that changed.
    pub(super) fn read_line(&mut self, line: &str) -> Option<String> {
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
        if let Some(note) = line.strip_prefix("I: ") {
            stage_of(note)?.clone_into(&mut self.stage);
            return Some(self.stage.clone());
        }
        if let Some(size) = line.strip_prefix("Need to get ") {
            let size = size.split(" of archives").next()?.split('/').next()?;
            return Some(format!("downloading packages ({size})"));
        }
        if line.contains(" newly installed") {
            // apt says so once for the base system and once for the rest.
            self.packages += count_before(line, " newly installed")?;
            return None;
        }
        if let Some(rest) = line.strip_prefix("Unpacking ") {
            return Some(format!("unpacking {}", package_of(rest)?));
        }
        let package = package_of(line.strip_prefix("Setting up ")?)?;
        self.configured += 1;
        let total = self.packages.max(self.configured);
        Some(format!(
            "installing {package} ({} of {total})",
            self.configured
        ))
    }

    /// Why it failed.
    pub(super) fn diagnose(&self) -> Diagnosis {
        let find = |needles: &[&str]| {
            let mut lines = self.lines.iter();
            let line = lines.find(|line| needles.iter().any(|needle| line.contains(needle)))?;
            Some(
                line.trim()
                    .trim_start_matches("E: ")
                    .trim_start_matches("W: ")
                    .to_owned(),
            )
        };
        if find(&["No space left on device"]).is_some() {
            return Diagnosis::DiskFull;
        }
        if let Some(line) = find(&["Unable to locate package ", "has no installation candidate"]) {
            return Diagnosis::PackageMissing(missing_package(&line));
        }
        if let Some(line) = find(&UNREACHABLE) {
            return Diagnosis::Unreachable(line);
        }
        if let Some(line) = find(&[
            "NO_PUBKEY",
            "is not signed",
            "does not have a Release file",
            "EXPKEYSIG",
        ]) {
            return Diagnosis::WrongMirror(line);
        }
        Diagnosis::Other(self.last_errors())
    }

    fn last_errors(&self) -> String {
        let is_error = |line: &&String| {
            ["E: ", "Err:", "dpkg: error", "W: "]
                .iter()
                .any(|start| line.starts_with(start))
                && !line.contains("mmdebstrap failed to run")
        };
        let errors: Vec<&str> = self
            .lines
            .iter()
            .filter(is_error)
            .map(String::as_str)
            .collect();
        let all: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let shown = if errors.is_empty() { all } else { errors };
        shown[shown.len().saturating_sub(4)..].join("; ")
    }
}

const UNREACHABLE: [&str; 7] = [
    "Could not resolve",
    "Temporary failure resolving",
    "Could not connect",
    "Cannot initiate the connection",
    "Connection failed",
    "Connection timed out",
    "Unable to connect",
];

fn stage_of(note: &str) -> Option<&'static str> {
    let stages = [
        ("running apt-get update", "reading package lists"),
        ("downloading packages", "downloading packages"),
        ("extracting archives", "unpacking the base system"),
        (
            "installing essential packages",
            "installing the base system",
        ),
        ("installing remaining packages", "installing packages"),
        ("running --customize-hook", "configuring the system"),
        ("cleaning package lists", "cleaning up"),
        ("creating tarball", "compressing the image"),
    ];
    let stage = stages.iter().find(|(start, _)| note.starts_with(start))?;
    Some(stage.1)
}

fn package_of(rest: &str) -> Option<&str> {
    let name = rest.split_whitespace().next()?;
    name.split(':').next()
}

fn count_before(line: &str, end: &str) -> Option<u32> {
    line.split(end)
        .next()?
        .split_whitespace()
        .last()?
        .parse()
        .ok()
}

fn missing_package(line: &str) -> String {
    let quoted = line.split('\'').nth(1);
    let last = line.split("locate package ").nth(1);
    quoted.or(last).unwrap_or(line).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Log, Vec<String>) {
        let mut log = Log::default();
        let shown = text
            .lines()
            .filter_map(|line| log.read_line(line))
            .collect();
        (log, shown)
    }

    #[test]
    fn shows_what_people_understand() {
        let (log, shown) = read(
            "I: chroot architecture amd64 is equal to the host's architecture\n\
             I: running apt-get update...\nGet:1 http://x InRelease [140 kB]\n\
             0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.\nNeed to get 25.4 MB of archives.\n\
             I: installing remaining packages inside the chroot...\nUnpacking libc6:amd64 (2.41) ...\n\
             Setting up libc6:amd64 (2.41) ...\nSetting up systemd (257) ...\nI: creating tarball...\n",
        );
        assert_eq!(
            shown,
            [
                "reading package lists",
                "downloading packages (25.4 MB)",
                "installing packages",
                "unpacking libc6",
                "installing libc6 (1 of 2)",
                "installing systemd (2 of 2)",
                "compressing the image",
            ]
        );
        assert_eq!(log.stage(), "compressing the image");
    }

    #[test]
    fn tells_the_kinds_of_failure_apart() {
        let diagnose = |text| read(text).0.diagnose();
        assert_eq!(
            diagnose("E: Unable to locate package no-such\nE: apt-get failed\n"),
            Diagnosis::PackageMissing("no-such".to_owned())
        );
        assert_eq!(
            diagnose("E: Package 'gone' has no installation candidate\n"),
            Diagnosis::PackageMissing("gone".to_owned())
        );
        assert_eq!(
            diagnose(
                "W: Failed to fetch http://x/y  Could not resolve 'x'\nE: Some index files failed"
            ),
            Diagnosis::Unreachable("Failed to fetch http://x/y  Could not resolve 'x'".to_owned())
        );
        assert!(matches!(
            diagnose("E: The repository 'http://x noble InRelease' is not signed.\n"),
            Diagnosis::WrongMirror(_)
        ));
        assert_eq!(
            diagnose("tar: write error: No space left on device\n"),
            Diagnosis::DiskFull
        );
        assert_eq!(
            diagnose("noise\ndpkg: error processing package x\nE: mmdebstrap failed to run\n"),
            Diagnosis::Other("dpkg: error processing package x".to_owned())
        );
    }
}
