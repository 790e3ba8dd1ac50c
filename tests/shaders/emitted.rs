//! Networks as functions, behind other people's shaders, in every form: as a fragment, a vertex and a
//! compute shader in every language that wgpu hands to a driver, and through Tint.

use libtest_mimic::Trial;
use naga::ShaderStage;
use naga::valid::Capabilities;
use selfnorm::nn::Activation::{
    self, Elu, Gelu, LeakyRelu, Linear, Relu, Selu, Sigmoid, Silu, Sine, Softmax, Softplus, Tanh,
};
use selfnorm::nn::{
    AlphaDropout, Dense, Flatten, FourierFeatures, Sequential, SequentialBuilder, Wgsl,
};
use selfnorm::wgsl;

use super::{Result, Target, tint, trial, validated};

const STAGES: [(ShaderStage, &str); 3] = [
    (ShaderStage::Fragment, "fragment"),
    (ShaderStage::Vertex, "vertex"),
    (ShaderStage::Compute, "compute"),
];

const ACTIVATIONS: [Activation; 13] = [
    Linear,
    Selu,
    Elu(0.5),
    Relu,
    LeakyRelu(0.2),
    Sigmoid,
    Tanh,
    Silu,
    Gelu { approximate: false },
    Gelu { approximate: true },
    Softplus,
    Sine(30.0),
    Softmax,
];

/// From 2 values to 3.
fn network(activation: Activation) -> SequentialBuilder {
    Sequential::new([2])
        .add(Dense::new(6).activation(activation))
        .add(AlphaDropout::new(0.1))
        .add(Flatten::new())
        .add(Dense::new(3).activation(activation))
}

/// An author's shader: `call` is f of a point, and gives its first value.
fn author(call: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read_write> values: array<f32>;

        fn select4(x: f32, y: f32) -> vec4f {{ return vec4f({call}); }}

        @fragment
        fn fragment(@builtin(position) at: vec4f) -> @location(0) vec4f {{
            return select4(at.x, at.y);
        }}

        @vertex
        fn vertex(@location(0) at: vec2f) -> @builtin(position) vec4f {{
            return select4(at.x, at.y);
        }}

        @compute @workgroup_size(64)
        fn compute(@builtin(global_invocation_id) id: vec3u) {{
            values[id.x] = select4(f32(id.x), 0.5).x;
        }}
        "
    )
}

/// What is emitted, by name, behind a shader that calls it.
fn sources() -> Vec<(String, String)> {
    let simple = author("f(array<f32, 2>(x, y))[0]");
    let mut sources = Vec::new();
    let mut add = |name: String, author: &str, emitted: selfnorm::Result<String>| {
        let emitted = emitted.unwrap_or_else(|error| panic!("{name}: {error}"));
        sources.push((format!("a network, {name}"), format!("{author}{emitted}")));
    };
    for activation in ACTIVATIONS {
        let name = format!("{activation:?}");
        add(name, &simple, network(activation).wgsl("f"));
    }
    let selu = network(Selu);
    let function = || Wgsl::new("f");
    add(
        "uniform".into(),
        &simple,
        selu.wgsl(function().uniform(1, 2)),
    );
    add("unrolled".into(), &simple, selu.wgsl(function().unrolled()));
    let vectors = author("f(array<vec4f, 1>(vec4f(x, y, 0.0, 0.0)))[0].x");
    add("vectors".into(), &vectors, selu.wgsl(function().vectors()));
    let points =
        author("f(array<array<f32, 2>, 2>(array<f32, 2>(x, y), array<f32, 2>(y, x)))[1][2]");
    add("points".into(), &points, selu.wgsl(function().points(2)));
    let both = author(
        "f(array<array<vec4f, 1>, 2>(array<vec4f, 1>(vec4f(x)), array<vec4f, 1>(vec4f(y))))[1][0].z",
    );
    for activation in [Selu, Softmax] {
        let form = function().points(2).vectors().unrolled();
        let name = format!("points and vectors unrolled, {activation:?}");
        add(name, &both, network(activation).wgsl(form));
    }
    let encoded = Sequential::new([6]).add(Dense::new(3).activation(Selu));
    let encoding = FourierFeatures::new([1.0, 0.0, 0.0, 1.0, 1.0, -1.0], 2);
    let form = function().encoding(encoding);
    add("encoded".into(), &simple, encoded.wgsl(form));
    let nothing = Sequential::new([2]).add(Linear);
    add("without weights".into(), &simple, nothing.wgsl("f"));
    let wide = Sequential::new([2])
        .add(Dense::new(128).activation(Selu))
        .add(Dense::new(128));
    add("128 wide".into(), &simple, wide.wgsl("f"));

    let two = author("f(array<f32, 2>(x, y))[0] + g(array<f32, 2>(x, y))[1] + selu(x)");
    let other = network(Gelu { approximate: true }).wgsl(Wgsl::new("g").storage(1, 1));
    let both = selu.wgsl("f").and_then(|f| Ok(f + &other?));
    let all = both.map(|both| both + wgsl::ACTIVATIONS + wgsl::PHILOX);
    add("two and wgsl's functions".into(), &two, all);
    sources
}

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, source) in sources() {
        for target in Target::ALL {
            let source = source.clone();
            trials.push(trial(format!("{name}: {target:?}"), move || {
                every_stage_can_be_written(&source, target)
            }));
        }
        trials.push(tint(&name, source));
    }
    trials.push(trial(
        "a network declares nothing but what begins with its name".into(),
        names_begin_with_the_network_s,
    ));
    trials
}

fn every_stage_can_be_written(source: &str, target: Target) -> Result<()> {
    let needs = Capabilities::empty();
    let (module, info) = validated(source, needs)?;
    for entry_point in STAGES {
        target
            .write(&module, &info, entry_point, needs)
            .map_err(|error| format!("{}: {error}", entry_point.1))?;
    }
    Ok(())
}

fn names_begin_with_the_network_s() -> Result<()> {
    for activation in ACTIVATIONS {
        let source = network(activation).wgsl("mine")?;
        let (module, _) = validated(&source, Capabilities::empty())?;
        let functions = module.functions.iter().map(|(_, function)| &function.name);
        let constants = module.constants.iter().map(|(_, constant)| &constant.name);
        let variables = module.global_variables.iter().map(|(_, var)| &var.name);
        let types = module.types.iter().map(|(_, ty)| &ty.name);
        let names = functions.chain(constants).chain(variables).chain(types);
        for name in names.flatten() {
            if name != "mine" && !name.starts_with("mine_") {
                return Err(format!("{activation:?}: {name}").into());
            }
        }
        if module.global_variables.len() != 1 || !module.entry_points.is_empty() {
            return Err(format!("{activation:?}: bindings beyond that of the weights").into());
        }
    }
    Ok(())
}
