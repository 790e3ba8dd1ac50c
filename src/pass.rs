use std::ops::Range;

use bytemuck::Pod;

use crate::element::{Element, ElementType};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::gpu::device::Owner;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::recording::begin_pass;
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
pub struct Pass<'encoder> {
    gpu: Gpu,
    /// The encoder of an application, until it is known not to be locked.
    encoder: Option<&'encoder mut wgpu::CommandEncoder>,
    locked: bool,
    checked: bool,
    /// None: the work is deferred to the next submission.
    pass: Option<wgpu::ComputePass<'encoder>>,
    /// The caller submits; the crate does not know when.
    foreign: bool,
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
    pub fn pass<'encoder>(&self, encoder: &'encoder mut wgpu::CommandEncoder) -> Pass<'encoder> {
        Pass::foreign(self, encoder)
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
        record(&mut Pass::waiting(gpu), &tensor)?;
        Ok(tensor)
    }
}

impl<'encoder> Pass<'encoder> {
    /// Records into an application's encoder.
    fn foreign(gpu: &Gpu, encoder: &'encoder mut wgpu::CommandEncoder) -> Self {
        Self {
            gpu: gpu.clone(),
            encoder: Some(encoder),
            locked: false,
            checked: false,
            pass: None,
            foreign: true,
        }
    }

    /// Records into an encoder of the crate's own.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn new(gpu: &Gpu, encoder: &'encoder mut wgpu::CommandEncoder) -> Self {
        Self {
            gpu: gpu.clone(),
            encoder: None,
            locked: false,
            checked: true,
            pass: Some(begin_pass(encoder)),
            foreign: false,
        }
    }

    /// Defers the work to the next submission, unless an application can access one of the tensors.
    fn waiting(gpu: &Gpu) -> Self {
        Self {
            gpu: gpu.clone(),
            encoder: None,
            locked: false,
            checked: true,
            pass: None,
            foreign: false,
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
        self.check(op, &operands)?;
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
        if len <= chunk_len {
            let one = prepare(0)?;
            self.record(&operands, |pass| one.record(pass, None))
        } else {
            let dispatches = (0..len).step_by(chunk_len as usize).map(prepare);
            let dispatches = dispatches.collect::<Result<Vec<Dispatch>>>()?;
            self.record(&operands, |pass| {
                dispatches.iter().for_each(|one| one.record(pass, None));
            })
        }
    }

    fn record<T: Element>(
        &mut self,
        operands: &[Operand<T>],
        record: impl FnOnce(&mut wgpu::ComputePass),
    ) -> Result<()> {
        let gpu = &self.gpu;
        let are_private = || operands.iter().all(|operand| operand.tensor.is_private());
        if let Some(encoder) = &mut self.encoder {
            if self.locked {
                return Err(Error::EncoderLocked);
            }
            if !self.checked {
                // Its end tells whether the encoder is locked.
                let first = gpu.link().checked(0, || record(&mut begin_pass(encoder)));
                self.locked = first == Err(Error::EncoderLocked);
                self.checked = first.is_ok();
                return first;
            }
            record(
                self.pass
                    .get_or_insert_with(|| begin_pass(encoder).forget_lifetime()),
            );
        } else if let Some(pass) = &mut self.pass {
            record(pass);
        } else if are_private() {
            let range = operands[0].tensor.range();
            gpu.link().defer(range.end - range.start, |recording| {
                record(recording.pass())
            })?;
            // Another thread may just have exposed a buffer to the application.
            if !are_private() {
                gpu.link().flush()?;
            }
        } else {
            // The application may write to its buffers next, or destroy them.
            gpu.link().submit(Owner::Application, |encoder| {
                record(&mut begin_pass(encoder));
                Ok(())
            })?;
        }
        Ok(())
    }

    fn check<T: Element>(&self, op: &'static str, operands: &[Operand<T>]) -> Result<()> {
        let expected = operands[0].tensor.shape();
        for operand in operands {
            if !operand.tensor.gpu().is(&self.gpu) {
                return Err(Error::OtherGpu {
                    op,
                    operand: operand.name,
                });
            }
            if operand.tensor.shape() != expected {
                return Err(Error::Shape {
                    op,
                    operand: operand.name,
                    expected: expected.into(),
                    actual: operand.tensor.shape().into(),
                });
            }
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
                    let detail = if written.access == Access::Write
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
