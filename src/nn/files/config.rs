//! Layers as JSON, and back, in the shape of Keras's `Sequential.get_config()`.

use std::mem::discriminant;

use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{Fields, Object, Problems, refuse};
use super::scan;
use crate::nn::layers::{Kind, Layer, NoiseShape, Sliding, Weighted};
use crate::nn::{
    Activation, AlphaDropout, AveragePooling2d, BatchNormalization, Conv2d, Dense, Dropout,
    Flatten, GlobalAveragePooling2d, Initializer, LayerNormalization, MaxPool2d, Normalization,
    Padding, Precision, Regularizer, Reshape, Sequential, SequentialBuilder, Tiling,
};
use crate::{Error, Result, Selu};

/// As NumPy's arrays have. Every layer has a shape, so a file could ask for the square of its size.
const MAX_AXES: usize = 64;

const PADDINGS: [(&str, Padding); 2] = [("valid", Padding::Valid), ("same", Padding::Same)];

const PRECISIONS: [(&str, Precision); 2] = [("f32", Precision::F32), ("f16", Precision::F16)];
const TILINGS: [(&str, Option<Tiling>); 3] = [
    ("workgroup", Some(Tiling::Workgroup)),
    ("registers", Some(Tiling::Registers)),
    ("subgroups", Some(Tiling::Subgroups)),
];

/// An activation with the parameters that its name has in Keras, and the class of one with others.
type Named = (&'static str, &'static str, Activation);

/// As it is called in files.
pub(super) fn activation_name(activation: &Activation) -> &'static str {
    activation.named().map_or("", |(name, ..)| name)
}

fn activations() -> impl Iterator<Item = Named> {
    use Activation::*;
    let activations = [
        ("linear", "Linear", Linear),
        ("selu", "SELU", Selu),
        ("selu", "SeluWith", SeluWith(self::Selu::default())),
        ("elu", "ELU", Elu(1.0)),
        ("relu", "ReLU", Relu),
        ("leaky_relu", "LeakyReLU", LeakyRelu(0.2)),
        ("sigmoid", "Sigmoid", Sigmoid),
        ("tanh", "Tanh", Tanh),
        ("silu", "SiLU", Silu),
        ("gelu", "GELU", Gelu { approximate: false }),
        ("softplus", "Softplus", Softplus),
        ("sine", "Sine", Sine(30.0)),
        ("softmax", "Softmax", Softmax),
    ];
    activations.into_iter()
}

impl SequentialBuilder {
    /// The layers as JSON, in the shape of Keras's `Sequential.to_json()`. Weights that were given to layers
    /// are not in it.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Activation::Selu, Dense, Sequential, SequentialBuilder};
    ///
    /// let layers = Sequential::new([4]).add(Dense::new(3).activation(Selu));
    /// let again = SequentialBuilder::from_json(&layers.to_json())?;
    /// assert_eq!(again.to_json(), layers.to_json());
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_json(&self) -> String {
        write(self)
    }

    /// The layers that [`to_json`](Self::to_json), or Keras's, has written.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] lists all layers and options that this version does not have, with their places.
    pub fn from_json(text: &str) -> Result<Self> {
        read(text, "json").map_err(|detail| Error::Data {
            op: "from_json",
            detail,
        })
    }
}

/// What a network is built from, with the names of all layers.
pub(super) fn write(builder: &SequentialBuilder) -> String {
    builder.write().to_string()
}

/// What [`write`] has written, or all that is wrong with it, which is at `at`.
pub(super) fn read(text: &str, at: &str) -> std::result::Result<SequentialBuilder, String> {
    scan::check(text)?;
    let found = serde_json::from_str(text).map_err(|problem| problem.to_string())?;
    let mut problems = Problems::new();
    match SequentialBuilder::read(found, at, &mut problems) {
        Some(builder) if problems.is_empty() => Ok(builder),
        _ => Err(problems.join("; ")),
    }
}

impl Object for SequentialBuilder {
    const MODULE: &'static str = "keras";

    fn class(&self) -> &'static str {
        "Sequential"
    }

    fn of_class(class: &str) -> Option<Self> {
        (class == "Sequential").then(|| Sequential::new([]))
    }

    fn describe(&mut self, fields: &mut Fields) {
        fields.plain("name", &mut String::from("sequential"));
        fields.field("layers", self, write_layers, read_layers);
        if fields.has("tiling", self.tiling.is_some()) {
            fields.choice("tiling", &mut self.tiling, &TILINGS);
        }
        if fields.has("precision", self.precision != Precision::F32) {
            fields.choice("precision", &mut self.precision, &PRECISIONS);
        }
    }
}

fn write_layers(builder: &SequentialBuilder) -> Value {
    let shape = builder.input_shape.iter().map(|&extent| Some(extent));
    let input = Input([None].into_iter().chain(shape).collect());
    let layers = builder.layers.iter().map(Object::write);
    [input.write()].into_iter().chain(layers).collect()
}

