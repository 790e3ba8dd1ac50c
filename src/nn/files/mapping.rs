//! How the tensors of a file are a network's weights.

use std::collections::BTreeMap;
use std::fmt;

use hashbrown::HashMap;

use super::layout;
use crate::nn::layers::Kind;
use crate::nn::network::{BuiltLayer, Network, Weight};
use crate::nn::{Activation, SequentialBuilder};

/// Whose names and layouts the tensors of a file have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// This crate's, which are Keras's: `conv2d/kernel` \[height, width, channels, filters\], `dense_1/kernel`
    /// \[inputs, units\], `batch_normalization/gamma`.
    #[default]
    Keras,
    /// A `state_dict` of PyTorch's: `0.weight` \[filters, channels, height, width\], `4.weight` \[units, inputs\];
    /// of a batch normalization `weight`, `bias`, `running_mean`, `running_var`.
    ///
    /// A module is the layer of its name. Other modules with weights are the other layers with weights, in the order of
    /// the numbers in their names, as those of an `nn.Sequential` have them: `0`, `2`, `10`. Where that says nothing,
    /// as between `encoder` and `decoder`, it is an error: give each its layer by [`Mapping::rename`].
    ///
    /// Rows of a kernel behind a [`Flatten`](crate::nn::Flatten) of images are put in the order of images with their
    /// channels last.
    PyTorch,
}

/// How values are stored in a file that is written. Files of all three and of F64 are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// 32 bits, exactly.
    #[default]
    F32,
    /// 16 bits, of which 10 are fractional: rounded to the nearest, ties to even, beyond 65,519 infinite.
    F16,
    /// 16 bits, of which 7 are fractional: rounded to the nearest, ties to even.
    Bf16,
}

/// How the tensors of a safetensors file are a network's weights.
///
/// ```
/// use selfnorm::nn::{Mapping, Origin};
///
/// let mapping = Mapping::new(Origin::PyTorch)
///     .rename("encoder.proj", "dense") // a module there, a layer here
///     .partial();
/// # let _ = mapping;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Mapping {
    pub(super) origin: Origin,
    renames: Vec<(String, String)>,
    pub(super) is_partial: bool,
    pub(super) dtype: Dtype,
}

impl Mapping {
    /// With an origin's names and layouts.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            ..Self::default()
        }
    }

    /// A module or layer of the file, such as `features.0`, is this network's layer `layer`, whatever its place.
    pub fn rename(mut self, module: impl Into<String>, layer: impl Into<String>) -> Self {
        self.renames.push((module.into(), layer.into()));
        self
    }

    /// Loads only the layers whose weights are all there, by name and shape, as Keras's `skip_mismatch` does. The report
    /// has the rest.
    pub fn partial(mut self) -> Self {
        self.is_partial = true;
        self
    }

    /// How values are written. Whatever a file has is read: F16, BF16 and F32 are exact, F64 is rounded to the
    /// nearest f32.
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    pub(super) fn has_renames(&self) -> bool {
        !self.renames.is_empty()
    }
}

