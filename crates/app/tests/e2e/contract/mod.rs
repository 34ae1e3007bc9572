//! The REST contract, line by line, as a client sees it that knows nothing else.

mod accounts;
mod memories;
mod profiles;
mod service;
mod sessions;
mod turns;

use serde_json::Value;

use crate::harness::{Caller, Server};
use crate::model_server::ModelServer;

/// Checks names and types of an object's fields: `s` text, `n` number, `b` flag, `t` time, `i` id, `o`
/// object; `?` behind a letter allows null.
#[track_caller]
fn has_shape(object: &Value, fields: &[(&str, &str)]) {
    for (name, kind) in fields {
        let value = object
            .get(*name)
            .unwrap_or_else(|| panic!("no {name} in {object}"));
        if kind.ends_with('?') && value.is_null() {
            continue;
        }
        let text = value.as_str().unwrap_or_default();
        let ok = match &kind[..1] {
            "s" => value.is_string(),
            "n" => value.is_number(),
            "b" => value.is_boolean(),
            "t" => text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T',
            "i" => text.len() == 36 && text.matches('-').count() == 4,
            "o" => value.is_object(),
            _ => panic!("unknown kind {kind}"),
        };
        assert!(ok, "{name} is not {kind} in {object}");
    }
}

const USER: &[(&str, &str)] = &[
    ("id", "i"),
    ("email", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("metadata", "o?"),
];
const PROFILE: &[(&str, &str)] = &[
    ("id", "i"),
    ("user_id", "i"),
    ("name", "s"),
    ("description", "s?"),
    ("is_default", "b"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("memory_count", "n"),
];
const SESSION: &[(&str, &str)] = &[
    ("id", "i"),
    ("user_id", "i"),
    ("memory_profile_id", "i?"),
    ("privacy_mode", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("message_count", "n"),
];
const MESSAGE: &[(&str, &str)] = &[
    ("id", "i"),
    ("session_id", "i"),
    ("role", "s"),
    ("content", "s"),
    ("created_at", "t"),
    ("metadata", "o"),
];
const MEMORY: &[(&str, &str)] = &[
    ("id", "i"),
    ("memory", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("user_id", "i"),
    ("metadata", "o"),
    ("memory_content", "s"),
    ("memory_profile_id", "i"),
    ("source", "o?"),
    ("version", "n"),
];

async fn start() -> (ModelServer, Server, Caller) {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    (model, server, ada)
}
