use std::hash::{Hash, Hasher};
#[cfg(not(target_family = "wasm"))]
use std::sync::OnceLock;
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use super::memory::{MIN_STAGING_BYTES, Memory, Purpose};
use super::once_map::OnceMap;
#[cfg(not(target_family = "wasm"))]
use super::pipeline_cache::PipelineCache;
use crate::element::ElementType;
use crate::error::Result;
use crate::shaders::{File, with_calls};

pub(crate) const WORKGROUP_SIZE: u32 = 256;
pub(crate) const LANES_PER_INVOCATION: u32 = 4;

/// Storage buffers of one entry point, at most.
pub(crate) const MAX_BINDINGS: u32 = 4;
/// Bytes of workgroup memory, at most: two tiles of a product.
pub(crate) const WORKGROUP_BYTES: u32 = 8192;
/// Bytes of one op's parameters, at most: what Vulkan has room for in immediates.
pub(crate) const MAX_PARAMS_BYTES: u32 = 128;
/// Bytes of the run of a tensor that one workgroup owns, at most: lanes of four f32.
pub(crate) const MAX_GROUP_BYTES: u32 = WORKGROUP_SIZE * LANES_PER_INVOCATION * 16;

/// The WGSL of an op: its own file first, so that line numbers in messages are that file's.
#[derive(Debug)]
pub(crate) struct Module {
    /// The op, as in the names of its files.
    pub name: &'static str,
    /// The op's file.
    pub file: &'static File,
    /// Constants that the host needs too.
    pub constants: &'static [(&'static str, u32)],
    pub entry_points: &'static [&'static str],
    pub params: Struct,
    pub elements: &'static [ElementType],
    /// Forms to check ahead of time: all that differ by more than the values of constants.
    pub forms: fn() -> Vec<Form>,
    /// Whether it is bound to the record of a step.
    pub step: bool,
    /// Other structs that the host writes.
    pub structs: &'static [&'static Struct],
}

/// A struct of the WGSL, and of the Rust struct the fields' names and offsets, and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struct {
    pub name: &'static str,
    pub fields: &'static [(&'static str, usize)],
    pub size: usize,
    /// Its text, where it is not in a file.
    pub wgsl: &'static str,
}

/// What an op is built for, beyond the device: files that its own needs, and constants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    pub files: Vec<&'static File>,
    pub constants: Vec<(&'static str, u32)>,
}

/// Of a module with one form.
pub(crate) const SINGLE_FORM: fn() -> Vec<Form> = || vec![Form::default()];
pub(crate) const FLOATS: &[ElementType] = &[ElementType::F32, ElementType::F16];

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    pub element: ElementType,
    /// Four values in a lane, or one.
    pub wide_lanes: bool,
    /// Parameters as immediates, or in a uniform buffer.
    pub immediates: bool,
    pub int64: bool,
    pub form: Form,
}

impl Variant {
    pub fn all(module: &'static Module) -> impl Iterator<Item = Self> {
        let both = [true, false];
        let forms = (module.forms)().into_iter();
        forms.flat_map(move |form| {
            module.elements.iter().flat_map(move |&element| {
                let form = form.clone();
                both.into_iter().flat_map(move |wide_lanes| {
                    let form = form.clone();
                    both.into_iter().flat_map(move |immediates| {
                        let form = form.clone();
                        both.into_iter().map(move |int64| Self {
                            element,
                            wide_lanes,
                            immediates,
                            int64,
                            form: form.clone(),
                        })
                    })
                })
            })
        })
    }

    pub fn values_per_lane(&self) -> u64 {
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
    /// Of f32, with one kernel that has the op's name.
    pub const fn new(name: &'static str, file: &'static File, params: Struct) -> Self {
        Self {
            name,
            file,
            constants: &[],
            entry_points: &[],
            params,
            elements: &[ElementType::F32],
            forms: SINGLE_FORM,
            step: false,
            structs: &[],
        }
    }

    pub const fn entry_points(mut self, names: &'static [&'static str]) -> Self {
        self.entry_points = names;
        self
    }

