//! The loss for outputs that are yes or no, of logits.

use super::LossParams;
use crate::shader::files;
use crate::shader::module::{Kernel, Module};

pub(super) static MODULE: Module = Module::new(
    "binary_crossentropy",
    &files::BINARY_CROSSENTROPY,
    LossParams::LAYOUT,
)
.entry_points(&["binary_crossentropy"])
.step();

pub(super) const KERNEL: Kernel = MODULE.kernel("binary_crossentropy");
