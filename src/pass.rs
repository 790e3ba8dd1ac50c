use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;

use crate::element::{Element, ElementType};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::gpu::device::Owner;
use crate::gpu::dispatch::{Dispatch, Record};
use crate::gpu::kept::Id;
use crate::gpu::recording::{Commands, begin_pass};
use crate::shader::module::{Form, Kernel, LANES_PER_INVOCATION, WORKGROUP_SIZE};
use crate::tensor::Tensor;

/// Operations recorded into an encoder, in the order of the calls.
///
/// Each is one dispatch: nothing is submitted or waited for, and no GPU memory is allocated.
/// (Created on demand and kept: an operation's pipeline on its first use, a bind group for tensors
/// never used together before, and on devices without `IMMEDIATES` a uniform buffer of at most 128
/// bytes for parameters never used before. So keep tensors rather than wrapping them for each
/// frame.) Lengths beyond one binding or 65,535 workgroups take several dispatches.
///
/// The encoder must belong to the same device, and the buffers must be unmapped when it is
/// submitted. Recording does not query the device; reading results reports [`Error::DeviceLost`].
#[derive(Debug)]
pub struct Pass<'a> {
    gpu: Gpu,
    target: Target<'a>,
    /// The caller submits; the crate does not know when.
    foreign: bool,
    encoder: Encoder,
}

/// What is known of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoder {
    /// The caller may have left a pass open in it.
    Unknown,
    Usable,
    Locked,
}

/// Where a pass records.
#[allow(
    clippy::large_enum_variant,
    reason = "a pass lives on the stack for one frame"
)]
#[derive(Debug)]
enum Target<'a> {
    /// The next submission, unless an application can access one of the tensors.
    Deferred,
    Encoder(Commands<&'a mut wgpu::CommandEncoder>),
    /// An application's open compute pass.
    Open(&'a mut dyn Record),
}

/// A tensor as an argument of an operation.
pub(crate) struct Operand<'a, T: Element> {
    pub name: &'static str,
    pub tensor: &'a Tensor<T>,
    pub access: Access,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Access {
    Read,
    Write,
    /// In place.
    Update,
}

/// What to advise when a destination is also an argument.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Hint {
    None,
    /// There is a variant that works in place.
    InPlace,
}

pub(crate) fn read<'a, T: Element>(name: &'static str, tensor: &'a Tensor<T>) -> Operand<'a, T> {
    Operand {
        name,
        tensor,
        access: Access::Read,
    }
}

pub(crate) fn write<'a, T: Element>(name: &'static str, tensor: &'a Tensor<T>) -> Operand<'a, T> {
    Operand {
        name,
        tensor,
        access: Access::Write,
    }
}

pub(crate) fn update<'a, T: Element>(name: &'static str, tensor: &'a Tensor<T>) -> Operand<'a, T> {
    Operand {
        name,
        tensor,
        access: Access::Update,
    }
}

/// What tells apart work on the same tensors.
pub(crate) fn number(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The part of the tensors that one dispatch works on.
pub(crate) struct Chunk {
    /// Its first element.
    pub first: u32,
    pub lanes: u32,
}

impl Gpu {
    /// A pass that records into the caller's encoder. Nothing runs until the caller submits it.
    ///
    /// The encoder must be one of this device. wgpu does not say whose an encoder is: one of another
    /// device makes its `finish` fail, one of another [`wgpu::Instance`] may be taken for another
    /// encoder.
    pub fn pass<'a>(&self, encoder: &'a mut wgpu::CommandEncoder) -> Pass<'a> {
        Pass {
            foreign: true,
            encoder: Encoder::Unknown,
            ..Pass::new(self, encoder)
        }
    }

    /// A pass that records into the caller's open compute pass: operations and
    /// [`predict`](Pass::predict), among the caller's own dispatches. It sets the pipeline and bind
    /// groups 0 to 2, and the immediates if the device has them; the caller sets its own again.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// let gpu = selfnorm::Gpu::new()?;
    /// let x = gpu.tensor(&[-1.0, 0.0, 2.0], [3])?;
    /// let mut encoder = gpu.device().create_command_encoder(&Default::default());
    /// let mut compute_pass = encoder.begin_compute_pass(&Default::default());
    /// gpu.record_in(&mut compute_pass).selu_in_place(&x)?;
    /// // compute_pass.set_pipeline(...), dispatch_workgroups(...)
    /// drop(compute_pass);
    /// gpu.queue().submit([encoder.finish()]);
    /// assert_eq!(x.to_vec()?, [-1.1113307, 0.0, 2.101402]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn record_in<'a>(&self, compute_pass: &'a mut wgpu::ComputePass<'_>) -> Pass<'a> {
        Pass {
            gpu: self.clone(),
            target: Target::Open(compute_pass),
            foreign: true,
            encoder: Encoder::Usable,
        }
    }
}

