//! A module uses lower layers only, and modules of one layer don't know each other.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// From the lowest to the highest.
const LAYERS: [&[&str]; 5] = [
    &["env", "json", "ledger", "model", "network", "parcel", "request"],
    &["event", "parse"],
    &["aws", "pipeline"],
    &["backend", "delivery", "store"],
    &["forwarder", "settings"],
];

/// What modules of one layer may use of each other all the same: values that are made of values.
const WITHIN: [(&str, &str); 9] = [
    ("ledger", "model"),
    ("ledger", "request"),
    ("model", "json"),
    ("parcel", "model"),
    ("parcel", "request"),
    ("request", "env"),
    ("request", "model"),
    ("settings", "forwarder"),
    ("settings", "env"),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The modules of the library that a file names.
fn used(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let paths =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| line.split("crate::").skip(1));
    paths.map(|path| path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
}

#[test]
fn modules_use_lower_layers_only() {
    let layer: BTreeMap<_, _> =
        LAYERS.iter().enumerate().flat_map(|(level, names)| names.iter().map(move |name| (*name, level))).collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    let mut wrong = Vec::new();
    for path in files(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let module =
            inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["bin", "lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let level = layer.get(module.as_str()).unwrap_or_else(|| panic!("`{module}` belongs to no layer"));
        for name in used(&std::fs::read_to_string(&path).unwrap()) {
            let Some(other) = layer.get(name.as_str()) else { continue };
            checked += 1;
            let allowed = other < level || name == module || WITHIN.contains(&(module.as_str(), name.as_str()));
            if !allowed {
                wrong.push(format!("{} uses crate::{name}", inside.display()));
            }
        }
    }
    assert!(checked > 50, "{checked}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
