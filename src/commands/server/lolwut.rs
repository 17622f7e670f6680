//! LOLWUT: computer art of our own, and the version for those who ask.

use std::f64::consts::TAU;

use rand::Rng;
use rand::rngs::SmallRng;

use crate::command::ctx::{Args, CmdResult, REPLIED};
use crate::engine::{ClientId, Server};
use crate::version::REDIS_VERSION;

/// Most Braille characters of a drawing, so that it stays cheap.
const CELLS_MAX: usize = 250_000;
/// Most points of all curves of a drawing together.
const POINTS_MAX: usize = 200_000;

/// `LOLWUT [VERSION number] [argument ...]`.
pub(super) fn lolwut(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let mut version = None;
    if args.left() >= 2 && args.take_word("VERSION") {
        version = Some(args.int()?);
    }
    let art = match version {
        Some(5) => {
            let [columns, across, down] = numbers(&mut args, [(66, 1000), (8, 200), (12, 200)])?;
            let mut art = roses(&mut server.rng, columns, across, down);
            art.push_str("\nA bed of roses. ");
            art
        }
        Some(6) => {
            let [columns, rows] = numbers(&mut args, [(80, 1000), (20, 1000)])?;
            let mut art = night(&mut server.rng, columns, rows);
            art.push_str("\nHills by night. ");
            art
        }
        // Redis 7 has no drawing of its own either.
        _ => String::new(),
    };
    let text = format!("{art}Redis ver. {REDIS_VERSION}\n");
    server.reply(id).verbatim("txt", text.as_bytes());
    REPLIED
}

/// Optional sizes with their defaults and limits.
fn numbers<const N: usize>(
    args: &mut Args<'_>,
    limits: [(usize, usize); N],
) -> Result<[usize; N], crate::command::ctx::CmdError> {
    let mut sizes = [0; N];
    for (size, (default, most)) in sizes.iter_mut().zip(limits) {
        *size = default;
        if args.left() > 0 {
            let asked = usize::try_from(args.int()?.max(1)).unwrap_or(most);
            *size = asked.min(most);
        }
    }
    Ok(sizes)
}

/// Dots, eight to a Braille character.
struct Braille {
    columns: usize,
    cells: Vec<u8>,
}

impl Braille {
    fn new(columns: usize, rows: usize) -> Braille {
        Braille {
            columns,
            cells: vec![0; columns * rows],
        }
    }

    fn dot(&mut self, x: usize, y: usize) {
        /// Bits of a character's dots, row by row.
        const BITS: [u8; 8] = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80];
        if x / 2 < self.columns
            && let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2)
        {
            *cell |= BITS[y % 4 * 2 + x % 2];
        }
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(self.cells.len() * 3 + self.cells.len() / 8);
        for row in self.cells.chunks(self.columns) {
            let braille = |cell: &u8| char::from_u32(0x2800 + u32::from(*cell)).unwrap_or(' ');
            text.extend(row.iter().map(braille));
            text.push('\n');
        }
        text
    }
}

/// Rose curves (r = cos(n/d θ)) of random petals, in a grid.
fn roses(rng: &mut SmallRng, columns: usize, across: usize, down: usize) -> String {
    let side = (columns * 2 / across).max(1);
    let rows_max = CELLS_MAX / columns;
    let down = down.min((rows_max * 4 / side).max(1));
    let rows = (side * down).div_ceil(4).min(rows_max);
    let points = (side * 16).min(POINTS_MAX / (across * down)).max(8);
    let mut drawing = Braille::new(columns, rows);
    let radius = (side as f64 - 1.0) / 2.0;
    for number in 0..across * down {
        let (left, top) = (number % across * side, number / across * side);
        let (petals, turns) = (rng.random_range(1..=7), rng.random_range(1..=4));
        let tilt = rng.random_range(0.0..TAU);
        for point in 0..points {
            let angle = TAU * f64::from(turns) * point as f64 / points as f64;
            let r = radius * (angle * f64::from(petals) / f64::from(turns)).cos();
            let x = left as f64 + radius + r * (angle + tilt).cos();
            let y = top as f64 + radius + r * (angle + tilt).sin();
            drawing.dot(x.round().max(0.0) as usize, y.round().max(0.0) as usize);
        }
    }
    drawing.text()
}

