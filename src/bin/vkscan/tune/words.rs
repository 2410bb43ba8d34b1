//! A haystack for rules that none was given for.

use fastrand::Rng;

/// Words in random order: of the rules' own text, so that some rules look twice at them, and others.
pub fn haystack<'r>(patterns: impl Iterator<Item = &'r str>, bytes: usize) -> Vec<u8> {
    const LONGEST: usize = 12;
    /// One word in so many is of the rules.
    const OF_RULES: usize = 16;
    const LINE: usize = 12;

    let mut rng = Rng::with_seed(1);
    let own = patterns.flat_map(|pattern| pattern.split(|char: char| !char.is_alphanumeric()));
    let own: Vec<&str> = own.filter(|word| word.len() > 2).collect();
    let mut text = Vec::with_capacity(bytes + LONGEST);
    while text.len() < bytes {
        match rng.choice(&own) {
            Some(word) if rng.usize(0..OF_RULES) == 0 => text.extend(word.bytes()),
            _ => {
                let length = rng.usize(1..=LONGEST);
                text.extend((0..length).map(|_| rng.lowercase() as u8));
            }
        }
        text.push(if rng.usize(0..LINE) == 0 { b'\n' } else { b' ' });
    }
    text.truncate(bytes);
    text
}
