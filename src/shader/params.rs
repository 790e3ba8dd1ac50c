//! What an op's host code and its WGSL both know: the struct of its parameters, written once.

/// A struct of the WGSL: its text, and of the Rust struct the fields' names and offsets, and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struct {
    pub name: &'static str,
    pub fields: &'static [(&'static str, usize)],
    pub size: usize,
    pub wgsl: &'static str,
    /// Of each field, if it is a struct.
    pub parts: &'static [Option<&'static Struct>],
}

impl Struct {
    /// It, and the structs that are its fields.
    pub fn with_parts(&'static self) -> Vec<&'static Self> {
        let parts = self.parts.iter().flatten();
        let parts = parts.flat_map(|part| part.with_parts());
        [self].into_iter().chain(parts).collect()
    }
}

/// A type that a parameter may have.
pub(crate) trait Wgsl {
    /// What its size is a multiple of.
    const ALIGN: usize;
    /// What its offset is a multiple of, in a uniform buffer: 16 of a struct.
    const OFFSET: usize = Self::ALIGN;
    const STRUCT: Option<&'static Struct> = None;
}

/// As they are called in WGSL.
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

/// A struct in both languages, from one text. The WGSL goes in front of the op's; that the fields are
/// where WGSL has them, the compiler checks.
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
