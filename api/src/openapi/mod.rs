//! `docs/openapi.json`: the API as an OpenAPI 3.1 document, made of the table of routes and of the wire types.
//!
//! The daemon serves the file as it is; only these tests know how it is made. `UPDATE_DOCS=1 cargo nextest run -p rlxc-api openapi`
//! writes it anew. A test of the daemon compares it with the routers.

mod table;

use std::path::Path;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use table::{Answer, Entry};

fn document() -> Value {
    let mut generator = generator();
    let mut paths = Map::new();
    for entry in table::ENTRIES {
        let path = entry.path.replace("{*", "{");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[entry.method] = operation(&mut generator, entry);
    }
    let parameters: Map<String, Value> = table::QUERIES
        .iter()
        .map(|(name, about, _)| {
            let schema = match *name {
                "recursion" => json!({"type": "integer", "minimum": 0, "maximum": 2}),
                "timeout" => json!({"type": "integer", "minimum": -1}),
                "all-projects" => json!({"type": "boolean"}),
                _ => json!({"type": "string"}),
            };
            let shown =
                json!({"name": name, "in": "query", "description": about, "schema": schema});
            ((*name).to_owned(), shown)
        })
        .collect();
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Reply".to_owned(), reply());
    let plain = json!({"$ref": "#/components/schemas/Reply"});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "rlxc",
            "version": "1.0",
            "description": "LXD's API 1.0 as rlxcd serves it, over its unix socket and over TLS with a client certificate.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters,
            "responses": {
                "Done": answer("Done", &plain),
                "Operation": answer("It goes on as an operation", &envelope(&json!({"$ref": "#/components/schemas/Operation"}))),
                "Error": answer("Refused or not possible", &plain),
            },
        },
    })
}

/// Of schemas without the defaults: of what is missing, all of it has one, and it says nothing.
fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let settings = settings.with_transform(schemars::transform::RecursiveTransform(
        |schema: &mut schemars::Schema| {
            schema.remove("default");
        },
    ));
    settings.into_generator()
}

fn operation(generator: &mut SchemaGenerator, entry: &Entry) -> Value {
    let words = entry
        .path
        .trim_start_matches("/1.0")
        .split(['/', '{', '}', '*']);
    let id: Vec<&str> = std::iter::once(entry.method)
        .chain(words.filter(|word| !word.is_empty()))
        .collect();
    let mut operation = json!({
        "operationId": id.join("_"),
        "tags": [id.get(1).unwrap_or(&"server")],
        "summary": entry.about,
        "parameters": parameters(entry),
        "responses": responses(generator, entry),
    });
    if let Some(body) = entry.body {
        let schema = body(generator).to_value();
        operation["requestBody"] = json!({"content": {"application/json": {"schema": schema}}});
    }
    operation
}

fn parameters(entry: &Entry) -> Vec<Value> {
    let names = entry.path.split(['{', '}']).skip(1).step_by(2);
    let mut parameters: Vec<Value> = names
        .map(|name| {
            let name = name.trim_start_matches('*');
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    for (name, _, takes) in table::QUERIES {
        if takes(entry) {
            parameters.push(json!({"$ref": format!("#/components/parameters/{name}")}));
        }
    }
    parameters
}

fn responses(generator: &mut SchemaGenerator, entry: &Entry) -> Value {
    let reply = entry
        .reply
        .map_or_else(|| json!({}), |schema| schema(generator).to_value());
    let shared = |name: &str| json!({"$ref": format!("#/components/responses/{name}")});
    let (code, answer) = match entry.answer {
        Answer::Sync if entry.reply.is_none() => ("200", shared("Done")),
        Answer::Sync => ("200", answer("Done", &envelope(&reply))),
        Answer::List => {
            let urls = json!({"type": "array", "items": {"type": "string"}});
            let items = json!({"type": "array", "items": reply});
            let either = json!({"anyOf": [urls, items]});
            ("200", answer("URLs or objects", &envelope(&either)))
        }
        Answer::Created => ("201", shared("Done")),
        Answer::Operation => ("202", shared("Operation")),
        Answer::Raw(kind) => (
            "200",
            json!({"description": "What was asked for", "content": {kind: {}}}),
        ),
        Answer::Socket => (
            "101",
            json!({"description": "Another protocol from here on"}),
        ),
    };
    json!({code: answer, "default": shared("Error")})
}

fn answer(about: &str, schema: &Value) -> Value {
    json!({"description": about, "content": {"application/json": {"schema": schema}}})
}

/// A reply whose metadata are of this schema.
fn envelope(metadata: &Value) -> Value {
    json!({"$ref": "#/components/schemas/Reply", "properties": {"metadata": metadata}})
}

/// What all replies have in common, see [`crate::Response`].
fn reply() -> Value {
    json!({
        "description": "The envelope of every reply.",
        "type": "object",
        "required": ["type", "status", "status_code", "operation", "error_code", "error", "metadata"],
        "properties": {
            "type": {"enum": ["sync", "async", "error"]},
            "status": {"type": "string", "description": "Text of `status_code`."},
            "status_code": {"type": "integer"},
            "operation": {"type": "string", "description": "`async`: path of the operation."},
            "error_code": {"type": "integer", "description": "`error`: the HTTP code."},
            "error": {"type": "string", "description": "`error`: what went wrong."},
            "metadata": {"description": "The content."},
        },
    })
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    for piece in text.split("\"$ref\":\"#").skip(1) {
        let pointer = piece.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    assert!(text.contains("#/components/schemas/InstancesPost"));
}

#[test]
fn the_document_in_docs_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let current = format!("{:#}\n", document());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == current,
        "docs/openapi.json is not what the types and the table say: UPDATE_DOCS=1 cargo nextest run -p rlxc-api openapi"
    );
}
