//! A device that counts what is asked of it: every call goes through to wgpu, and is counted by its kind. It can also
//! run out of memory at any buffer; and for `benches/checked.rs` it compiles shaders without wgpu's run-time checks, and
//! times each dispatch.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::{Future, ready};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use selfnorm::{Gpu, wgpu};
use wgpu::custom::{self, InstanceInterface};

/// How often each was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub submissions: u64,
    /// Calls that look whether the GPU has finished something: who waits makes many.
    pub polls: u64,
    pub buffers: u64,
    pub bind_groups: u64,
    pub pipelines: u64,
    pub encoders: u64,
    pub passes: u64,
    pub dispatches: u64,
    /// Copies and clears in encoders.
    pub copies: u64,
    /// Writes to buffers that go around encoders.
    pub writes: u64,
    /// Three of them, one for each kind of error, are pushed together.
    pub error_scopes: u64,
}

#[derive(Debug, Default)]
struct Counts {
    submissions: AtomicU64,
    polls: AtomicU64,
    buffers: AtomicU64,
    bind_groups: AtomicU64,
    pipelines: AtomicU64,
    encoders: AtomicU64,
    passes: AtomicU64,
    dispatches: AtomicU64,
    copies: AtomicU64,
    writes: AtomicU64,
    error_scopes: AtomicU64,
    /// Shaders are compiled with these, if any are given, in place of all.
    checks: Option<wgpu::ShaderRuntimeChecks>,
    trace: Mutex<Trace>,
    /// The buffers for which there is no memory any more begin after so many, if that is set.
    left: Mutex<Option<usize>>,
    scopes: Mutex<Vec<Scope>>,
}

/// An error scope that is open.
#[derive(Debug)]
struct Scope {
    index: u32,
    filter: wgpu::ErrorFilter,
    is_out_of_memory: bool,
}

/// The kernel of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Traced {
    pub module: String,
    pub entry_point: String,
    pub source: String,
}

#[derive(Debug, Default)]
struct Trace {
    /// Each dispatch is put between two timestamps, if there is a set of them: the one that was made last.
    timestamps: Option<custom::DispatchQuerySet>,
    /// The module that was made last: that of the next pipeline.
    module: Traced,
    pipelines: HashMap<custom::DispatchComputePipeline, Arc<Traced>>,
    /// That of the next dispatch.
    set: Arc<Traced>,
    dispatches: Vec<Arc<Traced>>,
}

impl Counts {
    fn take(&self) -> Calls {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Calls {
            submissions: take(&self.submissions),
            polls: take(&self.polls),
            buffers: take(&self.buffers),
            bind_groups: take(&self.bind_groups),
            pipelines: take(&self.pipelines),
            encoders: take(&self.encoders),
            passes: take(&self.passes),
            dispatches: take(&self.dispatches),
            copies: take(&self.copies),
            writes: take(&self.writes),
            error_scopes: take(&self.error_scopes),
        }
    }
}

impl Counts {
    /// Whether there is no memory for one more buffer. That is the error of the innermost scope for it, as in wgpu.
    fn is_out_of_memory(&self) -> bool {
        match &mut *self.left.lock().unwrap() {
            None => return false,
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return false;
            }
        }
        let mut scopes = self.scopes.lock().unwrap();
        let is_told = |scope: &&mut Scope| scope.filter == wgpu::ErrorFilter::OutOfMemory;
        let scope = scopes.iter_mut().rev().find(is_told);
        scope.expect("a scope for the error").is_out_of_memory = true;
        true
    }
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// A [`Gpu`] over a device that counts, which is its own: other tests are not counted.
pub struct Counted {
    gpu: Gpu,
    counts: Arc<Counts>,
}

impl Counted {
    /// With the features and limits that the crate asks for itself.
    pub fn new() -> Self {
        let gpu = super::gpu().device();
        Self::with(
            gpu.features() - wgpu::Features::PIPELINE_CACHE,
            gpu.limits(),
        )
    }

    /// As an application may have made it: WebGPU's default limits and no features.
    pub fn smallest() -> Self {
        Self::with(wgpu::Features::empty(), wgpu::Limits::default())
    }

    /// Of the adapter of [`gpu`](super::gpu).
    pub fn with(required_features: wgpu::Features, required_limits: wgpu::Limits) -> Self {
        Self::checking(None, required_features, required_limits)
    }

