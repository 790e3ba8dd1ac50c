//! Every shader of the crate, in every form that it is built in, through naga into every language
//! that wgpu hands to a driver, and through Tint, which is what Chrome has. No GPU is needed.

#[path = "../common/mod.rs"]
mod common;
mod emitted;
mod reassociation;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use naga::back::{glsl, hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Expression, Module, ShaderStage, TypeInner};
use selfnorm::wgpu::Features;
use selfnorm::wgsl::{self, Shader};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut trials = vec![
        trial(
            "every file of shaders/ is in use".into(),
            every_file_is_in_use,
        ),
        trial(
            "shaders/functions has no bindings and no entry points".into(),
            functions_are_pure,
        ),
        trial("every shader has a name of its own".into(), names_differ),
        trial(
            "the functions of activations are public".into(),
            functions_of_activations_are_public,
        ),
    ];
    for shader in wgsl::shaders() {
        let name = shader.name.clone();
        let needs = needs(&shader);
        for target in Target::ALL {
            if target.supports(needs) {
                let shader = shader.clone();
                trials.push(trial(format!("{name}: {target:?}"), move || {
                    entry_points_can_be_written(&shader, target)
                }));
            }
        }
        // u64 is naga's own; subgroups are behind a directive that naga does not know yet.
        if !needs.intersects(Capabilities::SHADER_INT64 | Capabilities::SUBGROUP) {
            trials.push(tint(&name, shader.source.clone()));
        }
        let indexing = shader.clone();
        trials.push(trial(
            format!("{name}: no index into what a function returned"),
            move || no_result_is_indexed(&indexing),
        ));
        trials.push(trial(format!("{name}: structs"), move || {
            structs_are_the_host_s(&shader)
        }));
    }
    for (name, source) in public_sources() {
        trials.push(tint(name, source.clone()));
        let kernel = format!("{KERNEL_WITH_DIRECTIVES}{source}");
        trials.push(tint(&format!("{name}, behind directives"), kernel.clone()));
        trials.push(trial(format!("{name}, behind directives"), move || {
            validated(&kernel, Capabilities::SHADER_FLOAT16).map(drop)
        }));
        trials.push(trial(
            format!("{name}: complete, and nothing but functions and constants"),
            move || only_declares_functions(&source),
        ));
    }
    trials.extend(emitted::trials());
    trials.extend(reassociation::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: String, check: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, || Ok(check()?))
}

/// What [`wgsl`] has for other people's shaders, and what goes together.
fn public_sources() -> Vec<(&'static str, String)> {
    let mut sources: Vec<(&str, String)> = [
        ("wgsl::EXPM1", wgsl::EXPM1),
        ("wgsl::ELU", wgsl::ELU),
        ("wgsl::SELU", wgsl::SELU),
        ("wgsl::LEAKY_RELU", wgsl::LEAKY_RELU),
        ("wgsl::SIGMOID", wgsl::SIGMOID),
        ("wgsl::TANH", wgsl::TANH),
        ("wgsl::SILU", wgsl::SILU),
        ("wgsl::GELU", wgsl::GELU),
        ("wgsl::GELU_TANH", wgsl::GELU_TANH),
        ("wgsl::SOFTPLUS", wgsl::SOFTPLUS),
        ("wgsl::SINE", wgsl::SINE),
        ("wgsl::PHILOX", wgsl::PHILOX),
    ]
    .map(|(name, source)| (name, source.into()))
    .into();
    for (name, source) in [
        ("wgsl::SELU and PHILOX", wgsl::SELU),
        ("wgsl::ACTIVATIONS and PHILOX", wgsl::ACTIVATIONS),
    ] {
        sources.push((name, format!("{source}{}", wgsl::PHILOX)));
    }
    sources
}

/// An application's shader, to which the functions are appended.
const KERNEL_WITH_DIRECTIVES: &str = "enable f16;
diagnostic(off, derivative_uniformity);

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f16>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    x[id.x] *= f16(2.0);
}
";

/// What a shader may use beyond plain WGSL, as it says. Without it validation must fail, so a shader for
/// devices without a feature that uses it all the same is found.
fn needs(shader: &Shader) -> Capabilities {
    [
        (Features::SHADER_F16, Capabilities::SHADER_FLOAT16),
        (Features::IMMEDIATES, Capabilities::IMMEDIATES),
        (Features::SHADER_INT64, Capabilities::SHADER_INT64),
        (Features::SUBGROUP, Capabilities::SUBGROUP),
        (
            Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
            Capabilities::COOPERATIVE_MATRIX,
        ),
    ]
    .into_iter()
    .filter(|(feature, _)| shader.features.contains(*feature))
    .map(|(_, capability)| capability)
    .collect()
}

/// What naga writes for wgpu's back ends.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::upper_case_acronyms)]
enum Target {
    /// Vulkan.
    SPIRV,
    /// Metal.
    MSL,
    /// Direct3D 12.
    HLSL,
    /// OpenGL ES 3.1.
    GLSL,
}

