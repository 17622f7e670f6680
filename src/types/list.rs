//! Lists: one listpack while short, a quicklist beyond. Redis calls both
//! `quicklist`.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Collection, Object, Packed, Type};
use crate::encoding::listpack::{Item, Listpack, ListpackRef};
pub use crate::encoding::quicklist::{End, Limits as ListLimits, Side};
use crate::encoding::quicklist::{PLAIN_FROM_BYTES, Quicklist};
use crate::util::size_class::size_class;

/// Longer listpacks are nodes of a quicklist: a short one lies in the
/// keyspace's entry, and a change copies it.
const PACKED_BYTES_MAX: usize = 1024;

/// Length of text from which on it is no element of a listpack (DEBUG
/// QUICKLIST-PACKED-THRESHOLD).
static PLAIN_FROM: AtomicUsize = AtomicUsize::new(PLAIN_FROM_BYTES);

/// Sets from which length on texts are kept as they are; 0: as usual.
pub fn set_plain_from_bytes(bytes: usize) {
    let bytes = if bytes == 0 { PLAIN_FROM_BYTES } else { bytes };
    PLAIN_FROM.store(bytes, Ordering::Relaxed);
}

/// The limits that these directives set now.
pub fn list_limits(max_listpack_size: i32, compress_depth: u32) -> ListLimits {
    ListLimits::new(
        max_listpack_size,
        compress_depth,
        PLAIN_FROM.load(Ordering::Relaxed),
    )
}

/// A list.
pub enum List {
    /// A short one.
    Packed(Listpack),
    /// Any other.
    Quick(Box<Quicklist>),
}

