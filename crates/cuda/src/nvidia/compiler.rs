//! NVRTC: compiles kernels for the architecture of a card. It needs no card itself.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use cudarc::nvrtc::sys::{self, nvrtcProgram};

use super::library::{self, Wanted, functions};
use crate::error::CudaError;
use crate::sources::{HEADERS, Source};

const NVRTC: Wanted = Wanted {
    library: "libnvrtc",
    stem: "nvrtc",
    wheel: "nvidia-cuda-nvrtc",
    older: "nvidia-cuda-nvrtc-cu12",
};

/// The oldest version that this is meant for.
const OLDEST: (i32, i32) = (12, 0);

functions! {
    /// NVRTC's functions.
    struct Functions of "libnvrtc" by sys::nvrtcResult {
        nvrtcVersion(*mut c_int, *mut c_int);
        nvrtcGetNumSupportedArchs(*mut c_int);
        nvrtcGetSupportedArchs(*mut c_int);
        nvrtcCreateProgram(
            *mut nvrtcProgram, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char,
        );
        nvrtcDestroyProgram(*mut nvrtcProgram);
        nvrtcAddNameExpression(nvrtcProgram, *const c_char);
        nvrtcCompileProgram(nvrtcProgram, c_int, *const *const c_char);
        nvrtcGetLoweredName(nvrtcProgram, *const c_char, *mut *const c_char);
        nvrtcGetProgramLogSize(nvrtcProgram, *mut usize);
        nvrtcGetProgramLog(nvrtcProgram, *mut c_char);
        nvrtcGetCUBINSize(nvrtcProgram, *mut usize);
        nvrtcGetCUBIN(nvrtcProgram, *mut c_char);
        nvrtcGetPTXSize(nvrtcProgram, *mut usize);
        nvrtcGetPTX(nvrtcProgram, *mut c_char);
    }
}

/// The library by which kernels are compiled.
#[derive(Clone)]
pub struct Compiler {
    functions: Arc<Functions>,
    version: (i32, i32),
    architectures: Vec<u32>,
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler")
            .field("version", &self.version)
            .field("architectures", &self.architectures)
            .finish_non_exhaustive()
    }
}

/// For what a source is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the code of this architecture (90 for compute capability 9.0).
    Code(u32),
    /// To NVIDIA's portable assembly (PTX) for this architecture, which the driver compiles for the card, also for
    /// one that is newer than the compiler.
    Portable(u32),
}

impl Target {
    /// The architecture.
    pub fn architecture(self) -> u32 {
        match self {
            Self::Code(architecture) | Self::Portable(architecture) => architecture,
        }
    }

    /// As the compiler's option spells it.
    pub fn name(self) -> String {
        match self {
            Self::Code(architecture) => format!("sm_{architecture}"),
            Self::Portable(architecture) => format!("compute_{architecture}"),
        }
    }

    /// That for a card, by a compiler of these architectures: its own code where they have it, else assembly for the
    /// newest that is older than the card.
    fn of(card: u32, architectures: &[u32]) -> Option<Self> {
        if architectures.contains(&card) {
            return Some(Self::Code(card));
        }
        architectures.iter().copied().filter(|&of| of < card).max().map(Self::Portable)
    }
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
    /// Opens NVRTC: that in `folders` (separated as in `PATH`), or else the system's.
    ///
    /// # Errors
    /// Where it is not there, or too old.
    pub fn open(folders: Option<&Path>) -> Result<Self, CudaError> {
        let functions = Functions::of(library::open(NVRTC, folders)?)?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both places are a C int to write.
        let answer = unsafe { (functions.nvrtcVersion)(&raw mut major, &raw mut minor) };
        let version = (major, minor);
        if answer != 0 || version < OLDEST {
            let found = format!("{major}.{minor}");
            return Err(CudaError::Old { library: NVRTC.library, found, needed: "12.0" });
        }
        let architectures = architectures(&functions);
        Ok(Self { functions: Arc::new(functions), version, architectures })
    }

    /// The architectures that it compiles for: 90 is compute capability 9.0.
    pub fn architectures(&self) -> &[u32] {
        &self.architectures
    }

