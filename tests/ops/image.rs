//! Textures to tensors and back: floats bit for bit, bytes against k / 255 and the nearest k, 16-bit floats
//! against `half`'s, sRGB against its formula in f64.

use crate::common::{activations, adapter_async, foreign_buffer, gpu_async, new_gpu_async, record};
use half::f16;
use selfnorm::{Error, Gpu, Tensor, wgpu};
use wasm_bindgen_test::wasm_bindgen_test;
use wgpu::TextureFormat::{
    self as Format, R32Float, Rgba8Unorm, Rgba8UnormSrgb, Rgba16Float, Rgba32Float,
};
use wgpu::TextureUsages as Usage;

const SIZES: [[u32; 2]; 4] = [[1, 1], [5, 7], [3, 300], [65, 64]];

fn descriptor(
    [height, width]: [u32; 2],
    format: Format,
    usage: Usage,
) -> wgpu::TextureDescriptor<'static> {
    wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d {
            width,
            height,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: usage | Usage::COPY_SRC | Usage::COPY_DST,
        view_formats: &[],
    }
}

fn texture(gpu: &Gpu, size: [u32; 2], format: Format) -> wgpu::Texture {
    let usage = match format {
        Rgba8UnormSrgb => Usage::TEXTURE_BINDING,
        _ => Usage::TEXTURE_BINDING | Usage::STORAGE_BINDING,
    };
    gpu.device()
        .create_texture(&descriptor(size, format, usage))
}

/// A texture with these bytes in it, row by row.
fn filled(gpu: &Gpu, size: [u32; 2], format: Format, bytes: &[u8]) -> wgpu::Texture {
    let texture = texture(gpu, size, format);
    let row = bytes.len() as u32 / size[0];
    gpu.queue().write_texture(
        texture.as_image_copy(),
        bytes,
        wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(row),
            rows_per_image: None,
        },
        texture.size(),
    );
    texture
}

/// The bytes of a texture, copied by wgpu.
async fn bytes_of(gpu: &Gpu, texture: &wgpu::Texture) -> Vec<u8> {
    let row = texture.width() * texture.format().block_copy_size(None).unwrap();
    let pitch = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let bytes = u64::from(pitch * texture.height());
    let usages = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let buffer = foreign_buffer(gpu, bytes, usages | wgpu::BufferUsages::STORAGE);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &buffer,
            layout: wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(pitch),
                rows_per_image: None,
            },
        },
        texture.size(),
    );
    gpu.queue().submit([encoder.finish()]);
    // A tensor's read copies bits.
    let padded: Tensor = gpu.wrap(buffer.slice(..), [bytes as usize / 4]).unwrap();
    let padded = padded.read().await.unwrap();
    let rows = bytemuck::cast_slice::<_, u8>(&padded).chunks(pitch as usize);
    rows.flat_map(|padded| padded[..row as usize].to_vec())
        .collect()
}

async fn read(gpu: &Gpu, texture: &wgpu::Texture, shape: &[usize]) -> Vec<f32> {
    let image = gpu.wrap_texture(texture).unwrap();
    let x = gpu
        .tensor(&vec![7.0; shape.iter().product()], shape)
        .unwrap();
    record(gpu, |pass| pass.read_texture(&image, &x));
    x.read().await.unwrap()
}

/// A texture that is written from these values, over bytes that are all 99.
async fn written(gpu: &Gpu, size: [u32; 2], format: Format, x: &Tensor) -> Vec<u8> {
    let texels = (size[0] * size[1]) as usize;
    let texel = format.block_copy_size(None).unwrap() as usize;
    let texture = filled(gpu, size, format, &vec![99; texels * texel]);
    let image = gpu.wrap_texture(&texture).unwrap();
    record(gpu, |pass| pass.write_texture(x, &image));
    bytes_of(gpu, &texture).await
}

