//! The charts of a report, as SVG text. A colour means the same model in each of them.

mod draw;

use plotters::style::RGBColor;

use draw::{Series, Style, draw};

use super::tables::processes;
use crate::result::{Kind, Results, Run, Tool};

/// Okabe and Ito's colours, which people with any colour vision can distinguish, and a brown as the eighth.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x55, 0x55, 0x55),
    RGBColor(0x8c, 0x56, 0x4b),
];

/// A chart with its title and caption.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) caption: &'static str,
    pub(super) svg: String,
}

/// An entry of the legend: a colour and what it means.
pub(super) struct Key {
    pub(super) colour: String,
    pub(super) label: String,
}

/// The legend for all charts.
pub(super) fn keys(results: &Results) -> Vec<Key> {
    let colour = |index: usize| {
        let RGBColor(red, green, blue) = COLOURS[index % COLOURS.len()];
        format!("#{red:02x}{green:02x}{blue:02x}")
    };
    let labels = labels(results).into_iter().enumerate();
    labels
        .map(|(index, label)| Key {
            colour: colour(index),
            label,
        })
        .collect()
}

/// The labels that get their own colour: one per model, thread count and file that it was imported from.
fn labels(results: &Results) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for label in results.runs.iter().map(|run| label(run, results)) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

fn label(run: &Run, results: &Results) -> String {
    let plural = if run.threads == 1 { "" } else { "s" };
    let from = run.imported_from.as_ref();
    let from = from.map_or(String::new(), |file| format!(", imported from {file}"));
    format!(
        "{}, {} thread{plural}{from}",
        run.title(&results.runs),
        run.threads
    )
}

/// Every chart that has something to show.
pub(super) fn all(results: &Results) -> Vec<Chart> {
    let charts = [
        by_depth(results, Kind::Prefill, "Prefill by depth"),
        by_depth(results, Kind::Decode, "Decode by depth"),
        passes(results, Kind::Verify, "Time of a pass of one sequence"),
        passes(results, Kind::Parallel, "Time of a pass of several sequences"),
        memory(results),
        latency(results),
        roofline(results),
    ];
    charts.into_iter().flatten().collect()
}

/// Groups runs by colour and program; `point` gives x, y and the range of y.
fn series<'r>(
    results: &Results,
    runs: impl Iterator<Item = &'r Run>,
    point: impl Fn(&Run) -> Option<(f64, f64, (f64, f64))>,
) -> Vec<Series> {
    let labels = labels(results);
    let mut found: Vec<((usize, Tool, u32), Series)> = Vec::new();
    for run in runs {
        let (Some(index), Some((x, y, range))) = (
            labels.iter().position(|known| *known == label(run, results)),
            point(run),
        ) else {
            continue;
        };
        // Runs of different lengths get separate lines.
        let key = (index, run.tool, run.test.tokens);
        let place = found.iter().position(|entry| entry.0 == key).unwrap_or_else(|| {
            let colour = COLOURS[index % COLOURS.len()];
            found.push((
                key,
                Series {
                    colour,
                    filled: run.tool == Tool::Siskin,
                    points: vec![],
                    ranges: vec![],
                },
            ));
            found.len() - 1
        });
        found[place].1.points.push((x, y));
        found[place].1.ranges.push(range);
    }
    found.into_iter().map(|entry| entry.1).collect()
}

fn by_depth(results: &Results, kind: Kind, title: &'static str) -> Option<Chart> {
    let runs = results.runs.iter().filter(|run| run.test.kind == kind);
    let series = series(results, runs, |run| {
        let speed = &run.tokens_per_second;
        Some((
            f64::from(run.test.depth_tokens),
            speed.median,
            (speed.min, speed.max),
        ))
    });
    let style = Style {
        x: "tokens already in the context",
        y: "tokens/s",
        marks: true,
        curves: &[],
        most: None,
    };
    Some(Chart {
        title,
        caption: "Medians; bars from the slowest to the fastest round.",
        svg: draw(&series, &style)?,
    })
}

