use std::path::PathBuf;

use thiserror::Error;

/// Why nothing can be computed on a card.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CudaError {
    /// There is no driver.
    #[error(
        "there is no NVIDIA driver here: libcuda is not found. Install driver 525 or newer; a container must be \
         started with the GPUs (docker: `--gpus all`)"
    )]
    NoDriver,
    /// There is no card.
    #[error("there is no NVIDIA GPU that can be used: {reason}")]
    NoCard {
        /// What the driver says, with what to do about it where that is known.
        reason: String,
    },
    /// There are fewer cards.
    #[error(
        "there is no GPU {number}: the driver shows {count}, counted from 0 (see CUDA_VISIBLE_DEVICES)"
    )]
    Number {
        /// The one that was asked for.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// The card is too old.
    #[error(
        "{name} has compute capability {}.{}: 7.5 is the first that can be used (Turing, such as T4 or RTX 2080)",
        architecture / 10, architecture % 10
    )]
    OldCard {
        /// What its maker calls it.
        name: String,
        /// Its architecture, 50 for compute capability 5.0.
        architecture: u32,
    },
    /// A library of CUDA is not there.
    #[error(
        "{library} is not there: install NVIDIA's CUDA libraries (`pip install {wheel}` brings it, `{older}` for \
         drivers before 580), or name the folder that has it with FCMAE_CUDA_LIBRARIES"
    )]
    Missing {
        /// Its name.
        library: &'static str,
        /// The Python package that brings it.
        wheel: &'static str,
        /// The package that brings that of CUDA 12.
        older: &'static str,
    },
    /// The folders that were named have no such library.
    #[error(
        "FCMAE_CUDA_LIBRARIES is {}, which has no {library} (the Python package {wheel} has it): name the folder \
         that holds it; several are separated as in PATH", folder.display()
    )]
    Folder {
        /// Its name.
        library: &'static str,
        /// The Python package that brings it.
        wheel: &'static str,
        /// The folders.
        folder: PathBuf,
    },
    /// A library cannot be opened.
    #[error("{library} cannot be opened from {}: {reason}", path.display())]
    Broken {
        /// Its name.
        library: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A library lacks a function.
    #[error("{library} has no function {function}: it is older than CUDA 12.0, or damaged")]
    Function {
        /// Its name.
        library: &'static str,
        /// The function.
        function: &'static str,
    },
    /// A library is newer than the driver.
    #[error(
        "{library} {found} needs a driver for CUDA {}, and this one is for CUDA {driver}: install the Python package \
         {older}, or a newer driver (580 for CUDA 13)", found.split('.').next().unwrap_or_default()
    )]
    Newer {
        /// Its name.
        library: &'static str,
        /// Its version of CUDA.
        found: String,
        /// The driver's.
        driver: String,
        /// The package that brings that of CUDA 12.
        older: &'static str,
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
        "NVRTC {version} compiles for architectures {oldest} to {newest} and not for {architecture}: {} one is needed \
         for this GPU", if architecture < oldest { "an older" } else { "a newer" }
    )]
    Architecture {
        /// NVRTC's version.
        version: String,
        /// The card's architecture, 90 for compute capability 9.0.
        architecture: u32,
        /// The oldest that it knows.
        oldest: u32,
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
        "the GPU does not have enough memory: {} MiB more are needed and {} are free; use smaller batches or \
         images, or end other programs that use the GPU",
        wanted.div_ceil(1 << 20),
        free.map_or_else(|| "too few".to_owned(), |free| format!("{} MiB", free >> 20))
    )]
    Memory {
        /// Bytes that were asked for.
        wanted: u64,
        /// Bytes that are free, where that is known.
        free: Option<u64>,
    },
    /// Work that was handed over is not as the card takes it.
    #[error("{what}: {reason}")]
    Work {
        /// Which.
        what: String,
        /// What is wrong with it.
        reason: String,
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
