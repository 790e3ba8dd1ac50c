//! One file per op: its parameters, its checks, its dispatch.

pub(crate) mod alpha_dropout;
pub(crate) mod elu;
pub(crate) mod epilogue;
pub(crate) mod initializers;
pub(crate) mod selu;
pub(crate) mod step;

use crate::pipelines::Module;
use crate::{Error, Result};

/// Every module of the crate.
pub(crate) static MODULES: &[&Module] =
    &[&selu::MODULE, &alpha_dropout::MODULE, &initializers::MODULE];

/// `value` if `allowed`, or an error that states the rule.
fn require(
    op: &'static str,
    name: &'static str,
    value: f64,
    allowed: bool,
    rule: &'static str,
) -> Result<f64> {
    if allowed {
        Ok(value)
    } else {
        Err(Error::Parameter {
            op,
            name,
            value,
            rule,
        })
    }
}

/// The low and the high word, as the shaders take them.
fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}
