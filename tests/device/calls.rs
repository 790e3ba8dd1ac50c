//! What the crate asks of wgpu, counted.

use crate::common;
use crate::common::calls::{Calls, Counted};
use selfnorm::wgpu;

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_bare_wgpu_calls_is_counted() {
    let gpu = Counted::new();
    let (calls, ()) = gpu.calls(|| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let buffer = common::foreign_buffer(&gpu, 16, wgpu::BufferUsages::COPY_DST);
        encoder.clear_buffer(&buffer, 0, None);
        drop(encoder.begin_compute_pass(&Default::default()));
        gpu.queue().write_buffer(&buffer, 0, &[0; 4]);
        gpu.queue().submit([encoder.finish()]);
    });
    let expected = Calls {
        submissions: 1,
        buffers: 1,
        encoders: 1,
        passes: 1,
        copies: 1,
        writes: 1,
        ..Calls::default()
    };
    assert_eq!(calls, expected);
}
