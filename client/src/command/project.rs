//! `project`.

use anyhow::{Result, ensure};
use rlxc_api::size::ByteSize;
use rlxc_api::{Project, ProjectPost, ProjectPut, ProjectState, ProjectsPost};

use super::{keys, object};
use crate::cli::{ProjectCreateArgs, ProjectVerb};
use crate::context::{Context, DEFAULT_PROJECT};
use crate::document;
use crate::remote::Remotes;
use crate::render::{self, Table};

fn path(name: &str) -> String {
    object("projects", name)
}

pub(crate) async fn run(context: &Context, verb: ProjectVerb) -> Result<()> {
    match verb {
        ProjectVerb::List(format) => {
            let projects: Vec<Project> = context.client.get("/1.0/projects?recursion=1").await?;
            context.list(format.format, &projects, || table(context, &projects))
        }
        ProjectVerb::Show(args) => {
            context.yaml(&context.client.get::<Project>(&path(&args.name)).await?)
        }
        ProjectVerb::Info(args) => {
            let url = format!("{}/state", path(&args.name));
            let state: ProjectState = context.client.get(&url).await?;
            context.list(args.format.format, &state, || usage(&state))
        }
        ProjectVerb::Create(args) => create(context, args).await,
        ProjectVerb::Delete(args) => {
            for name in &args.names {
                context.client.delete(&path(name)).await?;
                follow(context, name, DEFAULT_PROJECT)?;
            }
            Ok(())
        }
        ProjectVerb::Rename(args) => rename(context, &args.name, args.new_name).await,
        ProjectVerb::Switch(args) => switch(context, &args.name).await,
        ProjectVerb::GetCurrent(_) => context.printer.line(&context.project),
        ProjectVerb::Get(args) => keys::get(context, &path(&args.name), "config", &args.key).await,
        ProjectVerb::Set(args) => {
            keys::set(context, &path(&args.name), keys::pairs(&args.words)?).await
        }
        ProjectVerb::Unset(args) => keys::unset(context, &path(&args.name), &args.key).await,
        ProjectVerb::Edit(args) => {
            keys::edit::<ProjectPut>(context, &path(&args.name), "A project.").await
        }
    }
}

async fn create(context: &Context, args: ProjectCreateArgs) -> Result<()> {
    let given = document::given::<ProjectPut, Project>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    put.config.extend(keys::map(args.keys));
    if let Some(description) = args.description {
        put.description = description;
    }
    put.config.extend(keys::map(args.config));
    let name = args.name;
    let post = ProjectsPost { put, name };
    context.client.post("/1.0/projects", &post).await?;
    context.printer.note(&format!("Created {}", post.name));
    Ok(())
}

async fn rename(context: &Context, name: &str, new_name: String) -> Result<()> {
    let post = ProjectPost {
        name: new_name.clone(),
    };
    let reply = context.client.post(&path(name), &post).await?;
    context.finish(reply, &format!("Renaming {name}")).await?;
    follow(context, name, &new_name)
}

/// The project must be there, and ours to see.
async fn switch(context: &Context, name: &str) -> Result<()> {
    context.client.get::<Project>(&path(name)).await?;
    let mut known = Remotes::load()?;
    known.set_project(&context.remote, name);
    known.save()
}

/// Whoever worked in a project that is gone works in another one.
fn follow(context: &Context, gone: &str, other: &str) -> Result<()> {
    let mut known = Remotes::load()?;
    if known.project(&context.remote) != Some(gone) {
        return Ok(());
    }
    ensure!(!other.is_empty(), "a project needs a name");
    known.set_project(&context.remote, other);
    known.save()
}

fn table(context: &Context, projects: &[Project]) -> Table {
    const FEATURES: [&str; 6] = [
        "images",
        "profiles",
        "storage.volumes",
        "storage.buckets",
        "networks",
        "networks.zones",
    ];
    let rows = projects
        .iter()
        .map(|project| {
            let current = if project.name == context.project {
                " (current)"
            } else {
                ""
            };
            let has = |feature: &str| {
                let value = project.put.config.get(&format!("features.{feature}"));
                render::yes(value.is_some_and(|value| value == "true"))
            };
            let mut row = vec![format!("{}{current}", project.name)];
            row.extend(FEATURES.map(has));
            row.push(project.put.description.clone());
            row.push(project.used_by.len().to_string());
            row
        })
        .collect();
    let header = [
        "NAME",
        "IMAGES",
        "PROFILES",
        "STORAGE VOLUMES",
        "STORAGE BUCKETS",
        "NETWORKS",
        "NETWORK ZONES",
        "DESCRIPTION",
        "USED BY",
    ];
    Table::new(&header, rows)
}

fn usage(state: &ProjectState) -> Table {
    let rows = state
        .resources
        .iter()
        .map(|(name, resource)| {
            let amount = |number: i64| match u64::try_from(number) {
                Err(_) => "UNLIMITED".to_owned(),
                Ok(number) if name == "memory" || name.starts_with("disk") => {
                    ByteSize(number).human()
                }
                Ok(number) => number.to_string(),
            };
            vec![
                name.to_uppercase(),
                amount(resource.limit),
                amount(resource.usage),
            ]
        })
        .collect();
    Table::new(&["RESOURCE", "LIMIT", "USAGE"], rows)
}
