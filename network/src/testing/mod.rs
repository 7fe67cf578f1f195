//! Namespaces for the tests of this crate; [`lab`] holds a whole network.

pub(crate) mod lab;

use std::os::fd::{AsFd, OwnedFd};

/// An empty namespace, or a visible skip where the host lets us make none.
pub(crate) fn netns() -> Option<OwnedFd> {
    match rlxc_sys::netns::new_netns() {
        Ok(netns) => Some(netns),
        Err(error) => {
            skip(&rlxc_sys::chain::chain(&error).to_string());
            None
        }
    }
}

/// Runs `test` on a runtime inside a namespace of its own, which plays the host.
pub(crate) fn in_fresh_netns<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    let Some(netns) = netns() else { return };
    rlxc_sys::netns::in_netns(netns.as_fd(), || {
        // All threads of this runtime are born on this thread, hence in its namespace.
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test());
    })
    .unwrap();
}

/// Says why a test cannot run here, or fails where that is forbidden.
pub(crate) fn skip(reason: &str) {
    assert!(
        std::env::var_os("RLXC_FORBID_SKIP").is_none(),
        "may not skip: {reason}"
    );
    println!("skipped: {reason}");
}

/// Whether a program is there; a visible skip if not.
pub(crate) fn has_tool(program: &str) -> bool {
    let found = rlxc_sys::tool::find(program).is_some();
    if !found {
        skip(&format!("`{program}` is not installed"));
    }
    found
}