fn shape(size: [u32; 2], channels: usize) -> [usize; 3] {
    [size[0] as usize, size[1] as usize, channels]
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn floats_are_read_and_written_bit_for_bit() {
    let gpu = gpu_async().await;
    for (format, channels) in [(R32Float, 1), (Rgba32Float, 4)] {
        for size in SIZES {
            let shape = shape(size, channels);
            let mut values = activations(shape.iter().product());
            values[0] = f32::INFINITY;
            let bytes: &[u8] = bytemuck::cast_slice(&values);
            let texture = filled(gpu, size, format, bytes);
            let read = read(gpu, &texture, &shape).await;
            assert_eq!(read, values, "{format:?} {size:?}");
            let x = gpu.tensor(&values, shape).unwrap();
            assert!(
                written(gpu, size, format, &x).await == bytes,
                "{format:?} {size:?}"
            );
        }
    }
}

/// Every byte in every channel, each in its place.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_byte_is_read_as_its_255th_and_written_back() {
    let gpu = gpu_async().await;
    let size = [16, 16];
    let bytes: Vec<u8> = (0..1024).map(|i| (i / 4 + i % 4 * 77) as u8).collect();
    let texture = filled(gpu, size, Rgba8Unorm, &bytes);
    let values = read(gpu, &texture, &shape(size, 4)).await;
    for (&value, &byte) in values.iter().zip(&bytes) {
        // Devices convert within an ulp.
        let error = f64::from(value) - f64::from(byte) / 255.0;
        assert!(error.abs() <= 2f64.powi(-23), "{byte}: {value}");
    }
    let x = gpu.tensor(&values, shape(size, 4)).unwrap();
    assert_eq!(written(gpu, size, Rgba8Unorm, &x).await, bytes);
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_value_is_written_as_the_nearest_byte() {
    let gpu = gpu_async().await;
    let size = [64, 64];
    let mut values: Vec<f32> = (0..64 * 64 * 4)
        .map(|i| i as f32 / 16_000.0 - 0.01)
        .collect();
    values[..6].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -3.0, 9.0, 1.0]);
    let x = gpu.tensor(&values, shape(size, 4)).unwrap();
    let bytes = written(gpu, size, Rgba8Unorm, &x).await;
    assert_eq!(bytes[..6], [0, 255, 0, 0, 255, 255]);
    for (&value, byte) in values.iter().zip(bytes).skip(6) {
        let exact = f64::from(value).clamp(0.0, 1.0) * 255.0;
        // The product with 255 is rounded.
        let bound = 0.5 + 256.0 * 2f64.powi(-23);
        assert!((f64::from(byte) - exact).abs() <= bound, "{value}: {byte}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_floats_are_read_exactly_and_written_as_one_of_the_two_nearest() {
    let gpu = gpu_async().await;
    let size = [65, 64];
    let shape = shape(size, 4);
    let values = activations(shape.iter().product());
    let x = gpu.tensor(&values, shape).unwrap();
    let bytes = written(gpu, size, Rgba16Float, &x).await;
    let halves: &[f16] = bytemuck::cast_slice(&bytes);
    for (half, &value) in halves.iter().zip(&values) {
        let next = |by: i32| f16::from_bits((i32::from(half.to_bits()) + by) as u16).to_f32();
        let gap = (next(1) - half.to_f32()).abs().max(2f32.powi(-24));
        assert!((half.to_f32() - value).abs() < gap, "{value}: {half}");
    }
    let texture = filled(gpu, size, Rgba16Float, &bytes);
    let exact: Vec<_> = halves.iter().map(|half| half.to_f32()).collect();
    assert_eq!(read(gpu, &texture, &shape).await, exact);
}

/// The decoding of IEC 61966-2-1. Direct3D, the least exact, allows half a byte of error.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn srgb_is_read_as_linear_and_can_only_be_written_through_another_format() {
    let gpu = gpu_async().await;
    let size = [16, 16];
    let bytes: Vec<u8> = (0..=255)
        .flat_map(|byte| [byte, 0, 255 - byte, byte])
        .collect();
    let texture = filled(gpu, size, Rgba8UnormSrgb, &bytes);
    let values = read(gpu, &texture, &shape(size, 4)).await;
    let decoded = |encoded: f64| match encoded <= 0.04045 {
        true => encoded / 12.92,
        false => ((encoded + 0.055) / 1.055).powf(2.4),
    };
    for (i, (&value, &byte)) in values.iter().zip(&bytes).enumerate() {
        let near = |by: f64| decoded(((f64::from(byte) + by) / 255.0).clamp(0.0, 1.0));
        let (low, high) = match i % 4 {
            // Alpha is linear.
            3 => (
                f64::from(byte) / 255.0 - 1e-6,
                f64::from(byte) / 255.0 + 1e-6,
            ),
            _ => (near(-0.5) - 1e-9, near(0.5) + 1e-9),
        };
        let value = f64::from(value);
        assert!(low <= value && value <= high, "{byte}: {value}");
    }
    let image = gpu.wrap_texture(&texture).unwrap();
    let x = gpu.zeros([16, 16, 4]).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let error = gpu
        .pass(&mut encoder)
        .write_texture(&x, &image)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "write_texture: the texture must have a format of [Rgba8Unorm, Rgba16Float, Rgba32Float, \
         R32Float], it has Rgba8UnormSrgb"
    );

    // As the documentation advises: the bytes are the encoded values, and a view decodes them. OpenGL has
    // no views of other formats.
    let downlevel = adapter_async().await.get_downlevel_capabilities();
    if !downlevel.flags.contains(wgpu::DownlevelFlags::VIEW_FORMATS) {
        return;
    }
    let view_formats = &[Rgba8UnormSrgb];
    let usage = Usage::TEXTURE_BINDING | Usage::STORAGE_BINDING | Usage::RENDER_ATTACHMENT;
    let twofold = gpu.device().create_texture(&wgpu::TextureDescriptor {
        view_formats,
        ..descriptor(size, Rgba8Unorm, usage)
    });
    let encoder = &mut gpu.device().create_command_encoder(&Default::default());
    clear(
        encoder,
        &twofold,
        Rgba8UnormSrgb,
        [decoded(0.5), 0.0, 1.0, 1.0],
    );
    gpu.queue().submit([std::mem::replace(
        encoder,
        gpu.device().create_command_encoder(&Default::default()),
    )
    .finish()]);
    let first = &read(gpu, &twofold, &shape(size, 4)).await[..4];
    let error = (f64::from(first[0]) - 0.5).abs();
    assert!(error <= 1.0 / 255.0, "{first:?}");
    assert_eq!(first[1..], [0.0, 1.0, 1.0]);
}

