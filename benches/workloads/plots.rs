//! Results as SVG.

use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Result;
use crate::hyperscan::Rates;
use crate::measure::Scan;
use crate::numbers::{significant, size, time};
use crate::results::{Results, Row};
use crate::workload::{SOURCES, Source};

pub const THROUGHPUT: &str = "throughput.svg";
pub const STAGES: &str = "stages.svg";
pub const CEILING: &str = "ceiling.svg";
pub const STAGES_BY_SIZE: &str = "stages_by_size.svg";
pub const ROOFLINE: &str = "roofline.svg";
pub const SIZES: &str = "sizes.svg";

const WIDTH: u32 = 1080;
/// Heights of what is above a plot, of a bar, of the space between groups of bars, and of an axis.
const TOP: u32 = 60;
const BAR: u32 = 12;
const GAP: u32 = 10;
const AXIS: u32 = 45;
/// Widths of the names of groups, and of what is right of a plot.
const NAMES: u32 = 420;
const RIGHT: u32 = 70;

const FONT: (&str, u32) = ("sans-serif", 12);
const TITLE: (&str, u32) = ("sans-serif", 16);

const SOURCE_COLORS: [(Source, RGBColor); 3] = [
    (Source::Ordinary, RGBColor(0x8A, 0xBD, 0xE6)),
    (Source::Staged, RGBColor(0x3A, 0x86, 0xC8)),
    (Source::Device, RGBColor(0x12, 0x45, 0x7D)),
];
const ENDS: RGBColor = RGBColor(0xE0, 0x7B, 0x39);
const SPANS: RGBColor = RGBColor(0xF2, 0xB8, 0x80);
const REGEX: RGBColor = RGBColor(0x99, 0x99, 0x99);
const STAGE_COLORS: [RGBColor; 7] = [
    RGBColor(0x8A, 0xBD, 0xE6),
    RGBColor(0x12, 0x45, 0x7D),
    RGBColor(0x4F, 0x9D, 0x69),
    RGBColor(0xE3, 0xC5, 0x4A),
    RGBColor(0xC7, 0x4B, 0x50),
    RGBColor(0x8E, 0x6B, 0xB0),
    RGBColor(0xBB, 0xBB, 0xBB),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Bars of one workload.
struct Group {
    name: String,
    bars: Vec<Bar>,
}

/// Where its parts end, and what is written behind them.
struct Bar {
    ends: Vec<(f64, RGBColor)>,
    text: String,
}

/// All that there are results for.
pub fn write(results: &Results, folder: &Path) -> Result<()> {
    if !results.workloads.is_empty() {
        throughput(results, &folder.join(THROUGHPUT))?;
        let title =
            "Time by stage, per cent of a call: from ordinary memory, and from device memory";
        stages(&results.workloads, title, &folder.join(STAGES))?;
        ceiling(results, &folder.join(CEILING))?;
        roofline(results, &folder.join(ROOFLINE))?;
    }
    if !results.sweep.is_empty() {
        sizes(results, &folder.join(SIZES))?;
        let title = "Time by stage and size, per cent of a call: from ordinary memory, and from device memory";
        stages(&results.sweep, title, &folder.join(STAGES_BY_SIZE))?;
    }
    Ok(())
}

fn throughput(results: &Results, file: &Path) -> Result<()> {
    const PEERS: [(&str, RGBColor); 3] = [
        ("Hyperscan ends, 16 threads", ENDS),
        ("Hyperscan spans, 16 threads", SPANS),
        ("regex, 1 thread", REGEX),
    ];

    let groups: Vec<Group> = results.workloads.iter().map(throughput_of).collect();
    let legend = [&source_legend()[..], &PEERS].concat();
    let range = decades(groups.iter().flat_map(Group::ends));
    bars(file, "Throughput, GB/s", &legend, range.log_scale(), &groups)
}

fn throughput_of(row: &Row) -> Group {
    let vkscan = SOURCE_COLORS.map(|(source, color)| (row.gbps(source), color));
    let peers = row.peers.as_ref().map_or(Vec::new(), |peers| {
        let with_spans = peers.hyperscan.spans.as_ref().ok();
        vec![
            (row.hyperscan(), ENDS),
            (with_spans.and_then(Rates::with_most_threads), SPANS),
            (Some(peers.regex.gbps), REGEX),
        ]
    });
    let bars = vkscan.into_iter().chain(peers).filter_map(|(gbps, color)| {
        let gbps = gbps?;
        Some(Bar { ends: vec![(gbps, color)], text: significant(gbps) })
    });
    Group { name: row.workload.to_string(), bars: bars.collect() }
}

fn ceiling(results: &Results, file: &Path) -> Result<()> {
    let group = |row: &Row| {
        let bars = SOURCE_COLORS.into_iter().filter_map(|(source, color)| {
            let share = 100.0 * row.gbps(source)? / results.ceiling.of(source);
            Some(Bar { ends: vec![(share, color)], text: format!("{} %", significant(share)) })
        });
        Group { name: row.workload.to_string(), bars: bars.collect() }
    };
    let groups: Vec<Group> = results.workloads.iter().map(group).collect();
    let Range { start, end } = decades(groups.iter().flat_map(Group::ends));
    let range = start.min(10.0)..end.max(100.0);
    bars(file, "Per cent of the ceiling", &source_legend(), range.log_scale(), &groups)
}

fn stages(rows: &[Row], title: &str, file: &Path) -> Result<()> {
    let bar = |scan: &Scan| {
        let ends = scan.stages.iter().scan(0.0, |end, stage| {
            *end += 100.0 * stage.seconds / scan.seconds;
            Some(*end)
        });
        Bar { ends: ends.zip(STAGE_COLORS).collect(), text: time(scan.seconds) }
    };
    let group = |row: &Row| {
        let bars = row.by_stage().map(bar).collect();
        Group { name: row.workload.to_string(), bars }
    };
    let groups: Vec<Group> = rows.iter().map(group).collect();
    bars(file, title, &stage_legend(rows), 0.0..100.0, &groups)
}

/// Stages of all workloads under what the device can do at best: how fast a haystack goes through each, by its share of the call.
/// What is to the right is worth making faster, as far as it is from the roofs.
fn roofline(results: &Results, file: &Path) -> Result<()> {
    /// Shares below this are as good as nothing, in per cent.
    const LEAST_SHARE: f64 = 0.1;

    let stages = results.workloads.iter().flat_map(|row| {
        let scans = row
            .by_stage()
            .flat_map(|scan| scan.stages.iter().zip(STAGE_COLORS).map(move |stage| (scan, stage)));
        scans.map(|(scan, (stage, color))| {
            let share = 100.0 * stage.seconds / scan.seconds;
            (share, row.workload.bytes as f64 / stage.seconds / 1e9, color)
        })
    });
    let stages: Vec<(f64, f64, RGBColor)> =
        stages.filter(|(share, gbps, _)| *share >= LEAST_SHARE && gbps.is_finite()).collect();
    let range = decades(stages.iter().map(|(_, gbps, _)| *gbps).chain([results.ceiling.device]));

    let legend = stage_legend(&results.workloads);
    let area = SVGBackend::new(file, (WIDTH, 600)).into_drawing_area();
    head(&area, "Stages of all workloads: GB/s of the haystack by per cent of the call", &legend)?;
    let (first, last) = (LEAST_SHARE, 100.0);
    let mut chart = ChartBuilder::on(&area)
        .margin_top(TOP)
        .margin_right(RIGHT)
        .x_label_area_size(AXIS)
        .y_label_area_size(RIGHT)
        .build_cartesian_2d((first..last).log_scale(), range.log_scale())?;
    chart
        .configure_mesh()
        .label_style(FONT)
        .x_label_formatter(&|share| format!("{} %", plain(*share)))
        .y_label_formatter(&|gbps| plain(*gbps))
        .light_line_style(TRANSPARENT)
        .draw()?;
    let points =
        stages.iter().map(|(share, gbps, color)| Circle::new((*share, *gbps), 4, color.filled()));
    chart.draw_series(points)?;
    roofs(&area, &mut chart, results, first..last)
}

/// What the device can do at best, as lines.
fn roofs<X, Y>(
    area: &Area,
    chart: &mut ChartContext<SVGBackend, Cartesian2d<X, Y>>,
    results: &Results,
    Range { start, end }: Range<f64>,
) -> Result<()>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let ceilings =
        [("host to device", results.ceiling.host), ("device memory", results.ceiling.device)];
    for (name, gbps) in ceilings {
        let line = [(start, gbps), (end, gbps)];
        chart.draw_series(DashedLineSeries::new(line, 6, 4, BLACK.mix(0.6).into()))?;
        let (x, y) = chart.backend_coord(&(start, gbps));
        text(area, &format!("ceiling, {name}"), (x + 6, y - 8), HPos::Left)?;
    }
    Ok(area.present()?)
}

