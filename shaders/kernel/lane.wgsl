// A lane is one value of a tensor: for an application's buffers whose length is not a multiple of four.
alias Lane = Scalar;
fn widen(v: Lane) -> vec4f { return vec4f(f32(v)); }
fn narrow(v: vec4f) -> Lane { return Lane(v.x); }
// Lane i is word i mod 4 of block i / 4 of the random stream.
fn block_of(i: u32) -> u32 { return i / 4u; }
fn words_of(words: vec4u, i: u32) -> vec4u { return vec4u(words[i % 4u]); }
fn elements_of(i: u32) -> vec4u { return vec4u(i); }
const LANE_VALUES = 1u;
// As many lanes as a cache line of 128 bytes holds, if their values are f32.
const NEIGHBOURS = 32u;
// The lane of a vector of four sums that begins at its value c.
fn lane_of(v: vec4f, c: u32) -> vec4f { return vec4f(v[c]); }
// Value c of a lane. (Not widen(v)[c]: an index into a vector of equal values crashes Mesa 22's GLSL
// compiler.)
fn value_of(v: Lane, c: u32) -> f32 { return f32(v); }
