//! Activation and dropout, and their gradients: applied to sums in the kernel that computes them,
//! or to other values in a kernel of its own.

use bytemuck::Zeroable;

use super::{lane_values, per_item};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::alpha_dropout::Dropout;
use crate::ops::elementwise::{ActivationParams, Elementwise};
use crate::ops::sigmoid::SIGMOID;
use crate::ops::words;
use crate::shader::files::{self, File};
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::{params, vec2u};
use crate::{Gpu, Result};

/// The activation and the dropout that follow a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Epilogue {
    pub activation: Elementwise,
    pub dropout: Option<Dropout>,
}

params! {
    pub(super) struct EpilogueParams {
        activation: ActivationParams,
        /// an element is dropped if its random word is below this
        threshold: u32,
        keep_scale: f32,
        keep_shift: f32,
        dropped: f32,
        seed: vec2u,
        /// the mask's elements for a row of the batch
        row: u32,
        padding: u32,
    }
}

/// The forms with each activation, with a dropout and without.
pub(super) fn forms() -> Vec<Form> {
    let both = |file: &&'static File| {
        let activation = Elementwise::new(file);
        [None, Some(Dropout::default())].map(|dropout| {
            Epilogue {
                activation,
                dropout,
            }
            .form()
        })
    };
    files::ACTIVATIONS.iter().flat_map(both).collect()
}

impl Epilogue {
    /// An activation and a dropout.
    pub fn of(file: &'static File) -> Self {
        Self {
            activation: Elementwise::new(file),
            dropout: Some(Dropout::default()),
        }
    }

    /// SELU and a dropout.
    pub fn longest() -> Self {
        Self::of(&files::ELU)
    }

    /// The form of a module with this epilogue and no other choices.
    pub fn form(&self) -> Form {
        Form {
            activation: Some(self.activation.file),
            constants: vec![("DROPOUT", self.dropout.is_some().into())],
            ..Form::default()
        }
    }

    /// What it is outside of training.
    pub fn without_dropout(self) -> Self {
        Self {
            dropout: None,
            ..self
        }
    }

    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is a sigmoid and nothing else.
    pub fn is_sigmoid(&self) -> bool {
        self.activation == SIGMOID && self.dropout.is_none()
    }

    pub(super) fn params(&self) -> EpilogueParams {
        let mut params = EpilogueParams {
            activation: self.activation.params,
            ..EpilogueParams::zeroed()
        };
        if let Some(dropout) = self.dropout {
            params.threshold = dropout.threshold;
            params.keep_scale = dropout.scale;
            params.keep_shift = dropout.shift;
            params.dropped = dropout.dropped;
            params.seed = words(dropout.seed);
            params.row = dropout.row;
        }
        params
    }
}

pub(super) static MODULE: Module = Module::new("epilogue", &files::EPILOGUE, StageParams::LAYOUT)
    .entry_points(&[
        "apply_epilogue",
        "apply_epilogue_backward",
        "apply_epilogue_backward_in_place",
    ])
    .forms(forms)
    .step();

const FORWARD: Kernel = MODULE.kernel("apply_epilogue");
const BACKWARD: Kernel = MODULE.kernel("apply_epilogue_backward");
const BACKWARD_IN_PLACE: Kernel = MODULE.kernel("apply_epilogue_backward_in_place");

params! {
    struct StageParams {
        lanes: u32,
        padding: u32,
        more_padding: vec2u,
        epilogue: EpilogueParams,
    }
}

/// y = epilogue(x), of `len` values.
pub(crate) fn forward(
    gpu: &Gpu,
    x: &Region,
    y: &Region,
    len: u32,
    epilogue: &Epilogue,
) -> Result<Dispatch> {
    dispatch(gpu, FORWARD, &[x, y], len, epilogue)
}

/// dx = dy through the epilogue of z, the forward input; dx may be dy.
pub(crate) fn backward(
    gpu: &Gpu,
    z: &Region,
    dy: &Region,
    dx: &Region,
    len: u32,
    epilogue: &Epilogue,
) -> Result<Dispatch> {
    if dy.buffer == dx.buffer && dy.offset == dx.offset {
        dispatch(gpu, BACKWARD_IN_PLACE, &[z, dx], len, epilogue)
    } else {
        dispatch(gpu, BACKWARD, &[z, dy, dx], len, epilogue)
    }
}

fn dispatch(
    gpu: &Gpu,
    kernel: Kernel,
    regions: &[&Region],
    len: u32,
    epilogue: &Epilogue,
) -> Result<Dispatch> {
    let lane = lane_values(len);
    let params = StageParams {
        lanes: len / lane,
        padding: 0,
        more_padding: [0; 2],
        epilogue: epilogue.params(),
    };
    let form = epilogue.form();
    per_item(gpu, kernel, form, lane, regions, &params, params.lanes)
}
