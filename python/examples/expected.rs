//! What the `regex` crate finds, for examples of engines to compare with: `cargo run --example expected -- RULES ROWS`, of two
//! files with a JSON list of strings each. Prints a line for each row: a JSON list of `[rule, start, end]`.

use std::env;
use std::error::Error;
use std::fs;

use regex::bytes::{Regex, RegexBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let strings = |path: String| -> Result<Vec<String>, Box<dyn Error>> {
        Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
    };
    let mut files = env::args().skip(1).map(strings);
    let (Some(rules), Some(rows), None) = (files.next(), files.next(), files.next()) else {
        return Err("give a file of rules and one of rows".into());
    };
    let compile = |rule: String| RegexBuilder::new(&rule).unicode(false).build();
    let rules: Vec<Regex> = rules?.into_iter().map(compile).collect::<Result<_, _>>()?;
    for row in rows? {
        let found = rules.iter().enumerate().flat_map(|(rule, regex)| {
            let found = regex.find_iter(row.as_bytes()).filter(|found| !found.is_empty());
            found.map(move |found| (rule, found.start(), found.end()))
        });
        println!("{}", serde_json::to_string(&found.collect::<Vec<_>>())?);
    }
    Ok(())
}
