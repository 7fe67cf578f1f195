//! `metadata.yaml` and `templates/` of an instance: copies of its image's, which the instance's owner may change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rlxc_api::{ImageMetadata as View, ImageMetadataTemplate as TemplateView, Requestor};
use rlxc_storage::image::{ImageMetadata, TemplateMetadata};
use rlxc_sys::file::{self, Durability, FileError};
use rlxc_sys::path::{Resolve, create_dir, open_dir, unlink};
use rustix::fs::Mode;
use rustix::io::Errno;

use super::{LONGEST, read_template};
use crate::app::instance;
use crate::context::{App, blocking, instance_url};
use crate::error::{Error, Result};
use crate::events::Lifecycle;
use crate::instance::state::Verb;
use crate::model::Instance;
use crate::saga::instance_volume;

/// What an instance's image says of itself.
pub async fn metadata(app: &Arc<App>, project: &str, name: &str) -> Result<View> {
    let (_, directory) = place(app, project, name).await?;
    let path = directory.join("metadata.yaml");
    blocking(move || match file::read(&path) {
        Ok(text) => Ok(render(ImageMetadata::parse(&text).map_err(unreadable)?)),
        Err(error) if error.is_not_found() => Ok(View::default()),
        Err(error) => Err(failed(error)),
    })
    .await
}

/// Replaces it.
pub async fn set_metadata(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    view: View,
) -> Result<()> {
    let text = parse(view)?.render().map_err(unreadable)?;
    change(app, project, name, move |directory| {
        let path = directory.join("metadata.yaml");
        file::write_atomic(&path, text.as_bytes(), 0o644, Durability::Durable)
    })
    .await?;
    tell(app, who, "instance-metadata-updated", (project, name), "");
    Ok(())
}

/// The names of its templates, sorted.
pub async fn list_templates(app: &Arc<App>, project: &str, name: &str) -> Result<Vec<String>> {
    let (_, directory) = place(app, project, name).await?;
    blocking(move || match file::list_dir(&directory.join("templates")) {
        Ok(names) => Ok(names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .collect()),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    })
    .await
}

/// The text of a template.
pub async fn template(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    template: &str,
) -> Result<String> {
    let template = check(template)?;
    let (_, directory) = place(app, project, name).await?;
    let key = template.clone();
    let text = blocking(move || {
        let missing = |error: FileError| {
            if error.is_not_found() {
                Error::not_found("template", &*key)
            } else {
                failed(error)
            }
        };
        let templates = open_dir(&directory.join("templates")).map_err(missing)?;
        read_template(std::os::fd::AsFd::as_fd(&templates), Path::new(&key)).map_err(missing)
    })
    .await?;
    let action = "instance-metadata-template-retrieved";
    tell(app, who, action, (project, name), &template);
    Ok(text)
}

/// Makes or replaces a template.
pub async fn set_template(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    template: &str,
    text: Vec<u8>,
) -> Result<()> {
    let template = check(template)?;
    if text.len() as u64 > LONGEST {
        return Err(Error::Invalid(format!(
            "template `{template}` is longer than {LONGEST} bytes"
        )));
    }
    let key = template.clone();
    change(app, project, name, move |directory| {
        let above = open_dir(directory)?;
        let (templates, how) = (Path::new("templates"), Resolve::NoSymlinks);
        match create_dir(&above, templates, Mode::from_raw_mode(0o755), how) {
            Err(error) if error.errno() != Some(Errno::EXIST.raw_os_error()) => return Err(error),
            _ => {}
        }
        let path = directory.join(templates).join(key);
        file::write_atomic(&path, &text, 0o644, Durability::Durable)
    })
    .await?;
    let action = "instance-metadata-template-created";
    tell(app, who, action, (project, name), &template);
    Ok(())
}

/// Removes a template.
pub async fn delete_template(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    template: &str,
) -> Result<()> {
    let template = check(template)?;
    let key = template.clone();
    change(app, project, name, move |directory| {
        let templates = open_dir(&directory.join("templates"))?;
        unlink(&templates, Path::new(&key), Resolve::NoSymlinks)
    })
    .await
    .map_err(|error| match error {
        Error::NotFound { kind: "file", .. } => Error::not_found("template", &*template),
        other => other,
    })?;
    let action = "instance-metadata-template-deleted";
    tell(app, who, action, (project, name), &template);
    Ok(())
}

