//! Values of a graph: from what they are made of to layers.

use std::rc::Rc;

use super::chain::{Affine, Flow, Made, Numbers, Order};
use super::constant::Constant;
use super::elementwise;
use super::norm::{Features, Norm};
use super::read::{Reader, Result, described};
use super::term::{Binary, Kind as TermKind, Term, Unary, decimal};
use crate::nn::Activation;

impl Reader<'_> {
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
        let (place, graph) = (flow.node, self.graph);
        let own = self.node;
        let of_input = |problem| match graph.nodes.get(place) {
            Some(node) if place != own => {
                format!("{problem}, in its input from {}", described(place, node))
            }
            _ => problem,
        };
        self.add_layers(flow).map_err(of_input)
    }

    fn add_layers(&mut self, flow: Flow) -> Result<Flow> {
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
            Made::Norm(Norm::Normal(epsilon, gamma, beta), features) => {
                let epsilon = decimal(*epsilon as f32);
                let scales = [gamma.clone(), beta.clone()];
                let features = self.chain.features(&flow, features.from, features.to)?;
                self.chain
                    .layer_normalize(features, epsilon, scales, name())?;
            }
            Made::Padded(_) => {
                return Err(
                    "its input is padded with zeros, which only a convolution can be".into(),
                );
            }
            Made::Norm(..) => return Err("means and variances of its input are no layer".into()),
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
            return match activation {
                Activation::Linear => Ok(()),
                activation => self.chain.activate(activation),
            };
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
        if let Made::Norm(norm, features) = &flow.made
            && let Some(norm) = norm.clone().unary(unary)
        {
            let made = Made::Norm(norm, features.clone());
            return Ok(self.made(flow, made));
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
        let is_one = constant.len() == 1;
        if let Made::Norm(norm, features) = &flow.made
            && (is_one || features.are(&constant.shape))
        {
            let whole = Flow {
                shape: features.shape.clone(),
                ..flow.clone()
            };
            let numbers = self.numbers(&whole, constant)?;
            if let Some(norm) = norm.clone().with(binary, &numbers, is_first) {
                let made = Made::Norm(norm, features.clone());
                let like = if is_one { flow } else { whole };
                return Ok(self.made(like, made));
            }
        }
        if is_one {
            let numbers = self.numbers(&flow, constant)?;
            let number = numbers.first().copied().unwrap_or_default();
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
        let known = match &flow.made {
            Made::Affine(known) => Some(known.clone()),
            Made::Term(term) => affine(term),
            _ => None,
        };
        // Of other features it is a layer of its own.
        let is_other = |known: &Affine| known.features().is_some_and(|len| len != constant.len());
        let (flow, known) = match known.filter(|known| !is_other(known)) {
            Some(known) => (flow, known),
            None => (self.realize(flow)?, Affine::default()),
        };
        let numbers = self.numbers(&flow, constant)?;
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
            && let Some((norm, features)) = normalized(binary, &a, &b)
        {
            let flow = self.made(a, Made::Norm(norm, features));
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
            if constant.shape.len() > flow.shape.len() + 1 {
                return Err(format!(
                    "a constant of the shape {:?} has more axes than its input",
                    constant.shape
                ));
            }
            return Ok([f64::from(*value)].into());
        }
        let (from, to) = varying(flow, &constant.shape).ok_or_else(|| {
            format!(
                "constants of the shape {:?} do not fit its input {:?}",
                constant.shape, flow.shape
            )
        })?;
        self.chain.take(values.len())?;
        let found = self.chain.features(flow, from, to)?;
        if found != values.len() {
            return Err(format!(
                "it has {} constants for {found} features",
                values.len()
            ));
        }
        let values = values.iter().map(|&value| value.into()).collect();
        Ok(self.chain.arranged(flow, values).into())
    }
}

const NO_ACTIVATION: &str = "no activation here is this function";

/// A part of a layer normalization of two values, of which one may be what is normalized.
fn normalized(binary: Binary, a: &Flow, b: &Flow) -> Option<(Norm, Features)> {
    let (first, second, features) = match (&a.made, &b.made) {
        (Made::Norm(a, features), Made::Norm(b, others)) if features == others => {
            (Some(a), Some(b), features)
        }
        (Made::Norm(norm, features), Made::Output) if b.shape == features.shape => {
            (Some(norm), None, features)
        }
        (Made::Output, Made::Norm(norm, features)) if a.shape == features.shape => {
            (None, Some(norm), features)
        }
        _ => return None,
    };
    let norm = Norm::binary(binary, first, second)?;
    Some((norm, features.clone()))
}

/// The axes that constants are for.
fn varying(flow: &Flow, shape: &[usize]) -> Option<(usize, usize)> {
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
        if flow.shape[axis] != extent {
            return None;
        }
        let from = axes.map_or(axis, |(from, _)| from);
        axes = Some((from, axis + 1));
    }
    axes
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
pub(super) fn affine(term: &Term) -> Option<Affine> {
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
