//! Draws axes, lines and marks as SVG text.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = Box<dyn std::error::Error>;
const SIZE: (u32, u32) = (640, 400);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const RULE: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);

/// Points of one colour, in order.
pub(super) struct Series {
    pub(super) colour: RGBColor,
    /// Filled marks are siskin's, hollow ones another program's.
    pub(super) filled: bool,
    pub(super) points: Vec<(f64, f64)>,
    /// The lowest and highest value of each point, if the points have a range.
    pub(super) ranges: Vec<(f64, f64)>,
}

/// The style of a chart.
pub(super) struct Style<'s> {
    pub(super) x: &'s str,
    pub(super) y: &'s str,
    pub(super) marks: bool,
    /// Curves in grey, each a function from x to y.
    pub(super) curves: &'s [Box<dyn Fn(f64) -> f64>],
    /// The largest y, if it is known beforehand.
    pub(super) most: Option<f64>,
}

/// Draws a chart. Returns `None` if there is nothing to draw.
pub(super) fn draw(series: &[Series], style: &Style<'_>) -> Option<String> {
    series
        .iter()
        .any(|series| !series.points.is_empty())
        .then_some(())?;
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    paint(&area, series, style).expect("a text takes every stroke");
    drop(area);
    Some(svg)
}

fn paint(area: &Area<'_>, series: &[Series], style: &Style<'_>) -> Result<(), Failure> {
    let (across, up) = bounds(series, style);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(across.clone(), up.clone())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RULE)
        .axis_style(INK)
        .x_desc(style.x)
        .y_desc(style.y)
        .x_labels(8)
        .y_labels(6)
        .axis_desc_style(("sans-serif", 16, &INK))
        .label_style(("sans-serif", 15, &INK))
        .x_label_formatter(&|value| plain(*value))
        .y_label_formatter(&|value| plain(*value))
        .draw()?;
    for curve in style.curves {
        let steps =
            (0..=200).map(|step| across.start + (across.end - across.start) * f64::from(step) / 200.0);
        let points = steps.map(|x| (x, curve(x))).filter(|point| up.contains(&point.1));
        chart.draw_series(LineSeries::new(
            points,
            RGBColor(0x99, 0x99, 0x99).stroke_width(2),
        ))?;
    }
    for Series {
        colour,
        filled,
        points,
        ranges,
    } in series
    {
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        let bars = points.iter().zip(ranges).filter(|(_, range)| range.0 < range.1);
        chart.draw_series(
            bars.map(|(point, range)| PathElement::new([(point.0, range.0), (point.0, range.1)], colour)),
        )?;
        if style.marks {
            let inside: ShapeStyle = if *filled { colour.filled() } else { WHITE.filled() };
            chart.draw_series(points.iter().map(|&point| Circle::new(point, 5, inside)))?;
            chart.draw_series(
                points
                    .iter()
                    .map(|&point| Circle::new(point, 5, colour.stroke_width(2))),
            )?;
        }
    }
    area.present()?;
    Ok(())
}

/// Formats a number for an axis, without trailing zeros.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The ranges of the axes: y starts at zero, x covers the points. Curves are in sight at the points.
fn bounds(series: &[Series], style: &Style<'_>) -> (Range<f64>, Range<f64>) {
    let points = || series.iter().flat_map(|series| &series.points);
    let highs = series
        .iter()
        .flat_map(|series| series.ranges.iter().map(|range| range.1));
    let above = points().flat_map(|point| style.curves.iter().map(|curve| curve(point.0)));
    let least = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
    let high = points()
        .map(|point| point.1)
        .chain(highs)
        .chain(above)
        .fold(0.0, f64::max);
    let gap = if most > least {
        (most - least) * 0.06
    } else {
        (most * 0.2).max(1.0)
    };
    let top = style.most.unwrap_or(if high > 0.0 { high * 1.15 } else { 1.0 });
    ((least - gap).max(0.0).min(least)..most + gap, 0.0..top)
}
