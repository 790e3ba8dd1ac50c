//! What recording costs, and what an application can notice of small operations that wait for others to
//! be submitted with: nothing.

use std::sync::mpsc;

use crate::bare_selu::bare_selu;
use crate::common::{self, activations, foreign_buffer, gpu, without_hanging};
use crate::{ALLOCATOR, alone};
use selfnorm::nn::Activation::Selu;
use selfnorm::nn::{Dense, Sequential};
use selfnorm::{Gradients, Pass, Result, Tensor, wgpu};

/// More than are one submission.
const OPS: usize = 100;

/// Set in the process that runs one test alone.
const APART: &str = "SELFNORM_APART";

/// The bytes that each of many recordings takes beyond those before it, even if only for a moment.
fn bytes_taken(mut record: impl FnMut()) -> Vec<usize> {
    (0..1000)
        .map(|_| {
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            record();
            ALLOCATOR.peak_usage() - before
        })
        .collect()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn recording_through_a_pass_allocates_what_bare_wgpu_does() {
    let _alone = alone();
    // In a process of its own, where no other test allocates.
    if std::env::var_os(APART).is_none() {
        let name = "recording::recording_through_a_pass_allocates_what_bare_wgpu_does";
        common::passes_apart(name, &[(APART, "1")]);
        return;
    }
    let gpu = gpu();
    if !gpu.device().features().contains(wgpu::Features::IMMEDIATES) {
        return;
    }
    let (x, y): (Tensor, Tensor) = (gpu.zeros([1024]).unwrap(), gpu.zeros([1024]).unwrap());
    let selu = bare_selu(gpu, &x, &y);
    let new_encoder = || gpu.device().create_command_encoder(&Default::default());
    let ours = || {
        let mut encoder = new_encoder();
        let mut pass = gpu.pass(&mut encoder);
        // The first operation looks whether the encoder is locked, the second begins the others' pass.
        pass.selu(&x, &y).unwrap();
        pass.selu(&x, &y).unwrap();
        bytes_taken(|| pass.selu(&x, &y).unwrap())
    };
    // The pipeline and the bind group.
    ours();
    let mut encoder = new_encoder();
    let mut pass = encoder.begin_compute_pass(&Default::default());
    selu.record(&mut pass);
    let theirs = bytes_taken(|| {
        selu.record(&mut pass);
    });
    assert_eq!(ours(), theirs);
}

/// A few shapes and lists of arguments, where preparing the dispatches again would take tens of kilobytes.
const LISTS: usize = 1 << 10;

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn layers_rows_and_textures_are_prepared_once_for_their_tensors() {
    let _alone = alone();
    if std::env::var_os(APART).is_none() {
        let name = "recording::layers_rows_and_textures_are_prepared_once_for_their_tensors";
        common::passes_apart(name, &[(APART, "1")]);
        return;
    }
    let gpu = gpu();
    let zeros = |shape: &[usize]| gpu.zeros(shape).unwrap();
    let [x, w, b, y] = [&[8, 8, 4][..], &[4, 3], &[3], &[8, 8, 3]].map(zeros);
    let [dx, dw, db] = [&x, &w, &b].map(|of| zeros(of.shape()));
    let usage = wgpu::BufferUsages::STORAGE;
    let rows = foreign_buffer(gpu, 8 << 10, usage);
    let rows = gpu.wrap_rows(rows.slice(..), [8, 8, 3], 128).unwrap();
    let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d {
            width: 8,
            height: 8,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING,
        view_formats: &[],
    });
    let image = gpu.wrap_texture(&texture).unwrap();
    let to = Gradients {
        dx: Some(&dx),
        dw: Some(&dw),
        db: Some(&db),
    };
    type Record<'a> = &'a dyn Fn(&mut Pass) -> Result<()>;
    let calls: [(&str, Record); 6] = [
        ("dense", &|pass| pass.dense(&x, &w, &b, Selu, &y)),
        ("dense_backward", &|pass| {
            pass.dense_backward(&x, &w, &y, to)
        }),
        ("softmax", &|pass| pass.softmax_in_place(&y)),
        ("read_rows", &|pass| pass.read_rows(&rows, &y)),
        ("read_texture", &|pass| pass.read_texture(&image, &x)),
        ("write_texture", &|pass| pass.write_texture(&y, &image)),
    ];
    for (name, call) in calls {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut pass = gpu.pass(&mut encoder);
        call(&mut pass).unwrap();
        // wgpu's own lists of commands grow now and then.
        let taken = bytes_taken(|| call(&mut pass).unwrap());
        let usual = taken.iter().filter(|&&bytes| bytes < LISTS).count();
        assert!(usual >= 950, "{name}: {taken:?}");
    }
}

/// So often applied that it takes several submissions.
fn selus(x: &Tensor) -> Result<Tensor> {
    (1..OPS).try_fold(x.selu()?, |y, _| y.selu())
}

