//! The products, their operands and their dispatches.

use selfnorm::wgsl::Shader;
use selfnorm::{Gpu, LecunNormal, Result, Tensor};

use crate::common::dispatch::{Dispatch, immediates, with_constant};
use crate::run_once;
use crate::tile::Tile;

/// The numbers of chunks that are compared.
pub const CHUNKS: [usize; 7] = [1, 8, 16, 32, 64, 128, 256];
/// A chunk is a multiple of this.
const MIN_INNERS: usize = 8;
/// No more scratch memory than 256 MiB.
const MAX_SCRATCH: usize = 1 << 26;

/// Which of a layer's products, as the shaders number them.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Forward = 0,
    KernelGradient = 1,
    InputGradient = 2,
}

#[derive(Clone, Copy)]
pub struct Shape {
    kind: Kind,
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
}

impl Shape {
    pub const fn new(kind: Kind, [rows, inner, columns]: [usize; 3]) -> Self {
        Self {
            kind,
            rows,
            inner,
            columns,
        }
    }

    pub fn name(&self) -> String {
        let Self {
            kind,
            rows,
            inner,
            columns,
        } = self;
        let kind = match kind {
            Kind::Forward => "",
            Kind::KernelGradient => ", xᵀ dz",
            Kind::InputGradient => ", dz wᵀ",
        };
        format!("{rows}×{inner}×{columns}{kind}")
    }

    pub fn multiplications(&self) -> usize {
        self.rows * self.inner * self.columns
    }

    /// The constants of the shader that say where operands are.
    pub fn constants(&self) -> [(&'static str, u32); 6] {
        [
            ("PRODUCT", self.kind as u32),
            (
                "LEFT_ALONG_INNER",
                (self.kind != Kind::KernelGradient).into(),
            ),
            (
                "RIGHT_ALONG_INNER",
                (self.kind == Kind::InputGradient).into(),
            ),
            ("LEFT_IS_WHOLE", 1),
            ("IS_UNPADDED", 1),
            ("BIAS", 0),
        ]
    }

    fn left_at(&self, row: usize, k: usize) -> usize {
        match self.kind {
            Kind::KernelGradient => k * self.rows + row,
            _ => row * self.inner + k,
        }
    }

    fn right_at(&self, k: usize, column: usize) -> usize {
        match self.kind {
            Kind::InputGradient => column * self.inner + k,
            _ => k * self.columns + column,
        }
    }
}

/// The products of a dense layer, forward and its gradients.
pub const fn layer(batch: usize, inputs: usize, outputs: usize) -> [Shape; 3] {
    [
        Shape::new(Kind::Forward, [batch, inputs, outputs]),
        Shape::new(Kind::KernelGradient, [inputs, batch, outputs]),
        Shape::new(Kind::InputGradient, [batch, outputs, inputs]),
    ]
}

/// The operands of a product, its sums, and the memory for those of chunks.
pub struct Operands {
    gpu: Gpu,
    shape: Shape,
    left: Tensor,
    right: Tensor,
    sums: Tensor,
    scratch: Tensor,
}

impl Operands {
    pub fn new(gpu: &Gpu, shape: Shape) -> Result<Self> {
        let Shape {
            rows,
            inner,
            columns,
            ..
        } = shape;
        // Small integers, whose sums are the same in any order.
        let integers = |seed, len: usize| {
            let words = selfnorm::random::words(seed, 0, 0..len as u64);
            let values: Vec<_> = words.map(|word| (word >> 29) as f32 - 3.0).collect();
            gpu.tensor(&values, [len])
        };
        let largest = CHUNKS
            .into_iter()
            .filter(|chunks| chunks * rows * columns <= MAX_SCRATCH)
            .max();
        Ok(Self {
            gpu: gpu.clone(),
            shape,
            left: integers(1, rows * inner)?,
            right: integers(2, inner * columns)?,
            sums: gpu.zeros([rows * columns])?,
            scratch: gpu.zeros([largest.unwrap_or(1) * rows * columns])?,
        })
    }

    /// Numbers as a network has them, with all their bits.
    pub fn refill(&self) -> Result<()> {
        let mut encoder = self
            .gpu
            .device()
            .create_command_encoder(&Default::default());
        let mut pass = self.gpu.pass(&mut encoder);
        pass.lecun_normal(&LecunNormal::new(1).seed(1), &self.left)?;
        pass.lecun_normal(&LecunNormal::new(1).seed(2), &self.right)?;
        drop(pass);
        self.gpu.queue().submit([encoder.finish()]);
        Ok(())
    }

