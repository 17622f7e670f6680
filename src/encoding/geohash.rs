//! Positions as 52-bit integers: longitude and latitude, 26 bits each, halve
//! by halve interleaved, so that what is near on the map is mostly near in
//! order. Redis keeps them as scores of a sorted set.
//!
//! Constants and the order of floating point operations are those of Redis
//! 7.0 (`geohash.c`, `geohash_helper.c`), since replies show every digit.

use std::f64::consts::PI;

use crate::util::num::f64_to_i64_as_c;

/// Bits per coordinate of a stored position.
pub const STEPS_MAX: u8 = 26;
/// Longitudes that can be stored, degrees either way.
pub const LONGITUDE_MAX: f64 = 180.0;
/// Latitudes that can be stored, degrees either way (those of EPSG:3857).
pub const LATITUDE_MAX: f64 = 85.05112878;

const EARTH_RADIUS_METERS: f64 = 6372797.560856;
const MERCATOR_MAX_METERS: f64 = 20037726.37;
const RADIANS_PER_DEGREE: f64 = PI / 180.0;

/// A place on earth, degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Position {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

/// Bounds on one coordinate, degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Span {
    min: f64,
    max: f64,
}

impl Span {
    const fn around_zero(max: f64) -> Span {
        Span { min: -max, max }
    }

    fn size(self) -> f64 {
        self.max - self.min
    }

    /// The middle, within the limits of what can be stored.
    fn middle(self, max: f64) -> f64 {
        let middle = (self.min + self.max) / 2.0;
        // Not `clamp`: nothing here may panic, whatever a score decodes to.
        middle.min(max).max(-max)
    }
}

const LONGITUDES: Span = Span::around_zero(LONGITUDE_MAX);
const LATITUDES: Span = Span::around_zero(LATITUDE_MAX);

/// One cell of the grid that has 2^steps columns and rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Longitude in the odd bits, latitude in the even ones.
    bits: u64,
    /// Bits per coordinate, 1 to 26.
    steps: u8,
}

/// The rectangle that a cell covers, degrees.
#[derive(Clone, Copy, Debug)]
struct Area {
    longitude: Span,
    latitude: Span,
}

/// Spreads 32 bits over the even places of 64.
fn spread(bits: u32) -> u64 {
    let mut spread = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        spread = (spread | spread << shift) & mask;
    }
    spread
}

