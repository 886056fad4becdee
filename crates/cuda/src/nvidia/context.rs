//! The driver's library, a card's context, and what is made in it and given back when it is dropped.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use cudarc::driver::sys::{
    self, CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUevent_flags, CUfunction,
    CUgraph, CUgraphExec, CUmodule, CUstream, CUstream_flags, CUstreamCaptureMode,
};

use super::library::{self, functions};
use crate::driver::Address;
use crate::error::CudaError;

/// The first version of CUDA that a driver must be for, as it says it: that of the functions below.
const OLDEST: c_int = 12_000;

/// Answers that are dealt with.
const OUT_OF_MEMORY: u32 = 2;
const NO_DEVICE: u32 = 100;
const NOT_READY: u32 = 600;

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
    functions: Functions,
    name: Text,
    text: Text,
    param_info: Option<ParamInfo>,
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
    device: CUdevice,
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
            let library = "NVIDIA's driver, for CUDA";
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

    fn check(
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
            "the card has too little memory left; end other programs that use it, or make batches smaller"
        }
        34 => {
            "libcuda is the stub of CUDA's toolkit, not the driver; take its folder out of LD_LIBRARY_PATH"
        }
        46 => {
            "another process holds the card for itself (`nvidia-smi` shows which, and the card's compute mode)"
        }
        100 | 101 => {
            "`nvidia-smi` shows the cards; CUDA_VISIBLE_DEVICES may hide them, and a container must be given them \
             (docker: `--gpus all`)"
        }
        200 | 209 | 218 | 222 | 300 => {
            "the driver does not take code of this NVRTC; install a newer driver, or an NVRTC that is no newer than \
             the driver's CUDA"
        }
        214 | 220 => {
            "the card's memory or link had an error that cannot be corrected; the last checkpoint stands. Restart \
             the machine, and have the card looked at when it comes again"
        }
        221 => "the driver lacks its compiler (libnvidia-ptxjitcompiler); install the whole driver",
        226 | 700 | 710 | 714..=719 => {
            "nothing can be read back from the card any more; the last checkpoint stands. Start again from it, and \
             please report this"
        }
        702 => {
            "a kernel took too long for a card that also shows a screen; the last checkpoint stands"
        }
        802 => "the machine's switches are not ready; NVIDIA's fabric manager must run",
        803 => {
            "the driver's library and its kernel module are of different versions; restart the machine"
        }
        804 => {
            "CUDA's compatibility package does not work with this card; install a newer driver instead"
        }
        999 => {
            "the card may have fallen off the bus, or the driver hangs (`nvidia-smi` and `dmesg` tell); the last \
             checkpoint stands. Restart the machine"
        }
        _ => return None,
    })
}

/// What the driver gave for something of its own. Any thread may use it.
struct Handle<T>(*mut T);

// SAFETY: it is given to the driver alone, which takes calls of all threads.
unsafe impl<T> Send for Handle<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Handle<T> {}

