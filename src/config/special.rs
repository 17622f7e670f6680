//! Directives whose values have a form of their own.

use super::directive::{Refusal, Special};
use super::rewrite::Rewriter;
use super::set::Applying;
use super::types::*;
use super::value::{c_integer, c_text, memory_with_unit, parse_memory};
use super::{Config, default_bind};
use crate::util::{args, num};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const WRONG_COUNT: &str = "wrong number of arguments";

/// As many addresses as Redis takes.
const BIND_ADDRESSES_MAX: usize = 16;

// dir

pub(super) const DIR: Special = Special {
    set: |config, args, applying| {
        let [dir] = args else {
            return Err(WRONG_COUNT.into());
        };
        let dir = Path::new(OsStr::from_bytes(c_text(dir)));
        let now = applying
            .host
            .change_dir(dir)
            .map_err(|error| Refusal::from(super::os_error_text(&error)))?;
        config.dir = now.as_os_str().as_bytes().to_vec();
        Ok(true)
    },
    get: |config| config.dir.clone(),
    rewrite: |config, name, out| {
        if !config.dir.is_empty() {
            out.line(name, &quoted(&config.dir), true);
        }
    },
};

/// A value in quotes, as the file's syntax reads it back.
pub(super) fn quoted(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    args::quote(value, &mut out);
    out
}

/// A value that means itself in a line stays, any other goes in quotes.
pub(super) fn quoted_if_odd(value: &[u8]) -> Vec<u8> {
    if is_plain(value) {
        value.to_vec()
    } else {
        quoted(value)
    }
}

fn is_plain(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'');
    !value.is_empty() && value.iter().all(plain)
}

// bind

pub(super) const BIND: Special = Special {
    set: |config, args, _| {
        if args.len() > BIND_ADDRESSES_MAX {
            return Err("Too many bind addresses specified.".into());
        }
        config.bind = match args {
            [empty] if empty.is_empty() => Vec::new(),
            _ => args.iter().map(|arg| c_text(arg).to_vec()).collect(),
        };
        Ok(true)
    },
    get: |config| config.bind.join(&b' '),
    rewrite: |config, name, out| {
        if config.bind == default_bind() {
            out.processed(name);
        } else {
            out.line(name, &bind_line(&config.bind), true);
        }
    },
};

/// Addresses as a line has them. A single argument is split once more when it
/// is read, so one with blanks or quotes is quoted twice.
fn bind_line(addresses: &[Vec<u8>]) -> Vec<u8> {
    match addresses {
        [] => b"\"\"".to_vec(),
        [odd] if !is_plain(odd) => quoted(&quoted(odd)),
        _ => addresses
            .iter()
            .map(|arg| quoted_if_odd(arg))
            .collect::<Vec<_>>()
            .join(&b' '),
    }
}

// save

pub(super) const SAVE: Special = Special {
    set: set_save,
    get: |config| {
        let points: Vec<String> = config.save.iter().map(format_save_point).collect();
        points.join(" ").into_bytes()
    },
    rewrite: |config, name, out| {
        if config.save.is_empty() {
            out.line(name, b"\"\"", true);
        }
        for point in &config.save {
            out.line(name, format_save_point(point).as_bytes(), true);
        }
    },
};

fn format_save_point(point: &SavePoint) -> String {
    format!("{} {}", point.seconds, point.changes)
}

/// The first line of a file replaces the defaults, the next ones add to it; an
/// empty value forgets all; CONFIG SET replaces all.
fn set_save(
    config: &mut Config,
    args: &[Vec<u8>],
    applying: &mut Applying<'_>,
) -> Result<bool, Refusal> {
    let args = match args {
        [empty] if c_text(empty).is_empty() => {
            config.save.clear();
            &[]
        }
        _ => args,
    };
    let parse = |arg: &Vec<u8>, min: i64| match c_integer(arg, 10) {
        number if number.rest.is_empty() && number.value >= min => Some(number.value),
        _ => None,
    };
    let points: Option<Vec<SavePoint>> = args
        .chunks(2)
        .map(|pair| match pair {
            [seconds, changes] => Some(SavePoint {
                seconds: parse(seconds, 1)?,
                // Redis: kept in a C int, cut to its width.
                changes: parse(changes, 0)? as i32,
            }),
            _ => None,
        })
        .collect();
    let points = points.ok_or("Invalid save parameters")?;
    let adds = match &mut applying.save_line_seen {
        Some(seen) => std::mem::replace(*seen, true),
        None => false,
    };
    if !adds {
        config.save.clear();
    }
    config.save.extend(points);
    Ok(true)
}

