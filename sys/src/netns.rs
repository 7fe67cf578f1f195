//! Work inside another network namespace, by threads that die there; see network_namespaces(7) and setns(2).
//!
//! A thread that enters a namespace and forgets the way back after an error would poison whatever runs on it later,
//! so none ever comes back: the closure runs on a fresh thread that ends with it. Sockets opened inside keep their
//! namespace and may be used anywhere afterwards. Nothing else in the workspace calls setns for a network namespace.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::sched::CloneFlags;

/// What went wrong with a network namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// No thread could be started.
    #[error("start a thread for a network namespace")]
    Thread(#[source] std::io::Error),
    /// The namespace could not be entered; needs CAP_SYS_ADMIN over it.
    #[error("enter a network namespace")]
    Enter(#[source] std::io::Error),
    /// No namespace could be made.
    #[error("create a network namespace")]
    Create(#[source] std::io::Error),
}

/// Runs `work` on a fresh thread inside the network namespace behind `netns` and returns what it returned.
///
/// Threads and processes that `work` starts are born in that namespace. A panic of `work` goes on in the caller.
pub fn in_netns<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, NetnsError> {
    on_fresh_thread(|| {
        enter(netns).map_err(NetnsError::Enter)?;
        Ok(work())
    })
}

/// Makes an empty network namespace (with a loopback that is down); it lives as long as something refers to it.
pub fn new_netns() -> Result<OwnedFd, NetnsError> {
    on_fresh_thread(|| create().map_err(NetnsError::Create))
}

fn on_fresh_thread<T: Send>(
    work: impl FnOnce() -> Result<T, NetnsError> + Send,
) -> Result<T, NetnsError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("rlxc-netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(NetnsError::Thread)?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that the ban points to; the thread dies inside"
)]
fn enter(netns: BorrowedFd<'_>) -> std::io::Result<()> {
    nix::sched::setns(netns, CloneFlags::CLONE_NEWNET).map_err(Into::into)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that the ban points to; the thread dies inside"
)]
fn create() -> std::io::Result<OwnedFd> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET)?;
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    fn current() -> u64 {
        std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino()
    }

    fn fresh() -> Option<OwnedFd> {
        match new_netns() {
            Ok(netns) => Some(netns),
            Err(error) if std::env::var_os("RLXC_FORBID_SKIP").is_none() => {
                println!("skipped: {}", crate::chain::chain(&error));
                None
            }
            Err(error) => panic!("{}", crate::chain::chain(&error)),
        }
    }

    #[test]
    fn runs_inside_and_leaves_the_caller_where_it_was() {
        let Some(netns) = fresh() else { return };
        let before = current();
        let inside = in_netns(netns.as_fd(), current).unwrap();
        assert_eq!(inside, nix::sys::stat::fstat(&netns).unwrap().st_ino);
        assert_ne!(inside, before);
        assert_eq!(current(), before);
    }

    #[test]
    fn children_of_the_closure_are_born_inside() {
        let Some(netns) = fresh() else { return };
        let inside = in_netns(netns.as_fd(), || {
            std::thread::spawn(current).join().unwrap()
        })
        .unwrap();
        assert_eq!(inside, nix::sys::stat::fstat(&netns).unwrap().st_ino);
    }

    #[test]
    fn refuses_what_is_no_namespace() {
        let file = File::open("/dev/null").unwrap();
        assert!(matches!(
            in_netns(file.as_fd(), || ()),
            Err(NetnsError::Enter(_))
        ));
    }
}