/// T(n) over n: a line for each depth.
fn passes(results: &Results, kind: Kind, title: &'static str) -> Option<Chart> {
    let runs: Vec<&Run> = results.runs.iter().filter(|run| run.test.kind == kind).collect();
    let mut depths: Vec<u32> = runs.iter().map(|run| run.test.depth_tokens).collect();
    depths.sort_unstable();
    depths.dedup();
    let line = |&depth: &u32| {
        let here = runs
            .iter()
            .copied()
            .filter(move |run| run.test.depth_tokens == depth);
        joined(series(results, here, |run| {
            let ratio = run.pass.as_ref()?.relative_time?;
            let range = (
                ratio.low.unwrap_or(ratio.ratio),
                ratio.high.unwrap_or(ratio.ratio),
            );
            Some((f64::from(run.test.tokens), ratio.ratio, range))
        }))
    };
    let series: Vec<Series> = depths.iter().flat_map(line).collect();
    let style = Style {
        x: "tokens computed together",
        y: "time relative to one",
        marks: true,
        curves: &[],
        most: None,
    };
    let caption = "T(n), a line for each depth. Bars are 95 % intervals.";
    Some(Chart {
        title,
        caption,
        svg: draw(&series, &style)?,
    })
}

/// Series of one model and program as one line: here the lengths are the places on it.
fn joined(series: Vec<Series>) -> Vec<Series> {
    let mut lines: Vec<Series> = Vec::new();
    for one in series {
        let same = |line: &&mut Series| (line.colour, line.filled) == (one.colour, one.filled);
        match lines.iter_mut().find(same) {
            Some(line) => {
                line.points.extend(one.points);
                line.ranges.extend(one.ranges);
            }
            None => lines.push(one),
        }
    }
    lines
}

fn memory(results: &Results) -> Option<Chart> {
    const MIB: f64 = (1u64 << 20) as f64;
    let series = series(results, processes(results).into_iter(), |run| {
        let peak = run.memory?.peak_rss_bytes as f64 / MIB;
        let context = run.context_tokens.filter(|_| run.sequences.is_none())?;
        Some((f64::from(context), peak, (peak, peak)))
    });
    let style = Style {
        x: "context in tokens",
        y: "MiB",
        marks: true,
        curves: &[],
        most: None,
    };
    let caption = "Peak resident memory of a process that did nothing else, mapped weights included.";
    Some(Chart {
        title: "Peak RSS by context",
        caption,
        svg: draw(&series, &style)?,
    })
}

fn latency(results: &Results) -> Option<Chart> {
    let labels = labels(results);
    let one = |run: &Run| {
        let mut times = run.token_latency.as_ref()?.samples_microseconds.clone();
        times.sort_unstable();
        let index = labels.iter().position(|known| *known == label(run, results))?;
        let share = |place: usize| 100.0 * (place + 1) as f64 / times.len() as f64;
        let points: Vec<(f64, f64)> = times
            .iter()
            .enumerate()
            .map(|(place, &time)| (time as f64 / 1e3, share(place)))
            .collect();
        Some(Series {
            colour: COLOURS[index % COLOURS.len()],
            filled: true,
            points,
            ranges: vec![],
        })
    };
    let series: Vec<Series> = results.runs.iter().filter_map(one).collect();
    let style = Style {
        x: "milliseconds",
        y: "% of tokens",
        marks: false,
        curves: &[],
        most: Some(100.0),
    };
    let caption = "Share of decoded tokens that took at most this long; a steep line is a steady pace.";
    Some(Chart {
        title: "Time of a token",
        caption,
        svg: draw(&series, &style)?,
    })
}

fn roofline(results: &Results) -> Option<Chart> {
    let decodes = results.runs.iter().filter(|run| run.test.kind == Kind::Decode);
    let mut series = series(results, decodes, |run| {
        let speed = &run.tokens_per_second;
        Some((
            run.bytes_read_per_token? as f64 / 1e6,
            speed.median,
            (speed.min, speed.max),
        ))
    });
    // The points of a series are different depths: no line leads from one to the next.
    series = series.into_iter().flat_map(apart).collect();
    let curves: Vec<Box<dyn Fn(f64) -> f64>> = results
        .read_bandwidths
        .iter()
        .map(|entry| {
            let megabytes = entry.bytes_per_second.median / 1e6;
            Box::new(move |x: f64| megabytes / x) as Box<dyn Fn(f64) -> f64>
        })
        .collect();
    let style = Style {
        x: "MB read a token",
        y: "tokens/s",
        marks: true,
        curves: &curves,
        most: None,
    };
    let caption = "Grey: how fast this machine reads memory, one curve per thread count. A mark on its curve decodes at the speed of memory.";
    Some(Chart {
        title: "Roofline of decoding",
        caption,
        svg: draw(&series, &style)?,
    })
}

fn apart(series: Series) -> Vec<Series> {
    let Series {
        colour,
        filled,
        points,
        ranges,
    } = series;
    let one = |(point, range)| Series {
        colour,
        filled,
        points: vec![point],
        ranges: vec![range],
    };
    points.into_iter().zip(ranges).map(one).collect()
}
