//! Searching a circle or a rectangle: GEOSEARCH and its older relatives.

use std::cmp::Ordering;
use std::ops::{Bound, ControlFlow};

use super::{position, reply_distance, reply_position, unit_meters};
use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::commands::items::bulk_item;
use crate::commands::sorted_set::limits;
use crate::encoding::geohash::{Cell, Position, Search, Shape};
use crate::encoding::listpack::Item;
use crate::keyspace::{Event, event};
use crate::resp::Reply;
use crate::types::{Direction, ScoreRange, Zset, ZsetRef};
use crate::util::num::{f64_to_i64_as_c, parse_f64};
use crate::util::partial_sort::partial_sort;

/// Which command it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// GEORADIUS and GEORADIUSBYMEMBER: may store.
    Radius,
    /// Their read-only variants.
    RadiusReadOnly,
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

impl Kind {
    fn is_search(self) -> bool {
        matches!(self, Kind::Search | Kind::SearchStore)
    }

    fn stored_event(self) -> Event {
        if self.is_search() {
            event::GEOSEARCHSTORE
        } else {
            event::GEORADIUSSTORE
        }
    }
}

/// What is searched and how it is replied.
#[derive(Default)]
struct Query<'a> {
    centre: Option<Centre<'a>>,
    /// The shape and the metres of its unit.
    shape: Option<(Shape, f64)>,
    with_distance: bool,
    with_hash: bool,
    with_position: bool,
    order: Option<Direction>,
    /// At most so many; 0: all.
    count: usize,
    /// Any will do, not only the nearest.
    any: bool,
    /// Where the result goes.
    destination: Option<&'a [u8]>,
    /// Distances become scores there.
    store_distances: bool,
}

/// What the search is around.
#[derive(Clone, Copy)]
enum Centre<'a> {
    Position(Position),
    Member(&'a [u8]),
}

/// A place that was found.
struct Place<'a> {
    member: Item<'a>,
    score: f64,
    position: Position,
    /// Distance from the centre, metres, then in the unit of the search.
    distance: f64,
}

pub(super) fn georadius(ctx: &mut Ctx) -> CmdResult {
    radius(ctx, Kind::Radius)
}

pub(super) fn georadius_ro(ctx: &mut Ctx) -> CmdResult {
    radius(ctx, Kind::RadiusReadOnly)
}

fn radius(ctx: &mut Ctx, kind: Kind) -> CmdResult {
    let key = ctx.args.key()?;
    let members = Members::look_up(ctx, key)?;
    let query = Query {
        centre: Some(Centre::Position(position(&mut ctx.args)?)),
        shape: Some(circle(&mut ctx.args)?),
        ..Query::default()
    };
    search(ctx, key, members, kind, query)
}

pub(super) fn georadiusbymember(ctx: &mut Ctx) -> CmdResult {
    radius_by_member(ctx, Kind::Radius)
}

pub(super) fn georadiusbymember_ro(ctx: &mut Ctx) -> CmdResult {
    radius_by_member(ctx, Kind::RadiusReadOnly)
}

fn radius_by_member(ctx: &mut Ctx, kind: Kind) -> CmdResult {
    let key = ctx.args.key()?;
    let members = Members::look_up(ctx, key)?;
    let member = ctx.args.bytes()?;
    let mut query = Query::default();
    if members == Members::Missing {
        // Redis: then the distance is not even looked at.
        ctx.args.take(2)?;
    } else {
        query.centre = Some(Centre::Position(position_of(ctx, key, member)?));
        query.shape = Some(circle(&mut ctx.args)?);
    }
    search(ctx, key, members, kind, query)
}

pub(super) fn geosearch(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let members = Members::look_up(ctx, key)?;
    search(ctx, key, members, Kind::Search, Query::default())
}

pub(super) fn geosearchstore(ctx: &mut Ctx) -> CmdResult {
    let (destination, key) = (ctx.args.key()?, ctx.args.key()?);
    let members = Members::look_up(ctx, key)?;
    let query = Query {
        destination: Some(destination),
        ..Query::default()
    };
    search(ctx, key, members, Kind::SearchStore, query)
}

/// Whether there is anything to search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    There,
    Missing,
}

impl Members {
    /// Looks the key up, which comes before anything else is looked at.
    fn look_up(ctx: &mut Ctx, key: &[u8]) -> Result<Members, CmdError> {
        Ok(match ctx.db.read::<Zset>(key)? {
            Some(_) => Members::There,
            None => Members::Missing,
        })
    }
}

fn position_of(ctx: &Ctx, key: &[u8], member: &[u8]) -> Result<Position, CmdError> {
    let score = ctx.db.view::<Zset>(key).and_then(|zset| zset.score(member));
    let missing = || CmdError::err("could not decode requested zset member");
    score.map(Position::from_score).ok_or_else(missing)
}

