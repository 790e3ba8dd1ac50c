//! Layers as Keras 2 and Keras 3 write them, in the one form that [`config`](super::super::config) reads.

use hashbrown::{HashMap, HashSet};
use serde_json::{Map, Value, json};

use super::super::fields::{Object, Problems, refuse, refuse_others};
use crate::nn::layers::Kind;
use crate::nn::network::Network;
use crate::nn::{Initializer, Layer, Padding, Sequential, SequentialBuilder};
use crate::tensor::count;

/// Values that weights may have beyond the file's bytes: one mean can stand for those of all features.
const FEW: usize = 1 << 16;

/// Of models within models: each makes the places of all problems within it longer.
const MAX_DEPTH: usize = 8;

/// What is computed in another type there is computed in f32 here.
const DTYPES: [&str; 6] = [
    "float32",
    "float16",
    "bfloat16",
    "float64",
    "mixed_float16",
    "mixed_bfloat16",
];

/// A network, and where the weights of its layers are in Keras's files.
pub(super) struct Model {
    pub builder: SequentialBuilder,
    /// One for each layer.
    pub places: Vec<Place>,
}

/// Where a layer's weights are.
pub(super) struct Place {
    /// The group in Keras 3's files, whose name is that of the class: `layers/dense_1`.
    pub path: String,
    /// The number of the layer, or of that which it is within, which has a group in Keras 2's files.
    pub part: usize,
}

/// The model that is at `at`, in a file with this many bytes of weights, or all that is wrong with it.
pub(super) fn read(found: Value, at: &str, bytes: usize) -> Result<Model, String> {
    let mut reader = Reader {
        model: Model {
            builder: Sequential::new([]),
            places: Vec::new(),
        },
        problems: Problems::new(),
        shapes: None,
        names: HashSet::new(),
        padding: None,
        values: bytes.saturating_add(FEW),
    };
    reader.find_input(&found);
    reader.model(found, at, None);
    if let Some((_, at)) = reader.padding.take() {
        reader.refuse_padding(&at);
    }
    match reader.problems.is_empty() {
        true => Ok(reader.model),
        false => Err(reader.problems.join("; ")),
    }
}

/// Where the weights of a network's layers are that is not from Keras.
pub(super) fn places(layers: &[Layer]) -> Vec<Place> {
    let mut numbers = Numbers::default();
    let place = |(part, layer): (usize, &Layer)| {
        let path = numbers.path("", layer.types().1);
        Place { path, part }
    };
    layers.iter().enumerate().map(place).collect()
}

/// How many layers of each class a model has had so far, which is what Keras 3 names groups by.
#[derive(Default)]
struct Numbers(HashMap<String, usize>);

impl Numbers {
    fn path(&mut self, model: &str, class: &str) -> String {
        let number = self.0.entry(class.into()).or_default();
        *number += 1;
        match *number {
            1 => format!("{model}layers/{class}"),
            number => format!("{model}layers/{class}_{}", number - 1),
        }
    }
}

/// Reads layer by layer.
struct Reader {
    model: Model,
    problems: Problems,
    /// The network so far, as long as there can be one.
    shapes: Option<Network>,
    names: HashSet<String>,
    /// A padding that is the next layer's, and where it is.
    padding: Option<(Padding, String)>,
    /// How many values more the weights may have.
    values: usize,
}

impl Reader {
    /// The shape of the input, wherever this version of Keras has written it.
    fn find_input(&mut self, model: &Value) {
        let config = &model["config"];
        let layers = config["layers"].as_array().or(config.as_array());
        let first = layers.and_then(|layers| {
            let is_input = |layer: &&Value| layer["class_name"] == "InputLayer";
            layers.iter().find(is_input).or(layers.first())
        });
        let mut shapes = vec![
            &model["build_config"]["input_shape"],
            &config["build_input_shape"],
        ];
        if let Some(first) = first {
            if is_model(&first["class_name"]) && config.get("input_layers").is_none() {
                return self.find_input(first);
            }
            shapes.insert(0, &first["config"]["batch_shape"]);
            shapes.insert(1, &first["config"]["batch_input_shape"]);
        }
        let Some(shape) = shapes.into_iter().find(|shape| !shape.is_null()) else {
            let problem = "the shape of its input is not in the file: build it before it is saved";
            return self.problems.push(problem.into());
        };
        let layers = json!([{
            "class_name": "InputLayer",
            "config": {"name": "input_layer", "batch_shape": shape},
        }]);
        let sequential = json!({
            "class_name": "Sequential",
            "config": {"name": "sequential", "layers": layers},
        });
        let input = SequentialBuilder::read(sequential, "the input", &mut self.problems);
        if let Some(input) = input.filter(|_| self.problems.is_empty()) {
            let count = count(&input.input_shape);
            self.shapes = count.is_ok().then(|| Network::of_input(&input.input_shape));
            self.model.builder = input;
        }
    }

