//! The kernels that the build script compiled, and the layouts they share with the host.
//!
//! What a kernel binds is read from its SPIR-V, and the structs in [`layout`] come from the same files that
//! the kernels include, so nothing here is repeated by hand.

/// A compute kernel: its SPIR-V and what a pipeline for it needs.
#[derive(Debug)]
pub struct Kernel {
    /// The source file's stem.
    pub name: &'static str,
    /// SPIR-V 1.5 whose entry point is `main`.
    pub words: &'static [u32],
    /// By set and binding number.
    pub bindings: &'static [Binding],
    /// Size of the push-constant block, 0 without one.
    pub push_constant_bytes: u32,
    /// The push constants, offsets from the block's start. A block that holds one struct has the struct's
    /// fields here.
    pub push_constants: &'static [Member],
    /// Invocations in a workgroup along x, y and z.
    pub local_size: [u32; 3],
    /// Ids of the specialisation constants that stand for these, where there are any.
    pub local_size_ids: [Option<u32>; 3],
    /// Bytes of shared memory, by specialisation constants' values, which are asked for by their ids. A driver may take more.
    pub shared_bytes: fn(&dyn Fn(u32) -> u32) -> u32,
    /// By id.
    pub spec_constants: &'static [SpecConstant],
}

/// A storage buffer, or an array of them, that a kernel uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Descriptor set.
    pub set: u32,
    /// Binding number in the set.
    pub binding: u32,
    /// Descriptors: 1, or the array's length.
    pub count: u32,
    /// The variable's name, or the block's where the variable has none.
    pub name: &'static str,
    /// The kernel declares it `readonly`.
    pub read_only: bool,
}

/// A member of a struct or block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// As in GLSL.
    pub name: &'static str,
    /// Bytes from the start of the struct or block.
    pub offset: u32,
    /// Size.
    pub bytes: u32,
}

/// A struct of [`layout`], as Rust lays it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struct {
    /// The same in GLSL and Rust.
    pub name: &'static str,
    /// Size, which is also the stride in an array.
    pub bytes: u32,
    /// In order.
    pub members: &'static [Member],
}

/// A specialisation constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecConstant {
    /// `constant_id` in GLSL.
    pub id: u32,
    /// As in GLSL.
    pub name: &'static str,
    /// Its value where none is given, as 32 bits.
    pub default: u32,
}

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

// The least that maxPushConstantsSize may be.
const _: () =
    assert!(layout::MOST_LISTED == 32, "`is_listed` in include/listed.glsl names all places");
const _: () =
    assert!(layout::MOST_SEARCHED == 8, "`is_searched` in include/listed.glsl names all places");
const _: () = assert!(size_of::<layout::ScanParams>() <= 128, "push constants are 128 bytes");
// Kernels write it word by word.
const _: () = assert!(
    layout::ReadbackHeader::WORDS == layout::READBACK_HEADER_WORDS as usize,
    "READBACK_HEADER_WORDS counts the words of ReadbackHeader"
);

impl layout::ScanParams {
    /// Workgroups that look through the prefilter's range.
    pub(crate) fn gram_prefilter_groups(&self) -> u32 {
        let begin = self.prefilter_first & !(layout::PREFILTER_BYTES - 1);
        let bytes = self.prefilter_workgroup * layout::PREFILTER_BYTES * self.prefilter_turns;
        (self.prefilter_end - begin).div_ceil(bytes)
    }

    /// Those that verify no starts but the ones that hits have left open, which are of the only pass.
    pub(crate) fn of_open_starts(self) -> layout::ScanParams {
        layout::ScanParams {
            pass: 0,
            stage: layout::SCHEDULE_ROUND,
            first_start: 0,
            end_start: 0,
            prefilter_first: 0,
            prefilter_end: 0,
            use_prefilter: layout::PREFILTER_ALL,
            has_listed: 0,
            ..self
        }
    }

    /// Digits of an end, which many hits are sorted by first if all matches are wanted: `shaders/include/digits.glsl`.
    pub(crate) fn end_digits(&self, match_all: bool) -> u32 {
        let end_bits = if self.is_final == 0 { 32 } else { bits_below(self.haystack_len + 1) };
        if match_all { end_bits.div_ceil(layout::DIGIT_BITS) } else { 0 }
    }

    /// Digits that many hits are sorted by, an odd number: from the hit buffer to the selection buffer and back.
    pub(crate) fn digits(&self, match_all: bool, pattern_count: u32) -> u32 {
        // Whether a hit is a report, and one of a run.
        let flags = 2;
        let key_bits = flags + bits_below(self.haystack_len) + bits_below(pattern_count);
        (self.end_digits(match_all) + key_bits.div_ceil(layout::DIGIT_BITS)) | 1
    }
}

/// Bits of a number below `limit`.
pub(crate) fn bits_below(limit: u32) -> u32 {
    u32::BITS - (limit.max(1) - 1).leading_zeros()
}

/// A hash of all kernels, as they are given to drivers.
pub(crate) fn hash() -> u64 {
    let words = ALL.iter().flat_map(|kernel| kernel.words).copied();
    fnv(words.flat_map(u32::to_le_bytes))
}

/// FNV-1a. Every step can be undone, so that a byte that differs is always seen.
pub(crate) fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.fold(0xcbf2_9ce4_8422_2325, step)
}
