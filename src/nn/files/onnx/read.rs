//! From a graph to layers: values in the order of the nodes, and all that can't be read.

use std::collections::BTreeMap;
use std::rc::Rc;

use hashbrown::{HashMap, HashSet};

use super::super::imported::Imported;
use super::chain::{Chain, Flow, Made, Order, check_size};
use super::constant::{Constant, Int};
use super::model::{self, Graph, Node, Tensor, ValueInfo};
use super::{operators, shapes};
use crate::nn::{Activation, Sequential};

pub(super) type Result<T> = std::result::Result<T, String>;

/// The most axes of a value.
const MAX_AXES: usize = 8;

/// The most problems that are listed.
const MAX_PROBLEMS: usize = 50;

/// Values of weights that no byte of the file need explain.
const FEW: usize = 1 << 16;

/// Reads what other files have: the location, the offset and the length give the bytes, and the whole file's length.
pub(super) type Files<'a> = dyn Fn(&str, u64, u64) -> Result<(Vec<u8>, u64)> + 'a;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(Rc<Constant>),
    Flow(Flow),
    /// Of a node that can't be read, which is in the list of problems.
    Unknown,
}

/// An input of an operator, none if it is [`Value::Unknown`].
pub(super) type Input = Option<Flow>;

pub(super) struct Reader<'a> {
    pub graph: &'a Graph<'a>,
    initializers: HashMap<&'a str, &'a Tensor<'a>>,
    values: HashMap<&'a str, Value>,
    pub chain: Chain,
    /// By their ids, values that have become a layer's output, and which.
    pub realized: HashMap<usize, usize>,
    pub ids: usize,
    /// The size of the batch, if the file fixes it.
    pub batch: Option<usize>,
    /// The node that is read.
    pub node: usize,
    /// By the names of constants, what they are the roots of.
    pub roots: HashMap<&'a str, Rc<Constant>>,
    /// Likewise of those roots that have a least value: the variances of a normalization.
    pub variances: HashMap<&'a str, Rc<Constant>>,
    files: &'a Files<'a>,
    opened: HashSet<&'a str>,
}

/// The network of a file.
pub(super) fn read(bytes: &[u8], files: &Files) -> Result<Imported> {
    let graph = model::read(bytes)?;
    let initializers = graph.initializers.iter();
    let mut reader = Reader {
        graph: &graph,
        initializers: initializers.map(|tensor| (tensor.name, tensor)).collect(),
        values: HashMap::new(),
        chain: Chain {
            shape: Vec::new(),
            layers: Vec::new(),
            version: 0,
            left: bytes.len().saturating_mul(4).saturating_add(FEW),
        },
        realized: HashMap::new(),
        ids: 0,
        batch: None,
        node: 0,
        roots: HashMap::new(),
        variances: HashMap::new(),
        files,
        opened: HashSet::new(),
    };
    if reader.initializers.len() != graph.initializers.len() {
        return Err("two initializers have one name".into());
    }
    let (output, needed) = reader.needed()?;
    let input_shape = reader.begin(output, &needed)?;
    let mut problems = Vec::new();
    let mut omitted = 0;
    for (place, node) in graph.nodes.iter().enumerate() {
        if !needed[place] {
            continue;
        }
        reader.node = place;
        let value = operators::value(&mut reader, node).unwrap_or_else(|problem| {
            if problems.len() < MAX_PROBLEMS {
                problems.push(format!("{}: {problem}", described(place, node)));
            } else {
                omitted += 1;
            }
            Value::Unknown
        });
        if let Some(&name) = node.outputs.first() {
            reader.values.insert(name, value);
        }
    }
    if omitted > 0 {
        problems.push(format!("and {omitted} more"));
    }
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    reader.end(output)?;
    let metadata = graph.metadata.iter();
    let metadata = metadata.map(|(&key, &value)| (key.into(), value.into()));
    Ok(Imported {
        metadata: metadata.collect(),
        ..imported(input_shape, reader.chain)
    })
}

