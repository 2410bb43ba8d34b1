//! Results as a section of Markdown, plots included.

use std::fmt::{Result, Write};

use crate::hyperscan::Rates;
use crate::numbers::{significant, size, time};
use crate::plots;
use crate::results::{Peers, Results, Row};
use crate::workload::{Items, SOURCES, Source};

const NONE: &str = "–";

pub fn write(results: &Results, to: &mut String) -> Result {
    let run = &results.run;
    writeln!(to, "{}, {}, {} host cores, {}.\n", run.device, run.driver, run.host_cores, run.date)?;
    writeln!(to, "```sh\n{}\n```", run.command)?;
    if !results.workloads.is_empty() {
        throughput(results, to)?;
        stages(results, to)?;
        ceiling(results, to)?;
    }
    if !results.items.is_empty() {
        items(results, to)?;
    }
    if !results.sweep.is_empty() {
        sweep(results, to)?;
    }
    Ok(())
}

fn throughput(results: &Results, to: &mut String) -> Result {
    section(
        to,
        "Throughput by workload",
        plots::THROUGHPUT,
        "GB/s (1e9 bytes a second) by where the haystack is before the scan, with what is asked behind the \
         figure. vkscan's are medians of calls, one after the other, and then the throughput of four \
         that are in flight together, once its matches had the recorded digest; *empty* is the median of \
         submissions of no work in the same minute, which a thread waits for asleep. Hyperscan runs in \
         blocks of 256 KiB, best of three. `regex` is `find_iter` of each rule in turn on one core, over the \
         first bytes.",
    )?;
    header(
        to,
        &[
            "rules x haystack",
            "matches",
            "ordinary memory",
            "staging memory",
            "on the device",
            "a call, ordinary memory",
            "four in flight, ordinary / staging",
            "Hyperscan ends, 1 / 16 threads",
            "Hyperscan spans, 1 / 16 threads",
            "`regex`",
        ],
    )?;
    for row in &results.workloads {
        let mut cells = vec![row.workload.to_string()];
        cells.extend(vkscan_cells(row));
        cells.extend(row.peers.as_ref().map_or([NONE; 3].map(str::to_owned), peer_cells));
        line(to, &cells)?;
    }
    Ok(())
}

fn stages(results: &Results, to: &mut String) -> Result {
    section(
        to,
        "Time by stage",
        plots::STAGES,
        "Milliseconds of a call: by stage on the device's own clock, and the rest on the host.",
    )?;
    let mut named = results.workloads.iter().flat_map(Row::by_stage);
    let Some(scan) = named.next() else { return Ok(()) };
    let mut columns = vec!["rules x haystack", "from"];
    columns.extend(scan.stages.iter().map(|stage| stage.name.as_str()));
    columns.push("submissions");
    header(to, &columns)?;
    for row in &results.workloads {
        for scan in row.by_stage() {
            let mut cells = vec![row.workload.to_string(), scan.source.name().to_owned()];
            cells.extend(scan.stages.iter().map(|stage| significant(1e3 * stage.seconds)));
            cells.push(scan.submissions.to_string());
            line(to, &cells)?;
        }
    }
    Ok(())
}

fn ceiling(results: &Results, to: &mut String) -> Result {
    let ceiling = &results.ceiling;
    let text = format!(
        "Of what one H100 allows: {} GB/s from host memory to the device, {} GB/s in device memory.",
        ceiling.host, ceiling.device
    );
    section(to, "Distance to the ceiling", plots::CEILING, &text)?;
    let text = "GB/s of the haystack in each stage, by its share of the call, under the ceilings: what is far to the \
                right and far below is worth making faster.";
    section(to, "Stages under the ceilings", plots::ROOFLINE, text)
}

fn items(results: &Results, to: &mut String) -> Result {
    writeln!(
        to,
        "\n### Small haystacks\n\nThrough a ring session, from publishing items in ordinary memory to every item's own \
         matches: medians, with what is asked behind them. Hyperscan scans one item after the other, best of three."
    )?;
    header(
        to,
        &[
            "rules x items",
            "matches",
            "rounds",
            "items a second",
            "GB/s",
            "one item alone",
            "Hyperscan ends, 1 / 16 threads",
            "Hyperscan spans, 1 / 16 threads",
        ],
    )?;
    for row in &results.items {
        let Items { bytes, count, floor, .. } = &row.items;
        let asked =
            |floor: Option<String>| floor.map_or(String::new(), |floor| format!(" of {floor}"));
        let mut cells = vec![row.items.to_string()];
        match (&row.measured, &row.failed) {
            (Some(measured), _) => {
                let per_second = *count as f64 / measured.seconds;
                let gbps = per_second * *bytes as f64 / 1e9;
                let millions = |value: f64| significant(value / 1e6) + " M";
                cells.extend([
                    measured.matches.to_string(),
                    measured.rounds.to_string(),
                    millions(per_second) + &asked(floor.per_second.map(millions)),
                    significant(gbps) + &asked(floor.gbps.map(|gbps| gbps.to_string())),
                    time(measured.one_seconds)
                        + &asked(floor.one_us.map(|most| format!("{most} µs"))),
                ]);
            }
            (None, why) => {
                let why = why.as_deref().map_or(NONE.to_owned(), |why| format!("FAILED: {why}"));
                cells.extend([why, NONE.into(), NONE.into(), NONE.into(), NONE.into()]);
            }
        }
        let peers = row.hyperscan.as_ref();
        cells.extend(peers.map_or([NONE; 2].map(str::to_owned), |peers| {
            [rates_cell(&peers.ends), rates_cell(&peers.spans)]
        }));
        line(to, &cells)?;
    }
    Ok(())
}

