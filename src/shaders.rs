//! The files of shaders/, and whose functions each calls: whoever names one has those, too.

/// A file of WGSL, which is known by its address.
#[derive(Debug)]
pub(crate) struct File {
    pub name: &'static str,
    pub text: &'static str,
    pub calls: &'static [&'static File],
}

macro_rules! files {
    ($($name:ident = $path:literal $(calls $($called:ident)+)?;)+) => {
        $(pub(crate) static $name: File = File {
            name: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl")),
            calls: &[$($(&$called,)+)?],
        };)+
    };
}

impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for File {}

impl std::hash::Hash for File {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::ptr::hash(self, state);
    }
}

// Functions, without bindings.
files! {
    IS_NAN = "shared/is_nan";
    EXPM1 = "shared/expm1" calls IS_NAN;
    EXP = "shared/exp" calls EXPM1 IS_NAN;
    LN = "shared/ln" calls IS_NAN;
    ELU = "shared/elu" calls EXPM1 IS_NAN;
    PHILOX = "shared/philox";
    ITEM = "shared/item";
    EPILOGUE = "shared/epilogue" calls ELU PHILOX IS_NAN;
}

// Ops.
files! {
    DENSE = "dense";
    CONV2D = "conv2d";
    MEAN_SQUARED_ERROR = "mean_squared_error" calls ITEM;
    SELU = "selu" calls ELU EXPM1 IS_NAN;
    ALPHA_DROPOUT = "alpha_dropout" calls PHILOX IS_NAN;
    INITIALIZERS = "initializers" calls PHILOX;
    GATHER = "gather" calls ITEM;
    ACTIVATION = "activation" calls ITEM;
    MAX_POOL2D = "max_pool2d" calls ITEM;
    SOFTMAX = "softmax" calls ITEM EXP;
    CATEGORICAL_CROSSENTROPY = "categorical_crossentropy" calls ITEM EXP EXPM1 LN IS_NAN;
    SUM_LOSSES = "sum_losses";
    ADAM = "adam" calls ITEM;
    SGD = "sgd" calls ITEM;
    MOMENTS = "moments";
}

// Of products: the kernels that make the sums, what they load, and what follows.
files! {
    PRODUCT = "shared/product" calls EPILOGUE;
    WORKGROUP = "shared/product_tiled" calls PRODUCT FINISH_TILE VALUES_LEFT VALUES_RIGHT;
    REGISTERS = "shared/product_registers" calls PRODUCT;
    CHUNKS = "shared/product_chunks" calls PRODUCT VALUES_RIGHT;
    FINISH_TILE = "shared/finish_tile";
    VALUES_LEFT = "shared/operands_f32";
    VALUES_RIGHT = "shared/right_f32";
    VALUES = "shared/slices_values";
    OCTETS = "shared/slices_octets" calls RUN_F32;
    OCTETS_BY_TWOS = "shared/slices_octets" calls RUN_U64;
    RUN_F32 = "shared/run_f32";
    RUN_U64 = "shared/run_u64";
    LEFT_OWN = "shared/left_own";
    LEFT_SHARED = "shared/left_shared";
    SHARED_VALUES = "shared/shared_values";
    SHARED_OCTETS = "shared/shared_octets";
    END_SUMS = "shared/finish_sums";
    END_FORWARD = "shared/finish_forward";
    END_BACKWARD = "shared/finish_backward";
}

/// The files, and what they call, each once.
pub(crate) fn with_calls(files: impl IntoIterator<Item = &'static File>) -> Vec<&'static File> {
    let mut all: Vec<_> = files.into_iter().collect();
    let mut next = 0;
    while let Some(file) = all.get(next).copied() {
        for &called in file.calls {
            if !all.contains(&called) {
                all.push(called);
            }
        }
        next += 1;
    }
    all
}
