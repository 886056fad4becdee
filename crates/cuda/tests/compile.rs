//! All kernels, compiled for all architectures. It takes a minute and wants NVRTC, so it is asked for by name:
//!
//! ```text
//! pip install nvidia-cuda-nvrtc
//! FCMAE_CUDA_LIBRARIES=…/nvidia/…/lib cargo test --release -p fcmae-cuda --features nvidia -- --ignored
//! ```
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use fcmae_cuda::CudaError;
use fcmae_cuda::nvidia::compiler::{Compiler, Target};
use fcmae_cuda::sources::SOURCES;

const ARCHITECTURES: [u32; 7] = [75, 80, 86, 89, 90, 100, 120];

/// Shared memory in bytes that every block may have without asking for more.
const UNASKED: u32 = 48 << 10;

fn folder() -> Option<PathBuf> {
    std::env::var_os("FCMAE_CUDA_LIBRARIES").map(PathBuf::from)
}

#[test]
#[ignore = "wants NVRTC"]
fn every_kernel_compiles_for_every_architecture_and_spills_nothing() {
    let compiler = Compiler::open(folder().as_deref()).unwrap();
    // The longest first.
    let mut work: Vec<_> = SOURCES
        .iter()
        .flat_map(|source| ARCHITECTURES.map(|architecture| (source, architecture)))
        .collect();
    work.sort_by_key(|(source, _)| source.file == "depthwise.cu");
    let (work, threads) = (Mutex::new(work), thread::available_parallelism().unwrap().get());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((source, architecture)) = work.lock().unwrap().pop() else {
                        break;
                    };
                    let compiled = compiler.compile(source, Target::Code(architecture)).unwrap();
                    let what = format!("{} for {architecture}", source.file);
                    assert_eq!(compiled.kernels.len(), source.kernels().len(), "{what}");
                    assert!(compiled.code.starts_with(b"\x7fELF"), "{what}");
                    for (kernel, lowered) in &compiled.kernels {
                        let found = compiled.resources.iter().find(|of| of.kernel == *lowered);
                        let of = found.unwrap_or_else(|| panic!("{what}: no report of {kernel}"));
                        assert_eq!(of.spilled, 0, "{what}: {kernel} spills");
                        assert!(of.registers > 0 && of.shared <= UNASKED, "{what}: {of:?}");
                    }
                }
            });
        }
    });
}

#[test]
#[ignore = "wants NVRTC"]
fn an_architecture_that_nobody_makes_is_refused() {
    let compiler = Compiler::open(folder().as_deref()).unwrap();
    let error = compiler.compile(&SOURCES[0], Target::Code(999)).unwrap_err();
    assert!(matches!(error, CudaError::Architecture { architecture: 999, .. }), "{error}");
}

#[test]
#[ignore = "wants NVRTC"]
fn a_card_newer_than_the_compiler_gets_assembly_that_its_driver_compiles() {
    let compiler = Compiler::open(folder().as_deref()).unwrap();
    let newest = compiler.architectures().iter().copied().max().unwrap();
    let target = compiler.target(newest + 10).unwrap();
    assert_eq!(target, Target::Portable(newest));
    for source in &SOURCES {
        let compiled = compiler.compile(source, target).unwrap();
        let text = String::from_utf8(compiled.code).unwrap();
        let text = text.strip_suffix('\0').unwrap();
        assert!(text.contains(&format!(".target sm_{newest}")), "{text}");
        for (kernel, lowered) in &compiled.kernels {
            assert!(text.contains(&format!(".entry {lowered}(")), "{}: {kernel}", source.file);
        }
    }
}

#[test]
fn a_folder_without_the_library_is_told() {
    let folder = std::env::temp_dir();
    let error = Compiler::open(Some(&folder)).unwrap_err().to_string();
    let start = format!("FCMAE_CUDA_LIBRARIES is {}, which has no libnvrtc", folder.display());
    assert!(error.starts_with(&start), "{error}");
}
