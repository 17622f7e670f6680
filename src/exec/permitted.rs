//! What becomes of calls that the user is not allowed.

use crate::command::error::CmdError;
use crate::command::permission::Denied;
use crate::command::registry::{CommandId, Entry};
use crate::engine::{ClientId, Server};

/// Notes a refusal in ACL LOG.
#[cold]
pub(super) fn note(
    server: &mut Server,
    id: ClientId,
    command: CommandId,
    argv: &[&[u8]],
    denied: Denied,
) {
    let name = server.registry[command].full_name().as_bytes().to_vec();
    let object = match denied {
        Denied::Command => &name[..],
        Denied::Key(index) | Denied::Channel(index) => argv[index],
    };
    server.log_refusal(id, denied.reason(), object, None);
}

/// The reply to a call of its own.
pub(super) fn error(command: &Entry, denied: Denied) -> CmdError {
    let text = match denied {
        Denied::Command => format!(
            "this user has no permissions to run the '{}' command",
            command.full_name()
        ),
        Denied::Key(_) => {
            "this user has no permissions to access one of the keys used as arguments".into()
        }
        Denied::Channel(_) => {
            "this user has no permissions to access one of the channels used as arguments".into()
        }
    };
    CmdError::coded("NOPERM", text)
}

/// The reply to a call that was allowed when it was queued.
pub(super) fn error_in_exec(denied: Denied) -> CmdError {
    let reason = match denied {
        Denied::Command => "no permission to execute the command or subcommand",
        Denied::Key(_) => "no permission to touch the specified keys",
        Denied::Channel(_) => "no permission to access one of the channels used as arguments",
    };
    CmdError::coded(
        "NOPERM",
        format!(
            "ACLs rules changed between the moment the transaction was accumulated and the EXEC \
             call. This command is no longer allowed for the following reason: {reason}"
        ),
    )
}
