use std::hash::{Hash, Hasher};

use wgpu::Features;

use super::files::{self, File, is_same, with_calls};
use super::params::Struct;
use crate::element::ElementType;

pub(crate) const WORKGROUP_SIZE: u32 = 256;
pub(crate) const LANES_PER_INVOCATION: u32 = 4;

/// The most storage buffers of an entry point.
pub(crate) const MAX_BINDINGS: u32 = 4;
/// The most bytes of workgroup memory: two tiles of a product.
pub(crate) const WORKGROUP_BYTES: u32 = 8192;
/// The most bytes of an op's parameters: as many as fit into Vulkan's immediates.
pub(crate) const MAX_PARAMS_BYTES: u32 = 128;
/// The most bytes of a tensor that one workgroup works on: lanes of four f32.
pub(crate) const MAX_GROUP_BYTES: u32 = WORKGROUP_SIZE * LANES_PER_INVOCATION * 16;
/// The bind groups of an op's tensors and of its parameters, if these are in a uniform buffer.
pub(crate) const TENSORS_GROUP: u32 = 0;
pub(crate) const PARAMS_GROUP: u32 = 1;
/// The bind group of a step's record, as in kernel/step.wgsl.
pub(crate) const STEP_GROUP: u32 = 2;

/// The features that WGSL enables by a directive.
const DIRECTIVES: [(Features, &str); 2] = [
    (Features::SHADER_F16, "enable f16; "),
    (
        Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
        "enable wgpu_cooperative_matrix; ",
    ),
];

/// The shader of an op.
#[derive(Debug)]
pub(crate) struct Module {
    pub name: &'static str,
    /// The op's file, which comes first in the WGSL, so that line numbers in messages are that file's.
    file: &'static File,
    /// Constants that the host needs too.
    constants: &'static [(&'static str, u32)],
    pub entry_points: &'static [&'static str],
    pub params: Struct,
    elements: &'static [ElementType],
    /// Forms to check ahead of time: all that differ by more than the values of constants.
    forms: fn() -> Vec<Form>,
    /// The record of a step that it takes, if any.
    pub step: Option<Struct>,
    /// Structs of its tensors that the host writes, too.
    pub shared: &'static [Struct],
}

/// The files and constants that a module is built with, beyond its own file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    pub files: Vec<&'static File>,
    /// The activation that it calls, if it does. By itself, so that such a form allocates nothing.
    pub activation: Option<&'static File>,
    /// Another one, as `activate_last` and `activate_last_backward`.
    pub last_activation: Option<&'static File>,
    pub constants: Vec<(&'static str, u32)>,
    /// The texture that it binds behind the storage buffers, if it does.
    pub texels: Option<Texels>,
}

/// How a texture is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Texels {
    Read,
    /// In this format, which the WGSL names, too.
    Write(wgpu::TextureFormat),
}

impl Form {
    fn all_files(&self) -> impl Iterator<Item = &'static File> {
        self.files.iter().copied().chain(self.activation)
    }
}

/// An entry point of a module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    pub module: &'static Module,
    pub entry_point: &'static str,
}

/// Modules are compared by their addresses.
impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.module, other.module) && self.entry_point == other.entry_point
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self.module, state);
        self.entry_point.hash(state);
    }
}

/// How a module is built for a device and the tensors at hand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    pub element: ElementType,
    /// Four values in a lane, or one.
    pub wide_lanes: bool,
    /// Parameters as immediates, or in a uniform buffer.
    pub immediates: bool,
    pub int64: bool,
    pub form: Form,
}

impl Variant {
    pub fn values_per_lane(&self) -> u64 {
        if self.wide_lanes { 4 } else { 1 }
    }
}

impl Module {
    /// A module for f32 tensors, in a single form.
    pub const fn new(name: &'static str, file: &'static File, params: Struct) -> Self {
        let fits = params.size <= MAX_PARAMS_BYTES as usize;
        assert!(fits, "the parameters are more than there is room for");
        Self {
            name,
            file,
            constants: &[],
            entry_points: &[],
            params,
            elements: &[ElementType::F32],
            forms: || vec![Form::default()],
            step: None,
            shared: &[],
        }
    }

