//! The elements being sorted, taken out of the keyspace: what they are sorted
//! by is looked up there.

use std::cmp::Ordering;
use std::ffi::CStr;
use std::ops::Range;

use super::pattern::{Pattern, Value};
use super::{By, SortOptions};
use crate::command::ctx::CmdError;
use crate::encoding::listpack::Item;
use crate::keyspace::DbRef;
use crate::types::{Direction, End, List, ListRef, Set, SetRef, Zset, ZsetRef};
use crate::util::partial_sort::partial_sort;
use crate::util::{collate, num};

/// Texts one after the other, each with a zero byte at its end.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self.ends.push(self.bytes.len());
    }

    fn with_end(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    fn get(&self, index: usize) -> &[u8] {
        let text = self.with_end(index);
        &text[..text.len() - 1]
    }

    /// Redis: for a collation, a text ends at its first zero byte.
    fn for_collation(&self, index: usize) -> &CStr {
        CStr::from_bytes_until_nul(self.with_end(index)).unwrap_or_default()
    }
}

/// The elements.
#[derive(Default)]
pub(super) struct Rows {
    texts: Texts,
}

/// What is sorted.
enum Source<'a> {
    Nothing,
    List(ListRef<'a>),
    Set(SetRef<'a>),
    Zset(ZsetRef<'a>),
}

impl<'a> Source<'a> {
    fn of(db: &'a DbRef<'_>, key: &[u8]) -> Source<'a> {
        if let Some(list) = db.view::<List>(key) {
            Source::List(list)
        } else if let Some(set) = db.view::<Set>(key) {
            Source::Set(set)
        } else if let Some(zset) = db.view::<Zset>(key) {
            Source::Zset(zset)
        } else {
            Source::Nothing
        }
    }

    fn len(&self) -> usize {
        match self {
            Source::Nothing => 0,
            Source::List(list) => list.len(),
            Source::Set(set) => set.len(),
            Source::Zset(zset) => zset.len(),
        }
    }
}

/// How many elements there are to sort at a key.
pub(super) fn len_of(db: &DbRef<'_>, key: &[u8]) -> usize {
    Source::of(db, key).len()
}

impl Rows {
    /// All elements.
    pub(super) fn all(db: &DbRef<'_>, key: &[u8]) -> Rows {
        let source = Source::of(db, key);
        Rows::of(&source, 0..source.len(), Direction::Ascending)
    }

    /// Elements by their place in the collection, counted from the end for
    /// descending order. Redis: sets have neither.
    pub(super) fn in_place(
        db: &DbRef<'_>,
        key: &[u8],
        window: Range<usize>,
        descending: bool,
    ) -> Rows {
        let direction = match descending {
            true => Direction::Descending,
            false => Direction::Ascending,
        };
        Rows::of(&Source::of(db, key), window, direction)
    }

    fn of(source: &Source<'_>, window: Range<usize>, direction: Direction) -> Rows {
        let mut texts = Texts::default();
        let mut add = |item: Item<'_>| texts.push(item.text(&mut itoa::Buffer::new()));
        match source {
            Source::Nothing => {}
            Source::List(list) => match direction {
                Direction::Ascending => {
                    list.for_range(window.start, window.len(), End::Left, add);
                }
                Direction::Descending if window.is_empty() => {}
                Direction::Descending => {
                    let first = list.len() - 1 - window.start;
                    list.for_range(first, window.len(), End::Right, add);
                }
            },
            Source::Set(set) => { set.iter() }
                .skip(window.start)
                .take(window.len())
                .for_each(add),
            Source::Zset(zset) => {
                let ranks = match direction {
                    Direction::Ascending => window,
                    Direction::Descending => zset.len() - window.end..zset.len() - window.start,
                };
                zset.for_each(ranks, direction, |member, _| add(member));
            }
        }
        Rows { texts }
    }

    /// An element.
    pub(super) fn element(&self, row: usize) -> &[u8] {
        self.texts.get(row)
    }

    fn rows(&self) -> Range<usize> {
        0..self.texts.ends.len()
    }

    /// The rows of the window, in order.
    ///
    /// # Errors
    /// What the elements are sorted by is no number.
    pub(super) fn order(
        &mut self,
        db: &mut DbRef<'_>,
        options: &SortOptions<'_>,
        window: Range<usize>,
    ) -> Result<Vec<usize>, CmdError> {
        let mut order: Vec<usize> = self.rows().collect();
        let pattern = match &options.by {
            By::Nothing => return Ok(order),
            By::Element => None,
            By::Pattern(pattern) => Some(pattern),
        };
        let stored = options.store.is_some();
        match (options.alpha, pattern) {
            (false, pattern) => {
                let weights = self.weights(db, pattern)?;
                let of = |row: usize| (weights[row], self.texts.get(row));
                let compare = |a: usize, b: usize| {
                    let ((a, a_text), (b, b_text)) = (of(a), of(b));
                    // Neither is a NaN; -0 equals 0.
                    let by_weight = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
                    by_weight.then_with(|| a_text.cmp(b_text))
                };
                sort(&mut order, options, window.clone(), compare);
            }
            (true, None) => {
                let compare = |a: usize, b: usize| self.texts.compare(a, b, stored);
                sort(&mut order, options, window.clone(), compare);
            }
            (true, Some(pattern)) => {
                let (found, texts) = self.found(db, pattern);
                let compare = |a: usize, b: usize| match (found[a], found[b]) {
                    (true, true) => texts.compare(a, b, stored),
                    // What is missing comes first.
                    (a, b) => a.cmp(&b),
                };
                sort(&mut order, options, window.clone(), compare);
            }
        }
        order.truncate(window.end);
        order.drain(..window.start);
        Ok(order)
    }

    /// The number that each row is sorted by. Redis: 0 where there is none.
    fn weights(
        &self,
        db: &mut DbRef<'_>,
        pattern: Option<&Pattern<'_>>,
    ) -> Result<Vec<f64>, CmdError> {
        let mut key = Vec::new();
        let mut weights = Vec::with_capacity(self.texts.ends.len());
        let mut is_number = true;
        for row in self.rows() {
            let element = self.texts.get(row);
            let weight = match pattern {
                None => weight(element),
                Some(pattern) => pattern.look_up(db, element, &mut key, |value| match value {
                    None => Some(0.0),
                    Some(Value::Int(number)) => Some(number as f64),
                    Some(Value::Text(text)) => weight(text),
                }),
            };
            is_number &= weight.is_some();
            weights.push(weight.unwrap_or(0.0));
        }
        if is_number {
            return Ok(weights);
        }
        Err(CmdError::err(
            "One or more scores can't be converted into double",
        ))
    }

    /// What is found for each row, and whether anything is.
    fn found(&self, db: &mut DbRef<'_>, pattern: &Pattern<'_>) -> (Vec<bool>, Texts) {
        let (mut found, mut texts, mut key) = (Vec::new(), Texts::default(), Vec::new());
        for row in self.rows() {
            pattern.look_up(db, self.texts.get(row), &mut key, |value| {
                found.push(value.is_some());
                let mut digits = itoa::Buffer::new();
                texts.push(value.map_or(&b""[..], |value| value.text(&mut digits)));
            });
        }
        (found, texts)
    }
}

impl Texts {
    /// Redis: what is stored is sorted by bytes, so that it is the same on
    /// every server.
    fn compare(&self, a: usize, b: usize, stored: bool) -> Ordering {
        if stored {
            self.get(a).cmp(self.get(b))
        } else {
            collate::compare(self.for_collation(a), self.for_collation(b))
        }
    }
}

/// Sorts so far that the window is right. Redis has two ways to do this, which
/// differ in where equal elements come.
fn sort(
    order: &mut [usize],
    options: &SortOptions<'_>,
    window: Range<usize>,
    compare: impl Fn(usize, usize) -> Ordering,
) {
    let compare = |a: &usize, b: &usize| match options.descending {
        true => compare(*a, *b).reverse(),
        false => compare(*a, *b),
    };
    let is_partial = window.len() < order.len();
    match options.by {
        By::Pattern(_) if is_partial && window.is_empty() => {}
        By::Pattern(_) if is_partial => {
            partial_sort(order, window.start..=window.end - 1, compare);
        }
        _ => order.sort_by(compare),
    }
}

/// A text as a number, as C reads one; None when it is not or too big or small.
pub(super) fn weight(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = text.iter().position(|byte| !is_blank(byte))?;
    let number = num::parse_f64(&text[start..])?;
    (!number.is_subnormal()).then_some(number)
}
