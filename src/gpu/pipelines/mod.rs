mod once_map;
#[cfg(not(target_family = "wasm"))]
pub(super) mod pipeline_cache;

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use hashbrown::HashMap;
use once_map::OnceMap;

use super::device::Device;
use super::memory::{MIN_STAGING_BYTES, Memory, Purpose};
use super::platform::{self, PipelineCache};
use crate::element::ElementType;
use crate::error::Result;
use crate::shader::module::{Form, Kernel, MAX_PARAMS_BYTES, Module, Texels, Variant};

/// A pipeline and the layouts of its bind groups.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// Its entry point.
    pub name: &'static str,
    pub pipeline: wgpu::ComputePipeline,
    pub tensors: wgpu::BindGroupLayout,
    /// For the parameters' uniform buffer, if they are not immediates.
    pub params: Option<wgpu::BindGroupLayout>,
    /// For a pipeline that takes the record of a step, one of zeros: that of no step.
    pub no_step: Option<wgpu::BindGroup>,
}

/// The pipelines of a device, each created when it is first needed.
#[derive(Debug)]
pub(crate) struct Pipelines {
    memory: Arc<Memory>,
    created: OnceMap<(Kernel, Variant), Arc<Pipeline>>,
    cache: OnceLock<PipelineCache>,
    params: RwLock<HashMap<Box<[u8]>, wgpu::BindGroup>>,
    immediate_bytes: usize,
    int64: bool,
    /// The layout of the bind group of a step's record.
    pub step: wgpu::BindGroupLayout,
    no_step: Mutex<Option<wgpu::BindGroup>>,
}

/// How many uniform buffers of parameters are kept; repeated calls use the same few.
const MAX_KEPT_PARAMS: usize = 256;

impl Pipelines {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        let device = &memory.device().device;
        let features = device.features();
        let immediates = features.contains(wgpu::Features::IMMEDIATES);
        Self {
            created: OnceMap::default(),
            cache: OnceLock::new(),
            params: RwLock::default(),
            immediate_bytes: if immediates {
                device.limits().max_immediate_size as usize
            } else {
                0
            },
            int64: features.contains(wgpu::Features::SHADER_INT64),
            step: layout(device, 1, wgpu::BufferBindingType::Uniform, true, None),
            no_step: Mutex::default(),
            memory,
        }
    }

    pub(super) fn device(&self) -> &Device {
        self.memory.device()
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
                let no_step = match kernel.module.step {
                    Some(_) => Some(self.no_step()?),
                    None => None,
                };
                let create = |cache: Option<&wgpu::PipelineCache>| {
                    let create = || self.create(kernel, variant, bindings, no_step, cache);
                    self.device().checked(0, create)
                };
                self.with_cache(create).map(Arc::new)
            })
    }

    /// From now on, pipelines are taken from `cache` if it has them, and else added to it.
    pub(super) fn set_cache(&self, cache: PipelineCache) {
        self.cache.get_or_init(|| cache);
    }

    fn with_cache<R>(&self, create: impl FnOnce(Option<&wgpu::PipelineCache>) -> R) -> R {
        match self.cache.get() {
            Some(cache) => cache.create(|cache| create(Some(cache))),
            None => create(None),
        }
    }

    /// A bind group with `bytes` in a uniform buffer that never changes, so it stays correct for
    /// every encoder that uses it, whenever that is submitted.
    pub(super) fn params(
        &self,
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
        // wgpu stages the bytes written at creation, and loses the device if there is no memory for
        // that. Make sure that there is: allocate as much, and free it.
        drop(self.memory.take(Purpose::Upload, MIN_STAGING_BYTES)?);
        let group = self.device().checked(bytes.len() as u64, || {
            let device = &self.device().device;
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("selfnorm parameters"),
                size: bytes.len() as u64,
                usage: match platform::STAGING_IS_MAPPED {
                    true => wgpu::BufferUsages::UNIFORM,
                    false => wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                },
                mapped_at_creation: platform::STAGING_IS_MAPPED,
            });
            platform::fill(self.device(), &buffer, bytes, 0)?;
            Ok(device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("selfnorm parameters"),
                layout,
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: buffer.as_entire_binding(),
                }],
            }))
        })??;
        // Freed after unlocking.
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

    /// A record of zeros, as long as any step's: dropout does nothing.
    fn no_step(&self) -> Result<wgpu::BindGroup> {
        let mut no_step = self.no_step.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = &*no_step {
            return Ok(group.clone());
        }
        let bytes = MAX_PARAMS_BYTES.into();
        let group = self.device().checked(bytes, || {
            let device = &self.device().device;
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("selfnorm no step"),
                size: bytes,
                usage: wgpu::BufferUsages::UNIFORM,
                mapped_at_creation: false,
            });
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("selfnorm no step"),
                layout: &self.step,
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: buffer.as_entire_binding(),
                }],
            })
        })?;
        Ok(no_step.insert(group).clone())
    }

    fn create(
        &self,
        kernel: Kernel,
        variant: &Variant,
        bindings: usize,
        no_step: Option<wgpu::BindGroup>,
        cache: Option<&wgpu::PipelineCache>,
    ) -> Pipeline {
        let device = &self.device().device;
        let module = kernel.module;
        let entry_point = kernel.entry_point;
        let storage = wgpu::BufferBindingType::Storage { read_only: false };
        let tensors = layout(device, bindings, storage, false, variant.form.texels);
        let params = (!variant.immediates)
            .then(|| layout(device, 1, wgpu::BufferBindingType::Uniform, false, None));
        let step = module.step.is_some().then_some(&self.step);
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
            // Every kernel writes workgroup memory before reading it. In GLSL the zeros would be
            // one huge literal, which takes Mesa half a minute to compile.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache,
        });
        Pipeline {
            name: entry_point,
            pipeline,
            tensors,
            params,
            no_step,
        }
    }
}

fn layout(
    device: &wgpu::Device,
    count: usize,
    ty: wgpu::BufferBindingType,
    has_dynamic_offset: bool,
    texels: Option<Texels>,
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
        .chain(texels.map(|texels| texels.layout(count as u32)))
        .collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &entries,
    })
}