pub(super) fn described(place: usize, node: &Node) -> String {
    let domain = match model::is_standard(node.domain) {
        true => String::new(),
        false => format!("{}.", node.domain),
    };
    let operator = node.operator;
    match node.name {
        "" => format!("node {place} ({domain}{operator})"),
        name => format!("node {place} {name:?} ({domain}{operator})"),
    }
}

/// Layers with the names of nodes, where those are names for layers, and Keras's default names.
fn imported(input_shape: Vec<usize>, chain: Chain) -> Imported {
    let mut layers = chain.layers;
    let mut taken = HashSet::new();
    for planned in &mut layers {
        let name = planned.layer.name.take();
        let is_name = |name: &String| !name.is_empty() && !name.contains('/');
        planned.layer.name = name.filter(|name| is_name(name) && taken.insert(name.clone()));
    }
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut builder = Sequential::new(input_shape);
    let mut weights = HashMap::new();
    for planned in layers {
        let mut layer = planned.layer;
        let default = layer.types().1;
        let name = layer.name.take().unwrap_or_else(|| {
            let number = numbers.entry(default).or_default();
            loop {
                let name = match *number {
                    0 => default.to_owned(),
                    number => format!("{default}_{number}"),
                };
                *number += 1;
                if taken.insert(name.clone()) {
                    break name;
                }
            }
        });
        let named = |(kind, values)| (format!("{name}/{kind}"), values);
        weights.extend(planned.weights.into_iter().map(named));
        builder = builder.add(layer.name(name));
    }
    Imported {
        builder,
        weights,
        training: None,
        metadata: BTreeMap::new(),
    }
}

impl<'a> Reader<'a> {
    /// The output that is read, and which nodes it needs.
    fn needed(&mut self) -> Result<(&'a str, Vec<bool>)> {
        let graph = self.graph;
        let mut makers: HashMap<&str, usize> = HashMap::new();
        // Others are masks and statistics.
        let mut firsts: HashSet<&str> = HashSet::new();
        let inputs: HashSet<_> = graph.inputs.iter().map(|input| input.name).collect();
        for (place, node) in graph.nodes.iter().enumerate() {
            firsts.extend(node.outputs.first().copied());
            for &name in node.outputs.iter().filter(|name| !name.is_empty()) {
                if makers.insert(name, place).is_some()
                    || self.initializers.contains_key(name)
                    || inputs.contains(name)
                {
                    return Err(format!(
                        "{}: its output {name:?} is there twice",
                        described(place, node)
                    ));
                }
            }
        }
        // Labels, and what is made of them, are integers or texts.
        let is_float = |output: &&ValueInfo| {
            let is_float = output.data_type.is_none_or(model::is_float);
            is_float && (firsts.contains(output.name) || !makers.contains_key(output.name))
        };
        let outputs: Vec<_> = graph
            .outputs
            .iter()
            .filter(is_float)
            .map(|output| output.name)
            .collect();
        let [output] = outputs[..] else {
            let with_maker = |output: &ValueInfo| match makers.get(output.name) {
                Some(&place) => format!(
                    "{:?} of {}",
                    output.name,
                    described(place, &graph.nodes[place])
                ),
                None => format!("{:?}", output.name),
            };
            let all = graph.outputs.iter().take(MAX_PROBLEMS).map(with_maker);
            return Err(format!(
                "a network here has one output of floats, the first of its node; of those the file has {}. Its outputs are {}",
                outputs.len(),
                all.collect::<Vec<_>>().join(", "),
            ));
        };
        if !inputs.contains(output) && !makers.contains_key(output) {
            return Err(format!("no node gives its output {output:?}"));
        }
        let mut needed = vec![false; graph.nodes.len()];
        let mut names = vec![output];
        while let Some(name) = names.pop() {
            let Some(&place) = makers.get(name) else {
                continue;
            };
            if let Some(flag) = needed.get_mut(place).filter(|flag| !**flag) {
                *flag = true;
                names.extend(
                    graph.nodes[place]
                        .inputs
                        .iter()
                        .filter(|name| !name.is_empty()),
                );
            }
        }
        Ok((output, needed))
    }

