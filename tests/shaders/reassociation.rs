//! The functions of shaders/functions under compilers that regroup sums and products, fuse them, and take no
//! number for infinite, as those of Metal and Direct3D may: what naga writes for Metal is compiled as C++ with
//! `-ffast-math`, and is within the documented bounds at every 64th float.

use std::fmt::Write;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Completion, Failed, Trial};
use naga::Module;
use naga::back::msl;
use naga::valid::{Capabilities, ModuleInfo};

use crate::common::ops::{Bound, Op, Parameter, Real};
use crate::{Result, validated};

const COMPILERS: [&str; 2] = ["g++", "clang++"];
/// For processors without and with an instruction that fuses multiplication and addition.
const MACHINES: [&[&str]; 2] = if cfg!(target_arch = "x86_64") {
    [&[], &["-march=native"]]
} else {
    [&["-ffp-contract=off"], &["-ffp-contract=fast"]]
};

/// A function as shaders call it, and what it must give.
struct Row {
    /// WGSL of `x` and `dy`, and of `p`, `q` and `r`, which the compilers don't know.
    call: &'static str,
    p: [f32; 3],
    /// The value, or the derivative, in C++.
    expected: &'static str,
    /// The same in Rust, with which it is compared.
    real: Function,
    is_gradient: bool,
    bound: Bound,
}

type Function = Box<dyn Fn(f64) -> f64 + Send + Sync>;

/// The functions that are no operation: within 1.5 ulp.
fn other_rows() -> impl Iterator<Item = Row> {
    let limited =
        |high: u32| move |x: f64| f64::from(f32::from_bits((x as f32).abs().to_bits().min(high)));
    let exp = move |high, power| {
        let size = limited(high);
        move |x| libm::exp(-size(x)) * 2f64.powi(power)
    };
    let rows: [(_, _, Function); 5] = [
        ("expm1(x)", "std::expm1(x)", Box::new(libm::expm1)),
        (
            "exp1(-abs(x))",
            "std::exp(-std::fabs(x))",
            Box::new(|x| libm::exp(-x.abs())),
        ),
        // Numbers up to 88, and up to 104.5 in two parts.
        (
            "exp_sum4(vec4f(-limited(x, 0x7fffffffu, 0u, 0x42b00000u)), vec4f(0.0), 0).x",
            "std::exp(-limited(x, 0, 0x42b00000))",
            Box::new(exp(0x42b0_0000, 0)),
        ),
        (
            "exp_sum4(vec4f(-limited(x, 0x7ffff000u, 0u, 0x42d10000u)), \
             vec4f(limited(x, 0x7ffff000u, 0u, 0x42d10000u) - limited(x, 0x7fffffffu, 0u, 0x42d10000u)), 24).x",
            "std::exp(-limited(x, 0, 0x42d10000)) * 0x1p24",
            Box::new(exp(0x42d1_0000, 24)),
        ),
        // Normal numbers.
        (
            "ln(limited(x, 0x7fffffffu, 0x00800000u, 0x7f7fffffu))",
            "std::log(limited(x, 0x00800000, 0x7f7fffff))",
            Box::new(|x| libm::log(x.abs().clamp(f32::MIN_POSITIVE.into(), f32::MAX.into()))),
        ),
    ];
    rows.into_iter().map(|(call, expected, real)| Row {
        call,
        p: [0.0; 3],
        expected,
        real,
        is_gradient: false,
        bound: Bound {
            ulps: 1.5,
            floor: 0.0,
        },
    })
}