fn sizes(results: &Results, file: &Path) -> Result<()> {
    let rows = &results.sweep;
    let bytes = |row: &Row| row.workload.bytes as f64;
    let first = bytes(&rows[0]);
    let last = bytes(&rows[rows.len() - 1]).max(2.0 * first);
    let rates = rows.iter().flat_map(|row| SOURCES.map(|source| row.gbps(source))).flatten();
    let ceilings = [results.ceiling.host, results.ceiling.device];
    let range = decades(rates.chain(ceilings));

    let area = SVGBackend::new(file, (WIDTH, 600)).into_drawing_area();
    let title = format!("Throughput by size, GB/s: {}", rows[0].workload.without_size());
    head(&area, &title, &source_legend())?;
    let mut chart = ChartBuilder::on(&area)
        .margin_top(TOP)
        .margin_right(RIGHT)
        .x_label_area_size(AXIS)
        .y_label_area_size(RIGHT)
        .build_cartesian_2d((first..last).log_scale().base(2.0), range.log_scale())?;
    chart
        .configure_mesh()
        .label_style(FONT)
        .x_labels(rows.len())
        .x_label_formatter(&|bytes| size(bytes.round() as usize))
        .y_label_formatter(&|gbps| plain(*gbps))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (source, color) in SOURCE_COLORS {
        let points = rows.iter().filter_map(|row| Some((bytes(row), row.gbps(source)?)));
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(3))?;
    }
    roofs(&area, &mut chart, results, first..last)
}

