//! MONITOR: every command that runs, as a line to those who asked.

use crate::engine::{ClientId, Flags, Server};
use crate::util::args;

/// Sends the command to all monitors; what is loaded is not shown.
pub fn feed(server: &mut Server, from: ClientId, argv: &[&[u8]]) {
    if server.stats.persistence.loading {
        return;
    }
    let unix_us = server.clock.unix_us(server.now_ns);
    let Some(client) = server.clients.get(from) else {
        return;
    };
    let addr = if server.scripts.calling {
        "lua".to_owned()
    } else if client.flags.has(Flags::UNIX_SOCKET) {
        format!(
            "unix:{}",
            String::from_utf8_lossy(&server.config.unixsocket)
        )
    } else {
        client.raw.addr.clone()
    };
    let (seconds, micros) = (unix_us / 1_000_000, unix_us % 1_000_000);
    let mut line = format!("+{seconds}.{micros:06} [{} {addr}]", client.db.get()).into_bytes();
    for (index, arg) in argv.iter().enumerate() {
        line.push(b' ');
        let shown: &[u8] = if server.redact.contains(&index) {
            b"(redacted)"
        } else {
            arg
        };
        args::quote(shown, &mut line);
    }
    line.extend_from_slice(b"\r\n");
    for monitor in server.clients.monitors.clone() {
        if let Some(client) = server.clients.get_mut(monitor) {
            client.output.begin();
            client.output.raw(&line);
            server.clients.schedule(monitor);
            server.check_output_limit(monitor);
        }
    }
}
