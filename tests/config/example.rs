//! The example file.

use crate::ours::{Anything, In};
use redstart::config::*;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_example_file_is_complete_and_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("redis.conf.example");
    let text = std::fs::read_to_string(&path).unwrap();
    let sources = Sources {
        file: Some(path.clone()),
        ..Sources::default()
    };
    let mut loaded = Config::load(&sources, &mut In(std::env::temp_dir())).unwrap();
    loaded.config_file = None;
    loaded.dir = Vec::new();
    assert_eq!(loaded, Config::default());

    // A directive is shown as a line of its own, active or right behind `#`.
    let marker = text
        .find("STORED AND RETURNED\n# =")
        .expect("the section of later features");
    let directive_line = |line: &str| {
        let line = line.strip_prefix('#').unwrap_or(line);
        line.starts_with(|first: char| first.is_ascii_lowercase())
            .then(|| line.to_owned())
    };
    let shown = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(directive_line);
        lines
            .map(|line| line.split_whitespace().next().unwrap().to_owned())
            .collect()
    };
    let (now, later) = (shown(&text[..marker]), shown(&text[marker..]));
    for directive in DIRECTIVES {
        let (expected, other) = match directive.is(flag::LATER) {
            true => (&later, &now),
            false => (&now, &later),
        };
        assert!(
            expected.contains(directive.name),
            "{} is missing",
            directive.name
        );
        assert!(
            !other.contains(directive.name),
            "{} is in both parts",
            directive.name
        );
    }
    let file_only = ["include", "rename-command", "user", "loadmodule"];
    let known: BTreeSet<&str> = DIRECTIVES
        .iter()
        .map(|row| row.name)
        .chain(file_only)
        .collect();
    let all: BTreeSet<&str> = now.iter().chain(&later).map(String::as_str).collect();
    assert_eq!(
        all.difference(&known).collect::<Vec<_>>(),
        Vec::<&&str>::new()
    );
    assert!(file_only.iter().all(|name| all.contains(name)));
    // The examples are right too, apart from files that are not there.
    let examples = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(directive_line);
    for example in examples.filter(|line| !line.starts_with("include /etc/redis/common.conf")) {
        let options = example.clone().into_bytes();
        let sources = Sources {
            options,
            ..Sources::default()
        };
        let loaded = Config::load(&sources, &mut Anything(std::env::temp_dir()));
        assert!(loaded.is_ok(), "{example}: {loaded:?}");
    }
}
