// A lane is four values of a tensor.
alias Lane = vec4<Scalar>;
fn widen(v: Lane) -> vec4f { return vec4f(v); }
fn narrow(v: vec4f) -> Lane { return Lane(v); }
// Lane i is block i of the random stream, all of its words.
fn block_of(i: u32) -> u32 { return i; }
fn words_of(words: vec4u, i: u32) -> vec4u { return words; }
fn elements_of(i: u32) -> vec4u { return 4u * i + vec4u(0u, 1u, 2u, 3u); }
const LANE_VALUES = 4u;
// As many lanes as a cache line of 128 bytes holds, if their values are f32.
const NEIGHBOURS = 8u;
// The lane of a vector of four sums that begins at its value c.
fn lane_of(v: vec4f, c: u32) -> vec4f { return v; }
// Value c of a lane.
fn value_of(v: Lane, c: u32) -> f32 { return f32(v[c]); }