    pub const fn constants(mut self, constants: &'static [(&'static str, u32)]) -> Self {
        self.constants = constants;
        self
    }

    pub const fn forms(mut self, forms: fn() -> Vec<Form>) -> Self {
        self.forms = forms;
        self
    }

    /// f16, too.
    pub const fn floats(mut self) -> Self {
        self.elements = FLOATS;
        self
    }

    /// Bound to the record of a step.
    pub const fn step(mut self, structs: &'static [&'static Struct]) -> Self {
        self.step = true;
        self.structs = structs;
        self
    }

    /// The kernel of an entry point, which must be listed.
    pub const fn kernel(&'static self, name: &str) -> Kernel {
        let mut i = 0;
        while i < self.entry_points.len() {
            if is_same(self.entry_points[i], name) {
                return Kernel {
                    module: self,
                    entry_point: i,
                };
            }
            i += 1;
        }
        panic!("no such entry point");
    }

    /// The whole WGSL.
    pub fn source(&self, variant: &Variant) -> String {
        let lane = match (variant.element, variant.wide_lanes) {
            (ElementType::F32, true) => include_str!("../../shaders/shared/lane_f32x4.wgsl"),
            (ElementType::F32, false) => include_str!("../../shaders/shared/lane_f32.wgsl"),
            (ElementType::F16, true) => include_str!("../../shaders/shared/lane_f16x4.wgsl"),
            (ElementType::F16, false) => include_str!("../../shaders/shared/lane_f16.wgsl"),
        };
        let wide = if variant.int64 {
            include_str!("../../shaders/shared/wide_u64.wgsl")
        } else {
            include_str!("../../shaders/shared/wide_u32.wgsl")
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
            .chain(&variant.form.constants)
            .map(|(name, value)| format!("const {name} = {value}u;\n"))
            .collect();
        // A directive must come first; without a line of its own, it moves no other.
        let directive = if variant.element == ElementType::F16 {
            "enable f16; "
        } else {
            ""
        };
        let tile = include_str!("../../shaders/shared/tile.wgsl");
        let step = if self.step {
            include_str!("../../shaders/shared/step.wgsl")
        } else {
            ""
        };
        let structs: Vec<_> = self.structs.iter().map(|written| written.wgsl).collect();
        let files = [self.file]
            .into_iter()
            .chain(variant.form.files.iter().copied());
        let files: Vec<_> = with_calls(files).iter().map(|file| file.text).collect();
        [directive]
            .iter()
            .chain(&files)
            .chain([&self.params.wgsl])
            .chain(&structs)
            .copied()
            .chain([tile, lane, wide, step, &constants, &params])
            .collect()
    }

    /// What `variant` is called.
    pub fn name(&self, variant: &Variant) -> String {
        let files = with_calls(variant.form.files.iter().copied());
        let word = |file: &&'static File| match file.name {
            "shared/run_u64" => "u64 ".into(),
            "shared/left_shared" => "subgroups ".into(),
            name => format!("{name} "),
        };
        let files: String = files.iter().map(word).collect();
        let constants = variant.form.constants.iter();
        let constants: String = constants
            .map(|(name, value)| format!("{name}={value} "))
            .collect();
        [self.name, &files, &constants, &variant.to_string()]
            .into_iter()
            .flat_map(str::split_whitespace)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// A pipeline and the layouts of its bind groups.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub tensors: wgpu::BindGroupLayout,
    /// The parameters' uniform buffer, where there are no immediates.
    pub params: Option<wgpu::BindGroupLayout>,
}

/// Where the record of a step is bound.
pub(crate) const STEP_GROUP: u32 = 2;

/// The pipelines of a device, each created when it is first needed.
#[derive(Debug)]
pub(crate) struct Pipelines {
    memory: Arc<Memory>,
    created: OnceMap<(Kernel, Variant), Arc<Pipeline>>,
    #[cfg(not(target_family = "wasm"))]
    cache: OnceLock<PipelineCache>,
    params: RwLock<HashMap<Box<[u8]>, wgpu::BindGroup>>,
    immediate_bytes: usize,
    int64: bool,
    step: wgpu::BindGroupLayout,
}

/// Uniform buffers of parameters kept; repeated calls have the same few.
const MAX_KEPT_PARAMS: usize = 256;

impl Pipelines {
    pub fn new(memory: Arc<Memory>) -> Self {
        let device = &memory.device().device;
        let features = device.features();
        let immediates = features.contains(wgpu::Features::IMMEDIATES);
        Self {
            created: OnceMap::default(),
            #[cfg(not(target_family = "wasm"))]
            cache: OnceLock::new(),
            params: RwLock::default(),
            immediate_bytes: if immediates {
                device.limits().max_immediate_size as usize
            } else {
                0
            },
            int64: features.contains(wgpu::Features::SHADER_INT64),
            step: layout(device, 1, wgpu::BufferBindingType::Uniform, true),
            memory,
        }
    }

    /// The layout of the bind group of a step's record.
    pub fn step(&self) -> &wgpu::BindGroupLayout {
        &self.step
    }

