//! Sorting only a part of a slice, by the quicksort of Bentley and McIlroy.
//! Redis sorts with it when a client wants the first few, and as it is not
//! stable, equal elements come in the same order only by the same steps.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

/// Below this length, elements are sorted by insertion.
const INSERTION_LEN: usize = 7;
/// From this length on, the pivot is the median of nine.
const NINTHER_LEN: usize = 40;

/// Puts those elements in place that belong at `wanted` in sorted order; the
/// others come before and behind them in no order.
pub fn partial_sort<T>(
    items: &mut [T],
    wanted: RangeInclusive<usize>,
    mut compare: impl FnMut(&T, &T) -> Ordering,
) {
    // No input that bad comes by chance: one that is made to be is sorted
    // in another way, in bounded time.
    let depth_max = 4 * (items.len().max(2).ilog2() + 4);
    sort_part(items, 0, &wanted, &mut compare, depth_max);
}

fn sort_part<T>(
    mut items: &mut [T],
    mut offset: usize,
    wanted: &RangeInclusive<usize>,
    compare: &mut impl FnMut(&T, &T) -> Ordering,
    depth_max: u32,
) {
    for depth in 0.. {
        if items.len() < INSERTION_LEN {
            return insertion_sort(items, compare);
        }
        if depth >= depth_max {
            return items.sort_by(&mut *compare);
        }
        let (smaller, greater) = partition(items, compare);
        let overlaps = |start: usize, len: usize| {
            len > 1 && *wanted.end() >= start && *wanted.start() < start + len
        };
        if overlaps(offset, smaller) {
            let depth_left = depth_max - depth - 1;
            sort_part(&mut items[..smaller], offset, wanted, compare, depth_left);
        }
        let start = items.len() - greater;
        if !overlaps(offset + start, greater) {
            return;
        }
        items = &mut items[start..];
        offset += start;
    }
}

fn insertion_sort<T>(items: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) {
    for next in 1..items.len() {
        let mut at = next;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Partitions around a pivot; gives how many elements are smaller, which come
/// first, and how many are greater, which come last.
fn partition<T>(items: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    let pivot = pivot(items, compare);
    items.swap(0, pivot);
    // Equal ones gather at both ends: before `a` and from `d` on. `b` and `c`
    // run towards each other; `c` and `d` are one beyond their element.
    let (mut a, mut b, mut c, mut d) = (1, 1, len, len);
    loop {
        while b < c {
            match compare(&items[b], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(a, b);
                    a += 1;
                }
                Ordering::Less => {}
            }
            b += 1;
        }
        while b < c {
            match compare(&items[c - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    items.swap(c - 1, d - 1);
                    d -= 1;
                }
                Ordering::Greater => {}
            }
            c -= 1;
        }
        if b >= c {
            break;
        }
        items.swap(b, c - 1);
        b += 1;
        c -= 1;
    }
    let equal_left = a.min(b - a);
    swap_ranges(items, 0, b - equal_left, equal_left);
    let equal_right = (d - c).min(len - d);
    swap_ranges(items, b, len - equal_right, equal_right);
    (b - a, d - c)
}

fn swap_ranges<T>(items: &mut [T], a: usize, b: usize, len: usize) {
    for index in 0..len {
        items.swap(a + index, b + index);
    }
}

fn pivot<T>(items: &[T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> usize {
    let len = items.len();
    let middle = len / 2;
    if len <= INSERTION_LEN {
        return middle;
    }
    let last = len - 1;
    if len <= NINTHER_LEN {
        return median(items, [0, middle, last], compare);
    }
    let step = len / 8;
    let low = median(items, [0, step, 2 * step], compare);
    let high = median(items, [last - 2 * step, last - step, last], compare);
    let middle = median(items, [middle - step, middle, middle + step], compare);
    median(items, [low, middle, high], compare)
}

fn median<T>(
    items: &[T],
    [a, b, c]: [usize; 3],
    compare: &mut impl FnMut(&T, &T) -> Ordering,
) -> usize {
    let mut less = |x: usize, y: usize| compare(&items[x], &items[y]).is_lt();
    if less(a, b) {
        match (less(b, c), less(a, c)) {
            (true, _) => b,
            (false, true) => c,
            (false, false) => a,
        }
    } else if less(c, b) {
        b
    } else if less(a, c) {
        a
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_wanted_is_in_place(
            mut items in prop::collection::vec(0u16..300, 1..500),
            (from, to) in (any::<usize>(), any::<usize>()),
        ) {
            let (from, to) = (from % items.len(), to % items.len());
            let wanted = from.min(to)..=from.max(to);
            let mut sorted = items.clone();
            sorted.sort_unstable();
            partial_sort(&mut items, wanted.clone(), Ord::cmp);
            prop_assert_eq!(&items[wanted.clone()], &sorted[wanted]);
            items.sort_unstable();
            prop_assert_eq!(items, sorted);
        }
    }

    #[test]
    fn long_runs_take_no_time() {
        let mut items: Vec<u32> = (0..200_000).map(|number| number % 3).collect();
        partial_sort(&mut items, 0..=99, Ord::cmp);
        assert!(items[..100].iter().all(|item| *item == 0));
        let mut items: Vec<u32> = (0..200_000).rev().collect();
        partial_sort(&mut items, 1000..=1010, Ord::cmp);
        assert_eq!(items[1005], 1005);
    }
}
