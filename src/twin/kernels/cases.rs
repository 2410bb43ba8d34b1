//! What kernels and twins are compared on.

use super::*;

/// Items in a ring, from its third slot from the end on.
fn ring(items: &[&[u8]]) -> (Vec<u8>, Vec<Slot>, ScanParams) {
    let mut haystack = Vec::new();
    // Those of another tenant come first.
    let [own, count] = [1, items.len() + 2];
    let mut slots = vec![Slot::default(); own + count];
    let first = count - 3;
    for (index, item) in items.iter().enumerate() {
        let begin = haystack.len() as u32;
        haystack.extend_from_slice(item);
        let end = haystack.len() as u32;
        haystack.resize((haystack.len() + 1).next_multiple_of(4), 0);
        let place = own + (first + index) % count;
        slots[place] = Slot { state: layout::SLOT_PUBLISHED, epoch: 7, tenant: 1, begin, end };
    }
    let params = ScanParams {
        first_slot: first as u32,
        slot_count: items.len() as u32,
        ring_first: own as u32,
        ring_slots: count as u32,
        epoch: 7,
        tenant: 1,
        ..whole(&haystack)
    };
    (haystack, slots, params)
}

#[test]
fn packed_items_are_looked_at_alone() {
    let backend = TestBackend::new();
    let items: [&[u8]; 10] = [
        b"abcabc foo_bar",
        b"",
        b"food foo\n\xC3\xA9t\xC3",
        b"\xA9 \xFFaaab",
        b"b1-22-333",
        b"stale foo_bar",
        b"c foo_",
        b"a",
        b"x1-22-333 \xF0\x9F\x98\x80z",
        b"foo",
    ];
    let patterns = [
        "abc",
        "a+?b",
        r"\w+",
        r"(?mR)^.*$",
        "(?i)FOO|bar|",
        r"\b{start}f|o\b{end}",
        r"\Aabc|333\z|^$",
        r"(?u:\w+)\b",
        r"(?u)\B.\B",
        r"(?:\b|a)*b",
        r"(?s).{5,19}o",
        r"[a-z]*\d-22",
        r"[b-o_][b-o_ ]{6}[fo]{2}|[a-z ]{2,3}_[ab][ar\r\n]{3,9}[a-f]",
        r"(?:ab|\w)c{0,1}foo_",
        "[a-o]+$",
        r"\b[ab_]{0,3}r$",
        "(?:o|b)$|r$",
        "[a-o ]*o",
    ];
    let (haystack, mut slots, whole) = ring(&items);
    let stale = slots.iter().position(|slot| haystack[slot.begin as usize..].starts_with(b"stale"));
    slots[stale.unwrap()].epoch = 6;
    let tight = tight(whole);
    let prefiltered = ScanParams { use_prefilter: layout::PREFILTER_ALL, ..whole };
    let part = ScanParams { end_start: 40, ..prefiltered };
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        for dfa_budget in [32 << 10, 64] {
            let options = PipelineOptions { match_kind, dfa_budget, ..PipelineOptions::default() };
            let rules = RulePipeline::with_options(&patterns, options).unwrap();
            let tables = tables_of(&rules);
            for params in [whole, tight, prefiltered, part] {
                let state =
                    compare_tables(&backend, match_kind, &tables, &haystack, &slots, params);
                let is_whole = params.end_start == whole.end_start;
                let done = slots.len() as u32 - 3 - 1;
                let tally = state.tallies[1];
                let counts =
                    [layout::TALLY_ITEMS, layout::TALLY_FAULTS].map(|at| tally.low[at as usize]);
                assert_eq!(counts, [if is_whole { done } else { 0 }, 1]);
            }
        }
    }
}

/// Long walks share what is behind them within an item, and leave it at the item's end.
#[test]
fn summaries_end_with_their_item() {
    let backend = TestBackend::new();
    let [long, other] = [b"abc".repeat(500), b"abc".repeat(300)];
    let (haystack, slots, params) = ring(&[b"abc", &long, &other, b"1"]);
    let params = ScanParams {
        step_budget: 600,
        chunk_log2: 6,
        use_prefilter: layout::PREFILTER_NONE,
        hit_capacity: 1 << 13,
        hit_stop: 1 << 13,
        ..params
    };
    let rules = RulePipeline::new(&["[a-z]+", r"[a-z]*\d", "(?:abc)+z|(?:abc)*"]).unwrap();
    let tables = tables_of(&rules);
    compare_tables(&backend, MatchKind::LeftmostFirst, &tables, &haystack, &slots, params);
}

