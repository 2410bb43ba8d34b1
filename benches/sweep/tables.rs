//! Results as Markdown.

use std::fmt::{Result, Write};

use crate::data::without_size;
use crate::numbers::{significant, size, time};
use crate::results::{ASKED, Entry, Results, Scan};

/// Rules that are listed, and dozens of them.
const SLOWEST: [usize; 2] = [20, 5];
/// Characters of a pattern that are shown.
const SHOWN: usize = 60;

pub fn write(results: &Results, to: &mut String) -> Result {
    let run = &results.run;
    writeln!(to, "{}, {}, {} host cores, {}.\n", run.device, run.driver, run.host_cores, run.date)?;
    writeln!(to, "```sh\n{}\n```\n", run.command)?;
    writeln!(
        to,
        "Rules over {} of each haystack on the device, GB/s (1e9 bytes a second) of whole calls, medians, once the \
         matches of the first 64 KiB or 1 MiB were the oracle's. A rule is *bounded by its matches* if over one \
         byte in a hundred begins one. *Candidates* are grams in the haystack, class windows in typical data, and \
         all bytes where a rule has neither.",
        size(results.bytes)
    )?;
    for (title, entries, slowest) in [
        ("Rules alone", &results.alone, SLOWEST[0]),
        ("Dozens of rules together", &results.together, SLOWEST[1]),
    ] {
        if !entries.is_empty() {
            writeln!(to, "\n### {title}")?;
            percentiles(results, entries, to)?;
            preparation(entries, to)?;
            list(results, entries, slowest, to)?;
        }
    }
    Ok(())
}

fn percentiles(results: &Results, entries: &[Entry], to: &mut String) -> Result {
    header(
        to,
        &[
            "haystack",
            "exact",
            "GB/s at the 1st / 10th / 50th percentile",
            "candidates a MiB at the 99th / 90th / 50th",
            &format!("{ASKED} GB/s or more"),
            "bounded by their matches",
            "neither",
            "within what is asked",
        ],
    )?;
    for (index, haystack) in results.haystacks.iter().enumerate() {
        let scans: Vec<&Scan> =
            entries.iter().filter_map(|entry| entry.scans[index].as_ref().ok()).collect();
        let fast = scans.iter().filter(|scan| scan.is_fast()).count();
        let bounded =
            scans.iter().filter(|scan| !scan.is_fast() && scan.is_bounded_by_matches()).count();
        let rates = scans.iter().filter_map(|scan| scan.gbps()).collect();
        let candidates = scans.iter().map(|scan| scan.candidates_per_mib).collect();
        let share = 100.0 * (fast + bounded) as f64 / entries.len() as f64;
        line(
            to,
            &[
                without_size(haystack).to_owned(),
                format!("{} of {}", scans.len(), entries.len()),
                at(rates, [1, 10, 50]),
                at(candidates, [99, 90, 50]),
                fast.to_string(),
                bounded.to_string(),
                (scans.len() - fast - bounded).to_string(),
                format!("{share:.2} %"),
            ],
        )?;
    }
    Ok(())
}

/// The values that so many hundredths of them are within.
fn at(mut values: Vec<f64>, shares: [usize; 3]) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| {
        let value = values.get(values.len().saturating_sub(1) * share / 100);
        value.map_or("–".to_owned(), |&value| significant(value))
    };
    shares.map(at).join(" / ")
}

fn preparation(entries: &[Entry], to: &mut String) -> Result {
    let spent = |seconds: fn(&Entry) -> f64| {
        let mut seconds: Vec<f64> = entries.iter().map(seconds).collect();
        seconds.sort_by(f64::total_cmp);
        [seconds.len() / 2, seconds.len() - 1].map(|index| time(seconds[index])).join(" and ")
    };
    writeln!(
        to,
        "\nCompiling took {} (median and most), and a session {}.",
        spent(|entry| entry.compile_seconds),
        spent(|entry| entry.prepare_seconds)
    )
}

/// Those that are slowest over some haystack without having to be, each once.
fn list(results: &Results, entries: &[Entry], count: usize, to: &mut String) -> Result {
    let worst = |entry| Some((worst(results, entry)?, entry));
    let mut slowest: Vec<_> = entries.iter().filter_map(worst).collect();
    slowest.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
    slowest.truncate(count);
    let Some(((.., scan), _)) = slowest.first() else { return Ok(()) };
    writeln!(to, "\nThe slowest that are not bounded by their matches; milliseconds by stage:")?;
    let mut columns = vec!["rule", "pattern", "haystack", "GB/s", "matches", "candidates a MiB"];
    columns.extend(scan.stages.iter().map(|stage| stage.name.as_str()));
    columns.extend(["submissions", "most of it", "looked for by"]);
    header(to, &columns)?;
    for ((gbps, haystack, scan), entry) in slowest {
        let mut cells = vec![
            entry.name(),
            pattern(entry),
            format!("{}, {}", without_size(haystack), size(scan.bytes)),
            significant(gbps),
            scan.matches.to_string(),
            significant(scan.candidates_per_mib),
        ];
        cells.extend(scan.stages.iter().map(|stage| significant(1e3 * stage.seconds)));
        let most = scan.stages.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
        cells.extend([
            scan.submissions.to_string(),
            most.map_or(String::new(), |stage| stage.name.clone()),
            entry.looked_for.clone(),
        ]);
        line(to, &cells)?;
    }
    Ok(())
}

/// The slowest scan that its matches do not bound: GB/s, and the haystack.
fn worst<'a>(results: &'a Results, entry: &'a Entry) -> Option<(f64, &'a str, &'a Scan)> {
    let scans = results.haystacks.iter().zip(&entry.scans);
    let timed = scans.filter_map(|(haystack, scan)| {
        let scan = scan.as_ref().ok().filter(|scan| !scan.is_bounded_by_matches())?;
        Some((scan.gbps()?, haystack.as_str(), scan))
    });
    timed.min_by(|a, b| a.0.total_cmp(&b.0))
}

/// The beginning of a single rule's pattern.
fn pattern(entry: &Entry) -> String {
    let [rule] = entry.rules.as_slice() else { return "–".to_owned() };
    let cut: String = rule.pattern.chars().take(SHOWN).collect();
    let more = if cut.len() < rule.pattern.len() { "…" } else { "" };
    format!("`` {cut}{more} ``")
}

fn header(to: &mut String, columns: &[&str]) -> Result {
    writeln!(to, "\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()))
}

fn line(to: &mut String, cells: &[String]) -> Result {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(to, "| {} |", cells.join(" | ").replace('\n', " "))
}
