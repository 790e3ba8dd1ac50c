//! A network as a function of WGSL.

use super::super::sequential::{self, Sequential, SequentialBuilder};
use super::fourier::FourierFeatures;
use super::function::{Function, LANES, Step, StepKind, blocks};
use crate::gpu::{platform, transfer};
use crate::nn::network::Network;
use crate::ops::elementwise::Elementwise;
use crate::shader::files::{self, File, with_calls};
use crate::shader::names::{has_word, is_name, is_reserved, prefixed};
use crate::{Error, Result};

const OP: &str = "wgsl";

/// How [`Sequential::wgsl`] writes a network as a function; a name alone is one, too.
///
/// By default the function takes and gives arrays of f32, works in loops, and reads the packed weights from
/// a storage buffer at `@group(1) @binding(0)`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Wgsl {
    name: String,
    weights: Weights,
    vectors: bool,
    points: usize,
    unrolled: bool,
    encoding: Option<FourierFeatures>,
}

/// Where the function has its weights from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weights {
    Storage { group: u32, binding: u32 },
    Uniform { group: u32, binding: u32 },
    Constants,
}

/// What a uniform buffer may have at most on every device of WebGPU.
const MAX_UNIFORM_BYTES: u64 = 1 << 16;
/// The most vectors of weights in a function without loops: of 354, lavapipe takes 5 s to compile loads, and
/// 0.5 s constants.
const MAX_UNROLLED: usize = 512;

impl Wgsl {
    /// A function of this name. Everything else that the source declares begins with it and `_`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            weights: Weights::Storage {
                group: 1,
                binding: 0,
            },
            vectors: false,
            points: 1,
            unrolled: false,
            encoding: None,
        }
    }

    /// The packed weights are in a storage buffer, bound there: `var<storage, read>`.
    pub fn storage(mut self, group: u32, binding: u32) -> Self {
        self.weights = Weights::Storage { group, binding };
        self
    }

    /// The packed weights are in a uniform buffer, bound there. 65,536 bytes at most. Some drivers take longer
    /// to compile the pipeline than with a storage buffer.
    pub fn uniform(mut self, group: u32, binding: u32) -> Self {
        self.weights = Weights::Uniform { group, binding };
        self
    }

    /// The weights, as they are now, are numbers in the source, without a binding and without loops, as
    /// [`unrolled`](Self::unrolled): the fastest form, for tiny networks that learn no more. (On a software
    /// device, a tenth of the time of loops.)
    pub fn constants(mut self) -> Self {
        self.weights = Weights::Constants;
        self
    }

    /// Takes and gives arrays of `vec4f`, four values in each. What fills the last one up is ignored in
    /// the argument, and 0 in the result.
    pub fn vectors(mut self) -> Self {
        self.vectors = true;
        self
    }

    /// Takes and gives an array of this many samples; each weight is read once for all of them. 1, which is
    /// no array, by default. (On a software device four points take a third of the time of four calls, and
    /// the pipeline four times as long to compile.)
    pub fn points(mut self, points: usize) -> Self {
        self.points = points;
        self
    }

    /// Without loops, for tiny networks: faster, but compilers take seconds for a thousand weights, and may
    /// never end for ten thousand. At most 2,048 are allowed, counted as they are packed.
    pub fn unrolled(mut self) -> Self {
        self.unrolled = true;
        self
    }

    /// The function takes coordinates, and encodes them itself: the network's inputs are their features.
    /// Their error is that of the device's `sin` and `cos`, for which WGSL allows 2⁻¹¹; 2πBx is brought into
    /// ±π before, without an error of its own.
    ///
    /// For an encoding of your own, write it in WGSL, and call the function with what it gives.
    pub fn encoding(mut self, encoding: FourierFeatures) -> Self {
        self.encoding = Some(encoding);
        self
    }
}

impl<S: Into<String>> From<S> for Wgsl {
    fn from(name: S) -> Self {
        Self::new(name)
    }
}

