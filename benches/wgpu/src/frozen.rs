//! Kernels as wgpu takes them: it passes SPIR-V through, but has no values for specialisation constants of that, numbers the
//! bindings of a layout without gaps, and on some devices has no arrays of buffers.

use std::collections::{HashMap, HashSet};

use vkscan::shaders::layout::BINDING_HAYSTACK;

use crate::captured::Specialised;

const OP_TYPE_ARRAY: u32 = 28;
const OP_CONSTANT: u32 = 43;
const OP_SPEC_CONSTANT_TRUE: u32 = 48;
const OP_SPEC_CONSTANT_FALSE: u32 = 49;
const OP_SPEC_CONSTANT: u32 = 50;
const OP_ACCESS_CHAIN: u32 = 65;
const OP_DECORATE: u32 = 71;

const SPEC_ID: u32 = 1;
const BLOCK: u32 = 2;
const BINDING: u32 = 33;

const HEADER_WORDS: usize = 5;
/// Where the header has the number that all ids are below.
const ID_BOUND: usize = 3;

impl Specialised {
    /// SPIR-V in which values are the constants' defaults, each binding has its place among those that the kernel has as its
    /// number, and the haystack is an array of one segment, which is all that kernels for one segment look at.
    pub fn frozen(&self) -> Vec<u32> {
        let words = self.kernel.words;
        let mut frozen = words[..HEADER_WORDS].to_vec();
        let (mut values, mut types, mut blocks) = (HashMap::new(), HashMap::new(), HashSet::new());
        let mut haystack = 0;
        let mut rest = &words[HEADER_WORDS..];
        while let [first, ..] = rest {
            let (instruction, behind) = rest.split_at((first >> 16) as usize);
            rest = behind;
            let mut instruction = instruction.to_vec();
            match (first & 0xFFFF, &mut instruction[1..]) {
                (OP_DECORATE, [target, SPEC_ID, id]) => {
                    let given = self.values.iter().find(|(given, _)| given == id);
                    values.extend(given.map(|(_, value)| (*target, *value)));
                }
                (OP_DECORATE, [target, BINDING, number]) => {
                    if *number == BINDING_HAYSTACK {
                        haystack = *target;
                    }
                    let before = self.kernel.bindings.iter().filter(|one| one.binding < *number);
                    *number = before.count() as u32;
                }
                (OP_DECORATE, [target, BLOCK]) => drop(blocks.insert(*target)),
                (OP_SPEC_CONSTANT, [_, constant, value]) => {
                    *value = values.get(constant).copied().unwrap_or(*value);
                }
                (OP_SPEC_CONSTANT_TRUE | OP_SPEC_CONSTANT_FALSE, [_, constant]) => {
                    if let Some(&value) = values.get(constant) {
                        let opcode =
                            if value == 0 { OP_SPEC_CONSTANT_FALSE } else { OP_SPEC_CONSTANT_TRUE };
                        instruction[0] = 3 << 16 | opcode;
                    }
                }
                (OP_CONSTANT, [of, constant, _]) => drop(types.insert(*constant, *of)),
                // An array of blocks can only be the haystack.
                (OP_TYPE_ARRAY, [_, element, length]) if blocks.contains(element) => {
                    let one = frozen[ID_BOUND];
                    frozen[ID_BOUND] += 1;
                    frozen.extend([4 << 16 | OP_CONSTANT, types[length], one, 1]);
                    *length = one;
                }
                // The first member, the words, has the index of the first segment.
                (OP_ACCESS_CHAIN, [_, _, base, segment, member, ..]) if *base == haystack => {
                    *segment = *member;
                }
                _ => {}
            }
            frozen.extend(instruction);
        }
        frozen
    }
}
