//! SELU inside your own kernel: a dense layer whose activation costs no extra pass, in bare wgpu
//! with the WGSL of `selfnorm::wgsl`. The result is compared with f64 on the host.
//!
//! `cargo run --release --example own_shader`

use std::error::Error;

use selfnorm::{Gpu, LecunNormal, Selu, Tensor, wgpu};

const BATCH: usize = 256;
const INPUTS: usize = 256;
const OUTPUTS: usize = 64;

/// The bound of `Tensor::selu`, which holds in any kernel.
const MAX_ULPS: f64 = 2.0;

fn main() -> Result<(), Box<dyn Error>> {
    let gpu = Gpu::new()?;
    // Inputs of variance 1 and weights of variance 1 / INPUTS, with so few bits that f32 sums their
    // products exactly: only SELU differs from f64.
    let x = multiples_of(1.0 / 32.0, LecunNormal::new(1).values(BATCH * INPUTS)?);
    let w = multiples_of(
        1.0 / 2048.0,
        LecunNormal::new(INPUTS).call(1).values(INPUTS * OUTPUTS)?,
    );
    let b = multiples_of(
        1.0 / 2048.0,
        LecunNormal::new(INPUTS).call(2).values(OUTPUTS)?,
    );
    let y: Tensor = gpu.zeros([BATCH, OUTPUTS])?;
    dense_selu(
        &gpu,
        [
            &gpu.tensor(&x, [BATCH, INPUTS])?,
            &gpu.tensor(&w, [INPUTS, OUTPUTS])?,
            &gpu.tensor(&b, [OUTPUTS])?,
            &y,
        ],
    )?;
    let y = y.to_vec()?;

    let Selu { alpha, scale } = Selu::default();
    let mut worst: f64 = 0.0;
    println!("row  column         GPU     host, f64   ulp");
    for (i, &actual) in y.iter().enumerate() {
        let (row, column) = (i / OUTPUTS, i % OUTPUTS);
        let sum = (0..INPUTS).fold(f64::from(b[column]), |sum, k| {
            sum + f64::from(x[row * INPUTS + k]) * f64::from(w[k * OUTPUTS + column])
        });
        let expected = scale * if sum > 0.0 { sum } else { alpha * sum.exp_m1() };
        let ulps = (f64::from(actual) - expected).abs() / ulp(expected);
        if ulps > MAX_ULPS || actual.is_nan() {
            return Err(format!("{actual} is not {expected} within {MAX_ULPS} ulp").into());
        }
        worst = worst.max(ulps);
        if i % 2001 == 0 {
            println!("{row:>3}  {column:>6}  {actual:>10.7}  {expected:>12.9}  {ulps:>4.2}");
        }
    }
    println!("\n{} values, the worst {worst:.2} ulp off", y.len());
    Ok(())
}

fn multiples_of(unit: f32, values: Vec<f32>) -> Vec<f32> {
    let round = |value: f32| (value / unit).round() * unit;
    values.into_iter().map(round).collect()
}

/// The spacing of the f32 around `x`.
fn ulp(x: f64) -> f64 {
    let power_of_two = f64::from_bits(x.to_bits() & f64::INFINITY.to_bits());
    power_of_two * f64::from(f32::EPSILON)
}

/// y = selu(x w + b) of the tensors x, w, b and y.
fn dense_selu(gpu: &Gpu, tensors: [&Tensor; 4]) -> Result<(), Box<dyn Error>> {
    let (device, queue) = (gpu.device(), gpu.queue());
    let source = format!(
        "{}{}",
        include_str!("own_shader.wgsl"),
        selfnorm::wgsl::SELU
    );
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("dense_selu"),
        layout: None,
        module: &device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("dense_selu"),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        }),
        entry_point: Some("dense_selu"),
        compilation_options: Default::default(),
        cache: None,
    });
    let entries: Vec<_> = tensors
        .iter()
        .zip(0..)
        .map(|(tensor, binding)| wgpu::BindGroupEntry {
            binding,
            resource: tensor.binding(),
        })
        .collect();
    let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("dense_selu"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &bind_group, &[]);
    pass.dispatch_workgroups((BATCH * OUTPUTS / 4).div_ceil(64) as u32, 1, 1);
    drop(pass);
    queue.submit([encoder.finish()]);
    Ok(())
}