impl Sequential {
    /// The network as WGSL, to append to a shader of one's own: of inputs `[2]` and outputs `[3]`,
    /// `model.wgsl("image")?` declares `fn image(x: array<f32, 2>) -> array<f32, 3>`.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Activation::Selu, Dense, Sequential};
    /// use selfnorm::{Gpu, Tensor, wgpu};
    ///
    /// let gpu = Gpu::new()?;
    /// let model = Sequential::new([2])
    ///     .add(Dense::new(16).activation(Selu))
    ///     .add(Dense::new(3))
    ///     .build(&gpu, 42)?;
    ///
    /// // A shader of the application's, with the network behind it.
    /// let my_shader = "
    ///     @group(0) @binding(0) var<storage, read_write> colors: array<vec4f>;
    ///
    ///     @compute @workgroup_size(64)
    ///     fn main(@builtin(global_invocation_id) id: vec3u) {
    ///         let color = image(array<f32, 2>(f32(id.x) / 64.0, 0.5));
    ///         colors[id.x] = vec4f(color[0], color[1], color[2], 1.0);
    ///     }
    /// ";
    /// let source = format!("{my_shader}{}", model.wgsl("image")?);
    ///
    /// let device = gpu.device();
    /// let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
    ///     label: Some("image"),
    ///     source: wgpu::ShaderSource::Wgsl(source.into()),
    /// });
    /// let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
    ///     label: Some("image"),
    ///     layout: None,
    ///     module: &module,
    ///     entry_point: None,
    ///     compilation_options: Default::default(),
    ///     cache: None,
    /// });
    ///
    /// // The weights, and what the shader writes: tensors here, any buffers with `STORAGE` in an application.
    /// let weights: Tensor = gpu.zeros([model.packed_len()?])?;
    /// let colors: Tensor = gpu.zeros([64, 4])?;
    /// let bind = |group, resource| {
    ///     device.create_bind_group(&wgpu::BindGroupDescriptor {
    ///         label: None,
    ///         layout: &pipeline.get_bind_group_layout(group),
    ///         entries: &[wgpu::BindGroupEntry { binding: 0, resource }],
    ///     })
    /// };
    /// let (my_group, network) = (bind(0, colors.binding()), bind(1, weights.binding()));
    ///
    /// // In each frame: the weights as training has left them, then the shader.
    /// let mut encoder = device.create_command_encoder(&Default::default());
    /// gpu.pass(&mut encoder).pack(&model, &weights)?;
    /// let mut pass = encoder.begin_compute_pass(&Default::default());
    /// pass.set_pipeline(&pipeline);
    /// pass.set_bind_group(0, &my_group, &[]);
    /// pass.set_bind_group(1, &network, &[]);
    /// pass.dispatch_workgroups(1, 1, 1);
    /// drop(pass);
    /// gpu.queue().submit([encoder.finish()]);
    ///
    /// let first = &colors.to_vec()?[..3];
    /// let predicted = model.predict(&gpu.tensor(&[0.0, 0.5], [1, 2])?)?.to_vec()?;
    /// for (actual, expected) in first.iter().zip(&predicted) {
    ///     assert!((actual - expected).abs() < 1e-5);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The function works in fragment, vertex and compute shaders, needs no feature, and has no binding but
    /// that of its weights, `image_weights`, an `array<vec4f>`. Bind a buffer of
    /// [`packed_len`](Self::packed_len) f32s there, and have [`Pass::pack`](crate::Pass::pack) fill it: after
    /// training steps the shader sees the weights as of the last `pack` before it. (For a vertex shader a
    /// device may have no storage buffers, but it has uniform ones.) Whatever the source declares begins
    /// with `image`, so another network stands beside it under another name.
    ///
    /// Dropout is the identity. A value is as close to the true one as [`predict`](Self::predict)'s: within
    /// 10⁻⁵, of it, or of the root mean square of the output where that is larger, for sums of up to 2,000
    /// values; from `predict` itself, within twice that. NaN gives NaN.
    ///
    /// It is made for networks up to about 128 wide, whose activations fit where an invocation has its
    /// own. Those are arrays that it indexes in loops. With weights in a storage buffer no loop's count is a
    /// constant, because some compilers unroll such loops and take several times as long.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] names the layers that can't be in such a function: those with a window, and `Dense`
    /// or softmax on inputs of several axes; [`Error::Data`] for a name that is a word of WGSL or one of the
    /// source (that of another builtin, such as `sin`, would hide the builtin from your shader),
    /// for 0 points, an encoding that does not fit, too many weights without loops, or constants that are
    /// NaN or infinite; [`Error::TooLarge`] for weights that no uniform buffer holds;
    /// [`Error::DeviceLost`].
    #[cfg(not(target_family = "wasm"))]
    pub fn wgsl(&self, function: impl Into<Wgsl>) -> Result<String> {
        pollster::block_on(self.wgsl_by(&function.into(), &platform::wait_for_answer))
    }

