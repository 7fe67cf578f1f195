//! The inventory and what lies on pools can lose each other. Beside the data of each volume lies what the inventory says of
//! it ([`write`]); from that, volumes are found again ([`search`]) and taken back ([`take`]).

mod rows;
mod search;
mod take;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use rlxc_api::{RecoverFound, RecoverPost};

pub use write::{flush, run};

use crate::context::App;
use crate::error::{Error, Result};
use search::Search;

/// Looks what there is that the inventory does not know, and what is missing to take it back.
pub async fn validate(app: &App, post: RecoverPost) -> Result<RecoverFound> {
    let _turn = app.pools.turn().await;
    let search = Search::begin(app, post).await?;
    let found = search.found();
    search.let_go().await;
    Ok(found)
}

/// Takes it back: pools first, then instances and custom volumes one by one. Whatever keeps one from being taken back, the
/// next call finds the rest.
pub async fn import(app: &Arc<App>, post: RecoverPost) -> Result<()> {
    let _turn = app.pools.turn().await;
    let search = Search::begin(app, post).await?;
    if !search.problems.is_empty() {
        let reasons = search.problems.join("; ");
        search.let_go().await;
        return Err(Error::Invalid(reasons));
    }
    for lost in search.pools {
        take::pool(app, lost).await?;
    }
    for lost in search.volumes {
        take::volume(app, lost).await?;
    }
    Ok(())
}
