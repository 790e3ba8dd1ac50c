//! Textures of an application to tensors and back.

use super::check_size;
use crate::element::ElementType;
use crate::gpu::kept::Id;
use crate::pass::{Access, Hint, Operand, number};
use crate::shader::files::{self, File};
use crate::shader::module::{Form, Kernel, Module, Texels, WORKGROUP_SIZE};
use crate::shader::params::params;
use crate::{Error, Gpu, Pass, Result, Tensor};

params! {
    struct ImageParams {
        texels: u32,
        width: u32,
        channels: u32,
    }
}

pub(super) static READ_MODULE: Module =
    Module::new("read_texture", &files::READ_TEXTURE, ImageParams::LAYOUT)
        .entry_points(&["read_texture"])
        .forms(|| vec![read_form()]);
pub(super) static WRITE_MODULE: Module =
    Module::new("write_texture", &files::WRITE_TEXTURE, ImageParams::LAYOUT)
        .entry_points(&["write_texture"])
        .forms(|| WRITTEN.iter().map(write_form).collect());

const READ: Kernel = READ_MODULE.kernel("read_texture");
const WRITE: Kernel = WRITE_MODULE.kernel("write_texture");

/// The formats that can be written, and the file of each.
static WRITTEN: [(wgpu::TextureFormat, &File); 4] = [
    (wgpu::TextureFormat::Rgba8Unorm, &files::RGBA8UNORM),
    (wgpu::TextureFormat::Rgba16Float, &files::RGBA16FLOAT),
    (wgpu::TextureFormat::Rgba32Float, &files::RGBA32FLOAT),
    (wgpu::TextureFormat::R32Float, &files::R32FLOAT),
];

fn read_form() -> Form {
    Form {
        texels: Some(Texels::Read),
        ..Form::default()
    }
}