    /// All sums by these dispatches. Panics if some, among them the first and the last, are not the right ones.
    pub fn right_sums(&self, dispatches: &[Dispatch]) -> Result<Vec<f32>> {
        let shape = self.shape;
        let (left, right) = (self.left.to_vec()?, self.right.to_vec()?);
        let sums = self.sums(dispatches)?;
        let last = sums.len() - 1;
        let places = selfnorm::random::words(3, 0, 0..200);
        for place in places.map(|word| word as usize % last).chain([0, last]) {
            let (row, column) = (place / shape.columns, place % shape.columns);
            let product = |k| left[shape.left_at(row, k)] * right[shape.right_at(k, column)];
            let sum: f32 = (0..shape.inner).map(product).sum();
            let name = shape.name();
            assert!(
                sums[place] == sum,
                "{name}: {} in place of {sum}",
                sums[place]
            );
        }
        Ok(sums)
    }

    /// All sums by these dispatches.
    pub fn sums(&self, dispatches: &[Dispatch]) -> Result<Vec<f32>> {
        run_once(&self.gpu, dispatches, &self.sums);
        self.sums.to_vec()
    }

    /// The dispatches of a product with this tile in so many chunks, if the device and the memory are large enough.
    pub fn prepare(&self, shaders: &Shaders, tile: &Tile, chunks: usize) -> Option<Vec<Dispatch>> {
        let limits = self.gpu.device().limits();
        let fits = tile.bytes() <= limits.max_compute_workgroup_storage_size
            && tile.invocations <= limits.max_compute_invocations_per_workgroup
            && tile.invocations <= limits.max_compute_workgroup_size_x
            && chunks * MIN_INNERS <= self.shape.inner.max(MIN_INNERS)
            && chunks * self.sums.len() <= self.scratch.len();
        fits.then(|| {
            let source = tile.source(&shaders.product, &self.shape);
            self.dispatches(shaders, &source, tile.groups(&self.shape), chunks)
        })
    }

    /// The same with a kernel of which so many workgroups compute all sums.
    pub fn dispatches(
        &self,
        shaders: &Shaders,
        source: &str,
        groups: usize,
        chunks: usize,
    ) -> Vec<Dispatch> {
        let Self { gpu, shape, .. } = self;
        let chunk = shape.inner.div_ceil(chunks).next_multiple_of(MIN_INNERS);
        let chunks = shape.inner.div_ceil(chunk);
        let values = [
            ("rows", shape.rows),
            ("inner", shape.inner),
            ("columns", shape.columns),
            ("chunks", chunks),
            ("chunk", chunk),
            ("ones", shape.rows),
        ];
        let values = values.map(|(name, value)| (name, value as u32));
        let dispatch = |source: &str, shader, bindings: [&Tensor; 3], groups: usize| {
            let pipeline = Dispatch::pipeline(gpu, source, "product");
            Dispatch {
                bindings: Dispatch::bindings(gpu, &pipeline, &bindings.map(Tensor::binding)),
                immediates: immediates(shader, &values),
                groups: rows_of(groups as u32),
                pipeline,
            }
        };
        let partial = if chunks == 1 {
            &self.sums
        } else {
            &self.scratch
        };
        let operands = [&self.left, &self.right, partial];
        let mut dispatches = vec![dispatch(
            source,
            &shaders.product,
            operands,
            groups * chunks,
        )];
        if chunks > 1 {
            const INVOCATIONS: usize = 64;
            let source = with_constant(&shaders.chunks.source, "BIAS", 0);
            let operands = [&self.scratch, &self.right, &self.sums];
            let groups = (self.sums.len() / 4).div_ceil(INVOCATIONS);
            dispatches.push(dispatch(&source, &shaders.chunks, operands, groups));
        }
        dispatches
    }
}

/// The crate's.
pub struct Shaders {
    pub product: Shader,
    pub chunks: Shader,
}

/// So many workgroups, in rows that every device allows.
fn rows_of(groups: u32) -> [u32; 2] {
    const ROW: u32 = 1 << 15;
    let x = groups.min(ROW);
    [x, groups.div_ceil(x)]
}
