//! The loss for classes, of logits.

use super::LossParams;
use crate::shader::files;
use crate::shader::module::{Kernel, Module};

pub(super) static MODULE: Module = Module::new(
    "categorical_crossentropy",
    &files::CATEGORICAL_CROSSENTROPY,
    LossParams::LAYOUT,
)
.entry_points(&["categorical_crossentropy"])
.step();

pub(super) const KERNEL: Kernel = MODULE.kernel("categorical_crossentropy");
