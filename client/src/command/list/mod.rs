//! `list`.

mod column;
mod field;
mod filter;

use std::borrow::Cow;

use anyhow::Result;
use rlxc_api::InstanceFull;
use rlxc_client::url;

use crate::cli::{Format, ListArgs};
use crate::context::Context;
use filter::Filter;

/// The columns that need no more than the inventory.
const FAST: &str = "nsacPt";
const USUAL: &str = "ns46tS";

pub(crate) async fn run(context: &Context, args: &ListArgs) -> Result<()> {
    let usual = if args.fast { FAST } else { USUAL };
    let letters = with_project(args.columns.as_deref().unwrap_or(usual), args.all_projects);
    let letters = letters.as_ref();
    let columns = column::parse(letters)?;
    let filters = args.filters.iter().filter(|filter| !filter.is_empty());
    let filters = filters
        .map(|filter| Filter::parse(filter))
        .collect::<Result<Vec<_>>>()?;
    let path = path(args, letters, &filters);
    let mut instances: Vec<InstanceFull> = context.client.get(&path).await?;
    instances.retain(|instance| filters.iter().all(|filter| filter.fits(instance)));
    instances.sort_by(|a, b| {
        let key = |full: &InstanceFull| (full.instance.project.clone(), full.instance.name.clone());
        key(a).cmp(&key(b))
    });
    context.list(args.format.format, &instances, || {
        column::table(&columns, &instances)
    })
}

/// Names alone don't tell instances of several projects apart.
fn with_project(letters: &str, all_projects: bool) -> Cow<'_, str> {
    if all_projects && !letters.contains('e') {
        return format!("e{letters}").into();
    }
    letters.into()
}

/// Asks for no more than is shown: state and snapshots cost the daemon more than the rest.
fn path(args: &ListArgs, letters: &str, filters: &[Filter]) -> String {
    let objects = matches!(args.format.format, Format::Json | Format::Yaml);
    let usage = letters.contains(['m', 'M', 'D', 'N', 'p', 'u']);
    let full =
        usage || letters.contains(['4', '6', 'S']) || filters.iter().any(Filter::needs_state);
    let recursion = if full || objects { "2" } else { "1" };
    let mut path = url::with_query("/1.0/instances", "recursion", recursion);
    if full && !objects && !usage {
        path = url::with_query(&path, "fields", "state.network.addresses");
    }
    if args.all_projects {
        path = url::with_query(&path, "all-projects", "true");
    }
    path
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rlxc_api::{InstanceState, InstanceStateNetwork, InstanceStateNetworkAddress};

    pub(crate) fn instance() -> InstanceFull {
        let mut full = InstanceFull::default();
        full.instance.name = "c1".into();
        full.instance.status = "Running".into();
        full.instance.kind = "container".into();
        full.instance
            .expanded_config
            .insert("user.owner".into(), "ann".into());
        let address = |family: &str, address: &str, scope: &str| InstanceStateNetworkAddress {
            family: family.into(),
            address: address.into(),
            scope: scope.into(),
            ..Default::default()
        };
        let eth0 = InstanceStateNetwork {
            addresses: vec![
                address("inet", "10.0.0.2", "global"),
                address("inet6", "fe80::1", "link"),
                address("inet6", "fd42::2", "global"),
            ],
            ..Default::default()
        };
        let state = InstanceState {
            network: [("eth0".to_owned(), eth0)].into(),
            ..Default::default()
        };
        full.state = Some(state);
        full
    }

    #[test]
    fn the_default_columns() {
        let columns = column::parse("ns46tS").unwrap();
        insta::assert_snapshot!(column::table(&columns, &[instance()]).bordered(), @r"
        +------+---------+-----------------+----------------+-----------+-----------+
        | NAME | STATE   | IPV4            | IPV6           | TYPE      | SNAPSHOTS |
        +------+---------+-----------------+----------------+-----------+-----------+
        | c1   | RUNNING | 10.0.0.2 (eth0) | fd42::2 (eth0) | CONTAINER | 0         |
        +------+---------+-----------------+----------------+-----------+-----------+
        ");
    }

    #[test]
    fn keys_of_the_configuration_and_of_devices_are_columns() {
        let columns = column::parse("n,user.owner:WHO:2,devices:root.pool,bq").unwrap();
        let mut instance = instance();
        let root = [("type", "disk"), ("path", "/"), ("pool", "fast")];
        let root = root.map(|(key, value)| (key.to_owned(), value.to_owned()));
        instance
            .instance
            .expanded_devices
            .insert("root".into(), root.into());
        assert_eq!(
            column::table(&columns, &[instance]).csv(),
            "c1,an,fast,fast,NO\n"
        );
        for bad in ["", "n?", "devices:root", "user.x:X:wide"] {
            assert!(column::parse(bad).is_err(), "{bad}");
        }
    }
}
