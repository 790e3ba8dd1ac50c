//! Rows that an application has with other values between them, and dense tensors.

use std::ops::Range;

use crate::element::ElementType;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::kept::Id;
use crate::pass::{Hint, number, read, write};
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module, WORKGROUP_SIZE};
use crate::shader::params::{params, vec2u};
use crate::tensor::count;
use crate::{Error, Gpu, Pass, Result, Tensor};

params! {
    struct RowsParams {
        /// the first word of the first row, and the words from row to row
        source: vec2u,
        destination: vec2u,
        /// words of all rows, and of one
        words: u32,
        row: u32,
    }
}

pub(super) static MODULE: Module =
    Module::new("rows", &files::ROWS, RowsParams::LAYOUT).entry_points(&["copy_rows"]);

const COPY: Kernel = MODULE.kernel("copy_rows");

const WORD: u64 = 4;

/// Rows of f32s in an application's buffer that begin every `stride` bytes: an attribute of
/// interleaved vertices, the `vec3f`s of a storage buffer, which are 16 bytes apart.
///
/// [`Gpu::wrap_rows`] makes one; [`Pass::read_rows`] and [`Pass::write_rows`] copy to and from tensors,
/// whose rows stand side by side, as every kernel here takes them. What is between the rows is neither
/// read nor written.
#[derive(Debug)]
pub struct Rows {
    gpu: Gpu,
    id: Id,
    shape: Vec<usize>,
    place: Place,
}

/// Rows of `row` bytes in a buffer, every `stride` bytes from `offset` on.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    buffer: wgpu::Buffer,
    offset: u64,
    rows: u64,
    row: u64,
    stride: u64,
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.gpu.forget(self.id);
    }
}

impl Gpu {
    /// Rows of an application's buffer: `shape[0]` of them, the first at the start of `range`, each
    /// of the other extents' product, and each `stride` bytes after the one before.
    ///
    /// The range may start at any multiple of four bytes, so an attribute of a vertex buffer is
    /// `vertices.slice(attribute.offset..)` with the layout's `array_stride`. The buffer needs the usage
    /// `STORAGE`, beside `VERTEX`. As with [`wrap`](Self::wrap), it must belong to this device.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::{Gpu, wgpu};
    ///
    /// # let gpu = Gpu::new()?;
    /// // Vertices of a position and a colour: six f32s, 24 bytes.
    /// let vertices = gpu.device().create_buffer(&wgpu::BufferDescriptor {
    ///     label: None,
    ///     size: 100 * 24,
    ///     usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::STORAGE,
    ///     mapped_at_creation: false,
    /// });
    /// let positions = gpu.wrap_rows(vertices.slice(..), [100, 3], 24)?;
    /// let colours = gpu.wrap_rows(vertices.slice(12..), [100, 3], 24)?;
    ///
    /// let x = gpu.zeros([100, 3])?;
    /// let mut encoder = gpu.device().create_command_encoder(&Default::default());
    /// let mut pass = gpu.pass(&mut encoder);
    /// pass.read_rows(&positions, &x)?;
    /// pass.tanh_in_place(&x)?;
    /// pass.write_rows(&x, &colours)?;
    /// drop(pass);
    /// gpu.queue().submit([encoder.finish()]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::MissingUsage`] without `STORAGE`; [`Error::Parameter`] for an offset or a stride that
    /// is no multiple of 4, or a stride shorter than a row; [`Error::TooShort`]; [`Error::TooLarge`] for a
    /// stride beyond one binding of the device.
    pub fn wrap_rows(
        &self,
        range: wgpu::BufferSlice,
        shape: impl AsRef<[usize]>,
        stride: u64,
    ) -> Result<Rows> {
        const OP: &str = "wrap_rows";
        let shape = shape.as_ref();
        let len = count(shape)?;
        if !range.buffer().usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::MissingUsage {
                op: OP,
                usage: "STORAGE",
            });
        }
        let rows = shape.first().copied().unwrap_or(1) as u64;
        let row = if len == 0 { 0 } else { len / rows * WORD };
        let rule = |name, value: u64, allowed, rule| {
            super::require(OP, name, value as f64, allowed, rule).map(drop)
        };
        let offset = range.offset();
        let is_word = |bytes: u64| bytes.is_multiple_of(WORD);
        rule("the offset", offset, is_word(offset), "a multiple of 4")?;
        rule("the stride", stride, is_word(stride), "a multiple of 4")?;
        rule(
            "the stride",
            stride,
            stride >= row,
            "at least the bytes of a row",
        )?;
        let needed = match len {
            0 => 0,
            _ => (rows - 1).saturating_mul(stride).saturating_add(row),
        };
        if range.size() < needed {
            return Err(Error::TooShort {
                shape: shape.into(),
                needed,
                actual: range.size(),
            });
        }
        let place = Place {
            buffer: range.buffer().clone(),
            offset,
            rows: if len == 0 { 0 } else { rows },
            row,
            stride,
        };
        place.rows_at_once(self)?;
        Ok(Rows {
            gpu: self.clone(),
            id: Id::new(),
            shape: shape.into(),
            place,
        })
    }
}

impl Rows {
    /// The extents: the number of rows first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes from the start of a row to the start of the next.
    pub fn stride(&self) -> u64 {
        self.place.stride
    }
}

