//! The driver's library: its functions, what it knows of cards, and what its errors mean.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::ptr;
use std::sync::Arc;

use cudarc::driver::sys::{
    self, CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUfunction, CUgraph,
    CUgraphExec, CUmodule, CUstream, CUstreamCaptureMode,
};

use super::library::{self, functions};
use crate::error::CudaError;

/// The first version of CUDA that a driver must be for, as it says it: that of the functions below.
const OLDEST: c_int = 12_000;

/// Answers that are dealt with.
pub(super) const OUT_OF_MEMORY: u32 = 2;
const NO_DEVICE: u32 = 100;
pub(super) const NOT_READY: u32 = 600;

functions! {
    /// The driver's functions, all of which CUDA 12.0 has.
    struct Functions of "libcuda" by sys::CUresult {
        cuInit(c_uint);
        cuDriverGetVersion(*mut c_int);
        cuDeviceGetCount(*mut c_int);
        cuDeviceGet(*mut CUdevice, c_int);
        cuDeviceGetName(*mut c_char, c_int, CUdevice);
        cuDeviceGetAttribute(*mut c_int, CUdevice_attribute, CUdevice);
        cuDeviceTotalMem_v2(*mut usize, CUdevice);
        cuDevicePrimaryCtxRetain(*mut CUcontext, CUdevice);
        cuDevicePrimaryCtxRelease_v2(CUdevice);
        cuCtxSetCurrent(CUcontext);
        cuMemGetInfo_v2(*mut usize, *mut usize);
        cuMemAlloc_v2(*mut CUdeviceptr, usize);
        cuMemFree_v2(CUdeviceptr);
        cuMemAllocHost_v2(*mut *mut c_void, usize);
        cuMemFreeHost(*mut c_void);
        cuMemcpyHtoDAsync_v2(CUdeviceptr, *const c_void, usize, CUstream);
        cuMemcpyDtoHAsync_v2(*mut c_void, CUdeviceptr, usize, CUstream);
        cuMemcpyDtoDAsync_v2(CUdeviceptr, CUdeviceptr, usize, CUstream);
        cuMemsetD8Async(CUdeviceptr, u8, usize, CUstream);
        cuStreamCreate(*mut CUstream, c_uint);
        cuStreamDestroy_v2(CUstream);
        cuStreamSynchronize(CUstream);
        cuStreamWaitEvent(CUstream, CUevent, c_uint);
        cuStreamBeginCapture_v2(CUstream, CUstreamCaptureMode);
        cuStreamEndCapture(CUstream, *mut CUgraph);
        cuGraphInstantiateWithFlags(*mut CUgraphExec, CUgraph, c_ulonglong);
        cuGraphLaunch(CUgraphExec, CUstream);
        cuGraphExecDestroy(CUgraphExec);
        cuGraphDestroy(CUgraph);
        cuEventCreate(*mut CUevent, c_uint);
        cuEventRecord(CUevent, CUstream);
        cuEventQuery(CUevent);
        cuEventSynchronize(CUevent);
        cuEventDestroy_v2(CUevent);
        cuModuleLoadData(*mut CUmodule, *const c_void);
        cuModuleGetFunction(*mut CUfunction, CUmodule, *const c_char);
        cuModuleUnload(CUmodule);
        cuLaunchKernel(
            CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, CUstream, *mut *mut c_void,
            *mut *mut c_void,
        );
    }
}

/// A text of the driver for one of its answers.
type Text = unsafe extern "C" fn(u32, *mut *const c_char) -> u32;

/// How a kernel's parameters lie; CUDA 12.4 and later have it.
type ParamInfo = unsafe extern "C" fn(CUfunction, usize, *mut usize, *mut usize) -> u32;

/// The driver of this machine's cards.
pub(super) struct Api {
    pub(super) functions: Functions,
    name: Text,
    text: Text,
    pub(super) param_info: Option<ParamInfo>,
    /// Of CUDA, as the driver writes it: 12080 is 12.8.
    version: c_int,
}

