//! Rows with a stride, against copies on the host: every bit of the rows, and none of what is between them.

use crate::common::{foreign_buffer, gpu_async, new_gpu_async, record};
use selfnorm::{Error, Gpu, Rows, Tensor, wgpu};
use wasm_bindgen_test::wasm_bindgen_test;

/// Shape, stride and offset in bytes.
const CASES: [(&[usize], u64, u64); 8] = [
    (&[1, 3], 16, 0),
    (&[7, 3], 16, 0),
    // A second attribute of interleaved vertices.
    (&[257, 3], 24, 12),
    (&[1000, 1], 4, 4),
    (&[5, 2, 2], 20, 256),
    (&[3, 3], 12, 36),
    (&[9], 8, 20),
    (&[0, 3], 16, 8),
];

/// Bits of all kinds, NaNs with payloads among them.
fn words(len: usize, seed: u64) -> Vec<u32> {
    let special = [0x7fc0_1234, 0xff80_0000, 0x8000_0000, 1, 0x7f80_0001];
    let words = selfnorm::random::words(seed, 3, 0..len as u64).enumerate();
    words
        .map(|(i, word)| if i % 7 == 3 { special[i % 5] } else { word })
        .collect()
}

fn vertices(gpu: &Gpu, words: &[u32]) -> wgpu::Buffer {
    use wgpu::BufferUsages as Usage;
    let usage = Usage::VERTEX | Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
    let buffer = foreign_buffer(gpu, size_of_val(words) as u64, usage);
    let bytes = bytemuck::cast_slice(words);
    gpu.queue().write_buffer(&buffer, 0, bytes);
    buffer
}

/// What is in a buffer: a tensor's read copies bits.
async fn read(gpu: &Gpu, buffer: &wgpu::Buffer) -> Vec<u32> {
    let len = buffer.size() as usize / 4;
    let all: Tensor = gpu.wrap(buffer.slice(..), [len]).unwrap();
    bits(&all).await
}

async fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.read().await.unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// The words of the rows in a buffer.
fn places(shape: &[usize], stride: u64, offset: u64) -> Vec<usize> {
    let row: usize = shape[1..].iter().product();
    let start = |r: usize| (offset + r as u64 * stride) as usize / 4;
    (0..shape[0])
        .flat_map(|r| start(r)..start(r) + row)
        .collect()
}

