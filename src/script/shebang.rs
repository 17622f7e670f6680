//! The first line of a script: `#!lua flags=no-writes,…`.

use crate::command::ctx::CmdError;
use crate::engine::scripts::ScriptFlags;
use crate::util::args;

/// What a script declares, and the length of the line that does, without its
/// end: the line stays, so that errors name the lines that the user wrote.
///
/// # Errors
/// What is wrong with the line.
pub fn parse(body: &[u8]) -> Result<(ScriptFlags, usize), CmdError> {
    let mut flags = ScriptFlags::default();
    if !body.starts_with(b"#!") {
        return Ok((flags, 0));
    }
    let end = memchr::memchr2(b'\n', 0, body).filter(|end| body[*end] == b'\n');
    let Some(end) = end else {
        return Err(CmdError::err("Invalid script shebang"));
    };
    let Some(parts) = args::split(&body[..end]).filter(|parts| !parts.is_empty()) else {
        return Err(CmdError::err("Invalid engine in script shebang"));
    };
    if parts[0] != b"#!lua" {
        return Err(wrong("Unexpected engine in script shebang: ", &parts[0]));
    }
    flags.declared = true;
    for part in &parts[1..] {
        let Some(list) = part.strip_prefix(b"flags=") else {
            return Err(wrong("Unknown lua shebang option: ", part));
        };
        if list.is_empty() {
            continue;
        }
        for flag in list.split(|byte| *byte == b',') {
            if !set_flag(&mut flags, flag) {
                return Err(wrong("Unexpected flag in script shebang: ", flag));
            }
        }
    }
    Ok((flags, end))
}

/// Sets a flag by its name; false when there is none of that name.
pub fn set_flag(flags: &mut ScriptFlags, name: &[u8]) -> bool {
    let flag = match name {
        b"no-writes" => &mut flags.no_writes,
        b"allow-oom" => &mut flags.allow_oom,
        b"allow-stale" => &mut flags.allow_stale,
        b"no-cluster" => &mut flags.no_cluster,
        b"allow-cross-slot-keys" => &mut flags.allow_cross_slot,
        _ => return false,
    };
    *flag = true;
    true
}

fn wrong(text: &str, what: &[u8]) -> CmdError {
    CmdError::err([text.as_bytes(), what].concat())
}
