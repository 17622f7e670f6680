//! The reply of `… HELP`, and the error that refers to it.

use crate::command::ctx::CmdError;
use crate::resp::Reply;

/// Lists the subcommands of `container` (upper case). `lines` are a
/// subcommand's syntax, then its description indented by four spaces.
pub fn reply(reply: &mut Reply<'_>, container: &str, lines: &[&str]) {
    reply.array(lines.len() + 3);
    reply.simple(&format!(
        "{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for line in lines {
        reply.simple(line);
    }
    reply.simple("HELP");
    reply.simple("    Show this list.");
}

/// A subcommand that exists, called with arguments that it does not take,
/// where the table's arity alone cannot tell.
pub fn syntax_error(subcommand: &[u8], container: &str) -> CmdError {
    let mut text = b"unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend_from_slice(&subcommand[..subcommand.len().min(128)]);
    text.extend_from_slice(format!("'. Try {container} HELP.").as_bytes());
    CmdError::err(text)
}
