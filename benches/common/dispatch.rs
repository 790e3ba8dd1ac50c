//! Dispatches in bare wgpu, of the crate's shaders and others.
#![allow(dead_code)]

use selfnorm::wgsl::Shader;
use selfnorm::{Gpu, wgpu};

/// A shader of the crate with its parameters as immediates: the first whose name begins with these words. Its lanes are
/// "f32x4" or "f32".
pub fn shader(name: &str, lanes: &str) -> Shader {
    let (begin, lanes) = (format!("{name} "), format!(" {lanes} immediates"));
    let mut shaders = selfnorm::wgsl::shaders().into_iter();
    let shader =
        shaders.find(|shader| shader.name.starts_with(&begin) && shader.name.contains(&lanes));
    shader.unwrap_or_else(|| panic!("no shader is called {name}"))
}

/// The source with another value of a constant that the host writes.
pub fn with_constant(source: &str, name: &str, value: u32) -> String {
    let begin = format!("const {name} = ");
    let at = source
        .find(&begin)
        .unwrap_or_else(|| panic!("there is no {name}"));
    let end = at + source[at..].find('\n').expect("it is a line");
    format!("{}{begin}{value}u;{}", &source[..at], &source[end..])
}

/// Where a function begins and ends in a source.
pub fn function(source: &str, begin: &str) -> (usize, usize) {
    let at = source
        .find(begin)
        .unwrap_or_else(|| panic!("there is no {begin}"));
    let end = source[at..].find("\n}\n").expect("it ends");
    (at, at + end + 3)
}

/// The parameters of a shader as immediates: those that are named, and zeros.
pub fn immediates(shader: &Shader, values: &[(&str, u32)]) -> Vec<u8> {
    let params = shader.structs[0];
    let mut bytes = vec![0; params.size];
    for (name, value) in values {
        let field = params.fields.iter().find(|field| field.0 == *name);
        let (_, offset) = field.unwrap_or_else(|| panic!("{} has no {name}", params.name));
        bytes[*offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Everything that wgpu needs for a dispatch, made before it. Its bindings are those of group 0.
pub struct Dispatch {
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroup,
    pub immediates: Vec<u8>,
    pub groups: [u32; 2],
}

impl Dispatch {
    pub fn pipeline(gpu: &Gpu, source: &str, entry_point: &str) -> wgpu::ComputePipeline {
        let device = gpu.device();
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some(entry_point),
            compilation_options: Default::default(),
            cache: None,
        })
    }

    pub fn bindings(
        gpu: &Gpu,
        pipeline: &wgpu::ComputePipeline,
        bindings: &[wgpu::BindingResource],
    ) -> wgpu::BindGroup {
        let bindings = (0..).zip(bindings);
        let entries: Vec<_> = bindings
            .map(|(binding, resource)| wgpu::BindGroupEntry {
                binding,
                resource: resource.clone(),
            })
            .collect();
        gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        })
    }

    pub fn record(&self, pass: &mut wgpu::ComputePass) {
        let [x, y] = self.groups;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        if !self.immediates.is_empty() {
            pass.set_immediates(0, &self.immediates);
        }
        pass.dispatch_workgroups(x, y, 1);
    }
}
