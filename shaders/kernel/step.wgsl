// The values that differ from one step to the next. The host writes the records of many steps at a
// time and binds one; everything else is bound once and for all.
@group(2) @binding(0) var<uniform> step: StepParams;
