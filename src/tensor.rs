use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::gpu::device::Owner;
use crate::gpu::kept::Id;
use crate::gpu::memory::Purpose;
use crate::gpu::platform;
use crate::gpu::recording::Recording;
use crate::gpu::region::Region;
use crate::gpu::transfer::{self, COPY_ALIGNMENT, Progress};

/// A shape over a range of a [`wgpu::Buffer`], row-major.
///
/// Operations on small tensors wait for others and are submitted together: at the latest when a
/// tensor is read, or when [`slice`](Self::slice), [`binding`](Self::binding) or a
/// [`Pass`](crate::Pass) gives an application access to one, and at once on wrapped tensors. So an
/// application's own submissions come after the operations called before them.
///
/// If nothing else tells the element type, name it: `let y: Tensor = gpu.zeros([3])?` has f32s.
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// let gpu = selfnorm::Gpu::new()?;
/// let x = gpu.tensor(&[-1.0, 0.0, 2.0], [3])?;
/// assert_eq!(x.selu()?.to_vec()?, [-1.1113307, 0.0, 2.101402]);
/// # Ok(())
/// # }
/// ```
pub struct Tensor<T: Element = f32> {
    gpu: Gpu,
    id: Id,
    buffer: wgpu::Buffer,
    offset: u64,
    shape: Vec<usize>,
    len: u64,
    /// Wrapped buffers belong to the application; so do own ones once it holds an unsubmitted
    /// recording of them, which would write to the buffer's next tensor.
    owned: bool,
    exposed: AtomicBool,
    /// Whether the work deferred before that is submitted.
    flushed: AtomicBool,
    element: PhantomData<T>,
}

impl<T: Element> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("type", &std::any::type_name::<T>())
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// A lane is four values, and a copy moves multiples of four bytes.
const LANE_VALUES: u64 = 4;

impl<T: Element> Drop for Tensor<T> {
    fn drop(&mut self) {
        if *self.exposed.get_mut() {
            self.gpu.forget(self.id);
        } else if self.owned {
            self.gpu.memory().give(Purpose::Tensor, self.buffer.clone());
        }
    }
}

impl Gpu {
    /// A tensor with a copy of `data`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `data` does not fill `shape`; [`Error::TooLarge`],
    /// [`Error::OutOfMemory`] and [`Error::DeviceLost`].
    pub fn tensor<T: Element>(&self, data: &[T], shape: impl AsRef<[usize]>) -> Result<Tensor<T>> {
        let shape = shape.as_ref();
        let len = count(shape)?;
        if len != data.len() as u64 {
            return Err(Error::Length {
                shape: shape.into(),
                expected: len as usize,
                actual: data.len(),
            });
        }
        let tensor = Tensor::uninitialized(self, shape)?;
        if data.is_empty() {
            tensor.defer_clear_rest()?;
            return Ok(tensor);
        }
        // The whole last lane, so that nothing of the buffer's previous tensor is left there.
        let lane = LANE_VALUES * size_of::<T>() as u64;
        transfer::write(
            self.memory(),
            &tensor.buffer,
            0,
            bytemuck::cast_slice(data),
            lane,
        )?;
        Ok(tensor)
    }

