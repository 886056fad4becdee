//! **fcmae**: masked-autoencoder pre-training for ConvNeXt V2 (arXiv 2301.00808).
//!
//! A network learns from unlabelled pictures: most patches are hidden, a sparse encoder sees only
//! the rest, a small decoder predicts what is hidden; then the same weights are fine-tuned on few
//! labels. Masked and dense are the same network on the same weights; only the list of sites
//! differs.
//!
//! # Classes of a picture
//! ```no_run
//! use std::path::Path;
//!
//! use fcmae::backend::Backend;
//! use fcmae::predict::Predictor;
//!
//! // A run, an export, or weights of timm, the authors or transformers.
//! let predictor = Predictor::open(Path::new("runs/finetune"), &Backend::Cpu)?;
//! for guess in predictor.predict(Path::new("picture.jpg"), 5)? {
//!     println!("{:5.1} %  {}", 100.0 * guess.probability, guess.class);
//! }
//! # Ok::<(), fcmae::Error>(())
//! ```
//!
//! # One vector a picture
//! ```no_run
//! use std::path::Path;
//!
//! use fcmae::data::{Input, Inputs};
//! use fcmae::backend::Backend;
//! use fcmae::embed::Backbone;
//! use fcmae::infer::Inference;
//! use fcmae::weights::Weights;
//!
//! let weights = Weights::open(Path::new("runs/pretrain"))?;
//! let backbone = Inference::<Backbone>::open(&weights, &Backend::Cpu)?;
//! // Decoded ahead and computed in batches. An `Arc<data::PictureSet>` will do as well.
//! let pictures = ["first.jpg", "second.jpg"];
//! let inputs: Inputs = pictures.iter().map(Input::from).collect();
//! for (picture, embedding) in pictures.iter().zip(backbone.embeddings(inputs)?) {
//!     let embedding = embedding?;
//!     println!("{picture}: {} features, {embedding:?}", embedding.len());
//! }
//! # Ok::<(), fcmae::Error>(())
//! ```
//!
//! # Pre-training
//! The observer is told of every step and decides whether to go on. A run that it stops is saved, and
//! resumes from there bit for bit.
//! ```no_run
//! use std::path::Path;
//!
//! use fcmae::config::{PretrainConfig, Settings};
//! use fcmae::train::{Event, Flow, pretrain};
//!
//! let mut config = PretrainConfig::default();
//! config.model.size = "tiny".to_owned();
//! config.optim.epochs = 100;
//! let config = config.resolve()?;
//!
//! let outcome = pretrain(
//!     &config,
//!     &["pictures".into()],
//!     Path::new("runs/pretrain"),
//!     false,
//!     &mut |event| match event {
//!         Event::Step(report) => {
//!             println!("step {} of {}: loss {:.4}", report.step, report.steps, report.loss);
//!             if report.step < 1_000 { Flow::Continue } else { Flow::Stop }
//!         }
//!         _ => Flow::Continue,
//!     },
//! )?;
//! println!("{} steps, {}", outcome.step, if outcome.finished { "all" } else { "to be resumed" });
//! # Ok::<(), fcmae::Error>(())
//! ```
//!
//! # Modules
//! In the order in which data flows:
//! - [`data`]: image files to batches;
//! - [`config`]: what a network and a run are made of;
//! - [`mask`]: which patches the encoder sees;
//! - [`device`]: where networks are computed;
//! - [`tensor`]: values with a shape, which never change once made;
//! - [`parameters`]: what a network learns, by name, in one block;
//! - [`workspace`]: a pass's memory, planned from its shapes;
//! - [`tape`]: passes forward, and back for gradients;
//! - [`ops`]: the operations, one file each: formula, shapes, forward, backward;
//! - [`network`]: the structs of a network with their weights, to infer with;
//! - [`model`]: ConvNeXt V2 and V1 on a grid or on visible patches;
//! - [`decoder`], [`autoencoder`], [`loss`]: FCMAE;
//! - [`optim`]: AdamW, schedule, layer decay, moving average;
//! - [`train`]: the training step and the training loops;
//! - [`weights`]: what is read, by whatever names it has; [`export`], [`onnx`]: what is written for
//!   other programs;
//! - [`infer`]: pictures through a network, for all of the following;
//! - [`evaluate`], [`predict`], [`embed`], [`reconstruct`], [`diversity`], [`inspect`]: what trained
//!   networks do, and what they have become;
//! - [`bench`](mod@bench), [`memory`], [`machine`]: how fast it is, what it takes, and of what;
//! - [`picture`]: sheets of pictures;
//! - [`error`]: what can go wrong.
//!
//! The feature `hub` lets weights be named `hf:OWNER/NAME`, as on the Hugging Face Hub.

#![forbid(unsafe_code)]

pub use fcmae_data as data;

pub mod autoencoder;
pub mod backend;
pub mod bench;
pub mod check;
pub mod config;
pub mod decoder;
pub mod device;
pub mod diversity;
pub mod embed;
pub mod error;
pub mod evaluate;
pub mod export;
mod feed;
mod flops;
mod gradients;
pub mod infer;
pub mod inspect;
mod lifetimes;
pub mod loss;
pub mod machine;
pub mod mask;
pub mod memory;
pub mod model;
pub mod network;
mod noise;
pub mod onnx;
pub mod ops;
pub mod optim;
pub mod parameters;
pub mod picture;
pub mod predict;
mod prepared;
pub mod reconstruct;
mod room;
mod shape;
pub mod tape;
pub mod tensor;
pub mod train;
pub mod weights;
pub mod workspace;

pub use error::{Error, Result};