async fn place(app: &Arc<App>, project: &str, name: &str) -> Result<(Instance, PathBuf)> {
    let row = instance::find(app, project, name).await?;
    let driver = app.pools.get(&row.pool)?;
    let volume = instance_volume(row.id);
    let directory = blocking(move || driver.volume_dir(volume))
        .await
        .map_err(|error| Error::failed(format!("find the volume of `{name}`"), error))?;
    Ok((row, directory))
}

/// Changes files in the directory while no copy of the instance is made.
async fn change<F>(app: &Arc<App>, project: &str, name: &str, work: F) -> Result<()>
where
    F: FnOnce(&Path) -> Result<(), FileError> + Send + 'static,
{
    let (row, directory) = place(app, project, name).await?;
    let permit = app
        .instances
        .of(&row)?
        .begin(Verb::Update, name, "of a change of templates")
        .await?;
    let result = blocking(move || work(&directory)).await;
    drop(permit);
    result.map_err(failed)
}

/// One name, so that it is in the directory and nowhere else.
fn check(name: &str) -> Result<String> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(Error::Invalid(format!(
            "`{name}` can't be the name of a template"
        )));
    }
    Ok(name.to_owned())
}

fn render(metadata: ImageMetadata) -> View {
    let number = |id: Option<u32>| id.map_or_else(String::new, |id| id.to_string());
    let template = |(path, file): (String, TemplateMetadata)| {
        let view = TemplateView {
            when: file.when,
            create_only: file.create_only,
            template: file.template,
            properties: file.properties,
            uid: number(file.uid),
            gid: number(file.gid),
            mode: file.mode.unwrap_or_default(),
        };
        (path, view)
    };
    View {
        architecture: metadata.architecture,
        creation_date: metadata.creation_date,
        expiry_date: metadata.expiry_date,
        properties: metadata.properties,
        templates: metadata.templates.into_iter().map(template).collect(),
    }
}

fn parse(view: View) -> Result<ImageMetadata> {
    let number = |path: &str, text: &str| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_bad| {
            Error::Invalid(format!("template of `{path}`: `{text}` is not a number"))
        }),
    };
    let template = |(path, file): (String, TemplateView)| {
        check(&file.template)?;
        if !file.mode.is_empty() && u32::from_str_radix(&file.mode, 8).is_err() {
            let mode = file.mode;
            return Err(Error::Invalid(format!(
                "template of `{path}`: `{mode}` is not an octal mode"
            )));
        }
        let template = TemplateMetadata {
            uid: number(&path, &file.uid)?,
            gid: number(&path, &file.gid)?,
            mode: Some(file.mode).filter(|mode| !mode.is_empty()),
            when: file.when,
            create_only: file.create_only,
            template: file.template,
            properties: file.properties,
        };
        Ok((path, template))
    };
    Ok(ImageMetadata {
        architecture: view.architecture,
        creation_date: view.creation_date,
        expiry_date: view.expiry_date,
        properties: view.properties,
        templates: view
            .templates
            .into_iter()
            .map(template)
            .collect::<Result<_>>()?,
    })
}

fn unreadable(error: rlxc_storage::image::ImageError) -> Error {
    Error::failed("read the metadata of the instance", error)
}

fn failed(error: FileError) -> Error {
    if error.is_not_found() {
        return Error::not_found("file", error.path.display().to_string());
    }
    Error::failed(error.to_string(), error.source)
}

fn tell(app: &App, who: &Requestor, action: &str, (project, name): (&str, &str), path: &str) {
    let context = if path.is_empty() {
        BTreeMap::new()
    } else {
        BTreeMap::from([("path".to_owned(), path.into())])
    };
    app.events.lifecycle(Lifecycle {
        action,
        source: instance_url(project, name),
        project,
        name,
        requestor: Some(who.clone()),
        context,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_given_back() {
        let text = b"architecture: x86_64\ncreation_date: 1\ntemplates:\n  /etc/hosts:\n    when: [create, rename]\n    \
            template: hosts.tpl\n    uid: 7\n    mode: '0600'\n    properties: {a: b}\n";
        let metadata = ImageMetadata::parse(text).unwrap();
        assert_eq!(parse(render(metadata.clone())).unwrap(), metadata);
    }

    #[test]
    fn a_template_is_one_name() {
        for bad in ["", "..", "../x", "a/b", ".x", "a\0"] {
            assert!(check(bad).is_err(), "{bad:?}");
            let view = TemplateView {
                template: bad.to_owned(),
                ..TemplateView::default()
            };
            let templates = BTreeMap::from([("/x".to_owned(), view)]);
            let view = View {
                templates,
                ..View::default()
            };
            assert!(parse(view).is_err(), "{bad:?}");
        }
    }
}
