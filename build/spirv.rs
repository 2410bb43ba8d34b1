//! Reads from a SPIR-V module what the host has to know about a compute kernel. Section numbers are those
//! of the SPIR-V 1.5 specification.

use std::collections::HashMap;

/// What a kernel shows to the outside.
pub struct Interface {
    /// By set and binding.
    pub bindings: Vec<Binding>,
    pub push_constants: Vec<Member>,
    pub local_size: [u32; 3],
    /// Specialisation constants that stand for these, where there are any.
    pub local_size_ids: [Option<u32>; 3],
    /// Bytes of shared memory as Rust has them, by `value`, which gives specialisation constants by their ids.
    pub shared_bytes: String,
    /// By id.
    pub spec_constants: Vec<SpecConstant>,
}

pub struct Binding {
    pub set: u32,
    pub binding: u32,
    pub count: u32,
    pub name: String,
    pub read_only: bool,
}

/// A push constant: its offset counts from the block's start.
pub struct Member {
    pub name: String,
    pub offset: u32,
    pub bytes: u32,
}

pub struct SpecConstant {
    pub id: u32,
    pub name: String,
    pub default: u32,
}

// Section 3.32, instructions.
const OP_NAME: u32 = 5;
const OP_MEMBER_NAME: u32 = 6;
const OP_EXECUTION_MODE: u32 = 16;
const OP_TYPE_BOOL: u32 = 20;
const OP_TYPE_INT: u32 = 21;
const OP_TYPE_FLOAT: u32 = 22;
const OP_TYPE_VECTOR: u32 = 23;
const OP_TYPE_ARRAY: u32 = 28;
const OP_TYPE_RUNTIME_ARRAY: u32 = 29;
const OP_TYPE_STRUCT: u32 = 30;
const OP_TYPE_POINTER: u32 = 32;
const OP_CONSTANT: u32 = 43;
const OP_CONSTANT_COMPOSITE: u32 = 44;
const OP_SPEC_CONSTANT_TRUE: u32 = 48;
const OP_SPEC_CONSTANT_FALSE: u32 = 49;
const OP_SPEC_CONSTANT: u32 = 50;
const OP_SPEC_CONSTANT_COMPOSITE: u32 = 51;
const OP_SPEC_CONSTANT_OP: u32 = 52;
const OP_VARIABLE: u32 = 59;
const OP_DECORATE: u32 = 71;
const OP_MEMBER_DECORATE: u32 = 72;
const OP_I_ADD: u32 = 128;
const OP_I_SUB: u32 = 130;
const OP_I_MUL: u32 = 132;
const OP_U_DIV: u32 = 134;
// Section 3.6, execution modes.
const MODE_LOCAL_SIZE: u32 = 17;
// Section 3.7, storage classes.
const CLASS_UNIFORM_CONSTANT: u32 = 0;
const CLASS_UNIFORM: u32 = 2;
const CLASS_WORKGROUP: u32 = 4;
const CLASS_PUSH_CONSTANT: u32 = 9;
const CLASS_STORAGE_BUFFER: u32 = 12;
// Section 3.20, decorations.
const SPEC_ID: u32 = 1;
const ARRAY_STRIDE: u32 = 6;
const BUILT_IN: u32 = 11;
const NON_WRITABLE: u32 = 24;
const BINDING: u32 = 33;
const DESCRIPTOR_SET: u32 = 34;
const OFFSET: u32 = 35;
// Section 3.21, built-ins.
const WORKGROUP_SIZE: u32 = 25;

/// Words before the first instruction (section 2.3).
pub const HEADER_WORDS: usize = 5;

/// Splits a module into instructions, each with its opcode word. Ends early where the module does.
pub fn instructions(words: &[u32]) -> impl Iterator<Item = &[u32]> {
    let mut rest = words.get(HEADER_WORDS..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = (rest.first()? >> 16) as usize;
        let (instruction, after) = rest.split_at_checked(length.max(1))?;
        rest = after;
        Some(instruction)
    })
}