    /// Its version, such as `13.0`.
    pub fn version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// Refuses a driver of an older CUDA: code of a newer major version is not for it.
    pub(super) fn check_driver(&self, driver: (i32, i32)) -> Result<(), CudaError> {
        library::check_driver(NVRTC, self.version, driver)
    }

    /// For what it compiles a card's kernels.
    ///
    /// # Errors
    /// Where it knows neither the card's architecture nor an older one.
    pub fn target(&self, card: u32) -> Result<Target, CudaError> {
        Target::of(card, &self.architectures).ok_or_else(|| self.unknown(card))
    }

    fn unknown(&self, architecture: u32) -> CudaError {
        let oldest = self.architectures.iter().copied().min().unwrap_or(0);
        let newest = self.architectures.iter().copied().max().unwrap_or(0);
        CudaError::Architecture { version: self.version(), architecture, oldest, newest }
    }

    /// Compiles all kernels of a source.
    ///
    /// # Errors
    /// Where it does not know the architecture, or the source has a fault.
    pub fn compile(&self, source: &Source, target: Target) -> Result<Compiled, CudaError> {
        let architecture = target.architecture();
        if !self.architectures.contains(&architecture) {
            return Err(self.unknown(architecture));
        }
        let program = Program::new(&self.functions, source, architecture)?;
        let names: Vec<CString> = source.kernels().iter().map(|name| text(name)).collect();
        for name in &names {
            // SAFETY: the program lives, `name` ends with a zero and outlives it.
            let answer =
                unsafe { (self.functions.nvrtcAddNameExpression)(program.handle, name.as_ptr()) };
            program.check("nvrtcAddNameExpression", answer)?;
        }
        let options = options(target).map(|option| text(&option));
        let places = options.each_ref().map(|option| option.as_ptr());
        // SAFETY: the program lives; as many options as told, each ending with a zero.
        let answer = unsafe {
            (self.functions.nvrtcCompileProgram)(
                program.handle,
                places.len() as c_int,
                places.as_ptr(),
            )
        };
        program.check("nvrtcCompileProgram", answer)?;
        let kernels = names
            .iter()
            .map(|name| Ok((name.to_string_lossy().into_owned(), program.lowered(name)?)))
            .collect::<Result<_, CudaError>>()?;
        Ok(Compiled { code: program.code(target)?, kernels, resources: resources(&program.log()) })
    }
}

/// The compiler's options.
pub(super) fn options(target: Target) -> [String; 3] {
    let architecture = format!("--gpu-architecture={}", target.name());
    [architecture, "--std=c++17".to_owned(), "--ptxas-options=-v".to_owned()]
}

fn architectures(functions: &Functions) -> Vec<u32> {
    let mut count = 0;
    // SAFETY: `count` is a C int to write.
    let answer = unsafe { (functions.nvrtcGetNumSupportedArchs)(&raw mut count) };
    if answer != 0 {
        return Vec::new();
    }
    let mut found: Vec<c_int> = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: `found` has room for as many as the library told.
    let answer = unsafe { (functions.nvrtcGetSupportedArchs)(found.as_mut_ptr()) };
    if answer != 0 {
        return Vec::new();
    }
    found.into_iter().filter_map(|architecture| u32::try_from(architecture).ok()).collect()
}

/// What NVRTC's answers mean, by nvrtc.h.
fn reason(answer: u32) -> String {
    let name = match answer {
        1 => "NVRTC_ERROR_OUT_OF_MEMORY",
        2 => "NVRTC_ERROR_PROGRAM_CREATION_FAILURE",
        3 => "NVRTC_ERROR_INVALID_INPUT",
        4 => "NVRTC_ERROR_INVALID_PROGRAM",
        5 => "NVRTC_ERROR_INVALID_OPTION",
        6 => "NVRTC_ERROR_COMPILATION",
        7 => "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE (libnvrtc-builtins must lie beside libnvrtc)",
        8 => "NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION",
        9 => "NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION",
        10 => "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID",
        11 => "NVRTC_ERROR_INTERNAL_ERROR",
        _ => return format!("error {answer}"),
    };
    name.to_owned()
}

/// Text for C. What has a zero within ends there.
fn text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

/// What is being compiled.
struct Program<'a> {
    functions: &'a Functions,
    handle: nvrtcProgram,
    file: &'static str,
    architecture: u32,
}