impl Place {
    /// Elements from one on, as rows that stand side by side.
    pub fn of(tensor: &Tensor, first: usize, rows: u64, row: u64) -> Self {
        Self {
            buffer: tensor.buffer().clone(),
            offset: tensor.range().start + first as u64 * WORD,
            rows,
            row,
            stride: row,
        }
    }

    /// From the first byte to the last.
    fn range(&self) -> Range<u64> {
        let bytes = match self.rows {
            0 => 0,
            rows => (rows - 1) * self.stride + self.row,
        };
        self.offset..self.offset + bytes
    }

    /// How many rows fit into a binding, wherever they begin.
    fn rows_at_once(&self, gpu: &Gpu) -> Result<u64> {
        let limits = gpu.limits();
        // Words are counted in 32 bits.
        let max = limits.max_binding_bytes.min(u32::MAX.into()) - limits.offset_alignment;
        match max / self.stride.max(WORD) {
            0 => Err(Error::TooLarge {
                shape: vec![self.stride as usize],
                limit: format!("rows are so many bytes apart; the device binds {max} at most"),
            }),
            rows => Ok(rows),
        }
    }

    /// The binding of `rows` rows from `first` on, and the word in it where they begin.
    fn part(&self, gpu: &Gpu, first: u64, rows: u64) -> (wgpu::BufferBinding<'_>, u32) {
        let start = self.offset + first * self.stride;
        let aligned = start / gpu.limits().offset_alignment * gpu.limits().offset_alignment;
        let end = start + (rows - 1) * self.stride + self.row;
        let binding = wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: aligned,
            size: wgpu::BufferSize::new(end - aligned),
        };
        (binding, ((start - aligned) / WORD) as u32)
    }
}

/// Copies rows of one length, as many of each.
pub(crate) fn copy(gpu: &Gpu, source: &Place, destination: &Place) -> Result<Vec<Dispatch>> {
    let at_once = source
        .rows_at_once(gpu)?
        .min(destination.rows_at_once(gpu)?);
    let pipelines = gpu.pipelines();
    let variant = pipelines.variant(&MODULE, ElementType::F32, false, Form::default());
    let pipeline = pipelines.get(COPY, variant, 2)?;
    let part = |first: u64| {
        let rows = at_once.min(source.rows - first);
        let (from, source_first) = source.part(gpu, first, rows);
        let (to, destination_first) = destination.part(gpu, first, rows);
        let words = |bytes: u64| (bytes / WORD) as u32;
        let params = RowsParams {
            source: [source_first, words(source.stride)],
            destination: [destination_first, words(destination.stride)],
            words: words(rows * source.row),
            row: words(source.row),
        };
        let tensors = pipelines.bind(&pipeline, &[from, to])?;
        let groups = params.words.div_ceil(WORKGROUP_SIZE).into();
        pipelines.dispatch(pipeline.clone(), tensors, &params, groups)
    };
    (0..source.rows)
        .step_by(at_once as usize)
        .map(part)
        .collect()
}

impl Pass<'_> {
    /// x = the rows, bit by bit; x is of their shape.
    ///
    /// One dispatch, or as many as bindings of the device.
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`OtherGpu`](crate::Error::OtherGpu);
    /// [`Aliased`](crate::Error::Aliased) if x is between the first row and the last.
    pub fn read_rows(&mut self, rows: &Rows, x: &Tensor) -> Result<()> {
        let op = "read_rows";
        self.check_shapes(op, &[write("x", x)], &[&rows.shape], Hint::None)?;
        self.copy_rows(op, ["rows", "x"], rows, x, |rows, x| (rows, x))
    }

    /// The rows = x, bit by bit; x is of their shape. What is between them stays as it is.
    ///
    /// # Errors
    ///
    /// As [`read_rows`](Self::read_rows).
    pub fn write_rows(&mut self, x: &Tensor, rows: &Rows) -> Result<()> {
        let op = "write_rows";
        self.check_shapes(op, &[read("x", x)], &[&rows.shape], Hint::None)?;
        self.copy_rows(op, ["x", "rows"], rows, x, |rows, x| (x, rows))
    }

    fn copy_rows(
        &mut self,
        op: &'static str,
        [a, b]: [&'static str; 2],
        rows: &Rows,
        x: &Tensor,
        direction: impl Fn(Place, Place) -> (Place, Place),
    ) -> Result<()> {
        if !rows.gpu.is(x.gpu()) {
            let operand = "rows";
            return Err(Error::OtherGpu { op, operand });
        }
        let place = &rows.place;
        let (range, other) = (place.range(), x.range());
        if place.buffer == *x.buffer() && range.start < other.end && other.start < range.end {
            let detail = String::new();
            return Err(Error::Aliased { op, a, b, detail });
        }
        if x.is_empty() {
            return Ok(());
        }
        let dispatches = self.bound(&[rows.id, x.id()], number(op), |gpu| {
            let dense = Place::of(x, 0, place.rows, place.row);
            let (source, destination) = direction(place.clone(), dense);
            copy(gpu, &source, &destination)
        })?;
        self.record(&[read("x", x)], place.rows * place.row, &*dispatches)
    }
}