/// What is known of a card before it is used.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) architecture: u32,
    pub(super) memory: u64,
    pub(super) processors: u32,
    pub(super) device: CUdevice,
}

impl Api {
    /// Opens the driver's library and asks for its version, which needs no card.
    pub(super) fn open() -> Result<Arc<Self>, CudaError> {
        let library = library::driver()?;
        let functions = Functions::of(library)?;
        // SAFETY: this is the type of both by cuda.h.
        let text = |name| unsafe { library::function::<Text>("libcuda", library, name) };
        let (name, text) = (text("cuGetErrorName")?, text("cuGetErrorString")?);
        // SAFETY: this is its type by cuda.h.
        let info = unsafe { library::function("libcuda", library, "cuFuncGetParamInfo") };
        let mut version = 0;
        // SAFETY: `version` is a C int to write. It may be asked before anything else.
        let answer = unsafe { (functions.cuDriverGetVersion)(&raw mut version) };
        let api = Self { functions, name, text, param_info: info.ok(), version };
        api.check("cuDriverGetVersion", || "this machine".to_owned(), answer)?;
        if version < OLDEST {
            let library = "the driver for CUDA";
            let needed = "12.0 (driver 525)";
            return Err(CudaError::Old { library, found: api.version(), needed });
        }
        Ok(Arc::new(api))
    }

    /// The version of CUDA that it is for, such as `12.8`.
    pub(super) fn version(&self) -> String {
        let (major, minor) = self.version_numbers();
        format!("{major}.{minor}")
    }

    pub(super) fn version_numbers(&self) -> (i32, i32) {
        (self.version / 1000, self.version % 1000 / 10)
    }

    /// Readies it for use, and counts the cards.
    pub(super) fn start(&self) -> Result<usize, CudaError> {
        // SAFETY: it has no demands, and may be called again.
        let answer = unsafe { (self.functions.cuInit)(0) };
        if answer == NO_DEVICE {
            return Err(CudaError::NoCard { reason: self.reason(answer) });
        }
        let place = || "this machine".to_owned();
        self.check("cuInit", place, answer)?;
        let mut count = 0;
        // SAFETY: `count` is a C int to write.
        let answer = unsafe { (self.functions.cuDeviceGetCount)(&raw mut count) };
        self.check("cuDeviceGetCount", place, answer)?;
        match usize::try_from(count) {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(CudaError::NoCard { reason: self.reason(NO_DEVICE) }),
        }
    }

    /// What is known of a card, after [`start`](Self::start).
    pub(super) fn shape(&self, number: usize) -> Result<Shape, CudaError> {
        let place = || format!("card {number}");
        let mut device = 0;
        let ordinal = c_int::try_from(number).unwrap_or(c_int::MAX);
        // SAFETY: `device` is a place to write.
        let answer = unsafe { (self.functions.cuDeviceGet)(&raw mut device, ordinal) };
        self.check("cuDeviceGet", place, answer)?;
        let mut name = [0u8; 256];
        let length = name.len() as c_int;
        let start = name.as_mut_ptr().cast::<c_char>();
        // SAFETY: `name` has room for as many bytes as told.
        let answer = unsafe { (self.functions.cuDeviceGetName)(start, length, device) };
        self.check("cuDeviceGetName", place, answer)?;
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        let mut memory = 0;
        // SAFETY: `memory` is a place to write.
        let answer = unsafe { (self.functions.cuDeviceTotalMem_v2)(&raw mut memory, device) };
        self.check("cuDeviceTotalMem", place, answer)?;
        let attribute = |attribute| {
            let mut value = 0;
            // SAFETY: `value` is a C int to write.
            let answer =
                unsafe { (self.functions.cuDeviceGetAttribute)(&raw mut value, attribute, device) };
            self.check("cuDeviceGetAttribute", place, answer)?;
            Ok(u32::try_from(value).unwrap_or(0))
        };
        let major = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let processors = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        Ok(Shape {
            name: name.to_string_lossy().into_owned(),
            architecture: 10 * major + minor,
            memory: memory as u64,
            processors,
            device,
        })
    }