/// A scan of all of a haystack, by every start, with room for all that it finds.
pub(super) fn whole(haystack: &[u8]) -> ScanParams {
    ScanParams {
        haystack_len: haystack.len() as u32,
        end_start: haystack.len() as u32,
        is_final: 1,
        max_scan: u32::MAX,
        hit_capacity: 1 << 12,
        hit_stop: 1 << 12,
        queue_capacity: 1 << 10,
        start_walkers: 40,
        nfa_walkers: 64,
        pass_count: 1,
        step_budget: 1 << 15,
        nfa_step_budget: 1 << 10,
        candidate_capacity: 1 << 10,
        start_capacity: 1 << 10,
        prefilter_workgroup: PREFILTER_WORKGROUP,
        prefilter_turns: 4,
        prefilter_end: haystack.len() as u32,
        most_pieces: 40,
        ..ScanParams::default()
    }
}

/// The same scan in as many turns and rounds as it can take.
fn tight(scan: ScanParams) -> ScanParams {
    ScanParams {
        start_walkers: 1,
        nfa_walkers: 1,
        queue_capacity: 2,
        step_budget: 37,
        nfa_step_budget: 37,
        ..scan
    }
}

#[test]
fn kernels_do_what_their_twins_do() {
    let backend = TestBackend::new();
    let haystack = b"abcabc foo_bar\r\nfood foo\n\xC3\xA9t\xC3\xA9 \xFFaaab\xE2\x82\xAC x1-22-333 \xF0\x9F\x98\x80z";
    let patterns = [
        "abc",
        "a+?b",
        r"\w+",
        r"(?mR)^.*$",
        "(?i)FOO|bar|",
        r"\b{start}f|o\b{end}",
        r"\Aabc|333\z|^$",
        r"(?:b||a)+c",
        r"(?u:\w+)\b",
        r"(?u)\B.\B",
        r"(?u:\b{start-half})z|(?u:\b{end-half}).",
        r"(?:\b|a)*b",
        r"[^\n]{5,19}o",
        r"[a-z]*\d-22",
        r"[b-o_][b-o_ ]{6}[fo]{2}|[a-z ]{2,3}_[ab][ar\r\n]{3,9}[a-f]",
        r"(?:ab|\w)c{0,1}foo_",
    ];
    let whole = whole(haystack);
    // One walker each, which stops all the time and soon finds the queue full.
    let tight = tight(whole);
    let window = ScanParams {
        first_start: 4,
        end_start: whole.end_start - 4,
        is_final: 0,
        max_scan: 9,
        ..tight
    };
    let prefiltered = ScanParams { use_prefilter: layout::PREFILTER_ALL, ..whole };
    let filtered_tight = ScanParams { use_prefilter: layout::PREFILTER_ALL, ..tight };
    let bounded = ScanParams { use_prefilter: layout::PREFILTER_BOUNDED, is_direct: 1, ..whole };
    let part = ScanParams { first_start: 1, end_start: 40, prefilter_first: 1, ..prefiltered };
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        for dfa_budget in [32 << 10, 64] {
            let options = PipelineOptions { match_kind, dfa_budget, ..PipelineOptions::default() };
            let rules = RulePipeline::with_options(&patterns, options).unwrap();
            let unbounded = rules.rules().iter().flat_map(|rule| &rule.splits);
            assert_eq!(unbounded.filter(|split| split.is_unbounded()).count(), 3);
            assert_eq!(tables_of(&rules).header.has_class_windows, 1);
            for params in [whole, tight, window, prefiltered, filtered_tight, bounded, part] {
                compare_scan(&backend, &rules, haystack, params);
            }
        }
    }
}

