//! The OpenAPI document: committed as generated, complete, and one with what is served.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Operations that need no credential.
const PUBLIC: [&str; 6] = [
    "signUp",
    "logIn",
    "refreshToken",
    "getHealth",
    "getReadiness",
    "getMetrics",
];

struct Operation {
    method: String,
    path: String,
    value: Value,
}

impl Operation {
    fn id(&self) -> &str {
        self.value["operationId"].as_str().unwrap_or_default()
    }

    fn name(&self) -> String {
        format!("{} {} ({})", self.method, self.path, self.id())
    }
}

fn document() -> Value {
    serde_json::to_value(adapter_http::openapi()).expect("a document is JSON")
}

fn operations() -> Vec<Operation> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let methods = ["get", "put", "post", "patch", "delete"];
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, value) in item.as_object().expect("a path item") {
            assert!(methods.contains(&method.as_str()), "{method} {path}");
            all.push(Operation {
                method: method.clone(),
                path: path.clone(),
                value: value.clone(),
            });
        }
    }
    all
}

fn crate_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let file = crate_folder().join("../../openapi/openapi.json");
    let generated = adapter_http::openapi().to_pretty_json().expect("JSON") + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &generated).expect("openapi.json can be written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == generated,
        "openapi.json is out of date: UPDATE_OPENAPI=1 cargo test -p adapter-http --test openapi"
    );
}

#[test]
fn it_is_openapi_3_1() {
    let version = document()["openapi"].as_str().map(str::to_owned);
    assert!(version.is_some_and(|v| v.starts_with("3.1.")));
}

#[test]
fn operation_ids_are_unique_words_in_camel_case() {
    let mut seen = BTreeSet::new();
    for operation in operations() {
        let id = operation.id();
        assert!(
            id.starts_with(|c: char| c.is_ascii_lowercase()),
            "{}",
            operation.name()
        );
        assert!(
            id.chars().all(|c| c.is_ascii_alphanumeric()),
            "{}",
            operation.name()
        );
        assert!(seen.insert(id.to_owned()), "{}", operation.name());
    }
}

#[test]
fn every_operation_has_one_described_tag_a_summary_and_a_description() {
    let document = document();
    let tags = document["tags"].as_array().expect("tags");
    for operation in operations() {
        let own = operation.value["tags"]
            .as_array()
            .expect("tags of an operation");
        assert_eq!(own.len(), 1, "{}", operation.name());
        let tag = tags.iter().find(|tag| tag["name"] == own[0]);
        let described = tag.and_then(|tag| tag["description"].as_str());
        assert!(
            described.is_some_and(|d| !d.is_empty()),
            "{}",
            operation.name()
        );
        for field in ["summary", "description"] {
            let text = operation.value[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{} has no {field}", operation.name());
        }
    }
}

#[test]
fn every_operation_needs_a_credential_or_is_on_the_public_list() {
    for operation in operations() {
        let security = operation.value["security"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let open = security.is_empty() || security.contains(&serde_json::json!({}));
        assert_eq!(
            open,
            PUBLIC.contains(&operation.id()),
            "{}",
            operation.name()
        );
        let schemes = document()["components"]["securitySchemes"].clone();
        for requirement in security.iter().filter_map(Value::as_object) {
            for scheme in requirement.keys() {
                assert!(
                    schemes.get(scheme).is_some(),
                    "{} {scheme}",
                    operation.name()
                );
            }
        }
    }
}

#[test]
fn every_operation_of_the_api_declares_its_failures_as_problems() {
    let document = document();
    for operation in operations().iter().filter(|o| o.path.starts_with("/api/")) {
        let responses = operation.value["responses"].as_object().expect("responses");
        let failures = responses
            .iter()
            .filter(|(status, _)| !status.starts_with('2'));
        let mut clients_fault = false;
        for (status, response) in failures {
            let response = match response["$ref"].as_str() {
                Some(reference) => document.pointer(&reference[1..]).expect("a component"),
                None => response,
            };
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(
                schema,
                "#/components/schemas/Problem",
                "{} {status}",
                operation.name()
            );
            clients_fault |= status.starts_with('4');
        }
        assert!(clients_fault, "{}", operation.name());
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    for reference in &references {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind]
            .as_object()
            .expect("components")
            .keys()
        {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(&reference), "{reference} is not used");
        }
    }
}

fn collect_references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                into.insert(reference.clone());
            }
            fields.values().for_each(|v| collect_references(v, into));
        }
        Value::Array(items) => items.iter().for_each(|v| collect_references(v, into)),
        _ => {}
    }
}

#[test]
fn every_path_parameter_is_declared_and_described() {
    for operation in operations() {
        let parameters = operation.value["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let declared: BTreeSet<&str> = parameters
            .iter()
            .filter(|p| p["in"] == "path")
            .filter_map(|p| p["name"].as_str())
            .collect();
        let in_path: BTreeSet<&str> = operation
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        assert_eq!(declared, in_path, "{}", operation.name());
        for parameter in &parameters {
            let text = parameter["description"].as_str().unwrap_or_default();
            assert!(
                !text.is_empty(),
                "{} {}",
                operation.name(),
                parameter["name"]
            );
        }
    }
}

/// The handlers' attributes are what is served; the document must hold each of them, and no other.
#[test]
fn every_handler_is_in_the_document() {
    let mut handlers = BTreeSet::new();
    collect_handlers(&crate_folder().join("src"), &mut handlers);
    let documented: BTreeSet<(String, String)> = operations()
        .into_iter()
        .map(|o| (o.method, o.path.trim_start_matches("/api/v1").to_owned()))
        .collect();
    assert_eq!(documented, handlers);
}

fn collect_handlers(folder: &Path, into: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_handlers(&path, into);
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("a source file");
        for line in source.lines().filter_map(|line| line.strip_prefix("#[")) {
            let Some((method, rest)) = line.split_once("(\"") else {
                continue;
            };
            if ["get", "put", "post", "patch", "delete"].contains(&method) {
                let path = rest.split('"').next().unwrap_or_default();
                into.insert((method.to_owned(), path.to_owned()));
            }
        }
    }
}