    /// The graph's input. Returns its shape here.
    fn begin(&mut self, output: &str, needed: &[bool]) -> Result<Vec<usize>> {
        let nodes = self
            .graph
            .nodes
            .iter()
            .zip(needed)
            .filter(|(_, needed)| **needed);
        let used: HashSet<&str> = nodes
            .flat_map(|(node, _)| &node.inputs)
            .copied()
            .chain([output])
            .collect();
        let is_input = |name: &str| used.contains(name) && !self.initializers.contains_key(name);
        let inputs: Vec<_> = self
            .graph
            .inputs
            .iter()
            .filter(|input| is_input(input.name))
            .collect();
        let [input] = inputs[..] else {
            let names = inputs.iter().take(MAX_PROBLEMS).map(|input| input.name);
            return Err(format!(
                "a network here has one input, the file has {}: {}",
                inputs.len(),
                names.collect::<Vec<_>>().join(", "),
            ));
        };
        let name = input.name;
        let shape = input.shape.as_deref().unwrap_or_default();
        let Some((batch, shape)) = shape.split_first() else {
            return Err(format!(
                "its input {name:?} has no shape, or no axis for the batch"
            ));
        };
        let sample: Option<Vec<usize>> = shape.iter().copied().collect();
        let sample = sample.filter(|sample| sample.len() <= MAX_AXES);
        let Some(shape) = sample else {
            return Err(format!(
                "the shape of its input {name:?} must be known but for the batch, which comes first"
            ));
        };
        check_size(&shape)?;
        self.batch = *batch;
        let mut order = Order::Same;
        self.chain.shape = shape.clone();
        let first = self
            .graph
            .nodes
            .iter()
            .zip(needed)
            .find(|(node, needed)| **needed && operators::says_order(node));
        if shape.len() > 1
            && first.is_some_and(|(node, _)| operators::is_channels_first(self, node))
        {
            order = Order::ChannelsFirst;
            self.chain.shape.rotate_left(1);
        }
        let flow = Flow {
            node: 0,
            id: 0,
            base: 0,
            shape,
            merged: false,
            order,
            made: Made::Output,
        };
        self.values.insert(name, Value::Flow(flow));
        Ok(self.chain.shape.clone())
    }

    fn end(&mut self, output: &'a str) -> Result<()> {
        let Some(Value::Flow(flow)) = self.values.get(output).cloned() else {
            return Err(format!(
                "its output {output:?} does not depend on its input"
            ));
        };
        let node = flow.node;
        let at = |problem| format!("{}: {problem}", described(node, &self.graph.nodes[node]));
        let flow = self.realize(flow);
        let flow = match flow {
            Ok(flow) => flow,
            Err(problem) if self.graph.nodes.is_empty() => return Err(problem),
            Err(problem) => return Err(at(problem)),
        };
        if let Order::Flattened(shape) = &flow.order {
            return Err(format!(
                "its output is an image of the shape {shape:?} flattened with the channels first; here they come last"
            ));
        }
        if flow.order == Order::ChannelsFirst && flow.shape.len() != 3 {
            return Err(format!(
                "its output {:?} has axes in another order; only images come with their channels first",
                flow.shape
            ));
        }
        if !flow.merged {
            self.chain.settle(&flow)?;
        }
        if self.chain.layers.is_empty() {
            self.chain.activate(Activation::Linear)?;
        }
        Ok(())
    }

