//! **fcmae**: masked-autoencoder pre-training for ConvNeXt V2 (arXiv 2301.00808).
//!
//! A network learns from unlabelled pictures. Most patches are hidden, a sparse encoder sees only
//! the rest, and a small decoder predicts what is hidden. The same weights are then fine-tuned with few
//! labels. Masked and dense are one network with the same weights; only the list of sites differs.
//!
//! # Classes of a picture
//! ```no_run
//! use std::path::Path;
//!
//! use fcmae::engine::backend::Backend;
//! use fcmae::inference::predict::Predictor;
//!
//! // A run, an export, or weights of timm, the authors or transformers.
//! let predictor = Predictor::open(Path::new("runs/finetune"), &Backend::Cpu)?;
//! for guess in predictor.predict(Path::new("picture.jpg"), 5)? {
//!     println!("{:5.1} %  {}", 100.0 * guess.probability, guess.class);
//! }
//! # Ok::<(), fcmae::Error>(())
//! ```
//!
//! # One vector per picture
//! ```no_run
//! use std::path::Path;
//!
//! use fcmae::data::{Input, Inputs};
//! use fcmae::engine::backend::Backend;
//! use fcmae::inference::embed::Backbone;
//! use fcmae::inference::Inference;
//! use fcmae::weights::Weights;
//!
//! let weights = Weights::open(Path::new("runs/pretrain"))?;
//! let backbone = Inference::<Backbone>::open(&weights, &Backend::Cpu)?;
//! // Decoded ahead and computed in batches. An `Arc<data::PictureSet>` works too.
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
//! The observer sees every step and decides whether to go on. A run that it stops is saved, and
//! resumes from there bit for bit.
//! ```no_run
//! use std::path::Path;
//!
//! use fcmae::config::{PretrainConfig, Settings};
//! use fcmae::training::{Event, Flow, Start, pretrain};
//!
//! let mut config = PretrainConfig::default();
//! config.model.size = "tiny".to_owned();
//! config.optim.epochs = 100;
//! let config = config.resolve()?;
//!
//! let outcome = pretrain(
//!     &config,
//!     &["pictures".into()],
//!     Start::Scratch,
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
//! In the order in which data flows. Each imports only those before it:
//! - [`data`]: image files to batches;
//! - [`engine`]: tensors, memory, operations, gradients;
//! - [`config`]: what a network and a run are made of;
//! - [`network`]: masks, ConvNeXt V2 and V1, FCMAE;
//! - [`weights`]: reads weights under any of the known names, and writes them for other programs;
//! - [`inference`]: pictures through a trained network: evaluation, prediction, embeddings, reconstruction;
//! - [`training`]: AdamW, the training step and the training loops;
//! - [`measure`]: how fast a machine is, and whether its GPU computes correctly.
//!
//! [`error`] holds what can go wrong in all of them.
//!
//! The feature `hub` lets weights be named `hf:OWNER/NAME`, as on the Hugging Face Hub.

#![forbid(unsafe_code)]

pub use fcmae_data as data;

pub mod config;
pub mod engine;
pub mod error;
pub mod inference;
pub mod measure;
pub mod network;
pub mod training;
pub mod weights;

pub use error::{Error, Result};
