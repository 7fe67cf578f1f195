//! `network acl`.

use anyhow::{Result, ensure};
use rlxc_api::{NetworkAcl, NetworkAclPost, NetworkAclPut, NetworkAclRule, NetworkAclsPost};

use super::{keys, object};
use crate::cli::{AclRuleArgs, AclRuleVerb, AclVerb, CreateOf, Direction, NameArgs, Pair};
use crate::context::Context;
use crate::document;
use crate::render::Table;

fn path(name: &str) -> String {
    object("network-acls", name)
}

pub(crate) async fn run(context: &Context, verb: AclVerb) -> Result<()> {
    match verb {
        AclVerb::List(args) => {
            context
                .list_of_projects("/1.0/network-acls", &args, table, |item| &item.project)
                .await
        }
        AclVerb::Show(args) => {
            context.yaml(&context.client.get::<NetworkAcl>(&path(&args.name)).await?)
        }
        AclVerb::ShowLog(args) => {
            let path = path(&args.name) + "/log";
            let log = context.client.fetch(&path).await?;
            context.printer.print(&String::from_utf8_lossy(&log))
        }
        AclVerb::Create(args) => create(context, args).await,
        AclVerb::Delete(args) => {
            for name in &args.names {
                context.client.delete(&path(name)).await?;
            }
            Ok(())
        }
        AclVerb::Rename(args) => {
            let body = NetworkAclPost {
                name: args.new_name,
            };
            context.client.post(&path(&args.name), &body).await?;
            Ok(())
        }
        AclVerb::Get(args) => keys::get(context, &path(&args.name), "config", &args.key).await,
        AclVerb::Set(args) => {
            keys::set(context, &path(&args.name), keys::pairs(&args.words)?).await
        }
        AclVerb::Unset(args) => keys::unset(context, &path(&args.name), &args.key).await,
        AclVerb::Edit(args) => {
            keys::edit::<NetworkAclPut>(context, &path(&args.name), "A network ACL.").await
        }
        AclVerb::Rule(AclRuleVerb::Add(args)) => {
            let rule = rule(&args.keys)?;
            change(context, args, |rules| {
                rules.push(rule);
                Ok(())
            })
            .await
        }
        AclVerb::Rule(AclRuleVerb::Remove(args)) => {
            let (wanted, force) = (args.rule.keys.clone(), args.force);
            change(context, args.rule, |rules| remove(rules, &wanted, force)).await
        }
    }
}

fn remove(rules: &mut Vec<NetworkAclRule>, wanted: &[Pair], force: bool) -> Result<()> {
    let before = rules.len();
    let mut kept = Vec::new();
    for rule in rules.drain(..) {
        if !has_all(&rule, wanted)? {
            kept.push(rule);
        }
    }
    *rules = kept;
    let removed = before - rules.len();
    ensure!(removed > 0, "no rule has these properties");
    ensure!(
        removed == 1 || force,
        "{removed} rules have these properties: name more, or use --force"
    );
    Ok(())
}

async fn create(context: &Context, args: CreateOf<NameArgs>) -> Result<()> {
    let given = document::given::<NetworkAclPut, NetworkAcl>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    put.config.extend(keys::map(args.keys));
    if let Some(description) = args.description {
        put.description = description;
    }
    let body = NetworkAclsPost {
        put,
        name: args.of.name,
    };
    context.client.post("/1.0/network-acls", &body).await?;
    Ok(())
}

async fn change(
    context: &Context,
    args: AclRuleArgs,
    edit: impl FnOnce(&mut Vec<NetworkAclRule>) -> Result<()>,
) -> Result<()> {
    let path = path(&args.name);
    let mut tagged = context.client.get_tagged::<NetworkAcl>(&path).await?;
    let put = &mut tagged.value.put;
    edit(match args.direction {
        Direction::Ingress => &mut put.ingress,
        Direction::Egress => &mut put.egress,
    })?;
    context
        .client
        .put(&path, &tagged.value.put, tagged.etag.as_deref())
        .await?;
    Ok(())
}

/// A rule of its properties; its state is `enabled` unless said.
fn rule(pairs: &[Pair]) -> Result<NetworkAclRule> {
    let mut rule = NetworkAclRule {
        state: "enabled".to_owned(),
        ..NetworkAclRule::default()
    };
    for Pair { key, value } in pairs {
        field(&mut rule, key)?.clone_from(value);
    }
    Ok(rule)
}

fn has_all(rule: &NetworkAclRule, pairs: &[Pair]) -> Result<bool> {
    let mut rule = rule.clone();
    for Pair { key, value } in pairs {
        if field(&mut rule, key)? != value {
            return Ok(false);
        }
    }
    Ok(true)
}

fn field<'a>(rule: &'a mut NetworkAclRule, key: &str) -> Result<&'a mut String> {
    Ok(match key {
        "action" => &mut rule.action,
        "source" => &mut rule.source,
        "destination" => &mut rule.destination,
        "protocol" => &mut rule.protocol,
        "source_port" => &mut rule.source_port,
        "destination_port" => &mut rule.destination_port,
        "icmp_type" => &mut rule.icmp_type,
        "icmp_code" => &mut rule.icmp_code,
        "description" => &mut rule.description,
        "state" => &mut rule.state,
        other => anyhow::bail!(
            "`{other}` is no property of a rule: there are action, source, destination, protocol, source_port, \
             destination_port, icmp_type, icmp_code, description and state"
        ),
    })
}

fn table(acls: &[NetworkAcl]) -> Table {
    let row = |acl: &NetworkAcl| {
        vec![
            acl.name.clone(),
            acl.put.description.clone(),
            acl.used_by.len().to_string(),
        ]
    };
    Table::new(
        &["NAME", "DESCRIPTION", "USED BY"],
        acls.iter().map(row).collect(),
    )
}