/// The context of a card that all of a process shares: its primary one, in which cuBLASLt works too.
pub(super) struct Context {
    api: Arc<Api>,
    shape: Shape,
    handle: Handle<sys::CUctx_st>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl Context {
    pub(super) fn open(api: &Arc<Api>, shape: &Shape) -> Result<Arc<Self>, CudaError> {
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` is a place to write; the device is one of the driver's.
        let answer =
            unsafe { (api.functions.cuDevicePrimaryCtxRetain)(&raw mut handle, shape.device) };
        api.check("cuDevicePrimaryCtxRetain", || shape.name.clone(), answer)?;
        let (api, shape) = (Arc::clone(api), shape.clone());
        Ok(Arc::new(Self { api, shape, handle: Handle(handle) }))
    }

    /// Makes it the one that the calls of this thread are about. Every call of a card begins with it, since any thread
    /// may use the card.
    pub(super) fn enter(&self) -> Result<(), CudaError> {
        // SAFETY: the context is held until `self` is dropped.
        let answer = unsafe { (self.functions().cuCtxSetCurrent)(self.handle.0) };
        self.check("cuCtxSetCurrent", answer)
    }

    pub(super) fn check(&self, call: &'static str, answer: u32) -> Result<(), CudaError> {
        self.api.check(call, || self.shape.name.clone(), answer)
    }

    /// What the card is called in errors.
    pub(super) fn name(&self) -> &str {
        &self.shape.name
    }

    fn functions(&self) -> &Functions {
        &self.api.functions
    }

    /// Bytes of memory that no process holds.
    pub(super) fn free_memory(&self) -> Result<u64, CudaError> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: both are places to write.
        let answer = unsafe { (self.functions().cuMemGetInfo_v2)(&raw mut free, &raw mut total) };
        self.check("cuMemGetInfo", answer)?;
        Ok(free as u64)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // So that this thread is not left in a context that may be gone. Null is none.
        // SAFETY: null is permitted.
        unsafe { (self.functions().cuCtxSetCurrent)(ptr::null_mut()) };
        // SAFETY: it was retained once, and what was made in it is gone: each holds the context.
        unsafe { (self.functions().cuDevicePrimaryCtxRelease_v2)(self.shape.device) };
    }
}

/// Memory of the card, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Block {
    context: Arc<Context>,
    pub(super) address: Address,
    pub(super) bytes: usize,
}

impl Block {
    /// The driver's blocks begin at multiples of 256 bytes at least.
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, CudaError> {
        let mut address = 0;
        // SAFETY: `address` is a place to write.
        let answer = unsafe { (context.functions().cuMemAlloc_v2)(&raw mut address, bytes) };
        if answer == OUT_OF_MEMORY {
            let free = context.free_memory().ok();
            return Err(CudaError::Memory { wanted: bytes as u64, free });
        }
        context.check("cuMemAlloc", answer)?;
        Ok(Self { context: Arc::clone(context), address, bytes })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: it is a block of this context, and nobody else frees it. Work that uses it is done: whoever
            // drops a block waited for it.
            unsafe { (self.context.functions().cuMemFree_v2)(self.address) };
        }
    }
}

/// Memory of the host that the card reads and writes by itself (page-locked).
#[derive(Debug)]
pub(super) struct Pinned {
    context: Arc<Context>,
    start: Handle<u8>,
    bytes: usize,
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Pinned {
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, CudaError> {
        let mut start = ptr::null_mut();
        // SAFETY: `start` is a place to write.
        let answer = unsafe { (context.functions().cuMemAllocHost_v2)(&raw mut start, bytes) };
        if answer == OUT_OF_MEMORY {
            let (call, device) = ("cuMemAllocHost", context.name().to_owned());
            let reason = format!("this machine has no {bytes} bytes that can be page-locked");
            return Err(CudaError::Call { call, device, reason });
        }
        context.check("cuMemAllocHost", answer)?;
        // Memory for the host to read has defined contents.
        // SAFETY: the driver gave as many bytes, which nobody else knows of.
        unsafe { ptr::write_bytes(start.cast::<u8>(), 0, bytes) };
        Ok(Self { context: Arc::clone(context), start: Handle(start.cast()), bytes })
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Fills the bytes from `at` on with `from`.
    ///
    /// # Panics
    /// Where they are beyond its end.
    ///
    /// # Safety
    /// No copy that the card has not yet done reads them.
    pub(super) unsafe fn fill(&mut self, at: usize, from: &[u8]) {
        assert!(at <= self.bytes && from.len() <= self.bytes - at, "beyond the end of staging");
        // SAFETY: they lie within, and by the caller nobody else reads them; `from` is other memory, since only the
        // driver knows of this.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), self.start.0.add(at), from.len()) };
    }

    /// Its first bytes, as many as `to` has.
    ///
    /// # Panics
    /// Where it has fewer.
    ///
    /// # Safety
    /// No copy that the card has not yet done writes them.
    pub(super) unsafe fn read(&self, to: &mut [u8]) {
        assert!(to.len() <= self.bytes, "beyond the end of staging");
        // SAFETY: they lie within and are initialized, and by the caller nobody else writes them; `to` is other
        // memory, since only the driver knows of this.
        unsafe { ptr::copy_nonoverlapping(self.start.0, to.as_mut_ptr(), to.len()) };
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: it is the driver's, and nobody else frees it. Who drops it waited for copies that use it.
            unsafe { (self.context.functions().cuMemFreeHost)(self.start.0.cast()) };
        }
    }
}

/// A place in a stream's order that others can wait for.
#[derive(Debug)]
pub(super) struct Event {
    context: Arc<Context>,
    handle: Handle<sys::CUevent_st>,
}

impl Event {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        let mut handle = ptr::null_mut();
        let flags = CUevent_flags::CU_EVENT_DISABLE_TIMING as c_uint;
        // SAFETY: `handle` is a place to write.
        let answer = unsafe { (context.functions().cuEventCreate)(&raw mut handle, flags) };
        context.check("cuEventCreate", answer)?;
        Ok(Self { context: Arc::clone(context), handle: Handle(handle) })
    }

    /// Whether the card is past it. An event that was never recorded is past.
    pub(super) fn is_past(&self) -> Result<bool, CudaError> {
        // SAFETY: the event lives.
        match unsafe { (self.context.functions().cuEventQuery)(self.handle.0) } {
            NOT_READY => Ok(false),
            answer => self.context.check("cuEventQuery", answer).map(|()| true),
        }
    }

    /// Waits until the card is past it.
    pub(super) fn wait(&self) -> Result<(), CudaError> {
        // SAFETY: the event lives.
        let answer = unsafe { (self.context.functions().cuEventSynchronize)(self.handle.0) };
        self.context.check("cuEventSynchronize", answer)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: nobody uses it later. Work that waits for it goes on to do so.
            unsafe { (self.context.functions().cuEventDestroy_v2)(self.handle.0) };
        }
    }
}

/// An order of work.
#[derive(Debug)]
pub(super) struct Queue {
    context: Arc<Context>,
    handle: Handle<sys::CUstream_st>,
}

impl Queue {
    /// One that does not wait for the default stream, which nothing here uses.
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        let mut handle = ptr::null_mut();
        let flags = CUstream_flags::CU_STREAM_NON_BLOCKING as c_uint;
        // SAFETY: `handle` is a place to write.
        let answer = unsafe { (context.functions().cuStreamCreate)(&raw mut handle, flags) };
        context.check("cuStreamCreate", answer)?;
        Ok(Self { context: Arc::clone(context), handle: Handle(handle) })
    }

    /// For cuBLASLt, which takes the driver's streams for its own.
    pub(super) fn raw(&self) -> *mut c_void {
        self.handle.0.cast()
    }

    /// Marks the place that has been reached.
    pub(super) fn record(&self, event: &Event) -> Result<(), CudaError> {
        // SAFETY: both live, in one context.
        let answer =
            unsafe { (self.context.functions().cuEventRecord)(event.handle.0, self.handle.0) };
        self.context.check("cuEventRecord", answer)
    }

    /// Lets what comes next wait for an event, as it was recorded last.
    pub(super) fn wait_for(&self, event: &Event) -> Result<(), CudaError> {
        // SAFETY: both live, in one context.
        let answer = unsafe {
            (self.context.functions().cuStreamWaitEvent)(self.handle.0, event.handle.0, 0)
        };
        self.context.check("cuStreamWaitEvent", answer)
    }

    /// Waits until all of it is done.
    pub(super) fn finish(&self) -> Result<(), CudaError> {
        // SAFETY: the stream lives.
        let answer = unsafe { (self.context.functions().cuStreamSynchronize)(self.handle.0) };
        self.context.check("cuStreamSynchronize", answer)
    }

    /// Copies bytes of page-locked memory to the card.
    ///
    /// # Safety
    /// They are not changed before the card is past this.
    pub(super) unsafe fn upload(
        &self,
        from: &Pinned,
        at: usize,
        bytes: usize,
        to: Address,
    ) -> Result<(), CudaError> {
        assert!(at <= from.bytes && bytes <= from.bytes - at, "beyond the end of staging");
        // SAFETY: they lie within `from`, and by the caller stay. `to` is an address of the card, where a wrong one
        // is the card's error.
        let answer = unsafe {
            let start = from.start.0.add(at).cast();
            (self.context.functions().cuMemcpyHtoDAsync_v2)(to, start, bytes, self.handle.0)
        };
        self.context.check("cuMemcpyHtoDAsync", answer)
    }

    /// Copies bytes of the card to the start of page-locked memory.
    ///
    /// # Safety
    /// Nobody reads or frees it before the card is past this.
    pub(super) unsafe fn download(
        &self,
        from: Address,
        bytes: usize,
        to: &mut Pinned,
    ) -> Result<(), CudaError> {
        assert!(bytes <= to.bytes, "beyond the end of staging");
        // SAFETY: they lie within `to`, which by the caller nobody uses; `from` as above.
        let answer = unsafe {
            let start = to.start.0.cast();
            (self.context.functions().cuMemcpyDtoHAsync_v2)(start, from, bytes, self.handle.0)
        };
        self.context.check("cuMemcpyDtoHAsync", answer)
    }

    /// Copies bytes of blocks of the card.
    ///
    /// # Safety
    /// Both places lie within blocks of this context.
    pub(super) unsafe fn copy(
        &self,
        from: Address,
        to: Address,
        bytes: usize,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's.
        let answer = unsafe {
            (self.context.functions().cuMemcpyDtoDAsync_v2)(to, from, bytes, self.handle.0)
        };
        self.context.check("cuMemcpyDtoDAsync", answer)
    }

    /// Sets bytes of a block of the card to 0.
    ///
    /// # Safety
    /// They lie within a block of this context.
    pub(super) unsafe fn clear(&self, at: Address, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller's.
        let answer =
            unsafe { (self.context.functions().cuMemsetD8Async)(at, 0, bytes, self.handle.0) };
        self.context.check("cuMemsetD8Async", answer)
    }

    /// Hands a kernel over.
    ///
    /// # Safety
    /// `values` are what the kernel takes, in number and size; addresses among them lie within blocks of this context,
    /// as far as the kernel reaches.
    pub(super) unsafe fn launch(
        &self,
        kernel: &Kernel,
        grid: [u32; 3],
        block: [u32; 3],
        values: &mut [u64],
    ) -> Result<(), CudaError> {
        let mut places: Vec<*mut c_void> =
            values.iter_mut().map(|value| ptr::from_mut(value).cast()).collect();
        // SAFETY: the function belongs to a module that lives, and the stream to the same context. The driver reads
        // as many places as the kernel has parameters, and of each as many bytes as that has, at most 8: by the
        // caller there are as many. It copies them before it returns.
        let answer = unsafe {
            (self.context.functions().cuLaunchKernel)(
                kernel.function.0,
                grid[0],
                grid[1],
                grid[2],
                block[0],
                block[1],
                block[2],
                0,
                self.handle.0,
                places.as_mut_ptr(),
                ptr::null_mut(),
            )
        };
        self.context.check("cuLaunchKernel", answer)
    }

    /// Records what `work` hands over to this stream, which is not done now.
    ///
    /// Nobody else may use the stream meanwhile. Only calls of this thread that could wait for the card are forbidden
    /// (thread-local mode): other threads may allocate.
    pub(super) fn capture(
        &self,
        work: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<Recorded, CudaError> {
        let of = self.context.functions();
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives.
        let answer = unsafe { (of.cuStreamBeginCapture_v2)(self.handle.0, mode) };
        self.context.check("cuStreamBeginCapture", answer)?;
        let done = work();
        let mut graph = ptr::null_mut();
        // In any case: the stream must leave the mode.
        // SAFETY: the stream lives and is capturing, begun by this thread; `graph` is a place to write.
        let answer = unsafe { (of.cuStreamEndCapture)(self.handle.0, &raw mut graph) };
        let ended = self.context.check("cuStreamEndCapture", answer);
        let made = done.and(ended).and_then(|()| {
            let mut handle = ptr::null_mut();
            // SAFETY: the graph is whole; `handle` is a place to write.
            let answer = unsafe { (of.cuGraphInstantiateWithFlags)(&raw mut handle, graph, 0) };
            self.context.check("cuGraphInstantiate", answer)?;
            Ok(Recorded { context: Arc::clone(&self.context), handle: Handle(handle) })
        });
        if !graph.is_null() {
            // SAFETY: nobody uses it later; what was made of it does not need it.
            unsafe { (of.cuGraphDestroy)(graph) };
        }
        made
    }

    /// Does recorded work.
    pub(super) fn replay(&self, recorded: &Recorded) -> Result<(), CudaError> {
        // SAFETY: both live, in one context.
        let answer =
            unsafe { (self.context.functions().cuGraphLaunch)(recorded.handle.0, self.handle.0) };
        self.context.check("cuGraphLaunch", answer)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: nobody uses it later. The driver does what was handed over first.
            unsafe { (self.context.functions().cuStreamDestroy_v2)(self.handle.0) };
        }
    }
}

/// Recorded work, ready to be done.
#[derive(Debug)]
pub(super) struct Recorded {
    context: Arc<Context>,
    handle: Handle<sys::CUgraphExec_st>,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: nobody uses it later. One that is being done is freed once it is.
            unsafe { (self.context.functions().cuGraphExecDestroy)(self.handle.0) };
        }
    }
}

/// Code on the card.
#[derive(Debug)]
pub(super) struct Module {
    context: Arc<Context>,
    handle: Handle<sys::CUmod_st>,
}

/// A kernel, as long as its module lives.
#[derive(Debug)]
pub(super) struct Kernel {
    function: Handle<sys::CUfunc_st>,
    /// The bytes of its parameters, where the driver can tell.
    pub(super) sizes: Option<Vec<usize>>,
}

impl Module {
    /// `code` is an ELF image or text that ends with a zero.
    pub(super) fn load(context: &Arc<Context>, code: &[u8]) -> Result<Self, CudaError> {
        if !code.starts_with(b"\x7fELF") && code.last() != Some(&0) {
            let reason = "this is neither code nor assembly".to_owned();
            return Err(CudaError::Work { what: "cuModuleLoadData".to_owned(), reason });
        }
        let mut handle = ptr::null_mut();
        let start = code.as_ptr().cast();
        // SAFETY: an ELF image tells its own length, and text ends with a zero; what NVRTC made, or a cache that was
        // compared with its checksum, is whole. The driver copies it.
        let answer = unsafe { (context.functions().cuModuleLoadData)(&raw mut handle, start) };
        context.check("cuModuleLoadData", answer)?;
        Ok(Self { context: Arc::clone(context), handle: Handle(handle) })
    }

    /// The kernel that its code calls so. This also brings it onto the card, where the driver is lazy.
    pub(super) fn kernel(&self, name: &CStr) -> Result<Kernel, CudaError> {
        let mut function = ptr::null_mut();
        // SAFETY: the module lives; `name` ends with a zero, and `function` is a place to write.
        let answer = unsafe {
            (self.context.functions().cuModuleGetFunction)(
                &raw mut function,
                self.handle.0,
                name.as_ptr(),
            )
        };
        self.context.check("cuModuleGetFunction", answer)?;
        Ok(Kernel { function: Handle(function), sizes: self.sizes(function) })
    }

    fn sizes(&self, function: CUfunction) -> Option<Vec<usize>> {
        let info = self.context.api.param_info?;
        let mut sizes = Vec::new();
        loop {
            let (mut offset, mut size) = (0, 0);
            // SAFETY: the function's module lives; both are places to write. Beyond the last parameter it answers
            // with an error.
            let answer = unsafe { info(function, sizes.len(), &raw mut offset, &raw mut size) };
            match answer {
                0 => sizes.push(size),
                _ => return Some(sizes),
            }
        }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: its kernels are not launched any more: they are kept beside it.
            unsafe { (self.context.functions().cuModuleUnload)(self.handle.0) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_users_meet_come_with_a_way_out() {
        for (answer, says) in [
            (46, "another process holds the card"),
            (100, "CUDA_VISIBLE_DEVICES"),
            (214, "the last checkpoint stands"),
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
