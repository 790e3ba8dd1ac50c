//! scratch
use selfnorm::{Gpu, Tensor, wgpu};
use std::time::{Duration, Instant};
fn min(name: &str, mut f: impl FnMut()) {
    let n: usize = std::env::var("N")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300);
    let only = std::env::var("ONLY").unwrap_or_default();
    if !name.contains(&only) {
        return;
    }
    for _ in 0..5 {
        f();
    }
    let cpu = || {
        let s = std::fs::read_to_string("/proc/self/stat").unwrap();
        let v: Vec<f64> = s
            .split(' ')
            .skip(13)
            .take(2)
            .map(|x| x.parse().unwrap())
            .collect();
        (v[0] + v[1]) * 10000.0
    };
    let c = cpu();
    let mut best = Duration::MAX;
    let mut all = vec![];
    for _ in 0..n {
        let s = Instant::now();
        f();
        let e = s.elapsed();
        best = best.min(e);
        all.push(e);
    }
    all.sort();
    println!(
        "{name}: min {best:.1?} median {:.1?} cpu {:.0} us",
        all[n / 2],
        (cpu() - c) / n as f64
    );
}
fn main() {
    let gpu = Gpu::new().unwrap();
    let len = 1 << 10;
    let data = vec![-1.0f32; len];
    let x: Tensor = gpu.tensor(&data, [len]).unwrap();
    let y: Tensor = gpu.zeros([len]).unwrap();
    let wait = || {
        gpu.device()
            .poll(wgpu::PollType::wait_indefinitely())
            .unwrap();
    };
    min("empty submit + wait", || {
        let e = gpu.device().create_command_encoder(&Default::default());
        gpu.queue().submit([e.finish()]);
        wait();
    });
    min("empty submit x 100, wait", || {
        for _ in 0..100 {
            let e = gpu.device().create_command_encoder(&Default::default());
            gpu.queue().submit([e.finish()]);
        }
        wait();
    });
    for n in [1, 2, 100] {
        min(&format!("{n} selus in one pass, wait"), || {
            let mut e = gpu.device().create_command_encoder(&Default::default());
            let mut pass = gpu.pass(&mut e);
            for i in 0..n {
                if i % 2 == 0 {
                    pass.selu(&x, &y).unwrap()
                } else {
                    pass.selu(&y, &x).unwrap()
                }
            }
            drop(pass);
            gpu.queue().submit([e.finish()]);
            wait();
        });
    }
    min("100 selus in 100 submissions, wait", || {
        for i in 0..100 {
            let mut e = gpu.device().create_command_encoder(&Default::default());
            let mut pass = gpu.pass(&mut e);
            if i % 2 == 0 {
                pass.selu(&x, &y).unwrap()
            } else {
                pass.selu(&y, &x).unwrap()
            }
            drop(pass);
            gpu.queue().submit([e.finish()]);
        }
        wait();
    });
    for k in [100, 25, 10] {
        min(
            &format!("100 selus in 100 command buffers, {k} a submission, wait"),
            || {
                let mut all = vec![];
                for i in 0..100 {
                    let mut e = gpu.device().create_command_encoder(&Default::default());
                    let mut pass = gpu.pass(&mut e);
                    if i % 2 == 0 {
                        pass.selu(&x, &y).unwrap()
                    } else {
                        pass.selu(&y, &x).unwrap()
                    }
                    drop(pass);
                    all.push(e.finish());
                    if all.len() == k {
                        gpu.queue().submit(all.drain(..));
                    }
                }
                wait();
            },
        );
        min(
            &format!("100 selus in passes, {k} a submission, wait"),
            || {
                for _ in 0..100 / k {
                    let mut e = gpu.device().create_command_encoder(&Default::default());
                    for i in 0..k {
                        let mut pass = gpu.pass(&mut e);
                        if i % 2 == 0 {
                            pass.selu(&x, &y).unwrap()
                        } else {
                            pass.selu(&y, &x).unwrap()
                        }
                        drop(pass);
                    }
                    gpu.queue().submit([e.finish()]);
                }
                wait();
            },
        );
    }
    min("probe: error on purpose", || {
        for _ in 0..1000 {
            let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
            let _ = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 4,
                usage: wgpu::BufferUsages::empty(),
                mapped_at_creation: false,
            });
            assert!(pollster::block_on(scope.pop()).is_some());
        }
    });
    min("probe: mapped buffer", || {
        for _ in 0..1000 {
            let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
            let b = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 4,
                usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: true,
            });
            assert!(b.get_mapped_range_mut(..).is_ok());
            assert!(pollster::block_on(scope.pop()).is_none());
        }
    });
    min("probe: poll last submission", || {
        let e = gpu.device().create_command_encoder(&Default::default());
        let i = gpu.queue().submit([e.finish()]);
        for _ in 0..1000 {
            let _ = gpu.device().poll(wgpu::PollType::Wait {
                submission_index: Some(i.clone()),
                timeout: Some(Duration::ZERO),
            });
        }
    });
    min("scope", || {
        for _ in 0..1000 {
            let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
            assert!(pollster::block_on(scope.pop()).is_none());
        }
    });
    min("100 tensor selus", || {
        let y = (1..100)
            .try_fold(x.selu().unwrap(), |y, _| y.selu())
            .unwrap();
        y.to_vec().unwrap();
    });
    min("upload to read", || {
        gpu.tensor(&data, [len])
            .unwrap()
            .selu()
            .unwrap()
            .to_vec()
            .unwrap();
    });
    min("upload", || {
        gpu.tensor(&data, [len]).unwrap();
    });
    min("read", || {
        x.to_vec().unwrap();
    });
    min("selu", || {
        x.selu().unwrap();
    });
    min("selu, wait", || {
        x.selu().unwrap();
        wait()
    });
}
