//! The files of shaders/, what each calls, and which feature it needs.

use wgpu::Features;

/// A file of WGSL. Naming it includes the files it calls.
#[derive(Debug)]
pub(crate) struct File {
    /// Its path in shaders/, without the extension.
    pub path: &'static str,
    pub text: &'static str,
    pub calls: &'static [&'static File],
    /// The features it needs beyond WebGPU's defaults.
    pub needs: Features,
}

macro_rules! files {
    // The same, and a list of them.
    (all $list:ident: $($name:ident = $path:literal $(calls $($called:ident)+)?;)+) => {
        files! { $($name = $path $(calls $($called)+)?;)+ }
        pub(crate) static $list: &[&File] = &[$(&$name,)+];
    };
    ($($name:ident = $path:literal $(calls $($called:ident)+)? $(needs $feature:ident)?;)+) => {
        $(pub(crate) static $name: File = File {
            path: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl")),
            calls: &[$($(&$called,)+)?],
            needs: Features::empty()$(.union(Features::$feature))?,
        };)+
    };
}

// Functions of numbers, without bindings.
files! {
    CLASSIFY = "functions/classify";
    EXPM1 = "functions/expm1" calls CLASSIFY;
    EXP_SUM = "functions/exp_sum" calls EXPM1;
    ELU_FUNCTIONS = "functions/elu" calls EXPM1 CLASSIFY;
    SELU_FUNCTIONS = "functions/selu" calls ELU_FUNCTIONS;
    LEAKY_RELU_FUNCTIONS = "functions/leaky_relu" calls CLASSIFY;
    SIGMOID_FUNCTIONS = "functions/sigmoid" calls EXP_SUM CLASSIFY;
    TANH_FUNCTIONS = "functions/tanh" calls SIGMOID_FUNCTIONS;
    SILU_FUNCTIONS = "functions/silu" calls SIGMOID_FUNCTIONS;
    GELU_FUNCTIONS = "functions/gelu" calls EXP_SUM CLASSIFY;
    GELU_TANH_FUNCTIONS = "functions/gelu_tanh" calls SIGMOID_FUNCTIONS;
    SOFTPLUS_FUNCTIONS = "functions/softplus" calls SIGMOID_FUNCTIONS;
    SINE_FUNCTIONS = "functions/sine";
    PHILOX = "functions/philox";
    WIDE_U32 = "functions/wide_u32";
    WIDE_U64 = "functions/wide_u64" needs SHADER_INT64;
}

// Shared by kernels.
files! {
    INVOCATION = "kernel/invocation";
    LANE = "kernel/lane";
    LANE4 = "kernel/lane4";
    STEP = "kernel/step";
    BROADCAST = "kernel/broadcast" calls PHILOX;
}

// Activations: each has the functions `activate` and `activate_backward`.
files! {
    all ACTIVATIONS:
    LINEAR = "activations/linear";
    ELU = "activations/elu" calls ELU_FUNCTIONS;
    RELU = "activations/relu" calls CLASSIFY;
    LEAKY_RELU = "activations/leaky_relu" calls LEAKY_RELU_FUNCTIONS;
    SIGMOID = "activations/sigmoid" calls SIGMOID_FUNCTIONS;
    TANH = "activations/tanh" calls TANH_FUNCTIONS;
    SILU = "activations/silu" calls SILU_FUNCTIONS;
    GELU = "activations/gelu" calls GELU_FUNCTIONS;
    GELU_TANH = "activations/gelu_tanh" calls GELU_TANH_FUNCTIONS;
    SOFTPLUS = "activations/softplus" calls SOFTPLUS_FUNCTIONS;
    SINE = "activations/sine" calls SINE_FUNCTIONS;
}

