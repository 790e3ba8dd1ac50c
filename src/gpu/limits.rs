use crate::error::{Error, Result};
use crate::shader::module::{
    MAX_BINDINGS, MAX_GROUP_BYTES, MAX_PARAMS_BYTES, STEP_GROUP, WORKGROUP_BYTES, WORKGROUP_SIZE,
};

/// The device limits that this crate relies on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub max_binding_bytes: u64,
    pub max_buffer_bytes: u64,
    pub max_workgroups: u64,
    pub offset_alignment: u64,
    /// The sizes of subgroups, from the smallest to the largest.
    pub subgroup: [u32; 2],
}

impl Limits {
    /// The limits of `device`, or an error if the shaders need more.
    pub(super) fn of(device: &wgpu::Device) -> Result<Self> {
        let limits = device.limits();
        check(&limits)?;
        let info = device.adapter_info();
        Ok(Self {
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
            max_workgroups: limits.max_compute_workgroups_per_dimension.into(),
            offset_alignment: limits.min_storage_buffer_offset_alignment.into(),
            subgroup: [info.subgroup_min_size, info.subgroup_max_size],
        })
    }
}

/// An error that names the limit, if the shaders need more than the device has.
fn check(limits: &wgpu::Limits) -> Result<()> {
    macro_rules! needed {
        ($($name:ident: $needed:expr,)+) => {
            [$((stringify!($name), u64::from(limits.$name), u64::from($needed)),)+]
        };
    }
    let needed = needed! {
        max_compute_workgroup_size_x: WORKGROUP_SIZE,
        max_compute_invocations_per_workgroup: WORKGROUP_SIZE,
        max_storage_buffers_per_shader_stage: MAX_BINDINGS,
        max_bind_groups: STEP_GROUP + 1,
        max_bindings_per_bind_group: MAX_BINDINGS,
        max_uniform_buffers_per_shader_stage: 2u32,
        max_dynamic_uniform_buffers_per_pipeline_layout: 1u32,
        max_compute_workgroup_storage_size: WORKGROUP_BYTES,
        max_uniform_buffer_binding_size: MAX_PARAMS_BYTES,
        max_storage_buffer_binding_size: MAX_GROUP_BYTES,
        max_compute_workgroups_per_dimension: 1u32,
    };
    for (name, actual, needed) in needed {
        if actual < needed {
            return Err(Error::UnsupportedDevice(format!(
                "its limit {name} is {actual}, the shaders need {needed}"
            )));
        }
    }
    Ok(())
}