impl Target {
    const ALL: [Self; 4] = [Self::SPIRV, Self::MSL, Self::HLSL, Self::GLSL];

    /// GLSL ES has no 16-bit floats, 64-bit integers or subgroups, and wgpu's GL back end never
    /// offers the features. Immediates are there, as plain uniforms. The crate uses cooperative matrices on Vulkan: no
    /// subgroups are of one size on Metal, and naga writes a pointer for them that MSL does not take.
    fn supports(self, needs: Capabilities) -> bool {
        match self {
            Self::SPIRV => true,
            Self::MSL | Self::HLSL => !needs.contains(Capabilities::COOPERATIVE_MATRIX),
            Self::GLSL => !needs.intersects(
                Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_INT64 | Capabilities::SUBGROUP,
            ),
        }
    }

    /// Writes an entry point of `module`, for the lowest version that has what the module
    /// needs, as wgpu's back end does.
    fn write(
        self,
        module: &Module,
        info: &ModuleInfo,
        (shader_stage, entry_point): (ShaderStage, &str),
        needs: Capabilities,
    ) -> Result<()> {
        let entry_point = entry_point.to_owned();
        match self {
            Self::SPIRV => {
                let mut options = spv::Options::default();
                if needs.contains(Capabilities::SUBGROUP) {
                    options.lang_version = (1, 3);
                }
                let pipeline = spv::PipelineOptions {
                    shader_stage,
                    entry_point,
                };
                spv::write_vec(module, info, &options, Some(&pipeline))?;
            }
            Self::MSL => {
                let options = msl::Options {
                    // 64-bit integers in buffers came with 2.3, where wgpu asks for them.
                    lang_version: if needs.contains(Capabilities::SHADER_INT64) {
                        (2, 3)
                    } else {
                        (2, 0)
                    },
                    ..Default::default()
                };
                let pipeline = msl::PipelineOptions {
                    entry_point: Some((shader_stage, entry_point)),
                    ..Default::default()
                };
                let (_, written) = msl::write_string(module, info, &options, &pipeline)?;
                written.entry_point_names.into_iter().next().unwrap()?;
            }
            Self::HLSL => {
                let options = hlsl::Options {
                    shader_model: if needs.contains(Capabilities::SHADER_FLOAT16) {
                        hlsl::ShaderModel::V6_2
                    } else if needs.intersects(Capabilities::SHADER_INT64 | Capabilities::SUBGROUP)
                    {
                        hlsl::ShaderModel::V6_0
                    } else {
                        hlsl::ShaderModel::V5_1
                    },
                    immediates_target: Some(hlsl::BindTarget::default()),
                    ..Default::default()
                };
                let pipeline = hlsl::PipelineOptions {
                    entry_point: Some((shader_stage, entry_point)),
                };
                let mut text = String::new();
                let written =
                    hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None)?;
                written.entry_point_names.into_iter().next().unwrap()?;
            }
            Self::GLSL => {
                let options = glsl::Options {
                    version: glsl::Version::new_gles(310),
                    ..Default::default()
                };
                let pipeline = glsl::PipelineOptions {
                    shader_stage,
                    entry_point,
                    multiview: None,
                };
                let mut text = String::new();
                let policies = Default::default();
                glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies)?
                    .write()?;
            }
        }
        Ok(())
    }
}

/// Parsed and validated, or what is wrong and in which line.
fn validated(source: &str, needs: Capabilities) -> Result<(Module, ModuleInfo)> {
    let module =
        naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let info = Validator::new(ValidationFlags::all(), needs)
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    Ok((module, info))
}