    pub(super) fn check(
        &self,
        call: &'static str,
        device: impl FnOnce() -> String,
        answer: u32,
    ) -> Result<(), CudaError> {
        if answer == 0 {
            return Ok(());
        }
        Err(CudaError::Call { call, device: device(), reason: self.reason(answer) })
    }

    /// What an answer means, with what to do about it where that is known.
    fn reason(&self, answer: u32) -> String {
        let text = |of: Text| {
            let mut place: *const c_char = ptr::null();
            // SAFETY: `place` is a place to write; an unknown answer is itself answered with an error.
            let known = unsafe { of(answer, &raw mut place) } == 0 && !place.is_null();
            // SAFETY: the driver wrote the place of a text of its own, which ends with a zero and is never freed.
            known.then(|| unsafe { CStr::from_ptr(place) }.to_string_lossy().into_owned())
        };
        let name = text(self.name).unwrap_or_else(|| format!("error {answer}"));
        let said = text(self.text).map_or_else(String::new, |text| format!(" ({text})"));
        let remedy = remedy(answer).map_or_else(String::new, |remedy| format!(": {remedy}"));
        format!("{name}{said}{remedy}")
    }
}

/// What to do about an answer of the driver, by cuda.h's numbers.
fn remedy(answer: u32) -> Option<&'static str> {
    Some(match answer {
        2 => {
            "the GPU has too little memory left; end other programs that use it, or make batches smaller"
        }
        34 => {
            "libcuda is the stub of CUDA's toolkit, not the driver; take its folder out of LD_LIBRARY_PATH"
        }
        46 => {
            "another process holds the GPU for itself (`nvidia-smi` shows which, and the GPU's compute mode)"
        }
        100 | 101 => {
            "`nvidia-smi` shows the GPUs; CUDA_VISIBLE_DEVICES may hide them, and a container must be given them \
             (docker: `--gpus all`)"
        }
        200 | 209 | 218 | 222 | 300 => {
            "the driver does not take code of this NVRTC; install a newer driver, or an NVRTC that is no newer than \
             the driver's CUDA"
        }
        214 | 220 => {
            "the GPU's memory or link had an error that cannot be corrected; the last checkpoint is intact. Restart \
             the machine, and have the GPU examined if it happens again"
        }
        221 => "the driver lacks its compiler (libnvidia-ptxjitcompiler); install the whole driver",
        226 | 700 | 710 | 714..=719 => {
            "nothing can be read back from the GPU any more; the last checkpoint is intact. Continue from it, and \
             please report this"
        }
        702 => {
            "a kernel took too long for a GPU that also drives a screen; the last checkpoint is intact"
        }
        802 => "the machine's switches are not ready; NVIDIA's fabric manager must run",
        803 => {
            "the driver's library and its kernel module are of different versions; restart the machine"
        }
        804 => {
            "CUDA's compatibility package does not work with this GPU; install a newer driver instead"
        }
        999 => {
            "the GPU may have fallen off the bus, or the driver hangs (`nvidia-smi` and `dmesg` show which); the last \
             checkpoint is intact. Restart the machine"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_users_meet_come_with_a_way_out() {
        for (answer, says) in [
            (46, "another process holds the GPU"),
            (100, "CUDA_VISIBLE_DEVICES"),
            (214, "the last checkpoint is intact"),
            (222, "newer driver"),
            (700, "nothing can be read back"),
            (719, "nothing can be read back"),
            (999, "fallen off the bus"),
        ] {
            assert!(remedy(answer).unwrap_or_default().contains(says), "{answer}");
        }
        assert_eq!(remedy(1), None);
    }
}