// client-output-buffer-limit

pub(super) const CLIENT_OUTPUT_BUFFER_LIMIT: Special = Special {
    set: set_output_buffer_limits,
    get: |config| {
        let classes = ["normal", "slave", "pubsub"].iter();
        let parts = classes
            .zip(&config.client_output_buffer_limits)
            .map(|(class, limit)| {
                let OutputBufferLimit {
                    hard_bytes,
                    soft_bytes,
                    soft_seconds,
                } = limit;
                format!("{class} {hard_bytes} {soft_bytes} {soft_seconds}")
            });
        parts.collect::<Vec<_>>().join(" ").into_bytes()
    },
    rewrite: |config, name, out| {
        let limits = config
            .client_output_buffer_limits
            .iter()
            .zip(OUTPUT_BUFFER_LIMITS);
        for (class, (limit, default)) in ["normal", "replica", "pubsub"].iter().zip(limits) {
            let hard = memory_with_unit(limit.hard_bytes);
            let soft = memory_with_unit(limit.soft_bytes);
            let value = format!("{class} {hard} {soft} {}", limit.soft_seconds);
            out.line(name, value.as_bytes(), *limit != default);
        }
    },
};

/// Any number of `class hard soft seconds`; classes not named keep theirs, and
/// one error leaves all as they were.
fn set_output_buffer_limits(
    config: &mut Config,
    args: &[Vec<u8>],
    _: &mut Applying<'_>,
) -> Result<bool, Refusal> {
    if !args.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let mut limits = config.client_output_buffer_limits;
    for part in args.chunks_exact(4) {
        let class = c_text(&part[0]).to_ascii_lowercase();
        let limit = match class.as_slice() {
            b"normal" => &mut limits[0],
            b"slave" | b"replica" => &mut limits[1],
            b"pubsub" => &mut limits[2],
            _ => {
                return Err("Invalid client class specified in buffer limit configuration.".into());
            }
        };
        let number = c_integer(&part[3], 10);
        // Redis: kept in a C int, cut to its width.
        let seconds = u32::try_from(number.value as i32).ok();
        let seconds = seconds.filter(|_| number.rest.is_empty());
        let parsed = (parse_memory(&part[1]), parse_memory(&part[2]), seconds);
        let (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) = parsed else {
            return Err("Error in hard, soft or soft_seconds setting in \
                 buffer limit configuration."
                .into());
        };
        *limit = OutputBufferLimit {
            hard_bytes,
            soft_bytes,
            soft_seconds,
        };
    }
    config.client_output_buffer_limits = limits;
    Ok(true)
}

// oom-score-adj-values

pub(super) const OOM_SCORE_ADJ_VALUES: Special = Special {
    set: |config, args, _| {
        let [master, replica, child] = args else {
            return Err(WRONG_COUNT.into());
        };
        let parse = |arg: &[u8]| match c_integer(arg, 10) {
            number if number.rest.is_empty() && (-2000..=2000).contains(&number.value) => {
                Ok(number.value as i32)
            }
            _ => Err(Refusal::from(
                "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
            )),
        };
        let values = [parse(master)?, parse(replica)?, parse(child)?];
        let changed = config.oom_score_adj_values != values;
        config.oom_score_adj_values = values;
        Ok(changed)
    },
    get: |config| format_scores(config).into_bytes(),
    rewrite: |config, name, out| {
        let default = Config::defaults().oom_score_adj_values;
        let force = config.oom_score_adj_values != default;
        out.line(name, format_scores(config).as_bytes(), force);
    },
};

fn format_scores(config: &Config) -> String {
    config
        .oom_score_adj_values
        .map(|value| value.to_string())
        .join(" ")
}

// notify-keyspace-events

