//! Small inputs that once went wrong, each with what is right, and none of them slow.
//!
//! One test runs them one after the other, so that the processor time of this process is a case's own.

mod common;

use std::time::Duration;

use common::{cpu_time, gpu, options, say};
use vkscan::{Match, MatchKind, RulePipeline};

/// Of one core, to compile, prepare and scan. All should take a fraction of it.
const MOST_TIME: Duration = Duration::from_secs(10);

struct Kept {
    name: &'static str,
    patterns: Vec<String>,
    haystack: Vec<u8>,
    kind: MatchKind,
}

/// A class of the bytes that are so, with all bytes written out.
fn class(holds: impl Fn(u8) -> bool) -> String {
    let bytes = (0..=255_u8).filter(|&byte| holds(byte)).map(|byte| format!("\\x{byte:02x}"));
    format!("[{}]", bytes.collect::<String>())
}

/// Eight classes, of the bytes that have each bit, but for some.
fn bits(but: &[u8]) -> String {
    let bit = |bit: u32| class(|byte| byte >> bit & 1 == 1 && !but.contains(&byte));
    (0..8).map(bit).collect()
}

/// What a YARA string of hexadecimal digits is as a regex, `?` for any digit.
fn nibbles(digits: &str) -> String {
    let nibble = |digit: u8, shift: u32| {
        let value = char::from(digit).to_digit(16);
        move |byte: u8| value.is_none_or(|value| u32::from(byte >> shift & 15) == value)
    };
    let byte = |pair: &[u8]| {
        let (high, low) = (nibble(pair[0], 4), nibble(pair[1], 0));
        class(|byte| high(byte) && low(byte))
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}

fn cases() -> Vec<Kept> {
    let of_bits = b"xx\x01\x02\x04\x08\x10\x20\x40\x80yy\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFzz\x81B$\x18\x18$B\x81";
    let all_bytes: Vec<u8> = (0..=255).collect();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let kept = |name, patterns, haystack: &[u8]| Kept {
        name,
        patterns,
        haystack: haystack.to_vec(),
        kind: MatchKind::LeftmostFirst,
    };
    let wildcards = |count: u8| {
        let wildcard = |rule: u8| {
            let digit = |at: u8| rule.wrapping_mul(7).wrapping_add(at.wrapping_mul(5)) & 15;
            nibbles(
                &(0..8)
                    .map(|at| match at % 2 {
                        0 => format!("{:x}?", digit(at)),
                        _ => format!("?{:x}", digit(at)),
                    })
                    .collect::<String>(),
            )
        };
        (0..count).map(wildcard).collect::<Vec<_>>()
    };
    let of_wildcards: Vec<u8> = (0..64_u8)
        .flat_map(|rule| {
            let digit = move |at: u8| rule.wrapping_mul(7).wrapping_add(at.wrapping_mul(5)) & 15;
            (0..8).map(move |at| if at % 2 == 0 { digit(at) << 4 | 9 } else { digit(at) | 0xC0 })
        })
        .collect();
    vec![
        kept("classes that tell all bytes apart", vec![bits(&[])], of_bits),
        kept("classes that tell all but one byte apart", vec![bits(&[255])], of_bits),
        Kept {
            kind: MatchKind::All,
            ..kept("classes that tell all bytes apart, over all bytes", vec![bits(&[])], &all_bytes)
        },
        kept("four rules of nibbles", wildcards(4), &of_wildcards),
        kept("32 rules of nibbles", wildcards(32), &of_wildcards),
        kept(
            "rules that each are prepared at once",
            lines(
                r#"(?i)(?:acme|x-acme-key|ac|token|key)[^\.].{0,40}[ =:'"]+([a-f0-9]{32})\b
(?im)(?:login|usr|-u|id)\S{0,40}?[:=\s]{1,3}[ '"=]?([a-zA-Z0-9]{4,40})\b"#,
            ),
            b"token = 0123456789abcdef0123456789abcdef login: abcd1234",
        ),
        kept(
            "a gram far into an alternative",
            vec![format!("[0-9](?:qq[a-z]{{2}}|{}zqxj)[0-9]{{2}}", "ab ".repeat(100))],
            format!("x7{}zqxj55 7qqab33", "ab ".repeat(100)).as_bytes(),
        ),
        kept(
            "a class window far into an alternative",
            vec![format!("[0-9](?:[^q]{{9}}|{}[^a]{{9}}){{2}}", "[ab][ab ][ b]".repeat(60))],
            format!("7{}qqqqqqqqq{0}qqqqqqqqq", "ab ".repeat(60)).as_bytes(),
        ),
        kept(
            "fifty rules that begin in many ways",
            vec![r"(?:\S*|tok[a-z]){64}://".into(); 50],
            b"a://b",
        ),
        kept(
            "parts that are repeated of parts that are",
            lines(r"(?:(?:(?:(?:(?:a{12}){12}){12}){12}){9})"),
            b"aaa",
        ),
        kept(
            "a rule of 140,000 nodes",
            lines(
                r"(?:(?:\p{Greek}[\x00-\xff]\w=)+){40,209}|[^\n](?:secret|(?u:\b)|b|\n)(?:[ab]|(?i:foo))(?:\w|(?u:\w))",
            ),
            &b"xsecretab =b\nbFOOz b aa foob \xCE\xB1=".repeat(20),
        ),
        kept("nothing but empty matches", lines("\\b\n\n(?:^|$)*\nfoo"), b"a foo b"),
    ]
}

#[test]
fn are_right_and_take_no_time() {
    let mut slow = Vec::new();
    for Kept { name, patterns, haystack, kind } in cases() {
        let before = cpu_time();
        let options = options(kind);
        let rules = RulePipeline::with_options(&patterns, options).unwrap();
        let compiled = cpu_time();
        let found = gpu().scan(&rules, &[&haystack], 10_000).remove(0);
        let scanned = cpu_time();
        let expected: Vec<Match> = rules.reference_scan(&haystack);
        assert_eq!(found, expected, "{name}");
        let [compile, scan] = [compiled - before, scanned - compiled];
        say(&format!("{name}: {} matches, {compile:.1?} and {scan:.1?}", found.len()));
        if compile + scan > MOST_TIME {
            slow.push(name);
        }
    }
    assert!(slow.is_empty(), "over {MOST_TIME:?} of one core: {slow:?}");
}
