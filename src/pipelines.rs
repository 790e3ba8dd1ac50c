use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use crate::tensor::ElementType;
use crate::{Gpu, Result};

pub(crate) const WORKGROUP_SIZE: u32 = 256;
pub(crate) const LANES_PER_INVOCATION: u32 = 4;

/// Storage buffers of one entry point, at most.
pub(crate) const MAX_BINDINGS: u32 = 3;
/// Bytes of one op's parameters, at most: what Vulkan has room for in immediates.
pub(crate) const MAX_PARAMS_BYTES: u32 = 128;
/// Bytes of the run of a tensor that one workgroup owns, at most: lanes of four f32.
pub(crate) const MAX_GROUP_BYTES: u32 = WORKGROUP_SIZE * LANES_PER_INVOCATION * 16;

/// The WGSL of an op: its own file first, so that line numbers in messages are that file's.
#[derive(Debug)]
pub(crate) struct Module {
    /// The op, as in the names of its files.
    pub name: &'static str,
    /// The op's file, then the shared functions that it calls.
    pub sources: &'static [&'static str],
    /// Constants that the host needs too.
    pub constants: &'static [(&'static str, u32)],
    pub entry_points: &'static [EntryPoint],
    /// The struct of the parameters, and of the Rust struct the fields' names and offsets, and its size.
    pub params: Params,
}

#[derive(Debug)]
pub(crate) struct EntryPoint {
    pub name: &'static str,
    /// The number of storage buffers.
    pub bindings: u32,
}

#[derive(Debug)]
pub(crate) struct Params {
    pub name: &'static str,
    pub fields: &'static [(&'static str, usize)],
    pub size: usize,
}

/// An entry point of a module, which is known by its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    pub module: &'static Module,
    pub entry_point: usize,
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.module, other.module) && self.entry_point == other.entry_point
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self.module, state);
        self.entry_point.hash(state);
    }
}

/// How a module is built for a device and the tensors at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    pub element: ElementType,
    /// Four values in a lane, or one.
    pub wide_lanes: bool,
    /// Parameters as immediates, or in a uniform buffer.
    pub immediates: bool,
    pub int64: bool,
}

impl Variant {
    pub fn all() -> impl Iterator<Item = Self> {
        let both = [true, false];
        [ElementType::F32, ElementType::F16]
            .into_iter()
            .flat_map(move |element| {
                both.into_iter().flat_map(move |wide_lanes| {
                    both.into_iter().flat_map(move |immediates| {
                        both.into_iter().map(move |int64| Self {
                            element,
                            wide_lanes,
                            immediates,
                            int64,
                        })
                    })
                })
            })
    }

    pub fn values_per_lane(self) -> u64 {
        if self.wide_lanes { 4 } else { 1 }
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let lane = if self.wide_lanes { "x4" } else { "" };
        let params = if self.immediates {
            "immediates"
        } else {
            "uniform"
        };
        let integers = if self.int64 { "u64" } else { "u32" };
        write!(f, "{}{lane} {params} {integers}", self.element)
    }
}

impl Module {
    /// The whole WGSL.
    pub fn source(&self, variant: Variant) -> String {
        let lane = match (variant.element, variant.wide_lanes) {
            (ElementType::F32, true) => include_str!("../shaders/shared/lane_f32x4.wgsl"),
            (ElementType::F32, false) => include_str!("../shaders/shared/lane_f32.wgsl"),
            (ElementType::F16, true) => include_str!("../shaders/shared/lane_f16x4.wgsl"),
            (ElementType::F16, false) => include_str!("../shaders/shared/lane_f16.wgsl"),
        };
        let wide = if variant.int64 {
            include_str!("../shaders/shared/wide_u64.wgsl")
        } else {
            include_str!("../shaders/shared/wide_u32.wgsl")
        };
        let params = if variant.immediates {
            format!("var<immediate> p: {};\n", self.params.name)
        } else {
            format!(
                "@group(1) @binding(0) var<uniform> p: {};\n",
                self.params.name
            )
        };
        let constants = [
            ("WORKGROUP_SIZE", WORKGROUP_SIZE),
            ("LANES_PER_INVOCATION", LANES_PER_INVOCATION),
        ];
        let constants: String = constants
            .iter()
            .chain(self.constants)
            .map(|(name, value)| format!("const {name} = {value}u;\n"))
            .collect();
        // A directive must come first; without a line of its own, it moves no other.
        let directive = if variant.element == ElementType::F16 {
            "enable f16; "
        } else {
            ""
        };
        let tile = include_str!("../shaders/shared/tile.wgsl");
        [directive]
            .iter()
            .chain(self.sources)
            .copied()
            .chain([tile, lane, wide, &constants, &params])
            .collect()
    }
}