#[test]
fn counts_are_let_go() {
    let backend = TestBackend::new();
    let haystack = tests::counted_haystack();
    let whole = whole(&haystack);
    let tight = ScanParams { start_walkers: 3, nfa_walkers: 1, step_budget: 37, ..whole };
    let window = ScanParams { is_final: 0, max_scan: 40, ..whole };
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
        let rules = RulePipeline::with_options(&tests::COUNTED, options).unwrap();
        for params in [whole, tight, window] {
            compare_scan(&backend, &rules, &haystack, params);
        }
    }
}

/// Where a rule without its counts goes on to a window's end, the rule itself may have come to an end before.
#[test]
fn counts_that_are_let_go_leave_no_start_undecided() {
    let backend = TestBackend::new();
    let rules = RulePipeline::new(&["(?s)x.{0,40}?y[a-y]{100}[^q]*q", "xy"]).unwrap();
    assert!(rules.rules()[0].relaxed.is_some());
    let haystack = [&b"xyaayyayayyaayyayayaayy"[..], &[b'-'; 300]].concat();
    let window = ScanParams { is_final: 0, ..whole(&haystack) };
    let state = compare_scan(&backend, &rules, &haystack, window);
    assert_eq!(state.hits[..state.hit_count as usize], [Hit { pattern_id: 1, start: 0, end: 2 }]);
}

/// As rules are walked whose sets take too many words, one of them with more nodes than fit shared memory.
#[test]
fn walks_in_order_do_what_their_twins_do() {
    let backend = TestBackend::new();
    let haystack =
        b"abcabc foo_bar\r\nfood foo\n\xC3\xA9t\xC3\xA9 \xFFaaab x1-22-333 \xF0\x9F\x98\x80z";
    let patterns = [
        "a+?b",
        r"\w+",
        r"(?mR)^.*$",
        "(?i)FOO|bar|",
        r"(?:b||a)+c",
        r"(?u:\w+)\b",
        r"(?:\b|a)*b",
        "[^ ]{0,800}o",
    ];
    let tight = ScanParams { nfa_walkers: 1, nfa_step_budget: 37, ..whole(haystack) };
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let options = PipelineOptions { match_kind, dfa_budget: 64, ..PipelineOptions::default() };
        let rules = RulePipeline::with_options(&patterns, options).unwrap();
        let mut tables = tables_of(&rules);
        let records = tables.header.rules as usize;
        let mut changed = 0;
        for record in tables.words[records..].chunks_mut(RuleRecord::WORDS).take(patterns.len()) {
            let mut rule: RuleRecord = pod_read_unaligned(cast_slice(record));
            changed += u32::from(std::mem::take(&mut rule.glushkov) != 0);
            record.copy_from_slice(cast_slice(&[rule]));
        }
        assert!(changed > 3, "{changed} rules have Glushkov automata");
        assert!(tables.header.nfa_stamps > 0, "no rule is large");
        for params in [whole(haystack), tight] {
            compare_tables(&backend, match_kind, &tables, haystack, &[], params);
        }
    }
}

#[test]
fn long_walks_share_summaries() {
    let backend = TestBackend::new();
    let mut haystack = b"abc".repeat(500);
    // Where walks come to nothing, match, or need the NFA.
    haystack[700] = b' ';
    haystack[1200] = b'1';
    haystack[1300] = 0xFF;
    let patterns =
        ["[a-z]+", r"[a-z]*\d", r"(?:abc)+z|(?:abc)*", r"(?:b|[^ ])*1", r"(?u)[a-z]+\b|c"];
    let params = ScanParams {
        hit_capacity: 1 << 13,
        hit_stop: 1 << 13,
        start_walkers: 64,
        step_budget: 500,
        chunk_log2: 6,
        ..whole(&haystack)
    };
    let options = PipelineOptions::default();
    let rules = RulePipeline::with_options(&patterns, options).unwrap();
    compare_scan(&backend, &rules, &haystack, params);
    // With all matches a walk leaps where it has none.
    let options = PipelineOptions { match_kind: MatchKind::All, ..PipelineOptions::default() };
    let rules = RulePipeline::with_options(&[r"[a-z]*\d", r"(?:abc)+z", "a"], options).unwrap();
    compare_scan(&backend, &rules, &haystack, params);
    // With counts let go.
    let patterns = ["b[abc]*?[ab][abc ]{22}[a-z]*(?:1|cab )"];
    let rules = RulePipeline::new(&patterns).unwrap();
    assert!(rules.rules()[0].relaxed.is_some());
    compare_scan(&backend, &rules, &haystack, params);
}

