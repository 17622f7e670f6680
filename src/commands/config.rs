//! CONFIG: <https://redis.io/docs/latest/commands/config-get/> and its siblings.

use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::help::help as config_help;
use crate::command::table::{Command, Group, flag};
use crate::config::{self, Circumstances, Effect, Extra, Process, SetError};
use crate::engine::{ClientId, Server};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[Command::container("CONFIG", -2, CONFIG).doc(
    Group::Server,
    "2.0.0",
    "Depends on subcommand.",
    "Read and change the settings of the running server.",
)];

/// Subcommands of CONFIG.
const CONFIG: &[Command] = &[
    Command::server("GET", -3, config_get)
        .doc(
            Group::Server,
            "2.0.0",
            "O(N) when N is the number of configuration parameters provided",
            "Read the settings whose names match the given patterns.",
        )
        .syntax("parameter:{parameter:string}...")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .history(&[(
            "7.0.0",
            "Added the ability to pass multiple pattern parameters in one call",
        )]),
    Command::server("HELP", 2, config_help)
        .doc(
            Group::Server,
            "5.0.0",
            "O(1)",
            "List the subcommands of CONFIG.",
        )
        .flags(flag::LOADING | flag::STALE),
    Command::server("RESETSTAT", 2, config_resetstat)
        .doc(
            Group::Server,
            "2.0.0",
            "O(1)",
            "Set the counters that INFO and LATENCY HISTOGRAM report back to zero.",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE),
    Command::server("REWRITE", 2, config_rewrite)
        .doc(
            Group::Server,
            "2.8.0",
            "O(1)",
            "Bring the configuration file up to date with the settings in use.",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE),
    Command::server("SET", -4, config_set)
        .doc(
            Group::Server,
            "2.0.0",
            "O(N) when N is the number of configuration parameters provided",
            "Change one or more settings of the running server, all or none.",
        )
        .syntax("parameter_value:{parameter:string value:string}...")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .history(&[(
            "7.0.0",
            "Added the ability to set multiple parameters in one call.",
        )]),
];

fn config_get(server: &mut Server, client: ClientId, args: Args<'_>) -> CmdResult {
    let found = server.config.get(args.rest());
    let mut reply = server.reply(client);
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(&name);
        reply.bulk(&value);
    }
    REPLIED
}

fn config_set(server: &mut Server, client: ClientId, args: Args<'_>) -> CmdResult {
    let rest = args.rest();
    if rest.len() % 2 == 1 {
        return Err(CmdError::arity("config|set"));
    }
    for (index, pair) in rest.chunks(2).enumerate() {
        if config::is_sensitive(pair[0]) {
            // CONFIG SET name value name value …
            server.redact.push(2 + 2 * index + 1);
        }
    }
    let pairs: Vec<(&[u8], &[u8])> = rest.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let local_client = server.client(client).is_local();
    let persistence = &server.stats.persistence;
    let circumstances = Circumstances {
        loading: persistence.loading && !persistence.async_loading,
        local_client,
    };
    let changes = server
        .config
        .set_many(&pairs, circumstances, &mut Process)
        .map_err(refused)?;
    for (effect, _) in changes.effects.clone() {
        if let Err(reason) = apply(server, effect) {
            let rolled = server
                .config
                .roll_back(changes, effect, &reason, &mut Process);
            let (error, again) = rolled;
            for effect in again {
                if let Err(reason) = apply(server, effect) {
                    tracing::warn!("Failed to restore a setting after CONFIG SET: {reason}");
                }
            }
            return Err(refused(error));
        }
    }
    server.follow_config();
    server.reply(client).ok();
    REPLIED
}

fn refused(error: SetError) -> CmdError {
    match error {
        SetError::Loading => CmdError::Loading,
        SetError::Failed(text) => CmdError::err(text),
    }
}

/// Brings about what a directive entails, here or in the process.
fn apply(server: &mut Server, effect: Effect) -> Result<(), String> {
    match effect {
        Effect::RequirePass => {
            server.require_password();
            Ok(())
        }
        Effect::AppendOnly => match (server.config.appendonly, server.aof.is_on()) {
            (true, false) => server.start_aof(),
            (false, true) => {
                server.stop_aof();
                Ok(())
            }
            _ => Ok(()),
        }
        .map_err(|_| "Unable to turn on AOF. Check server logs.".to_owned()),
        Effect::AofGc => {
            server.drop_history();
            Ok(())
        }
        _ => server.apply_effect(effect),
    }
}

fn config_resetstat(server: &mut Server, client: ClientId, _: Args<'_>) -> CmdResult {
    server.reset_stats();
    server.reply(client).ok();
    REPLIED
}

fn config_rewrite(server: &mut Server, client: ClientId, _: Args<'_>) -> CmdResult {
    let Some(file) = server.config.config_file.clone() else {
        return Err(CmdError::err("The server is running without a config file"));
    };
    let users = server.user_lines();
    let extra = Extra {
        users: &users,
        ..Extra::default()
    };
    if let Err(error) = server.config.rewrite(&file, extra, false) {
        let reason = config::os_error_text(&error);
        tracing::warn!("CONFIG REWRITE failed: {reason}");
        return Err(CmdError::err(format!("Rewriting config file: {reason}")));
    }
    tracing::warn!("CONFIG REWRITE executed with success.");
    server.reply(client).ok();
    REPLIED
}