    /// Adds the layers of a model, which may be a layer of another, with a place there.
    fn model(&mut self, found: Value, at: &str, within: Option<&Place>) {
        let Value::Object(mut found) = found else {
            refuse::<()>(&found, at, &mut self.problems);
            return;
        };
        refuse_others(&found, at, &mut self.problems);
        let class = found.remove("class_name").unwrap_or_default();
        if !is_model(&class) {
            refuse::<()>(&class, &format!("{at}.class_name"), &mut self.problems);
            return;
        }
        let mut config = found.remove("config").unwrap_or_default();
        let layers = match &mut config {
            Value::Array(layers) => std::mem::take(layers),
            config => match config.get_mut("layers").map(Value::take) {
                Some(Value::Array(layers)) => layers,
                _ => {
                    let problem = format!("{at}.config has no layers");
                    return self.problems.push(problem);
                }
            },
        };
        let at = format!("{at}.config.layers");
        // In a sequence of layers each has the one before as its input.
        let order = match config.get("output_layers") {
            None => (0..layers.len()).collect(),
            Some(outputs) => match chain(&layers, outputs, &at, &mut self.problems) {
                Some(order) => order,
                // What else is wrong with them.
                None => (0..layers.len()).collect(),
            },
        };
        let is_frozen = config.get("trainable") == Some(&Value::Bool(false));
        let model = within.map_or_else(String::new, |place| format!("{}/", place.path));
        if model.matches("layers/").count() > MAX_DEPTH {
            let problem = format!("{at}: models within models, more than {MAX_DEPTH} deep");
            return self.problems.push(problem);
        }
        let mut numbers = Numbers::default();
        let mut paths = Vec::new();
        for layer in &layers {
            let class = layer["class_name"].as_str().unwrap_or_default();
            paths.push(numbers.path(&model, snake_case(class)));
        }
        let mut layers: Vec<_> = layers.into_iter().zip(paths).map(Some).collect();
        for (number, index) in order.into_iter().enumerate() {
            let Some((layer, path)) = layers.get_mut(index).and_then(Option::take) else {
                continue;
            };
            let at = format!("{at}[{index}]");
            let before = self.model.builder.layers.len();
            let part = within.map_or(number, |place| place.part);
            let place = Place { path, part };
            match is_model(&layer["class_name"]) {
                true => self.model(layer, &at, Some(&place)),
                false => self.layer(layer, &at, place),
            }
            if is_frozen {
                let added = self.model.builder.layers.iter_mut().skip(before);
                added.for_each(|layer| layer.trainable = false);
            }
        }
    }

    fn layer(&mut self, found: Value, at: &str, place: Place) {
        let Value::Object(mut found) = found else {
            refuse::<()>(&found, at, &mut self.problems);
            return;
        };
        let class = found.get("class_name").and_then(Value::as_str);
        let class = class.unwrap_or_default().to_owned();
        if class == "InputLayer" {
            return;
        }
        refuse_others(&found, at, &mut self.problems);
        let mut config = match found.remove("config") {
            Some(Value::Object(config)) => config,
            other => {
                let other = other.unwrap_or_default();
                refuse::<()>(&other, &format!("{at}.config"), &mut self.problems);
                return;
            }
        };
        let class = match &class[..] {
            "ZeroPadding2D" => return self.zero_padding(&config, at),
            // Dropout of whole channels.
            "SpatialDropout2D" => {
                config.insert("noise_shape".into(), json!([null, 1, 1, null]));
                "Dropout"
            }
            class => class,
        };
        let shape = self.shapes.as_ref().map(|network| network.output_shape());
        let shape = shape.map(<[usize]>::to_vec);
        let moments = self.moments(class, &mut config, shape.as_deref(), at);
        in_one_form(class, &mut config, shape.as_deref());
        let found = json!({"class_name": class, "config": config});
        let before = self.problems.len();
        let read = Layer::read(found, at, &mut self.problems);
        let Some(mut layer) = read.filter(|_| self.problems.len() == before) else {
            self.padding = None;
            self.shapes = None;
            return;
        };
        if let Some(moments) = moments {
            layer.kind = Kind::Normalization(Some(moments));
        }
        self.pad(&mut layer);
        self.add(layer, at, place);
    }

