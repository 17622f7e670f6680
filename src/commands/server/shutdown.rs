//! SHUTDOWN: <https://redis.io/docs/latest/commands/shutdown/>.

use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::table::{Command, Group, flag};
use crate::engine::{ClientId, Closing, Server, ShutdownError, ShutdownRequest};

/// The command.
pub const COMMANDS: &[Command] = &[Command::server("SHUTDOWN", -1, shutdown)
    .doc(
        Group::Server,
        "1.0.0",
        "O(N) when saving, where N is the total number of keys in all databases when saving \
         data, otherwise O(1)",
        "Save as configured or asked, then stop the server.",
    )
    .syntax("[nosave_save:(NOSAVE | SAVE)] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]")
    .flags(
        flag::ADMIN
            | flag::NOSCRIPT
            | flag::LOADING
            | flag::STALE
            | flag::NO_MULTI
            | flag::ALLOW_BUSY,
    )
    .history(&[("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers.")])];

/// What the arguments ask for.
enum Wish {
    Stop(ShutdownRequest),
    Abort,
}

impl Wish {
    fn parse(mut args: Args<'_>) -> Result<Wish, CmdError> {
        let mut request = ShutdownRequest::default();
        let mut abort = false;
        while args.left() > 0 {
            if args.take_word("NOSAVE") {
                request.nosave = true;
            } else if args.take_word("SAVE") {
                request.save = true;
            } else if args.take_word("NOW") {
                request.now = true;
            } else if args.take_word("FORCE") {
                request.force = true;
            } else if args.take_word("ABORT") {
                abort = true;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        match (abort, request == ShutdownRequest::default()) {
            (true, true) => Ok(Wish::Abort),
            (true, false) => Err(CmdError::Syntax),
            _ if request.save && request.nosave => Err(CmdError::Syntax),
            _ => Ok(Wish::Stop(request)),
        }
    }
}

fn shutdown(server: &mut Server, client: ClientId, args: Args<'_>) -> CmdResult {
    match Wish::parse(args)? {
        Wish::Abort if server.abort_shutdown() => {
            server.reply(client).ok();
            REPLIED
        }
        Wish::Abort => Err(CmdError::err("No shutdown in progress.")),
        Wish::Stop(request) if server.is_busy() && !request.nosave => Err(server.busy()),
        Wish::Stop(request) => match server.begin_shutdown(request) {
            // The end of the connection is the reply.
            Ok(()) | Err(ShutdownError::InProgress) => {
                server.clients.close(client, Closing::Now);
                REPLIED
            }
            Err(ShutdownError::CannotSave) => {
                Err(CmdError::err("Errors trying to SHUTDOWN. Check logs."))
            }
        },
    }
}
