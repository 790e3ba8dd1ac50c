//! `cargo bench --bench tilings`: the kernels of products and of SELU with other sizes of tiles, workgroups and lanes,
//! for the choice of these on a GPU that nobody has measured. Each computes the right sums before it is timed. On
//! software devices the tiles are those of GPUs all the same, and the products small: there what bounds the
//! products of these devices follows, how fast their loads are alone, and their multiplications and additions.

use selfnorm::nn::Tiling;
use selfnorm::wgsl::Shader;
use selfnorm::{Error, Gpu, LecunNormal, Result, Tensor, wgpu};

use common::bare_selu;
use common::clock::{Clock, is_software, median, wait};
use common::dispatch::{Dispatch, immediates, shader, with_constant};
use common::networks::TUTORIAL;

mod common {
    pub mod bare_selu;
    pub mod clock;
    pub mod dispatch;
    pub mod networks;
}

const TURNS: usize = 5;
/// So many multiplications are timed together that submitting them is negligible.
const TURN_MULTIPLICATIONS: usize = 1 << 32;
/// The present rule: as many workgroups, but no chunk shorter.
const WANTED_GROUPS: usize = 512;
const MIN_CHUNK: usize = 256;
/// A chunk is a multiple of this.
const MIN_INNERS: usize = 8;
const CHUNKS: [usize; 7] = [1, 8, 16, 32, 64, 128, 256];
/// No more scratch memory than 256 MiB.
const MAX_SCRATCH: usize = 1 << 26;

/// Which of a layer's products, as the shaders number them.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Forward = 0,
    KernelGradient = 1,
    InputGradient = 2,
}

#[derive(Clone, Copy)]
struct Shape {
    kind: Kind,
    rows: usize,
    inner: usize,
    columns: usize,
}

impl Shape {
    const fn new(kind: Kind, [rows, inner, columns]: [usize; 3]) -> Self {
        Self {
            kind,
            rows,
            inner,
            columns,
        }
    }

