//! `profile`.

use anyhow::{Result, ensure};
use rlxc_api::{Instance, Profile, ProfilePost, ProfilePut, ProfilesPost};
use rlxc_client::url;

use super::{device, keys, object};
use crate::cli::{ProfileAddArgs, ProfileCreateArgs, ProfileVerb, RenameToArgs};
use crate::context::Context;
use crate::document;
use crate::render::Table;

fn path(name: &str) -> String {
    object("profiles", name)
}

pub(crate) async fn run(context: &Context, verb: ProfileVerb) -> Result<()> {
    match verb {
        ProfileVerb::List(args) => {
            context
                .list_of_projects("/1.0/profiles", &args, table, |item| &item.project)
                .await
        }
        ProfileVerb::Show(args) => {
            context.yaml(&context.client.get::<Profile>(&path(&args.name)).await?)
        }
        ProfileVerb::Create(args) => create(context, args).await,
        ProfileVerb::Delete(args) => {
            for name in &args.names {
                context.client.delete(&path(name)).await?;
            }
            Ok(())
        }
        ProfileVerb::Rename(args) => rename(context, args).await,
        ProfileVerb::Copy(args) => copy(context, args).await,
        ProfileVerb::Get(args) => keys::get(context, &path(&args.name), "config", &args.key).await,
        ProfileVerb::Set(args) => {
            keys::set(context, &path(&args.name), keys::pairs(&args.words)?).await
        }
        ProfileVerb::Unset(args) => keys::unset(context, &path(&args.name), &args.key).await,
        ProfileVerb::Edit(args) => {
            keys::edit::<ProfilePut>(context, &path(&args.name), "A profile.").await
        }
        ProfileVerb::Add(args) => add(context, args).await,
        ProfileVerb::Remove(args) => remove(context, args).await,
        ProfileVerb::Assign(args) => {
            let list = args
                .profiles
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty());
            let list: Vec<String> = list.map(str::to_owned).collect();
            assign(context, &args.instance, |profiles| {
                *profiles = list;
                Ok(())
            })
            .await
        }
        ProfileVerb::Device(verb) => device::run(context, device::Owner::Profile, verb).await,
    }
}

async fn create(context: &Context, args: ProfileCreateArgs) -> Result<()> {
    let given = document::given::<ProfilePut, Profile>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    put.config.extend(keys::map(args.keys));
    if let Some(description) = args.description {
        put.description = description;
    }
    context
        .client
        .post(
            "/1.0/profiles",
            &ProfilesPost {
                put,
                name: args.name,
            },
        )
        .await?;
    Ok(())
}

async fn rename(context: &Context, args: RenameToArgs) -> Result<()> {
    let body = ProfilePost {
        name: args.new_name,
    };
    context.client.post(&path(&args.name), &body).await?;
    Ok(())
}

async fn copy(context: &Context, args: RenameToArgs) -> Result<()> {
    let put = context.client.get::<Profile>(&path(&args.name)).await?.put;
    let body = ProfilesPost {
        put,
        name: args.new_name,
    };
    context.client.post("/1.0/profiles", &body).await?;
    Ok(())
}

async fn add(context: &Context, args: ProfileAddArgs) -> Result<()> {
    assign(context, &args.instance, |profiles| {
        ensure!(
            !profiles.contains(&args.profile),
            "`{}` has the profile already",
            args.instance
        );
        profiles.push(args.profile);
        Ok(())
    })
    .await
}

async fn remove(context: &Context, args: ProfileAddArgs) -> Result<()> {
    assign(context, &args.instance, |profiles| {
        ensure!(
            profiles.contains(&args.profile),
            "`{}` does not have the profile",
            args.instance
        );
        profiles.retain(|profile| *profile != args.profile);
        Ok(())
    })
    .await
}

async fn assign(
    context: &Context,
    instance: &str,
    change: impl FnOnce(&mut Vec<String>) -> Result<()>,
) -> Result<()> {
    let path = url::instance(instance);
    let mut tagged = context.client.get_tagged::<Instance>(&path).await?;
    change(tagged.value.put.profiles.get_or_insert_default())?;
    let reply = context
        .client
        .put(&path, &tagged.value.put, tagged.etag.as_deref())
        .await?;
    context
        .finish(reply, &format!("Changing {instance}"))
        .await?;
    Ok(())
}

fn table(profiles: &[Profile]) -> Table {
    let rows = profiles
        .iter()
        .map(|profile| {
            vec![
                profile.name.clone(),
                profile.put.description.clone(),
                profile.used_by.len().to_string(),
            ]
        })
        .collect();
    Table::new(&["NAME", "DESCRIPTION", "USED BY"], rows)
}