/// A pipeline and the layouts of its bind groups.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub tensors: wgpu::BindGroupLayout,
    /// The parameters' uniform buffer, where there are no immediates.
    pub params: Option<wgpu::BindGroupLayout>,
}

/// The pipelines of a device, each created when it is first needed.
#[derive(Debug)]
pub(crate) struct Pipelines {
    created: RwLock<HashMap<(Kernel, Variant), Arc<Pipeline>>>,
    params: RwLock<HashMap<Box<[u8]>, wgpu::BindGroup>>,
    immediate_bytes: usize,
    int64: bool,
}

/// Uniform buffers of parameters kept; repeated calls have the same few.
const MAX_KEPT_PARAMS: usize = 256;

impl Pipelines {
    pub fn new(device: &wgpu::Device, limits: &wgpu::Limits) -> Self {
        let features = device.features();
        let immediates = features.contains(wgpu::Features::IMMEDIATES);
        Self {
            created: RwLock::default(),
            params: RwLock::default(),
            immediate_bytes: if immediates {
                limits.max_immediate_size as usize
            } else {
                0
            },
            int64: features.contains(wgpu::Features::SHADER_INT64),
        }
    }

    /// How this device builds `module`.
    pub fn variant(&self, module: &Module, element: ElementType, wide_lanes: bool) -> Variant {
        let immediates = module.params.size <= self.immediate_bytes;
        Variant {
            element,
            wide_lanes,
            immediates,
            int64: self.int64,
        }
    }

    pub fn get(&self, gpu: &Gpu, kernel: Kernel, variant: Variant) -> Result<Arc<Pipeline>> {
        let entry_point = &kernel.module.entry_points[kernel.entry_point];
        let key = (kernel, variant);
        if let Some(pipeline) = self
            .created
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Ok(pipeline.clone());
        }
        // Created under the lock: a second thread waits for it and does not make its own.
        let mut created = self.created.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = created.get(&key) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(gpu.checked(0, || {
            create(gpu.device(), kernel.module, entry_point, variant)
        })?);
        created.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// A bind group with `bytes` in a uniform buffer that never changes, so that it stays right for
    /// every encoder that holds it, whenever that is submitted.
    pub fn params(
        &self,
        gpu: &Gpu,
        layout: &wgpu::BindGroupLayout,
        bytes: &[u8],
    ) -> Result<wgpu::BindGroup> {
        if let Some(group) = self
            .params
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(bytes)
        {
            return Ok(group.clone());
        }
        let group = gpu.checked(bytes.len() as u64, || {
            let device = gpu.device();
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("selfnorm parameters"),
                size: bytes.len() as u64,
                usage: wgpu::BufferUsages::UNIFORM,
                mapped_at_creation: true,
            });
            buffer
                .get_mapped_range_mut(..)
                .map_err(|_| crate::Error::DeviceLost)?
                .copy_from_slice(bytes);
            buffer.unmap();
            Ok(device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("selfnorm parameters"),
                layout,
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: buffer.as_entire_binding(),
                }],
            }))
        })??;
        let mut params = self.params.write().unwrap_or_else(PoisonError::into_inner);
        if params.len() >= MAX_KEPT_PARAMS {
            params.clear();
        }
        params.insert(bytes.into(), group.clone());
        Ok(group)
    }
}

fn create(
    device: &wgpu::Device,
    module: &Module,
    entry_point: &EntryPoint,
    variant: Variant,
) -> Pipeline {
    let layout = |count: u32, ty: wgpu::BufferBindingType| {
        let entries: Vec<_> = (0..count)
            .map(|binding| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &entries,
        })
    };
    let tensors = layout(
        entry_point.bindings,
        wgpu::BufferBindingType::Storage { read_only: false },
    );
    let params = (!variant.immediates).then(|| layout(1, wgpu::BufferBindingType::Uniform));
    let groups: Vec<_> = [Some(&tensors), params.as_ref()]
        .into_iter()
        .flatten()
        .map(Some)
        .collect();
    let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(module.name),
        source: wgpu::ShaderSource::Wgsl(module.source(variant).into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(entry_point.name),
        layout: Some(
            &device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(entry_point.name),
                bind_group_layouts: &groups,
                immediate_size: if variant.immediates {
                    module.params.size as u32
                } else {
                    0
                },
            }),
        ),
        module: &shader,
        entry_point: Some(entry_point.name),
        compilation_options: Default::default(),
        cache: None,
    });
    Pipeline {
        pipeline,
        tensors,
        params,
    }
}
