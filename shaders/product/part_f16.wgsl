// Operands become 16-bit floats.
alias Part = vec4<f16>;

const LARGEST_F16 = 65504.0;

// What is larger than any becomes infinite: a conversion may take the largest for it.
fn part(values: vec4f) -> Part {
    return Part(values * select(vec4f(1.0), vec4f(0x1p127), abs(values) > vec4f(LARGEST_F16)));
}