    pub const fn entry_points(mut self, names: &'static [&'static str]) -> Self {
        self.entry_points = names;
        self
    }

    pub const fn constants(mut self, constants: &'static [(&'static str, u32)]) -> Self {
        self.constants = constants;
        self
    }

    pub const fn forms(mut self, forms: fn() -> Vec<Form>) -> Self {
        self.forms = forms;
        self
    }

    /// Also for f16 tensors.
    pub const fn floats(mut self) -> Self {
        self.elements = &[ElementType::F32, ElementType::F16];
        self
    }

    /// The kernel of an entry point. In a constant, a name that is not listed does not compile.
    pub const fn kernel(&'static self, entry_point: &str) -> Kernel {
        let mut i = 0;
        while i < self.entry_points.len() {
            if is_same(self.entry_points[i], entry_point) {
                return Kernel {
                    module: self,
                    entry_point: self.entry_points[i],
                };
            }
            i += 1;
        }
        panic!("the module lists no such entry point");
    }

    /// Every variant whose WGSL differs from the others'.
    pub fn variants(&'static self) -> Vec<Variant> {
        let both: &[bool] = &[true, false];
        let mut variants = Vec::new();
        for form in (self.forms)() {
            let integers = if self.has_wide(&form) { both } else { &[false] };
            for &element in self.elements {
                for &wide_lanes in both {
                    for &immediates in both {
                        variants.extend(integers.iter().map(|&int64| Variant {
                            element,
                            wide_lanes,
                            immediates,
                            int64,
                            form: form.clone(),
                        }));
                    }
                }
            }
        }
        variants
    }

    /// The op's file, those of the form, and what they call.
    fn files(&self, form: &Form) -> Vec<&'static File> {
        let called = form.last_activation.into_iter();
        let called = called.flat_map(|file| file.calls.iter().copied());
        with_calls(
            [self.file]
                .into_iter()
                .chain(form.all_files())
                .chain(called),
        )
    }

    /// Whether it multiplies 32-bit numbers to 64 bits, as random numbers do.
    fn has_wide(&self, form: &Form) -> bool {
        self.files(form).contains(&&files::PHILOX)
    }

    /// All files of a variant.
    fn variant_files(&self, variant: &Variant) -> Vec<&'static File> {
        let mut all = self.files(&variant.form);
        all.push(&files::INVOCATION);
        all.push(match variant.wide_lanes {
            true => &files::LANE4,
            false => &files::LANE,
        });
        if self.has_wide(&variant.form) {
            all.push(match variant.int64 {
                true => &files::WIDE_U64,
                false => &files::WIDE_U32,
            });
        }
        if self.step.is_some() {
            all.push(&files::STEP);
        }
        all
    }

    /// The structs that the host writes, each once, the parameters first.
    pub fn structs(&'static self) -> Vec<&'static Struct> {
        let written = [&self.params]
            .into_iter()
            .chain(&self.step)
            .chain(self.shared);
        let mut structs: Vec<&Struct> = Vec::new();
        for part in written.flat_map(Struct::with_parts) {
            if structs.iter().all(|other| other.name != part.name) {
                structs.push(part);
            }
        }
        structs
    }

    /// The features that a device must have for `variant`.
    pub fn features(&self, variant: &Variant) -> Features {
        let files = self.variant_files(variant).into_iter();
        let mut features = files.fold(Features::empty(), |all, file| all | file.needs);
        if variant.element == ElementType::F16 {
            features |= Features::SHADER_F16;
        }
        features.set(Features::IMMEDIATES, variant.immediates);
        features
    }

    /// The whole WGSL.
    pub fn source(&'static self, variant: &Variant) -> String {
        let scalar = match variant.element {
            ElementType::F32 => "alias Scalar = f32;\n",
            ElementType::F16 => "alias Scalar = f16;\n",
        };
        // Directives must come first; without a line of their own, they shift no line numbers.
        let features = self.features(variant);
        let directives = DIRECTIVES.iter();
        let directives = directives.filter(|(feature, _)| features.contains(*feature));
        let name = self.params.name;
        let params = if variant.immediates {
            format!("var<immediate> p: {name};\n")
        } else {
            format!("@group({PARAMS_GROUP}) @binding(0) var<uniform> p: {name};\n")
        };
        let constants: String = [
            ("WORKGROUP_SIZE", WORKGROUP_SIZE),
            ("LANES_PER_INVOCATION", LANES_PER_INVOCATION),
        ]
        .iter()
        .chain(self.constants)
        .chain(&variant.form.constants)
        .map(|(name, value)| format!("const {name} = {value}u;\n"))
        .collect();
        let files = self.variant_files(variant);
        let last = variant.form.last_activation;
        let last = last.map_or_else(String::new, |file| {
            file.text.replace("fn activate", "fn activate_last")
        });
        let structs = self.structs();
        directives
            .map(|(_, directive)| *directive)
            .chain(files.iter().map(|file| file.text))
            .chain(structs.iter().map(|written| written.wgsl))
            .chain([&last, scalar, &constants, &params])
            .collect()
    }

    /// The name of `variant`.
    pub fn name(&self, variant: &Variant) -> String {
        let mut words = vec![self.name.into()];
        words.extend(variant.form.all_files().map(|file| file.name().into()));
        let last = variant.form.last_activation;
        words.extend(last.map(|file| format!("last={}", file.name())));
        let constants = variant.form.constants.iter();
        words.extend(constants.map(|(name, value)| format!("{name}={value}")));
        let lane = if variant.wide_lanes { "x4" } else { "" };
        words.push(format!("{}{lane}", variant.element));
        words.push(match variant.immediates {
            true => "immediates".into(),
            false => "uniform".into(),
        });
        if self.has_wide(&variant.form) {
            words.push(match variant.int64 {
                true => "u64".into(),
                false => "u32".into(),
            });
        }
        words.join(" ")
    }
}