// Ops.
files! {
    ALPHA_DROPOUT = "alpha_dropout" calls BROADCAST PHILOX CLASSIFY;
    INITIALIZERS = "initializers" calls PHILOX;
    ACTIVATION = "activation";
    ROWS = "rows";
    READ_TEXTURE = "read_texture";
    WRITE_TEXTURE = "write_texture";
    RGBA8UNORM = "texels/rgba8unorm" calls CLASSIFY;
    RGBA16FLOAT = "texels/rgba16float";
    RGBA32FLOAT = "texels/rgba32float";
    R32FLOAT = "texels/r32float";
}

// Networks.
files! {
    EXP = "functions/exp" calls EXPM1 CLASSIFY;
    LN = "functions/ln" calls CLASSIFY;
    FIRST_BLOCK = "kernel/first_block" calls PHILOX;
    APPLY = "kernel/epilogue" calls FIRST_BLOCK PHILOX CLASSIFY;
    DROPOUT = "dropout" calls BROADCAST FIRST_BLOCK CLASSIFY;
    COPY = "copy";
    GATHER = "gather";
    WEIGHTS = "weights";
    PACK = "pack";
    INSPECT = "inspect" calls CLASSIFY;
    EPILOGUE = "epilogue" calls APPLY;
    PIXELS = "kernel/pixels";
    AVERAGE_POOL2D = "average_pool2d" calls PIXELS APPLY;
    MAX_POOL2D = "max_pool2d" calls PIXELS APPLY;
    NORMALIZATION = "normalization" calls WELFORD;
    SOFTMAX = "softmax" calls EXP APPLY;
    LOSS = "kernel/loss";
    CATEGORICAL_CROSSENTROPY = "categorical_crossentropy" calls LOSS EXP LN;
    BINARY_CROSSENTROPY = "binary_crossentropy" calls LOSS SOFTPLUS_FUNCTIONS SIGMOID_FUNCTIONS;
    REGRESSION = "regression" calls LOSS CLASSIFY;
    SUM_LOSSES = "sum_losses";
    SCORE = "score";
    UPDATE = "kernel/update";
    ADAM = "adam" calls UPDATE;
    SGD = "sgd" calls UPDATE;
    GROUP_SUM = "kernel/group_sum";
    GRADIENT_NORM = "gradient_norm" calls GROUP_SUM;
    JUDGE = "judge" calls CLASSIFY;
    CLIP_GRADIENTS = "clip_gradients";
    LOSS_SCALE = "loss_scale";
    ACCUMULATE = "accumulate";
    REGULARIZE = "regularize" calls GROUP_SUM;
    WELFORD = "kernel/welford";
    MOMENTS = "moments" calls WELFORD;
    MOVE_AVERAGES = "move_averages";
}

// Losses of regression: each has the functions `error_loss` and `error_slope`.
files! {
    all REGRESSIONS:
    MEAN_SQUARED_ERROR = "losses/mean_squared_error";
    MEAN_ABSOLUTE_ERROR = "losses/mean_absolute_error";
    HUBER = "losses/huber";
}

// Products: their operands, the kernels that compute the sums, how these load, and what follows.
files! {
    DENSE = "product/dense";
    CONV2D = "product/conv2d";
    PRODUCT = "product/product";
    WORKGROUP = "product/workgroup" calls PRODUCT;
    SUMS_OWN = "product/sums_own";
    SUMS_COOPERATIVE = "product/sums_cooperative" needs SUBGROUP;
    MATRIX_8 = "product/matrix_8" needs EXPERIMENTAL_COOPERATIVE_MATRIX;
    MATRIX_16 = "product/matrix_16" needs EXPERIMENTAL_COOPERATIVE_MATRIX;
    PART_F32 = "product/part_f32";
    PART_F16 = "product/part_f16" needs SHADER_F16;
    BLOCK_VALUES = "product/block_values" calls RIGHT_VALUES;
    BLOCK_FOURS = "product/block_fours";
    REGISTERS = "product/registers" calls PRODUCT;
    CHUNKS = "product/chunks" calls PRODUCT RIGHT_VALUES;
    RIGHT_VALUES = "product/right_values";
    LEFT_OWN = "product/left_own";
    LEFT_SHARED = "product/left_shared" needs SUBGROUP;
    VALUES = "product/values";
    OCTETS = "product/octets";
    RUN_F32 = "product/run_f32";
    RUN_U64 = "product/run_u64" needs SHADER_INT64;
    SHARED_VALUES = "product/shared_values" needs SUBGROUP;
    SHARED_OCTETS = "product/shared_octets" needs SUBGROUP;
    END_SUMS = "product/end_sums";
    END_FORWARD = "product/end_forward" calls APPLY;
    END_BACKWARD = "product/end_backward" calls APPLY;
    END_OUTPUT = "product/end_output";
    OWN_BIASES = "product/own_biases";
    NO_BIASES = "product/no_biases";
}