fn entry_points_can_be_written(shader: &Shader, target: Target) -> Result<()> {
    let (module, info) = validated(&shader.source, needs(shader))?;
    let mut declared: Vec<_> = module
        .entry_points
        .iter()
        .map(|entry_point| entry_point.name.as_str())
        .collect();
    declared.sort();
    let mut listed = shader.entry_points.clone();
    listed.sort();
    if listed != declared {
        return Err(format!("listed: {listed:?}, in the WGSL: {declared:?}").into());
    }
    for name in listed {
        let entry_point = (ShaderStage::Compute, name);
        let (module, info) = naga::back::pipeline_constants::process_overrides(
            &module,
            &info,
            Some(entry_point),
            &Default::default(),
        )?;
        target
            .write(&module, &info, entry_point, needs(shader))
            .map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// The structs are what the host writes: the same fields at the same offsets. The host's is as long
/// as WGSL's, which ends on a multiple of its alignment, because a uniform buffer must be.
fn structs_are_the_host_s(shader: &Shader) -> Result<()> {
    let (module, _) = validated(&shader.source, needs(shader))?;
    for written in &shader.structs {
        let named = |name: &Option<String>| name.as_deref() == Some(written.name);
        let (_, found) = module
            .types
            .iter()
            .find(|(_, ty)| named(&ty.name))
            .ok_or_else(|| format!("no struct {}", written.name))?;
        let TypeInner::Struct { members, span } = &found.inner else {
            return Err(format!("{} is not a struct", written.name).into());
        };
        let fields: Vec<_> = members
            .iter()
            .map(|member| {
                (
                    member.name.as_deref().unwrap_or_default(),
                    member.offset as usize,
                )
            })
            .collect();
        if fields != written.fields || *span as usize != written.size {
            return Err(format!(
                "of {}, the host writes {} bytes, {:?}; the WGSL has {span}, {fields:?}",
                written.name, written.size, written.fields
            )
            .into());
        }
    }
    Ok(())
}

/// Where a function makes a vector of one scalar, such as `widen`, an index into what it returned
/// crashes the GLSL compiler of Mesa 22 as it links (SIGSEGV in `glLinkProgram`). Its smallest form:
///
/// ```glsl
/// float f = x[i]; vec4 v = vec4(f); y[i] = v[i];
/// ```
fn no_result_is_indexed(shader: &Shader) -> Result<()> {
    let (module, _) = validated(&shader.source, needs(shader))?;
    let entry_points = module.entry_points.iter().map(|entry| &entry.function);
    let functions = module.functions.iter().map(|(_, function)| function);
    for function in functions.chain(entry_points) {
        for (_, expression) in function.expressions.iter() {
            if let Expression::Access { base, .. } = *expression
                && let Expression::CallResult(_) | Expression::Splat { .. } =
                    function.expressions[base]
            {
                return Err(format!("{} does", function.name.as_deref().unwrap_or("main")).into());
            }
        }
    }
    Ok(())
}

fn only_declares_functions(source: &str) -> Result<()> {
    let (module, _) = validated(source, Capabilities::empty())?;
    if !module.global_variables.is_empty()
        || !module.entry_points.is_empty()
        || !module.overrides.is_empty()
    {
        return Err("it has bindings, overrides or entry points".into());
    }
    Ok(())
}

/// Chrome's compiler takes it. Where the program is not installed, the trial is shown as ignored.
fn tint(name: &str, source: String) -> Trial {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let file = FILES.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("tint_{}_{file}.wgsl", std::process::id()));
    Trial::ignorable_test(format!("{name}: Tint"), move || {
        std::fs::write(&path, source)?;
        let output = Command::new("tint")
            .args(["--format", "wgsl"])
            .arg(&path)
            .output();
        std::fs::remove_file(&path)?;
        match output {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Completion::ignored_with(
                "needs the program tint of https://dawn.googlesource.com/dawn",
            )),
            output => {
                let output = output?;
                if output.status.success() {
                    Ok(Completion::Completed)
                } else {
                    Err(Failed::from(String::from_utf8_lossy(&output.stderr)))
                }
            }
        }
    })
}

/// What is in this folder may be appended to anybody's shader.
fn functions_are_pure() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders/functions");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        for (line, number) in text.lines().zip(1..) {
            let code = line.split("//").next().unwrap_or_default();
            for word in ["@", "var<", "override "] {
                if code.contains(word) {
                    return Err(format!("{}, line {number}: {line}", path.display()).into());
                }
            }
        }
    }
    Ok(())
}

/// What an activation is made of is there for other people's shaders, too.
fn functions_of_activations_are_public() -> Result<()> {
    let shaders = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    for entry in std::fs::read_dir(shaders.join("activations"))? {
        let functions = shaders.join("functions").join(entry?.file_name());
        let Ok(text) = std::fs::read_to_string(&functions) else {
            continue;
        };
        if !wgsl::ACTIVATIONS.contains(&text) {
            let path = functions.display();
            return Err(format!("wgsl::ACTIVATIONS is without {path}: see src/wgsl.rs").into());
        }
    }
    Ok(())
}

/// So that the name of a trial says which shader failed.
fn names_differ() -> Result<()> {
    let mut names: Vec<_> = wgsl::shaders().into_iter().map(|s| s.name).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("there are two of {}", pair[0]).into()),
        None => Ok(()),
    }
}

/// A file that nothing includes is checked by nothing.
fn every_file_is_in_use() -> Result<()> {
    let mut sources: Vec<String> = public_sources()
        .into_iter()
        .map(|(_, source)| source)
        .collect();
    sources.extend(wgsl::shaders().into_iter().map(|shader| shader.source));
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path)?;
            if !sources.iter().any(|source| source.contains(&text)) {
                let path = path.display();
                return Err(format!(
                    "no shader contains {path}: does src/shader/files.rs name it?"
                )
                .into());
            }
            files += 1;
        }
    }
    if files == 0 {
        return Err("there are no files in shaders/".into());
    }
    Ok(())
}
