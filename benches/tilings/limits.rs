//! What bounds products on software devices.

use selfnorm::{Gpu, Result, wgpu};

use crate::common::clock::{Clock, median};
use crate::common::dispatch::{Dispatch, function, shader, with_constant};
use crate::product::{Operands, Shaders};
use crate::{Column, TUTORIAL_LAYER, head};

/// As many chunks as the crate cuts the products of the tutorial's layer into on software devices.
const SOFTWARE_CHUNKS: [usize; 3] = [42, 1, 1];

/// What bounds products on software devices with subgroups: their loads, and their multiplications and additions.
pub fn limits(gpu: &Gpu) -> Result<()> {
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
        operands.right_sums(&product)?;
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
