//! `proc-title-template`: what the process title says.

use super::Config;
use std::os::unix::ffi::OsStrExt;

/// Fills in a template: `{name}` is a variable, `{{` a brace. None when a
/// variable is unknown or a brace is not closed. Blanks at both ends go.
///
/// Variables: `title` (given), `listen-addr`, `server-mode`, `config-file`,
/// `port`, `tls-port`, `unixsocket`.
pub(super) fn expand(config: &Config, template: &[u8], title: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.iter().position(|byte| *byte == b'{') {
        out.extend_from_slice(&rest[..open]);
        rest = &rest[open + 1..];
        if let [b'{', tail @ ..] = rest {
            out.push(b'{');
            rest = tail;
            continue;
        }
        let close = rest.iter().position(|byte| *byte == b'}')?;
        variable(config, &rest[..close], title, &mut out)?;
        rest = &rest[close + 1..];
    }
    out.extend_from_slice(rest);
    let start = out
        .iter()
        .position(|byte| *byte != b' ')
        .unwrap_or(out.len());
    let end = out
        .iter()
        .rposition(|byte| *byte != b' ')
        .map_or(start, |last| last + 1);
    Some(out[start..end].to_vec())
}

fn variable(config: &Config, name: &[u8], title: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match name {
        b"title" => out.extend_from_slice(title),
        b"listen-addr" if config.port == 0 && config.tls_port == 0 => {
            out.extend_from_slice(b"unixsocket:");
            out.extend_from_slice(&config.unixsocket);
        }
        b"listen-addr" => {
            let first = config.bind.first().map_or(&b"*"[..], Vec::as_slice);
            out.extend_from_slice(first);
            let port = if config.port != 0 {
                config.port
            } else {
                config.tls_port
            };
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
        b"server-mode" if config.cluster_enabled => out.extend_from_slice(b"[cluster]"),
        b"server-mode" => {}
        b"config-file" => match &config.config_file {
            Some(path) => out.extend_from_slice(path.as_os_str().as_bytes()),
            None => out.push(b'-'),
        },
        b"port" => out.extend_from_slice(config.port.to_string().as_bytes()),
        b"tls-port" => out.extend_from_slice(config.tls_port.to_string().as_bytes()),
        b"unixsocket" => out.extend_from_slice(&config.unixsocket),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, expected: Option<&str>) {
        let title = expand(&Config::default(), template.as_bytes(), b"redis-server");
        assert_eq!(title.as_deref(), expected.map(str::as_bytes), "{template}");
    }

    #[test]
    fn fills_in_variables() {
        check(
            "{title} {listen-addr} {server-mode}",
            Some("redis-server *:6379"),
        );
        check("{{{port}} {{x", Some("{6379} {x"));
        check("{config-file}|{tls-port}|{unixsocket}|", Some("-|0||"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for template in ["{nope}", "{", "{title", "{}"] {
            check(template, None);
        }
    }
}
