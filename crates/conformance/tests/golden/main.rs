//! The oracle and the CPU engine against PyTorch: addressed random numbers, every op that PyTorch has, whole nets with every
//! gradient, and ten steps of training. The goldens and the scripts that made them are in the repository's `golden/`.

mod engine;
mod nets;
mod ops;
mod random;
