//! The kernels, compiled for a card and loaded onto it.

use std::collections::HashMap;
use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::cache;
use super::compiler::{Compiled, Compiler, Target};
use super::context::{Context, Kernel, Module};
use crate::driver::Given;
use crate::error::CudaError;
use crate::sources::{SOURCES, Source};

/// More parameters than any kernel has.
const PARAMETERS: usize = 64;

/// All kernels, on a card.
#[derive(Debug)]
pub(super) struct Modules {
    kernels: HashMap<String, Kernel>,
    /// In which the kernels are.
    _modules: Vec<Module>,
}

impl Modules {
    /// Compiles them for the card, or takes them out of the cache, and loads them.
    pub(super) fn load(
        context: &Arc<Context>,
        compiler: &Compiler,
        architecture: u32,
    ) -> Result<Self, CudaError> {
        let target = compiler.target(architecture)?;
        let all = compiled(compiler, target, cache::folder().as_deref())?;
        let (mut kernels, mut modules) = (HashMap::new(), Vec::new());
        for compiled in all {
            let module = Module::load(context, &compiled.code)?;
            for (name, lowered) in compiled.kernels {
                let lowered = CString::new(lowered).unwrap_or_default();
                kernels.insert(name, module.kernel(&lowered)?);
            }
            modules.push(module);
        }
        Ok(Self { kernels, _modules: modules })
    }

    /// A kernel by its name in C++.
    pub(super) fn kernel(&self, name: &str) -> Result<&Kernel, CudaError> {
        self.kernels.get(name).ok_or_else(|| {
            let reason = "there is no such kernel".to_owned();
            CudaError::Work { what: name.to_owned(), reason }
        })
    }
}

/// The sources' code, in their order: out of the cache, or compiled, several at a time.
pub(super) fn compiled(
    compiler: &Compiler,
    target: Target,
    folder: Option<&Path>,
) -> Result<Vec<Compiled>, CudaError> {
    let one = |source: &Source| {
        let name = cache::name(source, target, &compiler.version());
        if let Some(kept) = folder.and_then(|folder| cache::read(folder, &name)) {
            return Ok(kept);
        }
        let compiled = compiler.compile(source, target)?;
        if let Some(folder) = folder {
            cache::write(folder, &name, &compiled);
        }
        Ok(compiled)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(SOURCES.len());
    let next = AtomicUsize::new(0);
    let mut done: Vec<Option<Result<Compiled, CudaError>>> = SOURCES.map(|_| None).into();
    thread::scope(|scope| {
        let work = || {
            let indices = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
            let mine = indices.map_while(|index| Some((index, SOURCES.get(index)?)));
            mine.map(|(index, source)| (index, one(source))).collect::<Vec<_>>()
        };
        // Where the system gives no more threads, those that there are compile all.
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).map_while(spawn).collect();
        // A thread that panicked leaves its places empty.
        let theirs = others.into_iter().map(|other| other.join().unwrap_or_default());
        for (index, result) in [work()].into_iter().chain(theirs).flatten() {
            done[index] = Some(result);
        }
    });
    done.into_iter()
        .zip(&SOURCES)
        .map(|(result, source)| {
            result.unwrap_or_else(|| {
                let reason = "the compiler's thread ended early".to_owned();
                Err(CudaError::Work { what: source.file.to_owned(), reason })
            })
        })
        .collect()
}

/// A kernel's arguments as the driver takes them: each in eight bytes, of which it reads as many as the parameter has.
/// A `Span<T>` of the card is one pointer.
///
/// # Errors
/// Where they are not what the kernel takes. Drivers before CUDA 12.4 don't tell what that is; then there are zeros
/// behind them, so that the driver reads nothing else, and the emulator's tests alone compare.
pub(super) fn values(
    kernel: &str,
    given: &[Given],
    sizes: Option<&[usize]>,
) -> Result<Vec<u64>, CudaError> {
    let wrong = |reason| Err(CudaError::Work { what: kernel.to_owned(), reason });
    if let Some(sizes) = sizes
        && sizes.len() != given.len()
    {
        return wrong(format!("{} arguments for {} parameters", given.len(), sizes.len()));
    }
    let mut values = Vec::with_capacity(given.len());
    for (index, given) in given.iter().enumerate() {
        let (value, size) = match *given {
            Given::Number(bytes, size) => (u64::from_ne_bytes(bytes), size),
            Given::Span { at, .. } => (at, size_of::<u64>()),
            Given::Nothing => (0, size_of::<u64>()),
        };
        match sizes.and_then(|sizes| sizes.get(index)) {
            Some(&takes) if takes != size => {
                return wrong(format!("argument {index} has {size} bytes and not {takes}"));
            }
            _ => values.push(value),
        }
    }
    if sizes.is_none() {
        values.resize(values.len().max(PARAMETERS), 0);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn arguments_lie_as_the_driver_reads_them() {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&7i32.to_ne_bytes());
        let span = Given::Span { at: 0x7f00_1234_5600, bytes: 16, written: true };
        let given = [span, Given::Nothing, Given::Number(bytes, 4)];
        let values = values("k", &given, Some(&[8, 8, 4])).unwrap();
        assert_eq!(values[..2], [0x7f00_1234_5600, 0]);
        // The parameter's four bytes are the first.
        assert_eq!(values[2].to_ne_bytes()[..4], 7i32.to_ne_bytes());
        let unknown = super::values("k", &given, None).unwrap();
        assert_eq!(unknown[..3], values);
        assert_eq!(unknown[3..], [0; PARAMETERS - 3]);
    }

    #[test]
    fn arguments_that_the_kernel_does_not_take_are_refused() {
        let number = Given::Number([0; 8], 4);
        for (given, sizes) in [
            (vec![number], vec![]),
            (vec![], vec![4]),
            (vec![number], vec![8]),
            (vec![Given::Nothing], vec![4]),
        ] {
            assert!(values("k", &given, Some(&sizes)).is_err(), "{given:?} {sizes:?}");
        }
    }

    #[test]
    #[ignore = "wants NVRTC"]
    fn kernels_come_out_of_the_cache_the_second_time() {
        let folders = std::env::var_os("FCMAE_CUDA_LIBRARIES");
        let compiler = Compiler::open(folders.as_deref().map(Path::new)).unwrap();
        let name = format!("fcmae-cuda-modules-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let target = compiler.target(90).unwrap();
        let first = compiled(&compiler, target, Some(&folder)).unwrap();
        assert!(first.iter().all(|compiled| !compiled.resources.is_empty()));
        let second = compiled(&compiler, target, Some(&folder)).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        for (first, second) in first.iter().zip(&second) {
            assert!(second.resources.is_empty(), "it was compiled again");
            assert_eq!((&first.code, &first.kernels), (&second.code, &second.kernels));
        }
    }
}