    /// A tensor over a range of an application's buffer. Nothing is copied; the tensor is the first
    /// elements of the range, and no byte after them is ever written.
    ///
    /// If the length is not a multiple of four, the last lane of four values is not all the
    /// tensor's own, so operations go value by value, which is slower.
    ///
    /// f16 tensors need a range that ends on a multiple of four bytes.
    ///
    /// The buffer must belong to this device, and be alive and unmapped when work on it is submitted.
    /// wgpu has no query for that, so the call that submits the work finds it: [`Error::OtherDevice`],
    /// [`Error::Destroyed`], [`Error::Mapped`]. But a buffer of another [`wgpu::Instance`] can't be
    /// told from one of this: wgpu counts the resources of each from the start and knows a buffer by
    /// its number, so it takes it for another buffer, or panics if it has none of that number.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`] if the range does not start at a multiple of the device's
    /// `min_storage_buffer_offset_alignment`; [`Error::TooShort`]; [`Error::MissingUsage`] without
    /// `STORAGE`; [`Error::TooLarge`].
    pub fn wrap<T: Element>(
        &self,
        range: wgpu::BufferSlice,
        shape: impl AsRef<[usize]>,
    ) -> Result<Tensor<T>> {
        let shape = shape.as_ref();
        let len = count(shape)?;
        let buffer = range.buffer();
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::MissingUsage {
                op: "wrap",
                usage: "STORAGE",
            });
        }
        let alignment = self.limits().offset_alignment;
        if !range.offset().is_multiple_of(alignment) {
            return Err(Error::Misaligned {
                offset: range.offset(),
                alignment,
            });
        }
        let needed = (len * size_of::<T>() as u64).next_multiple_of(COPY_ALIGNMENT);
        if range.size() < needed {
            return Err(Error::TooShort {
                shape: shape.into(),
                needed,
                actual: range.size(),
            });
        }
        Ok(Tensor::new(
            self,
            buffer.clone(),
            range.offset(),
            shape,
            len,
            false,
        ))
    }
}

impl<T: Element> Tensor<T> {
    fn new(
        gpu: &Gpu,
        buffer: wgpu::Buffer,
        offset: u64,
        shape: &[usize],
        len: u64,
        owned: bool,
    ) -> Self {
        Self {
            gpu: gpu.clone(),
            id: Id::new(),
            buffer,
            offset,
            shape: shape.into(),
            len,
            owned,
            exposed: AtomicBool::new(false),
            flushed: AtomicBool::new(false),
            element: PhantomData,
        }
    }

    /// A tensor whose elements the caller must write, and also the rest of the last lane, which an
    /// application can see too, unless [`clear_rest`](Self::clear_rest) does.
    pub(crate) fn uninitialized(gpu: &Gpu, shape: &[usize]) -> Result<Self> {
        let len = count(shape)?;
        let bytes = len.next_multiple_of(LANE_VALUES).max(LANE_VALUES) * size_of::<T>() as u64;
        let max = gpu.limits().max_buffer_bytes;
        if bytes > max {
            let limit = format!("it takes {bytes} bytes, the device's max_buffer_size is {max}");
            return Err(Error::TooLarge {
                shape: shape.into(),
                limit,
            });
        }
        let buffer = gpu.memory().take(Purpose::Tensor, bytes)?;
        Ok(Self::new(gpu, buffer, 0, shape, len, true))
    }

    /// Runs [`clear_rest`](Self::clear_rest) before the next operation.
    pub(crate) fn defer_clear_rest(&self) -> Result<()> {
        // No operation is sure to do it: with wrapped tensors they go value by value, and on an
        // empty tensor nothing runs.
        if self.has_rest() {
            let clear = |recording: &mut Recording| self.clear_rest(recording.encoder());
            self.gpu.link().defer(0, clear)?;
        }
        Ok(())
    }

    fn has_rest(&self) -> bool {
        self.len == 0 || !self.len.is_multiple_of(LANE_VALUES)
    }

    /// To be called before the elements are written: zeros the rest of the last lane, so that
    /// nothing of the buffer's previous tensor is left there.
    pub(crate) fn clear_rest(&self, encoder: &mut wgpu::CommandEncoder) {
        if self.has_rest() {
            let end = self.range().end / COPY_ALIGNMENT * COPY_ALIGNMENT;
            encoder.clear_buffer(&self.buffer, end, None);
        }
    }

    /// The extents; the last axis is contiguous.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The device that the tensor is on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// A tensor with a copy of the elements, made on the GPU.
    ///
    /// # Errors
    ///
    /// [`Error::MissingUsage`] for a wrapped buffer without `COPY_SRC`; [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`].
    pub fn duplicate(&self) -> Result<Self> {
        self.check_source("duplicate")?;
        let copy = Self::uninitialized(&self.gpu, &self.shape)?;
        let range = self.range();
        let bytes = (range.end - range.start).next_multiple_of(COPY_ALIGNMENT);
        let owner = Owner::of(self.is_private());
        self.gpu.link().submit(owner, |encoder| {
            copy.clear_rest(encoder);
            encoder.copy_buffer_to_buffer(&self.buffer, range.start, &copy.buffer, 0, bytes);
            Ok(())
        })?;
        Ok(copy)
    }