fn write_form((format, file): &(wgpu::TextureFormat, &'static File)) -> Form {
    Form {
        files: vec![file],
        texels: Some(Texels::Write(*format)),
        ..Form::default()
    }
}

/// An application's texture, to be read as a tensor and written from one: made by
/// [`Gpu::wrap_texture`], for [`Pass::read_texture`] and [`Pass::write_texture`].
///
/// The tensor is [height, width, channels] or of any other shape with as many elements and the channels
/// last: [1, height, width, channels] for a convolution, [height · width, channels] for a network whose rows
/// are pixels. It may have fewer channels than the format.
///
/// | format | read | written |
/// | --- | --- | --- |
/// | `Rgba8Unorm` | byte / 255 | values are clamped to 0 to 1 and rounded to the nearest byte; NaN gives 0 |
/// | `Rgba16Float` | exact | one of the two nearest 16-bit floats, infinity beyond 65,504 |
/// | `Rgba32Float`, `R32Float` | exact | exact |
/// | `Rgba8UnormSrgb`, `Bgra8UnormSrgb` | linear, decoded by the device | not possible |
/// | others that shaders see as floats, `Bgra8Unorm` or `Rg11b10Ufloat` | as the shader sees them | not possible |
///
/// **sRGB**: WebGPU has no storage textures in sRGB formats. Create the texture as `Rgba8Unorm` with
/// `view_formats: &[Rgba8UnormSrgb]`: here it is read and written as the bytes are, encoded, and the
/// application samples it, or renders to it, through a view of the sRGB format. A network
/// that reads such a texture and writes another works on encoded values all the way.
#[derive(Debug)]
pub struct Image {
    gpu: Gpu,
    id: Id,
    texture: wgpu::Texture,
}

impl Drop for Image {
    fn drop(&mut self) {
        self.gpu.forget(self.id);
    }
}

impl Gpu {
    /// An application's two-dimensional texture, of which the first mip level is read and written.
    ///
    /// Nothing is copied or created. What [`Pass`] binds for it is kept until the `Image` is dropped, so keep
    /// that for the next frame, and make another where the texture is another: after a resize, or for
    /// each texture of a surface. The texture must belong to this device.
    ///
    /// # Errors
    ///
    /// [`Error::Texture`] for one that is not two-dimensional, has layers or samples, or is in a
    /// format that shaders don't see as floats.
    pub fn wrap_texture(&self, texture: &wgpu::Texture) -> Result<Image> {
        let refuse = |what: &str, found: String| {
            let detail = format!("the texture must {what}, it {found}");
            Err(Error::Texture {
                op: "wrap_texture",
                detail,
            })
        };
        let dimension = texture.dimension();
        if dimension != wgpu::TextureDimension::D2 {
            return refuse("be two-dimensional", format!("is {dimension:?}"));
        }
        let layers = texture.depth_or_array_layers();
        if layers != 1 {
            return refuse("have one layer", format!("has {layers}"));
        }
        let samples = texture.sample_count();
        if samples != 1 {
            return refuse("have one sample", format!("has {samples}"));
        }
        let format = texture.format();
        let sample_type = format.sample_type(None, None);
        if !matches!(sample_type, Some(wgpu::TextureSampleType::Float { .. })) {
            return refuse("have a format of floats", format!("has {format:?}"));
        }
        Ok(Image {
            gpu: self.clone(),
            id: Id::new(),
            texture: texture.clone(),
        })
    }
}

impl Image {
    /// Height, width, and channels of the format.
    pub fn shape(&self) -> [usize; 3] {
        let texture = &self.texture;
        let channels = texture.format().components().into();
        [
            texture.height() as usize,
            texture.width() as usize,
            channels,
        ]
    }

    /// An error unless the texture was created for this, and the tensor fits.
    fn check(&self, op: &'static str, texels: Texels, x: &Tensor) -> Result<()> {
        if !self.gpu.is(x.gpu()) {
            return Err(Error::OtherGpu {
                op,
                operand: "image",
            });
        }
        let usage = texels.usage();
        if !self.texture.usage().contains(usage) {
            let names = usage.iter_names().map(|(name, _)| name);
            let names: Vec<_> = names.collect();
            let detail = format!(
                "the texture must be created with TextureUsages::{}",
                names.join(" | ")
            );
            return Err(Error::Texture { op, detail });
        }
        let [height, width, most] = self.shape();
        let channels = x.shape().last().copied().unwrap_or(0);
        let fits = (1..=most).contains(&channels) && x.len() == height * width * channels;
        if !fits {
            return Err(Error::Shape {
                op,
                operand: "x",
                expected: vec![height, width, channels.clamp(1, most)],
                actual: x.shape().into(),
            });
        }
        check_size(x)
    }
}

impl Pass<'_> {
    /// x = the texels of an image, which must have the usage `TEXTURE_BINDING`.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, wgpu};
    /// # let gpu = Gpu::new()?;
    /// # let texture = |usage| gpu.device().create_texture(&wgpu::TextureDescriptor {
    /// #     label: None,
    /// #     size: wgpu::Extent3d { width: 8, height: 4, depth_or_array_layers: 1 },
    /// #     mip_level_count: 1,
    /// #     sample_count: 1,
    /// #     dimension: wgpu::TextureDimension::D2,
    /// #     format: wgpu::TextureFormat::Rgba8Unorm,
    /// #     usage,
    /// #     view_formats: &[],
    /// # });
    /// # let rendered = texture(wgpu::TextureUsages::TEXTURE_BINDING);
    /// # let shown = texture(wgpu::TextureUsages::STORAGE_BINDING);
    /// # let mut encoder = gpu.device().create_command_encoder(&Default::default());
    /// let (rendered, shown) = (gpu.wrap_texture(&rendered)?, gpu.wrap_texture(&shown)?);
    /// let x = gpu.zeros([4, 8, 3])?; // red, green and blue of 8 × 4 pixels
    ///
    /// let mut pass = gpu.pass(&mut encoder);
    /// pass.read_texture(&rendered, &x)?;
    /// pass.tanh_in_place(&x)?;
    /// pass.write_texture(&x, &shown)?; // alpha is 1
    /// # drop(pass);
    /// # gpu.queue().submit([encoder.finish()]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`OtherGpu`](crate::Error::OtherGpu),
    /// [`TooLarge`](crate::Error::TooLarge) for a tensor beyond one binding of the device;
    /// [`Texture`](crate::Error::Texture) without the usage.
    pub fn read_texture(&mut self, image: &Image, x: &Tensor) -> Result<()> {
        let texels = Texels::Read;
        self.image("read_texture", READ, read_form, texels, image, x)
    }

    /// The texels of an image = x; channels that x lacks become 0, alpha 1. The texture must have the
    /// usage `STORAGE_BINDING` and a format of [`Image`] that can be written.
    ///
    /// # Errors
    ///
    /// As [`read_texture`](Self::read_texture), and [`Texture`](crate::Error::Texture) for a format that
    /// can't be written.
    pub fn write_texture(&mut self, x: &Tensor, image: &Image) -> Result<()> {
        let op = "write_texture";
        let format = image.texture.format();
        let Some(written) = WRITTEN.iter().find(|(other, _)| *other == format) else {
            let formats = WRITTEN.map(|(format, _)| format);
            let detail =
                format!("the texture must have a format of {formats:?}, it has {format:?}");
            return Err(Error::Texture { op, detail });
        };
        let texels = Texels::Write(format);
        self.image(op, WRITE, || write_form(written), texels, image, x)
    }

    fn image(
        &mut self,
        op: &'static str,
        kernel: Kernel,
        form: impl FnOnce() -> Form,
        texels: Texels,
        image: &Image,
        x: &Tensor,
    ) -> Result<()> {
        let access = match texels {
            Texels::Read => Access::Write,
            Texels::Write(_) => Access::Read,
        };
        let operands = [Operand {
            name: "x",
            tensor: x,
            access,
        }];
        self.check_shapes(op, &operands, &[x.shape()], Hint::None)?;
        image.check(op, texels, x)?;
        let [height, width, _] = image.shape();
        let range = x.range();
        let dispatches = self.bound(&[image.id, x.id()], number(op), |gpu| {
            let pipelines = gpu.pipelines();
            let variant = pipelines.variant(kernel.module, ElementType::F32, false, form());
            let pipeline = pipelines.get(kernel, variant, 1)?;
            let buffer = wgpu::BufferBinding {
                buffer: x.buffer(),
                offset: range.start,
                size: wgpu::BufferSize::new(range.end - range.start),
            };
            let texels = pipelines.bind_texture(&pipeline, buffer, &image.texture, texels)?;
            let params = ImageParams {
                texels: (height * width) as u32,
                width: width as u32,
                channels: (x.len() / (height * width)) as u32,
            };
            let groups = params.texels.div_ceil(WORKGROUP_SIZE).into();
            Ok(vec![pipelines.dispatch(pipeline, texels, &params, groups)?])
        })?;
        self.record(&operands, range.end - range.start, &*dispatches)
    }
}