    /// The same, whose shaders have these run-time checks. An index that is out of bounds, or a loop without an end,
    /// is undefined behaviour without them.
    pub fn checking(
        checks: Option<wgpu::ShaderRuntimeChecks>,
        required_features: wgpu::Features,
        required_limits: wgpu::Limits,
    ) -> Self {
        let info = super::gpu().adapter_info();
        let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        // wgpu's own instance, of a type that has no name outside.
        let instance = custom::DispatchInstance::Core(Arc::new(InstanceInterface::new(descriptor)));
        let adapter = wait(instance.enumerate_adapters(info.backend.into()))
            .into_iter()
            .find(|adapter| adapter.get_info().name == info.name)
            .unwrap();
        let (device, queue) = wait(adapter.request_device(&wgpu::DeviceDescriptor {
            required_features,
            required_limits,
            ..Default::default()
        }))
        .unwrap();
        let counts = Arc::new(Counts {
            checks,
            ..Counts::default()
        });
        let device = wgpu::Device::from_custom(Device(device, counts.clone()));
        let queue = wgpu::Queue::from_custom(Queue(queue, counts.clone()));
        let gpu = Gpu::from_wgpu(device, queue).unwrap();
        Self { gpu, counts }
    }

    /// What `calls` ask of the device, and what they return.
    pub fn calls<R>(&self, calls: impl FnOnce() -> R) -> (Calls, R) {
        self.counts.take();
        let result = calls();
        (self.counts.take(), result)
    }

    /// From now on there is memory for so many buffers, or for all.
    pub fn leave(&self, buffers: Option<usize>) {
        *self.counts.left.lock().unwrap() = buffers;
    }

    /// Once a set of timestamps was made: the kernels of the dispatches that were recorded since the last call, each
    /// between the next two of the timestamps.
    pub fn dispatched(&self) -> Vec<Arc<Traced>> {
        std::mem::take(&mut self.counts.trace.lock().unwrap().dispatches)
    }
}

impl Deref for Counted {
    type Target = Gpu;

