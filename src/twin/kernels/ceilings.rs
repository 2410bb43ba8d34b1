//! The kernels that ceilings are measured by.

use super::*;
use crate::shaders;
use crate::vulkan::pipeline::KernelDesc;

#[test]
fn what_measures_ceilings_does_what_its_twins_do() {
    let backend = TestBackend::new();
    let mut tables = tables_of(&RulePipeline::new(&["abcd"]).unwrap());
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let count = tables.words.len() as u32;
    tables.words = (0..count).map(|at| (at + 7) % count).collect();
    // Not as many units as the invocations take in whole turns, and not whole units.
    let haystack: Vec<u8> = (0..70_005_u32).map(|at| (at.wrapping_mul(at) >> 3) as u8).collect();
    let params = ScanParams {
        haystack_len: haystack.len() as u32,
        step_budget: 1000,
        hit_capacity: 1000,
        ..ScanParams::default()
    };
    let mut state = Buffers::new(MatchKind::LeftmostFirst, tables, &haystack, &params);
    let cases: [(&shaders::Kernel, u32, Twin); 2] = [
        (&shaders::MEASURE_READ, READ_GROUPS, measure_read),
        (&shaders::MEASURE_WALK, 1, measure_walk),
    ];
    for (kernel, groups, twin) in cases {
        let kernel = KernelDesc {
            name: kernel.name,
            words: kernel.words,
            layout: &kernels.set_layout,
            push_constant_bytes: kernel.push_constant_bytes,
            specialization: &[],
        };
        let pipeline = backend.pipelines().get(backend.device(), &kernel).unwrap();
        state.selection.fill(0);
        compare_many(&backend, &kernels, &mut state, &params, &pipeline, groups, twin);
        assert_ne!(state.selection[0], 0, "it has done something");
    }
}