/// Gathers the even places of 64 bits.
fn gather(spread: u64) -> u32 {
    let mut bits = spread & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

impl Cell {
    fn containing(position: Position, steps: u8, longitudes: Span, latitudes: Span) -> Cell {
        let fixed = |value: f64, span: Span| {
            let offset = (value - span.min) / span.size();
            (offset * (1u64 << steps) as f64) as u32
        };
        let latitude = fixed(position.latitude, latitudes);
        let longitude = fixed(position.longitude, longitudes);
        Cell {
            bits: spread(latitude) | spread(longitude) << 1,
            steps,
        }
    }

    fn area(self) -> Area {
        let edge = |index: u32, span: Span| {
            span.min + (f64::from(index) / (1u64 << self.steps) as f64) * span.size()
        };
        let span = |index: u32, whole: Span| Span {
            min: edge(index, whole),
            max: edge(index.wrapping_add(1), whole),
        };
        Area {
            longitude: span(gather(self.bits >> 1), LONGITUDES),
            latitude: span(gather(self.bits), LATITUDES),
        }
    }

    /// The cell some columns east and rows north, around the globe.
    fn moved(self, east: i64, north: i64) -> Cell {
        let mask = u64::MAX >> (64 - u32::from(self.steps));
        // Redis: a coordinate on the upper limit, one beyond the last index,
        // comes into range only when it is moved.
        let step = |index: u32, by: i64| match by {
            0 => index,
            _ => (u64::from(index).wrapping_add_signed(by) & mask) as u32,
        };
        let longitude = step(gather(self.bits >> 1), east);
        let latitude = step(gather(self.bits), north);
        Cell {
            bits: spread(latitude) | spread(longitude) << 1,
            steps: self.steps,
        }
    }

    /// The scores of the positions in this cell: from the first, up to but
    /// without the second.
    pub fn scores(self) -> (f64, f64) {
        let shift = 52 - 2 * u32::from(self.steps);
        let align = |bits: u64| (bits << shift) as f64;
        (align(self.bits), align(self.bits + 1))
    }
}

impl Position {
    /// A position, if it is one that can be stored.
    pub fn new(longitude: f64, latitude: f64) -> Option<Position> {
        let inside = (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude);
        inside.then_some(Position {
            longitude,
            latitude,
        })
    }

    /// The score that stands for this position.
    pub fn to_score(self) -> u64 {
        Cell::containing(self, STEPS_MAX, LONGITUDES, LATITUDES).bits
    }

    /// The position that a score stands for: the middle of its cell. Any score
    /// stands for some position.
    pub fn from_score(score: f64) -> Position {
        let cell = Cell {
            bits: to_u64_as_c(score),
            steps: STEPS_MAX,
        };
        let area = cell.area();
        Position {
            longitude: area.longitude.middle(LONGITUDE_MAX),
            latitude: area.latitude.middle(LATITUDE_MAX),
        }
    }

    /// The standard geohash of 11 characters. There are bits for ten of them,
    /// the last is always `0`.
    pub fn to_text(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let latitudes = Span::around_zero(90.0);
        let cell = Cell::containing(self, STEPS_MAX, LONGITUDES, latitudes);
        let mut text = [b'0'; 11];
        for (index, character) in text.iter_mut().take(10).enumerate() {
            let bits = cell.bits >> (52 - 5 * (index + 1));
            *character = ALPHABET[(bits & 31) as usize];
        }
        text
    }

    /// The distance along the great circle, metres (haversine formula).
    pub fn distance_meters(self, other: Position) -> f64 {
        let (from, to) = (self.longitude, other.longitude);
        let v = ((radians(to) - radians(from)) / 2.0).sin();
        if v == 0.0 {
            return self.distance_north_meters(other);
        }
        let (from, to) = (radians(self.latitude), radians(other.latitude));
        let u = ((to - from) / 2.0).sin();
        let a = u * u + from.cos() * to.cos() * v * v;
        2.0 * EARTH_RADIUS_METERS * a.sqrt().asin()
    }

    /// The distance along a meridian only, metres.
    fn distance_north_meters(self, other: Position) -> f64 {
        EARTH_RADIUS_METERS * (radians(other.latitude) - radians(self.latitude)).abs()
    }
}

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// A double as an unsigned integer. Redis: scores that are no position are
/// converted as C does on x86-64, where the result is not defined.
fn to_u64_as_c(value: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    if value >= HALF {
        f64_to_i64_as_c(value - HALF) as u64 ^ 1 << 63
    } else {
        f64_to_i64_as_c(value) as u64
    }
}

/// The form of what is searched, in any unit of length.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    /// All within this distance.
    Circle {
        /// Distance from the centre.
        radius: f64,
    },
    /// A rectangle along the axes around the centre.
    Rectangle {
        /// East to west.
        width: f64,
        /// North to south.
        height: f64,
    },
}

/// What is searched.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Search {
    /// In the middle.
    pub centre: Position,
    /// Around it.
    pub shape: Shape,
    /// Metres per unit of the shape.
    pub unit_meters: f64,
}

impl Search {
    /// The distance of a position from the centre, metres, if it is inside.
    pub fn distance_inside(&self, position: Position) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => {
                let distance = self.centre.distance_meters(position);
                // Redis: a distance that is not a number is not too far.
                if distance > radius * self.unit_meters {
                    None
                } else {
                    Some(distance)
                }
            }
            Shape::Rectangle { width, height } => {
                let north = position.distance_north_meters(self.centre);
                if north > height * self.unit_meters / 2.0 {
                    return None;
                }
                let on_meridian = Position {
                    longitude: self.centre.longitude,
                    latitude: position.latitude,
                };
                let east = position.distance_meters(on_meridian);
                if east > width * self.unit_meters / 2.0 {
                    return None;
                }
                Some(self.centre.distance_meters(position))
            }
        }
    }

    /// Distance of the farthest point from the centre, metres.
    fn reach_meters(&self) -> f64 {
        let reach = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        reach * self.unit_meters
    }

    /// The box that encloses the shape. Redis: it is as wide in degrees as the
    /// edge away from the equator.
    fn bounds(&self) -> Area {
        let (width, height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Rectangle { width, height } => (width / 2.0, height / 2.0),
        };
        let (width, height) = (self.unit_meters * width, self.unit_meters * height);
        let Position {
            longitude,
            latitude,
        } = self.centre;
        let north = degrees(height / EARTH_RADIUS_METERS);
        let edge = if latitude < 0.0 {
            latitude - north
        } else {
            latitude + north
        };
        let east = degrees(width / EARTH_RADIUS_METERS / radians(edge).cos());
        let around = |middle: f64, by: f64| Span {
            min: middle - by,
            max: middle + by,
        };
        Area {
            longitude: around(longitude, east),
            latitude: around(latitude, north),
        }
    }

    /// The cells that cover the shape, in the order in which Redis visits
    /// them: the one in the middle, then those around it that are needed.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + use<> {
        let bounds = self.bounds();
        let mut steps = steps_for(self.reach_meters(), self.centre.latitude);
        let cell_of = |steps| Cell::containing(self.centre, steps, LONGITUDES, LATITUDES);
        if steps > 1 && !neighbours_reach(cell_of(steps), &bounds) {
            steps -= 1;
        }
        let cell = cell_of(steps);
        let area = cell.area();
        let (no_south, no_north, no_west, no_east) = (
            area.latitude.min < bounds.latitude.min,
            area.latitude.max > bounds.latitude.max,
            area.longitude.min < bounds.longitude.min,
            area.longitude.max > bounds.longitude.max,
        );
        let needed = move |(east, north): (i64, i64)| {
            steps < 2
                || !((no_south && north < 0)
                    || (no_north && north > 0)
                    || (no_west && east < 0)
                    || (no_east && east > 0))
        };
        // With a huge shape neighbours are one and the same, one after the
        // other. Redis: the first one does not count as visited.
        let mut visited: Option<Cell> = None;
        AROUND.into_iter().filter_map(move |(east, north)| {
            let next = cell.moved(east, north);
            if !needed((east, north)) || visited == Some(next) {
                return None;
            }
            if (east, north) != (0, 0) {
                visited = Some(next);
            }
            Some(next)
        })
    }
}