    /// What a name stands for, and None if there is no such name, or not yet.
    pub fn lookup(&mut self, name: &'a str) -> Result<Value> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        if let Some(&tensor) = self.initializers.get(name) {
            return self
                .tensor(tensor)
                .map(|constant| Value::Constant(constant.into()));
        }
        Err(format!("no node before it gives its input {name:?}"))
    }

    /// Whether a node needs something that can't be read, and has no input but that and constants.
    pub fn lacks_constants(&self, node: &Node) -> bool {
        let mut values = node.inputs.iter().filter_map(|&name| self.values.get(name));
        let is_flow = |value: &Value| matches!(value, Value::Flow(_));
        let lacks = values.clone().any(|value| matches!(value, Value::Unknown));
        lacks && !values.any(is_flow) && shapes::is_of_constants(node)
    }

    /// What a name stands for if that is a constant.
    pub fn known_value(&mut self, name: &'a str) -> Option<Result<Rc<Constant>>> {
        match self.values.get(name) {
            Some(Value::Constant(constant)) => Some(Ok(constant.clone())),
            Some(_) => None,
            None => {
                let &tensor = self.initializers.get(name)?;
                Some(self.tensor(tensor).map(Rc::new))
            }
        }
    }

    /// The values of a tensor.
    pub fn tensor(&mut self, tensor: &Tensor<'a>) -> Result<Constant> {
        // It is read each time that a node needs it.
        self.chain.take(tensor.size() / 4)?;
        if tensor.shape.len() > MAX_AXES {
            return Err(format!("{:?} has more than {MAX_AXES} axes", tensor.name));
        }
        let raw = match tensor.external()? {
            None => None,
            Some(external) => {
                let (bytes, len) = (self.files)(external.location, external.offset, external.len)?;
                if self.opened.insert(external.location) {
                    let len = usize::try_from(len).unwrap_or(usize::MAX);
                    self.chain.left = self.chain.left.saturating_add(len.saturating_mul(4));
                }
                self.chain.take(bytes.len() / 4)?;
                Some(bytes)
            }
        };
        let raw = raw.as_deref();
        let shape = tensor.shape.clone();
        let constant = match tensor.is_float() {
            true => Constant::floats(shape, tensor.floats(raw)?),
            false => {
                let ints = tensor.ints(raw)?.into_iter().map(Int::Known);
                Constant::ints(shape, ints.collect())?
            }
        };
        self.chain.take(constant.len() + constant.shape.len())?;
        Ok(constant)
    }

    /// An input that must be known before the network runs; None if there is none.
    pub fn constant(&mut self, node: &Node<'a>, position: usize) -> Result<Option<Rc<Constant>>> {
        let Some(name) = node.input(position) else {
            return Ok(None);
        };
        match self.lookup(name)? {
            Value::Constant(constant) => Ok(Some(constant)),
            Value::Flow(_) => Err(format!("its input {name:?} must be a constant")),
            Value::Unknown => Ok(None),
        }
    }

    pub fn floats(&mut self, node: &Node<'a>, position: usize) -> Result<Option<Rc<Constant>>> {
        let constant = self.constant(node, position)?;
        match constant.as_ref().map(|constant| constant.as_floats()) {
            Some(None) => Err("its constants are integers".into()),
            _ => Ok(constant),
        }
    }

    pub fn known(&mut self, node: &Node<'a>, position: usize) -> Result<Option<Vec<i64>>> {
        self.constant(node, position)?
            .map(|constant| constant.known())
            .transpose()
    }

    /// An input that depends on the network's.
    pub fn flow(&mut self, node: &Node<'a>, position: usize) -> Result<Input> {
        let name = node.input(position).ok_or("it has no input")?;
        match self.lookup(name)? {
            Value::Flow(flow) => Ok(Some(self.current(flow))),
            Value::Unknown => Ok(None),
            Value::Constant(_) => Err(format!(
                "its input {name:?} does not depend on the network's"
            )),
        }
    }

    /// An input, as a layer's output.
    pub fn output(&mut self, node: &Node<'a>, position: usize) -> Result<Input> {
        let flow = self.flow(node, position)?;
        flow.map(|flow| self.realize(flow)).transpose()
    }
}