/// Rows of which each is known only once walks have leapt over the one before: compositions go on where they broke off.
#[test]
fn compositions_go_on_from_summary_to_summary() {
    let backend = TestBackend::new();
    let stage = b"abc".repeat(4000);
    let haystack = [b"xx", &stage[..], b"y", &stage, b"x", &stage, b"y", &stage, b"z"].concat();
    let params =
        ScanParams { start_walkers: 64, step_budget: 3000, chunk_log2: 6, ..whole(&haystack) };
    let rules = RulePipeline::new(&["x[a-x]*y[a-x]*y[a-x]*z", "y[a-z]+"]).unwrap();
    let state = compare_scan(&backend, &rules, &haystack, params);
    let count = chunk_count(&params) as usize;
    // The part of which a chunk has the first `y`, behind the others of an `x`'s summary.
    let share = count.div_ceil(compose_parts(&params) as usize);
    let border = (2 + stage.len()) >> params.chunk_log2;
    let part = border / share * share..(border / share + 1) * share;
    assert!(part.start < border && border + 1 < part.end);
    let mut composed = state.summaries.chunks(count).map(|of_summary| of_summary[part.start]);
    assert!(composed.any(|found| found.stop as usize == part.end && found.last == 0));
}

/// A haystack of more chunks than as few parts have.
#[test]
fn compositions_end_with_parts() {
    let backend = TestBackend::new();
    let chunks = (layout::COMPOSE_PARTS + 2) * layout::COMPOSE_CHUNKS;
    let haystack = [b"x", &b"abc".repeat(64 * chunks as usize / 3)[..], b"y"].concat();
    let params =
        ScanParams { start_walkers: 64, step_budget: 3000, chunk_log2: 6, ..whole(&haystack) };
    assert!(compose_parts(&params) > layout::COMPOSE_PARTS);
    let rules = RulePipeline::new(&["x[a-c]*y"]).unwrap();
    let state = compare_scan(&backend, &rules, &haystack, params);
    // The first part's chunks behind the `x` are composed up to where it ends.
    let count = chunk_count(&params);
    let end = count.div_ceil(compose_parts(&params));
    assert!(end <= layout::COMPOSE_CHUNKS);
    let part = &state.summaries[1..end as usize];
    assert!(part.iter().all(|found| found.stop == end));
}

#[test]
fn rules_with_long_prefixes_are_listed() {
    let backend = TestBackend::new();
    let [long, endless] = [1500, 20_000].map(|count| vec![b'x'; count]);
    let prefix = [&long, &b"5-22 abc9-22 abcd"[..]].concat();
    // Few starts each.
    let few = [b"y", &long[..], b"5-22 abcd"].concat();
    let beyond = [b"y", &endless[..], b"5-22 abcd"].concat();
    let with_suffix = |end: &[u8]| [b"y", &long[..], b"5-5-", &[b'A'; 400][..], end].concat();
    let [suffix, dead] = [b"2 abcd", b"3 abcd"].map(|end| with_suffix(end));
    // And whether the first rule is listed where suffixes tell matches, and where they do not.
    let cases: [(_, &[u8], _); 6] = [
        (r"[a-z]*\d-22", &prefix, [false, true]),
        (r"y[a-z]*\d-22", &few, [false, false]),
        (r"y[a-z]*\d-22", &beyond, [true, true]),
        (r"y[a-z]*5-5-[A-Z]*[12]", &suffix, [false, false]),
        (r"y[a-z]*5-5-[A-Z]*[12]", &dead, [false, false]),
        (r"[a-z]*5-5-[A-Z]*[12]", &dead, [false, true]),
    ];
    for (pattern, haystack, is_listed) in cases {
        let params = ScanParams {
            hit_capacity: 1 << 13,
            hit_stop: 1 << 13,
            start_walkers: 64,
            step_budget: 999,
            start_capacity: 1 << 12,
            use_prefilter: layout::PREFILTER_ALL,
            ..whole(haystack)
        };
        for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
            let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
            let patterns = [pattern, "abcd", "[a-wyz]*9-22"];
            let rules = RulePipeline::with_options(&patterns, options).unwrap();
            for is_direct in [false, true] {
                if is_direct && match_kind == MatchKind::All {
                    continue;
                }
                let params = ScanParams { is_direct: is_direct.into(), ..params };
                let state = compare_scan(&backend, &rules, haystack, params);
                let listed = is_listed[usize::from(!is_direct)];
                let expected = [u32::from(listed), 0];
                assert_eq!(state.control.listed[..2], expected, "{pattern} {is_direct}");
            }
        }
    }
}