/// What [`load_with`](crate::nn::Sequential::load_with) has loaded, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// The network's weights that are the file's now, each with the name of its tensor there.
    pub loaded: Vec<(String, String)>,
    /// Weights that the file does not have; they are as they were.
    pub missing: Vec<String>,
    /// Weights of layers of which one is missing, or has another shape in the file; they are as they were.
    pub mismatched: Vec<String>,
    /// Tensors of the file that the network has no place for.
    pub left_over: Vec<String>,
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "loaded {}", self.loaded.len())?;
        let rest = [
            ("missing", &self.missing),
            ("of another shape", &self.mismatched),
            ("left over", &self.left_over),
        ];
        for (what, names) in rest {
            if !names.is_empty() {
                write!(f, "; {what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

/// A weight as a file has it.
pub(super) struct Elsewhere<'a> {
    /// Its name there.
    pub name: String,
    pub weight: &'a Weight,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// Its axes here, with those of a flattened image apart, and in which order they are there. None for the same.
    axes: Option<(Vec<usize>, &'static [usize])>,
}

impl<'a> Elsewhere<'a> {
    pub fn same(name: String, weight: &'a Weight) -> Self {
        Self {
            name,
            weight,
            shape: weight.shape.clone(),
            axes: None,
        }
    }

    /// As PyTorch has it: outputs and channels in front, also in the flattened `image` that its layer's input is.
    fn channels_first(name: String, weight: &'a Weight, image: Option<[usize; 3]>) -> Self {
        let shape = &weight.shape[..];
        let (shape, axes, order): (_, _, &[usize]) = match (shape, image, weight.kind()) {
            (&[h, w, c, filters], ..) => (
                vec![filters, c, h, w],
                vec![h, w, c, filters],
                &[3, 2, 0, 1],
            ),
            (&[inputs, units], None, _) => (vec![units, inputs], vec![inputs, units], &[1, 0]),
            (&[inputs, units], Some([h, w, c]), _) => {
                (vec![units, inputs], vec![h, w, c, units], &[3, 2, 0, 1])
            }
            // Outputs are not flattened; each feature of a normalization is.
            (_, Some([h, w, c]), kind) if kind != "bias" => {
                (shape.into(), vec![h, w, c], &[2, 0, 1])
            }
            _ => return Self::same(name, weight),
        };
        Self {
            name,
            weight,
            shape,
            axes: Some((axes, order)),
        }
    }

    /// Where its values are here, in the order there, if that is another.
    pub fn places(&self) -> Option<impl Iterator<Item = usize> + use<>> {
        let (axes, order) = self.axes.as_ref()?;
        Some(layout::places(axes, order))
    }
}

/// The network's weights as a file has them, or why it can't.
pub(super) fn find<'a>(
    mapping: &Mapping,
    builder: &SequentialBuilder,
    network: &'a Network,
    shapes: &BTreeMap<&str, &[usize]>,
) -> Result<Vec<Elsewhere<'a>>, String> {
    check(mapping, network)?;
    for (module, layer) in &mapping.renames {
        let is_its = |name: &&&str| mapping.origin.module(name).0 == *module;
        if !shapes.keys().any(|name| is_its(&name)) {
            return Err(format!("it has no module {module}, which is to be {layer}"));
        }
    }
    let modules = match mapping.origin {
        Origin::Keras => network
            .layers
            .iter()
            .map(|layer| Some(layer.name.clone()))
            .collect(),
        Origin::PyTorch => modules(mapping, network, shapes)?,
    };
    named(mapping, builder, network, &modules)
}

impl Origin {
    /// The module of a tensor, and which of its tensors that is.
    fn module(self, name: &str) -> (&str, &str) {
        let separator = match self {
            Self::Keras => '/',
            Self::PyTorch => '.',
        };
        name.rsplit_once(separator).unwrap_or(("", name))
    }
}

fn check(mapping: &Mapping, network: &Network) -> Result<(), String> {
    let renames = &mapping.renames;
    for (place, (module, layer)) in renames.iter().enumerate() {
        if !network.layers.iter().any(|built| built.name == *layer) {
            return Err(format!("the network has no layer {layer} for {module}"));
        }
        let is_again = |(from, to): &&(String, String)| from == module || to == layer;
        if let Some((from, to)) = renames[..place].iter().find(is_again) {
            return Err(format!(
                "{from} is renamed to {to}, and {module} to {layer}"
            ));
        }
    }
    Ok(())
}

/// The network's weights by the names that a file gets, or why it can't.
pub(super) fn names<'a>(
    mapping: &Mapping,
    builder: &SequentialBuilder,
    network: &'a Network,
) -> Result<Vec<Elsewhere<'a>>, String> {
    check(mapping, network)?;
    let mut modules = Vec::new();
    let mut place = 0;
    for (layer, built) in builder.layers.iter().zip(&network.layers) {
        modules.push(Some(match mapping.origin {
            Origin::Keras => built.name.clone(),
            Origin::PyTorch => place.to_string(),
        }));
        // An activation is a module of its own there.
        let has_activation = match &layer.kind {
            Kind::Dense { weighted, .. } | Kind::Conv2d { weighted, .. } => {
                weighted.activation != Activation::Linear
            }
            _ => false,
        };
        place += 1 + usize::from(has_activation);
    }
    named(mapping, builder, network, &modules)
}

/// The weights of layers that have a module.
fn named<'a>(
    mapping: &Mapping,
    builder: &SequentialBuilder,
    network: &'a Network,
    modules: &[Option<String>],
) -> Result<Vec<Elsewhere<'a>>, String> {
    if let (Origin::PyTorch, Some(layer)) = (mapping.origin, layout::reorders(builder, network)) {
        return Err(format!(
            "{layer} reshapes images, whose channels come first in PyTorch: it would be another function there"
        ));
    }
    let images = layout::flattened(builder, network);
    let mut all = Vec::new();
    for ((built, module), image) in network.layers.iter().zip(modules).zip(images) {
        let renamed = mapping
            .renames
            .iter()
            .find(|(_, layer)| *layer == built.name);
        let renamed = renamed.map(|(module, _)| module);
        let Some(module) = renamed.or(module.as_ref()) else {
            continue;
        };
        for weight in &built.weights {
            let kind = weight.kind();
            all.push(match mapping.origin {
                Origin::Keras => Elsewhere::same(format!("{module}/{kind}"), weight),
                Origin::PyTorch => {
                    let name = match (kind, module.is_empty()) {
                        (kind, true) => torch_name(kind).into(),
                        (kind, false) => format!("{module}.{}", torch_name(kind)),
                    };
                    Elsewhere::channels_first(name, weight, image)
                }
            });
        }
    }
    distinct(&all)?;
    Ok(all)
}

