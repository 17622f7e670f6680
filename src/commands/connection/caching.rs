//! CLIENT subcommands of client-side caching:
//! <https://redis.io/docs/latest/commands/client-tracking/>.

use std::collections::BTreeSet;

use super::client::on_off;
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::engine::{ClientId, ClientTracking, Server, TrackingMode};

pub(super) fn client_caching(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let Some(tracking) = &mut server.client(id).tracking else {
        return Err(CmdError::err(
            "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
             OPTOUT mode enabled",
        ));
    };
    let (word, option, mode) = if args.take_word("YES") {
        ("YES", "OPTIN", TrackingMode::OptIn)
    } else if args.take_word("NO") {
        ("NO", "OPTOUT", TrackingMode::OptOut)
    } else {
        return Err(CmdError::Syntax);
    };
    if tracking.mode != mode {
        return Err(CmdError::err(format!(
            "CLIENT CACHING {word} is only valid when tracking is enabled in {option} mode."
        )));
    }
    tracking.caching = true;
    server.reply(id).ok();
    REPLIED
}

pub(super) fn client_getredir(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let number = server.client(id).redirection();
    server.reply(id).integer(number);
    REPLIED
}

/// The options of CLIENT TRACKING.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<u64>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(server: &Server, args: &mut Args<'a>) -> Result<Options<'a>, CmdError> {
        let mut options = Options::default();
        while args.left() > 0 {
            if args.left() > 1 && args.take_word("REDIRECT") {
                if options.redirect.is_some() {
                    return Err(CmdError::err(
                        "A client can only redirect to a single other client",
                    ));
                }
                let number = u64::try_from(args.int()?).ok();
                let number = number.filter(|number| server.clients.find(*number).is_some());
                options.redirect = Some(number.ok_or_else(|| {
                    CmdError::err("The client ID you want redirect to does not exist")
                })?);
            } else if args.take_word("BCAST") {
                options.broadcast = true;
            } else if args.take_word("OPTIN") {
                options.opt_in = true;
            } else if args.take_word("OPTOUT") {
                options.opt_out = true;
            } else if args.take_word("NOLOOP") {
                options.no_loop = true;
            } else if args.left() > 1 && args.take_word("PREFIX") {
                options.prefixes.push(args.bytes()?);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(options)
    }

    /// The mode that the options ask for, if they fit each other and what the
    /// client has now.
    fn mode(&self, now: Option<&ClientTracking>) -> Result<TrackingMode, CmdError> {
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err(CmdError::err(
                "PREFIX option requires BCAST mode to be enabled",
            ));
        }
        let now_in = |mode: TrackingMode| now.is_some_and(|now| now.mode == mode);
        if now.is_some() && now_in(TrackingMode::Broadcast) != self.broadcast {
            return Err(CmdError::err(
                "You can't switch BCAST mode on/off before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            ));
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(CmdError::err(
                "OPTIN and OPTOUT are not compatible with BCAST",
            ));
        }
        if self.opt_in && self.opt_out {
            return Err(CmdError::err(
                "You can't specify both OPTIN mode and OPTOUT mode",
            ));
        }
        if self.opt_in && now_in(TrackingMode::OptOut)
            || self.opt_out && now_in(TrackingMode::OptIn)
        {
            return Err(CmdError::err(
                "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            ));
        }
        Ok(match (self.broadcast, self.opt_in, self.opt_out) {
            (true, ..) => TrackingMode::Broadcast,
            (_, true, _) => TrackingMode::OptIn,
            (_, _, true) => TrackingMode::OptOut,
            _ => TrackingMode::Read,
        })
    }

    /// No key may have two of a client's prefixes.
    fn check_prefixes(&self, now: Option<&ClientTracking>) -> Result<(), CmdError> {
        for (nth, prefix) in self.prefixes.iter().enumerate() {
            let mut existing = now.iter().flat_map(|now| &now.prefixes);
            if let Some(other) = existing.find(|other| overlap(other, prefix)) {
                return Err(overlapping(prefix, "an existing prefix", other));
            }
            let mut further = self.prefixes[nth + 1..].iter();
            if let Some(other) = further.find(|other| overlap(other, prefix)) {
                return Err(overlapping(prefix, "another provided prefix", other));
            }
        }
        Ok(())
    }
}

fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn overlapping(prefix: &[u8], which: &str, other: &[u8]) -> CmdError {
    // Redis: to what it formats, a zero byte is the end.
    let shown = |text: &[u8]| text.split(|byte| *byte == 0).next().unwrap_or(b"").to_vec();
    let parts: [&[u8]; 7] = [
        b"Prefix '",
        &shown(prefix),
        b"' overlaps with ",
        which.as_bytes(),
        b" '",
        &shown(other),
        b"'. Prefixes for a single client must not overlap.",
    ];
    CmdError::err(parts.concat())
}

pub(super) fn client_tracking(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let mut switch = args.clone();
    args.bytes()?;
    // Redis: a mistake in the options comes before one in front of them.
    let options = Options::parse(server, &mut args)?;
    if !on_off(&mut switch)? {
        server.untrack(id);
        server.reply(id).ok();
        return REPLIED;
    }
    let now = server.client(id).tracking.as_deref();
    let mode = options.mode(now)?;
    options.check_prefixes(now)?;
    let mut prefixes: BTreeSet<Box<[u8]>> = options.prefixes.iter().map(|p| (*p).into()).collect();
    if options.broadcast && prefixes.is_empty() {
        prefixes.insert(Box::default());
    }
    let wanted = ClientTracking {
        mode,
        no_loop: options.no_loop,
        redirect: options.redirect,
        broken: false,
        caching: false,
        prefixes,
    };
    server.track(id, wanted);
    server.reply(id).ok();
    REPLIED
}

pub(super) fn client_trackinginfo(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let client = server.client(id);
    let redirection = client.redirection();
    let (flags, prefixes) = match &client.tracking {
        None => (vec!["off"], Vec::new()),
        Some(tracking) => (
            flags(tracking),
            tracking.prefixes.iter().cloned().collect::<Vec<_>>(),
        ),
    };
    let mut reply = server.reply(id);
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirection);
    reply.bulk(b"prefixes");
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    REPLIED
}

fn flags(tracking: &ClientTracking) -> Vec<&'static str> {
    let mut flags = vec!["on"];
    let (mode, caching) = match tracking.mode {
        TrackingMode::Read => ("", ""),
        TrackingMode::Broadcast => ("bcast", ""),
        TrackingMode::OptIn => ("optin", "caching-yes"),
        TrackingMode::OptOut => ("optout", "caching-no"),
    };
    let mut add = |on: bool, flag: &'static str| {
        if on && !flag.is_empty() {
            flags.push(flag);
        }
    };
    add(true, mode);
    add(tracking.caching, caching);
    add(tracking.no_loop, "noloop");
    add(tracking.broken, "broken_redirect");
    flags
}
