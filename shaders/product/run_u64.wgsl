// Eight neighbouring values in memory, loaded in twos: half as many loads, where each costs time.
alias Run = vec4<u64>;
fn eight(run: Run) -> Eight {
    let even = bitcast<vec4f>(vec4u(run));
    let odd = bitcast<vec4f>(vec4u(run >> vec4u(32u)));
    return Eight(vec4f(even.x, odd.x, even.y, odd.y), vec4f(even.z, odd.z, even.w, odd.w));
}
