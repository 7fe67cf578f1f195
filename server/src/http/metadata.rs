//! `/1.0/metadata/configuration`: which keys there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use rlxc_api::{MetadataConfiguration, MetadataConfigurationGroup, MetadataConfigurationKey};

use super::render::{Reply, sync};
use crate::context::App;
use crate::keys::{Group, Key, SCOPES, Scope};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/1.0/metadata/configuration", get(configuration))
}

async fn configuration() -> Reply {
    let configs = SCOPES
        .iter()
        .map(|scope| (scope.entity.to_owned(), groups(scope)))
        .collect();
    sync(MetadataConfiguration { configs })
}

fn groups(scope: &Scope) -> BTreeMap<String, MetadataConfigurationGroup> {
    let group = |group: &Group| {
        let keys = group
            .keys
            .iter()
            .map(|key| BTreeMap::from([(key.name.to_owned(), view(scope, key))]));
        let keys = keys.collect();
        (group.name.to_owned(), MetadataConfigurationGroup { keys })
    };
    scope.groups.iter().map(group).collect()
}

fn view(scope: &Scope, key: &Key) -> MetadataConfigurationKey {
    let wanted = key.kind.wanted();
    let scope = if scope.entity == "server" {
        "global"
    } else {
        ""
    };
    MetadataConfigurationKey {
        condition: key.condition.to_owned(),
        defaultdesc: key.default.to_owned(),
        liveupdate: if key.live { "yes" } else { "no" }.to_owned(),
        longdesc: if wanted.is_empty() {
            format!("{}.", key.about)
        } else {
            format!("{}: {wanted}.", key.about)
        },
        scope: scope.to_owned(),
        shortdesc: key.about.to_owned(),
        kind: key.kind.name().to_owned(),
    }
}
