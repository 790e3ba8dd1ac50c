//! Self-normalizing networks, trained on the GPU: layers, losses and optimizers with Keras's names,
//! defaults and layouts.
//!
//! ```
//! # fn main() -> selfnorm::Result<()> {
//! use selfnorm::Gpu;
//! use selfnorm::nn::{
//!     Activation::{Selu, Softmax}, Adam, AlphaDropout, Conv2d, Dataset, Dense, Fit, Flatten,
//!     Initializer::LecunNormal, Sequential,
//! };
//!
//! let gpu = Gpu::new()?;
//! let mut model = Sequential::new([8, 8, 1])
//!     .add(Conv2d::new(4, [3, 3]).kernel_initializer(LecunNormal).activation(Selu))
//!     .add(AlphaDropout::new(0.1))
//!     .add(Flatten::new())
//!     .add(Dense::new(10).activation(Softmax))
//!     .build(&gpu, 42)?; // seed
//!
//! # let (pixels, labels) = ([7u8; 100 * 64], [3u8; 100]);
//! let data = Dataset::from_bytes(&gpu, &pixels, [8, 8, 1])?.classes(&labels)?;
//! let fit = Fit::new(Adam::default()).batch_size(20).epochs(2).validation_split(0.2);
//! let history = model.fit(&data, &fit)?;
//! let score = model.evaluate(&data)?;
//! println!("{:.4}, {:.4?}", score.loss, score.accuracy);
//! # assert_eq!(history.epochs.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! A training step is one submission of dispatches that were bound before the first step: nothing
//! is compiled or allocated between steps, and nobody waits for one before the next is submitted. The
//! data set is on the GPU, which gathers the batches; [`Batches`] come from the host while it trains.
//! A step brings back eight numbers, its loss among them, so whatever goes wrong is known a few steps
//! later, and has changed nothing. At most a few steps are recorded ahead of the GPU, so memory does
//! not grow with their number. A batch whose activations are larger than the device binds comes in
//! parts, each of them a submission, with the gradient of the whole.
//!
//! In an application's frame, [`Pass::predict`](crate::Pass::predict),
//! [`Pass::train_on_batch`](crate::Pass::train_on_batch) and [`Run::record`] record into its encoder, and
//! [`Sequential::wgsl`] is the network as a function of its shader: see the
//! [guide for applications](crate::guide::applications).
//!
//! The network counts its own steps and epochs. In whatever pieces it is trained, cut between epochs,
//! by [`fit`](Sequential::fit), [`train`](Sequential::train) or
//! [`train_on_batch`](Sequential::train_on_batch), compiled again or restarted from a checkpoint in
//! between, it is the training of one call, bit for bit.
//!
//! The same seed gives the same run on the same device, bit for bit: the weights, the order of the
//! samples and the dropout masks are functions of it, and no sum depends on the order in which
//! invocations happen to run.

mod adapt;
#[cfg(not(target_family = "wasm"))]
mod blocking;
mod callbacks;
mod data;
mod files;
mod inference;
mod layers;
mod losses;
pub mod metrics;
mod network;
mod sequential;
mod summary;
mod training;
mod workspace;

pub use crate::ops::network::activation::Activation;
pub use crate::ops::network::loss::Loss;
pub use crate::ops::network::optimizer::{
    Adam, AdamW, CosineDecay, CustomLearningRate, ExponentialDecay, LearningRate, Optimizer,
    PiecewiseConstantDecay, Sgd,
};
pub use crate::ops::network::product::{Padding, Precision, Tiling};
#[cfg(not(target_family = "wasm"))]
pub use callbacks::ModelCheckpoint;
#[cfg(all(feature = "progress-bar", not(target_family = "wasm")))]
pub use callbacks::ProgressBar;
pub use callbacks::{Callback, CsvLogger, EarlyStopping, Monitor, ReduceLrOnPlateau};
pub use data::{Batch, Batches, Data, Dataset, Samples};
#[cfg(feature = "keras")]
pub use files::keras;
#[cfg(feature = "onnx")]
pub use files::onnx;
pub use files::{Dtype, Loaded, Mapping, Origin};
pub use inference::{FourierFeatures, Predict, Wgsl};
pub use layers::{
    AlphaDropout, AveragePooling2d, BatchNormalization, Conv2d, Dense, Dropout, Flatten,
    GlobalAveragePooling2d, Initializer, Layer, LayerNormalization, MaxPool2d, Normalization,
    Regularizer, Reshape,
};
pub use sequential::{Gradient, LayerStatistics, Memory, Sequential, SequentialBuilder};
#[cfg(not(target_family = "wasm"))]
pub use training::Threads;
pub use training::{BatchEnd, EpochEnd, EpochScores, Exchange, Fit, History, Progress, Run, Score};
