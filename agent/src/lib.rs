//! The other side: the numbers of a PCS out of data, and its signature.
//!
//! [`build()`] reads rows from a [`source`] and gives an unsigned [`Pcs`]; [`sign`] fills in its
//! signature. One room a signal: [`cells`] counts `N_j`, [`coherence`] finds `coh_star` and
//! `v_star` along the directions that [`gaussian`] draws, [`compress`] gives `r`, [`merkle`] the
//! root. What is derived from these (`D_hat`, regime, budget, `pcs_id`) and what is signed are the
//! contract's own functions, the ones that the service judges by.
//!
//! All of it is pure: the same rows and options give the same PCS, to the last digit, on every
//! machine and in every language that keeps to the contract's vectors. Nothing in here opens a
//! file or a socket, or reads a clock or an environment variable.

pub mod build;
pub mod cells;
pub mod coherence;
pub mod compress;
pub mod gaussian;
pub mod merkle;
pub mod pcs;
pub mod repr;
pub mod sign;
pub mod source;

pub use build::{BuildError, BuildOptions, build};
pub use pcs::{Ft, Pcs};
pub use source::{Csv, Source, SourceError, Typed, TypedRow};
