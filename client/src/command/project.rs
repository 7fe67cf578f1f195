//! `project`.

use anyhow::Result;
use rlxc_api::{Project, ProjectPut, ProjectsPost};

use super::{keys, object};
use crate::cli::ProjectVerb;
use crate::context::Context;
use crate::render::Table;

fn path(name: &str) -> String {
    object("projects", name)
}

pub(crate) async fn run(context: &Context, verb: ProjectVerb) -> Result<()> {
    match verb {
        ProjectVerb::List(format) => {
            let projects: Vec<Project> = context.client.get("/1.0/projects?recursion=1").await?;
            context.list(format.format, &projects, || table(&projects))
        }
        ProjectVerb::Show(args) => {
            context.yaml(&context.client.get::<Project>(&path(&args.name)).await?)
        }
        ProjectVerb::Create(args) => {
            let put = ProjectPut {
                config: keys::map(args.keys),
                description: args.description.unwrap_or_default(),
            };
            context
                .client
                .post(
                    "/1.0/projects",
                    &ProjectsPost {
                        put,
                        name: args.name,
                    },
                )
                .await?;
            Ok(())
        }
        ProjectVerb::Delete(args) => {
            for name in &args.names {
                context.client.delete(&path(name)).await?;
            }
            Ok(())
        }
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

fn table(projects: &[Project]) -> Table {
    let rows = projects
        .iter()
        .map(|project| {
            vec![
                project.name.clone(),
                project.put.description.clone(),
                project.used_by.len().to_string(),
            ]
        })
        .collect();
    Table::new(&["NAME", "DESCRIPTION", "USED BY"], rows)
}