/// Value, derivative and gradient of the operations, within the bounds of their rows in the catalogue.
fn rows_of_operations() -> impl Iterator<Item = Row> {
    let constant = |name, value: f32| Parameter::Constant(name, value.into());
    let none = [0.0; 3];
    let selu = [1.050_701, 1.758_099_3, 1.325_108_2e-8];
    let selu_expected = [
        "bent(SCALE, SCALE * ALPHA, x)",
        "bent_derivative(SCALE, SCALE * ALPHA, x)",
    ];
    [
        (
            ("selu", Parameter::None, none, selu_expected),
            [
                "selu(x)",
                "selu_derivative(x)",
                "scaled_elu_backward(vec4f(x), vec4f(dy), SELU_SCALE, SELU_SCALE_ALPHA, SELU_RESIDUAL).x",
            ],
        ),
        (
            ("selu", Parameter::None, selu, selu_expected),
            [
                "scaled_elu(vec4f(x), p, q).x",
                "scaled_elu_backward(vec4f(x), vec4f(1.0), p, q, r).x",
                "scaled_elu_backward(vec4f(x), vec4f(dy), p, q, r).x",
            ],
        ),
        (
            ("elu", constant("alpha", 0.7), [0.7, 0.0, 0.0], ["bent(1, 0.7f, x)", "bent_derivative(1, 0.7f, x)"]),
            [
                "elu(x, p)",
                "elu_derivative(x, p)",
                "scaled_elu_backward(vec4f(x), vec4f(dy), 1.0, p, 0.0).x",
            ],
        ),
        (
            (
                "leaky_relu",
                constant("negative_slope", 0.2),
                [0.2, 0.0, 0.0],
                ["leaky_relu(0.2f, x)", "leaky_relu_derivative(0.2f, x)"],
            ),
            [
                "leaky_relu(x, p)",
                "leaky_relu_derivative(x, p)",
                "leaky_relu_backward4(vec4f(x), vec4f(dy), p).x",
            ],
        ),
        (
            ("sigmoid", Parameter::None, none, ["logistic(x)", "logistic_derivative(x)"]),
            ["sigmoid(x)", "sigmoid_derivative(x)", "sigmoid_backward4(vec4f(x), vec4f(dy)).x"],
        ),
        (
            ("tanh", Parameter::None, none, ["std::tanh(x)", "tanh_derivative(x)"]),
            ["tanh1(x)", "tanh_derivative(x)", "tanh_backward4(vec4f(x), vec4f(dy)).x"],
        ),
        (
            ("silu", Parameter::None, none, ["silu(x)", "silu_derivative(x)"]),
            ["silu(x)", "silu_derivative(x)", "silu_backward4(vec4f(x), vec4f(dy)).x"],
        ),
        (
            ("gelu", Parameter::Exact, none, ["gelu(x)", "gelu_derivative(x)"]),
            ["gelu(x)", "gelu_derivative(x)", "gelu_backward4(vec4f(x), vec4f(dy)).x"],
        ),
        (
            ("gelu", Parameter::Approximate, none, ["gelu_tanh(x)", "gelu_tanh_derivative(x)"]),
            ["gelu_tanh(x)", "gelu_tanh_derivative(x)", "gelu_tanh_backward4(vec4f(x), vec4f(dy)).x"],
        ),
        (
            ("softplus", Parameter::None, none, ["softplus(x)", "logistic(x)"]),
            ["softplus(x)", "softplus_derivative(x)", "softplus_backward4(vec4f(x), vec4f(dy)).x"],
        ),
        // With 24 bits, so that all four parts of the product count.
        (
            (
                "sine",
                constant("frequency", 29.743_13),
                [29.743_13, 0.0, 0.0],
                ["sine(29.74313f, x)", "sine_derivative(29.74313f, x)"],
            ),
            ["sine(x, p)", "sine_derivative(x, p)", "sine_backward4(vec4f(x), vec4f(dy), p).x"],
        ),
    ]
    .into_iter()
    .flat_map(|((op, parameter, p, [value, derivative]), calls)| {
        let forward = Op::<f32>::of(op, &parameter);
        let (value, derivative) = ((value, forward.real()), (derivative, forward.gradient().unwrap().real()));
        let expected: [(_, (Real, Bound)); 3] = [value, derivative, derivative];
        calls.into_iter().zip(expected).zip([false, false, true]).map(
            move |((call, (expected, (real, bound))), is_gradient)| {
                let parameter = parameter.clone();
                Row {
                    call,
                    p,
                    expected,
                    real: Box::new(move |x| real(&parameter, x)),
                    is_gradient,
                    bound,
                }
            },
        )
    })
}