/// An error if two weights have one name.
fn distinct(all: &[Elsewhere]) -> Result<(), String> {
    let mut owners = HashMap::new();
    for Elsewhere { name, weight, .. } in all {
        if let Some(other) = owners.insert(name, &weight.name) {
            let own = &weight.name;
            return Err(format!(
                "{other} and {own} would both be {name}; rename one of them"
            ));
        }
    }
    Ok(())
}

/// A weight of a layer, as a parameter or buffer of a module.
fn torch_name(kind: &str) -> &str {
    match kind {
        "kernel" | "gamma" => "weight",
        "bias" | "beta" => "bias",
        "moving_mean" | "mean" => "running_mean",
        "moving_variance" | "variance" => "running_var",
        other => other,
    }
}

/// The module of each layer: a renamed one, that of its name, or the next in order.
fn modules(
    mapping: &Mapping,
    network: &Network,
    shapes: &BTreeMap<&str, &[usize]>,
) -> Result<Vec<Option<String>>, String> {
    let is_layer = |name: &str| network.layers.iter().any(|layer| layer.name == name);
    let mut found: Vec<&str> = Vec::new();
    for name in shapes.keys() {
        let (module, kind) = mapping.origin.module(name);
        let is_weight = ["weight", "bias", "running_mean", "running_var"].contains(&kind);
        let is_renamed = mapping.renames.iter().any(|(from, _)| from == module);
        if is_weight && !is_renamed && !is_layer(module) {
            found.push(module);
        }
    }
    found.sort_by_key(|name| pieces(name));
    found.dedup();
    let is_named = |layer: &BuiltLayer| {
        let is_renamed = mapping.renames.iter().any(|(_, to)| *to == layer.name);
        let is_its = |name: &&str| mapping.origin.module(name).0 == layer.name;
        is_renamed || shapes.keys().any(is_its)
    };
    let wanted = network.layers.iter();
    let wanted: Vec<_> = wanted
        .filter(|layer| !layer.weights.is_empty() && !is_named(layer))
        .map(|layer| &layer.name[..])
        .collect();
    let is_open = |pair: &&[&str]| !is_ordered(pair[0], pair[1]);
    let problem = match found.windows(2).find(is_open) {
        _ if wanted.len() != found.len() => Some(format!(
            "it has {} modules with weights ({}), the network {} layers ({})",
            found.len(),
            found.join(", "),
            wanted.len(),
            wanted.join(", "),
        )),
        Some(pair) => Some(format!(
            "which of its modules {} and {} comes first, their names do not say",
            pair[0], pair[1]
        )),
        None => None,
    };
    match problem {
        Some(_) if mapping.is_partial => found.clear(),
        Some(problem) => {
            return Err(format!("{problem}; give each its layer by Mapping::rename"));
        }
        None => {}
    }
    let mut found = found.into_iter();
    let module = |layer: &BuiltLayer| match wanted.contains(&&layer.name[..]) {
        true => found.next().map(str::to_owned),
        false => Some(layer.name.clone()),
    };
    Ok(network.layers.iter().map(module).collect())
}

/// A name in numbers and what is between them.
fn pieces(name: &str) -> Vec<Result<u64, &str>> {
    let is_digit = |c: char| c.is_ascii_digit();
    let runs = name
        .as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let mut rest = name;
    runs.map(|run| {
        let (piece, behind) = rest.split_at(run.len());
        rest = behind;
        match piece.starts_with(is_digit) {
            true => piece.parse().map_err(|_| piece),
            false => Err(piece),
        }
    })
    .collect()
}

/// Whether what two names differ in first is a number.
fn is_ordered(a: &str, b: &str) -> bool {
    let (a, b) = (pieces(a), pieces(b));
    let differing = a.iter().zip(&b).find(|(a, b)| a != b);
    matches!(differing, Some((Ok(_), Ok(_))))
}
