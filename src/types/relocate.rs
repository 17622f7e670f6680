//! Moving the memory of values together (active defragmentation), some
//! elements at a time.

use super::{Hash, List, Object, Set, StreamId, Zset};
use crate::encoding::member::Member;
use crate::encoding::table::Table;
use crate::util::relocate::Mover;

/// How far the memory of a value has been gone through.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum RelocatePlace {
    /// Not begun.
    #[default]
    Start,
    /// At a cursor of the table of members.
    Members(u64),
    /// At a rank of the order of a sorted set.
    Order(usize),
    /// At a chunk of the nodes of a list.
    Nodes(usize),
    /// At a block of a stream.
    Blocks(StreamId),
}

use RelocatePlace as Place;

impl Object {
    /// Elements by which the work of [`Object::relocate`] is measured.
    pub fn relocate_effort(&self) -> usize {
        match self {
            Object::Set(Set::Table(table)) | Object::Hash(Hash::Table(table)) => table.len(),
            Object::Zset(Zset::Big(scored)) => scored.len(),
            Object::List(List::Quick(list)) => list.nodes_len(),
            Object::Stream(stream) => stream.log.blocks_len(),
            _ => 1,
        }
    }

    /// Gives the memory of about `count` elements from a place on to the
    /// mover; the place to go on at, none at the end. The consumer groups of
    /// streams stay where they are.
    pub fn relocate(&mut self, from: Place, count: usize, mover: &mut Mover) -> Option<Place> {
        match self {
            Object::String(string) => string.relocate(mover),
            Object::List(List::Packed(pack))
            | Object::Set(Set::Pack(pack))
            | Object::Zset(Zset::Packed(pack))
            | Object::Hash(Hash::Packed(pack)) => pack.relocate(mover),
            Object::Set(Set::Ints(ints)) => ints.relocate(mover),
            Object::Set(Set::Table(table)) | Object::Hash(Hash::Table(table)) => {
                if from == Place::Start {
                    mover.boxed(table);
                }
                return members(table, from, count, mover);
            }
            Object::Zset(Zset::Big(scored)) => {
                if from == Place::Start {
                    mover.boxed(scored);
                }
                return order(scored, from, count, mover);
            }
            Object::List(List::Quick(list)) => {
                if from == Place::Start {
                    mover.boxed(list);
                }
                let mut chunk = match from {
                    Place::Nodes(chunk) => chunk,
                    _ => 0,
                };
                let mut done = 0;
                while done < count {
                    done += list.relocate(chunk, mover)?;
                    chunk += 1;
                }
                return Some(Place::Nodes(chunk));
            }
            Object::Stream(stream) => {
                if from == Place::Start {
                    mover.boxed(stream);
                }
                let from = match from {
                    Place::Blocks(id) => id,
                    _ => StreamId::MIN,
                };
                let next = stream.log.relocate(from, count, mover);
                return next.map(Place::Blocks);
            }
        }
        None
    }
}

fn cursor_of(from: Place) -> u64 {
    match from {
        Place::Members(cursor) => cursor,
        _ => 0,
    }
}

fn members(
    table: &mut Table<Member>,
    from: Place,
    count: usize,
    mover: &mut Mover,
) -> Option<Place> {
    let (mut cursor, mut done) = (cursor_of(from), 0);
    while done < count {
        cursor = table.relocate(cursor, mover, |member, mover| {
            done += 1;
            member.relocated(mover, |_, _| ())
        });
        if cursor == 0 {
            return None;
        }
        done += 1;
    }
    Some(Place::Members(cursor))
}