/// All functions of numbers, and one more for each row.
fn wgsl(rows: &[Row]) -> Result<String> {
    // Masked bits of an f32, from a smallest to a largest one.
    let mut source = "fn limited(x: f32, mask: u32, low: u32, high: u32) -> f32 {
    return bitcast<f32>(clamp(bitcast<u32>(x) & mask, low, high));
}
"
    .to_owned();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders/functions");
    let entries: std::io::Result<Vec<_>> = std::fs::read_dir(folder)?.collect();
    let mut paths: Vec<_> = entries?.iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(path)?;
        if text.contains("f32") || text.contains("vec4f") {
            source += &text;
        }
    }
    for (row, i) in rows.iter().zip(0..) {
        let call = row.call;
        writeln!(
            source,
            "fn row_{i}_at(x: f32, dy: f32, p: f32, q: f32, r: f32) -> f32 {{ return {call}; }}"
        )?;
    }
    every_function_is_called(&source)?;
    Ok(source)
}

/// Then each is in a row, or called from one.
fn every_function_is_called(source: &str) -> Result<()> {
    for (start, _) in source.match_indices("\nfn ") {
        let name = source[start + 4..].split('(').next().unwrap_or_default();
        let call = format!("{name}(");
        let is_call = |&(at, _): &(usize, &str)| {
            !source[..at].ends_with(|c: char| c == '_' || c.is_alphanumeric())
        };
        let uses = source.match_indices(&call).filter(is_call).count();
        if uses < 2 && !name.starts_with("row_") {
            return Err(format!("{name} has no row in tests/shaders/reassociation.rs").into());
        }
    }
    Ok(())
}

/// What naga writes for Metal, with an f behind the numbers that C++ would take for doubles, and all functions
/// inlined, as a GPU has them.
fn metal(module: &Module, info: &ModuleInfo) -> Result<String> {
    let (text, _) = msl::write_string(module, info, &Default::default(), &Default::default())?;
    let mut rest = &text[text.find("using metal::uint;").ok_or("another beginning")?..];
    let mut source = String::new();
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while let Some(start) = rest.find(in_word) {
        source += &rest[..start];
        let word = &rest[start..];
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        let end = word.find(|c| !(in_word(c) || is_number && c == '.'));
        let (word, after) = word.split_at(end.unwrap_or(word.len()));
        source += word;
        if is_number && word.contains('.') {
            source.push('f');
        }
        rest = after;
    }
    source += rest;
    Ok(source.replace("\n}\n\n", "\n}\n\nINLINE "))
}

/// The functions in C++: `EVALUATE` gives the values of a row.
fn functions(rows: &[Row]) -> Result<String> {
    let source = wgsl(rows)?;
    let (module, info) = validated(&source, Capabilities::empty())?;
    let mut cases = String::new();
    for i in 0..rows.len() {
        writeln!(
            cases,
            "case {i}: for (int i = 0; i < count; i++) y[i] = row_{i}_at(x[i], dy[i], p, q, r); break;"
        )?;
    }
    Ok(format!(
        "#include \"metal.h\"
namespace {{
{}}}
extern \"C\" void EVALUATE(
    int row, const float *constants, const float *__restrict x, const float *__restrict dy, float *__restrict y, int count
) {{
    float p = constants[0], q = constants[1], r = constants[2];
    switch (row) {{
    {cases}
    }}
}}
",
        metal(&module, &info)?
    ))
}

/// What compare.cpp is told: the rows, and the `EVALUATE` of each build.
fn rows_in_cpp(rows: &[Row], builds: usize) -> Result<String> {
    let names: Vec<_> = (0..builds).map(|i| format!("evaluate_{i}")).collect();
    let names = names.join(", ");
    let mut cases = String::new();
    for (row, i) in rows.iter().zip(0..) {
        writeln!(cases, "case {i}: return {};", row.expected)?;
    }
    Ok(format!(
        "extern \"C\" Evaluate {names};
static Evaluate *const EVALUATE[] = {{{names}}};
static double reference(int row, double x) {{
    switch (row) {{
    {cases}
    }}
    return NAN;
}}
"
    ))
}

/// The program, built when the first trial runs.
struct Program {
    rows: Vec<Row>,
    built: OnceLock<std::result::Result<Option<Built>, String>>,
}

struct Built {
    path: PathBuf,
    /// The compilers and their flags.
    builds: Vec<String>,
    /// Where it is, until the last trial is done.
    _folder: tempfile::TempDir,
}

