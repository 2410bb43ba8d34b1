//! Writes the module that `src/shaders.rs` includes.

use crate::layout::{Field, Layout};
use crate::spirv::{Interface, Member};

pub struct Kernel {
    pub name: String,
    pub words: Vec<u32>,
    pub interface: Interface,
}

pub fn module(kernels: &[Kernel], layout: &Layout) -> String {
    let mut text = String::new();
    for kernel in kernels {
        text += &kernel_static(kernel);
    }
    let names: Vec<String> =
        kernels.iter().map(|kernel| format!("&{}", kernel.name.to_uppercase())).collect();
    text += &format!(
        "/// Every kernel, by name.\npub static ALL: &[&Kernel] = &[{}];\n",
        names.join(", ")
    );
    text + &layout_module(layout)
}

fn kernel_static(kernel: &Kernel) -> String {
    let Kernel { name, words, interface } = kernel;
    let bindings = list(&interface.bindings, |b| {
        format!(
            "Binding {{ set: {}, binding: {}, count: {}, name: {:?}, read_only: {} }}",
            b.set, b.binding, b.count, b.name, b.read_only
        )
    });
    let push_constants = list(&interface.push_constants, |Member { name, offset, bytes }| {
        format!("Member {{ name: {name:?}, offset: {offset}, bytes: {bytes} }}")
    });
    let spec_constants = list(&interface.spec_constants, |constant| {
        format!(
            "SpecConstant {{ id: {}, name: {:?}, default: {} }}",
            constant.id, constant.name, constant.default
        )
    });
    let push_constant_bytes =
        interface.push_constants.iter().map(|m| m.offset + m.bytes).max().unwrap_or(0);
    format!(
        "/// The kernel `shaders/{name}.comp`.
#[allow(unused_parens, unused_variables, clippy::identity_op, clippy::precedence)]
pub static {}: Kernel = Kernel {{
    name: {name:?},
    words: &{words:?},
    bindings: {bindings},
    push_constant_bytes: {push_constant_bytes},
    push_constants: {push_constants},
    local_size: {:?},
    local_size_ids: {:?},
    shared_bytes: |value| {},
    spec_constants: {spec_constants},
}};
",
        name.to_uppercase(),
        interface.local_size,
        interface.local_size_ids,
        interface.shared_bytes,
    )
}

fn list<T>(items: &[T], write: impl Fn(&T) -> String) -> String {
    format!("&[{}]", items.iter().map(write).collect::<Vec<_>>().join(", "))
}

fn layout_module(layout: &Layout) -> String {
    let mut text = String::from(
        "/// The Rust twin of `shaders/include/layout/`, constants written as there.
#[allow(unused_parens, clippy::identity_op)]
pub mod layout {
use super::{Member, Struct};
",
    );
    for item in &layout.consts {
        text += &format!("{}pub const {}: u32 = {};\n", docs(&item.docs), item.name, item.value);
    }
    let specialised: String = layout
        .consts
        .iter()
        .filter_map(|item| Some((&item.name, item.name.strip_prefix("SPEC_")?)))
        .map(|(constant, name)| format!("({constant}, {name:?}), "))
        .collect();
    text += &format!(
        "/// Ids and names of all specialisation constants.\npub static SPEC_NAMES: &[(u32, &str)] = &[{specialised}];\n"
    );
    for item in &layout.structs {
        let fields: String = item
            .fields
            .iter()
            .map(|field| {
                format!("{}    pub {}: {},\n", docs(&field.docs), field.name, field_type(field))
            })
            .collect();
        text += &format!(
            "{}#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct {name} {{
{fields}}}
impl {name} {{
    /// Size in 32-bit words.
    pub const WORDS: usize = size_of::<Self>() / 4;
}}
// Arrays of any length have none of their own.
impl Default for {name} {{
    fn default() -> Self {{
        bytemuck::Zeroable::zeroed()
    }}
}}
",
            docs(&item.docs),
            name = item.name
        );
    }
    let structs = list(&layout.structs, |item| {
        let name = &item.name;
        let members = list(&item.fields, |field| {
            format!(
                "Member {{ name: {field_name:?}, offset: std::mem::offset_of!({name}, {field_name}) as u32, \
                 bytes: size_of::<{}>() as u32 }}",
                field_type(field),
                field_name = field.name,
            )
        });
        format!(
            "Struct {{ name: {name:?}, bytes: size_of::<{name}>() as u32, members: {members} }}"
        )
    });
    text += &format!(
        "/// Every struct here as Rust lays it out.\npub static STRUCTS: &[Struct] = {structs};\n"
    );
    text + "}\n"
}

fn field_type(field: &Field) -> String {
    match &field.length {
        Some(length) if length.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("[u32; {length}]")
        }
        Some(constant) => format!("[u32; {constant} as usize]"),
        None => "u32".into(),
    }
}

fn docs(lines: &[String]) -> String {
    lines.iter().map(|line| format!("#[doc = {line:?}]\n")).collect()
}
