//! The Python names in a pickle that describe tensors. What other names would make is ignored; those that only an
//! attack would use are refused.

use ::safetensors::tensor::Dtype;

/// What a name stands for. None is ever run: they say how the values beside them are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict` and its kin: becomes a dictionary.
    Dictionary,
    /// `torch.FloatStorage` …: what a storage holds.
    Storage(Dtype),
    /// `torch.storage.UntypedStorage`: a storage of bytes, for element types newer than the typed
    /// ones.
    Bytes,
    /// `torch.float32` …
    Dtype(Dtype),
    /// `torch._utils._rebuild_tensor` and its second form.
    Tensor,
    /// `torch._utils._rebuild_tensor_v3`: a tensor on a storage of bytes.
    TensorOnBytes,
    /// `torch._utils._rebuild_parameter`: a tensor, wrapped.
    Parameter,
    /// A record that checkpoints carry beside tensors. What it is made from is dropped.
    Inert,
}

impl Global {
    pub(super) fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") => Self::Dictionary,
            ("torch", _) if storage(name).is_some() => Self::Storage(storage(name)?),
            ("torch", _) if dtype(name).is_some() => Self::Dtype(dtype(name)?),
            ("torch.storage", "UntypedStorage") => Self::Bytes,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_tensor_v3") => Self::TensorOnBytes,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::Parameter
            }
            ("torch", "Size" | "device")
            | ("collections", "Counter" | "deque")
            | ("argparse", "Namespace")
            | ("_codecs", "encode")
            | ("numpy", "dtype" | "ndarray")
            // numpy 2 renamed the module.
            | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar" | "_reconstruct")
            | ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer")
            | ("pathlib" | "pathlib._local", "Path" | "PosixPath" | "WindowsPath")
            | ("datetime", "date" | "datetime" | "timedelta")
            // Python 2's name of the module, which protocol 2 keeps.
            | (
                "builtins" | "__builtin__",
                "bool" | "bytearray" | "bytes" | "complex" | "dict" | "float" | "frozenset" | "int"
                | "list" | "range" | "set" | "slice" | "str" | "tuple",
            ) => Self::Inert,
            _ => return None,
        })
    }
}

/// Modules that no object of a training program is of: a file that names them was made to do harm where it is
/// unpickled. Nothing is run here; it is refused so that it is known.
const HARMFUL_MODULES: [&str; 22] = [
    "asyncio.subprocess",
    "ctypes",
    "http.client",
    "importlib",
    "marshal",
    "multiprocessing.util",
    "nt",
    "os",
    "pickle",
    "popen2",
    "posix",
    "pty",
    "requests.api",
    "runpy",
    "shutil",
    "smtplib",
    "socket",
    "subprocess",
    "sys",
    "timeit",
    "urllib.request",
    "webbrowser",
];
const HARMFUL_BUILTINS: [&str; 7] =
    ["__import__", "compile", "eval", "exec", "execfile", "open", "input"];

/// Whether nothing but an attack names it.
pub(super) fn is_harmful(module: &str, name: &str) -> bool {
    let within = |known: &str| {
        module.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let builtin = matches!(module, "builtins" | "__builtin__");
    HARMFUL_MODULES.iter().any(|known| within(known))
        || (builtin && HARMFUL_BUILTINS.contains(&name))
}

fn storage(name: &str) -> Option<Dtype> {
    Some(match name {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        "ComplexFloatStorage" => Dtype::C64,
        _ => return None,
    })
}

fn dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "float32" => Dtype::F32,
        "float64" => Dtype::F64,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint8" => Dtype::U8,
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "bool" => Dtype::BOOL,
        "complex64" => Dtype::C64,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        "float8_e4m3fnuz" => Dtype::F8_E4M3FNUZ,
        "float8_e5m2fnuz" => Dtype::F8_E5M2FNUZ,
        "float8_e8m0fnu" => Dtype::F8_E8M0,
        _ => return None,
    })
}