impl Program {
    /// None where there is no compiler.
    fn build(&self) -> Result<Option<Built>> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("metal.h"), include_str!("metal.h"))?;
        std::fs::write(path("functions.cpp"), functions(&self.rows)?)?;
        let command = |compiler: &str, source: &str, object: &Path| {
            let mut command = Command::new(compiler);
            command
                .args(["-std=c++17", "-O3", "-c", "-o"])
                .arg(object)
                .arg(path(source));
            command.stderr(Stdio::piped());
            command
        };
        let mut builds = Vec::new();
        let mut objects = Vec::new();
        let mut running = Vec::new();
        for compiler in COMPILERS {
            for machine in MACHINES {
                let number = builds.len();
                let object = path(&format!("functions_{number}.o"));
                let started = command(compiler, "functions.cpp", &object)
                    .arg("-ffast-math")
                    .args(machine)
                    .arg(format!("-DEVALUATE=evaluate_{number}"))
                    .spawn();
                match started {
                    Err(error) if error.kind() == ErrorKind::NotFound => break,
                    started => running.push(started?),
                }
                builds.push([&[compiler], machine].concat().join(" "));
                objects.push(object);
            }
        }
        let Some(first) = builds.first() else {
            return Ok(None);
        };
        let compiler = first.split(' ').next().unwrap_or(first);
        std::fs::write(path("rows.h"), rows_in_cpp(&self.rows, builds.len())?)?;
        std::fs::write(path("compare.cpp"), include_str!("compare.cpp"))?;
        let object = path("compare.o");
        running.push(
            command(compiler, "compare.cpp", &object)
                .args(MACHINES[1])
                .spawn()?,
        );
        objects.push(object);
        for child in running {
            finished(child)?;
        }
        let program = path("program");
        let mut link = Command::new(compiler);
        link.args(objects)
            .arg("-o")
            .arg(&program)
            .stderr(Stdio::piped());
        finished(link.spawn()?)?;
        Ok(Some(Built {
            path: program,
            builds,
            _folder: folder,
        }))
    }

    fn check(&self, row: usize) -> Result<Completion> {
        let built = self
            .built
            .get_or_init(|| self.build().map_err(|error| error.to_string()));
        let Some(built) = built.as_ref().map_err(String::clone)? else {
            return Ok(Completion::ignored_with(
                "needs a C++ compiler: g++ or clang++",
            ));
        };
        let Row {
            p,
            is_gradient,
            bound,
            real,
            call,
            ..
        } = &self.rows[row];
        let run = |task: &str| -> Result<String> {
            let child = Command::new(&built.path)
                .arg(task)
                .arg(row.to_string())
                .args(p.map(|number| number.to_string()))
                .args([bound.ulps, bound.floor].map(|number| number.to_string()))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            Ok(String::from_utf8(finished(child)?.stdout)?)
        };
        // What it is compared with is what the tests of the operations compare with.
        for line in run("reference")?.lines() {
            let (x, y) = line.split_once(' ').ok_or("no pair")?;
            let (x, y): (f64, f64) = (x.parse()?, y.parse()?);
            let real = real(x);
            let same = real == y || real.is_nan() && y.is_nan();
            if !same && (real - y).abs() > 1e-10 * real.abs() + 1e-300 {
                return Err(format!("the reference is {real:e} at {x:e}, and {y:e} in C++").into());
            }
        }
        let mut problems = String::new();
        let task = if *is_gradient { "gradient" } else { "value" };
        for (line, build) in run(task)?.lines().zip(&built.builds) {
            let share: f64 = line.split(' ').next().ok_or("no number")?.parse()?;
            println!("{call}, {build}: {line}");
            if share.is_nan() || share > 1.0 {
                writeln!(problems, "{build}: {line}")?;
            }
        }
        if problems.is_empty() {
            Ok(Completion::Completed)
        } else {
            Err(format!("share of the bound, x, dy, result\n{problems}").into())
        }
    }
}

fn finished(child: Child) -> Result<Output> {
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(output)
}

pub fn trials() -> Vec<Trial> {
    let program = Arc::new(Program {
        rows: other_rows().chain(rows_of_operations()).collect(),
        built: OnceLock::new(),
    });
    let trial = |row: usize| {
        let program = program.clone();
        let name = format!("{}, regrouped", program.rows[row].call);
        Trial::ignorable_test(name, move || program.check(row).map_err(Failed::from))
    };
    (0..program.rows.len()).map(trial).collect()
}
