//! Geo commands: <https://redis.io/docs/latest/commands/?group=geo>. A place is
//! a member of a sorted set whose score is a geohash.

mod search;

use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_after, kflag};
use crate::commands::sorted_set::{AddOptions, add_scored};
use crate::encoding::geohash::Position;
use crate::resp::Reply;
use crate::types::Zset;
use crate::util::num::{LongDouble, f64_to_i64_as_c, parse_f64};
use search::{
    georadius, georadius_ro, georadiusbymember, georadiusbymember_ro, geosearch, geosearchstore,
};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("GEOADD", -5, geoadd)
        .doc(
            Group::Geo,
            "3.2.0",
            "O(log(N)) for each item added, where N is the number of elements in the sorted \
             set.",
            "Add members with their places on earth to a sorted set, or move members.",
        )
        .syntax(
            "key:key [condition:(NX | XX)@6.2.0] [change=CH@6.2.0] \
             longitude_latitude_member:{longitude:double latitude:double member:string}...",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::GEO)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .history(&[("6.2.0", "Added the `CH`, `NX` and `XX` options.")]),
    Command::data("GEODIST", -4, geodist)
        .doc(
            Group::Geo,
            "3.2.0",
            "O(log(N))",
            "Compute the distance between the places of two members.",
        )
        .syntax("key:key member1:string member2:string [unit:(M | KM | FT | MI)]")
        .flags(flag::READONLY)
        .acl(cat::GEO)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("GEOHASH", -2, geohash)
        .doc(
            Group::Geo,
            "3.2.0",
            "O(log(N)) for each member requested, where N is the number of elements in the \
             sorted set.",
            "Read the places of members as geohash strings.",
        )
        .syntax("key:key member:string...")
        .flags(flag::READONLY)
        .acl(cat::GEO)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("GEOPOS", -2, geopos)
        .doc(
            Group::Geo,
            "3.2.0",
            "O(N) where N is the number of members requested.",
            "Read the places of members as longitude and latitude.",
        )
        .syntax("key:key member:string...")
        .flags(flag::READONLY)
        .acl(cat::GEO)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("GEORADIUS", -6, georadius)
        .doc(
            Group::Geo,
            "3.2.0",
            "O(N+log(M)) where N is the number of elements inside the bounding box of the \
             circular area delimited by center and radius and M is the number of items inside \
             the index.",
            "Find the members near a place, and read or store them.",
        )
        .syntax(
            "key:key longitude:double latitude:double radius:double unit:(M | KM | FT | MI) \
             [WITHCOORD] [WITHDIST] [WITHHASH] [count:{COUNT count:integer [ANY@6.2.0]}] \
             [order:(ASC | DESC)] [STORE key:key#1] [STOREDIST key:key#2]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::GEO)
        .keys(&[
            key_at(kflag::RO | kflag::ACCESS, 1),
            keys_after(kflag::OW | kflag::UPDATE, "STORE", 6, Find::Range(0, 1, 0)),
            keys_after(
                kflag::OW | kflag::UPDATE,
                "STOREDIST",
                6,
                Find::Range(0, 1, 0),
            ),
        ])
        .history(&[
            ("6.2.0", "Added the `ANY` option for `COUNT`."),
            ("7.0.0", "Added support for uppercase unit names."),
        ])
        .deprecated(
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        ),
    Command::data("GEORADIUS_RO", -6, georadius_ro)
        .doc(
            Group::Geo,
            "3.2.10",
            "O(N+log(M)) where N is the number of elements inside the bounding box of the \
             circular area delimited by center and radius and M is the number of items inside \
             the index.",
            "Find the members near a place, storing nothing.",
        )
        .syntax(
            "key:key longitude:double latitude:double radius:double unit:(M | KM | FT | MI) \
             [WITHCOORD] [WITHDIST] [WITHHASH] [count:{COUNT count:integer [ANY@6.2.0]}] \
             [order:(ASC | DESC)]",
        )
        .flags(flag::READONLY)
        .acl(cat::GEO)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .history(&[("6.2.0", "Added the `ANY` option for `COUNT`.")])
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    Command::data("GEORADIUSBYMEMBER", -5, georadiusbymember)
        .doc(
            Group::Geo,
            "3.2.0",
            "O(N+log(M)) where N is the number of elements inside the bounding box of the \
             circular area delimited by center and radius and M is the number of items inside \
             the index.",
            "Find the members near another member, and read or store them.",
        )
        .syntax(
            "key:key member:string radius:double unit:(M | KM | FT | MI) [WITHCOORD] \
             [WITHDIST] [WITHHASH] [count:{COUNT count:integer [ANY]}] [order:(ASC | DESC)] \
             [STORE key:key#1] [STOREDIST key:key#2]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::GEO)
        .keys(&[
            key_at(kflag::RO | kflag::ACCESS, 1),
            keys_after(kflag::OW | kflag::UPDATE, "STORE", 5, Find::Range(0, 1, 0)),
            keys_after(
                kflag::OW | kflag::UPDATE,
                "STOREDIST",
                5,
                Find::Range(0, 1, 0),
            ),
        ])
        .history(&[("7.0.0", "Added support for uppercase unit names.")])
        .deprecated(
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` \
             arguments",
        ),
    Command::data("GEORADIUSBYMEMBER_RO", -5, georadiusbymember_ro)
        .doc(
            Group::Geo,
            "3.2.10",
            "O(N+log(M)) where N is the number of elements inside the bounding box of the \
             circular area delimited by center and radius and M is the number of items inside \
             the index.",
            "Find the members near another member, storing nothing.",
        )
        .syntax(
            "key:key member:string radius:double unit:(M | KM | FT | MI) [WITHCOORD] \
             [WITHDIST] [WITHHASH] [count:{COUNT count:integer [ANY]}] [order:(ASC | DESC)]",
        )
        .flags(flag::READONLY)
        .acl(cat::GEO)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .deprecated(
            "6.2.0",
            "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
        ),
    Command::data("GEOSEARCH", -7, geosearch)
        .doc(
            Group::Geo,
            "6.2.0",
            "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box \
             area around the shape provided as the filter and M is the number of items inside \
             the shape",
            "Find the members in a circle or a rectangle around a place or a member.",
        )
        .syntax(
            "key:key from:(FROMMEMBER member:string | FROMLONLAT \
             longitude_latitude:{longitude:double latitude:double}) by:(circle:{BYRADIUS \
             radius:double unit:(M | KM | FT | MI)} | box:{BYBOX width:double height:double \
             unit:(M | KM | FT | MI)}) [order:(ASC | DESC)] [count:{COUNT count:integer \
             [ANY]}] [WITHCOORD] [WITHDIST] [WITHHASH]",
        )
        .flags(flag::READONLY)
        .acl(cat::GEO)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .history(&[("7.0.0", "Added support for uppercase unit names.")]),
    Command::data("GEOSEARCHSTORE", -8, geosearchstore)
        .doc(
            Group::Geo,
            "6.2.0",
            "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box \
             area around the shape provided as the filter and M is the number of items inside \
             the shape",
            "Store the members in a circle or a rectangle around a place or a member.",
        )
        .syntax(
            "destination:key source:key#1 from:(FROMMEMBER member:string | FROMLONLAT \
             longitude_latitude:{longitude:double latitude:double}) by:(circle:{BYRADIUS \
             radius:double unit:(M | KM | FT | MI)} | box:{BYBOX width:double height:double \
             unit:(M | KM | FT | MI)}) [order:(ASC | DESC)] [count:{COUNT count:integer \
             [ANY]}] [STOREDIST]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::GEO)
        .keys(&[
            key_at(kflag::OW | kflag::UPDATE, 1),
            key_at(kflag::RO | kflag::ACCESS, 2),
        ])
        .history(&[("7.0.0", "Added support for uppercase unit names.")]),
];

fn geoadd(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let mut options = AddOptions::default();
    let options_from = ctx.args.rest();
    loop {
        if ctx.args.take_word("NX") {
            options.only_new = true;
        } else if ctx.args.take_word("XX") {
            options.only_existing = true;
        } else if ctx.args.take_word("CH") {
            options.count_changed = true;
        } else {
            break;
        }
    }
    let places = ctx.args.rest();
    let words = &options_from[..options_from.len() - places.len()];
    if places.is_empty()
        || !places.len().is_multiple_of(3)
        || (options.only_new && options.only_existing)
    {
        return Err(CmdError::Syntax);
    }
    let mut entries = Vec::new();
    while ctx.args.left() > 0 {
        let position = position(&mut ctx.args)?;
        entries.push((position.to_score(), ctx.args.bytes()?));
    }
    let scored = entries
        .iter()
        .map(|(score, member)| (*score as f64, *member));
    if add_scored(ctx, key, options, scored)? > 0 {
        propagate(ctx, key, words, &entries);
    }
    REPLIED
}

/// Redis: replicas are told the scores, so that all have the same.
fn propagate(ctx: &mut Ctx, key: &[u8], options: &[&[u8]], entries: &[(u64, &[u8])]) {
    let scores: Vec<String> = entries.iter().map(|(score, _)| score.to_string()).collect();
    let mut argv: Vec<&[u8]> = vec![b"zadd", key];
    argv.extend_from_slice(options);
    for (score, (_, member)) in scores.iter().zip(entries) {
        argv.extend([score.as_bytes(), member]);
    }
    ctx.propagate_as(&argv);
}

/// Longitude and latitude, as the next two arguments.
fn position(args: &mut Args<'_>) -> Result<Position, CmdError> {
    let mut degrees = || parse_f64(args.bytes()?).ok_or(CmdError::NotFloat);
    let (longitude, latitude) = (degrees()?, degrees()?);
    Position::new(longitude, latitude).ok_or_else(|| {
        CmdError::err(format!(
            "invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        ))
    })
}

/// A unit of length, as metres.
fn unit_meters(word: &[u8]) -> Result<f64, CmdError> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let named = |(name, _): &&(&str, f64)| word.eq_ignore_ascii_case(name.as_bytes());
    match UNITS.iter().find(named) {
        Some((_, meters)) => Ok(*meters),
        None => Err(CmdError::err(
            "unsupported unit provided. please use M, KM, FT, MI",
        )),
    }
}

/// A distance with four decimals. Redis: as an integer of ten-thousandths, so
/// it rounds halves to even, and what does not fit is the least integer.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    let scaled = f64_to_i64_as_c((distance * 10_000.0).round_ties_even());
    let sign = if scaled < 0 { "-" } else { "" };
    let (whole, part) = (
        scaled.unsigned_abs() / 10_000,
        scaled.unsigned_abs() % 10_000,
    );
    reply.bulk(format!("{sign}{whole}.{part:04}").as_bytes());
}

/// Longitude and latitude, all their digits.
fn reply_position(reply: &mut Reply<'_>, position: Position) {
    reply.array(2);
    for degrees in [position.longitude, position.latitude] {
        reply.decimal(LongDouble::from_f64(degrees).format().as_bytes());
    }
}

fn geopos(ctx: &mut Ctx) -> CmdResult {
    of_members(ctx, |reply, position| match position {
        Some(position) => reply_position(reply, position),
        None => reply.null_array(),
    })
}

fn geohash(ctx: &mut Ctx) -> CmdResult {
    of_members(ctx, |reply, position| match position {
        Some(position) => reply.bulk(&position.to_text()),
        None => reply.null(),
    })
}

fn of_members(ctx: &mut Ctx, show: fn(&mut Reply<'_>, Option<Position>)) -> CmdResult {
    let key = ctx.args.key()?;
    let zset = ctx.db.read::<Zset>(key)?;
    ctx.reply.array(ctx.args.left());
    for member in ctx.args.rest() {
        let score = zset.and_then(|zset| zset.score(member));
        show(&mut ctx.reply, score.map(Position::from_score));
    }
    REPLIED
}

fn geodist(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let members = [ctx.args.bytes()?, ctx.args.bytes()?];
    let unit_meters = match ctx.args.left() {
        0 => 1.0,
        1 => unit_meters(ctx.args.bytes()?)?,
        _ => return Err(CmdError::Syntax),
    };
    let zset = ctx.db.read::<Zset>(key)?;
    let position = |member: &[u8]| zset?.score(member).map(Position::from_score);
    match members.map(position) {
        [Some(from), Some(to)] => {
            reply_distance(&mut ctx.reply, from.distance_meters(to) / unit_meters);
        }
        _ => ctx.reply.null(),
    }
    REPLIED
}
