//! The compatibility table of the README says what the command table says.

use std::collections::BTreeMap;
use std::fmt::Write;

use redstart::command::registry::Registry;

const BEGIN: &str = "<!-- commands -->\n";
const END: &str = "<!-- end of commands -->";

fn table() -> String {
    let registry = Registry::new(redstart::commands::FAMILIES).expect("a sound table");
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in registry.commands() {
        let mut text = entry.command.name.to_owned();
        if entry.has_subcommands() {
            let subcommands = registry.subcommands(entry.id).iter();
            let mut names: Vec<&str> = subcommands
                .map(|subcommand| subcommand.command.name)
                .collect();
            names.sort_unstable();
            let _ = write!(text, " ({})", names.join(", "));
        }
        groups
            .entry(entry.command.group.name())
            .or_default()
            .push(text);
    }
    let mut table = String::from("| group | commands |\n| --- | --- |\n");
    for (group, mut commands) in groups {
        commands.sort_unstable();
        let _ = writeln!(table, "| {group} | {} |", commands.join(", "));
    }
    table
}

#[test]
fn readme_lists_the_commands_that_exist() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("a README");
    let begin = readme.find(BEGIN).expect("the table's begin") + BEGIN.len();
    let end = readme.find(END).expect("the table's end");
    let table = table();
    if std::env::var_os("REDSTART_UPDATE").is_some() {
        let fresh = format!("{}{table}{}", &readme[..begin], &readme[end..]);
        std::fs::write(path, fresh).expect("README is writable");
        return;
    }
    assert!(
        readme[begin..end] == table,
        "README is not up to date: run REDSTART_UPDATE=1 cargo test --test readme"
    );
}