enum Type {
    Scalar { bytes: u32 },
    Vector { element: u32, count: u32 },
    Array { id: u32, element: u32, count_id: u32 },
    RuntimeArray,
    Struct { id: u32, members: Vec<u32> },
    Pointer { class: u32, pointee: u32 },
}

/// The declarations of a module, by result id. Members are keyed by struct id and index.
#[derive(Default)]
struct Module {
    names: HashMap<u32, String>,
    member_names: HashMap<(u32, u32), String>,
    decorations: HashMap<(u32, u32), u32>,
    member_decorations: HashMap<(u32, u32, u32), u32>,
    types: HashMap<u32, Type>,
    constants: HashMap<u32, u32>,
    spec_constants: Vec<(u32, u32)>,
    /// Operation and operands of constants that are worked out of others.
    operations: HashMap<u32, (u32, Vec<u32>)>,
    composites: HashMap<u32, Vec<u32>>,
    variables: Vec<(u32, u32)>,
    local_size: Option<[u32; 3]>,
}

/// Reads the interface of a module with one compute entry point and storage buffers only.
pub fn reflect(words: &[u32]) -> Result<Interface, String> {
    let module = Module::read(words);
    let (mut bindings, mut push_constants) = (Vec::new(), Vec::new());
    let mut shared = Vec::new();
    for &(id, pointer) in &module.variables {
        let Some(Type::Pointer { class, pointee }) = module.types.get(&pointer) else {
            continue;
        };
        match *class {
            CLASS_STORAGE_BUFFER => bindings.push(module.binding(id, *pointee)?),
            CLASS_PUSH_CONSTANT => push_constants = module.push_constants(*pointee)?,
            CLASS_WORKGROUP => shared.push(
                module
                    .shared_bytes(*pointee)
                    .map_err(|error| format!("{}: {error}", module.name(id)))?,
            ),
            CLASS_UNIFORM | CLASS_UNIFORM_CONSTANT => {
                return Err(format!("{}: kernels bind storage buffers only", module.name(id)));
            }
            _ => {}
        }
    }
    bindings.sort_by_key(|binding| (binding.set, binding.binding));
    let mut spec_constants = Vec::new();
    for &(id, default) in &module.spec_constants {
        if let Some(&spec_id) = module.decorations.get(&(id, SPEC_ID)) {
            spec_constants.push(SpecConstant { id: spec_id, name: module.name(id), default });
        }
    }
    // A workgroup's size may have an id that a constant has, too.
    spec_constants
        .sort_by(|one: &SpecConstant, other| (one.id, &one.name).cmp(&(other.id, &other.name)));
    let local_size = module.local_size.ok_or("not a compute kernel: it states no local size")?;
    let shared_bytes = if shared.is_empty() { "0".into() } else { shared.join(" + ") };
    Ok(Interface {
        bindings,
        push_constants,
        local_size,
        local_size_ids: module.local_size_ids(),
        shared_bytes,
        spec_constants,
    })
}

impl Module {
    fn read(words: &[u32]) -> Self {
        let mut module = Self::default();
        for instruction in instructions(words) {
            module.declare(instruction[0] & 0xffff, &instruction[1..]);
        }
        module
    }