/// A list for reading.
#[derive(Clone, Copy)]
pub enum ListRef<'a> {
    /// A short one.
    Packed(ListpackRef<'a>),
    /// Any other.
    Quick(&'a Quicklist),
}

impl List {
    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            List::Packed(pack) => pack.as_ref().is_empty(),
            List::Quick(quick) => quick.is_empty(),
        }
    }

    /// Adds an element at an end.
    #[inline]
    pub fn push(&mut self, end: End, text: &[u8], limits: &ListLimits) {
        if let Some(pack) = self.packed_with_room(text, limits) {
            return match end {
                End::Left => pack.push_front(text),
                End::Right => pack.push_back(text),
            };
        }
        self.quick(limits).push(end, text);
    }

    /// Takes the element at an end out; None when there is none.
    #[inline]
    pub fn pop<R>(&mut self, end: End, take: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self {
            List::Quick(quick) => quick.pop(end, take),
            List::Packed(pack) => {
                let at = match end {
                    End::Left => pack.as_ref().first()?,
                    End::Right => pack.as_ref().last()?,
                };
                let taken = take(pack.as_ref().item_at(at));
                pack.remove(at, 1);
                Some(taken)
            }
        }
    }

    /// Inserts a text beside the element of an index, which exists.
    pub fn insert(&mut self, index: usize, side: Side, text: &[u8], limits: &ListLimits) {
        if let Some(pack) = self.packed_with_room(text, limits) {
            let index = index + usize::from(side == Side::After);
            let at = pack.as_ref().seek(index).unwrap_or(pack.as_ref().end());
            return pack.insert_before(at, text);
        }
        self.quick(limits).insert(index, side, text);
    }

    /// Puts a text in the place of the element of an index; false when there
    /// is no such element.
    pub fn set(&mut self, index: usize, text: &[u8], limits: &ListLimits) -> bool {
        if let List::Packed(pack) = self
            && !limits.is_plain(text)
            && pack.as_ref().bytes().len() + text.len() <= PACKED_BYTES_MAX
        {
            let Some(at) = pack.as_ref().seek(index) else {
                return false;
            };
            pack.replace(at, text);
            return true;
        }
        index < self.len() && self.quick(limits).set(index, text)
    }

    /// Removes up to `count` elements from the one of an index on.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        match self {
            List::Quick(quick) => quick.remove_range(start, count),
            List::Packed(pack) => {
                if let Some(at) = pack.as_ref().seek(start) {
                    pack.remove(at, count);
                }
            }
        }
    }

    /// Removes the elements that are this text, at most `max`, the ones
    /// nearest to an end; gives how many they were.
    pub fn remove_matching(&mut self, text: &[u8], max: usize, nearest_to: End) -> usize {
        match self {
            List::Quick(quick) => quick.remove_matching(text, max, nearest_to),
            List::Packed(pack) => {
                let view = pack.as_ref();
                let mut offsets = Vec::new();
                let mut from = view.first();
                while let Some(at) = from {
                    if view.item_at(at).is_text(text) {
                        offsets.push(at);
                    }
                    from = view.next(at);
                }
                let more = offsets.len().saturating_sub(max);
                let offsets = match nearest_to {
                    End::Left => &offsets[..offsets.len() - more],
                    End::Right => &offsets[more..],
                };
                pack.remove_all(offsets);
                offsets.len()
            }
        }
    }

    /// The listpack, if the text may be added to it.
    #[inline]
    fn packed_with_room(&mut self, text: &[u8], limits: &ListLimits) -> Option<&mut Listpack> {
        let List::Packed(pack) = self else {
            return None;
        };
        let bytes = pack.as_ref().bytes().len();
        let fits = if pack.as_ref().is_empty() {
            !limits.is_plain(text)
        } else {
            limits.allow(bytes, pack.as_ref().len(), text.len())
        };
        (fits && bytes + text.len() < PACKED_BYTES_MAX).then_some(pack)
    }

    /// As a quicklist, which it is from now on.
    fn quick(&mut self, limits: &ListLimits) -> &mut Quicklist {
        if let List::Packed(pack) = self {
            let mut pack = std::mem::take(pack);
            // The memory may be the keyspace's buffer for changes.
            pack.shrink_to_fit();
            *self = List::Quick(Box::new(Quicklist::from_listpack(pack, *limits)));
        }
        match self {
            List::Quick(quick) => {
                quick.set_plain_from(limits.plain_from_bytes());
                quick
            }
            List::Packed(_) => unreachable!("made a quicklist above"),
        }
    }

    /// A list of these nodes, as files have them.
    pub fn from_nodes(nodes: Quicklist) -> List {
        match nodes.as_listpack() {
            Some(bytes) if bytes.len() <= PACKED_BYTES_MAX => {
                List::Packed(Listpack::from_trusted(bytes.to_vec()))
            }
            _ => List::Quick(Box::new(nodes)),
        }
    }

    /// Panics when the structure contradicts itself (tests).
    pub fn check_invariants(&self) {
        match self {
            List::Packed(pack) => pack.check_invariants(),
            List::Quick(quick) => quick.check_invariants(),
        }
    }
}

