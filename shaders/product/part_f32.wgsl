// Operands stay what they are.
alias Part = vec4f;
fn part(values: vec4f) -> Part { return values; }
