//! Where raw values come from: environment, then `.env`, then the settings file, then the defaults.

use std::collections::BTreeMap;
use std::path::Path;

use super::table::SETTINGS;

/// A value as it was written, and where.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) text: String,
    pub(crate) from: String,
}

/// Raw values by name, the strongest source last wins.
pub(crate) type Values = BTreeMap<&'static str, Raw>;

/// Collects the values; every mistake is one line.
pub(crate) fn collect(
    file: Option<&Path>,
    dotenv: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    mistakes: &mut Vec<String>,
) -> Values {
    let mut values = Values::new();
    for setting in SETTINGS.iter().filter(|s| !s.default.is_empty()) {
        let raw = Raw {
            text: setting.default.to_owned(),
            from: "default".to_owned(),
        };
        values.insert(setting.name, raw);
    }
    if let Some(path) = file {
        read_file(path, &mut values, mistakes);
    }
    if let Some(path) = dotenv {
        read_dotenv(path, &mut values, mistakes);
    }
    for (name, text) in environment {
        match known(&name) {
            Some(name) => put(&mut values, name, &text, "environment"),
            None if is_ours(&name) => mistakes.push(unknown(&name, "the environment")),
            None => {}
        }
    }
    values
}

/// An empty value means that nothing is set.
fn put(values: &mut Values, name: &'static str, text: &str, from: &str) {
    if !text.trim().is_empty() {
        values.insert(
            name,
            Raw {
                text: text.trim().to_owned(),
                from: from.to_owned(),
            },
        );
    }
}

fn known(name: &str) -> Option<&'static str> {
    SETTINGS.iter().map(|s| s.name).find(|known| *known == name)
}

/// Names that can only be meant for this program. Tests have some of their own.
fn is_ours(name: &str) -> bool {
    name.starts_with("MEMORYCHAT_") && !name.starts_with("MEMORYCHAT_TEST_")
}

fn unknown(name: &str, place: &str) -> String {
    let nearest = SETTINGS
        .iter()
        .map(|s| s.name)
        .min_by_key(|known| distance(known, name));
    format!(
        "{name}: no such setting, in {place}; did you mean {}?",
        nearest.unwrap_or_default()
    )
}

fn read_file(path: &Path, values: &mut Values, mistakes: &mut Vec<String>) {
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return mistakes.push(format!("{shown}: cannot be read: {error}")),
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start].lines().count().max(1));
            return mistakes.push(format!("{shown}: line {line}: {}", error.message()));
        }
    };
    for (key, value) in table {
        let Some(name) = known(&key.to_ascii_uppercase()) else {
            mistakes.push(unknown(&key.to_ascii_uppercase(), &shown));
            continue;
        };
        match scalar(&value) {
            Some(text) => put(values, name, &text, &shown),
            None => mistakes.push(format!(
                "{name}: must be a single value or a list of texts, in {shown}"
            )),
        }
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => items
            .iter()
            .map(scalar)
            .collect::<Option<Vec<_>>>()
            .map(|list| list.join(",")),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn read_dotenv(path: &Path, values: &mut Values, mistakes: &mut Vec<String>) {
    let shown = path.display().to_string();
    let entries = match dotenvy::from_path_iter(path) {
        Ok(entries) => entries,
        Err(error) if error.not_found() => return,
        Err(error) => return mistakes.push(format!("{shown}: cannot be read: {error}")),
    };
    for entry in entries {
        match entry {
            Ok((name, text)) => match known(&name) {
                Some(name) => put(values, name, &text, &shown),
                None if is_ours(&name) => mistakes.push(unknown(&name, &shown)),
                None => {}
            },
            // The error quotes the line, which may hold a secret.
            Err(_) => mistakes.push(format!("{shown}: a line is not of the form NAME=value")),
        }
    }
}

/// What may be shown of an address: scheme, host and path. A password can be before the host or among the
/// parameters; where it cannot be told which part is which, nothing is shown.
pub(crate) fn place(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return "***".to_owned();
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (address, parameters) = rest.split_at(end);
    let (hidden, place) = match address.rsplit_once('@') {
        // The cut was made in the middle of a password, or there is one behind it.
        _ if parameters.contains('@') => ("***", ""),
        Some((_, place)) => ("***@", place),
        None => ("", address),
    };
    let more = if parameters.is_empty() { "" } else { "?***" };
    format!("{scheme}://{hidden}{place}{more}")
}

/// Edits that turn one word into the other (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
