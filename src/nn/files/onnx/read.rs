//! From a graph to layers: values in the order of the nodes, and all that can't be read.

use std::rc::Rc;

use hashbrown::{HashMap, HashSet};

use super::super::imported::Imported;
use super::chain::{Affine, Chain, Flow, Made, Numbers, Order};
use super::constant::{Constant, Int};
use super::model::{self, Graph, Node, Tensor, ValueInfo};
use super::norm::Norm;
use super::term::{Binary, Kind as TermKind, Term, Unary, decimal};
use super::{elementwise, operators, shapes};
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
    realized: HashMap<usize, usize>,
    ids: usize,
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
    let end = match problems.is_empty() {
        true => reader.end(output),
        false => Err(problems.join("; ")),
    };
    end?;
    Ok(imported(input_shape, reader.chain))
}

fn described(place: usize, node: &Node) -> String {
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
    }
}

impl<'a> Reader<'a> {
    /// The output that is read, and which nodes it needs.
    fn needed(&mut self) -> Result<(&'a str, Vec<bool>)> {
        let graph = self.graph;
        let mut makers: HashMap<&str, usize> = HashMap::new();
        // Others are masks and statistics.
        let mut firsts: HashSet<&str> = HashSet::new();
        for (place, node) in graph.nodes.iter().enumerate() {
            firsts.extend(node.outputs.first().copied());
            for &name in node.outputs.iter().filter(|name| !name.is_empty()) {
                if makers.insert(name, place).is_some() || self.initializers.contains_key(name) {
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
            return Err(format!(
                "a network here has one output of floats, the file has {}: {}",
                outputs.len(),
                outputs
                    .iter()
                    .take(MAX_PROBLEMS)
                    .copied()
                    .collect::<Vec<_>>()
                    .join(", "),
            ));
        };
        let is_input = graph.inputs.iter().any(|input| input.name == output);
        if !is_input && !makers.contains_key(output) {
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
        let len = shape
            .iter()
            .try_fold(1usize, |len, &extent| len.checked_mul(extent));
        if len.is_none_or(|len| len > u32::MAX as usize) {
            return Err(format!("its input {name:?} is too large: {shape:?}"));
        }
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
            self.chain.activate(Activation::Linear);
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
        let raw = match tensor.external()? {
            None => None,
            Some(external) => {
                let (bytes, len) = (self.files)(external.location, external.offset, external.len)?;
                if self.opened.insert(external.location) {
                    let len = usize::try_from(len).unwrap_or(usize::MAX);
                    self.chain.left = self.chain.left.saturating_add(len.saturating_mul(4));
                }
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

    /// If it has become a layer's output, it is that.
    pub fn current(&self, mut flow: Flow) -> Flow {
        if let Some(&version) = self.realized.get(&flow.id) {
            flow.base = version;
            flow.made = Made::Output;
        }
        flow
    }

    /// A new value.
    pub fn made(&mut self, like: Flow, made: Made) -> Flow {
        self.ids += 1;
        Flow {
            node: self.node,
            id: self.ids,
            made,
            ..like
        }
    }

    /// The last layer's output, of a shape that it has now.
    pub fn pushed(&mut self, like: Flow, shape: Vec<usize>, order: Order) -> Flow {
        let flow = self.made(like, Made::Output);
        Flow {
            base: self.chain.version,
            shape,
            order,
            ..flow
        }
    }

    /// Adds the layers that a value is.
    pub fn realize(&mut self, flow: Flow) -> Result<Flow> {
        let mut flow = self.current(flow);
        if flow.base != self.chain.version {
            return Err(
                "its input is used by a layer before it, too: here there is one layer after the other"
                    .into(),
            );
        }
        let graph = self.graph;
        let name = || graph.nodes.get(flow.node).map(|node| node.name.to_owned());
        match &flow.made {
            Made::Output => return Ok(flow),
            Made::Term(term) => self.realize_term(term)?,
            Made::Affine(affine) => self.chain.affine(affine)?,
            Made::Normalized(moments) => self.chain.normalize(moments.clone(), name())?,
            Made::Norm(Norm::Normal(epsilon, gamma, beta)) => {
                let scales = [gamma.clone(), beta.clone()];
                self.chain
                    .layer_normalize(decimal(*epsilon as f32), scales, name())?;
            }
            Made::Padded(_) => {
                return Err(
                    "its input is padded with zeros, which only a convolution can be".into(),
                );
            }
            Made::Norm(_) => return Err("means and variances of its input are no layer".into()),
        }
        self.realized.insert(flow.id, self.chain.version);
        flow.base = self.chain.version;
        flow.made = Made::Output;
        Ok(flow)
    }

    pub fn realize_term(&mut self, term: &Rc<Term>) -> Result<()> {
        if matches!(term.kind, TermKind::X) {
            return Ok(());
        }
        if let Some(affine) = affine(term) {
            return self.chain.affine(&affine);
        }
        if let Some((activation, inner)) = term.activation() {
            self.realize_term(&inner)?;
            self.chain.activate(activation);
            return Ok(());
        }
        let (inner, outer) = match &term.kind {
            TermKind::Unary(unary, inner) => {
                (inner, TermKind::Unary(*unary, Term::new(TermKind::X)))
            }
            TermKind::Binary(binary, inner, number) if is_number(number) => (
                inner,
                TermKind::Binary(*binary, Term::new(TermKind::X), number.clone()),
            ),
            TermKind::Binary(binary, number, inner) if is_number(number) => (
                inner,
                TermKind::Binary(*binary, number.clone(), Term::new(TermKind::X)),
            ),
            _ => return Err(NO_ACTIVATION.into()),
        };
        let Some(affine) = affine(&Term::new(outer)) else {
            return Err(NO_ACTIVATION.into());
        };
        self.realize_term(inner)?;
        self.chain.affine(&affine)
    }

    /// A function of one number, of another value.
    pub fn apply(&mut self, flow: Flow, kind: impl FnOnce(Rc<Term>) -> TermKind) -> Result<Flow> {
        let flow = self.as_term(flow, true)?;
        let term = term_of(&flow)?;
        let term = Term::new(kind(term));
        self.term(flow, term)
    }

    fn term(&mut self, like: Flow, term: Rc<Term>) -> Result<Flow> {
        if term.is_too_large() {
            return Err(NO_ACTIVATION.into());
        }
        Ok(self.made(like, Made::Term(term)))
    }

    /// As a term, or as a layer's output if it is none, or if it is an activation and `whole`.
    pub fn as_term(&mut self, flow: Flow, whole: bool) -> Result<Flow> {
        match &flow.made {
            Made::Output => self.realize(flow),
            Made::Term(term) => match &term.kind {
                TermKind::Activation(..) if whole => self.realize(flow),
                _ if term.is_nearly_too_large() => self.realize(flow),
                _ => Ok(flow),
            },
            _ => self.realize(flow),
        }
    }

    pub fn unary(&mut self, flow: Flow, unary: Unary) -> Result<Flow> {
        if let Made::Norm(norm) = &flow.made
            && let Some(norm) = norm.clone().unary(unary)
        {
            return Ok(self.made(flow, Made::Norm(norm)));
        }
        self.apply(flow, |term| TermKind::Unary(unary, term))
    }

    /// Of a value and constants, which come first or not.
    pub fn with_constant(
        &mut self,
        binary: Binary,
        flow: Flow,
        constant: &Constant,
        is_first: bool,
    ) -> Result<Flow> {
        let numbers = self.numbers(&flow, constant)?;
        if let Made::Norm(norm) = &flow.made
            && let Some(norm) = norm.clone().with(binary, &numbers, is_first)
        {
            return Ok(self.made(flow, Made::Norm(norm)));
        }
        if let [number] = numbers[..] {
            let number = Term::new(TermKind::Constant(number));
            let flow = self.as_term(flow, false)?;
            let term = term_of(&flow)?;
            let (a, b) = if is_first {
                (number, term)
            } else {
                (term, number)
            };
            return self.term(flow, Term::new(TermKind::Binary(binary, a, b)));
        }
        let (flow, known) = match &flow.made {
            Made::Affine(known) => (flow.clone(), known.clone()),
            Made::Term(term) => match affine(term) {
                Some(known) => (flow, known),
                None => (self.realize(flow)?, Affine::default()),
            },
            _ => (self.realize(flow)?, Affine::default()),
        };
        let affine = elementwise::affine(known, binary, &numbers, is_first)?;
        Ok(self.made(flow, Made::Affine(affine)))
    }

    /// Of two values.
    pub fn binary(&mut self, binary: Binary, a: Flow, b: Flow) -> Result<Flow> {
        if a.order != b.order || a.merged != b.merged {
            return Err("its inputs are in different orders".into());
        }
        let shape = broadcast(&a.shape, &b.shape)
            .ok_or_else(|| format!("its inputs have the shapes {:?} and {:?}", a.shape, b.shape))?;
        if a.base == b.base
            && let Some(norm) = Norm::binary(binary, &a.made, &b.made)
        {
            let flow = self.made(a, Made::Norm(norm));
            return Ok(Flow { shape, ..flow });
        }
        if a.shape != b.shape {
            return Err(format!(
                "its inputs have the shapes {:?} and {:?}",
                a.shape, b.shape
            ));
        }
        let (a, b) = self.terms(a, b)?;
        let term = TermKind::Binary(binary, term_of(&a)?, term_of(&b)?);
        self.term(a, Term::new(term))
    }

    /// As terms of one output.
    pub fn terms(&mut self, a: Flow, b: Flow) -> Result<(Flow, Flow)> {
        let (a, b) = (self.as_term(a, false)?, self.as_term(b, false)?);
        let (a, b) = (self.current(a), self.current(b));
        if a.base != b.base || a.base != self.chain.version {
            return Err(
                "two values of different layers meet: here there is one layer after the other"
                    .into(),
            );
        }
        Ok((a, b))
    }

    /// Constants for the features of a value, in the order of the layer's output.
    pub fn numbers(&mut self, flow: &Flow, constant: &Constant) -> Result<Numbers> {
        let values = constant.as_floats().ok_or("its constants are integers")?;
        if let [value] = values {
            return Ok([f64::from(*value)].into());
        }
        let (features, flow) = varying(flow, &constant.shape).ok_or_else(|| {
            format!(
                "constants of the shape {:?} do not fit its input {:?}",
                constant.shape, flow.shape
            )
        })?;
        self.chain.take(values.len())?;
        let found = self.chain.features(&flow, features.0, features.1)?;
        if found != values.len() {
            return Err(format!(
                "it has {} constants for {found} features",
                values.len()
            ));
        }
        let values = values.iter().map(|&value| value.into()).collect();
        Ok(self.chain.arranged(&flow, values).into())
    }
}

const NO_ACTIVATION: &str = "no activation here is this function";

/// The axes that constants are for, and the value with the shape that it has by them.
fn varying(flow: &Flow, shape: &[usize]) -> Option<((usize, usize), Flow)> {
    let mut flow = flow.clone();
    let rank = flow.shape.len();
    let ahead = shape.len().saturating_sub(rank);
    let (ahead, shape) = shape.split_at(ahead);
    if ahead.len() > 1 || ahead.iter().any(|&extent| extent != 1) {
        return None;
    }
    let first = rank - shape.len();
    let mut axes: Option<(usize, usize)> = None;
    for (i, &extent) in shape.iter().enumerate().filter(|(_, extent)| **extent != 1) {
        let axis = first + i;
        if flow.shape[axis] == 1 && matches!(flow.made, Made::Norm(_)) {
            flow.shape[axis] = extent;
        }
        if flow.shape[axis] != extent {
            return None;
        }
        let from = axes.map_or(axis, |(from, _)| from);
        axes = Some((from, axis + 1));
    }
    Some((axes?, flow))
}

fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let one = |(&a, &b): (&usize, &usize)| match (a, b) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    let is_same = a.len() == b.len();
    is_same.then(|| a.iter().zip(b).map(one).collect())?
}

fn is_number(term: &Term) -> bool {
    matches!(term.kind, TermKind::Constant(_))
}

pub(super) fn term_of(flow: &Flow) -> Result<Rc<Term>> {
    match &flow.made {
        Made::Output => Ok(Term::new(TermKind::X)),
        Made::Term(term) => Ok(term.clone()),
        _ => Err(NO_ACTIVATION.into()),
    }
}

/// A term that is one, with its subtraction before its product.
fn affine(term: &Term) -> Option<Affine> {
    let number = |term: &Term| match term.kind {
        TermKind::Constant(value) => Some(Numbers::from([value])),
        _ => None,
    };
    let known = match &term.kind {
        TermKind::X => Some(Affine::default()),
        TermKind::Binary(binary, x, c) if is_number(c) => {
            elementwise::affine(affine(x)?, *binary, &number(c)?, false).ok()
        }
        TermKind::Binary(binary, c, x) if is_number(c) => {
            elementwise::affine(affine(x)?, *binary, &number(c)?, true).ok()
        }
        TermKind::Unary(Unary::Neg, x) => Some(affine(x)?.multiply(&Numbers::from([-1.0]))),
        _ => None,
    };
    known.or_else(|| {
        let [a, b] = term.affine()?;
        Some(Affine::default().multiply(&[a].into()).add(&[b].into()))
    })
}
