//! Bounds on scores and on members.

use std::ops::Bound;

/// Scores between two bounds, which are numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScoreRange {
    /// The lower one.
    pub min: Bound<f64>,
    /// The upper one.
    pub max: Bound<f64>,
}

impl ScoreRange {
    /// Whether a score is not below the range.
    #[inline]
    pub fn reaches_min(&self, score: f64) -> bool {
        match self.min {
            Bound::Included(min) => score >= min,
            Bound::Excluded(min) => score > min,
            Bound::Unbounded => true,
        }
    }

    /// Whether a score is not above the range.
    #[inline]
    pub fn keeps_max(&self, score: f64) -> bool {
        match self.max {
            Bound::Included(max) => score <= max,
            Bound::Excluded(max) => score < max,
            Bound::Unbounded => true,
        }
    }

    /// Whether no score can be within.
    pub(super) fn is_empty(&self) -> bool {
        match (self.min, self.max) {
            (Bound::Included(min), Bound::Included(max)) => min > max,
            (
                Bound::Included(min) | Bound::Excluded(min),
                Bound::Included(max) | Bound::Excluded(max),
            ) => min >= max,
            _ => false,
        }
    }
}

/// A bound on members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LexBound<'a> {
    /// Before all members.
    Least,
    /// Behind all members.
    Greatest,
    /// This one, if it is a member, counts too.
    Included(&'a [u8]),
    /// This one does not count.
    Excluded(&'a [u8]),
}

/// Members between two bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LexRange<'a> {
    /// The lower one.
    pub min: LexBound<'a>,
    /// The upper one.
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    /// Whether a member is not below the range.
    #[inline]
    pub fn reaches_min(&self, name: &[u8]) -> bool {
        match self.min {
            LexBound::Least => true,
            LexBound::Greatest => false,
            LexBound::Included(min) => name >= min,
            LexBound::Excluded(min) => name > min,
        }
    }

    /// Whether a member is not above the range.
    #[inline]
    pub fn keeps_max(&self, name: &[u8]) -> bool {
        match self.max {
            LexBound::Least => false,
            LexBound::Greatest => true,
            LexBound::Included(max) => name <= max,
            LexBound::Excluded(max) => name < max,
        }
    }

    /// Whether no member can be within.
    pub(super) fn is_empty(&self) -> bool {
        use LexBound::{Excluded, Greatest, Included, Least};
        match (self.min, self.max) {
            (Greatest, _) | (_, Least) => true,
            (Least, _) | (_, Greatest) => false,
            (Included(min), Included(max)) => min > max,
            (Included(min) | Excluded(min), Included(max) | Excluded(max)) => min >= max,
        }
    }
}