    fn zero_padding(&mut self, config: &Map<String, Value>, at: &str) {
        let padding = config.get("padding").cloned().unwrap_or_default();
        let is_usual = config
            .get("data_format")
            .is_none_or(|format| format.is_null() || format == "channels_last");
        match serde_json::from_value::<[[usize; 2]; 2]>(padding) {
            Ok([[top, bottom], [left, right]]) if is_usual && self.padding.is_none() => {
                let padding = Padding::Explicit {
                    before: [top, left],
                    after: [bottom, right],
                };
                self.padding = Some((padding, at.into()));
            }
            _ => self.refuse_padding(at),
        }
    }

    fn refuse_padding(&mut self, at: &str) {
        let problem =
            format!("{at} is ZeroPadding2D, which is possible only before a valid Conv2D");
        self.problems.push(problem);
    }

    /// Gives the padding before a layer to it.
    fn pad(&mut self, layer: &mut Layer) {
        let Some((padding, at)) = self.padding.take() else {
            return;
        };
        match &mut layer.kind {
            Kind::Conv2d { window, .. } if window.padding == Padding::Valid => {
                window.padding = padding;
            }
            _ => self.refuse_padding(&at),
        }
    }

    /// The means and variances that a normalization is given in its config.
    fn moments(
        &mut self,
        class: &str,
        config: &mut Map<String, Value>,
        shape: Option<&[usize]>,
        at: &str,
    ) -> Option<[Vec<f32>; 2]> {
        if class != "Normalization" || config.get("mean").is_none_or(Value::is_null) {
            return None;
        }
        let columns = *shape?.last()?;
        if columns > self.values {
            return None;
        }
        let given = ["mean", "variance"].map(|key| {
            let found = config.insert(key.into(), Value::Null).unwrap_or_default();
            let values = numbers(&found).filter(|values| [1, columns].contains(&values.len()));
            if values.is_none() {
                refuse::<()>(&found, &format!("{at}.{key}"), &mut self.problems);
            }
            let values = values?;
            Some(match values[..] {
                [one] => vec![one; columns],
                _ => values,
            })
        });
        match given {
            [Some(mean), Some(variance)] => Some([mean, variance]),
            _ => None,
        }
    }

    fn add(&mut self, mut layer: Layer, at: &str, place: Place) {
        // Names are unique in a model, and models can be in one another. In Keras 2 they may have a slash.
        let given = layer.name.clone().unwrap_or_default().replace('/', "_");
        let mut name = given.clone();
        let inner = place.path.split('/').rev().nth(2).unwrap_or_default();
        let mut number = 0;
        while self.names.contains(&name) {
            name = match number {
                0 => format!("{inner}_{given}"),
                number => format!("{inner}_{given}_{number}"),
            };
            number += 1;
        }
        self.names.insert(name.clone());
        layer.name = Some(name).filter(|name| !name.is_empty());
        if let Some(network) = &mut self.shapes {
            let values = values_of(&layer, network.output_shape());
            let left = values.and_then(|values| self.values.checked_sub(values));
            match left {
                None => {
                    let problem = format!("{at} has more weights than the file has room for");
                    self.problems.push(problem);
                    self.shapes = None;
                }
                Some(left) => {
                    self.values = left;
                    let name = layer.name.clone().unwrap_or_default();
                    // Whoever builds the network says why there is none.
                    if network.add(name, &layer, 0, true).is_err() {
                        self.shapes = None;
                    }
                }
            }
        }
        self.model.builder.layers.push(layer);
        self.model.places.push(place);
    }
}

