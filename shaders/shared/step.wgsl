// What differs from one step to the next. The host writes the records of many steps at a time and
// binds one; everything else of a step is bound once and for all.
struct Step {
    // the batch: this many samples, from this place in the data set's order on
    first: u32,
    count: u32,
    // the number of the dropout masks
    call: vec2u,
    training: u32,
    // where the sums of the loss go
    result: u32,
    // the learning rate, with Adam's corrections
    rate: f32,
    padding: u32,
}

@group(2) @binding(0) var<uniform> step: Step;
