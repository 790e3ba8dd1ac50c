use super::limits::Limits;
use crate::shader::module::WORKGROUP_SIZE;

/// Cooperative matrices of 16-bit floats with sums in f32, which a subgroup multiplies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CooperativeMatrices {
    /// Rows and columns.
    pub side: u32,
    pub subgroup: u32,
}

/// Of the tiles' lines of four matrices, with eight values more, 16-bit floats, for left and right; and of a matrix of
/// each subgroup on its way to memory.
const fn workgroup_bytes(side: u32, subgroup: u32) -> u32 {
    let inners = 8 * subgroup / side;
    2 * inners * (4 * side + 8) * 2 + 4 * side * side * 4
}

impl CooperativeMatrices {
    /// The largest of those `listed` that the shaders have, if `device` can use them: a workgroup is four subgroups,
    /// all of one size.
    pub fn of(
        device: &wgpu::Device,
        limits: &Limits,
        listed: &[wgpu::CooperativeMatrixProperties],
    ) -> Option<Self> {
        let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SUBGROUP;
        let [subgroup, most] = limits.subgroup;
        if !device.features().contains(needed) || subgroup != most {
            return None;
        }
        let is_listed = |side: u32| {
            listed.iter().any(|matrix| {
                [matrix.m_size, matrix.n_size, matrix.k_size] == [side; 3]
                    && matrix.ab_type == wgpu::CooperativeScalarType::F16
                    && matrix.cr_type == wgpu::CooperativeScalarType::F32
            })
        };
        // An invocation loads blocks of 4 x 4, and a workgroup a matrix of inners or more.
        let most_bytes = device.limits().max_compute_workgroup_storage_size;
        let fits = |side: u32| {
            (side * side / 8..=WORKGROUP_SIZE / 4).contains(&subgroup)
                && workgroup_bytes(side, subgroup) <= most_bytes
        };
        let side = [16, 8]
            .into_iter()
            .find(|&side| is_listed(side) && fits(side))?;
        Some(Self { side, subgroup })
    }
}
