//! Host and kernels agree on every buffer: each kernel's SPIR-V is reflected here once more, by another
//! reader than the build script's, and compared with the generated tables and with the Rust structs.

use std::collections::BTreeMap;

use spirq::ReflectConfig;
use spirq::entry_point::EntryPoint;
use spirq::ty::{AccessType, DescriptorType, StructType, Type};
use spirq::var::Variable;
use vkscan::shaders::{self, Binding, Kernel, Struct};

fn reflect(kernel: &Kernel) -> EntryPoint {
    let entries = ReflectConfig::new().spv(kernel.words).ref_all_rscs(true).reflect();
    let mut entries = entries.unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
    assert_eq!(entries.len(), 1, "{} has one entry point", kernel.name);
    entries.remove(0)
}

/// A variable's name, or its block's where it has none.
fn name(variable: &Variable) -> String {
    let block = match variable.ty() {
        Type::Array(array) => array.element_ty.as_struct(),
        ty => ty.as_struct(),
    };
    let names = [variable.name(), block.and_then(StructType::name)];
    names.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_default().to_string()
}

/// How a buffer's bytes are read, whether word by word or in vectors.
fn shape(ty: &Type) -> String {
    match ty {
        Type::Vector(vector) => vector.scalar_ty.to_string(),
        Type::Array(array) => format!("[{}]", shape(&array.element_ty)),
        Type::Struct(item) => {
            let members = item
                .members
                .iter()
                .map(|member| format!("{:?} {}", member.offset, shape(&member.ty)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Compares one struct of a kernel, and those inside it, with Rust's.
fn compare_struct(glsl: &StructType, rust: &[Struct]) -> Result<(), String> {
    let name = glsl.name().unwrap_or_default();
    let Some(host) = rust.iter().find(|host| host.name == name) else {
        return Err(format!("struct {name} is not in shaders/include/layout"));
    };
    let members: Vec<_> = glsl
        .members
        .iter()
        .map(|member| (member.name.clone().unwrap_or_default(), member.offset, member.ty.nbyte()))
        .collect();
    let expected: Vec<_> = host
        .members
        .iter()
        .map(|member| {
            (member.name.to_string(), Some(member.offset as usize), Some(member.bytes as usize))
        })
        .collect();
    if members != expected {
        return Err(format!("struct {name}: {members:?} in SPIR-V, {expected:?} in Rust"));
    }
    Ok(())
}

/// Compares every struct below a block, and the stride of every array of them.
fn compare_structs_below(ty: &Type, rust: &[Struct]) -> Result<(), String> {
    match ty {
        Type::Struct(item) => compare_struct(item, rust),
        Type::Array(array) => {
            compare_structs_below(&array.element_ty, rust)?;
            let item = array.element_ty.as_struct().and_then(|item| item.name());
            match rust.iter().find(|host| Some(host.name) == item) {
                Some(host) if array.stride != Some(host.bytes as usize) => Err(format!(
                    "array of {}: stride {:?}, {} bytes in Rust",
                    host.name, array.stride, host.bytes
                )),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Compares what the members of a variable's block hold.
fn compare_block(variable: &Variable, rust: &[Struct]) -> Result<(), String> {
    let block = match variable.ty() {
        Type::Array(descriptors) => &descriptors.element_ty,
        block => block,
    };
    let members = &block.as_struct().ok_or("not a block")?.members;
    members.iter().try_for_each(|member| compare_structs_below(&member.ty, rust))
}

#[test]
fn generated_tables_are_what_the_spirv_says() {
    for kernel in shaders::ALL {
        let entry = reflect(kernel);
        let (mut bindings, mut spec_constants) = (Vec::new(), Vec::new());
        for variable in &entry.vars {
            match variable {
                Variable::Descriptor { desc_bind, desc_ty, nbind, .. } => {
                    let DescriptorType::StorageBuffer(access) = desc_ty else {
                        panic!("{}: {} is no storage buffer", kernel.name, name(variable));
                    };
                    let read_only = *access == AccessType::ReadOnly;
                    bindings.push((
                        desc_bind.set(),
                        desc_bind.bind(),
                        *nbind,
                        name(variable),
                        read_only,
                    ));
                }
                Variable::SpecConstant { spec_id, .. } => {
                    spec_constants.push((*spec_id, name(variable)))
                }
                _ => {}
            }
        }
        bindings.sort();
        spec_constants.sort();
        let generated = |b: &Binding| (b.set, b.binding, b.count, b.name.to_string(), b.read_only);
        assert_eq!(
            bindings,
            kernel.bindings.iter().map(generated).collect::<Vec<_>>(),
            "{}",
            kernel.name
        );
        let generated: Vec<_> =
            kernel.spec_constants.iter().map(|c| (c.id, c.name.to_string())).collect();
        assert_eq!(spec_constants, generated, "{}", kernel.name);

        let local_size = entry
            .exec_modes
            .iter()
            .find(|mode| mode.exec_mode == spirq::spirv::ExecutionMode::LocalSize);
        let sizes = local_size
            .expect("a compute kernel")
            .operands
            .iter()
            .map(|operand| operand.value.clone());
        let generated = kernel.local_size.map(spirq::constant::ConstantValue::from);
        assert_eq!(sizes.collect::<Vec<_>>(), generated, "{}", kernel.name);
    }
}

#[test]
fn a_binding_is_the_same_buffer_in_every_kernel() {
    let mut seen = BTreeMap::new();
    for kernel in shaders::ALL {
        for variable in &reflect(kernel).vars {
            let Variable::Descriptor { desc_bind, nbind, ty, .. } = variable else {
                continue;
            };
            let buffer = (name(variable), *nbind, shape(ty));
            let (first, expected) =
                seen.entry(*desc_bind).or_insert_with(|| (kernel.name, buffer.clone()));
            assert_eq!(buffer, *expected, "{desc_bind} in {} and {first}", kernel.name);
        }
    }
}

#[test]
fn structs_lie_in_spirv_as_in_rust() {
    for kernel in shaders::ALL {
        for variable in &reflect(kernel).vars {
            if matches!(variable, Variable::Descriptor { .. } | Variable::PushConstant { .. }) {
                compare_block(variable, shaders::layout::STRUCTS)
                    .unwrap_or_else(|error| panic!("{}: {}: {error}", kernel.name, name(variable)));
            }
        }
    }
}

#[test]
fn push_constants_are_one_shared_struct() {
    for kernel in shaders::ALL {
        // What every device takes (maxPushConstantsSize).
        assert!(kernel.push_constant_bytes <= 128, "{}", kernel.name);
        for variable in &reflect(kernel).vars {
            let Variable::PushConstant { ty, .. } = variable else {
                continue;
            };
            let [member] = &ty.as_struct().expect("a block").members[..] else {
                panic!(
                    "{}: the push-constant block holds one struct of shaders/include/layout",
                    kernel.name
                );
            };
            let host = member.ty.as_struct().and_then(|item| item.name());
            let host = shaders::layout::STRUCTS.iter().find(|item| Some(item.name) == host);
            let host = host.unwrap_or_else(|| {
                panic!("{}: its push constants are not in shaders/include/layout", kernel.name)
            });
            assert_eq!(kernel.push_constants, host.members, "{}", kernel.name);
            assert_eq!(kernel.push_constant_bytes, host.bytes, "{}", kernel.name);
        }
    }
}

/// The comparison above is worth nothing if it cannot fail.
#[test]
fn a_moved_field_is_noticed() {
    let notices = |variable: &Variable| {
        let moved: Vec<Struct> = shaders::layout::STRUCTS
            .iter()
            .map(|item| {
                let mut members = item.members.to_vec();
                members.iter_mut().for_each(|member| member.offset += 4);
                Struct { members: members.leak(), ..*item }
            })
            .collect();
        matches!(variable, Variable::PushConstant { .. })
            && compare_block(variable, &moved).is_err()
    };
    let mut kernels = shaders::ALL.iter().filter(|kernel| kernel.push_constant_bytes > 0);
    assert!(kernels.any(|kernel| reflect(kernel).vars.iter().any(notices)));
}
