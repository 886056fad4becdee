use std::path::PathBuf;

use thiserror::Error;

/// Why nothing can be computed on a card.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CudaError {
    /// A library of CUDA is not there.
    #[error(
        "{library} is not there: install NVIDIA's CUDA libraries ({wheel} has it for Python), or name the folder \
         that has it with FCMAE_CUDA_LIBRARIES"
    )]
    Missing {
        /// Its name.
        library: &'static str,
        /// The Python package that brings it.
        wheel: &'static str,
    },
    /// The folder that was named has no such library.
    #[error("FCMAE_CUDA_LIBRARIES is {}, which has no {library}: name the folder that holds it", folder.display())]
    Folder {
        /// Its name.
        library: &'static str,
        /// The folder.
        folder: PathBuf,
    },
    /// Another library is found before that of the folder that was named.
    #[error(
        "another {library} is found before that in {}: take it out of the system's search path (LD_LIBRARY_PATH), or \
         name its folder with FCMAE_CUDA_LIBRARIES", folder.display()
    )]
    Another {
        /// Its name.
        library: &'static str,
        /// The folder.
        folder: PathBuf,
    },
    /// A library of CUDA that is too old.
    #[error("{library} {found} is too old: {needed} is the first that can be used")]
    Old {
        /// Its name.
        library: &'static str,
        /// The version that is there.
        found: String,
        /// The first that can be used.
        needed: &'static str,
    },
    /// The compiler knows no such architecture.
    #[error(
        "NVRTC {version} compiles for architectures up to {newest} and not for {architecture}: a newer one is \
         needed for this card"
    )]
    Architecture {
        /// NVRTC's version.
        version: String,
        /// The card's architecture, 90 for compute capability 9.0.
        architecture: u32,
        /// The newest that it knows.
        newest: u32,
    },
    /// A call of the compiler failed.
    #[error("compiling {file} for architecture {architecture}: {call} says {reason}\n{log}")]
    Compile {
        /// The source.
        file: &'static str,
        /// The card's architecture.
        architecture: u32,
        /// What was called.
        call: &'static str,
        /// What it answered.
        reason: String,
        /// What the compiler has to say.
        log: String,
    },
    /// The card has too little memory.
    #[error(
        "the card has not enough memory: {wanted} bytes were asked for and {} are free; make batches smaller \
         (`--batch`), or end other programs that use the card", free.map_or_else(|| "too few".to_owned(), |free| free.to_string())
    )]
    Memory {
        /// Bytes that were asked for.
        wanted: u64,
        /// Bytes that are free, where that is known.
        free: Option<u64>,
    },
    /// A call failed.
    #[error("{call} failed on {device}: {reason}")]
    Call {
        /// What was called.
        call: &'static str,
        /// Which card.
        device: String,
        /// What the driver says, with what to do about it where that is known.
        reason: String,
    },
}