/// Horizontal bars in groups.
fn bars<X>(
    file: &Path,
    title: &str,
    legend: &[(&str, RGBColor)],
    range: X,
    groups: &[Group],
) -> Result<()>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let height = groups.iter().map(Group::height).sum::<u32>();
    let area = SVGBackend::new(file, (WIDTH, TOP + height + AXIS)).into_drawing_area();
    head(&area, title, legend)?;
    let mut chart = ChartBuilder::on(&area)
        .margin_top(TOP)
        .margin_right(RIGHT)
        .x_label_area_size(AXIS)
        .y_label_area_size(NAMES)
        .build_cartesian_2d(range, 0.0..f64::from(height))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .label_style(FONT)
        .x_label_formatter(&|value| plain(*value))
        .light_line_style(TRANSPARENT)
        .draw()?;
    let left = chart.x_range().start;
    let mut top = height;
    for group in groups {
        let middle = f64::from(top) - f64::from(group.height()) / 2.0;
        let (x, y) = chart.backend_coord(&(left, middle));
        text(&area, &group.name, (x - 8, y), HPos::Right)?;
        for (index, bar) in group.bars.iter().enumerate() {
            let upper = f64::from(top - GAP / 2 - BAR * index as u32);
            let lower = upper - f64::from(BAR - 2);
            let mut from = left;
            for &(end, color) in &bar.ends {
                let part = Rectangle::new([(from, upper), (end, lower)], color.filled());
                chart.draw_series([part])?;
                from = end;
            }
            let (x, y) = chart.backend_coord(&(from, (upper + lower) / 2.0));
            text(&area, &bar.text, (x + 4, y), HPos::Left)?;
        }
        top -= group.height();
    }
    Ok(area.present()?)
}

impl Group {
    fn height(&self) -> u32 {
        BAR * self.bars.len().max(1) as u32 + GAP
    }

    fn ends(&self) -> impl Iterator<Item = f64> {
        self.bars.iter().flat_map(|bar| &bar.ends).map(|(end, _)| *end)
    }
}

fn source_legend() -> [(&'static str, RGBColor); 3] {
    SOURCE_COLORS.map(|(source, color)| (source.name(), color))
}

fn stage_legend(rows: &[Row]) -> Vec<(&str, RGBColor)> {
    let scan = rows.iter().find_map(|row| row.scans.first());
    let names = scan.into_iter().flat_map(|scan| &scan.stages).map(|stage| stage.name.as_str());
    names.zip(STAGE_COLORS).collect()
}

/// Title and legend.
fn head(area: &Area, title: &str, legend: &[(&str, RGBColor)]) -> Result<()> {
    area.fill(&WHITE)?;
    area.draw(&Text::new(title.to_owned(), (12, 10), TITLE.into_font()))?;
    let mut x = 12;
    for (name, color) in legend {
        area.draw(&Rectangle::new([(x, 36), (x + 12, 48)], color.filled()))?;
        text(area, name, (x + 18, 42), HPos::Left)?;
        x += 40 + 7 * name.len() as i32;
    }
    Ok(())
}

fn text(area: &Area, text: &str, at: (i32, i32), side: HPos) -> Result<()> {
    let style = TextStyle::from(FONT.into_font()).pos(Pos::new(side, VPos::Center));
    Ok(area.draw(&Text::new(text.to_owned(), at, style))?)
}

/// A number of few digits, without zeros behind them.
fn plain(value: f64) -> String {
    let digits = format!("{value:.6}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The powers of ten around all values.
fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let logs: Vec<f64> = values.filter(|value| *value > 0.0).map(f64::log10).collect();
    let least = logs.iter().copied().reduce(f64::min).unwrap_or(0.0).floor();
    let most = logs.iter().copied().reduce(f64::max).unwrap_or(0.0).floor() + 1.0;
    10f64.powf(least)..10f64.powf(most)
}