/// The next two arguments: a distance and its unit.
fn circle(args: &mut Args<'_>) -> Result<(Shape, f64), CmdError> {
    let radius = parse_f64(args.bytes()?).ok_or_else(|| CmdError::err("need numeric radius"))?;
    if radius < 0.0 {
        return Err(CmdError::err("radius cannot be negative"));
    }
    Ok((Shape::Circle { radius }, unit_meters(args.bytes()?)?))
}

/// The next three arguments: width, height, their unit.
fn rectangle(args: &mut Args<'_>) -> Result<(Shape, f64), CmdError> {
    let width = parse_f64(args.bytes()?).ok_or_else(|| CmdError::err("need numeric width"))?;
    let height = parse_f64(args.bytes()?).ok_or_else(|| CmdError::err("need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(CmdError::err("height or width cannot be negative"));
    }
    let shape = Shape::Rectangle { width, height };
    Ok((shape, unit_meters(args.bytes()?)?))
}

impl<'a> Query<'a> {
    /// Takes one option; false when there is none of that name here.
    fn take_option(&mut self, ctx: &mut Ctx<'a>, kind: Kind) -> Result<bool, CmdError> {
        let args = &mut ctx.args;
        let left = args.left();
        if args.take_word("WITHDIST") {
            self.with_distance = true;
        } else if args.take_word("WITHHASH") {
            self.with_hash = true;
        } else if args.take_word("WITHCOORD") {
            self.with_position = true;
        } else if args.take_word("ANY") {
            self.any = true;
        } else if args.take_word("ASC") {
            self.order = Some(Direction::Ascending);
        } else if args.take_word("DESC") {
            self.order = Some(Direction::Descending);
        } else if left >= 2 && args.take_word("COUNT") {
            let count = args.int()?;
            if count <= 0 {
                return Err(CmdError::err("COUNT must be > 0"));
            }
            self.count = usize::try_from(count).unwrap_or(usize::MAX);
        } else if kind == Kind::Radius && left >= 2 && args.take_word("STORE") {
            self.destination = Some(args.key()?);
            self.store_distances = false;
        } else if kind == Kind::Radius && left >= 2 && args.take_word("STOREDIST") {
            self.destination = Some(args.key()?);
            self.store_distances = true;
        } else if kind == Kind::SearchStore && args.take_word("STOREDIST") {
            self.store_distances = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes an option of GEOSEARCH that says where to search.
    fn take_area(
        &mut self,
        ctx: &mut Ctx<'a>,
        key: &[u8],
        members: Members,
    ) -> Result<(), CmdError> {
        let left = ctx.args.left();
        let around_member = matches!(self.centre, Some(Centre::Member(_)));
        let around_position = matches!(self.centre, Some(Centre::Position(_)));
        let is_circle = matches!(self.shape, Some((Shape::Circle { .. }, _)));
        let is_rectangle = matches!(self.shape, Some((Shape::Rectangle { .. }, _)));
        if left >= 2 && !around_position && ctx.args.take_word("FROMMEMBER") {
            let member = ctx.args.bytes()?;
            if members == Members::There {
                position_of(ctx, key, member)?;
            }
            self.centre = Some(Centre::Member(member));
        } else if left >= 3 && !around_member && ctx.args.take_word("FROMLONLAT") {
            self.centre = Some(Centre::Position(position(&mut ctx.args)?));
        } else if left >= 3 && !is_rectangle && ctx.args.take_word("BYRADIUS") {
            self.shape = Some(circle(&mut ctx.args)?);
        } else if left >= 4 && !is_circle && ctx.args.take_word("BYBOX") {
            self.shape = Some(rectangle(&mut ctx.args)?);
        } else {
            return Err(CmdError::Syntax);
        }
        Ok(())
    }

    /// Options that do not go together, or are missing.
    fn check(&self, name: &[u8], kind: Kind) -> Result<(), CmdError> {
        let shows_more = self.with_distance || self.with_hash || self.with_position;
        if self.destination.is_some() && shows_more {
            let what = match kind {
                Kind::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Err(CmdError::err(format!(
                "{what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let for_name = |text: &str| Err(CmdError::err([text.as_bytes(), name].concat()));
        if kind.is_search() && self.centre.is_none() {
            return for_name("exactly one of FROMMEMBER or FROMLONLAT can be specified for ");
        }
        if kind.is_search() && self.shape.is_none() {
            return for_name("exactly one of BYRADIUS and BYBOX can be specified for ");
        }
        if self.any && self.count == 0 {
            return Err(CmdError::err("the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The places that are searched for, in the order in which they are shown.
    fn places<'d>(&self, zset: ZsetRef<'d>, search: &Search) -> Vec<Place<'d>> {
        let mut places = Vec::new();
        let enough = if self.any { self.count } else { usize::MAX };
        for cell in search.cells() {
            if places.len() >= enough {
                break;
            }
            add_places(zset, cell, search, enough, &mut places);
        }
        let wanted = match self.count {
            0 => places.len(),
            count => count.min(places.len()),
        };
        // The nearest are wanted, unless any will do.
        let order = match self.order {
            None if self.count > 0 && !self.any => Some(Direction::Ascending),
            order => order,
        };
        let ascending = |a: &Place, b: &Place| by_distance(a.distance, b.distance);
        let descending = |a: &Place, b: &Place| by_distance(b.distance, a.distance);
        match order {
            Some(Direction::Ascending) => sort_first(&mut places, wanted, ascending),
            Some(Direction::Descending) => sort_first(&mut places, wanted, descending),
            None => {}
        }
        places.truncate(wanted);
        for place in &mut places {
            place.distance /= search.unit_meters;
        }
        places
    }

    /// Writes the reply.
    fn reply(&self, reply: &mut Reply<'_>, places: &[Place<'_>]) {
        reply.array(places.len());
        let more = [self.with_distance, self.with_hash, self.with_position];
        let more = more.into_iter().filter(|shown| *shown).count();
        for place in places {
            if more > 0 {
                reply.array(1 + more);
            }
            bulk_item(reply, place.member);
            if self.with_distance {
                reply_distance(reply, place.distance);
            }
            if self.with_hash {
                reply.integer(f64_to_i64_as_c(place.score));
            }
            if self.with_position {
                reply_position(reply, place.position);
            }
        }
    }
}

/// What is not a number is farthest.
fn by_distance(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Puts the first `wanted` in place. Redis: equal ones keep their order when
/// all are wanted, and come as its partial sort leaves them otherwise.
fn sort_first<T>(items: &mut [T], wanted: usize, compare: impl FnMut(&T, &T) -> Ordering) {
    if wanted == items.len() {
        items.sort_by(compare);
    } else {
        partial_sort(items, 0..=wanted - 1, compare);
    }
}

/// Adds the places of a cell that are inside.
fn add_places<'d>(
    zset: ZsetRef<'d>,
    cell: Cell,
    search: &Search,
    enough: usize,
    places: &mut Vec<Place<'d>>,
) {
    let (from, to) = cell.scores();
    let ranks = zset.ranks_of_scores(&ScoreRange {
        min: Bound::Included(from),
        max: Bound::Excluded(to),
    });
    zset.visit(ranks, Direction::Ascending, |member, score| {
        let position = Position::from_score(score);
        if let Some(distance) = search.distance_inside(position) {
            places.push(Place {
                member,
                score,
                position,
                distance,
            });
        }
        if places.len() >= enough {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
}

fn search<'a>(
    ctx: &mut Ctx<'a>,
    key: &[u8],
    members: Members,
    kind: Kind,
    mut query: Query<'a>,
) -> CmdResult {
    while ctx.args.left() > 0 {
        if query.take_option(ctx, kind)? {
            continue;
        }
        if !kind.is_search() {
            return Err(CmdError::Syntax);
        }
        query.take_area(ctx, key, members)?;
    }
    query.check(ctx.args.argv()[0], kind)?;
    let centre = match query.centre {
        Some(Centre::Member(member)) if members == Members::There => {
            Some(position_of(ctx, key, member)?)
        }
        Some(Centre::Position(position)) => Some(position),
        _ => None,
    };
    let zset = ctx.db.view::<Zset>(key);
    let places = match (zset, centre, query.shape) {
        (Some(zset), Some(centre), Some((shape, unit_meters))) => {
            let search = Search {
                centre,
                shape,
                unit_meters,
            };
            query.places(zset, &search)
        }
        _ => Vec::new(),
    };
    let Some(destination) = query.destination else {
        query.reply(&mut ctx.reply, &places);
        return REPLIED;
    };
    let mut entries: Vec<(Vec<u8>, f64)> = places
        .iter()
        .map(|place| {
            let score = if query.store_distances {
                place.distance
            } else {
                place.score
            };
            (place.member.to_vec(), score)
        })
        .collect();
    store(ctx, destination, &mut entries, kind.stored_event())
}

fn store(
    ctx: &mut Ctx,
    destination: &[u8],
    entries: &mut Vec<(Vec<u8>, f64)>,
    event: Event,
) -> CmdResult {
    // Rounding can make the distance of antipodes no number.
    entries.retain(|(_, score)| !score.is_nan());
    Zset::sort(entries);
    entries.dedup();
    let zset = Zset::from_sorted(entries, limits(ctx.config));
    ctx.db.replace_collection(destination, zset, event);
    // Redis: every place counts as a change.
    ctx.db.keyspace().effects.dirty += entries.len().saturating_sub(1) as u64;
    ctx.reply.integer(entries.len() as i64);
    REPLIED
}