/// A render pass that does nothing but clear.
fn clear(
    encoder: &mut wgpu::CommandEncoder,
    texture: &wgpu::Texture,
    format: Format,
    [r, g, b, a]: [f64; 4],
) {
    let view = texture.create_view(&wgpu::TextureViewDescriptor {
        format: Some(format),
        usage: Some(Usage::RENDER_ATTACHMENT),
        ..Default::default()
    });
    encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations {
                load: wgpu::LoadOp::Clear(wgpu::Color { r, g, b, a }),
                store: wgpu::StoreOp::Store,
            },
        })],
        ..Default::default()
    });
}

/// In one encoder: a frame is rendered, read, inverted, and written to the texture that is shown.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_frame_is_read_after_it_is_rendered_in_the_same_encoder() {
    let gpu = gpu_async().await;
    let size = [9, 21];
    let usage = Usage::TEXTURE_BINDING | Usage::RENDER_ATTACHMENT;
    let rendered = gpu
        .device()
        .create_texture(&descriptor(size, Rgba16Float, usage));
    let shown = texture(gpu, size, Rgba8Unorm);
    let [from, to] = [&rendered, &shown].map(|texture| gpu.wrap_texture(texture).unwrap());
    assert_eq!(from.shape(), [9, 21, 4]);
    let x = gpu.zeros([9, 21, 3]).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    clear(&mut encoder, &rendered, Rgba16Float, [0.25, -0.5, 1.0, 0.0]);
    let mut pass = gpu.pass(&mut encoder);
    pass.read_texture(&from, &x).unwrap();
    pass.leaky_relu_in_place(&x, -2.0).unwrap();
    pass.write_texture(&x, &to).unwrap();
    drop(pass);
    gpu.queue().submit([encoder.finish()]);
    let expected = [64, 255, 255, 255].repeat(9 * 21);
    assert_eq!(bytes_of(gpu, &shown).await, expected);
}

