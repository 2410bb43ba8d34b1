//! What tools such as RenderDoc are told: names of objects, no two of them the same, and labels of commands.

use std::collections::BTreeMap;

use ash::vk::ObjectType as O;
use regex::RegexSet;

use crate::faults::{Failed, Flow, ManyHits, Recordings, Ring, Streamed, TEXT, Tickets};
use crate::vulkan::layer;
use crate::vulkan::testing::TestBackend;
use crate::vulkan::told::{self, Told};
use crate::{
    Backend, ResidentHaystack, RingItem, RingItemBytes, RulePipeline, ScanScratch, Validation,
};

/// What tools are told while a backend is used, of its device and of all that is made from that.
fn told_of(body: impl FnOnce(&Backend)) -> Told {
    let _layer = layer::lock();
    told::listen();
    let backend = TestBackend::layered(Validation::Off);
    body(&backend);
    drop(backend);
    told::told()
}

/// Makes two sessions of a kind, and uses both twice.
fn use_two(flow: &impl Flow, backend: &Backend) {
    let mut sessions = [(); 2].map(|()| flow.begin(backend).unwrap());
    for _ in 0..2 {
        sessions.iter_mut().for_each(|session| flow.go_on(backend, session).unwrap());
    }
    sessions.into_iter().for_each(|session| flow.end(backend, session).unwrap());
}

#[test]
fn no_two_objects_have_one_name() {
    let told = told_of(|backend| {
        use_two(&Streamed, backend);
        use_two(&Tickets, backend);
        use_two(&Recordings, backend);
        use_two(&Ring, backend);
    });
    let mut kinds = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for (kind, handle, name) in told.names {
        assert!(name.starts_with("vkscan/"), "{name}");
        *kinds.entry(kind).or_insert(0) += 1;
        let before = seen.insert(name.clone(), (kind, handle));
        assert_eq!(before, None, "{name} is the name of a {kind:?}, too");
    }
    for kind in [
        O::DEVICE,
        O::QUEUE,
        O::DEVICE_MEMORY,
        O::BUFFER,
        O::COMMAND_POOL,
        O::COMMAND_BUFFER,
        O::SEMAPHORE,
        O::QUERY_POOL,
        O::SHADER_MODULE,
        O::PIPELINE_LAYOUT,
        O::PIPELINE,
        O::DESCRIPTOR_SET_LAYOUT,
        O::DESCRIPTOR_POOL,
        O::DESCRIPTOR_SET,
    ] {
        assert!(kinds.contains_key(&kind), "no {kind:?} has a name");
    }
}

/// Scans for a rule whose suffixes do not tell which of its starts count, which are verified once more then.
fn leave_starts_open(backend: &Backend) -> Failed {
    let rules = RulePipeline::new(&["(?:[ab]|cd){0,3}?abcd[ab]?"]).unwrap();
    let haystack = b"abcabcdabcdabcd abababcdabcd aabcdabcdab";
    let session = rules.prepare_resident(backend, haystack.len(), 100)?;
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    session.scan_into(backend, haystack, &mut matches, &mut scratch)?;
    assert_eq!(matches, rules.reference_scan(haystack));
    Ok(())
}

/// Scans an item of a ring session that is on the device already.
fn scan_resident_items(backend: &Backend) -> Failed {
    let haystack = ResidentHaystack::new(backend, TEXT)?;
    let bytes = RingItemBytes::Resident { haystack: &haystack, range: 0..TEXT.len() };
    let items = [RingItem { bytes, ..RingItem::new(0, b"") }];
    Ring.begin(backend)?.submit_scan(&items)?;
    Ok(())
}

/// Each label that there is fits one of these, and each of these some label.
const LABELS: [&str; 19] = [
    r"upload pass 0/tables, \d+ bytes",
    r"upload haystack, \d+ bytes",
    "clear",
    r"upload \d+ bytes",
    r"copy \d+ resident bytes",
    r"reset, \d+ hits carried",
    r"claim \d+ slots",
    r"gram_prefilter pass 0, bytes \d+\.\.\d+",
    r"class_prefilter pass 0, bytes \d+\.\.\d+",
    "confirm pass 0",
    r"schedule after (begin|confirm|select|a round), to pass [01]",
    r"(chunk|compose)_summaries pass 0 round \d+",
    r"verify_(dfa|nfa) pass 0 round \d+",
    r"select from (up to|over) \d+ hits",
    r"(count_digits|sum_digits|move_hits) digit \d",
    "(link|enter|select)_tiles",
    "write_matches",
    "open starts( resumed)?",
    "resumed",
];

#[test]
fn labels_say_stages_passes_rounds_and_sizes() {
    let told = told_of(|backend| {
        use_two(&ManyHits, backend);
        use_two(&Streamed, backend);
        use_two(&Tickets, backend);
        use_two(&Ring, backend);
        leave_starts_open(backend).unwrap();
        scan_resident_items(backend).unwrap();
    });
    assert_eq!(told.open_labels, 0);
    let known = RegexSet::new(LABELS.map(|label| format!("^(?:{label})$"))).unwrap();
    let mut counts = [0; LABELS.len()];
    for label in &told.labels {
        let found: Vec<usize> = known.matches(label).into_iter().collect();
        assert_eq!(found.len(), 1, "{label}");
        counts[found[0]] += 1;
    }
    let counts: Vec<_> = LABELS.iter().zip(counts).collect();
    assert!(counts.iter().all(|(_, count)| *count > 0), "{counts:#?}");
}
