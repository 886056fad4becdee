//! NVRTC: compiles kernels for the architecture of a card. It needs no card itself.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::ptr;

use cudarc::nvrtc::sys;

use crate::error::CudaError;
use crate::sources::{HEADERS, Source};

const LIBRARY: &str = "libnvrtc";
const WHEEL: &str = "nvidia-cuda-nvrtc";

/// The oldest version that this is meant for.
const OLDEST: (i32, i32) = (12, 0);

/// The library by which kernels are compiled.
#[derive(Clone, Debug)]
pub struct Compiler {
    version: (i32, i32),
    architectures: Vec<u32>,
}

/// A source for one architecture.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The card's code.
    pub code: Vec<u8>,
    /// The names of its kernels, as C++ and as the code spell them.
    pub kernels: Vec<(String, String)>,
    /// What each kernel takes of the card.
    pub resources: Vec<Resources>,
}

/// What a kernel takes of the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// As the code spells it.
    pub kernel: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Shared memory of a block in bytes.
    pub shared: u32,
    /// Bytes that each thread writes to memory because they don't fit its registers.
    pub spilled: u32,
}

impl Compiler {
    /// Opens NVRTC: that in `folder`, or else the system's.
    ///
    /// # Errors
    /// Where it is not there, or too old.
    pub fn open(folder: Option<&Path>) -> Result<Self, CudaError> {
        let named = folder.map(open_within).transpose()?;
        // SAFETY: opening NVRTC runs its initializers, which have no demands.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::Missing { library: LIBRARY, wheel: WHEEL });
        }
        if let (Some(named), Some(folder)) = (named, folder)
            && named != place_of_version(loaded())
        {
            let folder = folder.to_owned();
            return Err(CudaError::Another { library: LIBRARY, folder });
        }
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the library is there; both places are a C int to write.
        let answer = unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) };
        let version = (major, minor);
        if answer != sys::nvrtcResult::NVRTC_SUCCESS || version < OLDEST {
            let found = format!("{major}.{minor}");
            return Err(CudaError::Old { library: LIBRARY, found, needed: "12.0" });
        }
        Ok(Self { version, architectures: architectures() })
    }

    /// The architectures that it compiles for: 90 is compute capability 9.0.
    pub fn architectures(&self) -> &[u32] {
        &self.architectures
    }

    /// Its version, such as `13.0`.
    pub fn version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// Compiles all kernels of a source.
    ///
    /// # Errors
    /// Where it does not know the architecture, or the source has a fault.
    pub fn compile(&self, source: &Source, architecture: u32) -> Result<Compiled, CudaError> {
        if !self.architectures.contains(&architecture) {
            let newest = self.architectures.iter().copied().max().unwrap_or(0);
            return Err(CudaError::Architecture { version: self.version(), architecture, newest });
        }
        let program = Program::new(source, architecture)?;
        let names: Vec<CString> = source.kernels().iter().map(|name| text(name)).collect();
        for name in &names {
            // SAFETY: the program lives, `name` ends with a zero and outlives it.
            let answer = unsafe { sys::nvrtcAddNameExpression(program.handle, name.as_ptr()) };
            program.check("nvrtcAddNameExpression", answer)?;
        }
        let options = [
            format!("--gpu-architecture=sm_{architecture}"),
            "--std=c++17".to_owned(),
            "--ptxas-options=-v".to_owned(),
        ];
        let options = options.map(|option| text(&option));
        let places = options.each_ref().map(|option| option.as_ptr());
        // SAFETY: the program lives; as many options as told, each ending with a zero.
        let answer = unsafe {
            sys::nvrtcCompileProgram(program.handle, places.len() as c_int, places.as_ptr())
        };
        program.check("nvrtcCompileProgram", answer)?;
        let kernels = names
            .iter()
            .map(|name| Ok((name.to_string_lossy().into_owned(), program.lowered(name)?)))
            .collect::<Result<_, CudaError>>()?;
        Ok(Compiled { code: program.code()?, kernels, resources: resources(&program.log()) })
    }
}

