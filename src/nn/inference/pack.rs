//! The weights in the order in which the function of a shader reads them.

use super::function::{Function, LANES};
use crate::nn::Sequential;
use crate::ops::network::pack::{NO_PLACE, pack};
use crate::pass::{Hint, read, write};
use crate::{Error, Pass, Result, Tensor};

/// Where each packed value is in the weights: u32s, by their bits.
#[derive(Debug)]
pub(in crate::nn) struct Packing(Tensor);

impl Packing {
    fn of(model: &Sequential) -> Result<Self> {
        let places = Function::of(&model.network)?.places();
        let bits = |place: Option<usize>| place.map_or(NO_PLACE, |place| place as u32);
        let bits: Vec<u32> = places.into_iter().map(bits).collect();
        let bits = bytemuck::cast_slice(&bits);
        Ok(Self(model.gpu.tensor(bits, [bits.len()])?))
    }
}

impl Sequential {
    /// The length, in f32s, of the packed weights: a multiple of 4.
    ///
    /// First come four zeros. Then, for each `Dense` layer in turn and each four of its units, come their
    /// four biases, and for each input the four weights from it to them; units and inputs are filled up to
    /// multiples of 4 with zeros. So a layer from *i* to *o* takes 4 ⌈o / 4⌉ (1 + 4 ⌈i / 4⌉) values.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] as [`wgsl`](Self::wgsl).
    pub fn packed_len(&self) -> Result<usize> {
        Ok(Function::of(&self.network)?.packed * LANES)
    }
}

impl Pass<'_> {
    /// Packs the weights of `model` for the function of [`Sequential::wgsl`], GPU to GPU, as one dispatch:
    /// `packed` gets the weights as of this place in the order of the GPU's work.
    ///
    /// `packed` has [`packed_len`](Sequential::packed_len) elements; it may be a tensor of the crate's, or
    /// one over a buffer of the application's. A uniform buffer needs the usage `STORAGE`, too.
    ///
    /// The model's first call makes a list of places, as long as the packed weights. Later ones allocate
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] as [`wgsl`](Sequential::wgsl); [`Error::Shape`], [`Error::OtherGpu`];
    /// [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn pack(&mut self, model: &Sequential, packed: &Tensor) -> Result<()> {
        const OP: &str = "pack";
        model.check_pass(OP, self)?;
        let Packing(places) = match model.packing.get() {
            Some(packing) => packing,
            None => {
                let packing = Packing::of(model)?;
                model.packing.get_or_init(|| packing)
            }
        };
        let operand = "packed";
        self.check(
            OP,
            &[read("the places", places), write(operand, packed)],
            Hint::None,
        )?;
        if packed.len() != places.len() {
            return Err(Error::Shape {
                op: OP,
                operand,
                expected: places.shape().into(),
                actual: packed.shape().into(),
            });
        }
        let make = || {
            let (places, packed) = (places.region(), packed.region());
            Ok([pack(&model.gpu, &model.weights, &places, &packed)?].into())
        };
        let owners = [packed.id(), places.id()];
        let dispatches = model.gpu.dispatches().get(&owners, 0, make)?;
        self.record_all(&*dispatches, None)
    }
}
