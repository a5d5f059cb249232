//! Benchmarks of the contract.
fn main() {}