    fn name(&self) -> String {
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

    fn multiplications(&self) -> usize {
        self.rows * self.inner * self.columns
    }

    /// The constants of the shader that say where operands are.
    fn constants(&self) -> [(&'static str, u32); 6] {
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
const fn layer(batch: usize, inputs: usize, outputs: usize) -> [Shape; 3] {
    [
        Shape::new(Kind::Forward, [batch, inputs, outputs]),
        Shape::new(Kind::KernelGradient, [inputs, batch, outputs]),
        Shape::new(Kind::InputGradient, [batch, outputs, inputs]),
    ]
}

const TUTORIAL_LAYER: [Shape; 3] = layer(TUTORIAL.batch, TUTORIAL.features(), TUTORIAL.units);
const SMALL_LAYER: [Shape; 3] = layer(100, 520, 96);
const OTHERS: [Shape; 3] = [
    Shape::new(Kind::Forward, [256, 4096, 256]),
    Shape::new(Kind::Forward, [1024; 3]),
    Shape::new(Kind::Forward, [4096; 3]),
];
const SMALL_OTHERS: [Shape; 1] = [Shape::new(Kind::Forward, [128; 3])];

/// A tile of sums of a workgroup.
#[derive(Clone, Copy)]
struct Tile {
    rows: u32,
    columns: u32,
    /// The inners that are in workgroup memory at a time.
    inner: u32,
    invocations: u32,
    /// Of the crate's own kernel, which has squares, and as many invocations and inners as its blocks fill.
    is_own: bool,
}

impl Tile {
    const PRESENT: Self = Self::own(64);

    const fn own(side: u32) -> Self {
        Self {
            rows: side,
            columns: side,
            inner: side / 4,
            invocations: side * side / 32,
            is_own: true,
        }
    }

    fn name(&self) -> String {
        let Self {
            rows,
            columns,
            inner,
            invocations,
            is_own,
        } = self;
        let own = if *is_own { ", the crate's kernel" } else { "" };
        format!("{rows}×{columns}, {invocations} invocations, {inner} inners{own}")
    }

    /// The sums of an invocation, in fours of rows and of columns.
    fn fours(&self) -> [u32; 2] {
        match self.rows * self.columns / self.invocations {
            16 => [1, 1],
            32 => [2, 1],
            64 => [2, 2],
            sums => unreachable!("{sums} sums an invocation"),
        }
    }

    fn bytes(&self) -> u32 {
        self.rows.max(self.columns) * self.inner * 2 * 4
    }

    fn groups(&self, shape: &Shape) -> usize {
        shape.rows.div_ceil(self.rows as usize) * shape.columns.div_ceil(self.columns as usize)
    }

    /// By the present rule, for this tile.
    fn chunks(&self, shape: &Shape) -> usize {
        (WANTED_GROUPS / self.groups(shape)).clamp(1, (shape.inner / MIN_CHUNK).max(1))
    }

    /// The crate's kernel with other constants; or its parts, with another loop over the inners.
    fn source(&self, product: &Shader, shape: &Shape) -> String {
        let mut source = product.source.clone();
        if !self.is_own {
            let (begin, end) = function(&source, "@compute @workgroup_size(PRODUCT_WORKGROUP)");
            source.replace_range(begin..end, &self.kernel());
        }
        let constants = [
            ("PRODUCT_ROWS", self.rows),
            ("PRODUCT_COLUMNS", self.columns),
            ("PRODUCT_WORKGROUP", self.invocations),
            ("TILE_INNER", self.inner),
        ];
        let constants = constants.into_iter().chain(shape.constants());
        constants.fold(source, |source, (name, value)| {
            with_constant(&source, name, value)
        })
    }

    /// As the crate's own, for any number of rows, columns, inners and invocations: what an invocation has more
    /// than one of is written out, so that it is in registers on every device.
    fn kernel(&self) -> String {
        let Self {
            rows,
            columns,
            inner,
            invocations,
            ..
        } = self;
        let [down, beside] = self.fours();
        let sums = || (0..down).flat_map(move |a| (0..beside).map(move |b| (a, b)));
        let along = inner / 4;
        let (left, right) = (rows / 4 * along, columns / 4 * along);
        let blocks = 0..(left + right).div_ceil(*invocations);
        let each = |text: &dyn Fn(u32) -> String| blocks.clone().map(text).collect::<String>();
        let place = each(&|n| {
            format!(
                "
    let number_{n} = local + {n}u * PRODUCT_WORKGROUP;
    let is_left_{n} = number_{n} < {left}u;
    let own_{n} = number_{n} - select({left}u, 0u, is_left_{n});
    let fours_{n} = select({columns}u, {rows}u, is_left_{n}) / 4u;
    let along_inner_{n} = select(RIGHT_ALONG_INNER, LEFT_ALONG_INNER, is_left_{n}) != 0u;
    let at_{n} = select(vec2u(own_{n} % fours_{n}, own_{n} / fours_{n}), vec2u(own_{n} / {along}u, own_{n} % {along}u), along_inner_{n});
    let is_block_{n} = number_{n} < {left}u + {right}u;
    let inner_{n} = at_{n}.y * 4u;
    let stored_{n} = select({inner}u, 0u, is_left_{n}) + inner_{n};
    var lines_{n}: Fours;
    if (is_left_{n}) {{
        lines_{n} = left_lines(first_row + at_{n}.x * 4u, q);
    }} else {{
        lines_{n} = right_lines(first_column + at_{n}.x * 4u, q);
    }}
    var loaded_{n} = mat4x4f();
    if (is_block_{n}) {{
        loaded_{n} = block(is_left_{n}, lines_{n}, start + inner_{n}, end, q);
    }}"
            )
        });
        let store = each(&|n| {
            let columns = (0..4).map(|i| {
                format!("            sweep[stored_{n} + {i}u][at_{n}.x] = loaded_{n}[{i}];\n")
            });
            let columns: String = columns.collect();
            format!("        if (is_block_{n}) {{\n{columns}        }}\n")
        });
        let load = each(&|n| {
            format!(
                "            if (is_block_{n}) {{
                loaded_{n} = block(is_left_{n}, lines_{n}, next + inner_{n}, end, q);
            }}\n"
            )
        });
        let list = |text: &dyn Fn((u32, u32)) -> String| sums().map(text).collect::<String>();
        let begun = list(&|(a, b)| format!("    var sums_{a}_{b} = mat4x4f();\n"));
        // The fours of an invocation are as far apart as there are others in between.
        let [row_step, column_step] = [rows / 4 / down, columns / 4 / beside];
        let lefts: String = (0..down)
            .map(|a| {
                format!(
                    "            let l_{a} = sweep[k][row + {}u];\n",
                    a * row_step
                )
            })
            .collect();
        let rights: String = (0..beside)
            .map(|b| {
                format!(
                    "            let r_{b} = sweep[{inner}u + k][column + {}u];\n",
                    b * column_step
                )
            })
            .collect();
        let added = list(&|(a, b)| {
            format!("            sums_{a}_{b} = add_products(sums_{a}_{b}, l_{a}, r_{b});\n")
        });
        let finished = list(&|(a, b)| {
            let (below, beside) = (a * row_step, b * column_step);
            format!(
                "    finish_tile(chunk, first_row + (row + {below}u) * 4u, first_column + (column + {beside}u) * 4u, sums_{a}_{b}, q);\n"
            )
        });
        let widest = rows.max(columns) / 4;
        let lines = 2 * inner;
        format!(
            "
var<workgroup> sweep: array<array<vec4f, {widest}>, {lines}>;

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {{
    let q = p;
    let across = (q.columns + PRODUCT_COLUMNS - 1u) / PRODUCT_COLUMNS;
    let down = (q.rows + PRODUCT_ROWS - 1u) / PRODUCT_ROWS;
    let tile = group.y * groups.x + group.x;
    let chunk = tile / (across * down);
    if (chunk >= q.chunks) {{
        return;
    }}
    let place = tile_place(tile % (across * down), down, across, q);
    let first_row = place.x * PRODUCT_ROWS;
    let first_column = place.y * PRODUCT_COLUMNS;
    let start = chunk * q.chunk;
    let end = min(start + q.chunk, q.inner);
    let row = local / {column_step}u;
    let column = local % {column_step}u;
{begun}{place}
    for (var first = start; first < end; first += {inner}u) {{
{store}        workgroupBarrier();
        let next = first + {inner}u;
        if (next < end) {{
{load}        }}
        for (var k = 0u; k < {inner}u; k++) {{
{lefts}{rights}{added}        }}
        workgroupBarrier();
    }}
{finished}}}
"
        )
    }
}

/// Where a function begins and ends in a source.
fn function(source: &str, begin: &str) -> (usize, usize) {
    let at = source
        .find(begin)
        .unwrap_or_else(|| panic!("there is no {begin}"));
    let end = source[at..].find("\n}\n").expect("it ends");
    (at, at + end + 3)
}

/// Each kind of a workgroup's tile: the crate's first, with the sizes that it takes.
fn tiles() -> Vec<Tile> {
    let own = [64, 32, 128].map(Tile::own).into_iter();
    let others = [
        (32, 32, 64),
        (64, 64, 128),
        (64, 64, 256),
        (128, 64, 256),
        (128, 128, 256),
    ];
    let others = others.into_iter().flat_map(|(rows, columns, invocations)| {
        [8, 16, 32].map(|inner| Tile {
            rows,
            columns,
            inner,
            invocations,
            is_own: false,
        })
    });
    own.chain(others).collect()
}

/// The operands of a product, its sums, and the memory for those of chunks.
struct Operands {
    gpu: Gpu,
    shape: Shape,
    left: Tensor,
    right: Tensor,
    sums: Tensor,
    scratch: Tensor,
}

impl Operands {
    fn new(gpu: &Gpu, shape: Shape) -> Result<Self> {
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
    fn refill(&self) -> Result<()> {
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

    /// Some of the sums, among them the last ones, with their places.
    fn some_sums(&self) -> Result<Vec<(usize, f32)>> {
        let (left, right) = (self.left.to_vec()?, self.right.to_vec()?);
        let shape = self.shape;
        let places = selfnorm::random::words(3, 0, 0..200);
        let last = shape.rows * shape.columns - 1;
        let places = places.map(|word| word as usize % last).chain([0, last]);
        let sum = |place| {
            let (row, column) = (place / shape.columns, place % shape.columns);
            let product = |k| left[shape.left_at(row, k)] * right[shape.right_at(k, column)];
            (place, (0..shape.inner).map(product).sum())
        };
        Ok(places.map(sum).collect())
    }

    /// The dispatches of a product with this tile in so many chunks, if the device and the memory are large enough.
    fn prepare(&self, shaders: &Shaders, tile: &Tile, chunks: usize) -> Option<Vec<Dispatch>> {
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
    fn dispatches(
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
struct Shaders {
    product: Shader,
    chunks: Shader,
}

/// What is timed: a column for each name, and the dispatches of each, if it fits.
struct Column {
    name: String,
    rows: Vec<Option<Vec<Dispatch>>>,
    repeats: usize,
}

impl Column {
    /// The times of each row in microseconds, in turns.
    fn times(&self, clock: &Clock) -> Result<Vec<Vec<f64>>> {
        let mut times = vec![Vec::new(); self.rows.len()];
        for turn in 0..=TURNS {
            for (row, times) in self.rows.iter().zip(&mut times) {
                let Some(dispatches) = row else { continue };
                let time = clock.time(|encoder| {
                    let mut pass = encoder.begin_compute_pass(&Default::default());
                    for _ in 0..self.repeats {
                        dispatches
                            .iter()
                            .for_each(|dispatch| dispatch.record(&mut pass));
                    }
                    Ok(())
                })?;
                // The first turn compiles.
                if turn > 0 {
                    times.push(time.best().as_secs_f64() * 1e6 / self.repeats as f64);
                }
            }
        }
        Ok(times)
    }
}

/// Prints the times of all columns, the best of each marked; the last row may be a yardstick, which is none of them.
fn print(
    gpu: &Gpu,
    what: &str,
    rows: &[String],
    yardstick: Option<&str>,
    columns: &[Column],
) -> Result<()> {
    let clock = Clock::new(gpu);
    head(what, columns.iter().map(|column| column.name.as_str()));
    let times = columns.iter().map(|column| {
        let times = column.times(&clock)?.into_iter();
        Ok(times
            .map(|times| (!times.is_empty()).then(|| median(times)))
            .collect())
    });
    let times: Vec<Vec<_>> = times.collect::<Result<_>>()?;
    for (i, row) in rows.iter().map(String::as_str).chain(yardstick).enumerate() {
        let cells = times.iter().map(|times| {
            let best = times[..rows.len()]
                .iter()
                .flatten()
                .copied()
                .fold(f64::INFINITY, f64::min);
            match times[i] {
                None => "–".into(),
                Some(time) if time == best => format!("**{time:.1}**"),
                Some(time) => format!("{time:.1}"),
            }
        });
        println!("| {row} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

fn head<'a>(what: &str, names: impl Iterator<Item = &'a str>) {
    let names: Vec<_> = names.collect();
    println!("\n| {what} | {} |", names.join(" | "));
    println!("|{}", " --- |".repeat(1 + names.len()));
}

/// So many workgroups, in rows that every device allows.
fn rows_of(groups: u32) -> [u32; 2] {
    const ROW: u32 = 1 << 15;
    let x = groups.min(ROW);
    [x, groups.div_ceil(x)]
}

/// Submits it once, with zeros in `result` before, and waits.
fn run_once(gpu: &Gpu, dispatches: &[Dispatch], result: &Tensor) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let range = result.slice();
    encoder.clear_buffer(range.buffer(), range.offset(), Some(range.size()));
    let mut pass = encoder.begin_compute_pass(&Default::default());
    dispatches
        .iter()
        .for_each(|dispatch| dispatch.record(&mut pass));
    drop(pass);
    gpu.queue().submit([encoder.finish()]);
    wait(gpu);
}

fn products(gpu: &Gpu) -> Result<()> {
    let shaders = Shaders {
        product: shader("dense block_fours workgroup end_sums", "f32x4"),
        chunks: shader("dense chunks end_sums", "f32x4"),
    };
    let shapes: Vec<_> = match is_software(gpu) {
        true => SMALL_LAYER.into_iter().chain(SMALL_OTHERS).collect(),
        false => TUTORIAL_LAYER.into_iter().chain(OTHERS).collect(),
    };
    let tiles = tiles();
    let in_chunks = CHUNKS.map(|chunks| (Tile::PRESENT, chunks));
    let (mut by_tile, mut by_chunks) = (Vec::new(), Vec::new());
    for shape in shapes {
        let operands = Operands::new(gpu, shape)?;
        let expected = operands.some_sums()?;
        let present = operands.prepare(&shaders, &Tile::PRESENT, 1);
        run_once(gpu, &present.unwrap_or_default(), &operands.sums);
        let all = operands.sums.to_vec()?;
        for (place, sum) in expected {
            assert!(
                all[place] == sum,
                "{}: {} in place of {sum}",
                shape.name(),
                all[place]
            );
        }
        let column = |ways: &[(Tile, usize)]| -> Result<Column> {
            let prepared = ways.iter().map(|(tile, chunks)| {
                let Some(dispatches) = operands.prepare(&shaders, tile, *chunks) else {
                    return Ok(None);
                };
                run_once(gpu, &dispatches, &operands.sums);
                let is_right = operands.sums.to_vec()? == all;
                if !is_right {
                    println!(
                        "wrong sums: {}, {}, {chunks} chunks",
                        shape.name(),
                        tile.name()
                    );
                }
                Ok(is_right.then_some(dispatches))
            });
            Ok(Column {
                name: shape.name(),
                rows: prepared.collect::<Result<_>>()?,
                repeats: if is_software(gpu) {
                    1
                } else {
                    (TURN_MULTIPLICATIONS / shape.multiplications()).clamp(1, 50)
                },
            })
        };
        by_tile.push(column(
            &tiles
                .iter()
                .map(|tile| (*tile, tile.chunks(&shape)))
                .collect::<Vec<_>>(),
        )?);
        by_chunks.push(column(&in_chunks)?);
        operands.refill()?;
    }
    let names: Vec<_> = tiles.iter().map(Tile::name).collect();
    print(gpu, "µs by the workgroup's tile", &names, None, &by_tile)?;
    let names = CHUNKS.map(|chunks| format!("{}, chunks: {chunks}", Tile::PRESENT.name()));
    print(gpu, "µs by chunks", &names, None, &by_chunks)
}

/// As many chunks as the crate cuts the products of the tutorial's layer into on software devices.
const SOFTWARE_CHUNKS: [usize; 3] = [42, 1, 1];

/// What bounds products on software devices with subgroups: their loads, and their multiplications and additions.
fn limits(gpu: &Gpu) -> Result<()> {
    let lanes = gpu.adapter_info().subgroup_min_size;
    let run = match gpu
        .device()
        .features()
        .contains(wgpu::Features::SHADER_INT64)
    {
        true => "run_u64",
        false => "run_f32",
    };
    let name = format!("dense octets {run} registers left_shared shared_octets end_sums");
    let shaders = Shaders {
        product: shader(&name, "f32x4"),
        chunks: shader("dense chunks end_sums", "f32x4"),
    };
    let mut columns = Vec::new();
    for (shape, chunks) in TUTORIAL_LAYER.into_iter().zip(SOFTWARE_CHUNKS) {
        let operands = Operands::new(gpu, shape)?;
        let constants = [
            ("PRODUCT_WORKGROUP", lanes),
            ("PRODUCT_COLUMNS", 8 * lanes),
            ("SHARED_BY", lanes),
        ];
        let constants = constants.into_iter().chain(shape.constants());
        let product = constants.fold(shaders.product.source.clone(), |source, (name, value)| {
            with_constant(&source, name, value)
        });
        // Every value that is loaded is needed, for an eighth of the additions and no multiplication.
        let mut loads = product.clone();
        let (begin, end) = function(&loads, "fn accumulate(");
        loads.replace_range(
            begin..end,
            "fn accumulate(s: Octet, l: Slice, r: Slice) -> Octet {
    return Octet(s.t00 + r.t00 + r.t10, s.t01 + r.t01 + r.t11, s.t10 + l.t00 + l.t01, s.t11 + l.t10 + l.t11);
}
",
        );
        let groups = shape.rows.div_ceil(32) * shape.columns.div_ceil(8 * lanes as usize);
        let [product, loads] =
            [product, loads].map(|source| operands.dispatches(&shaders, &source, groups, chunks));
        run_once(gpu, &product, &operands.sums);
        let all = operands.sums.to_vec()?;
        for (place, sum) in operands.some_sums()? {
            assert!(
                all[place] == sum,
                "{}: {} in place of {sum}",
                shape.name(),
                all[place]
            );
        }
        operands.refill()?;
        let arithmetic = [256, 16].map(|sums| multiply_add(gpu, sums, shape.multiplications()));
        let arithmetic = arithmetic.into_iter().collect::<Result<Vec<_>>>()?;
        columns.push(Column {
            name: shape.name(),
            rows: [product, loads]
                .into_iter()
                .chain(arithmetic)
                .map(Some)
                .collect(),
            repeats: 1,
        });
    }
    let names = [
        "the crate's product",
        "its loads alone",
        "multiplications and additions alone, 256 sums an invocation",
        "the same, 16 sums an invocation",
    ];
    let clock = Clock::new(gpu);
    head(
        "GFLOP/s, and the product's part of it",
        columns.iter().map(|column| column.name.as_str()),
    );
    let times = columns.iter().map(|column| column.times(&clock));
    let times: Vec<_> = times.collect::<Result<_>>()?;
    for (i, name) in names.into_iter().enumerate() {
        let cells = times.iter().zip(TUTORIAL_LAYER).map(|(times, shape)| {
            let rate =
                2.0 * shape.multiplications() as f64 / median(times[i].iter().copied()) / 1e3;
            let part = times[i]
                .iter()
                .zip(&times[0])
                .map(|(limit, product)| limit / product);
            format!("{rate:.1}, {:.2}", median(part))
        });
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

/// As many multiplications, and additions of the products, in registers: of so many sums an invocation.
fn multiply_add(gpu: &Gpu, sums: usize, multiplications: usize) -> Result<Vec<Dispatch>> {
    const GROUPS: u32 = 64;
    const INVOCATIONS: u32 = 8;
    /// In the loop's body, so that the loop does not count.
    const REPEATS: usize = 8;
    let invocations = (GROUPS * INVOCATIONS) as usize;
    let turns = multiplications / invocations / sums / REPEATS;
    let fours = sums / 4;
    let list = |text: &dyn Fn(usize) -> String| (0..fours).map(text).collect::<String>();
    // Sums from other beginnings, so that they are none the same.
    let begun = list(&|i| format!("    var s_{i} = b * {}.0;\n", i + 1));
    let added = list(&|i| format!("        s_{i} = s_{i} * a + b;\n")).repeat(REPEATS);
    let stored = list(&|i| format!(" + s_{i}"));
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size({INVOCATIONS})
fn multiply_add(@builtin(global_invocation_id) id: vec3u) {{
    let a = y[0];
    let b = y[1];
{begun}    for (var i = 0u; i < {turns}u; i++) {{
{added}    }}
    y[2u + id.x] = vec4f(){stored};
}}
"
    );
    // They come to 1 / (1 - 0.5), and stay there.
    let mut values = vec![0.0; (2 + invocations) * 4];
    values[..8].copy_from_slice(&[0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0]);
    let y = gpu.tensor(&values, [values.len()])?;
    let pipeline = Dispatch::pipeline(gpu, &source, "multiply_add");
    Ok(vec![Dispatch {
        bindings: Dispatch::bindings(gpu, &pipeline, &[y.binding()]),
        pipeline,
        immediates: Vec::new(),
        groups: [GROUPS, 1],
    }])
}

/// SELU by the values of a lane, the lanes of an invocation and the invocations of a workgroup.
fn selu(gpu: &Gpu) -> Result<()> {
    const GROUPS: [u32; 3] = [64, 128, 256];
    const LANES: [(&str, u32); 5] = [
        ("f32x4", 1),
        ("f32x4", 2),
        ("f32x4", 4),
        ("f32x4", 8),
        ("f32", 4),
    ];
    /// As many values are looked at, the first and the last.
    const SEEN: usize = 1 << 12;
    let len: usize = if is_software(gpu) { 1 << 22 } else { 1 << 28 };
    let x: Tensor = gpu.lecun_normal([len], 1)?;
    let y: Tensor = gpu.zeros([len])?;
    // What one dispatch may bind, and as many workgroups; so a small workgroup takes several, as in the crate.
    let limits = gpu.device().limits();
    let dispatches = |source: &str, entry_point, values: u64, params: &dyn Fn(u64) -> Vec<u8>| {
        let pipeline = Dispatch::pipeline(gpu, source, entry_point);
        let group_bytes = values * 4;
        let groups = limits.max_storage_buffer_binding_size / group_bytes;
        let part = groups.min(limits.max_compute_workgroups_per_dimension.into()) * group_bytes;
        let parts = (0..len as u64 * 4).step_by(part as usize);
        let dispatch = |offset: u64| {
            let range = offset..(offset + part).min(len as u64 * 4);
            let bytes = range.end - range.start;
            let bindings = [&x, &y].map(|tensor| {
                let slice = tensor.slice();
                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: slice.buffer(),
                    offset: slice.offset() + offset,
                    size: wgpu::BufferSize::new(bytes),
                })
            });
            Dispatch {
                bindings: Dispatch::bindings(gpu, &pipeline, &bindings),
                pipeline: pipeline.clone(),
                immediates: params(bytes),
                groups: [bytes.div_ceil(group_bytes) as u32, 1],
            }
        };
        parts.map(dispatch).collect::<Vec<_>>()
    };
    let mut expected = None;
    let mut columns = Vec::new();
    for invocations in GROUPS {
        let with = |(lanes, count)| {
            let source = shader(bare_selu::SHADER, lanes).source;
            let source = with_constant(&source, "WORKGROUP_SIZE", invocations);
            let source = with_constant(&source, "LANES_PER_INVOCATION", count);
            let values = if lanes == "f32" { 1 } else { 4 };
            let per_group = u64::from(invocations * count * values);
            let params = |bytes: u64| bare_selu::params(bytes as u32 / 4 / values);
            dispatches(&source, bare_selu::ENTRY_POINT, per_group, &params)
        };
        let mut rows: Vec<_> = LANES.map(with).into();
        rows.push(dispatches(
            include_str!("yardsticks.wgsl"),
            "copy",
            256 * 16,
            &|_| Vec::new(),
        ));
        for row in &rows[..LANES.len()] {
            run_once(gpu, row, &y);
            let seen = [0, len - SEEN].map(|first| {
                let bytes = first as u64 * 4..(first + SEEN) as u64 * 4;
                gpu.wrap::<f32>(y.slice().slice(bytes), [SEEN])?.to_vec()
            });
            let [first, last] = seen;
            let seen = [first?, last?];
            assert!(
                expected.get_or_insert_with(|| seen.clone()) == &seen,
                "another SELU"
            );
        }
        columns.push(Column {
            name: format!("{invocations} invocations"),
            rows: rows.into_iter().map(Some).collect(),
            repeats: 1,
        });
    }
    let names = LANES.map(|(lanes, count)| format!("{count} of {lanes} an invocation"));
    let what = format!("µs of SELU, {} Mi", len >> 20);
    let yardstick = Some("a copy, 4 of f32x4, 256 invocations");
    print(gpu, &what, &names, yardstick, &columns)
}

fn main() -> Result<()> {
    let gpu = common::clock::gpu()?;
    let info = gpu.adapter_info();
    println!("\n{} ({}, {})", info.name, info.driver_info, info.backend);
    if !gpu.device().features().contains(wgpu::Features::IMMEDIATES) {
        println!("\n(no immediates here: nothing is compared)");
        return Ok(());
    }
    // `cargo bench --bench tilings -- selu` measures that alone.
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let is_wanted = |part: &str| wanted.as_ref().is_none_or(|wanted| wanted == part);
    if is_wanted("limits") && Tiling::of(&gpu) == Tiling::Subgroups {
        limits(&gpu)?;
    }
    if is_wanted("products") {
        products(&gpu)?;
    }
    if is_wanted("selu") {
        match selu(&gpu) {
            // A smaller GPU is no failure.
            Err(error @ (Error::TooLarge { .. } | Error::OutOfMemory { .. })) => {
                println!("\nSELU: {error}")
            }
            measured => measured?,
        }
    }
    Ok(())
}
