//! The library against fixtures of independent implementations (see `reference/README.md`), against
//! formulas in double precision (`fcmae-oracle`), and end to end on generated pictures.

#![allow(clippy::unwrap_used, missing_docs)]

mod differentiate;
mod fill;
mod pictures;
mod summary;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod card;
mod continued;
mod core_alone;
mod courses;
mod diverged;
mod diversity;
mod fcmae_step;
mod golden;
mod grn_change;
mod grn_variants;
mod guards;
mod infer;
mod loss;
mod masked_dense;
mod onnx;
mod operations;
mod optimizer;
mod options;
mod records;
mod resume;
mod schemes;
mod sizes;
mod taken_up;
mod timm_dense;
mod trained;
mod watch;
mod weights;
mod workspaces;