async fn check(gpu: &Gpu, shape: &[usize], stride: u64, offset: u64) {
    let places = places(shape, stride, offset);
    let len = places.last().map_or(100, |last| last + 1);
    let before = words(len, 1);
    let buffer = vertices(gpu, &before);
    let rows = gpu.wrap_rows(buffer.slice(offset..), shape, stride);
    let rows = rows.unwrap();
    assert_eq!((rows.shape(), rows.stride()), (shape, stride));

    let x = gpu.tensor(&vec![7.0; places.len()], shape).unwrap();
    record(gpu, |pass| pass.read_rows(&rows, &x));
    let expected: Vec<_> = places.iter().map(|&place| before[place]).collect();
    assert_eq!(bits(&x).await, expected, "read {shape:?} every {stride}");

    let values = words(places.len(), 2);
    let y = vertices(gpu, &[&values[..], &[0; 4]].concat());
    let y: Tensor = gpu.wrap(y.slice(..), shape).unwrap();
    record(gpu, |pass| pass.write_rows(&y, &rows));
    let mut after = before;
    for (place, value) in places.into_iter().zip(values) {
        after[place] = value;
    }
    assert!(
        read(gpu, &buffer).await == after,
        "written {shape:?} every {stride}"
    );
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn rows_are_copied_bit_by_bit_and_nothing_between_them_is_touched() {
    let gpu = gpu_async().await;
    for (shape, stride, offset) in CASES {
        check(gpu, shape, stride, offset).await;
    }
}

/// Browsers have no lower limits than the default ones.
#[cfg(not(target_family = "wasm"))]
#[pollster::test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn rows_beyond_a_binding_are_copied_too() {
    let gpu = &crate::common::gpu_with(
        wgpu::Features::empty(),
        wgpu::Limits {
            max_storage_buffer_binding_size: 1 << 16,
            ..wgpu::Limits::default()
        },
    );
    // read() binds nothing: it copies. The bindings end within a row, and within the space behind one.
    for stride in [12, 20, 1000] {
        check(gpu, &[9000, 3], stride, 44).await;
    }
    let buffer = vertices(gpu, &[0; 1 << 16]);
    let error = gpu.wrap_rows(buffer.slice(..), [2, 3], 1 << 16);
    let error = error.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

/// A network's points and colours as vertices: rows in, an operation, rows out, and no copy by hand.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn an_operation_in_between_sees_the_rows_in_the_order_recorded() {
    let gpu = gpu_async().await;
    let values: Vec<f32> = (0..60).map(|i| i as f32 - 30.0).collect();
    let buffer = vertices(gpu, bytemuck::cast_slice(&values));
    let [positions, colours] = [0, 12].map(|offset| {
        let rows = gpu.wrap_rows(buffer.slice(offset..), [10, 3], 24);
        rows.unwrap()
    });
    let x = gpu.zeros([10, 3]).unwrap();
    record(gpu, |pass| {
        pass.read_rows(&positions, &x)?;
        pass.relu_in_place(&x)?;
        pass.write_rows(&x, &colours)
    });
    let found = read(gpu, &buffer).await.into_iter().map(f32::from_bits);
    for (i, found) in found.enumerate() {
        let (vertex, place) = (i / 6, i % 6);
        let expected = match place {
            0..3 => values[i],
            _ => values[vertex * 6 + place - 3].max(0.0),
        };
        assert_eq!(found, expected, "{i}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_wrong_range_is_an_error_that_states_the_rule() {
    let gpu = gpu_async().await;
    let buffer = vertices(gpu, &[0; 100]);
    let error = |offset: u64, shape: &[usize], stride| {
        let rows: Result<Rows, Error> = gpu.wrap_rows(buffer.slice(offset..), shape, stride);
        rows.unwrap_err().to_string()
    };
    assert_eq!(
        error(2, &[3, 3], 16),
        "wrap_rows: the offset is 2.0, must be a multiple of 4"
    );
    assert_eq!(
        error(0, &[3, 3], 14),
        "wrap_rows: the stride is 14.0, must be a multiple of 4"
    );
    assert_eq!(
        error(0, &[3, 3], 8),
        "wrap_rows: the stride is 8.0, must be at least the bytes of a row"
    );
    // The last row needs no space behind it.
    gpu.wrap_rows(buffer.slice(4..), [25, 3], 16).unwrap();
    let short = error(8, &[25, 3], 16);
    assert!(
        short.contains("needs 396 bytes, the range has 392"),
        "{short}"
    );
    let vertex = foreign_buffer(gpu, 64, wgpu::BufferUsages::VERTEX);
    let rows = gpu.wrap_rows(vertex.slice(..), [2, 3], 12);
    let error = rows.unwrap_err();
    assert!(matches!(error, Error::MissingUsage { .. }), "{error}");
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_wrong_tensor_is_an_error() {
    let gpu = gpu_async().await;
    let buffer = vertices(gpu, &[0; 300]);
    let rows = gpu.wrap_rows(buffer.slice(..), [10, 3], 16).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut pass = gpu.pass(&mut encoder);
    let wrong = gpu.zeros([3, 10]).unwrap();
    let error = pass.read_rows(&rows, &wrong).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read_rows: expected shape [10, 3] for x, got [3, 10]"
    );
    let between: Tensor = gpu.wrap(buffer.slice(..), [10, 3]).unwrap();
    let error = pass.write_rows(&between, &rows).unwrap_err();
    assert!(matches!(error, Error::Aliased { .. }), "{error}");
    let behind: Tensor = gpu.wrap(buffer.slice(512..), [10, 3]).unwrap();
    pass.write_rows(&behind, &rows).unwrap();

    let other = new_gpu_async().await;
    let stranger = other.zeros([10, 3]).unwrap();
    let error = pass.write_rows(&stranger, &rows).unwrap_err();
    assert!(matches!(error, Error::OtherGpu { .. }), "{error}");
    let buffer = vertices(&other, &[0; 300]);
    let rows = other.wrap_rows(buffer.slice(..), [10, 3], 16).unwrap();
    let x = gpu.zeros([10, 3]).unwrap();
    let error = pass.read_rows(&rows, &x).unwrap_err();
    assert!(matches!(error, Error::OtherGpu { .. }), "{error}");
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_is_kept_for_rows_goes_with_them() {
    use crate::common::allocated;
    let gpu = &crate::common::new_gpu();
    let x = gpu.zeros([100, 3]).unwrap();
    let run = || {
        let buffer = vertices(gpu, &[0; 1000]);
        let rows = gpu.wrap_rows(buffer.slice(..), [100, 3], 16).unwrap();
        record(gpu, |pass| pass.read_rows(&rows, &x));
        let first = allocated(gpu);
        record(gpu, |pass| pass.read_rows(&rows, &x));
        assert_eq!(allocated(gpu), first);
    };
    run();
    let before = allocated(gpu);
    for _ in 0..3 {
        run();
    }
    assert_eq!(allocated(gpu), before);
}