    fn declare(&mut self, opcode: u32, operands: &[u32]) {
        match (opcode, operands) {
            (OP_NAME, [id, name @ ..]) => {
                self.names.insert(*id, string(name));
            }
            (OP_MEMBER_NAME, [id, member, name @ ..]) => {
                self.member_names.insert((*id, *member), string(name));
            }
            (OP_DECORATE, [id, decoration, value @ ..]) => {
                self.decorations.insert((*id, *decoration), value.first().copied().unwrap_or(0));
            }
            (OP_MEMBER_DECORATE, [id, member, decoration, value @ ..]) => {
                let value = value.first().copied().unwrap_or(0);
                self.member_decorations.insert((*id, *member, *decoration), value);
            }
            (OP_TYPE_BOOL, [id]) => {
                self.types.insert(*id, Type::Scalar { bytes: 4 });
            }
            (OP_TYPE_INT | OP_TYPE_FLOAT, [id, bits, ..]) => {
                self.types.insert(*id, Type::Scalar { bytes: bits / 8 });
            }
            (OP_TYPE_VECTOR, [id, element, count]) => {
                self.types.insert(*id, Type::Vector { element: *element, count: *count });
            }
            (OP_TYPE_ARRAY, [id, element, count_id]) => {
                self.types
                    .insert(*id, Type::Array { id: *id, element: *element, count_id: *count_id });
            }
            (OP_TYPE_RUNTIME_ARRAY, [id, ..]) => {
                self.types.insert(*id, Type::RuntimeArray);
            }
            (OP_TYPE_STRUCT, [id, members @ ..]) => {
                self.types.insert(*id, Type::Struct { id: *id, members: members.to_vec() });
            }
            (OP_TYPE_POINTER, [id, class, pointee]) => {
                self.types.insert(*id, Type::Pointer { class: *class, pointee: *pointee });
            }
            (OP_CONSTANT, [_, id, value, ..]) => {
                self.constants.insert(*id, *value);
            }
            (OP_SPEC_CONSTANT, [_, id, value, ..]) => self.spec_constants.push((*id, *value)),
            (OP_SPEC_CONSTANT_TRUE, [_, id]) => self.spec_constants.push((*id, 1)),
            (OP_SPEC_CONSTANT_FALSE, [_, id]) => self.spec_constants.push((*id, 0)),
            (OP_CONSTANT_COMPOSITE | OP_SPEC_CONSTANT_COMPOSITE, [_, id, parts @ ..]) => {
                self.composites.insert(*id, parts.to_vec());
            }
            (OP_SPEC_CONSTANT_OP, [_, id, operation, operands @ ..]) => {
                self.operations.insert(*id, (*operation, operands.to_vec()));
            }
            (OP_VARIABLE, [pointer, id, ..]) => self.variables.push((*id, *pointer)),
            (OP_EXECUTION_MODE, [_, MODE_LOCAL_SIZE, x, y, z]) => {
                self.local_size = Some([*x, *y, *z])
            }
            _ => {}
        }
    }

    fn name(&self, id: u32) -> String {
        self.names.get(&id).cloned().unwrap_or_default()
    }

    fn binding(&self, variable: u32, pointee: u32) -> Result<Binding, String> {
        let (block, count) = match self.types.get(&pointee) {
            Some(Type::Array { element, count_id, .. }) => {
                (*element, self.constants.get(count_id).copied())
            }
            _ => (pointee, Some(1)),
        };
        // A block without an instance name is known by its own.
        let name = match self.name(variable) {
            name if name.is_empty() => self.name(block),
            name => name,
        };
        let Some(Type::Struct { id, members }) = self.types.get(&block) else {
            return Err(format!("{name}: a descriptor array needs a fixed size"));
        };
        let read_only = self.decorations.contains_key(&(variable, NON_WRITABLE))
            || (0..members.len() as u32)
                .all(|member| self.member_decorations.contains_key(&(*id, member, NON_WRITABLE)));
        let decoration = |decoration, what| {
            let found = self.decorations.get(&(variable, decoration)).copied();
            found.ok_or_else(|| format!("{name}: a buffer without a {what} number"))
        };
        Ok(Binding {
            set: decoration(DESCRIPTOR_SET, "set")?,
            binding: decoration(BINDING, "binding")?,
            count: count
                .ok_or_else(|| format!("{name}: a descriptor array's size is a plain constant"))?,
            read_only,
            name,
        })
    }