fn read_layers(found: Value, at: &str, problems: &mut Problems) -> Option<SequentialBuilder> {
    let Value::Array(found) = found else {
        return refuse(&found, at, problems);
    };
    let mut builder = Sequential::new([]);
    for (position, found) in found.into_iter().enumerate() {
        let at = format!("{at}[{position}]");
        if position > 0 {
            builder.layers.extend(Layer::read(found, &at, problems));
        } else if let Some(Input(shape)) = Input::read(found, &at, problems) {
            builder.input_shape = shape.into_iter().skip(1).flatten().collect();
        }
    }
    Some(builder)
}

/// The shape of a batch, of which the first extent is open.
#[derive(Clone)]
struct Input(NoiseShape);

impl Object for Input {
    const MODULE: &'static str = "keras.layers";

    fn class(&self) -> &'static str {
        "InputLayer"
    }

    fn of_class(class: &str) -> Option<Self> {
        (class == "InputLayer").then(|| Self(Vec::new()))
    }

    fn describe(&mut self, fields: &mut Fields) {
        fields.plain("name", &mut String::from("input_layer"));
        let read = |found: Value, at: &str, problems: &mut Problems| {
            let shape = NoiseShape::deserialize(&found).unwrap_or_default();
            let is_possible = (1..=MAX_AXES).contains(&shape.len()) && !shape[1..].contains(&None);
            is_possible
                .then_some(shape)
                .or_else(|| refuse(&found, at, problems))
        };
        fields.field("batch_shape", &mut self.0, |shape| json!(shape), read);
    }
}

impl Object for Layer {
    const MODULE: &'static str = "keras.layers";

    fn class(&self) -> &'static str {
        self.types().0
    }

    /// In Keras, activations are layers, too.
    fn of_class(class: &str) -> Option<Self> {
        let layers: [Self; 13] = [
            Dense::new(1).into(),
            Conv2d::new(1, [1, 1]).into(),
            MaxPool2d::new([1, 1]).into(),
            AveragePooling2d::new([1, 1]).into(),
            GlobalAveragePooling2d::new().into(),
            Flatten::new().into(),
            Reshape::new([]).into(),
            Normalization::new().into(),
            BatchNormalization::new().into(),
            LayerNormalization::new().into(),
            Activation::Linear.into(),
            AlphaDropout::new(0.0).into(),
            Dropout::new(0.0).into(),
        ];
        let layer = layers.into_iter().find(|layer| layer.class() == class);
        layer.or_else(|| Activation::of_class(class).map(Self::from))
    }

    fn describe(&mut self, fields: &mut Fields) {
        fields.plain("name", &mut self.name);
        fields.plain("trainable", &mut self.trainable);
        match &mut self.kind {
            Kind::Dense { units, weighted } => {
                fields.plain("units", units);
                weighted.describe(fields);
            }
            Kind::Conv2d {
                filters,
                window,
                weighted,
            } => {
                fields.plain("filters", filters);
                window.describe(fields, "kernel_size");
                weighted.describe(fields);
            }
            Kind::MaxPool2d(window) | Kind::AveragePooling2d(window) => {
                window.describe(fields, "pool_size");
            }
            Kind::Flatten | Kind::GlobalAveragePooling2d => {}
            Kind::Reshape(shape) => {
                let read = |found: Value, at: &str, problems: &mut Problems| {
                    let shape = Vec::deserialize(&found).ok();
                    let shape = shape.filter(|shape: &Vec<usize>| shape.len() < MAX_AXES);
                    shape.or_else(|| refuse(&found, at, problems))
                };
                fields.field("target_shape", shape, |shape| json!(shape), read);
            }
            // Its moments are tensors of the file.
            Kind::Normalization(_) => {}
            Kind::BatchNormalization { momentum, epsilon } => {
                fields.plain("momentum", momentum);
                fields.plain("epsilon", epsilon);
            }
            Kind::LayerNormalization { epsilon } => fields.plain("epsilon", epsilon),
            Kind::Activation(activation) if fields.class() == "Activation" => {
                activation.describe_as(fields, "activation");
            }
            Kind::Activation(activation) => activation.describe(fields),
            Kind::AlphaDropout(dropout, noise_shape) => {
                fields.plain("rate", &mut dropout.rate);
                fields.plain("noise_shape", noise_shape);
                let mut fixed_point = [dropout.mean, dropout.variance];
                if fields.has("fixed_point", fixed_point != [0.0, 1.0]) {
                    fields.plain("fixed_point", &mut fixed_point);
                    [dropout.mean, dropout.variance] = fixed_point;
                }
            }
            Kind::Dropout(rate, noise_shape) => {
                fields.plain("rate", rate);
                fields.plain("noise_shape", noise_shape);
            }
        }
    }
}

impl Weighted {
    /// All but the weights, which are tensors of the file.
    fn describe(&mut self, fields: &mut Fields) {
        self.activation.describe_as(fields, "activation");
        fields.plain("use_bias", &mut self.use_bias);
        fields.object("kernel_initializer", &mut self.kernel_initializer);
        fields.object("bias_initializer", &mut self.bias_initializer);
        if fields.has("kernel_regularizer", self.kernel_regularizer.is_some()) {
            let write =
                |regularizer: &Option<Regularizer>| regularizer.as_ref().map(Object::write).into();
            let read = |found: Value, at: &str, problems: &mut Problems| match found {
                Value::Null => Some(None),
                _ => Regularizer::read(found, at, problems).map(Some),
            };
            fields.field(
                "kernel_regularizer",
                &mut self.kernel_regularizer,
                write,
                read,
            );
        }
    }
}

