//! Tensors of Burn's are tensors of this crate's: one device, one queue, the same bytes. A network here
//! gets its weights from a module of Burn's, its input from a tensor of Burn's, and writes its output
//! into another. The host only sees the largest difference from what Burn computes.

use burn::backend::wgpu::{CubeBackend, Wgpu, WgpuResource};
use burn::cubecl::wgpu::{AutoCompiler, WgpuServer};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::selu;
use burn::tensor::{DType, Device, Distribution, Tensor};
use selfnorm::nn::Activation::Selu;
use selfnorm::nn::{Dense, Sequential};
use selfnorm::{Gpu, wgpu};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The largest difference that is not an error.
const BOUND: f32 = 1e-5;

const ROWS: usize = 256;
const INPUTS: usize = 16;
const UNITS: usize = 64;
const OUTPUTS: usize = 4;

fn main() -> Result<()> {
    // Burn makes the device, with the features that its kernels want; this crate takes any.
    let (device, setup) = Device::wgpu_options().init_with_setup()?;
    let gpu = Gpu::from_wgpu(setup.device, setup.queue)?;
    println!(
        "Burn and selfnorm on one device, {}",
        gpu.adapter_info().name
    );

    let theirs = Network::new(&device);
    let mut ours = Sequential::new([INPUTS])
        .add(Dense::new(UNITS).activation(Selu))
        .add(Dense::new(UNITS).activation(Selu))
        .add(Dense::new(OUTPUTS))
        .build(&gpu, 42)?;
    set_weights(&mut ours, &theirs)?;

    let kernel = Borrowed::new(&gpu, theirs.first.weight.val())?;
    let bytes = kernel.tensor.slice();
    println!(
        "a kernel of Burn's: {:?} f32 at {} of a buffer of {} bytes, {:?}",
        kernel.tensor.shape(),
        bytes.offset(),
        bytes.buffer().size(),
        bytes.buffer().usage(),
    );

    for round in 1..=3 {
        // Drawn on the device: the host never has these numbers.
        let x = Tensor::<2>::random([ROWS, INPUTS], Distribution::Normal(0.0, 1.0), &device);
        let y = predict(&ours, &x)?;
        let expected = theirs.forward(x);
        let largest: f32 = expected.clone().abs().max().into_scalar();
        let difference: f32 = (y - expected).abs().max().into_scalar();
        println!(
            "round {round}: predictions up to {largest:.3}, largest difference {difference:.1e}"
        );
        if difference.is_nan() || difference > BOUND {
            return Err(format!("the difference is above {BOUND:e}").into());
        }
    }
    Ok(())
}

/// Burn's network.
#[derive(Module, Debug)]
struct Network {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(INPUTS, UNITS).init(device),
            second: LinearConfig::new(UNITS, UNITS).init(device),
            last: LinearConfig::new(UNITS, OUTPUTS).init(device),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = selu(self.first.forward(x));
        let x = selu(self.second.forward(x));
        self.last.forward(x)
    }
}

/// A tensor of Burn's as one of this crate's.
struct Borrowed {
    tensor: selfnorm::Tensor,
    /// Burn neither moves nor reuses the bytes while this lives. (Burn does not re-export its type.)
    _memory: Box<dyn Send>,
}

impl Borrowed {
    /// The same bytes. What Burn has yet to do for them is submitted, so that what the caller submits next
    /// comes after it.
    fn new<const D: usize>(gpu: &Gpu, tensor: Tensor<D>) -> Result<Self> {
        let shape = tensor.dims();
        let fusion = tensor
            .try_into_primitive::<Wgpu>()
            .map_err(|problem| format!("not a tensor of Burn's wgpu backend: {problem:?}"))?;
        // An operation that Burn was going to fuse with later ones is launched now.
        let cube = fusion
            .client
            .clone()
            .resolve_tensor_float::<CubeBackend>(fusion);
        if cube.dtype != DType::F32 || !cube.is_contiguous() || cube.meta.is_tiled() {
            return Err(format!("not contiguous rows of f32: {cube:?}").into());
        }
        // The buffer, with offset and size.
        let memory = cube
            .client
            .get_resource::<WgpuServer<AutoCompiler>>(cube.handle)?;
        cube.client.flush()?;
        let WgpuResource {
            buffer,
            offset,
            size,
            ..
        } = memory.resource();
        Ok(Self {
            tensor: gpu.wrap(buffer.slice(*offset..offset + size), shape)?,
            _memory: Box::new(memory),
        })
    }
}

/// Copies the weights from Burn's buffers to the network's, on the device.
fn set_weights(ours: &mut Sequential, theirs: &Network) -> Result<()> {
    let layers = [
        ("dense", &theirs.first),
        ("dense_1", &theirs.second),
        ("dense_2", &theirs.last),
    ];
    for (name, linear) in layers {
        // Burn's default layout is this crate's: [inputs, units].
        let kernel = Borrowed::new(ours.gpu(), linear.weight.val())?;
        ours.set_weights(&[(format!("{name}/kernel"), kernel.tensor)])?;
        if let Some(bias) = &linear.bias {
            let bias = Borrowed::new(ours.gpu(), bias.val())?;
            ours.set_weights(&[(format!("{name}/bias"), bias.tensor)])?;
        }
    }
    Ok(())
}

/// The network's output for `x`, in a tensor that Burn has allocated.
fn predict(ours: &Sequential, x: &Tensor<2>) -> Result<Tensor<2>> {
    let gpu = ours.gpu();
    let y = Tensor::<2>::empty([ROWS, OUTPUTS], &x.device());
    let from = Borrowed::new(gpu, x.clone())?;
    let to = Borrowed::new(gpu, y.clone())?;
    let mut encoder = gpu
        .device()
        .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    gpu.pass(&mut encoder)
        .predict(ours, &from.tensor, &to.tensor)?;
    gpu.queue().submit([encoder.finish()]);
    Ok(y)
}
