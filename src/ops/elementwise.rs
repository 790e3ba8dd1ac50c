//! Functions of single values: the kernels that apply those of a file of shaders/activations/, and what
//! kernels take of one.

use std::hash::{Hash, Hasher};

use crate::pass::{Chunk, read, update, write};
use crate::shader::files::{self, File};
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Element, Pass, Result, Tensor};

params! {
    /// The constants of an activation; most need none.
    pub(super) struct ActivationParams {
        /// the factor of positive values, or the frequency of a sine
        positive: f32,
        /// the factor of the function of negative values
        negative: f32,
        /// the part lost in rounding `negative`, relative to it
        residual: f32,
        padding: u32,
    }
}

params! {
    struct ElementwiseParams {
        activation: ActivationParams,
        lanes: u32,
    }
}

/// An activation of single values, as kernels take it: the file of its functions, and their
/// constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Elementwise {
    pub file: &'static File,
    pub(super) params: ActivationParams,
}

impl Hash for Elementwise {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.file.hash(state);
        bytemuck::bytes_of(&self.params).hash(state);
    }
}

impl Elementwise {
    /// Without constants.
    pub const fn new(file: &'static File) -> Self {
        Self {
            file,
            params: ActivationParams {
                positive: 1.0,
                negative: 0.0,
                residual: 0.0,
                padding: 0,
            },
        }
    }
}

impl Elementwise {
    /// The struct of the constants that [`call`](Self::call) passes.
    pub const WGSL_STRUCT: &'static str = ActivationParams::LAYOUT.wgsl;

    /// The functions of its file, by names that no other file has.
    pub fn functions(&self) -> String {
        let name = format!("activate_{}", self.file.name());
        self.file.text.replace("activate", &name)
    }

    /// A call of the first of them, in WGSL.
    pub fn call(&self, x: &str) -> String {
        let ActivationParams {
            positive,
            negative,
            residual,
            padding,
        } = self.params;
        let file = self.file.name();
        format!(
            "activate_{file}({x}, ActivationParams({positive:?}, {negative:?}, {residual:?}, {padding}u))"
        )
    }
}

/// x itself.
impl Default for Elementwise {
    fn default() -> Self {
        Self::new(&files::LINEAR)
    }
}

pub(super) static MODULE: Module =
    Module::new("activation", &files::ACTIVATION, ElementwiseParams::LAYOUT)
        .entry_points(&[
            "activation",
            "activation_in_place",
            "activation_backward",
            "activation_backward_in_place",
        ])
        .forms(forms)
        .floats();

const FORWARD: Kernel = MODULE.kernel("activation");
const IN_PLACE: Kernel = MODULE.kernel("activation_in_place");
const BACKWARD: Kernel = MODULE.kernel("activation_backward");
const BACKWARD_IN_PLACE: Kernel = MODULE.kernel("activation_backward_in_place");

fn forms() -> Vec<Form> {
    let each = files::ACTIVATIONS.iter();
    each.map(|file| Elementwise::new(file).form()).collect()
}

impl Elementwise {
    fn form(&self) -> Form {
        Form {
            activation: Some(self.file),
            ..Form::default()
        }
    }

    fn params(&self) -> impl Fn(Chunk) -> ElementwiseParams + use<> {
        let activation = self.params;
        move |chunk| ElementwiseParams {
            activation,
            lanes: chunk.lanes,
        }
    }
}

impl Pass<'_> {
    /// y = f(x)
    pub(super) fn activate<T: Element>(
        &mut self,
        op: &'static str,
        f: Elementwise,
        x: &Tensor<T>,
        y: &Tensor<T>,
    ) -> Result<()> {
        let operands = [read("x", x), write("y", y)];
        self.elementwise(op, FORWARD, f.form(), operands, f.params())
    }

    /// x = f(x)
    pub(super) fn activate_in_place<T: Element>(
        &mut self,
        op: &'static str,
        f: Elementwise,
        x: &Tensor<T>,
    ) -> Result<()> {
        self.elementwise(op, IN_PLACE, f.form(), [update("x", x)], f.params())
    }

    /// dx = dy · f'(x)
    pub(super) fn activate_backward<T: Element>(
        &mut self,
        op: &'static str,
        f: Elementwise,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        let operands = [read("x", x), read("dy", dy), write("dx", dx)];
        self.elementwise(op, BACKWARD, f.form(), operands, f.params())
    }

    /// dy = dy · f'(x)
    pub(super) fn activate_backward_in_place<T: Element>(
        &mut self,
        op: &'static str,
        f: Elementwise,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<()> {
        let operands = [read("x", x), update("dy", dy)];
        self.elementwise(op, BACKWARD_IN_PLACE, f.form(), operands, f.params())
    }
}

impl<T: Element> Tensor<T> {
    /// f(x)
    pub(super) fn activated(&self, op: &'static str, f: Elementwise) -> Result<Self> {
        Self::create(self.gpu(), self.shape(), |pass, y| {
            pass.activate(op, f, self, y)
        })
    }

    /// dy · f'(x)
    pub(super) fn activated_backward(
        &self,
        op: &'static str,
        f: Elementwise,
        dy: &Self,
    ) -> Result<Self> {
        Self::create(self.gpu(), self.shape(), |pass, dx| {
            pass.activate_backward(op, f, self, dy, dx)
        })
    }
}