impl Sliding {
    fn describe(&mut self, fields: &mut Fields, size: &str) {
        fields.plain(size, &mut self.size);
        fields.plain("strides", &mut self.strides);
        let write = |padding: &Padding| match padding {
            Padding::Explicit { before, after } => json!([before, after]),
            padding => {
                let known = PADDINGS.iter().find(|(_, known)| known == padding);
                known.map(|(name, _)| *name).into()
            }
        };
        let read = |found: Value, at: &str, problems: &mut Problems| {
            let known = PADDINGS.iter().find(|(name, _)| found == *name);
            let explicit = <[[usize; 2]; 2]>::deserialize(&found).ok();
            let explicit = explicit.map(|[before, after]| Padding::Explicit { before, after });
            let padding = known.map(|(_, known)| *known).or(explicit);
            padding.or_else(|| refuse(&found, at, problems))
        };
        fields.field("padding", &mut self.padding, write, read);
    }
}

impl Object for Activation {
    const MODULE: &'static str = "keras.layers";

    fn class(&self) -> &'static str {
        self.named().map_or("", |(_, class, _)| class)
    }

    fn of_class(class: &str) -> Option<Self> {
        let known = activations().find(|(_, known, _)| *known == class);
        known.map(|(.., activation)| activation)
    }

    fn describe(&mut self, fields: &mut Fields) {
        match self {
            Self::SeluWith(selu) => {
                fields.plain("alpha", &mut selu.alpha);
                fields.plain("scale", &mut selu.scale);
            }
            Self::Elu(alpha) => fields.plain("alpha", alpha),
            Self::LeakyRelu(slope) => fields.plain("negative_slope", slope),
            Self::Gelu { approximate } => fields.plain("approximate", approximate),
            Self::Sine(frequency) => fields.plain("frequency", frequency),
            Self::Linear | Self::Selu | Self::Relu | Self::Sigmoid | Self::Tanh => {}
            Self::Silu | Self::Softplus | Self::Softmax => {}
        }
    }
}

impl Activation {
    fn named(&self) -> Option<Named> {
        activations().find(|(.., known)| discriminant(known) == discriminant(self))
    }

    /// A field that is a name if there are no parameters but the usual ones.
    fn describe_as(&mut self, fields: &mut Fields, key: &str) {
        let write = |activation: &Self| match activation.named() {
            Some((name, _, usual)) if usual == *activation => name.into(),
            _ => activation.write(),
        };
        let read = |found: Value, at: &str, problems: &mut Problems| {
            let known = activations().find(|(name, ..)| found == *name);
            match known {
                Some((.., activation)) => Some(activation),
                None if found.is_string() => refuse(&found, at, problems),
                None => Self::read(found, at, problems),
            }
        };
        fields.field(key, self, write, read);
    }
}

impl Object for Regularizer {
    const MODULE: &'static str = "keras.regularizers";

    fn class(&self) -> &'static str {
        match self {
            Self::L1(_) => "L1",
            Self::L2(_) => "L2",
            Self::L1L2 { .. } => "L1L2",
        }
    }

    fn of_class(class: &str) -> Option<Self> {
        let classes = [
            Self::L1(0.0),
            Self::L2(0.0),
            Self::L1L2 { l1: 0.0, l2: 0.0 },
        ];
        classes.into_iter().find(|known| known.class() == class)
    }

    fn describe(&mut self, fields: &mut Fields) {
        match self {
            Self::L1(l1) => fields.plain("l1", l1),
            Self::L2(l2) => fields.plain("l2", l2),
            Self::L1L2 { l1, l2 } => {
                fields.plain("l1", l1);
                fields.plain("l2", l2);
            }
        }
    }
}

/// All of them, by Keras's names: one that is missing does not compile.
macro_rules! initializers {
    ($($name:ident)*) => {
        impl Object for Initializer {
            const MODULE: &'static str = "keras.initializers";

            fn class(&self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            fn of_class(class: &str) -> Option<Self> {
                match class {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }

            fn describe(&mut self, _: &mut Fields) {}
        }
    };
}

initializers!(GlorotUniform LecunNormal LecunUniform HeNormal HeUniform GlorotNormal Zeros);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shader::files;

    #[test]
    fn every_activation_has_a_name_in_files() {
        let named: Vec<_> = activations()
            .map(|(.., activation)| activation)
            .chain([Activation::Gelu { approximate: true }])
            .filter_map(|activation| activation.elementwise("").unwrap())
            .map(|elementwise| elementwise.file.path)
            .collect();
        for kernel in files::ACTIVATIONS {
            assert!(named.contains(&kernel.path), "{}", kernel.path);
        }
    }
}