    fn deref(&self) -> &Gpu {
        &self.gpu
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

#[derive(Debug)]
struct Device(custom::DispatchDevice, Arc<Counts>);

#[derive(Debug)]
struct Queue(custom::DispatchQueue, Arc<Counts>);

#[derive(Debug)]
struct Encoder(custom::DispatchCommandEncoder, Arc<Counts>);

#[derive(Debug)]
struct Pass(custom::DispatchComputePass, Arc<Counts>);

/// Methods that call those of the same name of what is wrapped, and count if a count is named.
macro_rules! pass_on {
    ($($(#[$counted:ident])? fn $name:ident(&$self:ident $(, $arg:ident: $type:ty)*) $(-> $result:ty)?;)*) => {
        $(fn $name(&$self $(, $arg: $type)*) $(-> $result)? {
            $(count(&$self.1.$counted);)?
            $self.0.$name($($arg),*)
        })*
    };
}

#[allow(
    unsafe_code,
    reason = "the trait has methods that are; none does anything here"
)]
impl custom::DeviceInterface for Device {
    pass_on! {
        fn features(&self) -> wgpu::Features;
        fn limits(&self) -> wgpu::Limits;
        fn adapter_info(&self) -> wgpu::AdapterInfo;
        fn create_bind_group_layout(
            &self,
            desc: &wgpu::BindGroupLayoutDescriptor<'_>
        ) -> custom::DispatchBindGroupLayout;
        #[bind_groups]
        fn create_bind_group(&self, desc: &wgpu::BindGroupDescriptor<'_>) -> custom::DispatchBindGroup;
        fn create_pipeline_layout(
            &self,
            desc: &wgpu::PipelineLayoutDescriptor<'_>
        ) -> custom::DispatchPipelineLayout;
        fn create_render_pipeline(
            &self,
            desc: &wgpu::RenderPipelineDescriptor<'_>
        ) -> custom::DispatchRenderPipeline;
        fn create_mesh_pipeline(
            &self,
            desc: &wgpu::MeshPipelineDescriptor<'_>
        ) -> custom::DispatchRenderPipeline;
        fn create_texture(&self, desc: &wgpu::TextureDescriptor<'_>) -> custom::DispatchTexture;
        fn create_external_texture(
            &self,
            desc: &wgpu::ExternalTextureDescriptor<'_>,
            planes: &[&wgpu::TextureView]
        ) -> custom::DispatchExternalTexture;
        fn create_blas(
            &self,
            desc: &wgpu::CreateBlasDescriptor<'_>,
            sizes: wgpu::BlasGeometrySizeDescriptors
        ) -> (Option<u64>, custom::DispatchBlas);
        fn create_tlas(&self, desc: &wgpu::CreateTlasDescriptor<'_>) -> custom::DispatchTlas;
        fn create_sampler(&self, desc: &wgpu::SamplerDescriptor<'_>) -> custom::DispatchSampler;
        fn create_render_bundle_encoder(
            &self,
            desc: &wgpu::RenderBundleEncoderDescriptor<'_>
        ) -> custom::DispatchRenderBundleEncoder;
        fn set_device_lost_callback(&self, callback: custom::BoxDeviceLostCallback);
        fn on_uncaptured_error(&self, handler: Arc<dyn wgpu::UncapturedErrorHandler>);
        #[polls]
        fn poll(&self, poll: wgpu::wgt::PollType<u64>) -> Result<wgpu::PollStatus, wgpu::PollError>;
        fn get_internal_counters(&self) -> wgpu::InternalCounters;
        fn generate_allocator_report(&self) -> Option<wgpu::AllocatorReport>;
        fn destroy(&self);
    }

    fn create_buffer(&self, desc: &wgpu::BufferDescriptor<'_>) -> custom::DispatchBuffer {
        count(&self.1.buffers);
        if !self.1.is_out_of_memory() {
            return self.0.create_buffer(desc);
        }
        // What wgpu makes of a buffer that it can't make: one that is invalid.
        let scope = self.0.push_error_scope(wgpu::ErrorFilter::Validation);
        let buffer = self.0.create_buffer(&wgpu::BufferDescriptor {
            usage: wgpu::BufferUsages::empty(),
            ..desc.clone()
        });
        wait(self.0.pop_error_scope(scope)).expect("an error");
        buffer
    }

    fn push_error_scope(&self, filter: wgpu::ErrorFilter) -> u32 {
        count(&self.1.error_scopes);
        let index = self.0.push_error_scope(filter);
        self.1.scopes.lock().unwrap().push(Scope {
            index,
            filter,
            is_out_of_memory: false,
        });
        index
    }

    fn pop_error_scope(&self, index: u32) -> Pin<Box<dyn custom::PopErrorScopeFuture>> {
        let error = self.0.pop_error_scope(index);
        let mut scopes = self.1.scopes.lock().unwrap();
        let place = scopes.iter().rposition(|scope| scope.index == index);
        match place.map(|place| scopes.remove(place)) {
            Some(scope) if scope.is_out_of_memory => {
                let source = "as many buffers were made as there is memory for".into();
                Box::pin(ready(Some(wgpu::Error::OutOfMemory { source })))
            }
            _ => error,
        }
    }

    fn create_shader_module(
        &self,
        desc: wgpu::ShaderModuleDescriptor<'_>,
        checks: wgpu::ShaderRuntimeChecks,
    ) -> custom::DispatchShaderModule {
        let wgpu::ShaderSource::Wgsl(source) = desc.source else {
            unreachable!("the crate's shaders are WGSL")
        };
        let mut trace = self.1.trace.lock().unwrap();
        trace.module.module = desc.label.unwrap_or_default().into();
        trace.module.source = source.to_string();
        let mut source = trace.module.source.clone();
        if self.1.checks.is_some() {
            // On Vulkan wgpu 30 heeds most of the checks, and `zero_initialize_workgroup_memory`, only where it
            // compiles a module with its pipeline, as it does for one with a constant of the pipeline's.
            source += "\noverride compiled_with_its_pipeline = 0u;\n";
        }
        let desc = wgpu::ShaderModuleDescriptor {
            label: desc.label,
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        self.0
            .create_shader_module(desc, self.1.checks.unwrap_or(checks))
    }

    fn create_compute_pipeline(
        &self,
        desc: &wgpu::ComputePipelineDescriptor<'_>,
    ) -> custom::DispatchComputePipeline {
        count(&self.1.pipelines);
        let pipeline = self.0.create_compute_pipeline(desc);
        let mut trace = self.1.trace.lock().unwrap();
        let traced = Traced {
            entry_point: desc.entry_point.unwrap_or_default().into(),
            ..trace.module.clone()
        };
        trace.pipelines.insert(pipeline.clone(), traced.into());
        pipeline
    }

    fn create_query_set(&self, desc: &wgpu::QuerySetDescriptor<'_>) -> custom::DispatchQuerySet {
        let set = self.0.create_query_set(desc);
        self.1.trace.lock().unwrap().timestamps = Some(set.clone());
        set
    }

    fn create_command_encoder(
        &self,
        desc: &wgpu::CommandEncoderDescriptor<'_>,
    ) -> custom::DispatchCommandEncoder {
        count(&self.1.encoders);
        let encoder = self.0.create_command_encoder(desc);
        custom::DispatchCommandEncoder::custom(Encoder(encoder, self.1.clone()))
    }

    unsafe fn create_shader_module_passthrough(
        &self,
        _: &wgpu::ShaderModuleDescriptorPassthrough<'_>,
    ) -> custom::DispatchShaderModule {
        unreachable!("nobody calls what is unsafe")
    }

    unsafe fn create_pipeline_cache(
        &self,
        _: &wgpu::PipelineCacheDescriptor<'_>,
    ) -> custom::DispatchPipelineCache {
        unreachable!("nobody calls what is unsafe")
    }

    unsafe fn start_graphics_debugger_capture(&self) {}

    unsafe fn stop_graphics_debugger_capture(&self) {}
}

impl custom::QueueInterface for Queue {
    fn write_buffer(&self, buffer: &custom::DispatchBuffer, offset: u64, data: &[u8]) {
        // Nothing is written by a write of nothing.
        if !data.is_empty() {
            count(&self.1.writes);
        }
        self.0.write_buffer(buffer, offset, data);
    }

    pass_on! {
        fn create_staging_buffer(
            &self,
            size: wgpu::BufferSize
        ) -> Option<custom::DispatchQueueWriteBuffer>;
        fn validate_write_buffer(
            &self,
            buffer: &custom::DispatchBuffer,
            offset: u64,
            size: wgpu::BufferSize
        ) -> Option<()>;
        #[writes]
        fn write_staging_buffer(
            &self,
            buffer: &custom::DispatchBuffer,
            offset: u64,
            staging: &custom::DispatchQueueWriteBuffer
        );
        fn write_texture(
            &self,
            texture: wgpu::TexelCopyTextureInfo<'_>,
            data: &[u8],
            layout: wgpu::TexelCopyBufferLayout,
            size: wgpu::Extent3d
        );
        #[submissions]
        fn submit(&self, buffers: &mut dyn Iterator<Item = custom::DispatchCommandBuffer>) -> u64;
        fn get_timestamp_period(&self) -> f32;
        fn on_submitted_work_done(&self, callback: custom::BoxSubmittedWorkDoneCallback);
        fn compact_blas(&self, blas: &custom::DispatchBlas) -> (Option<u64>, custom::DispatchBlas);
        fn present(&self, detail: &custom::DispatchSurfaceOutputDetail);
    }
}

impl custom::CommandEncoderInterface for Encoder {
    pass_on! {
        #[copies]
        fn copy_buffer_to_buffer(
            &self,
            source: &custom::DispatchBuffer,
            source_offset: u64,
            destination: &custom::DispatchBuffer,
            destination_offset: u64,
            size: Option<u64>
        );
        #[copies]
        fn copy_buffer_to_texture(
            &self,
            source: wgpu::TexelCopyBufferInfo<'_>,
            destination: wgpu::TexelCopyTextureInfo<'_>,
            size: wgpu::Extent3d
        );
        #[copies]
        fn copy_texture_to_buffer(
            &self,
            source: wgpu::TexelCopyTextureInfo<'_>,
            destination: wgpu::TexelCopyBufferInfo<'_>,
            size: wgpu::Extent3d
        );
        #[copies]
        fn copy_texture_to_texture(
            &self,
            source: wgpu::TexelCopyTextureInfo<'_>,
            destination: wgpu::TexelCopyTextureInfo<'_>,
            size: wgpu::Extent3d
        );
        fn begin_render_pass(&self, desc: &wgpu::RenderPassDescriptor<'_>) -> custom::DispatchRenderPass;
        fn clear_texture(
            &self,
            texture: &custom::DispatchTexture,
            range: &wgpu::ImageSubresourceRange
        );
        #[copies]
        fn clear_buffer(&self, buffer: &custom::DispatchBuffer, offset: u64, size: Option<u64>);
        fn insert_debug_marker(&self, label: &str);
        fn push_debug_group(&self, label: &str);
        fn pop_debug_group(&self);
        fn write_timestamp(&self, query_set: &custom::DispatchQuerySet, index: u32);
        fn resolve_query_set(
            &self,
            query_set: &custom::DispatchQuerySet,
            first: u32,
            queries: u32,
            destination: &custom::DispatchBuffer,
            offset: u64
        );
    }

    fn begin_compute_pass(
        &self,
        desc: &wgpu::ComputePassDescriptor<'_>,
    ) -> custom::DispatchComputePass {
        count(&self.1.passes);
        let pass = self.0.begin_compute_pass(desc);
        custom::DispatchComputePass::custom(Pass(pass, self.1.clone()))
    }

    fn finish(&mut self) -> custom::DispatchCommandBuffer {
        self.0.finish()
    }

    fn mark_acceleration_structures_built<'a>(
        &self,
        blas: &mut dyn Iterator<Item = &'a wgpu::Blas>,
        tlas: &mut dyn Iterator<Item = &'a wgpu::Tlas>,
    ) {
        self.0.mark_acceleration_structures_built(blas, tlas);
    }

    fn build_acceleration_structures<'a>(
        &self,
        blas: &mut dyn Iterator<Item = &'a wgpu::BlasBuildEntry<'a>>,
        tlas: &mut dyn Iterator<Item = &'a wgpu::Tlas>,
    ) {
        self.0.build_acceleration_structures(blas, tlas);
    }

    fn transition_resources<'a>(
        &mut self,
        buffers: &mut dyn Iterator<Item = wgpu::wgt::BufferTransition<&'a custom::DispatchBuffer>>,
        textures: &mut dyn Iterator<
            Item = wgpu::wgt::TextureTransition<&'a custom::DispatchTexture>,
        >,
    ) {
        self.0.transition_resources(buffers, textures);
    }
}

/// As above, of what only one may use.
macro_rules! pass_on_mut {
    ($($(#[$counted:ident])? fn $name:ident(&mut $self:ident $(, $arg:ident: $type:ty)*);)*) => {
        $(fn $name(&mut $self $(, $arg: $type)*) {
            $(count(&$self.1.$counted);)?
            $self.0.$name($($arg),*)
        })*
    };
}

impl custom::ComputePassInterface for Pass {
    fn set_pipeline(&mut self, pipeline: &custom::DispatchComputePipeline) {
        let mut trace = self.1.trace.lock().unwrap();
        trace.set = trace.pipelines[pipeline].clone();
        self.0.set_pipeline(pipeline);
    }

    fn dispatch_workgroups(&mut self, x: u32, y: u32, z: u32) {
        count(&self.1.dispatches);
        let mut trace = self.1.trace.lock().unwrap();
        let Some(set) = trace.timestamps.clone() else {
            return self.0.dispatch_workgroups(x, y, z);
        };
        let next = trace.dispatches.len() as u32 * 2;
        let traced = trace.set.clone();
        trace.dispatches.push(traced);
        self.0.write_timestamp(&set, next);
        self.0.dispatch_workgroups(x, y, z);
        self.0.write_timestamp(&set, next + 1);
    }

    pass_on_mut! {
        fn set_bind_group(
            &mut self,
            index: u32,
            group: Option<&custom::DispatchBindGroup>,
            offsets: &[wgpu::DynamicOffset]
        );
        fn set_immediates(&mut self, offset: u32, data: &[u8]);
        fn insert_debug_marker(&mut self, label: &str);
        fn push_debug_group(&mut self, label: &str);
        fn pop_debug_group(&mut self);
        fn write_timestamp(&mut self, query_set: &custom::DispatchQuerySet, index: u32);
        fn begin_pipeline_statistics_query(
            &mut self,
            query_set: &custom::DispatchQuerySet,
            index: u32
        );
        fn end_pipeline_statistics_query(&mut self);
        #[dispatches]
        fn dispatch_workgroups_indirect(&mut self, buffer: &custom::DispatchBuffer, offset: u64);
    }

    fn transition_resources<'a>(
        &mut self,
        buffers: &mut dyn Iterator<Item = wgpu::wgt::BufferTransition<&'a custom::DispatchBuffer>>,
        textures: &mut dyn Iterator<
            Item = wgpu::wgt::TextureTransition<&'a custom::DispatchTextureView>,
        >,
    ) {
        self.0.transition_resources(buffers, textures);
    }
}

/// wgpu reminds implementors that a pass ends when it is dropped, as the wrapped one does.
impl Drop for Pass {
    fn drop(&mut self) {}
}