fn sweep(results: &Results, to: &mut String) -> Result {
    let rules = results.sweep[0].workload.without_size();
    let text = format!("Per cent of a call of {rules}, by stage.");
    section(to, "Stages by size", plots::STAGES_BY_SIZE, &text)?;
    section(to, "Throughput by size", plots::SIZES, &format!("GB/s of {rules}."))?;
    header(
        to,
        &[
            "bytes",
            "matches",
            "ordinary memory",
            "staging memory",
            "on the device",
            "a call, ordinary memory",
            "four in flight, ordinary / staging",
        ],
    )?;
    for row in &results.sweep {
        let mut cells = vec![size(row.workload.bytes)];
        cells.extend(vkscan_cells(row));
        line(to, &cells)?;
    }
    Ok(())
}

/// Matches, GB/s by source, the time of a call, and GB/s of several. Where it stopped, it says why.
fn vkscan_cells(row: &Row) -> Vec<String> {
    let matches = row.scans.first().map_or(NONE.to_owned(), |scan| scan.matches.to_string());
    let mut rates = SOURCES.map(|source| {
        let rate = row.gbps(source).map(|gbps| significant(gbps) + &floor(row, source));
        rate.unwrap_or(NONE.to_owned())
    });
    if let (Some(stop), Some(cell)) = (&row.stopped, rates.get_mut(row.scans.len())) {
        *cell = stop.to_string();
    }
    let call = row.scan(Source::Ordinary).map_or(NONE.to_owned(), |scan| {
        let empty = row.empty_seconds.map_or(NONE.to_owned(), time);
        let asked = |most| format!(" of {most} µs, empty {empty}");
        time(scan.seconds) + &row.workload.floor.call_us.map_or(String::new(), asked)
    });
    let in_flight = [Source::Ordinary, Source::Staged]
        .map(|source| row.gbps_in_flight(source).map_or(NONE.to_owned(), significant));
    [vec![matches], rates.into(), vec![call, in_flight.join(" / ")]].concat()
}

/// What is asked, if anything is.
fn floor(row: &Row, source: Source) -> String {
    let floor = &row.workload.floor;
    match (source, floor.hyperscan, row.hyperscan()) {
        (Source::Ordinary, Some(times), Some(gbps)) => {
            format!(" of {} ({times} x Hyperscan)", significant(times * gbps))
        }
        (Source::Ordinary, Some(times), None) => format!(" of {times} x Hyperscan"),
        _ => floor.gbps(source).map_or(String::new(), |gbps| format!(" of {gbps}")),
    }
}

fn peer_cells(peers: &Peers) -> [String; 3] {
    let hyperscan = &peers.hyperscan;
    let regex = format!("{} ({})", significant(peers.regex.gbps), size(peers.regex.bytes));
    [rates_cell(&hyperscan.ends), rates_cell(&hyperscan.spans), regex]
}

fn rates_cell(rates: &std::result::Result<Rates, String>) -> String {
    match rates {
        Err(why) => why.clone(),
        Ok(rates) => {
            let with =
                |threads| rates.gbps.get(&threads).map_or(NONE.to_owned(), |&g| significant(g));
            let refused = match rates.refused {
                0 => String::new(),
                refused => format!(", refuses {refused} rules"),
            };
            let cut = if rates.is_cut { ", cut short" } else { "" };
            format!("{} / {}{refused}{cut}", with(1), with(16))
        }
    }
}

fn section(to: &mut String, title: &str, plot: &str, text: &str) -> Result {
    writeln!(to, "\n### {title}\n\n{text}\n\n![{title}]({plot})")
}

fn header(to: &mut String, columns: &[&str]) -> Result {
    writeln!(to, "\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()))
}

fn line(to: &mut String, cells: &[String]) -> Result {
    writeln!(to, "| {} |", cells.join(" | ").replace('\n', " "))
}