/// Values of a layer's weights on an input of a shape, if they can be counted.
fn values_of(layer: &Layer, shape: &[usize]) -> Option<usize> {
    let last = shape.last().copied().unwrap_or(1);
    let (kernel, outputs) = match &layer.kind {
        Kind::Dense { units, .. } => (last.checked_mul(*units)?, *units),
        Kind::Conv2d {
            filters, window, ..
        } => {
            let [height, width] = window.size;
            let window = height.checked_mul(width)?.checked_mul(last)?;
            (window.checked_mul(*filters)?, *filters)
        }
        Kind::Normalization(_) => (0, last.checked_mul(2)?),
        Kind::LayerNormalization { .. } => (0, last.checked_mul(2)?),
        Kind::BatchNormalization { .. } => (0, last.checked_mul(4)?),
        _ => (0, 0),
    };
    kernel.checked_add(outputs)
}

fn is_model(class: &Value) -> bool {
    ["Sequential", "Functional", "Model"]
        .into_iter()
        .any(|model| class == model)
}

/// Of the classes that count, those with weights and models.
fn snake_case(class: &str) -> &str {
    match class {
        "Dense" => "dense",
        "Conv2D" => "conv2d",
        "Normalization" => "normalization",
        "BatchNormalization" => "batch_normalization",
        "LayerNormalization" => "layer_normalization",
        "Sequential" => "sequential",
        "Functional" => "functional",
        "Model" => "model",
        other => other,
    }
}

/// The order of layers in which each is the only input of the next, from the input to the output.
fn chain(
    layers: &[Value],
    outputs: &Value,
    at: &str,
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    let before = problems.len();
    let mut by_name = HashMap::new();
    for (index, layer) in layers.iter().enumerate() {
        let name = layer["name"].as_str().or(layer["config"]["name"].as_str());
        by_name.insert(name.unwrap_or_default(), index);
    }
    // ["dense", 0, 0], or a list of such.
    let output = match outputs.as_array().map(Vec::as_slice) {
        Some([name, ..]) if name.is_string() => name.as_str(),
        Some([tensor]) => tensor[0].as_str(),
        _ => None,
    };
    let inputs: Vec<_> = layers
        .iter()
        .enumerate()
        .map(|(index, layer)| inbound(layer, &format!("{at}[{index}]"), problems))
        .collect();
    let mut order = Vec::new();
    let mut next = output;
    while let Some(name) = next {
        let found = by_name.remove(name);
        let Some(index) = found else {
            let problem = format!("{at}: {name:?} is there twice on one way, or not at all");
            problems.push(problem);
            return None;
        };
        order.push(index);
        next = inputs[index].as_deref();
    }
    if order.is_empty() {
        problems.push(format!("{at}: it has no output, or several"));
    }
    let beside = by_name.into_values();
    for index in beside.filter(|&index| layers[index]["class_name"] != "InputLayer") {
        problems.push(format!(
            "{at}[{index}] is beside the way from the input to the output, where nothing is possible"
        ));
    }
    order.reverse();
    (problems.len() == before).then_some(order)
}

/// The name of a layer's input, unless it is the model's.
fn inbound(layer: &Value, at: &str, problems: &mut Problems) -> Option<String> {
    let nodes = layer["inbound_nodes"].as_array();
    let node = match nodes.map(Vec::as_slice) {
        None | Some([]) => return None,
        Some([node]) => node,
        Some(nodes) => {
            let calls = nodes.len();
            problems.push(format!(
                "{at} is called {calls} times, once is possible here"
            ));
            return None;
        }
    };
    // Keras 3 has arguments, which are tensors with a history; Keras 2 a list of [name, node, tensor, arguments].
    let (name, arguments) = match node {
        Value::Object(node) => {
            let arguments = node.get("args").and_then(Value::as_array);
            let history = match arguments.map(Vec::as_slice) {
                Some([tensor]) => &tensor["config"]["keras_history"],
                _ => &Value::Null,
            };
            (&history[0], node.get("kwargs"))
        }
        Value::Array(tensors) => match &tensors[..] {
            [tensor] => (&tensor[0], tensor.get(3)),
            _ => (&Value::Null, None),
        },
        _ => (&Value::Null, None),
    };
    for (key, value) in arguments.and_then(Value::as_object).into_iter().flatten() {
        if !value.is_null() && value != false {
            refuse::<()>(value, &format!("{at}.inbound_nodes: {key}"), problems);
        }
    }
    if !name.is_string() {
        problems.push(format!(
            "{at} has several inputs, or none that is a layer; one is possible here"
        ));
    }
    name.as_str().map(str::to_owned)
}