impl ListRef<'_> {
    /// Number of elements.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ListRef::Packed(pack) => pack.len(),
            ListRef::Quick(quick) => quick.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Reads the element of an index; None when there is none.
    pub fn get<R>(self, index: usize, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self {
            ListRef::Packed(pack) => pack.get(index).map(read),
            ListRef::Quick(quick) => quick.get(index, read),
        }
    }

    /// Goes over elements from the one of index `from` on, away from the end
    /// `end`, until `visit` breaks.
    #[inline]
    pub fn walk<B>(
        self,
        from: usize,
        end: End,
        visit: impl FnMut(Item<'_>) -> ControlFlow<B>,
    ) -> Option<B> {
        match self {
            ListRef::Quick(quick) => quick.walk(from, end, visit),
            ListRef::Packed(pack) => {
                let at = pack.seek(from)?;
                let flow = match end {
                    End::Left => pack.iter_from(at).try_for_each(visit),
                    End::Right => {
                        let until = pack.next(at).unwrap_or(pack.end());
                        pack.iter_to(until).rev().try_for_each(visit)
                    }
                };
                flow.break_value()
            }
        }
    }

    /// Goes over `count` elements from the one of index `from` on, away from
    /// the end `end`; there must be so many.
    #[inline]
    pub fn for_range(self, from: usize, count: usize, end: End, mut visit: impl FnMut(Item<'_>)) {
        let mut left = count;
        if left == 0 {
            return;
        }
        let stopped: Option<()> = self.walk(from, end, |item| {
            visit(item);
            left -= 1;
            match left {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        debug_assert!(stopped.is_some());
    }

    /// Index of the first element that is this text.
    pub fn find(self, text: &[u8]) -> Option<usize> {
        match self {
            ListRef::Packed(pack) => pack.find(text, 0).map(|at| pack.iter_to(at).count()),
            ListRef::Quick(quick) => quick.find(text),
        }
    }
}

impl Collection for List {
    const TYPE: Type = Type::List;
    type Ref<'a> = ListRef<'a>;

    fn new() -> List {
        List::Packed(Listpack::new())
    }

    #[inline]
    fn view(&self) -> ListRef<'_> {
        match self {
            List::Packed(pack) => ListRef::Packed(pack.as_ref()),
            List::Quick(quick) => ListRef::Quick(quick),
        }
    }

    fn is_empty(&self) -> bool {
        List::is_empty(self)
    }

    fn packed_view(kind: Packed, bytes: &[u8]) -> Option<ListRef<'_>> {
        (kind == Packed::List).then(|| ListRef::Packed(ListpackRef::new(bytes)))
    }

    fn from_packed(kind: Packed, bytes: Vec<u8>) -> Option<List> {
        (kind == Packed::List).then(|| List::Packed(Listpack::from_trusted(bytes)))
    }

    fn as_packed(&self) -> Option<(Packed, &[u8])> {
        match self {
            List::Packed(pack) => Some((Packed::List, pack.as_ref().bytes())),
            List::Quick(quick) => quick.as_listpack().map(|bytes| (Packed::List, bytes)),
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            List::Packed(pack) => Some(pack.into_bytes()),
            List::Quick(_) => None,
        }
    }

    fn in_object(object: &Object) -> Option<&List> {
        match object {
            Object::List(list) => Some(list),
            _ => None,
        }
    }

    fn in_object_mut(object: &mut Object) -> Option<&mut List> {
        match object {
            Object::List(list) => Some(list),
            _ => None,
        }
    }

    fn into_object(mut self) -> Object {
        if let List::Packed(pack) = &mut self {
            // The memory may be the keyspace's buffer for changes.
            pack.shrink_to_fit();
        }
        Object::List(self)
    }

    fn estimated_bytes(&self, samples: usize) -> usize {
        match self {
            List::Packed(pack) => size_class(pack.capacity()),
            List::Quick(quick) => quick.estimated_bytes(samples),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            List::Packed(_) => 1,
            List::Quick(quick) => quick.nodes_len(),
        }
    }

    fn duplicate(&self) -> List {
        match self {
            List::Packed(pack) => {
                List::Packed(Listpack::from_trusted(pack.as_ref().bytes().to_vec()))
            }
            List::Quick(quick) => List::Quick(quick.clone()),
        }
    }

    fn encoding_name(&self) -> &'static str {
        Packed::List.encoding_name()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(End, Vec<u8>),
        Pop(End),
        Insert(usize, Side, Vec<u8>),
        Set(usize, Vec<u8>),
        RemoveRange(usize, usize),
        RemoveMatching(usize, usize, End),
        PutBack,
    }

    fn op() -> impl Strategy<Value = Op> {
        let end = || prop::sample::select(vec![End::Left, End::Right]);
        let side = prop::sample::select(vec![Side::Before, Side::After]);
        let text = || {
            prop_oneof![
                4 => (0u32..30).prop_map(|number| number.to_string().into_bytes()),
                2 => prop::collection::vec(any::<u8>(), 0..80),
                1 => prop::collection::vec(any::<u8>(), 900..1100),
            ]
        };
        let place = || 0usize..1000;
        prop_oneof![
            6 => (end(), text()).prop_map(|(end, text)| Op::Push(end, text)),
            1 => end().prop_map(Op::Pop),
            2 => (place(), side, text()).prop_map(|(at, side, text)| Op::Insert(at, side, text)),
            2 => (place(), text()).prop_map(|(at, text)| Op::Set(at, text)),
            1 => (place(), 0usize..20).prop_map(|(at, count)| Op::RemoveRange(at, count)),
            1 => (place(), 1usize..4, end()).prop_map(|(at, n, end)| Op::RemoveMatching(at, n, end)),
            1 => Just(Op::PutBack),
        ]
    }

    fn apply(list: &mut List, model: &mut VecDeque<Vec<u8>>, op: Op, limits: &ListLimits) {
        let len = model.len();
        match op {
            Op::Push(end, text) => {
                list.push(end, &text, limits);
                match end {
                    End::Left => model.push_front(text),
                    End::Right => model.push_back(text),
                }
            }
            Op::Pop(end) => {
                let expected = match end {
                    End::Left => model.pop_front(),
                    End::Right => model.pop_back(),
                };
                assert_eq!(list.pop(end, |item| item.to_vec()), expected);
            }
            Op::Insert(place, side, text) if len > 0 => {
                let index = place % len;
                list.insert(index, side, &text, limits);
                model.insert(index + usize::from(side == Side::After), text);
            }
            Op::Set(place, text) => {
                let index = place % (len + 1);
                assert_eq!(list.set(index, &text, limits), index < len);
                if let Some(old) = model.get_mut(index) {
                    *old = text;
                }
            }
            Op::RemoveRange(place, count) => {
                let start = place % (len + 1);
                list.remove_range(start, count);
                model.drain(start..(start + count).min(len));
            }
            Op::RemoveMatching(place, max, nearest_to) if len > 0 => {
                let text = model[place % len].clone();
                let found = model.iter().position(|item| *item == text);
                assert_eq!(list.view().find(&text), found);
                let mut removed = 0;
                while removed < max
                    && let Some(index) = match nearest_to {
                        End::Left => model.iter().position(|item| *item == text),
                        End::Right => model.iter().rposition(|item| *item == text),
                    }
                {
                    model.remove(index);
                    removed += 1;
                }
                assert_eq!(list.remove_matching(&text, max, nearest_to), removed);
            }
            Op::PutBack => {
                // What the keyspace does with a list that fits into an entry.
                if let Some((kind, bytes)) = list.as_packed() {
                    let bytes = bytes.to_vec();
                    *list = List::from_packed(kind, bytes).expect("of this type");
                }
            }
            Op::Insert(..) | Op::RemoveMatching(..) => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn behaves_as_a_deque(
            ops in prop::collection::vec(op(), 1..120),
            fill in prop::sample::select(vec![-2, -1, 1, 3, 100]),
            plain_from in prop::sample::select(vec![PLAIN_FROM_BYTES, 1, 50]),
        ) {
            let limits = ListLimits::new(fill, 0, plain_from);
            let (mut list, mut model) = (List::new(), VecDeque::new());
            for op in ops {
                apply(&mut list, &mut model, op, &limits);
                list.check_invariants();
                prop_assert_eq!(list.len(), model.len());
                prop_assert_eq!(list.is_empty(), model.is_empty());
                let mut texts = Vec::new();
                list.view().for_range(0, list.len(), End::Left, |item| texts.push(item.to_vec()));
                prop_assert!(texts.iter().eq(model.iter()));
                texts.clear();
                let last = list.len().saturating_sub(1);
                list.view().for_range(last, list.len(), End::Right, |item| texts.push(item.to_vec()));
                prop_assert!(texts.iter().eq(model.iter().rev()));
                let copy = list.duplicate();
                prop_assert_eq!(copy.len(), list.len());
            }
        }
    }
}
