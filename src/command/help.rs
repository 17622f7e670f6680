//! HELP of a container command, from the rows of its subcommands.

use super::ctx::{Args, CmdResult, REPLIED};
use super::docs::{self, Arg, ArgKind};
use super::registry::{CommandId, Registry};
use crate::engine::{ClientId, Server};

/// The handler of every HELP subcommand: usage and one sentence for each of
/// its neighbours.
///
/// # Errors
/// None.
pub fn help(server: &mut Server, client: ClientId, _: Args<'_>) -> CmdResult {
    let container = server
        .running
        .and_then(|running| server.registry[running].parent);
    let lines = container.map_or_else(Vec::new, |container| lines(&server.registry, container));
    let mut reply = server.reply(client);
    reply.array(lines.len());
    for line in &lines {
        reply.simple(line);
    }
    REPLIED
}

fn lines(registry: &Registry, container: CommandId) -> Vec<String> {
    let name = registry[container].command.name;
    let mut lines = vec![format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    )];
    for entry in registry.subcommands(container) {
        let command = entry.command;
        if command.name == "HELP" {
            continue;
        }
        lines.push(format!("{}{}", command.name, usage(command.syntax)));
        lines.push(format!("    {}", command.summary));
    }
    lines.push("HELP".to_owned());
    lines.push("    Prints this help.".to_owned());
    lines
}

/// The arguments as a usage line writes them, with a space in front of each.
fn usage(notation: &'static str) -> String {
    if notation.is_empty() {
        return String::new();
    }
    let parsed = docs::arguments(notation).unwrap_or_default();
    parsed
        .iter()
        .map(|arg| format!(" {}", shown(arg)))
        .collect()
}

fn shown(arg: &Arg) -> String {
    let value = match &arg.kind {
        ArgKind::PureToken => String::new(),
        ArgKind::OneOf(parts) => format!("({})", joined(parts, "|")),
        ArgKind::Block(parts) => joined(parts, " "),
        _ => format!("<{}>", arg.name),
    };
    let once = match arg.token {
        Some(token) if value.is_empty() => token.to_owned(),
        Some(token) if !token.is_empty() => format!("{token} {value}"),
        _ => value,
    };
    let repeated = match &arg.kind {
        _ if !arg.multiple => once,
        ArgKind::OneOf(_) | ArgKind::Block(_) => format!("{once} [...]"),
        _ => format!("{once} [{once} ...]"),
    };
    if arg.optional {
        format!("[{repeated}]")
    } else {
        repeated
    }
}

fn joined(parts: &[Arg], separator: &str) -> String {
    let parts: Vec<String> = parts.iter().map(shown).collect();
    parts.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_reads_like_a_manual() {
        assert_eq!(usage(""), "");
        assert_eq!(usage("on_off_skip:(ON | OFF | SKIP)"), " (ON|OFF|SKIP)");
        assert_eq!(
            usage("timeout:integer [mode:(WRITE | ALL)@6.2.0]"),
            " <timeout> [(WRITE|ALL)]"
        );
        assert_eq!(
            usage("[TYPE type:(A | B)] [ID id:{client-id:integer...}]"),
            " [TYPE (A|B)] [ID <client-id> [<client-id> ...]]"
        );
        assert_eq!(usage("data:{k:key v:string}..."), " <k> <v> [...]");
    }
}
