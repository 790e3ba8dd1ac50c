//! selfnorm, and the copy and the fill that it is compared with.

use std::rc::Rc;

use selfnorm::nn::{
    Activation::{Selu, Softmax},
    Adam, Conv2d, Dense, Flatten, Loss, Sequential,
};
use selfnorm::{AlphaDropout, Gpu, LecunNormal, Pass, Tensor, nn, wgpu};

use crate::rows::*;
use crate::{Contestant, Result, Timed};

pub fn contestant(gpu: &Gpu, row: Row, inputs: &[Vec<f32>]) -> Result<Box<dyn Contestant>> {
    let gpu = gpu.clone();
    let tensor = |i: usize, shape: &[usize]| gpu.tensor(&inputs[i], shape);
    Ok(match row {
        Row::Product => {
            let mut dense = Sequential::new([K])
                .add(Dense::new(N).use_bias(false).weights(inputs[1].clone(), []))
                .build(&gpu, 1)?;
            let x = tensor(0, &[M, K])?;
            Timed::boxed(
                move || {
                    let y = dense.predict(&x)?;
                    wait(&gpu)?;
                    Ok(y)
                },
                |y| Ok(y.to_vec()?),
            )
        }
        Row::Chain => {
            let x = tensor(0, &[SMALL])?;
            let y: Tensor = gpu.zeros([SMALL])?;
            Timed::boxed(
                move || {
                    submit(&gpu, |pass| {
                        pass.selu(&x, &y)?;
                        (1..CHAINED).try_for_each(|_| pass.selu_in_place(&y))
                    })?;
                    Ok(y.to_vec()?)
                },
                Ok,
            )
        }
        Row::Small => {
            let x = inputs[0].clone();
            Timed::boxed(move || Ok(gpu.tensor(&x, [SMALL])?.selu()?.to_vec()?), Ok)
        }
        Row::Step => {
            let (x, y) = (
                tensor(0, &[BATCH, SIDE, SIDE, 1])?,
                tensor(1, &[BATCH, CLASSES])?,
            );
            let mut model = Sequential::new([SIDE, SIDE, 1])
                .add(
                    Conv2d::new(FILTERS, [3, 3])
                        .weights(inputs[2].clone(), [0.0; FILTERS])
                        .activation(Selu),
                )
                .add(nn::AlphaDropout::new(NETWORK_RATE))
                .add(Flatten::new())
                .add(
                    Dense::new(UNITS)
                        .weights(inputs[3].clone(), [0.0; UNITS])
                        .activation(Selu),
                )
                .add(
                    Dense::new(CLASSES)
                        .weights(inputs[4].clone(), [0.0; CLASSES])
                        .activation(Softmax),
                )
                .build(&gpu, 1)?;
            model.compile(Adam::default(), Loss::CategoricalCrossentropy)?;
            Timed::boxed(
                move || Ok(vec![model.train_on_batch(&x, &y)?.loss as f32]),
                Ok,
            )
        }
        _ => {
            let data = |i: usize| match inputs.get(i) {
                Some(values) => gpu.tensor(values, [LARGE]),
                None => gpu.zeros([LARGE]),
            };
            let (x, dy, y) = (data(0)?, data(1)?, Rc::new(gpu.zeros([LARGE])?));
            let dropout = AlphaDropout::new(RATE).seed(7);
            let weights = LecunNormal::new(FAN_IN).seed(7);
            Timed::boxed(
                move || {
                    submit(&gpu, |pass| match row {
                        Row::Selu => pass.selu(&x, &y),
                        Row::SeluBackward => pass.selu_backward(&x, &dy, &y),
                        Row::Elu => pass.elu(&x, 1.0, &y),
                        Row::EluBackward => pass.elu_backward(&x, 1.0, &dy, &y),
                        Row::AlphaDropout => pass.alpha_dropout(&x, &dropout, &y),
                        _ => pass.lecun_normal(&weights, &y),
                    })?;
                    wait(&gpu)?;
                    Ok(Rc::clone(&y))
                },
                |y| Ok(y.to_vec()?),
            )
        }
    })
}

/// A kernel that moves the bytes of the op, and computes nothing.
pub fn yardstick(gpu: &Gpu, row: Row) -> Result<Box<dyn Contestant>> {
    let (entry_point, len) = match row {
        // Two inputs and an output are the bytes of a copy of half as many values again.
        Row::SeluBackward | Row::EluBackward => ("copy", LARGE / 2 * 3),
        Row::Selu | Row::Elu | Row::AlphaDropout => ("copy", LARGE),
        Row::LecunNormal => ("fill", LARGE),
        _ => return Err("–".into()),
    };
    let gpu = gpu.clone();
    let device = gpu.device();
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(include_str!("../../yardsticks.wgsl").into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some(entry_point),
        compilation_options: Default::default(),
        cache: None,
    });
    let tensors: [Tensor; 2] = [gpu.zeros([len])?, gpu.zeros([len])?];
    // The layout has the bindings that are used: a fill has no input.
    let entries: Vec<_> = (0..)
        .zip(&tensors)
        .skip(usize::from(entry_point == "fill"))
        .map(|(binding, tensor)| wgpu::BindGroupEntry {
            binding,
            resource: tensor.binding(),
        })
        .collect();
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    Ok(Timed::boxed(
        move || {
            // Held: the memory of a dropped tensor is another's.
            let _ = &tensors;
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(len.div_ceil(4 * 4 * 256) as u32, 1, 1);
            drop(pass);
            gpu.queue().submit([encoder.finish()]);
            wait(&gpu)
        },
        |()| Ok(vec![]),
    ))
}

fn submit(gpu: &Gpu, record: impl Fn(&mut Pass) -> selfnorm::Result<()>) -> Result<()> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    record(&mut gpu.pass(&mut encoder))?;
    gpu.queue().submit([encoder.finish()]);
    Ok(())
}

fn wait(gpu: &Gpu) -> Result<()> {
    gpu.device().poll(wgpu::PollType::wait_indefinitely())?;
    Ok(())
}