/// Options that are the same in other words, and those that mean nothing here.
fn in_one_form(class: &str, config: &mut Map<String, Value>, shape: Option<&[usize]>) {
    let is_dtype = |dtype: &Value| {
        let name = dtype.as_str().or(dtype["config"]["name"].as_str());
        dtype.is_null() || name.is_some_and(|name| DTYPES.contains(&name))
    };
    if config.get("dtype").is_some_and(is_dtype) {
        config.remove("dtype");
    }
    config.remove("batch_input_shape");
    config.entry("trainable").or_insert(Value::Bool(true));
    for name in ["beta", "gamma", "moving_mean", "moving_variance"] {
        config.remove(&format!("{name}_initializer"));
    }
    // The values are in the file; others could only be drawn anew.
    let usual = [
        ("kernel_initializer", Initializer::GlorotUniform),
        ("bias_initializer", Initializer::Zeros),
    ];
    for (key, usual) in usual {
        if let Some(found) = config.get_mut(key) {
            let class = found["class_name"].as_str().unwrap_or_default();
            *found = Initializer::of_class(class).unwrap_or(usual).write();
        }
    }
    if let Some(activation) = config.get_mut("activation") {
        activation_in_one_form(activation);
    }
    let last = shape.map(<[usize]>::len);
    if let Some(axis) = config.get("axis") {
        let axis = match axis.as_array().map(Vec::as_slice) {
            Some([axis]) => axis,
            _ => axis,
        };
        let is_last = last.is_some_and(|last| axis.as_u64() == Some(last as u64));
        if is_last || axis.as_i64() == Some(-1) {
            config.remove("axis");
        }
    }
    match class {
        "LeakyReLU" => {
            if let Some(alpha) = config.remove("alpha") {
                config.insert("negative_slope".into(), alpha);
            }
        }
        "AlphaDropout" => {
            config.entry("noise_shape").or_insert(Value::Null);
        }
        "Reshape" => {
            if let (Some(Value::Array(target)), Some(shape)) =
                (config.get_mut("target_shape"), shape)
            {
                infer(target, shape);
            }
        }
        _ => {}
    }
}

/// A name for a function, or a layer with parameters.
fn activation_in_one_form(activation: &mut Value) {
    // So the first versions write their own. Later ones write a name, and this of a user's.
    if activation["class_name"] == "function" && activation.get("module").is_none() {
        *activation = activation["config"].take();
    }
    if activation.is_null() {
        *activation = "linear".into();
    } else if activation == "swish" {
        *activation = "silu".into();
    }
    let Value::Object(object) = activation else {
        return;
    };
    let known = ["class_name", "config", "module", "registered_name"];
    object.retain(|key, _| known.contains(&&key[..]));
    let class = object.get("class_name").and_then(Value::as_str);
    let class = class.unwrap_or_default().to_owned();
    if let Some(Value::Object(config)) = object.get_mut("config") {
        in_one_form(&class, config, None);
    }
}

/// Replaces the extent of -1, if there is one, by what is left for it.
fn infer(target: &mut [Value], shape: &[usize]) {
    let product = |product: usize, extent: usize| product.checked_mul(extent);
    let all = shape.iter().copied().try_fold(1, product);
    let others = target.iter().filter(|extent| **extent != -1);
    let others: Option<Vec<_>> = others
        .map(|extent| usize::try_from(extent.as_u64()?).ok())
        .collect();
    let others = others.and_then(|others| others.into_iter().try_fold(1, product));
    let (Some(all), Some(others)) = (all, others) else {
        return;
    };
    let mut open = target.iter_mut().filter(|extent| **extent == -1);
    if let (Some(extent), None) = (open.next(), open.next())
        && let Some(left) = all.checked_div(others)
    {
        *extent = left.into();
    }
}

/// A number, or all numbers in a list of lists.
fn numbers(found: &Value) -> Option<Vec<f32>> {
    match found {
        Value::Array(found) => {
            let all: Option<Vec<_>> = found.iter().map(numbers).collect();
            all.map(|all| all.concat())
        }
        found => found.as_f64().map(|number| vec![number as f32]),
    }
}