    /// The members of a push-constant block, or those of the struct that is its only member.
    fn push_constants(&self, block: u32) -> Result<Vec<Member>, String> {
        let Some(Type::Struct { id, members }) = self.types.get(&block) else {
            return Err("the push constants are not a block".into());
        };
        if let [only] = members[..]
            && let Some(Type::Struct { .. }) = self.types.get(&only)
        {
            return self.push_constants(only);
        }
        let mut found = Vec::new();
        for (&member, index) in members.iter().zip(0..) {
            let name = self.member_names.get(&(*id, index)).cloned().unwrap_or_default();
            let offset = self.member_decorations.get(&(*id, index, OFFSET)).copied();
            match (offset, self.bytes(member)) {
                (Some(offset), Some(bytes)) => found.push(Member { name, offset, bytes }),
                _ => {
                    return Err(format!("push constant {name}: its place or size is not known"));
                }
            }
        }
        Ok(found)
    }

    /// What the size of a workgroup is taken from, where that is specialised.
    fn local_size_ids(&self) -> [Option<u32>; 3] {
        let is_size = |id: &&u32| self.decorations.get(&(**id, BUILT_IN)) == Some(&WORKGROUP_SIZE);
        let parts = self.composites.keys().find(is_size).map(|id| &self.composites[id]);
        [0, 1, 2].map(|axis| self.decorations.get(&(*parts?.get(axis)?, SPEC_ID)).copied())
    }

    /// Bytes of what is in shared memory, as Rust: nothing says how it is laid out there, so that its parts are added up.
    fn shared_bytes(&self, id: u32) -> Result<String, String> {
        match self.types.get(&id) {
            Some(Type::Scalar { bytes }) => Ok(bytes.to_string()),
            Some(Type::Vector { element, count }) => {
                Ok(format!("{} * {count}", self.shared_bytes(*element)?))
            }
            Some(Type::Array { element, count_id, .. }) => {
                let (element, count) = (self.shared_bytes(*element)?, self.expression(*count_id)?);
                Ok(format!("({element}) * {count}"))
            }
            Some(Type::Struct { members, .. }) => {
                let members: Result<Vec<_>, _> =
                    members.iter().map(|&member| self.shared_bytes(member)).collect();
                Ok(members?.join(" + "))
            }
            _ => Err("its size in shared memory is not known".into()),
        }
    }

    /// A constant number as Rust, as in [`Interface::shared_bytes`].
    fn expression(&self, id: u32) -> Result<String, String> {
        if let Some(value) = self.constants.get(&id) {
            return Ok(value.to_string());
        }
        if let Some(spec_id) = self.decorations.get(&(id, SPEC_ID)) {
            return Ok(format!("value({spec_id})"));
        }
        let Some((operation, [left, right])) =
            self.operations.get(&id).map(|(operation, operands)| (*operation, &operands[..]))
        else {
            return Err("a constant that is not understood".into());
        };
        let sign = match operation {
            OP_I_ADD => '+',
            OP_I_SUB => '-',
            OP_I_MUL => '*',
            OP_U_DIV => '/',
            other => return Err(format!("a constant by operation {other}")),
        };
        Ok(format!("({} {sign} {})", self.expression(*left)?, self.expression(*right)?))
    }

    /// Size in bytes of a scalar, vector or array of them.
    fn bytes(&self, id: u32) -> Option<u32> {
        match self.types.get(&id)? {
            Type::Scalar { bytes } => Some(*bytes),
            Type::Vector { element, count } => Some(self.bytes(*element)? * count),
            Type::Array { id, count_id, .. } => {
                Some(self.decorations.get(&(*id, ARRAY_STRIDE))? * self.constants.get(count_id)?)
            }
            Type::RuntimeArray | Type::Struct { .. } | Type::Pointer { .. } => None,
        }
    }
}

/// A literal string: UTF-8 in little-endian words, ended by a zero byte (section 2.2.1).
fn string(words: &[u32]) -> String {
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| word.to_le_bytes()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
