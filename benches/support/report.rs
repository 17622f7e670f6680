//! Medians, number formats, text tables and the JSON file.

use std::fs;
use std::path::Path;

use super::Result;

/// The median; of an even number, the mean of the middle two. NaN when there are none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The smallest and the largest.
pub fn extremes(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    values
        .into_iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
}

/// A table of fixed columns, printed row by row so that a long bench shows its progress.
pub struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the header. The first two columns are names, aligned left.
    pub fn start(columns: &[(&str, usize)]) -> Table {
        let table = Table {
            widths: columns
                .iter()
                .map(|(title, width)| title.len().max(*width))
                .collect(),
        };
        let titles: Vec<String> = columns
            .iter()
            .map(|(title, _)| (*title).to_owned())
            .collect();
        table.row(&titles);
        table
    }

    /// Prints a row.
    pub fn row(&self, cells: &[String]) {
        let mut line = String::new();
        for (index, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            if index < 2 {
                line.push_str(&format!("{cell:<width$}  "));
            } else {
                line.push_str(&format!("{cell:>width$}  "));
            }
        }
        println!("{}", line.trim_end());
    }
}

/// Writes `figures` to `path`.
pub fn write_json(path: &Path, figures: &serde_json::Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(figures)?;
    text.push('\n');
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
