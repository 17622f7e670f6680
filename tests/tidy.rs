//! The habits of this tree, as tests: who may name whom, how long files are,
//! where `unsafe` stands, and that a command is declared once.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the lowest up; those on one line may name each other.
const LAYERS: &[&[&str]] = &[
    &["util", "version"],
    &["resp"],
    &["encoding"],
    &["types"],
    &["rdb", "aof"],
    &["config", "acl", "stats"],
    &["keyspace"],
    &["engine", "command"],
    &["commands"],
    &["exec"],
    &["snapshot", "persist"],
    &["replication", "cluster", "script"],
    &["server"],
];

/// Files that may contain `unsafe`, each with a header that states its invariants.
const UNSAFE_FILES: &[&str] = &[
    "src/encoding/member.rs",
    "src/encoding/scored.rs",
    "src/encoding/table.rs",
    "src/encoding/table/shard.rs",
    "src/keyspace/entry.rs",
    "src/script/api.rs",
    "src/script/base.rs",
    "src/script/bit.rs",
    "src/script/cjson.rs",
    "src/script/cmsgpack.rs",
    "src/script/convert.rs",
    "src/script/fibers.rs",
    "src/script/heap.rs",
    "src/script/library.rs",
    "src/script/packing.rs",
    "src/script/pattern.rs",
    "src/script/state.rs",
    "src/script/vm.rs",
    "src/server/crash.rs",
    "src/server/system.rs",
    "src/util/collate.rs",
    "src/util/prefetch.rs",
    "src/util/relocate.rs",
    "src/util/ticks.rs",
];

const LINES_MAX: usize = 1000;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a directory, as (path from the root, text).
fn rust_files(below: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(dir) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(below), &mut found);
    found.sort();
    let text = |path: &PathBuf| fs::read_to_string(path).expect("a source file is text");
    let name = |path: &PathBuf| {
        path.strip_prefix(root())
            .expect("below the root")
            .to_string_lossy()
            .into_owned()
    };
    found.iter().map(|path| (name(path), text(path))).collect()
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The first path segment of every `crate::…` in a line.
fn named_modules(line: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let name = |text: &str| -> String {
            text.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        match rest.strip_prefix('{') {
            Some(list) => modules.extend(list.split(',').map(|item| name(item.trim()))),
            None => modules.push(name(rest)),
        }
    }
    modules
}

#[test]
fn lower_layers_never_name_higher_ones() {
    let mut wrong = Vec::new();
    for (file, text) in rust_files("src") {
        let module = file
            .split('/')
            .nth(1)
            .unwrap_or_default()
            .trim_end_matches(".rs");
        let Some(layer) = layer_of(module) else {
            assert!(
                ["lib", "main"].contains(&module),
                "{file} belongs to no layer"
            );
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for named in named_modules(line.split("//").next().unwrap_or_default()) {
                if layer_of(&named).is_some_and(|other| other > layer) {
                    wrong.push(format!("{file}:{}: names {named}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<String> = ["src", "tests", "benches", "fuzz"]
        .iter()
        .flat_map(|dir| rust_files(dir))
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(file, text)| format!("{file}: {} lines", text.lines().count()))
        .collect();
    assert!(
        long.is_empty(),
        "over {LINES_MAX} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn unsafe_stands_only_where_it_is_allowed() {
    for (file, text) in rust_files("src") {
        let code = |line: &&str| !line.trim_start().starts_with("//");
        let uses = text.lines().filter(code).any(|line| {
            line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl")
        });
        if !UNSAFE_FILES.contains(&file.as_str()) {
            assert!(
                !uses && !text.contains("allow(unsafe_code)"),
                "{file} uses unsafe"
            );
        } else {
            assert!(
                text.contains("nsafe invariant"),
                "{file} does not state its invariants"
            );
            let blocks = text
                .lines()
                .filter(code)
                .filter(|l| l.contains("unsafe {"))
                .count();
            let reasons = text.matches("SAFETY").count();
            assert!(
                reasons > 0 && blocks <= 4 * reasons,
                "{file}: {blocks} blocks, {reasons} reasons"
            );
        }
    }
}

#[test]
fn a_command_is_declared_once() {
    // The registry refuses a second row of one name; here it is asked.
    let registry = redstart::command::registry::Registry::new(redstart::commands::FAMILIES);
    let registry = registry.expect("no command is declared twice");
    assert!(registry.len() > 20);
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [
        "todo!(",
        "unimplemented!(",
        concat!("FIX", "ME"),
        concat!("#[", "ignore"),
    ];
    for (file, text) in rust_files("src").into_iter().chain(rust_files("tests")) {
        for mark in marks {
            let found = text.contains(mark) && !file.ends_with("tidy.rs");
            assert!(!found, "{file} contains {mark}");
        }
    }
}