/// Letters of the event classes and their bits, in the order in which they are
/// printed. `A` stands for those up to `d`.
pub(super) const EVENT_CLASSES: [(u8, u32); 14] = [
    (b'g', 1 << 2),
    (b'$', 1 << 3),
    (b'l', 1 << 4),
    (b's', 1 << 5),
    (b'h', 1 << 6),
    (b'z', 1 << 7),
    (b'x', 1 << 8),
    (b'e', 1 << 9),
    (b't', 1 << 10),
    (b'd', 1 << 13),
    (b'n', 1 << 14),
    (b'K', 1 << 0),
    (b'E', 1 << 1),
    (b'm', 1 << 11),
];

/// The classes that `A` stands for.
pub(super) const ALL_EVENTS: u32 = 0b10_0111_1111_1100;

/// `n` is printed only beside single classes, as Redis does it.
const PRINTED_UNDER_ALL: &[u8] = b"KEm";

pub(super) const NOTIFY_KEYSPACE_EVENTS: Special = Special {
    set: |config, args, _| {
        let [letters] = args else {
            return Err(WRONG_COUNT.into());
        };
        config.notify_keyspace_events = super::parse_event_classes(c_text(letters))
            .ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
        Ok(true)
    },
    get: |config| super::format_event_classes(config.notify_keyspace_events),
    rewrite: |config, name, out| {
        let flags = config.notify_keyspace_events;
        let value = quoted(&super::format_event_classes(flags));
        out.line(name, &value, flags != 0);
    },
};

pub(super) fn event_letters(classes: u32) -> Vec<u8> {
    let all = classes & ALL_EVENTS == ALL_EVENTS;
    let letters = EVENT_CLASSES
        .iter()
        .filter(|(letter, bit)| classes & bit != 0 && (!all || PRINTED_UNDER_ALL.contains(letter)))
        .map(|(letter, _)| *letter);
    all.then_some(b'A').into_iter().chain(letters).collect()
}

// latency-tracking-info-percentiles

pub(super) const LATENCY_PERCENTILES: Special = Special {
    set: |config, args, _| {
        let args = match args {
            [empty] if empty.is_empty() => &[],
            _ => args,
        };
        let parse = |arg: &Vec<u8>| {
            let percentile = num::parse_f64(arg).ok_or(Refusal::from(
                "Invalid latency-tracking-info-percentiles parameters",
            ))?;
            if (0.0..=100.0).contains(&percentile) {
                Ok(percentile)
            } else {
                Err(Refusal::from(
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
                ))
            }
        };
        config.latency_tracking_info_percentiles =
            args.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(true)
    },
    get: |config| format_percentiles(config).into_bytes(),
    rewrite: |config, name, out| {
        let text = format_percentiles(config);
        let value = if text.is_empty() { "\"\"" } else { &text };
        out.line(name, value.as_bytes(), true);
    },
};

fn format_percentiles(config: &Config) -> String {
    let format = |percentile: &f64| {
        let text = format!("{percentile:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let percentiles: Vec<String> = config
        .latency_tracking_info_percentiles
        .iter()
        .map(format)
        .collect();
    percentiles.join(" ")
}

// replicaof

pub(super) const REPLICAOF: Special = Special {
    set: |config, args, _| {
        let [host, port] = args else {
            return Err(WRONG_COUNT.into());
        };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            config.replicaof = None;
            return Ok(true);
        }
        let number = c_integer(port, 10);
        let port = u16::try_from(number.value as i32)
            .ok()
            .filter(|_| number.rest.is_empty())
            .ok_or("Invalid master port")?;
        config.replicaof = Some(MasterAddress {
            host: c_text(host).to_vec(),
            port,
        });
        Ok(true)
    },
    get: |config| match &config.replicaof {
        Some(master) => format_master(&master.host, master.port),
        None => Vec::new(),
    },
    rewrite: rewrite_replicaof,
};

fn format_master(host: &[u8], port: u16) -> Vec<u8> {
    [host, format!(" {port}").as_bytes()].concat()
}

/// A cluster node's master is in its own file.
fn rewrite_replicaof(config: &Config, name: &'static str, out: &mut Rewriter) {
    match &config.replicaof {
        Some(master) if !config.cluster_enabled => {
            let host = quoted_if_odd(&master.host);
            out.line(name, &format_master(&host, master.port), true);
        }
        _ => out.processed(name),
    }
}
