//! A card's context, and what is made in it and given back when it is dropped.

use std::ffi::{CStr, c_uint, c_void};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use cudarc::driver::sys::{self, CUevent_flags, CUfunction, CUstream_flags, CUstreamCaptureMode};

use super::api::{Api, Functions, NOT_READY, OUT_OF_MEMORY, Shape};
use crate::driver::Address;
use crate::error::CudaError;

/// What the driver gave for something of its own. Any thread may use it.
struct Handle<T>(*mut T);

// SAFETY: it is given to the driver alone, which takes calls of all threads.
unsafe impl<T> Send for Handle<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Handle<T> {}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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
    /// Past it, all copies beside the work have gone there that were sent since it was taken.
    pub(super) sent: Option<Event>,
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
        Ok(Self { context: Arc::clone(context), address, bytes, sent: None })
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

    /// Refuses bytes beyond its end.
    fn has(&self, at: usize, bytes: usize) -> Result<(), CudaError> {
        if at <= self.bytes && bytes <= self.bytes - at {
            return Ok(());
        }
        let reason = format!("bytes {at} to {at} + {bytes} of {}", self.bytes);
        Err(CudaError::Work { what: "page-locked memory".to_owned(), reason })
    }

    /// Fills the bytes from `at` on with `from`.
    ///
    /// # Errors
    /// Where they are beyond its end.
    ///
    /// # Safety
    /// No copy that the card has not yet done reads them.
    pub(super) unsafe fn fill(&mut self, at: usize, from: &[u8]) -> Result<(), CudaError> {
        self.has(at, from.len())?;
        // SAFETY: they lie within, and by the caller nobody else reads them; `from` is other memory, since only the
        // driver knows of this.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), self.start.0.add(at), from.len()) };
        Ok(())
    }

    /// Its first bytes, as many as `to` has.
    ///
    /// # Errors
    /// Where it has fewer.
    ///
    /// # Safety
    /// No copy that the card has not yet done writes them.
    pub(super) unsafe fn read(&self, to: &mut [u8]) -> Result<(), CudaError> {
        self.has(0, to.len())?;
        // SAFETY: they lie within and are initialized, and by the caller nobody else writes them; `to` is other
        // memory, since only the driver knows of this.
        unsafe { ptr::copy_nonoverlapping(self.start.0, to.as_mut_ptr(), to.len()) };
        Ok(())
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
        from.has(at, bytes)?;
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
        to.has(0, bytes)?;
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
