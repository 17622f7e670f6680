//! Curves as an SVG.

use std::fmt::Write;

/// Hit ratios of one server by cache size, both between 0 and 1.
pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Curves in one frame.
pub struct Panel {
    pub title: String,
    pub curves: Vec<Curve>,
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 45.0;
const COLUMNS: usize = 2;
/// The reference first.
const COLORS: [&str; 4] = ["#999999", "#c0392b", "#2471a3", "#229954"];
/// The greatest cache size shown.
const SIZE_MAX: f64 = 0.45;

/// The picture: one panel beside the other, two in a row.
pub fn draw(panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let (x, y) = (index % COLUMNS, index / COLUMNS);
        let (left, top) = (x as f64 * WIDTH, y as f64 * HEIGHT);
        let _ = writeln!(svg, "<g transform=\"translate({left} {top})\">");
        draw_panel(&mut svg, panel);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn at(size: f64, ratio: f64) -> (f64, f64) {
    let x = MARGIN + size / SIZE_MAX * (WIDTH - 2.0 * MARGIN);
    let y = HEIGHT - MARGIN - ratio * (HEIGHT - 2.0 * MARGIN);
    (x, y)
}

fn draw_panel(svg: &mut String, panel: &Panel) {
    let middle = WIDTH / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"25\" text-anchor=\"middle\" font-size=\"13\">{}</text>\n\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">keys that fit, percent of all</text>",
        panel.title,
        HEIGHT - 10.0
    );
    for step in 0..=5 {
        let ratio = f64::from(step) / 5.0;
        let ((x0, y), (x1, _)) = (at(0.0, ratio), at(SIZE_MAX, ratio));
        let _ = writeln!(
            svg,
            "<path d=\"M{x0} {y}H{x1}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.0}%</text>",
            x0 - 5.0,
            y + 4.0,
            ratio * 100.0
        );
    }
    for size in [0.1, 0.2, 0.3, 0.4] {
        let (x, y) = at(size, 0.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{:.0}</text>",
            y + 15.0,
            size * 100.0
        );
    }
    for (index, (curve, color)) in panel.curves.iter().zip(COLORS).enumerate() {
        let points = curve.points.iter().map(|(size, ratio)| {
            let (x, y) = at(*size, *ratio);
            format!("{x:.1},{y:.1} ")
        });
        let points: String = points.collect();
        let (x, y) = at(0.3, 0.05 + 0.08 * index as f64);
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>\
             <text x=\"{x}\" y=\"{y}\" fill=\"{color}\">{}</text>",
            curve.name
        );
    }
}