/// The library whose symbols are used.
fn loaded() -> &'static libloading::Library {
    // SAFETY: it is there, and opening it runs its initializers, which have no demands.
    unsafe { sys::culib() }
}

/// Where a library has one of its functions: which library it is.
fn place_of_version(library: &libloading::Library) -> usize {
    // SAFETY: the symbol is a function; it is not called, its address alone is taken.
    let symbol = unsafe { library.get::<unsafe extern "C" fn()>(b"nvrtcVersion\0") };
    symbol.map_or(0, |symbol| *symbol as usize)
}

/// Opens the library of `folder`, so that later look-ups by its name find that one, and says where it is.
fn open_within(folder: &Path) -> Result<usize, CudaError> {
    for name in ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"] {
        let path = folder.join(name);
        if !path.is_file() {
            continue;
        }
        // SAFETY: opening NVRTC runs its initializers, which have no demands.
        if let Ok(library) = unsafe { libloading::Library::new(&path) } {
            let place = place_of_version(&library);
            // It stays open until the program ends.
            std::mem::forget(library);
            return Ok(place);
        }
    }
    Err(CudaError::Folder { library: LIBRARY, folder: folder.to_owned() })
}

fn architectures() -> Vec<u32> {
    let mut count = 0;
    // SAFETY: the library is there; `count` is a C int to write.
    let answer = unsafe { sys::nvrtcGetNumSupportedArchs(&raw mut count) };
    if answer != sys::nvrtcResult::NVRTC_SUCCESS {
        return Vec::new();
    }
    let mut found: Vec<c_int> = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: `found` has room for as many as the library told.
    let answer = unsafe { sys::nvrtcGetSupportedArchs(found.as_mut_ptr()) };
    if answer != sys::nvrtcResult::NVRTC_SUCCESS {
        return Vec::new();
    }
    found.into_iter().filter_map(|architecture| u32::try_from(architecture).ok()).collect()
}

/// Text for C. What has a zero within ends there.
fn text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

/// What is being compiled.
struct Program {
    handle: sys::nvrtcProgram,
    file: &'static str,
    architecture: u32,
}

impl Program {
    fn new(source: &Source, architecture: u32) -> Result<Self, CudaError> {
        let mut program = Self { handle: ptr::null_mut(), file: source.file, architecture };
        let (name, source) = (text(source.file), text(source.text));
        let headers = HEADERS.map(|header| text(header.text));
        let names = HEADERS.map(|header| text(header.file));
        let [headers, names] =
            [&headers, &names].map(|texts| texts.each_ref().map(|text| text.as_ptr()));
        let count = headers.len() as c_int;
        // SAFETY: all texts end with a zero and live through the call, which copies them; both lists are as long
        // as told; `handle` is a place for the program.
        let answer = unsafe {
            sys::nvrtcCreateProgram(
                &raw mut program.handle,
                source.as_ptr(),
                name.as_ptr(),
                count,
                headers.as_ptr(),
                names.as_ptr(),
            )
        };
        program.check("nvrtcCreateProgram", answer)?;
        Ok(program)
    }

    fn check(&self, call: &'static str, answer: sys::nvrtcResult) -> Result<(), CudaError> {
        if answer == sys::nvrtcResult::NVRTC_SUCCESS {
            return Ok(());
        }
        let Self { file, architecture, .. } = *self;
        let (reason, log) = (format!("{answer:?}"), self.log());
        Err(CudaError::Compile { file, architecture, call, reason, log })
    }