/// Shades of a picture on a terminal, from black to white.
const SHADES: [&str; 4] = ["0;30;40", "0;90;100", "0;37;47", "0;97;107"];

/// A moon and stars above ranges of hills.
fn night(rng: &mut SmallRng, columns: usize, rows: usize) -> String {
    let ranges: Vec<(usize, Vec<usize>)> = [(2, 0.45), (1, 0.3)]
        .into_iter()
        .map(|(shade, height)| (shade, hills(rng, columns, rows as f64 * height)))
        .collect();
    let moon_x = rng.random_range(0..columns) as f64;
    let moon_y = rows as f64 * 0.25;
    let moon_radius = rows as f64 * 0.15;
    let mut text = String::new();
    for row in 0..rows {
        let above_ground = rows - row;
        let shades = (0..columns).map(|column| {
            let hill = ranges
                .iter()
                .rev()
                .find(|(_, heights)| above_ground <= heights[column]);
            if let Some((shade, _)) = hill {
                return *shade;
            }
            // A character is about twice as high as it is wide.
            let (dx, dy) = ((column as f64 - moon_x) / 2.0, row as f64 - moon_y);
            if dx.hypot(dy) <= moon_radius || rng.random_ratio(1, 60) {
                3
            } else {
                0
            }
        });
        paint(&mut text, shades);
        text.push('\n');
    }
    text
}

/// Heights of a range of hills: a few waves on top of one another.
fn hills(rng: &mut SmallRng, columns: usize, height: f64) -> Vec<usize> {
    let waves: Vec<(f64, f64, f64)> = (1..=4)
        .map(|octave| {
            let length = rng.random_range(0.5..1.5) * f64::from(octave) * TAU / 80.0;
            (1.0 / f64::from(octave), length, rng.random_range(0.0..TAU))
        })
        .collect();
    let wave = |column: usize| -> f64 {
        let swing = waves
            .iter()
            .map(|(weight, length, shift)| weight * (column as f64 * length + shift).sin());
        (1.0 + swing.sum::<f64>() / 4.0).max(0.0) * height
    };
    (0..columns).map(|column| wave(column) as usize).collect()
}

/// A line of shades, one escape sequence for each run of the same.
fn paint(text: &mut String, shades: impl Iterator<Item = usize>) {
    let mut current = None;
    for shade in shades {
        if current != Some(shade) {
            text.push_str("\x1b[");
            text.push_str(SHADES[shade]);
            text.push('m');
            current = Some(shade);
        }
        text.push(' ');
    }
    text.push_str("\x1b[0m");
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn drawings_have_the_size_asked_for() {
        let mut rng = SmallRng::seed_from_u64(1);
        let drawn = roses(&mut rng, 66, 8, 12);
        // 132 dots across make squares of 16; 12 of them are 192 dots down.
        assert_eq!(drawn.lines().count(), 48);
        assert!(drawn.lines().all(|line| line.chars().count() == 66));
        assert!(drawn.chars().filter(|c| *c != '\u{2800}').count() > 1000);
        let drawn = night(&mut rng, 80, 20);
        assert_eq!(drawn.lines().count(), 20);
        let blanks = |line: &str| line.chars().filter(|c| *c == ' ').count();
        assert!(drawn.lines().all(|line| blanks(line) == 80));
    }

    #[test]
    fn any_size_is_drawn_within_bounds() {
        let mut rng = SmallRng::seed_from_u64(2);
        for columns in [1, 2, 7, 1000] {
            for across in [1, 3, 200] {
                for down in [1, 200] {
                    let drawn = roses(&mut rng, columns, across, down);
                    let count = drawn.chars().filter(|c| *c != '\n').count();
                    assert!(count > 0 && count <= CELLS_MAX && count % columns == 0);
                }
            }
            for rows in [1, 2, 50] {
                assert_eq!(night(&mut rng, columns, rows).lines().count(), rows);
            }
        }
    }
}