    fn check_source(&self, op: &'static str) -> Result<()> {
        match self.buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            true => Ok(()),
            false => Err(Error::MissingUsage {
                op,
                usage: "COPY_SRC",
            }),
        }
    }

    /// The elements' range, to bind or copy in an application's own commands.
    pub fn slice(&self) -> wgpu::BufferSlice<'_> {
        self.expose();
        self.buffer.slice(self.range())
    }

    /// The elements' range as an entry of an application's bind group. (WebGPU has no empty bindings:
    /// for a tensor without elements, it is the buffer from the tensor's start on.)
    pub fn binding(&self) -> wgpu::BindingResource<'_> {
        let range = self.slice();
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: range.buffer(),
            offset: range.offset(),
            size: wgpu::BufferSize::new(range.size()),
        })
    }

    /// Keeps the buffer from being reused, since commands outside this crate may refer to it, and
    /// submits the deferred work before them.
    pub(crate) fn expose(&self) {
        if self.flushed.load(Ordering::Acquire) {
            return;
        }
        // First, so that from here on no other thread defers an operation on it.
        self.exposed.store(true, Ordering::Release);
        // Work on an application's buffers is never deferred.
        if self.owned {
            // This fails only if the device is lost, which the next call finds.
            let _ = self.gpu.link().flush();
        }
        self.flushed.store(true, Ordering::Release);
    }

    /// Whether commands outside this crate can't refer to the buffer.
    pub(crate) fn is_private(&self) -> bool {
        self.owned && !self.exposed.load(Ordering::Acquire)
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    pub(crate) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// The range of the elements in the buffer, in bytes.
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.len * size_of::<T>() as u64
    }

    /// The elements' range, for kernels.
    pub(crate) fn region(&self) -> Region {
        let range = self.range();
        Region {
            buffer: self.buffer.clone(),
            offset: range.start,
            bytes: range.end - range.start,
        }
    }

    /// Whether the whole last lane of four values is the tensor's own.
    pub(crate) fn fills_lanes(&self) -> bool {
        self.owned || self.len.is_multiple_of(LANE_VALUES)
    }

    /// The elements, in row-major order; waits for the GPU. Browsers can't: see [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[cfg(not(target_family = "wasm"))]
    pub fn to_vec(&self) -> Result<Vec<T>> {
        pollster::block_on(self.read_by(platform::wait_for_answer))
    }

    /// The elements, in row-major order. Does not block: on native platforms a thread waits for
    /// the GPU.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceLost`]; [`Error::MissingUsage`] for a wrapped buffer without `COPY_SRC`. In a browser
    /// also what the calls before have to report.
    pub async fn read(&self) -> Result<Vec<T>> {
        self.read_by(platform::wait_aside).await
    }

    pub(crate) async fn read_by(&self, progress: impl Progress) -> Result<Vec<T>> {
        self.check_source("read")?;
        let mut data = vec![T::zeroed(); self.len()];
        let bytes = bytemuck::cast_slice_mut(&mut data);
        let source = transfer::Source {
            buffer: &self.buffer,
            offset: self.offset,
            is_private: self.is_private(),
        };
        transfer::read(self.gpu.memory(), source, bytes, progress).await?;
        Ok(data)
    }
}

/// The number of elements of `shape`.
pub(crate) fn count(shape: &[usize]) -> Result<u64> {
    if shape.contains(&0) {
        return Ok(0);
    }
    let len = shape
        .iter()
        .try_fold(1u64, |len, &extent| len.checked_mul(extent as u64));
    len.filter(|&len| len <= u32::MAX.into())
        .ok_or_else(|| Error::TooLarge {
            shape: shape.into(),
            limit: format!("elements are counted in 32 bits, {} at most", u32::MAX),
        })
}
