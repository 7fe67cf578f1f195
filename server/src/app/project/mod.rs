//! Projects: the use cases of `/1.0/projects`, and what everything else asks of them.

mod change;
pub mod gate;
pub mod of_user;
mod view;

pub use change::{create, delete, rename, update};
pub use view::{get, list, state};

/// The URL of a project.
pub fn url(name: &str) -> String {
    format!("/1.0/projects/{name}")
}

/// The profile that every project with profiles of its own has.
const OWN_PROFILE: &str = "/1.0/profiles/default";

/// Whether there is nothing in a project but what it was made with.
fn is_empty(contents: &[String]) -> bool {
    contents.iter().all(|path| path == OWN_PROFILE)
}
