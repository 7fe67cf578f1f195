//! `image list`.

use anyhow::{Result, bail};
use rlxc_api::Image;

use crate::cli::ImageListArgs;
use crate::context::Context;
use crate::render::{self, Table};

type Field = fn(&Image) -> String;

pub(crate) async fn run(context: &Context, args: &ImageListArgs) -> Result<()> {
    let path = if args.all_projects {
        "/1.0/images?recursion=1&all-projects=true"
    } else {
        "/1.0/images?recursion=1"
    };
    print(context, args, context.client.get(path).await?)
}

/// Prints those of the images that are meant.
pub(crate) fn print(context: &Context, args: &ImageListArgs, mut images: Vec<Image>) -> Result<()> {
    let columns = columns(&args.columns)?;
    images.retain(|image| args.filters.iter().all(|filter| fits(image, filter)));
    images.sort_by_key(first_alias);
    context.list(args.format.format, &images, || table(&columns, &images))
}

fn first_alias(image: &Image) -> String {
    let first = image.aliases.first();
    first.map_or(String::new(), |alias| alias.name.clone())
}

/// A part of an alias, the beginning of a fingerprint, or `key=value` of a property or of a field.
fn fits(image: &Image, filter: &str) -> bool {
    if filter.is_empty() {
        return true;
    }
    let Some((key, value)) = filter.split_once('=') else {
        let mut names = image.aliases.iter();
        return image.fingerprint.starts_with(filter)
            || names.any(|alias| alias.name.contains(filter));
    };
    let field = match key {
        "architecture" if !image.put.properties.contains_key(key) => Some(&image.architecture),
        "type" if value.contains("container") => Some(&image.kind),
        "filename" => Some(&image.filename),
        _ => image.put.properties.get(key),
    };
    let as_bool = |held: bool| value == if held { "true" } else { "false" };
    match key {
        "public" => as_bool(image.put.public),
        "cached" => as_bool(image.cached),
        "auto_update" => as_bool(image.put.auto_update),
        _ => field.is_some_and(|held| held.eq_ignore_ascii_case(value)),
    }
}

fn table(columns: &[(&'static str, Field)], images: &[Image]) -> Table {
    let header: Vec<&str> = columns.iter().map(|(header, _)| *header).collect();
    let row = |image: &Image| columns.iter().map(|(_, field)| field(image)).collect();
    Table::new(&header, images.iter().map(row).collect())
}

fn columns(letters: &str) -> Result<Vec<(&'static str, Field)>> {
    let mut columns = Vec::new();
    for letter in letters.chars().filter(|letter| *letter != ',') {
        let Some(column) = column(letter) else {
            bail!("there is no column `{letter}`: see `rlxc image list --help`");
        };
        columns.push(column);
    }
    Ok(columns)
}

fn column(letter: char) -> Option<(&'static str, Field)> {
    Some(match letter {
        'l' => ("ALIAS", |image| match image.aliases.len() {
            0 | 1 => first_alias(image),
            more => format!("{} ({} more)", first_alias(image), more - 1),
        }),
        'L' => ("ALIASES", |image| {
            let names = image.aliases.iter().map(|alias| alias.name.as_str());
            names.collect::<Vec<_>>().join("\n")
        }),
        'f' => ("FINGERPRINT", |image| {
            image.fingerprint.chars().take(12).collect()
        }),
        'F' => ("FINGERPRINT", |image| image.fingerprint.clone()),
        'p' => ("PUBLIC", |image| render::yes(image.put.public)),
        'd' => ("DESCRIPTION", |image| {
            let text = image.put.properties.get("description");
            text.cloned().unwrap_or_default()
        }),
        'e' => ("PROJECT", |image| image.project.clone()),
        'a' => ("ARCHITECTURE", |image| image.architecture.clone()),
        't' => ("TYPE", |image| image.kind.to_uppercase()),
        's' => ("SIZE", |image| render::bytes(image.size)),
        'u' => ("UPLOAD DATE", |image| {
            render::short_time(&image.uploaded_at)
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_lxc_reads_them() {
        let mut image = Image {
            fingerprint: "abc".to_owned(),
            ..Image::default()
        };
        image
            .put
            .properties
            .insert("os".to_owned(), "Debian".to_owned());
        image.put.public = true;
        for (filter, expected) in [
            ("ab", true),
            ("bc", false),
            ("os=debian", true),
            ("os=Ubuntu", false),
            ("public=true", true),
            ("cached=true", false),
            ("", true),
        ] {
            assert_eq!(fits(&image, filter), expected, "{filter}");
        }
        assert!(columns("lfpdatsu").is_ok() && columns("x").is_err());
    }
}