    /// As `wgsl`: the network as a WGSL function. Does not block, as [`Wgsl::constants`] otherwise does.
    ///
    /// # Errors
    ///
    /// Those of `wgsl`.
    pub async fn wgsl_async(&self, function: impl Into<Wgsl>) -> Result<String> {
        self.wgsl_by(&function.into(), &platform::wait_aside).await
    }

    async fn wgsl_by(&self, wgsl: &Wgsl, progress: &impl transfer::Progress) -> Result<String> {
        let parameters = match wgsl.weights {
            Weights::Constants => Some(sequential::read(&self.gpu, &self.weights, progress).await?),
            _ => None,
        };
        emit(wgsl, &self.network, parameters.as_deref())
    }
}

impl SequentialBuilder {
    /// As [`Sequential::wgsl`], before there is a device; not with [`Wgsl::constants`].
    ///
    /// # Errors
    ///
    /// As [`Sequential::wgsl`] and [`build`](Self::build).
    pub fn wgsl(&self, function: impl Into<Wgsl>) -> Result<String> {
        emit(&function.into(), &self.network()?, None)
    }
}

fn error<T>(detail: impl Into<String>) -> Result<T> {
    Err(Error::Data {
        op: OP,
        detail: detail.into(),
    })
}

/// `parameters` are those of the network, which constants need.
fn emit(wgsl: &Wgsl, network: &Network, parameters: Option<&[f32]>) -> Result<String> {
    let name = &wgsl.name;
    if !is_name(name) || name.starts_with("__") || name == "_" {
        return error(format!("{name:?} is no name of WGSL"));
    }
    if is_reserved(name) {
        let detail = format!("{name:?} is a keyword or reserved word of WGSL; take another name");
        return error(detail);
    }
    if wgsl.points == 0 {
        return error("a function of 0 points");
    }
    let chain = Function::of(network)?;
    let inputs = match &wgsl.encoding {
        None => chain.inputs,
        Some(encoding) => {
            encoding.check(OP)?;
            let (from, to) = (encoding.inputs(), encoding.features());
            if to != chain.inputs {
                let takes = chain.inputs;
                return error(format!(
                    "the encoding makes {to} features of {from} values, the network takes {takes}"
                ));
            }
            from
        }
    };
    let unrolled = wgsl.unrolled || wgsl.weights == Weights::Constants;
    if unrolled && chain.packed > MAX_UNROLLED {
        let (packed, most) = (chain.packed * LANES, MAX_UNROLLED * LANES);
        return error(format!(
            "the packed weights are {packed} values, but a function without loops has {most} at most, because compilers may never end; take loops, and a storage or uniform buffer"
        ));
    }
    let bytes = (chain.packed * LANES * size_of::<f32>()) as u64;
    if matches!(wgsl.weights, Weights::Uniform { .. }) && bytes > MAX_UNIFORM_BYTES {
        return Err(Error::TooLarge {
            shape: vec![chain.packed, LANES],
            limit: format!(
                "the packed weights take {bytes} bytes, a uniform buffer has {MAX_UNIFORM_BYTES} at most; take a storage buffer"
            ),
        });
    }
    let constants = match (wgsl.weights, parameters) {
        (Weights::Constants, Some(parameters)) => constants(&chain, parameters)?,
        (Weights::Constants, None) => {
            return error("constants are of a network that is built: call wgsl of that one");
        }
        _ => Vec::new(),
    };
    // Not of a uniform buffer: lavapipe would take the count for a constant, and compile in every frame.
    let is_in_storage = matches!(wgsl.weights, Weights::Storage { .. });
    let writer = Writer {
        wgsl,
        inputs,
        unrolled,
        constants,
        more: needs_weights(&chain) && is_in_storage && !unrolled,
        body: String::new(),
        depth: 1,
    };
    let function = writer.function(&chain);
    let functions = prefixed(&functions(&chain), &format!("{name}_"));
    let weights = weights(wgsl, &chain);
    let rest = format!("{weights}{function}{functions}");
    // Its own name stands there once, behind fn.
    if has_word(&rest.replacen(&format!("fn {name}("), "", 1), name) {
        return error(format!(
            "{name:?} is a name that the source itself uses; take another"
        ));
    }
    Ok(rest)
}

