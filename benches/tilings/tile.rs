//! The tiles of sums that a workgroup computes, and the kernel for each.

use selfnorm::wgsl::Shader;

use crate::common::dispatch::{function, with_constant};
use crate::product::Shape;

/// The present rule: as many workgroups, but no chunk shorter.
const WANTED_GROUPS: usize = 512;
const MIN_CHUNK: usize = 256;

/// A tile of sums of a workgroup.
#[derive(Clone, Copy)]
pub struct Tile {
    rows: u32,
    columns: u32,
    /// The inners that are in workgroup memory at a time.
    inner: u32,
    pub invocations: u32,
    /// Of the crate's own kernel, which has squares, and as many invocations and inners as its blocks fill.
    is_own: bool,
}

impl Tile {
    pub const PRESENT: Self = Self::own(64);

    const fn own(side: u32) -> Self {
        Self {
            rows: side,
            columns: side,
            inner: side / 4,
            invocations: side * side / 32,
            is_own: true,
        }
    }

    pub fn name(&self) -> String {
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

    pub fn bytes(&self) -> u32 {
        self.rows.max(self.columns) * self.inner * 2 * 4
    }

    pub fn groups(&self, shape: &Shape) -> usize {
        shape.rows.div_ceil(self.rows as usize) * shape.columns.div_ceil(self.columns as usize)
    }

    /// By the present rule, for this tile.
    pub fn chunks(&self, shape: &Shape) -> usize {
        (WANTED_GROUPS / self.groups(shape)).clamp(1, (shape.inner / MIN_CHUNK).max(1))
    }

    /// The crate's kernel with other constants; or its parts, with another loop over the inners, beside which its own
    /// is not called.
    pub fn source(&self, product: &Shader, shape: &Shape) -> String {
        let mut source = product.source.clone();
        if !self.is_own {
            let (begin, end) = function(&source, "@compute @workgroup_size(PRODUCT_WORKGROUP)");
            source.replace_range(begin..end, &self.kernel());
        }
        let constants = [
            ("PRODUCT_ROWS", self.rows),
            ("PRODUCT_COLUMNS", self.columns),
            ("PRODUCT_WORKGROUP", self.invocations),
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
        // Whether the number of an invocation's nth block is less than this, decided here where all agree.
        let less = |n: u32, than: u32| match n * invocations {
            first if first + invocations <= than => "true".into(),
            first if first >= than => "false".into(),
            _ => format!("number_{n} < {than}u"),
        };
        let place = each(&|n| {
            let is_left = less(n, left);
            let is_block = less(n, left + right);
            format!(
                "
    let number_{n} = local + {n}u * PRODUCT_WORKGROUP;
    let is_left_{n} = {is_left};
    let own_{n} = number_{n} - select({left}u, 0u, is_left_{n});
    let fours_{n} = select({columns}u, {rows}u, is_left_{n}) / 4u;
    let along_inner_{n} = select(RIGHT_ALONG_INNER, LEFT_ALONG_INNER, is_left_{n}) != 0u;
    let at_{n} = select(vec2u(own_{n} % fours_{n}, own_{n} / fours_{n}), vec2u(own_{n} / {along}u, own_{n} % {along}u), along_inner_{n});
    let is_block_{n} = {is_block};
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
            let rows = (0..4).map(|i| {
                format!(
                    "    finish_four(chunk, first_row + (row + {below}u) * 4u + {i}u, first_column + (column + {beside}u) * 4u, sums_{a}_{b}[{i}], q);\n"
                )
            });
            rows.collect()
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

/// Each kind of a workgroup's tile: the crate's first, with the sizes that it takes.
pub fn tiles() -> Vec<Tile> {
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