impl<T: Element> Tensor<T> {
    /// A tensor of shape `shape` that `record` writes to.
    pub(crate) fn create(
        gpu: &Gpu,
        shape: &[usize],
        record: impl FnOnce(&mut Pass, &Self) -> Result<()>,
    ) -> Result<Self> {
        let tensor = Self::uninitialized(gpu, shape)?;
        tensor.defer_clear_rest()?;
        record(&mut Pass::deferred(gpu), &tensor)?;
        Ok(tensor)
    }
}

impl<'a> Pass<'a> {
    /// Records into an encoder of the crate's own.
    pub(crate) fn new(gpu: &Gpu, encoder: &'a mut wgpu::CommandEncoder) -> Self {
        Self {
            gpu: gpu.clone(),
            target: Target::Encoder(Commands::new(encoder)),
            foreign: false,
            encoder: Encoder::Usable,
        }
    }

    pub(crate) fn deferred(gpu: &Gpu) -> Self {
        Self {
            gpu: gpu.clone(),
            target: Target::Deferred,
            foreign: false,
            encoder: Encoder::Usable,
        }
    }

    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Records dispatches that were prepared for tensors that have been checked.
    pub(crate) fn record_all<'d>(
        &mut self,
        dispatches: impl IntoIterator<Item = &'d Dispatch>,
        step: Option<(&wgpu::BindGroup, u32)>,
    ) -> Result<()> {
        let dispatches = dispatches.into_iter();
        let record = |pass: &mut dyn Record| {
            dispatches.for_each(|dispatch| pass.record(dispatch, step));
        };
        match &mut self.target {
            Target::Deferred => self.gpu.link().submit(Owner::Application, |encoder| {
                record(&mut begin_pass(encoder));
                Ok(())
            })?,
            Target::Open(pass) => record(*pass),
            Target::Encoder(commands) => match self.encoder {
                Encoder::Usable => record(commands.pass()),
                Encoder::Locked => return Err(Error::EncoderLocked),
                Encoder::Unknown => {
                    // Only the end of a pass tells that another is still open in the encoder, and only once.
                    let first = || record(&mut begin_pass(commands.encoder()));
                    let recorded = self.gpu.link().checked(0, first);
                    self.encoder = match recorded {
                        Err(Error::EncoderLocked) => Encoder::Locked,
                        _ => Encoder::Usable,
                    };
                    recorded?;
                }
            },
        }
        Ok(())
    }

    /// The encoder, with no pass open, for the copies of `op`.
    pub(crate) fn encoder(&mut self, op: &'static str) -> Result<&mut wgpu::CommandEncoder> {
        if self.encoder != Encoder::Usable {
            self.record_all([], None)?;
        }
        match &mut self.target {
            Target::Encoder(commands) => Ok(commands.encoder()),
            Target::Deferred | Target::Open(_) => Err(Error::NeedsEncoder { op }),
        }
    }

    /// Dispatches an element-wise kernel over tensors of one shape. `op` names it in errors.
    pub(crate) fn elementwise<T: Element, P: Pod, const N: usize>(
        &mut self,
        op: &'static str,
        kernel: Kernel,
        form: Form,
        operands: [Operand<T>; N],
        params: impl Fn(Chunk) -> P,
    ) -> Result<()> {
        let shape = operands[0].tensor.shape();
        self.check_shapes(op, &operands, &[shape; N], Hint::InPlace)?;
        let gpu = &self.gpu;
        let len = operands[0].tensor.len() as u64;
        if len == 0 {
            return Ok(());
        }
        let pipelines = gpu.pipelines();
        let fills_lanes = |operand: &Operand<T>| operand.tensor.fills_lanes();
        let wide_lanes = operands.iter().all(fills_lanes);
        let variant = pipelines.variant(kernel.module, T::TYPE, wide_lanes, form);
        let lane_values = variant.values_per_lane();
        let pipeline = pipelines.get(kernel, variant, N)?;
        let group_lanes = u64::from(WORKGROUP_SIZE * LANES_PER_INVOCATION);
        let limits = gpu.limits();
        // Whole workgroups, whose runs are multiples of any offset alignment.
        let group_bytes = group_lanes * lane_values * size_of::<T>() as u64;
        let max_groups = (limits.max_binding_bytes / group_bytes).clamp(1, limits.max_workgroups);
        let chunk_len = max_groups * group_lanes * lane_values;

        // Everything that can fail comes first, so that an error leaves nothing recorded.
        let prepare = |first: u64| {
            let lanes = (len - first).min(chunk_len).div_ceil(lane_values);
            let bytes = (lanes * lane_values * size_of::<T>() as u64).next_multiple_of(4);
            let bind = || {
                let buffers: [_; N] = std::array::from_fn(|i| wgpu::BufferBinding {
                    buffer: operands[i].tensor.buffer(),
                    offset: operands[i].tensor.range().start + first * size_of::<T>() as u64,
                    size: wgpu::BufferSize::new(bytes),
                });
                pipelines.bind(&pipeline, &buffers)
            };
            // Unlike an application's encoders, the crate's own never see the same tensors again.
            let tensors = if self.foreign {
                let ids = operands.each_ref().map(|operand| operand.tensor.id());
                gpu.bind_groups().get(&ids, first, bind)?
            } else {
                bind()?
            };
            let params = params(Chunk {
                first: first as u32,
                lanes: lanes as u32,
            });
            let groups = lanes.div_ceil(group_lanes);
            pipelines.dispatch(pipeline.clone(), tensors, &params, groups)
        };
        let bytes = len * size_of::<T>() as u64;
        if len <= chunk_len {
            self.record(&operands, bytes, &[prepare(0)?])
        } else {
            let dispatches = (0..len).step_by(chunk_len as usize).map(prepare);
            let dispatches = dispatches.collect::<Result<Vec<Dispatch>>>()?;
            self.record(&operands, bytes, &dispatches)
        }
    }

    /// What `prepare` prepares for these tensors. An application's recordings keep it, for each
    /// number `which`.
    pub(crate) fn bound(
        &self,
        tensors: &[Id],
        which: u64,
        prepare: impl FnOnce(&Gpu) -> Result<Vec<Dispatch>>,
    ) -> Result<Arc<[Dispatch]>> {
        let prepare = || Ok(prepare(&self.gpu)?.into());
        if self.foreign {
            self.gpu.dispatches().get(tensors, which, prepare)
        } else {
            prepare()
        }
    }

    /// Records work on `bytes` bytes of these operands.
    pub(crate) fn record<'d, T: Element>(
        &mut self,
        operands: &[Operand<T>],
        bytes: u64,
        dispatches: impl IntoIterator<Item = &'d Dispatch>,
    ) -> Result<()> {
        let gpu = &self.gpu;
        let are_private = || operands.iter().all(|operand| operand.tensor.is_private());
        // An application may write to its buffers next, or destroy them.
        if !matches!(self.target, Target::Deferred) || !are_private() {
            return self.record_all(dispatches, None);
        }
        gpu.link().defer(bytes, |recording| {
            let pass = recording.pass();
            for dispatch in dispatches {
                dispatch.record(pass, None);
            }
        })?;
        // Another thread may just have exposed a buffer to the application.
        if !are_private() {
            gpu.link().flush()?;
        }
        Ok(())
    }

    /// An error if the operands are not of the shapes `expected`, or can't be used together.
    pub(crate) fn check_shapes<T: Element>(
        &self,
        op: &'static str,
        operands: &[Operand<T>],
        expected: &[&[usize]],
        hint: Hint,
    ) -> Result<()> {
        for (operand, &expected) in operands.iter().zip(expected) {
            self.check_gpu(op, operand)?;
            if operand.tensor.shape() != expected {
                return Err(Error::Shape {
                    op,
                    operand: operand.name,
                    expected: expected.into(),
                    actual: operand.tensor.shape().into(),
                });
            }
        }
        self.check(op, operands, hint)
    }

    fn check_gpu<T: Element>(&self, op: &'static str, operand: &Operand<T>) -> Result<()> {
        if !operand.tensor.gpu().is(&self.gpu) {
            return Err(Error::OtherGpu {
                op,
                operand: operand.name,
            });
        }
        Ok(())
    }

    /// An error if the operands can't be used together.
    pub(crate) fn check<T: Element>(
        &self,
        op: &'static str,
        operands: &[Operand<T>],
        hint: Hint,
    ) -> Result<()> {
        for operand in operands {
            self.check_gpu(op, operand)?;
        }
        for (i, written) in operands
            .iter()
            .enumerate()
            .filter(|(_, operand)| operand.access != Access::Read || OVERLAPPING_READS_FAIL)
        {
            for (j, other) in operands.iter().enumerate().filter(|(j, _)| *j != i) {
                let (a, b) = (written.tensor, other.tensor);
                if a.buffer() == b.buffer() && overlap(a.range(), b.range()) {
                    // An in-place variant overwrites the last argument that is read.
                    let detail = if hint == Hint::InPlace
                        && written.access == Access::Write
                        && a.range() == b.range()
                        && j + 1 == i
                    {
                        "or call the in-place variant".into()
                    } else {
                        String::new()
                    };
                    return Err(Error::Aliased {
                        op,
                        a: other.name,
                        b: written.name,
                        detail,
                    });
                }
            }
        }
        if T::TYPE == ElementType::F16 && !self.gpu.supports_f16() {
            return Err(Error::MissingFeature {
                op,
                feature: "SHADER_F16",
            });
        }
        if self.foreign {
            operands.iter().for_each(|operand| operand.tensor.expose());
        }
        Ok(())
    }
}

/// Inputs are bound as writable, so that they may share a buffer with outputs; native wgpu lets two of
/// them overlap, browsers do not.
const OVERLAPPING_READS_FAIL: bool = cfg!(target_family = "wasm");

fn overlap(a: Range<u64>, b: Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