/// One submission for each.
fn selus_read_one_by_one(x: &[f32]) -> Vec<f32> {
    (0..OPS).fold(x.to_vec(), |x, _| {
        let x = gpu().tensor(&x, [x.len()]).unwrap();
        x.selu().unwrap().to_vec().unwrap()
    })
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn operations_that_wait_give_the_bits_of_those_that_do_not() {
    let _alone = alone();
    // The rest of a lane is cleared between them.
    for len in [1, 3, 4, 1757] {
        let data = activations(len);
        let x = gpu().tensor(&data, [len]).unwrap();
        let y = selus(&x).unwrap().to_vec().unwrap();
        assert_eq!(y, selus_read_one_by_one(&data), "{len}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_an_application_submits_after_an_operation_comes_after_it() {
    let _alone = alone();
    let gpu = gpu();
    let ones = [1.0f32; 64];
    let selu_of_1 = gpu.tensor(&ones, [64]).unwrap().selu().unwrap();
    let expected = selu_of_1.to_vec().unwrap();
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let buffer = foreign_buffer(gpu, 256, usage);
    let overwrite = |range: wgpu::BufferSlice| {
        let queue = gpu.queue();
        queue.write_buffer(range.buffer(), range.offset(), &[0; 256]);
        queue.submit([]);
    };
    gpu.queue()
        .write_buffer(&buffer, 0, bytemuck::cast_slice(&ones));
    let wrapped: Tensor = gpu.wrap(buffer.slice(..), [64]).unwrap();
    let y = wrapped.selu().unwrap();
    overwrite(buffer.slice(..));
    assert_eq!(y.to_vec().unwrap(), expected, "of a wrapped tensor");

    let x = gpu.tensor(&ones, [64]).unwrap();
    let y = x.selu().unwrap();
    overwrite(x.slice());
    assert_eq!(y.to_vec().unwrap(), expected, "exposed after it");

    let x = gpu.tensor(&ones, [64]).unwrap();
    let range = x.slice();
    let y = x.selu().unwrap();
    overwrite(range);
    assert_eq!(y.to_vec().unwrap(), expected, "exposed before it");

    // What was to be written before comes before, too.
    let y = x.selu().unwrap();
    common::record(gpu, |pass| pass.selu(&selu_of_1, &y));
    let twice = selu_of_1.selu().unwrap().to_vec().unwrap();
    assert_eq!(y.to_vec().unwrap(), twice, "recorded by the application");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_tensor_that_another_thread_goes_on_with_is_computed_before() {
    let _alone = alone();
    let data = activations(257);
    let expected = selus_read_one_by_one(&data);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (sender, received) = mpsc::channel::<Tensor>();
            let x = gpu().tensor(&data, [257]).unwrap();
            std::thread::spawn(move || {
                for _ in 0..20 {
                    sender.send(selus(&x).unwrap()).unwrap();
                }
            });
            std::thread::spawn(move || received.iter().map(|y| y.to_vec().unwrap()).collect())
        })
        .collect();
    for thread in threads {
        let read: Vec<Vec<f32>> = thread.join().unwrap();
        assert_eq!(read.len(), 20);
        assert!(read.iter().all(|y| *y == expected));
    }
}

/// What a network is given is private, so its work shares a submission with what still waits, which may
/// be under way in another thread.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_network_sees_what_another_thread_has_computed() {
    let _alone = alone();
    let data = activations(64);
    let build = || {
        let layers = Sequential::new([4]).add(Dense::new(4));
        layers.build(gpu(), 1).unwrap()
    };
    let x = || gpu().tensor(&data, [16, 4]).unwrap();
    let computed = selus_read_one_by_one(&data);
    let computed = gpu().tensor(&computed, [16, 4]).unwrap();
    let expected = build().predict(&computed).unwrap().to_vec().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (sender, received) = mpsc::channel::<Tensor>();
            let (x, model) = (x(), build());
            std::thread::spawn(move || {
                for _ in 0..20 {
                    sender.send(selus(&x).unwrap()).unwrap();
                }
            });
            std::thread::spawn(move || {
                let predict = |y: Tensor| model.predict(&y).unwrap().to_vec().unwrap();
                received.iter().map(predict).collect()
            })
        })
        .collect();
    for thread in threads {
        let predicted: Vec<Vec<f32>> = thread.join().unwrap();
        assert_eq!(predicted.len(), 20);
        assert!(predicted.iter().all(|y| *y == expected));
    }
}

/// wgpu puts no restrictions on callbacks, which a submission calls.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_callback_may_compute_and_read() {
    let _alone = alone();
    let read = without_hanging(|| {
        let gpu = gpu();
        let x = gpu.tensor(&[1.0f32; 64], [64]).unwrap();
        let expected = x.selu().unwrap().to_vec().unwrap();
        let (sender, results) = mpsc::channel();
        for _ in 0..OPS {
            let (x, sender) = (gpu.tensor(&[1.0f32; 64], [64]).unwrap(), sender.clone());
            gpu.queue().on_submitted_work_done(move || {
                sender.send(x.selu().unwrap().to_vec().unwrap()).unwrap();
            });
            selus(&gpu.zeros([64]).unwrap()).unwrap();
        }
        // Other tests' threads poll the device too, and may have taken a callback that they still run.
        let mut read = Vec::new();
        while read.len() < OPS {
            gpu.device()
                .poll(wgpu::PollType::wait_indefinitely())
                .unwrap();
            read.extend(results.try_iter());
        }
        assert!(read.iter().all(|y| *y == expected));
        read
    });
    assert_eq!(read.len(), OPS);
}