fn needs_weights(chain: &Function) -> bool {
    let is_dense = |step: &Step| matches!(step.kind, StepKind::Dense { .. });
    chain.steps.iter().any(is_dense)
}

/// The packed weights.
fn constants(chain: &Function, parameters: &[f32]) -> Result<Vec<f32>> {
    let value = |place: Option<usize>| place.map_or(0.0, |place| parameters[place]);
    let values: Vec<_> = chain.places().into_iter().map(value).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return error("a weight is NaN or infinite, which no constant of WGSL can be");
    }
    Ok(values)
}

/// The declaration of the weights' buffer.
fn weights(wgsl: &Wgsl, chain: &Function) -> String {
    let (group, binding, space) = match wgsl.weights {
        Weights::Storage { group, binding } => (group, binding, "storage, read"),
        Weights::Uniform { group, binding } => (group, binding, "uniform"),
        Weights::Constants => return String::new(),
    };
    if !needs_weights(chain) {
        return String::new();
    }
    let (name, len) = (&wgsl.name, chain.packed);
    format!(
        "\n@group({group}) @binding({binding}) var<{space}> {name}_weights: array<vec4f, {len}>;\n"
    )
}

/// The functions that a network's function calls.
fn functions(chain: &Function) -> String {
    let steps = chain.steps.iter();
    let softmax: Option<&'static File> = steps
        .clone()
        .any(|step| matches!(step.kind, StepKind::Softmax))
        .then_some(&files::EXP);
    let mut activations: Vec<Elementwise> = Vec::new();
    for Step { activation, .. } in steps {
        let is_new = activations
            .iter()
            .all(|other| other.file != activation.file);
        if is_new && *activation != Elementwise::default() {
            activations.push(*activation);
        }
    }
    let mut text = String::new();
    if !activations.is_empty() {
        text += Elementwise::WGSL_STRUCT;
    }
    for activation in &activations {
        text += &activation.functions();
    }
    let called = activations
        .iter()
        .flat_map(|activation| activation.file.calls);
    for file in with_calls(softmax.into_iter().chain(called.copied())) {
        text += file.text;
    }
    text
}

/// Writes the function. Each point has two arrays of vectors, which take turns.
struct Writer<'a> {
    wgsl: &'a Wgsl,
    /// Of the function.
    inputs: usize,
    unrolled: bool,
    /// The packed weights, if they are no buffer's.
    constants: Vec<f32>,
    /// Whether loops have a count that compilers can't know.
    more: bool,
    body: String,
    depth: usize,
}