/// Of a flood, of candidates or of starts, the rules that have a large share are listed.
#[test]
fn floods_are_listed() {
    let backend = TestBackend::new();
    let haystack = b"abcd1efgh2 abcd3 ".repeat(60);
    let rules = RulePipeline::new(&["abcd", r"[a-z]{0,9}efgh\d", "zyxw"]).unwrap();
    let tables = tables_of(&rules);
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let room = ScanParams { use_prefilter: layout::PREFILTER_ALL, ..whole(&haystack) };
    // Which candidates there is room for is a race, so that all that comes before is the twins'.
    for params in
        [ScanParams { candidate_capacity: 48, ..room }, ScanParams { start_capacity: 48, ..room }]
    {
        let mut state = used_buffers(MatchKind::LeftmostFirst, &tables, &haystack, &params);
        gram_prefilter(&mut state, &params);
        confirm(&mut state, &params);
        let end_confirmed = ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params };
        compare(&backend, &kernels, &mut state, &end_confirmed, "schedule");
        let Control { retry_reasons, pass, listed, .. } = state.control;
        assert_eq!((retry_reasons, pass), (layout::RETRY_LISTED, params.pass_count));
        assert!(listed.contains(&1) && !listed.contains(&3), "{listed:?}");
    }

    // None of several has much of it, and the largest go until the others fit.
    let words: Vec<String> = ('a'..='f').map(|letter| format!("qqq{letter}")).collect();
    let rules = RulePipeline::new(&words).unwrap();
    let tables = tables_of(&rules);
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let haystack =
        (0..2000).flat_map(|at: usize| format!("{} ", words[(at * at + at / 7) % 6]).into_bytes());
    let haystack: Vec<u8> = haystack.collect();
    let params = ScanParams {
        use_prefilter: layout::PREFILTER_ALL,
        candidate_capacity: 1000,
        ..whole(&haystack)
    };
    let mut state = used_buffers(MatchKind::LeftmostFirst, &tables, &haystack, &params);
    gram_prefilter(&mut state, &params);
    let end_confirmed = ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params };
    compare(&backend, &kernels, &mut state, &end_confirmed, "schedule");
    let Control { retry_reasons, listed, .. } = state.control;
    let listed = listed.iter().filter(|&&rule| rule != 0).count();
    assert!(retry_reasons == layout::RETRY_LISTED && listed > 1 && listed < 6, "{listed}");
}

/// Whoever asks, for each of thousands of postings, whether one of many rules is listed is done in time.
#[test]
fn listed_rules_have_no_candidates() {
    let backend = TestBackend::new();
    let patterns: Vec<String> = (0..240).map(|count| format!("abcd[0-9]{{0,{count}}}")).collect();
    let rules = RulePipeline::new(&patterns).unwrap();
    let tables = tables_of(&rules);
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let haystack = b"abcd".repeat(2000);
    let params = ScanParams {
        use_prefilter: layout::PREFILTER_ALL,
        has_listed: 1,
        candidate_capacity: 1 << 19,
        ..whole(&haystack)
    };
    let mut state = used_buffers(MatchKind::LeftmostFirst, &tables, &haystack, &params);
    for (rule, listed) in (100..).zip(&mut state.control.listed) {
        *listed = rule + 1;
    }
    compare(&backend, &kernels, &mut state, &params, "gram_prefilter");
    assert_eq!(state.control.candidate_count, 2000 * (240 - layout::MOST_LISTED));
}
