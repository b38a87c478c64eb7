//! Draws how figures grow with the number of flows, as an SVG. Both axes are logarithmic, so constant cost is a
//! horizontal line.

use std::path::Path;

use plotters::prelude::*;

use crate::report::Row;

/// Subject, operation, label and colour of each line.
const LINES: [(&str, &str, &str, RGBColor); 6] = [
    ("JSON", "durable save", "JSON: durable save", RGBColor(0x1b, 0x6e, 0xc2)),
    ("JSON", "open", "JSON: open", RGBColor(0x6b, 0x3f, 0xa0)),
    ("lists", "first page", "PostgreSQL: first page", RGBColor(0x0f, 0x7b, 0x4f)),
    ("lists", "deep page", "PostgreSQL: deep page", RGBColor(0xb0, 0x5a, 0x00)),
    ("lists", "search by name", "PostgreSQL: search by name", RGBColor(0xa8, 0x1c, 0x5c)),
    ("PostgreSQL", "snapshot of all", "PostgreSQL: snapshot of all", RGBColor(0x45, 0x4d, 0x58)),
];

pub(crate) fn draw(path: &Path, rows: &[Row]) {
    try_to_draw(path, rows).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn try_to_draw(path: &Path, rows: &[Row]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, (860, 520)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Time of one operation over the number of flows, 2 kB each", ("sans-serif", 18))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d((10.0..100_000.0).log_scale(), (1e-4..10.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("flows")
        .y_desc("milliseconds")
        .x_label_formatter(&|flows| format!("{flows:.0}"))
        .y_label_formatter(&|seconds| format!("{}", seconds * 1e3))
        .light_line_style(WHITE)
        .draw()?;
    for (subject, what, name, colour) in LINES {
        let of_line = rows.iter().filter(|row| row.subject == subject && row.what == what && row.bytes == 2_000);
        let points: Vec<_> = of_line.map(|row| (row.flows as f64, row.median)).collect();
        if points.is_empty() {
            continue;
        }
        let style = colour.stroke_width(2);
        let line = LineSeries::new(points, style).point_size(3);
        chart.draw_series(line)?.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    area.present()?;
    Ok(())
}
