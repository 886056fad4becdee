//! NVIDIA's libraries, opened at run time. Nothing here panics: what is missing is an error that says how to get it.
//!
//! cudarc describes their functions, but looks them up one by one at first use and panics where one is missing, and
//! reads what they answer as an enum, which has no place for the codes of newer versions. So each library's functions
//! are looked up here at once, with cudarc's parameters (which the compiler compares) and plain numbers for answers.

use std::path::{Path, PathBuf};

use libloading::Library;

use crate::error::CudaError;

/// A library of which a wheel on PyPI has a copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// As errors call it.
    pub(super) library: &'static str,
    /// As the names of its files begin, after `lib`.
    pub(super) stem: &'static str,
    /// The wheels that have it.
    pub(super) wheel: &'static str,
    /// The wheel for CUDA 12.
    pub(super) older: &'static str,
}

/// Opens a library: that of the folders that were named (`folders`, separated as in `PATH`), else the system's.
///
/// It stays open until the program ends: its functions are kept, and closing it would run NVIDIA's destructors while
/// the driver's threads live.
pub(super) fn open(wanted: Wanted, folders: Option<&Path>) -> Result<&'static Library, CudaError> {
    let names = cudarc::get_lib_name_candidates(wanted.stem);
    let Wanted { library, wheel, older, .. } = wanted;
    let Some(folders) = folders else {
        return first(&names).ok_or(CudaError::Missing { library, wheel, older });
    };
    // By its full path, so that it is this one whatever else the system would find by its name.
    let found = std::env::split_paths(folders)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|path| path.is_file());
    let Some(path) = found else {
        return Err(CudaError::Folder { library, wheel, folder: PathBuf::from(folders) });
    };
    opened(&path).map_err(|error| {
        let reason = error.to_string();
        CudaError::Broken { library, path, reason }
    })
}

/// The driver's library, which only the driver brings.
pub(super) fn driver() -> Result<&'static Library, CudaError> {
    // The first is the driver's own; `libcuda.so` may be the stub that CUDA's toolkit brings for linking.
    let mut names = vec!["libcuda.so.1".to_owned()];
    names.extend(["cuda", "nvcuda"].map(cudarc::get_lib_name_candidates).concat());
    first(&names).ok_or(CudaError::NoDriver)
}

/// The first that can be opened.
fn first(names: &[String]) -> Option<&'static Library> {
    names.iter().find_map(|name| opened(Path::new(name)).ok())
}

fn opened(path: &Path) -> Result<&'static Library, libloading::Error> {
    // SAFETY: opening NVIDIA's libraries runs their initializers, which have no demands.
    let library = unsafe { Library::new(path) }?;
    Ok(Box::leak(Box::new(library)))
}

/// Refuses a library of a newer major version of CUDA than the driver is for.
pub(super) fn check_driver(
    wanted: Wanted,
    version: (i32, i32),
    driver: (i32, i32),
) -> Result<(), CudaError> {
    if version.0 <= driver.0 {
        return Ok(());
    }
    let [found, driver] = [version, driver].map(|(major, minor)| format!("{major}.{minor}"));
    Err(CudaError::Newer { library: wanted.library, found, driver, older: wanted.older })
}

/// The functions of a library, each of which answers a number that is 0 for success.
macro_rules! functions {
    (
        $(#[$meta:meta])*
        struct $name:ident of $library:literal by $sys:ident::$status:ident {
            $($function:ident($($type:ty),* $(,)?);)*
        }
    ) => {
        $(#[$meta])*
        #[allow(non_snake_case)]
        pub(super) struct $name {
            $(pub(super) $function: unsafe extern "C" fn($($type),*) -> u32,)*
        }

        impl $name {
            /// Looks all of them up.
            #[allow(non_snake_case)]
            pub(super) fn of(library: &'static libloading::Library) -> Result<Self, CudaError> {
                $(
                    // cudarc has it with the same parameters.
                    const _: unsafe fn($($type),*) -> $sys::$status = $sys::$function;
                    // SAFETY: this is the function's type by NVIDIA's headers, from which cudarc's is made; what it
                    // answers is an enum, in C a number of 32 bits.
                    let $function = unsafe {
                        $crate::nvidia::library::function::<
                            unsafe extern "C" fn($($type),*) -> u32,
                        >($library, library, stringify!($function))
                    }?;
                )*
                Ok(Self { $($function),* })
            }
        }
    };
}

pub(super) use functions;

/// A function of a library.
///
/// # Safety
/// `F` is the type of a pointer to the function of this name.
pub(super) unsafe fn function<F: Copy>(
    of: &'static str,
    library: &'static Library,
    name: &'static str,
) -> Result<F, CudaError> {
    // SAFETY: the caller knows its type. The library stays open, so that the pointer stays good.
    let found = unsafe { library.get::<F>(name.as_bytes()) };
    found.map(|symbol| *symbol).map_err(|_| CudaError::Function { library: of, function: name })
}
