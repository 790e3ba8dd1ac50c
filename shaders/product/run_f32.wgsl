// Eight neighbouring values in memory.
alias Run = mat2x4f;
fn eight(run: Run) -> Eight { return Eight(run[0], run[1]); }
