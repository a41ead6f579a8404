//! The document against the route table, and against the file people read.

use super::*;
use crate::router::routes;
use std::path::Path;

fn pairs_of_the_document() -> BTreeSet<String> {
    let document = serde_json::to_value(document()).expect("a document");
    let paths = document["paths"].as_object().expect("paths");
    let mut pairs = BTreeSet::new();
    for (path, item) in paths {
        for method in item.as_object().expect("a path").keys() {
            pairs.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    pairs
}

#[test]
fn every_route_is_documented_and_nothing_else() {
    let mut pairs = BTreeSet::new();
    for (path, methods) in routes() {
        for method in methods.names() {
            // A rest of a path is a parameter like others in the document.
            pairs.insert(format!("{method} {}", path.replace("{*", "{")));
        }
    }
    let documented = pairs_of_the_document();
    let missing: Vec<_> = pairs.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&pairs).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not documented: {missing:?}; documented and no route: {invented:?}"
    );
}

#[test]
fn parameters_of_a_path_are_those_in_it() {
    let document = serde_json::to_value(document()).expect("a document");
    for (path, item) in document["paths"].as_object().expect("paths") {
        let in_path: BTreeSet<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        for (method, operation) in item.as_object().expect("a path") {
            let list = operation["parameters"].as_array().expect("parameters");
            let told: BTreeSet<&str> = list
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(in_path, told, "{method} {path}");
        }
    }
}

#[test]
fn operations_have_names_of_their_own() {
    let document = serde_json::to_value(document()).expect("a document");
    let mut seen = BTreeSet::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("a path").values() {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(seen.insert(id.clone()), "{id} twice");
        }
    }
}

/// A name that stands for two things would be described by whichever came last.
#[test]
fn schemas_of_one_name_are_one_schema() {
    let mut seen: std::collections::BTreeMap<String, Value> = Default::default();
    for (name, _, operations) in GROUPS {
        for op in operations() {
            for (schema, shape) in op.finish(name).0 {
                let shape = serde_json::to_value(shape).expect("a schema");
                if let Some(before) = seen.insert(schema.clone(), shape.clone()) {
                    assert_eq!(before, shape, "{schema}");
                }
            }
        }
    }
}

/// What is asked for and what is answered have different rules for `null`.
#[test]
fn no_object_is_both_asked_for_and_answered() {
    let document = serde_json::to_value(document()).expect("a document");
    let answered = answered(&document);
    let mut names = Vec::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("a path").values() {
            refers(&operation["requestBody"], &mut names);
        }
    }
    let schemas = &document["components"]["schemas"];
    let mut seen = BTreeSet::new();
    while let Some(name) = names.pop() {
        if seen.insert(name.clone()) {
            refers(&schemas[&name], &mut names);
            let is_object = schemas[&name]["properties"].is_object();
            assert!(!(is_object && answered.contains(&name)), "{name}");
        }
    }
}

/// Every schema that is referred to is there, and every field has a description.
#[test]
fn everything_is_described() {
    let document = serde_json::to_value(document()).expect("a document");
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let mut names = Vec::new();
    refers(&document, &mut names);
    for name in names {
        assert!(schemas.contains_key(&name), "{name} is referred to");
    }
    for (name, schema) in schemas {
        let has = |value: &Value| {
            value["description"]
                .as_str()
                .is_some_and(|it| !it.is_empty())
        };
        // Of what may be `null`, the other half is described.
        let told = |value: &Value| {
            has(value)
                || value["oneOf"]
                    .as_array()
                    .is_some_and(|list| list.iter().any(has))
        };
        assert!(told(schema), "{name}");
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(told(schema), "{name}.{field}");
        }
    }
}

/// `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_document_is_as_in_the_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut now = serde_json::to_string_pretty(&document()).expect("a document");
    now.push('\n');
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).expect("writing the file");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == now,
        "{} is not what the code says: run with UPDATE_GOLDEN=1 and read the difference",
        path.display()
    );
}
