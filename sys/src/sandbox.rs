//! What a program that reads untrusted data may do to files, by Landlock (landlock(7)). It can't undo that, nor can what it starts.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
    path_beneath_rules,
};

/// The rights that are known here; older kernels have fewer, and refuse fewer.
const KNOWN: ABI = ABI::V5;
/// Programs, their libraries, and what the C library asks about the machine.
const FOR_ALL: [&str; 8] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/sys/devices/system/cpu",
];
/// Where the standard streams of programs lead.
const NOWHERE: &str = "/dev/null";

/// Files that may be used, with all below them; others can't be opened, made, changed or removed.
#[derive(Debug, Clone)]
pub struct Sandbox {
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
}

impl Sandbox {
    /// What may be read, and what may be changed as well.
    pub fn new(readable: &[&Path], writable: &[&Path]) -> Self {
        let owned = |paths: &[&Path]| paths.iter().map(|path| path.to_path_buf()).collect();
        Self {
            readable: owned(readable),
            writable: owned(writable),
        }
    }

    /// Confines the calling thread, and all that it starts from now on, for ever. False where the kernel has no Landlock.
    pub fn enter(&self) -> io::Result<bool> {
        let readable = FOR_ALL.iter().map(Path::new);
        let readable = readable.chain(self.readable.iter().map(PathBuf::as_path));
        let writable = self.writable.iter().map(PathBuf::as_path);
        let writable = writable.chain([Path::new(NOWHERE)]);
        let entered = Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))
            .and_then(Ruleset::create)
            .and_then(|ruleset| {
                ruleset.add_rules(path_beneath_rules(readable, AccessFs::from_read(KNOWN)))
            })
            .and_then(|ruleset| {
                ruleset.add_rules(path_beneath_rules(writable, AccessFs::from_all(KNOWN)))
            })
            .and_then(landlock::RulesetCreated::restrict_self)
            .map_err(io::Error::other)?;
        Ok(entered.ruleset != RulesetStatus::NotEnforced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{Tool, ToolError};

    #[test]
    fn only_what_may_be_changed_is() {
        let dir = tempfile::tempdir().unwrap();
        let [inside, outside] = ["inside", "outside"].map(|name| dir.path().join(name));
        for dir in [&inside, &outside] {
            std::fs::create_dir(dir).unwrap();
        }
        std::fs::write(outside.join("secret"), "secret").unwrap();
        let is_enforced = std::thread::scope(|scope| {
            let entered = scope.spawn(|| Sandbox::new(&[], &[]).enter());
            entered.join().unwrap().unwrap()
        });
        let script = |script: &str| {
            let tool = Tool::new("sh").args(["-c", script, &inside.display().to_string()]);
            let tool = tool.args([outside.as_path()]);
            tool.confined(Sandbox::new(&[], &[&inside])).run()
        };
        script("mkdir $0/a $0/b && echo x > $0/a/x && ln $0/a/x $0/b/x && rm $0/a/x").unwrap();
        assert_eq!(std::fs::read(inside.join("b/x")).unwrap(), b"x\n");
        assert!(std::fs::exists(&outside).unwrap(), "this thread is free");
        for attempt in [
            "cat $1/secret",
            "echo x > $1/new",
            "rm $1/secret",
            "ln $1/secret $0/secret",
            "mv $0/b/x $1/x",
            "mkdir $1/dir",
        ] {
            let refused = script(attempt);
            let is_refused = matches!(refused, Err(ToolError::Failed { .. }));
            assert_eq!(is_refused, is_enforced, "{attempt}: {refused:?}");
        }
    }
}