/// Fewer channels than the format's, and the shapes that other operations take.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_tensor_may_have_fewer_channels_and_be_a_batch_or_rows_of_pixels() {
    let gpu = gpu_async().await;
    let size = [3, 5];
    let values = activations(3 * 5 * 4);
    let texture = filled(gpu, size, Rgba32Float, bytemuck::cast_slice(&values));
    for channels in 1..=4 {
        let expected: Vec<f32> = values
            .chunks(4)
            .flat_map(|texel| &texel[..channels])
            .copied()
            .collect();
        for shape in [&[3, 5, channels][..], &[1, 3, 5, channels], &[15, channels]] {
            assert_eq!(read(gpu, &texture, shape).await, expected, "{shape:?}");
            let x = gpu.tensor(&expected, shape).unwrap();
            let bytes = written(gpu, size, Rgba32Float, &x).await;
            let found: &[f32] = bytemuck::cast_slice(&bytes);
            for (found, texel) in found.chunks(4).zip(values.chunks(4)) {
                let mut expected = [0.0, 0.0, 0.0, 1.0];
                expected[..channels].copy_from_slice(&texel[..channels]);
                assert_eq!(found, expected, "{shape:?}");
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_texture_that_can_t_be_used_is_an_error_that_says_why() {
    let gpu = gpu_async().await;
    let error = |descriptor| {
        let texture = gpu.device().create_texture(&descriptor);
        gpu.wrap_texture(&texture).unwrap_err().to_string()
    };
    let usage = Usage::TEXTURE_BINDING;
    let plain = descriptor([4, 4], Rgba8Unorm, usage);
    assert_eq!(
        error(wgpu::TextureDescriptor {
            dimension: wgpu::TextureDimension::D3,
            ..plain.clone()
        }),
        "wrap_texture: the texture must be two-dimensional, it is D3"
    );
    let mut layers = plain.clone();
    layers.size.depth_or_array_layers = 6;
    assert_eq!(
        error(layers),
        "wrap_texture: the texture must have one layer, it has 6"
    );
    assert_eq!(
        error(wgpu::TextureDescriptor {
            sample_count: 4,
            usage: usage | Usage::RENDER_ATTACHMENT,
            ..plain.clone()
        }),
        "wrap_texture: the texture must have one sample, it has 4"
    );
    for format in [Format::R32Uint, Format::Depth32Float] {
        let expected =
            format!("wrap_texture: the texture must have a format of floats, it has {format:?}");
        let usage = Usage::TEXTURE_BINDING;
        assert_eq!(
            error(wgpu::TextureDescriptor {
                format,
                usage,
                ..plain.clone()
            }),
            expected
        );
    }

    // After a resize, for instance.
    let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: Some("mine"),
        usage: wgpu::TextureUsages::STORAGE_BINDING,
        ..plain.clone()
    });
    let image = gpu.wrap_texture(&texture).unwrap();
    texture.destroy();
    let x = gpu.zeros([4, 4, 4]).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let label = "mine".into();
    let written = gpu.pass(&mut encoder).write_texture(&x, &image);
    // Browsers find it when the application submits.
    if !cfg!(target_family = "wasm") {
        assert_eq!(written, Err(Error::Destroyed { label }));
    }

    let image = gpu
        .wrap_texture(&gpu.device().create_texture(&plain))
        .unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut pass = gpu.pass(&mut encoder);
    assert_eq!(
        pass.write_texture(&x, &image).unwrap_err().to_string(),
        "write_texture: the texture must be created with TextureUsages::STORAGE_BINDING"
    );
    for wrong in [&[4, 4, 5][..], &[4, 3, 4], &[4, 4], &[], &[0, 4, 4]] {
        let x = gpu.zeros(wrong).unwrap();
        let error = pass.read_texture(&image, &x).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{wrong:?}: {error}");
    }
    let stranger = new_gpu_async().await.zeros([4, 4, 4]).unwrap();
    let error = pass.read_texture(&image, &stranger).unwrap_err();
    assert!(matches!(error, Error::OtherGpu { .. }), "{error}");
    pass.read_texture(&image, &x).unwrap();
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_is_kept_for_an_image_goes_with_it() {
    use crate::common::allocated;
    let gpu = &crate::common::new_gpu();
    let x = gpu.zeros([64, 64, 4]).unwrap();
    let run = || {
        let image = gpu
            .wrap_texture(&texture(gpu, [64, 64], Rgba32Float))
            .unwrap();
        let frame = || {
            record(gpu, |pass| {
                pass.write_texture(&x, &image)?;
                pass.read_texture(&image, &x)
            });
        };
        frame();
        let first = allocated(gpu);
        frame();
        assert_eq!(allocated(gpu), first);
    };
    run();
    let before = allocated(gpu);
    for _ in 0..3 {
        run();
    }
    assert_eq!(allocated(gpu), before);
}
