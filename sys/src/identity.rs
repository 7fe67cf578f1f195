//! Identities taken on for a while: as whom a thread makes files, see setfsuid(2) and path_resolution(7), and as whom a
//! process makes a user namespace.

use std::io;
use std::marker::PhantomData;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// A thread works on files as somebody else for as long as this lives, with all the capabilities that it has.
///
/// The host's root is nobody on an idmapped mount, and may make nothing there (`EOVERFLOW`); the root of the container
/// may. setfsuid(2) takes capabilities away from whoever stops being root, which is why they are raised again.
#[derive(Debug)]
pub struct FsIdentity {
    uid: Uid,
    gid: Gid,
    /// An identity is the thread's: it must end where it began.
    stays: PhantomData<*const ()>,
}

impl FsIdentity {
    /// Takes on the ids, which are the host's.
    pub fn assume(uid: u32, gid: u32) -> io::Result<Self> {
        let gid = setfsgid(Gid::from_raw(gid));
        let uid = setfsuid(Uid::from_raw(uid));
        let identity = Self {
            uid,
            gid,
            stays: PhantomData,
        };
        crate::capability::raise_permitted()?;
        Ok(identity)
    }
}

impl Drop for FsIdentity {
    fn drop(&mut self) {
        setfsuid(self.uid);
        setfsgid(self.gid);
    }
}

/// A process with one thread is another user, the real and the effective one, for as long as this lives; what it may do, and as
/// whom it works on files, stays as it was. The kernel forgets whether it was to die with its parent.
#[derive(Debug)]
pub struct UserIdentity(nix::unistd::ResUid);

impl UserIdentity {
    /// Takes on the id.
    pub fn assume(uid: u32) -> io::Result<Self> {
        let before = nix::unistd::getresuid()?;
        let uid = Uid::from_raw(uid);
        nix::unistd::setresuid(uid, uid, before.effective)?;
        let user = Self(before);
        setfsuid(before.effective);
        crate::capability::raise_permitted()?;
        Ok(user)
    }
}

impl Drop for UserIdentity {
    fn drop(&mut self) {
        // It is among its own ids still, and nothing that it may do is gone: neither can fail.
        let back = nix::unistd::setresuid(self.0.real, self.0.effective, self.0.saved);
        let _raised = back.is_ok() && crate::capability::raise_permitted().is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn files_belong_to_it_and_capabilities_stay() {
        if !Uid::effective().is_root() {
            assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none(), "needs root");
            eprintln!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        {
            let _identity = FsIdentity::assume(1_000_001, 1_000_002).unwrap();
            std::fs::write(closed.join("theirs"), "").unwrap();
        }
        std::fs::write(closed.join("ours"), "").unwrap();
        let owner = |name: &str| {
            let metadata = std::fs::metadata(closed.join(name)).unwrap();
            (metadata.uid(), metadata.gid())
        };
        assert_eq!(owner("theirs"), (1_000_001, 1_000_002));
        assert_eq!(owner("ours"), (0, 0));
    }
}