/// A cell and its neighbours, as columns east and rows north.
const AROUND: [(i64, i64); 9] = [
    (0, 0),
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
];

/// Whether the four cells next to this one reach beyond the bounds.
fn neighbours_reach(cell: Cell, bounds: &Area) -> bool {
    // Comparisons as they stand: nothing that is not a number falls short.
    !(cell.moved(0, 1).area().latitude.max < bounds.latitude.max
        || cell.moved(0, -1).area().latitude.min > bounds.latitude.min
        || cell.moved(1, 0).area().longitude.max < bounds.longitude.max
        || cell.moved(-1, 0).area().longitude.min > bounds.longitude.min)
}

/// Bits per coordinate at which nine cells cover a distance around a centre.
fn steps_for(mut reach_meters: f64, latitude: f64) -> u8 {
    if reach_meters == 0.0 {
        return STEPS_MAX;
    }
    let mut steps = -1;
    while reach_meters < MERCATOR_MAX_METERS {
        reach_meters *= 2.0;
        steps += 1;
    }
    // Degrees of longitude are short near the poles.
    if latitude.abs() > 66.0 {
        steps -= 1;
    }
    if latitude.abs() > 80.0 {
        steps -= 1;
    }
    steps.clamp(1, i32::from(STEPS_MAX)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(longitude: f64, latitude: f64) -> Position {
        Position::new(longitude, latitude).expect("one that can be stored")
    }

    #[test]
    fn agrees_with_the_examples_of_the_manual() {
        let palermo = position(13.361389, 38.115556);
        let catania = position(15.087269, 37.502669);
        assert_eq!(palermo.to_score(), 3_479_099_956_230_698);
        let stored = |position: Position| Position::from_score(position.to_score() as f64);
        let (palermo, catania) = (stored(palermo), stored(catania));
        assert_eq!(palermo.longitude, 13.361389338970184);
        assert_eq!(palermo.latitude, 38.1155563954963);
        assert_eq!(&palermo.to_text(), b"sqc8b49rny0");
        assert_eq!(&catania.to_text(), b"sqdtr74hyu0");
        let distance = palermo.distance_meters(catania);
        assert_eq!(format!("{distance:.4}"), "166274.1516");
    }

    #[test]
    fn every_score_is_some_position() {
        let scores = [
            0.0,
            -1.0,
            1e300,
            -1e300,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.5,
        ];
        for score in scores {
            let position = Position::from_score(score);
            assert!(Position::new(position.longitude, position.latitude).is_some());
        }
        assert_eq!(Position::new(180.1, 0.0), None);
        assert_eq!(Position::new(0.0, -85.06), None);
        assert_eq!(Position::new(f64::NAN, 0.0), None);
    }

    #[test]
    fn cells_cover_what_is_searched() {
        let mut seed = 1u64;
        let mut random = |max: f64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((seed >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0) * max
        };
        for round in 0..20_000 {
            let centre = position(random(179.0), random(70.0));
            let radius = 10f64.powi(round % 6) * (1.0 + random(0.9).abs());
            let search = Search {
                centre,
                shape: Shape::Circle { radius },
                unit_meters: 1.0,
            };
            let near = radius / 111_000.0 / 2.0;
            let (east, north) = (random(near), random(near));
            let other = Position::new(centre.longitude + east, centre.latitude + north);
            let Some(other) = other else { continue };
            if search.distance_inside(other).is_none() {
                continue;
            }
            let score = other.to_score() as f64;
            let holds = |cell: Cell| {
                let (from, to) = cell.scores();
                (from..to).contains(&score)
            };
            assert!(search.cells().any(holds), "{search:?} {other:?}");
        }
    }
}