    /// What the compiler has to say.
    fn log(&self) -> String {
        let mut length = 0;
        // SAFETY: the program lives, or is null, which is an error; `length` is a place to write.
        let answer = unsafe { sys::nvrtcGetProgramLogSize(self.handle, &raw mut length) };
        if answer != sys::nvrtcResult::NVRTC_SUCCESS {
            return String::new();
        }
        let mut log = vec![0u8; length];
        // SAFETY: `log` has room for as much as the library told.
        let answer =
            unsafe { sys::nvrtcGetProgramLog(self.handle, log.as_mut_ptr().cast::<c_char>()) };
        if answer != sys::nvrtcResult::NVRTC_SUCCESS {
            return String::new();
        }
        let text = CStr::from_bytes_until_nul(&log).unwrap_or_default();
        text.to_string_lossy().into_owned()
    }

    /// A kernel's name in the code.
    fn lowered(&self, name: &CStr) -> Result<String, CudaError> {
        let mut lowered = ptr::null();
        // SAFETY: the program is compiled and was given this name; `lowered` is a place to write.
        let answer =
            unsafe { sys::nvrtcGetLoweredName(self.handle, name.as_ptr(), &raw mut lowered) };
        self.check("nvrtcGetLoweredName", answer)?;
        // SAFETY: the library wrote the place of a text that lives as long as the program.
        Ok(unsafe { CStr::from_ptr(lowered) }.to_string_lossy().into_owned())
    }

    fn code(&self) -> Result<Vec<u8>, CudaError> {
        let mut length = 0;
        // SAFETY: the program is compiled; `length` is a place to write.
        let answer = unsafe { sys::nvrtcGetCUBINSize(self.handle, &raw mut length) };
        self.check("nvrtcGetCUBINSize", answer)?;
        let mut code = vec![0u8; length];
        // SAFETY: `code` has room for as much as the library told.
        let answer = unsafe { sys::nvrtcGetCUBIN(self.handle, code.as_mut_ptr().cast::<c_char>()) };
        self.check("nvrtcGetCUBIN", answer)?;
        Ok(code)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: the program lives until here, and nothing of it is used later.
            unsafe { sys::nvrtcDestroyProgram(&raw mut self.handle) };
        }
    }
}

/// The compiler's report, of which each kernel has lines such as these:
///
/// ```text
/// ptxas info    : Function properties for accumulate
///     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
/// ptxas info    : Used 12 registers, used 0 barriers, 8192 bytes smem, 384 bytes cmem[0]
/// ```
fn resources(log: &str) -> Vec<Resources> {
    let before = |line: &str, what: &str| -> Option<u32> {
        line.split(',').find_map(|part| {
            part.trim().strip_suffix(what)?.trim().rsplit(' ').next()?.parse().ok()
        })
    };
    let mut found: Vec<Resources> = Vec::new();
    for line in log.lines() {
        if let Some((_, kernel)) = line.split_once("Function properties for ") {
            let kernel = kernel.trim().to_owned();
            found.push(Resources { kernel, registers: 0, shared: 0, spilled: 0 });
        }
        let Some(last) = found.last_mut() else { continue };
        if let Some(bytes) = before(line, "bytes spill stores") {
            last.spilled = bytes;
        }
        if let Some(registers) = before(line, "registers") {
            last.registers = registers;
            last.shared = before(line, "bytes smem").unwrap_or(0);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_read() {
        let log = "ptxas info    : 0 bytes gmem\n\
                   ptxas info    : Compiling entry function 'a' for 'sm_90'\n\
                   ptxas info    : Function properties for a\n    \
                   16 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads\n\
                   ptxas info    : Used 168 registers, used 1 barriers, 8192 bytes smem, 384 bytes cmem[0]\n\
                   ptxas info    : Function properties for b\n    \
                   0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
                   ptxas info    : Used 12 registers, used 0 barriers, 384 bytes cmem[0]\n";
        let of = |kernel: &str, registers, shared, spilled| Resources {
            kernel: kernel.to_owned(),
            registers,
            shared,
            spilled,
        };
        assert_eq!(resources(log), [of("a", 168, 8192, 12), of("b", 12, 0, 0)]);
    }
}
