//! The losses for regression.

use super::LossParams;
use crate::shader::files::{self, File};
use crate::shader::module::{Form, Kernel, Module};

pub(super) static MODULE: Module =
    Module::new("regression", &files::REGRESSION, LossParams::LAYOUT)
        .entry_points(&["regression"])
        .forms(|| files::REGRESSIONS.iter().map(|file| form(file)).collect())
        .step();

pub(super) const KERNEL: Kernel = MODULE.kernel("regression");

/// The kernel with one of [`files::REGRESSIONS`].
pub(super) fn form(file: &'static File) -> Form {
    Form {
        files: vec![file],
        ..Form::default()
    }
}