// Fused networks: the kernels, and how they load weights.
files! {
    FUSED = "fused";
    FUSED_WORKGROUP = "fused/workgroup";
    FUSED_SUBGROUPS = "fused/subgroups" needs SUBGROUP;
    VALUES_FOUR = "fused/values_four";
    WEIGHTS_VALUES = "fused/weights_values" calls VALUES_FOUR;
    WEIGHTS_FOURS = "fused/weights_fours" calls VALUES_FOUR;
    WEIGHTS_U64 = "fused/weights_u64" calls VALUES_FOUR RUN_U64;
    KERNEL_FOURS = "fused/kernel_fours";
    KERNEL_RUNS = "fused/kernel_runs";
}

impl File {
    /// The last part of its path.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

/// Files are compared by their addresses.
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

/// The text of files and of all that they call, each once, as a constant.
macro_rules! complete {
    ($($file:expr),+) => {{
        const FILES: files::Files = files::Files::with_calls(&[$(&$file),+]);
        const TEXT: [u8; FILES.len()] = FILES.text();
        match std::str::from_utf8(&TEXT) {
            Ok(text) => text,
            Err(_) => panic!("files are whole UTF-8"),
        }
    }};
}
pub(crate) use complete;

/// [`with_calls`] for constants, which can't allocate.
pub(crate) struct Files {
    all: [Option<&'static File>; Self::MAX],
    count: usize,
}

impl Files {
    /// More files than a constant of `wgsl` is made of.
    const MAX: usize = 32;

    pub const fn with_calls(files: &[&'static File]) -> Self {
        let mut all = Self {
            all: [None; Self::MAX],
            count: 0,
        };
        let mut i = 0;
        while i < files.len() {
            all.add(files[i]);
            i += 1;
        }
        let mut next = 0;
        while let Some(file) = all.all[next] {
            let mut i = 0;
            while i < file.calls.len() {
                all.add(file.calls[i]);
                i += 1;
            }
            next += 1;
        }
        all
    }

    const fn add(&mut self, file: &'static File) {
        let mut i = 0;
        while i < self.count {
            if let Some(other) = self.all[i]
                && is_same(other.path, file.path)
            {
                return;
            }
            i += 1;
        }
        // One place stays empty: it is the end.
        assert!(self.count + 1 < Self::MAX, "raise MAX");
        self.all[self.count] = Some(file);
        self.count += 1;
    }

    pub const fn len(&self) -> usize {
        let mut len = 0;
        let mut i = 0;
        while let Some(file) = self.all[i] {
            len += file.text.len();
            i += 1;
        }
        len
    }

    pub const fn text<const LEN: usize>(&self) -> [u8; LEN] {
        let mut text = [0; LEN];
        let mut end = 0;
        let mut i = 0;
        while let Some(file) = self.all[i] {
            let (_, rest) = text.split_at_mut(end);
            let (place, _) = rest.split_at_mut(file.text.len());
            place.copy_from_slice(file.text.as_bytes());
            end += file.text.len();
            i += 1;
        }
        text
    }
}

pub(super) const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}