impl Writer<'_> {
    fn function(mut self, chain: &Function) -> String {
        let name = &self.wgsl.name;
        let (takes, gives) = (self.array_of(self.inputs), self.array_of(chain.outputs));
        if self.more {
            self.line("// 0. No compiler knows, so none unrolls the loops.");
            let line = format!("let more = select(1u, 0u, {name}_weights[0].x == 0.0);");
            self.line(&line);
        }
        let lens = chain.steps.iter().map(|step| step.len);
        let longest = lens.fold(chain.inputs, usize::max);
        for point in self.points() {
            for array in ["a", "b"] {
                let len = blocks(longest);
                self.line(&format!("var {array}{point}: array<vec4f, {len}>;"));
            }
        }
        match &self.wgsl.encoding {
            None => self.take(),
            Some(encoding) => self.encode(encoding),
        }
        let (mut from, mut to) = ("a", "b");
        for step in &chain.steps {
            self.line(&format!("// {}", step.name));
            match step.kind {
                StepKind::Dense { first, inputs, .. } => {
                    self.dense(step, first, inputs, from, to);
                    (from, to) = (to, from);
                    self.clear_rest(step.len, from, "0.0");
                }
                StepKind::Softmax => self.block("{", &|this| this.softmax(step.len, from)),
                StepKind::Activation => {
                    self.activate(step, from);
                    self.clear_rest(step.len, from, "0.0");
                }
            }
        }
        let results: Vec<_> = self
            .points()
            .map(|point| {
                let array = format!("{from}{point}");
                let value = |i| match self.wgsl.vectors {
                    true => format!("{array}[{i}]"),
                    false => lane(&array, i),
                };
                let len = self.elements(chain.outputs);
                let values: Vec<_> = (0..len).map(value).collect();
                format!("{gives}({})", values.join(", "))
            })
            .collect();
        let (takes, gives, result) = match self.wgsl.points {
            1 => (takes, gives, results[0].clone()),
            n => {
                let all = format!("array<{gives}, {n}>");
                let result = format!("{all}({})", results.join(", "));
                (format!("array<{takes}, {n}>"), all, result)
            }
        };
        format!(
            "\nfn {name}(x: {takes}) -> {gives} {{\n{}    return {result};\n}}\n\n",
            self.body
        )
    }

    fn line(&mut self, line: &str) {
        self.body += &"    ".repeat(self.depth);
        self.body += line;
        self.body += "\n";
    }

    /// What the names of a point's arrays end in.
    fn points(&self) -> impl Iterator<Item = String> + use<> {
        let points = self.wgsl.points;
        (0..points).map(move |point| match points {
            1 => String::new(),
            _ => point.to_string(),
        })
    }

    /// How many elements hold `len` values in the argument or the result.
    fn elements(&self, len: usize) -> usize {
        if self.wgsl.vectors { blocks(len) } else { len }
    }

    fn array_of(&self, len: usize) -> String {
        let element = if self.wgsl.vectors { "vec4f" } else { "f32" };
        format!("array<{element}, {}>", self.elements(len))
    }

    /// A value of the argument.
    fn argument(&self, point: &str, i: usize) -> String {
        let x = match point {
            "" => "x".into(),
            point => format!("x[{point}]"),
        };
        match self.wgsl.vectors {
            true => lane(&x, i),
            false => format!("{x}[{i}]"),
        }
    }

    /// a = `value` of each element, and 0 from `len` on.
    fn fill(&mut self, point: &str, len: usize, value: impl Fn(usize) -> String) {
        for block in 0..blocks(len) {
            let lanes = (block * LANES..(block + 1) * LANES).map(|i| match i < len {
                true => value(i),
                false => "0.0".into(),
            });
            let lanes: Vec<_> = lanes.collect();
            self.line(&format!("a{point}[{block}] = vec4f({});", lanes.join(", ")));
        }
    }

    fn take(&mut self) {
        for point in self.points() {
            let values: Vec<_> = (0..self.inputs).map(|i| self.argument(&point, i)).collect();
            self.fill(&point, values.len(), |i| values[i].clone());
        }
    }

    /// a = (sin 2πBx, cos 2πBx)
    fn encode(&mut self, encoding: &FourierFeatures) {
        let rows: Vec<_> = encoding.rows().collect();
        for point in self.points() {
            for (block, rows) in rows.chunks(LANES).enumerate() {
                // Whole waves change nothing, and without them the angle is exact.
                let column = |i: usize| {
                    let lanes = (0..LANES).map(|lane| rows.get(lane).map_or(0.0, |row| row[i]));
                    format!("{} * {}", vector(lanes), self.argument(&point, i))
                };
                let columns: Vec<_> = (0..self.inputs).map(column).collect();
                let waves = format!("waves{point}_{block}");
                self.line(&format!("let {waves} = {};", columns.join(" + ")));
                let angle = format!("angle{point}_{block}");
                self.line(&format!(
                    "let {angle} = 6.283185307179586 * ({waves} - round({waves}));"
                ));
                for function in ["sin", "cos"] {
                    self.line(&format!(
                        "let {function}{point}_{block} = {function}({angle});"
                    ));
                }
            }
            let m = rows.len();
            self.fill(&point, 2 * m, |i| {
                let (function, i) = if i < m { ("sin", i) } else { ("cos", i - m) };
                let member = ["x", "y", "z", "w"][i % LANES];
                format!("{function}{point}_{}.{member}", i / LANES)
            });
        }
    }

    /// Lines for each of `count` values of `index`: a loop, or one after the other.
    fn repeat(&mut self, index: &str, count: usize, lines: impl Fn(&mut Self, &str)) {
        if self.unrolled {
            for i in 0..count {
                self.block("{", &|this| lines(this, &i.to_string()));
            }
        } else {
            let more = if self.more { " + more" } else { "" };
            let head = format!("for (var {index} = 0u; {index} < {count}u{more}; {index}++) {{");
            self.block(&head, &|this| lines(this, index));
        }
    }

    fn block(&mut self, head: &str, lines: &dyn Fn(&mut Self)) {
        self.line(head);
        self.depth += 1;
        lines(self);
        self.depth -= 1;
        self.line("}");
    }

    /// to = activation(from w + b)
    fn dense(&mut self, step: &Step, first: usize, inputs: usize, from: &str, to: &str) {
        let (rows, columns) = (blocks(step.len), blocks(inputs));
        let stride = 1 + LANES * columns;
        let lanes = [1, 2, 3, 4];
        if self.unrolled {
            for o in 0..rows {
                let block = first + stride * o;
                self.block("{", &|this| {
                    this.begin_sums(&this.weight(block));
                    for i in 0..columns {
                        let weights = lanes.map(|lane| this.weight(block + LANES * i + lane));
                        this.add_products(weights, from, &i.to_string());
                    }
                    this.end_sums(step, to, &o.to_string());
                });
            }
            return;
        }
        let weights = format!("{}_weights", self.wgsl.name);
        self.repeat("o", rows, |this, o| {
            this.line(&format!("let block = {first}u + {stride}u * {o};"));
            this.begin_sums(&format!("{weights}[block]"));
            this.repeat("i", columns, |this, i| {
                this.line(&format!("let at = block + {LANES}u * {i};"));
                let weights = lanes.map(|lane| format!("{weights}[at + {lane}u]"));
                this.add_products(weights, from, i);
            });
            this.end_sums(step, to, o);
        });
    }

    fn begin_sums(&mut self, bias: &str) {
        for point in self.points() {
            self.line(&format!("var sum{point} = {bias};"));
        }
    }

    /// The weights of four inputs to four units.
    fn add_products(&mut self, weights: [String; LANES], from: &str, i: &str) {
        self.line(&format!("let w_{i} = mat4x4f({});", weights.join(", ")));
        for point in self.points() {
            self.line(&format!("sum{point} += w_{i} * {from}{point}[{i}];"));
        }
    }

    fn end_sums(&mut self, step: &Step, to: &str, o: &str) {
        for point in self.points() {
            let y = call(&step.activation, &format!("sum{point}"), &self.wgsl.name);
            self.line(&format!("{to}{point}[{o}] = {y};"));
        }
    }

    /// A packed vector, as a number or in the buffer.
    fn weight(&self, at: usize) -> String {
        match self.constants.get(at * LANES..(at + 1) * LANES) {
            Some(values) => vector(values.iter().copied()),
            None => format!("{}_weights[{at}]", self.wgsl.name),
        }
    }

    fn activate(&mut self, step: &Step, array: &str) {
        if step.activation == Elementwise::default() {
            return;
        }
        self.repeat("o", blocks(step.len), |this, o| {
            for point in this.points() {
                let at = format!("{array}{point}[{o}]");
                let y = call(&step.activation, &at, &this.wgsl.name);
                this.line(&format!("{at} = {y};"));
            }
        });
    }

    /// The lanes behind the last value of `array` are `value`.
    fn clear_rest(&mut self, len: usize, array: &str, value: &str) {
        if len.is_multiple_of(LANES) {
            return;
        }
        for point in self.points() {
            let array = format!("{array}{point}");
            let value = value.replace("array", &array);
            let first = len / LANES * LANES;
            let lanes = (first..first + LANES).map(|i| match i < len {
                true => lane(&array, i),
                false => value.clone(),
            });
            let lanes: Vec<_> = lanes.collect();
            let block = len / LANES;
            self.line(&format!("{array}[{block}] = vec4f({});", lanes.join(", ")));
        }
    }

    fn softmax(&mut self, len: usize, array: &str) {
        let count = blocks(len);
        let name = self.wgsl.name.clone();
        // Lanes behind the last value have no part in the largest, nor in the sum.
        self.clear_rest(len, array, "array[0].x");
        for point in self.points() {
            self.line(&format!("var top{point} = {array}{point}[0];"));
        }
        self.repeat("o", count, |this, o| {
            for point in this.points() {
                this.line(&format!(
                    "top{point} = max(top{point}, {array}{point}[{o}]);"
                ));
            }
        });
        for point in self.points() {
            let top = format!("top{point}");
            self.line(&format!(
                "let largest{point} = max(max({top}.x, {top}.y), max({top}.z, {top}.w));"
            ));
        }
        self.repeat("o", count, |this, o| {
            for point in this.points() {
                let at = format!("{array}{point}[{o}]");
                this.line(&format!("{at} = {name}_exp4({at} - largest{point});"));
            }
        });
        self.clear_rest(len, array, "0.0");
        for point in self.points() {
            self.line(&format!("var total{point} = vec4f(0.0);"));
        }
        self.repeat("o", count, |this, o| {
            for point in this.points() {
                this.line(&format!("total{point} += {array}{point}[{o}];"));
            }
        });
        self.repeat("o", count, |this, o| {
            for point in this.points() {
                let total = format!("dot(total{point}, vec4f(1.0))");
                this.line(&format!("{array}{point}[{o}] /= {total};"));
            }
        });
    }
}

/// A value of an array of vectors.
fn lane(array: &str, i: usize) -> String {
    let member = ["x", "y", "z", "w"][i % LANES];
    format!("{array}[{}].{member}", i / LANES)
}

/// A vector of numbers, each of which reads as itself.
fn vector(values: impl IntoIterator<Item = f32>) -> String {
    let values: Vec<_> = values
        .into_iter()
        .map(|value| format!("{value:?}"))
        .collect();
    format!("vec4f({})", values.join(", "))
}

/// activation(x), by the names that the source has.
fn call(activation: &Elementwise, x: &str, name: &str) -> String {
    if *activation == Elementwise::default() {
        return x.into();
    }
    let call = activation.call(x);
    call.replace("activate_", &format!("{name}_activate_"))
        .replace("ActivationParams", &format!("{name}_ActivationParams"))
}
