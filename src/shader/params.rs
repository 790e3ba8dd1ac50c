//! The struct of an op's parameters, written once for its host code and its WGSL.

/// A struct of the WGSL: its text, and the Rust struct's size and its fields' names and offsets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struct {
    pub name: &'static str,
    pub fields: &'static [(&'static str, usize)],
    pub size: usize,
    pub wgsl: &'static str,
    /// For each field, its struct if it is one.
    pub parts: &'static [Option<&'static Struct>],
}

impl Struct {
    /// This struct, and those of its fields.
    pub fn with_parts(&'static self) -> Vec<&'static Self> {
        let parts = self.parts.iter().flatten();
        let parts = parts.flat_map(|part| part.with_parts());
        [self].into_iter().chain(parts).collect()
    }
}

/// A type that a parameter may have.
pub(crate) trait Wgsl {
    /// Its size is a multiple of this.
    const ALIGN: usize;
    /// Its offset in a uniform buffer is a multiple of this: 16 for a struct.
    const OFFSET: usize = Self::ALIGN;
    const STRUCT: Option<&'static Struct> = None;
}

/// Named as in WGSL.
#[allow(non_camel_case_types)]
pub(crate) type vec2u = [u32; 2];
#[allow(non_camel_case_types)]
pub(crate) type vec4u = [u32; 4];

impl Wgsl for u32 {
    const ALIGN: usize = 4;
}
impl Wgsl for f32 {
    const ALIGN: usize = 4;
}
impl Wgsl for vec2u {
    const ALIGN: usize = 8;
}
impl Wgsl for vec4u {
    const ALIGN: usize = 16;
}

/// A struct in both languages, from one text. The WGSL is added to the op's; the compiler checks
/// that the fields are where WGSL has them.
macro_rules! params {
    ($(#[$about:meta])* $vis:vis struct $name:ident {
        $($(#[$field_about:meta])* $field:ident: $ty:ty,)*
    }) => {
        $(#[$about])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        $vis struct $name {
            $($(#[$field_about])* pub $field: $ty,)*
        }

        impl $name {
            pub const LAYOUT: crate::shader::params::Struct = crate::shader::params::Struct {
                name: stringify!($name),
                fields: &[$((stringify!($field), std::mem::offset_of!($name, $field)),)*],
                size: size_of::<$name>(),
                wgsl: concat!(
                    "struct ", stringify!($name), " { ",
                    $(stringify!($field), ": ", stringify!($ty), ", ",)*
                    "}\n",
                ),
                parts: &[$(<$ty as crate::shader::params::Wgsl>::STRUCT,)*],
            };
        }

        impl crate::shader::params::Wgsl for $name {
            const ALIGN: usize = {
                let mut align = 4;
                $(if <$ty as crate::shader::params::Wgsl>::ALIGN > align {
                    align = <$ty as crate::shader::params::Wgsl>::ALIGN;
                })*
                align
            };
            const OFFSET: usize = 16;
            const STRUCT: Option<&'static crate::shader::params::Struct> = Some(&Self::LAYOUT);
        }

        const _: () = {
            $(assert!(
                std::mem::offset_of!($name, $field).is_multiple_of(<$ty as crate::shader::params::Wgsl>::OFFSET),
                concat!(stringify!($name), ".", stringify!($field), " needs padding in front"),
            );)*
            assert!(size_of::<$name>().is_multiple_of(<$name as crate::shader::params::Wgsl>::ALIGN), concat!(stringify!($name), " needs padding at the end"));
        };
    };
}
pub(crate) use params;
