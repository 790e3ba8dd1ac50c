//! What follows a sum in the kernel that makes it: activation and dropout, and their gradients.

use bytemuck::Zeroable;

use super::{selu::Selu, words};
use crate::shader::files;
use crate::shader::module::Form;
use crate::shader::params::{params, vec2u};

/// What follows a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Epilogue {
    pub activation: Activation,
    pub dropout: Option<Dropout>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Activation {
    #[default]
    Linear,
    /// SELU, and ELU with a scale of 1.
    Elu(Selu),
    Relu,
}

/// An alpha dropout whose call is the step's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dropout {
    /// An element is dropped if its word is below.
    pub threshold: u32,
    pub scale: f32,
    pub shift: f32,
    pub dropped: f32,
    pub seed: u64,
}

params! {
    pub(crate) struct EpilogueParams {
        scale: f32,
        scale_alpha: f32,
        residual: f32,
        /// an element is dropped if its random word is below
        threshold: u32,
        keep_scale: f32,
        keep_shift: f32,
        dropped: f32,
        padding: u32,
        seed: vec2u,
    }
}

/// The forms that differ by their epilogue.
pub(crate) fn forms() -> Vec<Form> {
    let dropout = Dropout {
        threshold: 0,
        scale: 1.0,
        shift: 0.0,
        dropped: 0.0,
        seed: 0,
    };
    [
        Activation::Linear,
        Activation::Elu(Selu::default()),
        Activation::Relu,
    ]
    .into_iter()
    .flat_map(|activation| {
        [None, Some(dropout)].map(|dropout| {
            let epilogue = Epilogue {
                activation,
                dropout,
            };
            epilogue.form()
        })
    })
    .collect()
}

impl Epilogue {
    /// The form of a module with this epilogue and nothing else to choose.
    pub fn form(&self) -> Form {
        Form {
            files: vec![&files::EPILOGUE],
            constants: self.constants().into(),
        }
    }

    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }

    /// The constants of a form with this epilogue.
    pub fn constants(&self) -> [(&'static str, u32); 2] {
        let activation = match self.activation {
            Activation::Linear => 0,
            Activation::Elu(_) => 1,
            Activation::Relu => 2,
        };
        [
            ("ACTIVATION", activation),
            ("DROPOUT", self.dropout.is_some().into()),
        ]
    }

    pub fn params(&self) -> EpilogueParams {
        let mut params = EpilogueParams::zeroed();
        if let Activation::Elu(selu) = self.activation {
            (params.scale, params.scale_alpha, params.residual) = selu.rounded();
        }
        if let Some(dropout) = self.dropout {
            params.threshold = dropout.threshold;
            params.keep_scale = dropout.scale;
            params.keep_shift = dropout.shift;
            params.dropped = dropout.dropped;
            params.seed = words(dropout.seed);
        }
        params
    }
}
