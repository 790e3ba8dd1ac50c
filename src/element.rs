use bytemuck::Pod;

/// A type of tensor elements: `f32` or [`half::f16`].
///
/// Everything is computed in f32; an f16 tensor stores the result rounded to f16.
pub trait Element: Pod + sealed::Sealed {
    #[doc(hidden)]
    const TYPE: ElementType;
}

#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    F32,
    F16,
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
}

impl Element for f32 {
    const TYPE: ElementType = ElementType::F32;
}

impl Element for half::f16 {
    const TYPE: ElementType = ElementType::F16;
}