    /// How this device builds `module`.
    pub fn variant(
        &self,
        module: &Module,
        element: ElementType,
        wide_lanes: bool,
        form: Form,
    ) -> Variant {
        let immediates = module.params.size <= self.immediate_bytes;
        Variant {
            element,
            wide_lanes,
            immediates,
            int64: self.int64,
            form,
        }
    }

    /// The pipeline of an entry point with `bindings` storage buffers.
    pub fn get(&self, kernel: Kernel, variant: Variant, bindings: usize) -> Result<Arc<Pipeline>> {
        self.created
            .get_or_create((kernel, variant), |(_, variant)| {
                let create = |cache: Option<&wgpu::PipelineCache>| {
                    self.memory
                        .device()
                        .checked(0, || self.create(kernel, variant, bindings, cache))
                };
                self.with_cache(create).map(Arc::new)
            })
    }

    /// From now on pipelines are created with what is in `cache`, and added to it.
    #[cfg(not(target_family = "wasm"))]
    pub fn set_cache(&self, cache: PipelineCache) {
        self.cache.get_or_init(|| cache);
    }

    #[cfg(not(target_family = "wasm"))]
    fn with_cache<R>(&self, create: impl FnOnce(Option<&wgpu::PipelineCache>) -> R) -> R {
        match self.cache.get() {
            Some(cache) => cache.create(|cache| create(Some(cache))),
            None => create(None),
        }
    }

    /// A browser has its own.
    #[cfg(target_family = "wasm")]
    fn with_cache<R>(&self, create: impl FnOnce(Option<&wgpu::PipelineCache>) -> R) -> R {
        create(None)
    }

    /// A bind group with `bytes` in a uniform buffer that never changes, so that it stays right for
    /// every encoder that holds it, whenever that is submitted.
    pub fn params(&self, layout: &wgpu::BindGroupLayout, bytes: &[u8]) -> Result<wgpu::BindGroup> {
        if let Some(group) = self
            .params
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(bytes)
        {
            return Ok(group.clone());
        }
        // wgpu stages what is written at creation, and gives up the device if there is no memory for
        // that; so that there is, let go of some.
        drop(self.memory.take(Purpose::Upload, MIN_STAGING_BYTES)?);
        let group = self.memory.device().checked(bytes.len() as u64, || {
            let device = &self.memory.device().device;
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("selfnorm parameters"),
                size: bytes.len() as u64,
                usage: wgpu::BufferUsages::UNIFORM,
                mapped_at_creation: true,
            });
            buffer
                .get_mapped_range_mut(..)
                .map_err(|_| crate::error::Error::DeviceLost)?
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
        // Freed without the lock.
        let mut others = HashMap::new();
        let mut params = self.params.write().unwrap_or_else(PoisonError::into_inner);
        if params.len() >= MAX_KEPT_PARAMS {
            others = std::mem::take(&mut *params);
        }
        params.insert(bytes.into(), group.clone());
        drop(params);
        drop(others);
        Ok(group)
    }

    fn create(
        &self,
        kernel: Kernel,
        variant: &Variant,
        bindings: usize,
        cache: Option<&wgpu::PipelineCache>,
    ) -> Pipeline {
        let device = &self.memory.device().device;
        let module = kernel.module;
        let entry_point = module.entry_points[kernel.entry_point];
        let storage = wgpu::BufferBindingType::Storage { read_only: false };
        let tensors = layout(device, bindings, storage, false);
        let params = (!variant.immediates)
            .then(|| layout(device, 1, wgpu::BufferBindingType::Uniform, false));
        let step = module.step.then_some(&self.step);
        let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(module.name),
            source: wgpu::ShaderSource::Wgsl(module.source(variant).into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: Some(
                &device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: Some(entry_point),
                    bind_group_layouts: &[Some(&tensors), params.as_ref(), step],
                    immediate_size: if variant.immediates {
                        module.params.size as u32
                    } else {
                        0
                    },
                }),
            ),
            module: &shader,
            entry_point: Some(entry_point),
            // Each kernel writes workgroup memory before it reads it. In GLSL the zeros would be a
            // literal of all of them, which takes Mesa half a minute to compile.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache,
        });
        Pipeline {
            pipeline,
            tensors,
            params,
        }
    }
}

fn layout(
    device: &wgpu::Device,
    count: usize,
    ty: wgpu::BufferBindingType,
    has_dynamic_offset: bool,
) -> wgpu::BindGroupLayout {
    let entries: Vec<_> = (0..count as u32)
        .map(|binding| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &entries,
    })
}