/// First the members, then the nodes of the tree that orders them.
fn order(
    scored: &mut crate::encoding::scored::Scored,
    from: Place,
    count: usize,
    mover: &mut Mover,
) -> Option<Place> {
    if let Place::Order(mut rank) = from {
        let end = rank.saturating_add(count);
        while rank < end {
            rank = scored.relocate_order(rank, mover)?;
        }
        return Some(Place::Order(rank));
    }
    let (mut cursor, before) = (cursor_of(from), mover.hits + mover.misses);
    while mover.hits + mover.misses - before < count as u64 {
        cursor = scored.relocate_members(cursor, mover);
        if cursor == 0 {
            return Some(Place::Order(0));
        }
    }
    Some(Place::Members(cursor))
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::super::*;
    use super::*;

    /// Fills values side by side, of which every fourth stays.
    fn sparse<T: Collection>(add: impl Fn(&mut T, usize)) -> Vec<Object> {
        let mut all: Vec<T> = (0..8).map(|_| T::new()).collect();
        for n in 0..5000 {
            all.iter_mut().for_each(|value| add(value, n));
        }
        let stay = all.into_iter().step_by(4);
        stay.map(T::into_object).collect()
    }

    fn relocate_all(objects: &mut [Object]) -> Mover {
        let mut mover = Mover::default();
        for count in [1, 100, usize::MAX] {
            for object in objects.iter_mut() {
                let mut place = Place::Start;
                while let Some(next) = object.relocate(place, count, &mut mover) {
                    assert_ne!(next, place, "no way forward");
                    place = next;
                }
            }
        }
        mover
    }

    /// Elements in a table are in the order of the table, which stays. (No copy
    /// is made: a list that is shared with one would stay where it is.)
    fn check(mut objects: Vec<Object>) {
        let before: Vec<_> = objects.iter().map(text).collect();
        let mover = relocate_all(&mut objects);
        assert!(mover.hits > 100, "{mover:?}");
        objects.iter().for_each(Object::check_invariants);
        let after: Vec<_> = objects.iter().map(text).collect();
        assert!(before == after, "other elements");
    }

    fn text(object: &Object) -> Vec<String> {
        let mut all = Vec::new();
        match object.view() {
            ValueView::Set(set) => all.extend(set.iter().map(|item| format!("{item:?}"))),
            ValueView::Hash(hash) => all.extend(hash.iter().map(|pair| format!("{pair:?}"))),
            ValueView::List(list) => {
                list.walk::<()>(0, End::Left, |item| {
                    all.push(format!("{item:?}"));
                    std::ops::ControlFlow::Continue(())
                });
            }
            ValueView::Zset(zset) => {
                let ranks = 0..zset.len();
                zset.for_each(ranks, Direction::Ascending, |item, score| {
                    all.push(format!("{item:?} {score:?}"));
                });
            }
            ValueView::String(_) | ValueView::Stream(_) => {}
        }
        all
    }

    #[test]
    fn sorted_sets_keep_their_members_and_order() {
        let limits = ZsetLimits {
            entries: 4,
            member_bytes: 20,
        };
        check(sparse::<Zset>(|zset, n| {
            let mut rng = SmallRng::seed_from_u64(n as u64);
            let name = format!("member {:030}", rng.random_range(0..4000));
            let score = f64::from(rng.random_range(0..40));
            zset.upsert(name.as_bytes(), limits, |_| Some(score));
        }));
    }

    #[test]
    fn sets_hashes_and_lists_keep_their_elements() {
        let limits = SetLimits {
            ints: 4,
            entries: 4,
            member_bytes: 20,
        };
        check(sparse::<Set>(|set, n| {
            set.insert(format!("member {n:020}").as_bytes(), limits);
        }));
        let limits = HashLimits {
            entries: 4,
            value_bytes: 20,
        };
        check(sparse::<Hash>(|hash, n| {
            hash.set(format!("field {n:020}").as_bytes(), b"value", limits);
        }));
        let limits = list_limits(5, 0);
        check(sparse::<List>(|list, n| {
            let item = (n * 7919 % 5001).to_string().repeat(30);
            list.push(End::Right, item.as_bytes(), &limits);
        }));
    }

    #[test]
    fn a_list_that_is_shared_stays_where_it_is() {
        let (mut list, limits) = (List::new(), list_limits(5, 0));
        for n in 0..3000 {
            list.push(End::Right, format!("item {n}").as_bytes(), &limits);
        }
        let copy = list.duplicate();
        let mut object = list.into_object();
        relocate_all(std::slice::from_mut(&mut object));
        assert_eq!(text(&object), text(&copy.into_object()));
    }
}
