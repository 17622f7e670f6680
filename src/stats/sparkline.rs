//! A small chart of values over time, in text, as LATENCY GRAPH draws it.

/// Rows of a chart.
const ROWS: usize = 4;
/// Most columns; more values go on below.
const COLUMNS: usize = 80;
/// From a value at the bottom of its row to one at the top.
const FILLS: [char; 3] = ['_', 'o', '#'];

/// One column of a chart.
pub struct Bar {
    /// Its height.
    pub value: u32,
    /// Text below it, read downwards.
    pub label: String,
}

/// Draws the bars between the least and the greatest of their values.
pub fn draw(bars: &[Bar]) -> String {
    let values = || bars.iter().map(|bar| bar.value);
    let (Some(least), Some(greatest)) = (values().min(), values().max()) else {
        return String::new();
    };
    let charts: Vec<String> = bars
        .chunks(COLUMNS)
        .map(|bars| chart(bars, least, greatest))
        .collect();
    charts.join("\n")
}

fn chart(bars: &[Bar], least: u32, greatest: u32) -> String {
    let heights: Vec<usize> = bars
        .iter()
        .map(|bar| height(bar.value, least, greatest))
        .collect();
    let mut lines: Vec<String> = (0..ROWS)
        .rev()
        .map(|row| heights.iter().map(|height| cell(*height, row)).collect())
        .collect();
    lines.push(" ".repeat(bars.len()));
    let longest = bars.iter().map(|bar| bar.label.len()).max().unwrap_or(0);
    for at in 0..longest {
        let letter = |bar: &Bar| bar.label.as_bytes().get(at).map_or(' ', |b| char::from(*b));
        lines.push(bars.iter().map(letter).collect());
    }
    lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}

/// The height of a value, in parts of rows.
fn height(value: u32, least: u32, greatest: u32) -> usize {
    let parts = ROWS * FILLS.len();
    let range = u64::from(greatest - least).max(1);
    let height = u64::from(value - least) * parts as u64 / range;
    usize::try_from(height).map_or(parts - 1, |height| height.min(parts - 1))
}

/// What a bar looks like in a row, counted from below.
fn cell(height: usize, row: usize) -> char {
    match height.checked_sub(row * FILLS.len()) {
        None => ' ',
        Some(above) => FILLS.get(above).copied().unwrap_or('|'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[(u32, &str)]) -> String {
        let bar = |&(value, label): &(u32, &str)| Bar {
            value,
            label: label.to_owned(),
        };
        draw(&values.iter().map(bar).collect::<Vec<_>>())
    }

    #[test]
    fn bars_with_labels() {
        let chart = drawn(&[(10, "12s"), (60, "3m"), (110, "1h"), (30, "")]);
        let expected = [
            "  # ", //
            " _| ", //
            " || ", //
            "_||#", //
            "    ", //
            "131 ", //
            "2mh ", //
            "s   ",
        ];
        assert_eq!(chart.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn equal_values_lie_at_the_bottom() {
        assert_eq!(drawn(&[]), "");
        assert_eq!(drawn(&[(7, "")]), " \n \n \n_\n \n");
    }

    #[test]
    fn many_values_go_on_below() {
        let many: Vec<(u32, &str)> = (0..81).map(|value| (value, "x")).collect();
        let chart = drawn(&many);
        let lengths: Vec<usize> = chart.lines().map(str::len).collect();
        assert_eq!(lengths, [80, 80, 80, 80, 80, 80, 0, 1, 1, 1, 1, 1, 1]);
    }
}
