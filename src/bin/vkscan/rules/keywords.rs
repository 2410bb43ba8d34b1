//! Words without which a rule finds nothing: gitleaks looks for a rule in what has one of them, in upper or lower case.
//!
//! Here they are looked for where their rule has matched, and that seldom further than in the match itself.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, Anchored, Input, StartKind};

use super::Filter;

/// The words of all rules.
pub struct Keywords {
    words: Vec<String>,
    search: Option<AhoCorasick>,
    most_bytes: usize,
}

/// Which of the words are in what was looked through so far.
#[derive(Default)]
pub struct Seen {
    seen: Vec<bool>,
    left: usize,
    /// The last bytes, where a word may have begun.
    tail: Vec<u8>,
    /// How much was looked through.
    bytes: u64,
}

impl Keywords {
    /// Numbers the words of all filters, which name them by these numbers from now on.
    pub fn new<'f>(filters: impl Iterator<Item = &'f mut Filter>) -> Keywords {
        let mut numbers = BTreeMap::new();
        for filter in filters {
            filter.keyword_ids.clear();
            for word in &filter.keywords {
                let next = numbers.len();
                filter.keyword_ids.push(*numbers.entry(word.to_ascii_lowercase()).or_insert(next));
            }
        }
        let mut words = vec![String::new(); numbers.len()];
        numbers.into_iter().for_each(|(word, number)| words[number] = word);
        let search = (!words.is_empty()).then(|| {
            let mut builder = AhoCorasick::builder();
            builder.ascii_case_insensitive(true).start_kind(StartKind::Unanchored);
            builder.build(&words).expect("they are fewer and shorter than is possible")
        });
        let most_bytes = words.iter().map(String::len).max().unwrap_or(0);
        Keywords { words, search, most_bytes }
    }

    /// Whether any of the words with these numbers is in a text.
    pub fn has_any(&self, ids: &[usize], text: &[u8]) -> bool {
        ids.iter().any(|&id| {
            let word = self.words[id].as_bytes();
            text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
        })
    }

    /// Nothing was looked through.
    pub fn none_seen(&self) -> Seen {
        let count = self.words.len();
        Seen { seen: vec![false; count], left: count, tail: Vec::new(), bytes: 0 }
    }
}

impl Seen {
    /// Looks through what follows.
    pub fn look_through(&mut self, keywords: &Keywords, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let Some(search) = keywords.search.as_ref().filter(|_| self.left > 0) else { return };
        let tail_bytes = keywords.most_bytes - 1;
        if !self.tail.is_empty() {
            let mut seam = std::mem::take(&mut self.tail);
            seam.extend_from_slice(&bytes[..bytes.len().min(tail_bytes)]);
            self.mark(search, &seam);
            if bytes.len() < tail_bytes {
                seam.drain(..seam.len().saturating_sub(tail_bytes));
                self.tail = seam;
            }
        }
        self.mark(search, bytes);
        if self.tail.is_empty() {
            self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(tail_bytes)..]);
        }
    }

    fn mark(&mut self, search: &AhoCorasick, bytes: &[u8]) {
        let input = Input::new(bytes).anchored(Anchored::No);
        for found in search.find_overlapping_iter(input) {
            let seen = &mut self.seen[found.pattern().as_usize()];
            if !std::mem::replace(seen, true) {
                self.left -= 1;
                if self.left == 0 {
                    break;
                }
            }
        }
    }

    pub fn has_any(&self, ids: &[usize]) -> bool {
        ids.iter().any(|&id| self.seen[id])
    }

    /// How many words were not seen yet.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Bytes that were looked through.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(words: &[&[&str]]) -> (Keywords, Vec<Vec<usize>>) {
        let filter = |words: &&[&str]| Filter {
            keywords: words.iter().map(|word| (*word).to_owned()).collect(),
            ..Filter::default()
        };
        let mut filters: Vec<Filter> = words.iter().map(filter).collect();
        let keywords = Keywords::new(filters.iter_mut());
        (keywords, filters.into_iter().map(|filter| filter.keyword_ids).collect())
    }

    #[test]
    fn words_are_found_wherever_a_text_is_cut() {
        let (keywords, ids) =
            numbered(&[&["AKIA", "key"], &["keyring"], &[], &["Key"], &["absent"]]);
        assert_eq!(ids[0][1], ids[3][0]);
        let text = b"xx akIa yyy KEYRING z";
        for step in 1..text.len() {
            let mut seen = keywords.none_seen();
            text.chunks(step).for_each(|chunk| seen.look_through(&keywords, chunk));
            assert_eq!(seen.bytes(), text.len() as u64);
            let found: Vec<bool> = ids.iter().map(|ids| seen.has_any(ids)).collect();
            assert_eq!(found, [true, true, false, true, false], "{step}");
        }
        assert!(keywords.has_any(&ids[1], text) && !keywords.has_any(&ids[4], text));
    }
}