impl<'a> Program<'a> {
    fn new(
        functions: &'a Functions,
        source: &Source,
        architecture: u32,
    ) -> Result<Self, CudaError> {
        let file = source.file;
        let mut program = Self { functions, handle: ptr::null_mut(), file, architecture };
        let (name, source) = (text(source.file), text(source.text));
        let headers = HEADERS.map(|header| text(header.text));
        let names = HEADERS.map(|header| text(header.file));
        let [headers, names] =
            [&headers, &names].map(|texts| texts.each_ref().map(|text| text.as_ptr()));
        let count = headers.len() as c_int;
        // SAFETY: all texts end with a zero and live through the call, which copies them; both lists are as long
        // as told; `handle` is a place for the program.
        let answer = unsafe {
            (functions.nvrtcCreateProgram)(
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

    fn check(&self, call: &'static str, answer: u32) -> Result<(), CudaError> {
        if answer == 0 {
            return Ok(());
        }
        let Self { file, architecture, .. } = *self;
        let (reason, log) = (reason(answer), self.log());
        Err(CudaError::Compile { file, architecture, call, reason, log })
    }

    /// What the compiler has to say.
    fn log(&self) -> String {
        let mut length = 0;
        // SAFETY: the program lives, or is null, which is an error; `length` is a place to write.
        let answer =
            unsafe { (self.functions.nvrtcGetProgramLogSize)(self.handle, &raw mut length) };
        if answer != 0 {
            return String::new();
        }
        let mut log = vec![0u8; length];
        // SAFETY: `log` has room for as much as the library told.
        let answer = unsafe {
            (self.functions.nvrtcGetProgramLog)(self.handle, log.as_mut_ptr().cast::<c_char>())
        };
        if answer != 0 {
            return String::new();
        }
        let text = CStr::from_bytes_until_nul(&log).unwrap_or_default();
        text.to_string_lossy().into_owned()
    }

    /// A kernel's name in the code.
    fn lowered(&self, name: &CStr) -> Result<String, CudaError> {
        let mut lowered = ptr::null();
        // SAFETY: the program is compiled and was given this name; `lowered` is a place to write.
        let answer = unsafe {
            (self.functions.nvrtcGetLoweredName)(self.handle, name.as_ptr(), &raw mut lowered)
        };
        self.check("nvrtcGetLoweredName", answer)?;
        // SAFETY: the library wrote the place of a text that lives as long as the program.
        Ok(unsafe { CStr::from_ptr(lowered) }.to_string_lossy().into_owned())
    }

    fn code(&self, target: Target) -> Result<Vec<u8>, CudaError> {
        let of = self.functions;
        let (size, get, names) = match target {
            Target::Code(_) => {
                (of.nvrtcGetCUBINSize, of.nvrtcGetCUBIN, ["nvrtcGetCUBINSize", "nvrtcGetCUBIN"])
            }
            // Ends with a zero, as the driver wants it.
            Target::Portable(_) => {
                (of.nvrtcGetPTXSize, of.nvrtcGetPTX, ["nvrtcGetPTXSize", "nvrtcGetPTX"])
            }
        };
        let mut length = 0;
        // SAFETY: the program is compiled; `length` is a place to write.
        let answer = unsafe { size(self.handle, &raw mut length) };
        self.check(names[0], answer)?;
        let mut code = vec![0u8; length];
        // SAFETY: `code` has room for as much as the library told.
        let answer = unsafe { get(self.handle, code.as_mut_ptr().cast::<c_char>()) };
        self.check(names[1], answer)?;
        Ok(code)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: the program lives until here, and nothing of it is used later.
            unsafe { (self.functions.nvrtcDestroyProgram)(&raw mut self.handle) };
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
    fn a_card_that_the_compiler_does_not_know_gets_assembly_for_an_older_one() {
        let known = [75, 80, 90, 100, 120];
        assert_eq!(Target::of(90, &known), Some(Target::Code(90)));
        assert_eq!(Target::of(89, &known), Some(Target::Portable(80)));
        assert_eq!(Target::of(130, &known), Some(Target::Portable(120)));
        assert_eq!(Target::of(70, &known), None);
        assert_eq!(Target::of(90, &[]), None);
    }

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
