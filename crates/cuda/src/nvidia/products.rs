//! Products of matrices, by cuBLASLt.
//!
//! # Rows and columns
//! cuBLASLt's matrices are column-major, ours row-major. The same memory read the other way is the transposed matrix,
//! and `out = a · b` is `outᵀ = bᵀ · aᵀ`: so its first operand is our `b`, its second our `a`, and neither is moved.
//! Memory of `b [depth, columns]` is, column-major, `bᵀ [columns, depth]`, as it is wanted; where `b` is turned, it is
//! `[depth, columns]`, which cuBLASLt transposes. `a` likewise ([`Layouts::new`]).
//!
//! # Bias
//! A bias has one value for each row of cuBLASLt's result, which is our column: its epilogue does that. It wants the
//! bias in the element of the result (cublasLt.h, `CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE`: a float32 bias on a bfloat16
//! result is not among what it permits). There the bias is rounded by a kernel before, as mixed-precision training
//! does everywhere. Adding a float32 bias afterwards would round the result twice, which is no more exact, and would
//! read and write all of it again, where these products are bound by memory.
//!
//! # The same bits again
//! The algorithm comes from cuBLASLt's heuristic, asked once for a shape, unless it was chosen before ([`Choice`]).
//! Where it splits the depth, parts are kept and
//! summed in float32, in a fixed order. There is one workspace and one stream.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_int, c_void};
use std::fmt;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use cudarc::cublaslt::sys::{
    self, cublasComputeType_t, cublasLtEpilogue_t, cublasLtHandle_t, cublasLtMatmulAlgo_t,
    cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, cublasLtMatmulHeuristicResult_t,
    cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, cublasLtMatrixLayout_t,
    cublasLtReductionScheme_t, cudaDataType_t, cudaStream_t,
};

use super::context::{Block, Context, Queue};
use super::library::{self, Wanted, functions};
use super::modules::Modules;
use crate::driver::{Address, Choice, GivenProduct};
use crate::error::CudaError;
use crate::work::Element;

const CUBLASLT: Wanted = Wanted {
    library: "libcublasLt",
    stem: "cublasLt",
    wheel: "nvidia-cublas",
    older: "nvidia-cublas-cu12",
};

/// What NVIDIA advises for Hopper; older cards want less.
const WORKSPACE: usize = 32 << 20;

/// For biases on their way: the widest layer has some thousands of values.
const BIAS: usize = 1 << 20;

/// A bias must begin at a multiple of so many bytes: its kernels load as much at once, and no preference tells them
/// otherwise.
const BIAS_ALIGNMENT: u64 = 16;

/// `cublasOperation_t`, which cudarc has in another module.
const AS_IT_IS: u32 = 0;
const TRANSPOSED: u32 = 1;

functions! {
    /// cuBLASLt's functions.
    struct Functions of "libcublasLt" by sys::cublasStatus_t {
        cublasLtCreate(*mut cublasLtHandle_t);
        cublasLtDestroy(cublasLtHandle_t);
        cublasLtMatmul(
            cublasLtHandle_t, cublasLtMatmulDesc_t, *const c_void, *const c_void, cublasLtMatrixLayout_t,
            *const c_void, cublasLtMatrixLayout_t, *const c_void, *const c_void, cublasLtMatrixLayout_t,
            *mut c_void, cublasLtMatrixLayout_t, *const cublasLtMatmulAlgo_t, *mut c_void, usize, cudaStream_t,
        );
        cublasLtMatmulAlgoGetHeuristic(
            cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
            cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, c_int,
            *mut cublasLtMatmulHeuristicResult_t, *mut c_int,
        );
        cublasLtMatmulAlgoCheck(
            cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
            cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, *const cublasLtMatmulAlgo_t,
            *mut cublasLtMatmulHeuristicResult_t,
        );
        cublasLtMatmulDescCreate(*mut cublasLtMatmulDesc_t, cublasComputeType_t, cudaDataType_t);
        cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t);
        cublasLtMatmulDescSetAttribute(
            cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, *const c_void, usize,
        );
        cublasLtMatmulPreferenceCreate(*mut cublasLtMatmulPreference_t);
        cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t);
        cublasLtMatmulPreferenceSetAttribute(
            cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, *const c_void, usize,
        );
        cublasLtMatrixLayoutCreate(*mut cublasLtMatrixLayout_t, cudaDataType_t, u64, u64, i64);
        cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t);
    }
}

/// The library, before a card is there.
pub(super) struct Library {
    functions: Arc<Functions>,
    /// Its own version.
    version: usize,
    /// That of CUDA for which it was made: 13050 is 13.5.
    cuda: usize,
    /// For what tests alone ask.
    #[cfg(test)]
    opened: &'static libloading::Library,
}

impl Library {
    pub(super) fn open(folders: Option<&Path>) -> Result<Self, CudaError> {
        let library = library::open(CUBLASLT, folders)?;
        let functions = Arc::new(Functions::of(library)?);
        let number = |name| {
            // SAFETY: this is the type of both by cublasLt.h.
            let found = unsafe {
                library::function::<unsafe extern "C" fn() -> usize>(
                    CUBLASLT.library,
                    library,
                    name,
                )
            };
            // SAFETY: they have no demands.
            found.map(|function| unsafe { function() })
        };
        let (version, cuda) = (number("cublasLtGetVersion")?, number("cublasLtGetCudartVersion")?);
        let opened = Self {
            functions,
            version,
            cuda,
            #[cfg(test)]
            opened: library,
        };
        if cuda < 12_000 {
            let (library, found) = (CUBLASLT.library, opened.version());
            return Err(CudaError::Old { library, found, needed: "12.0" });
        }
        Ok(opened)
    }

    /// Its version, such as `12.8.4`.
    pub(super) fn version(&self) -> String {
        let of = self.version;
        format!("{}.{}.{}", of / 10_000, of / 100 % 100, of % 100)
    }

    /// Refuses a driver of an older CUDA.
    pub(super) fn check_driver(&self, driver: (i32, i32)) -> Result<(), CudaError> {
        let [major, minor] = [self.cuda / 1000, self.cuda % 1000 / 10]
            .map(|part| i32::try_from(part).unwrap_or(i32::MAX));
        library::check_driver(CUBLASLT, (major, minor), driver)
    }
}

/// A matrix as cuBLASLt sees it: column-major, and whether it transposes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    rows: usize,
    columns: usize,
    /// From a column to the next, in values.
    leading: usize,
    transposed: bool,
}

/// The three matrices of a product as cuBLASLt sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layouts {
    first: Layout,
    second: Layout,
    out: Layout,
}

impl Layouts {
    /// For `out [rows, columns] = a [rows, depth] · b [depth, columns]`, row-major, each factor turned or not.
    fn new([rows, columns, depth]: [usize; 3], a_turned: bool, b_turned: bool) -> Self {
        // Memory of [r, c], row-major, is [c, r], column-major, c values from a column to the next.
        let seen =
            |[r, c]: [usize; 2], transposed| Layout { rows: c, columns: r, leading: c, transposed };
        let in_memory = |[r, c]: [usize; 2], turned: bool| if turned { [c, r] } else { [r, c] };
        Self {
            first: seen(in_memory([depth, columns], b_turned), b_turned),
            second: seen(in_memory([rows, depth], a_turned), a_turned),
            out: seen([rows, columns], false),
        }
    }
}

/// All that an algorithm depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// Rows, columns, depth.
    sizes: [usize; 3],
    turned: [bool; 2],
    factors: Element,
    out: Element,
    bias: bool,
    adds: bool,
    /// The powers of two, up to 256, of which the addresses of `a`, `b` and `out` are multiples.
    alignment: [u32; 3],
}

impl Key {
    fn of(product: &GivenProduct) -> Self {
        Self {
            sizes: [product.rows, product.columns, product.depth],
            turned: [product.a.turned, product.b.turned],
            factors: product.a.element,
            out: product.out.element,
            bias: product.bias.is_some(),
            adds: product.adds,
            alignment: [product.a.at, product.b.at, product.out.at].map(alignment),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sizes: [rows, columns, depth], turned, factors, out, .. } = self;
        let [a, b] = turned.map(|turned| if turned { "t" } else { "n" });
        write!(f, "{rows}x{columns}x{depth} {a}{b} {factors:?} {out:?}")?;
        write!(f, "{}", if self.bias { " bias" } else { "" })?;
        write!(f, "{}", if self.adds { " adds" } else { "" })?;
        let [a, b, out] = self.alignment;
        write!(f, " {a},{b},{out}")
    }
}

fn alignment(address: Address) -> u32 {
    1 << address.trailing_zeros().min(8)
}

/// For errors: the product in words.
fn described(product: &GivenProduct) -> String {
    let GivenProduct { rows, columns, depth, a, b, bias, out, adds } = product;
    let turned = |turned| if turned { " turned" } else { "" };
    format!(
        "the product {:?} [{rows}, {columns}] = {:?} [{rows}, {depth}]{} · {:?} [{depth}, {columns}]{}{}{}",
        out.element,
        a.element,
        turned(a.turned),
        b.element,
        turned(b.turned),
        if bias.is_some() { " + bias" } else { "" },
        if *adds { ", added" } else { "" },
    )
}

fn kind(element: Element) -> Option<cudaDataType_t> {
    match element {
        Element::F32 => Some(cudaDataType_t::CUDA_R_32F),
        Element::Bf16 => Some(cudaDataType_t::CUDA_R_16BF),
        _ => None,
    }
}

/// What cuBLASLt's answers mean, by cublas_api.h.
fn reason(status: u32) -> String {
    let name = match status {
        1 => "CUBLAS_STATUS_NOT_INITIALIZED (is the card's memory full, or the driver too old?)",
        3 => "CUBLAS_STATUS_ALLOC_FAILED (the card's or the machine's memory is full)",
        7 => "CUBLAS_STATUS_INVALID_VALUE",
        8 => {
            "CUBLAS_STATUS_ARCH_MISMATCH (the card cannot do this, such as bfloat16 before Ampere)"
        }
        11 => "CUBLAS_STATUS_MAPPING_ERROR",
        13 => "CUBLAS_STATUS_EXECUTION_FAILED (earlier work on the card may have failed)",
        14 => "CUBLAS_STATUS_INTERNAL_ERROR",
        15 => "CUBLAS_STATUS_NOT_SUPPORTED",
        16 => "CUBLAS_STATUS_LICENSE_ERROR",
        _ => return format!("error {status}"),
    };
    name.to_owned()
}

/// Something of cuBLASLt's, given back when it is dropped.
struct Owned<T> {
    functions: Arc<Functions>,
    handle: *mut T,
    destroy: fn(&Functions) -> unsafe extern "C" fn(*mut T) -> u32,
}

// SAFETY: it is given to cuBLASLt alone, from one thread at a time, whichever that is: it is not bound to one.
unsafe impl<T> Send for Owned<T> {}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: it was made by this library, and nobody uses it later.
        unsafe { (self.destroy)(&self.functions)(self.handle) };
    }
}

type Description = Owned<sys::cublasLtMatmulDescOpaque_t>;
type Matrix = Owned<sys::cublasLtMatrixLayoutOpaque_t>;

/// A product of some shape, as cuBLASLt is told of it.
struct Described {
    description: Description,
    first: Matrix,
    second: Matrix,
    out: Matrix,
}

/// How it is done.
struct Plan {
    described: Described,
    algorithm: cublasLtMatmulAlgo_t,
    workspace: usize,
}

/// Makes what describes a product to cuBLASLt, for which no card is needed.
struct Makes {
    functions: Arc<Functions>,
    /// As errors call the card.
    device: String,
}

impl Makes {
    fn check(
        &self,
        call: &'static str,
        product: &GivenProduct,
        status: u32,
    ) -> Result<(), CudaError> {
        if status == 0 {
            return Ok(());
        }
        let reason = format!("{}: {}", described(product), reason(status));
        Err(CudaError::Call { call, device: self.device.clone(), reason })
    }

    fn description(
        &self,
        product: &GivenProduct,
        layouts: &Layouts,
        bias: Address,
    ) -> Result<Description, CudaError> {
        use cublasLtMatmulDescAttributes_t as Attribute;
        let mut handle = ptr::null_mut();
        // Plain float32: only the modes called "fast" would use less, and none is asked for.
        let compute = cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let scale = cudaDataType_t::CUDA_R_32F;
        // SAFETY: `handle` is a place to write.
        let status =
            unsafe { (self.functions.cublasLtMatmulDescCreate)(&raw mut handle, compute, scale) };
        self.check("cublasLtMatmulDescCreate", product, status)?;
        let functions = Arc::clone(&self.functions);
        let made = Owned { functions, handle, destroy: |of| of.cublasLtMatmulDescDestroy };
        let operation = |layout: Layout| match layout.transposed {
            true => TRANSPOSED,
            false => AS_IT_IS,
        };
        let epilogue = match product.bias {
            Some(_) => cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as u32,
            None => cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT as u32,
        };
        for (attribute, value) in [
            (Attribute::CUBLASLT_MATMUL_DESC_TRANSA, operation(layouts.first)),
            (Attribute::CUBLASLT_MATMUL_DESC_TRANSB, operation(layouts.second)),
            (Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue),
        ] {
            self.describe(&made, product, attribute, value)?;
        }
        if product.bias.is_some() {
            self.describe(&made, product, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias)?;
        }
        Ok(made)
    }

    fn describe<T: Copy>(
        &self,
        description: &Description,
        product: &GivenProduct,
        attribute: cublasLtMatmulDescAttributes_t,
        value: T,
    ) -> Result<(), CudaError> {
        let (place, size) = ((&raw const value).cast(), size_of::<T>());
        // SAFETY: the description lives; `place` has as many bytes as told, which are copied, and the library compares
        // their number with the attribute's.
        let status = unsafe {
            let of = &self.functions;
            (of.cublasLtMatmulDescSetAttribute)(description.handle, attribute, place, size)
        };
        self.check("cublasLtMatmulDescSetAttribute", product, status)
    }

    fn matrix(
        &self,
        product: &GivenProduct,
        kind: cudaDataType_t,
        layout: Layout,
    ) -> Result<Matrix, CudaError> {
        let mut handle = ptr::null_mut();
        let [rows, columns] = [layout.rows, layout.columns].map(|size| size as u64);
        // SAFETY: `handle` is a place to write.
        let status = unsafe {
            let leading = layout.leading as i64;
            let of = &self.functions;
            (of.cublasLtMatrixLayoutCreate)(&raw mut handle, kind, rows, columns, leading)
        };
        self.check("cublasLtMatrixLayoutCreate", product, status)?;
        let functions = Arc::clone(&self.functions);
        Ok(Owned { functions, handle, destroy: |of| of.cublasLtMatrixLayoutDestroy })
    }

    fn preference(
        &self,
        product: &GivenProduct,
        key: Key,
    ) -> Result<Owned<sys::cublasLtMatmulPreferenceOpaque_t>, CudaError> {
        use cublasLtMatmulPreferenceAttributes_t as Attribute;
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` is a place to write.
        let status = unsafe { (self.functions.cublasLtMatmulPreferenceCreate)(&raw mut handle) };
        self.check("cublasLtMatmulPreferenceCreate", product, status)?;
        let functions = Arc::clone(&self.functions);
        let made = Owned { functions, handle, destroy: |of| of.cublasLtMatmulPreferenceDestroy };
        let [a, b, out] = key.alignment;
        // No splitting of the depth, or parts in float32.
        let reduction = cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        let workspace = WORKSPACE as u64;
        let numbers = [
            (Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &raw const reduction),
            // Its first operand is our second.
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &raw const b),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &raw const a),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &raw const out),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &raw const out),
        ]
        .map(|(attribute, place)| (attribute, place.cast::<c_void>(), size_of::<u32>()));
        let most = (
            Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            (&raw const workspace).cast::<c_void>(),
            size_of::<u64>(),
        );
        for (attribute, place, size) in numbers.into_iter().chain([most]) {
            // SAFETY: the preference lives; `place` has as many bytes as told, which are copied.
            let status = unsafe {
                let of = &self.functions;
                (of.cublasLtMatmulPreferenceSetAttribute)(made.handle, attribute, place, size)
            };
            self.check("cublasLtMatmulPreferenceSetAttribute", product, status)?;
        }
        Ok(made)
    }
}

/// The products of a card.
pub(super) struct Products {
    plans: HashMap<Key, Plan>,
    /// By the words of a key: what is to be used before the heuristic is asked.
    chosen: HashMap<String, cublasLtMatmulAlgo_t>,
    handle: Owned<sys::cublasLtContext>,
    makes: Makes,
    workspace: Block,
    bias: Block,
}

impl fmt::Debug for Products {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Products").field("plans", &self.plans.len()).finish_non_exhaustive()
    }
}

impl Products {
    /// Makes what all products need. The context is the thread's.
    pub(super) fn new(library: &Library, context: &Arc<Context>) -> Result<Self, CudaError> {
        let functions = Arc::clone(&library.functions);
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` is a place to write; the thread has a context.
        let status = unsafe { (functions.cublasLtCreate)(&raw mut handle) };
        let call = "cublasLtCreate";
        if status != 0 {
            let (device, reason) = (context.name().to_owned(), reason(status));
            return Err(CudaError::Call { call, device, reason });
        }
        Ok(Self {
            plans: HashMap::new(),
            chosen: HashMap::new(),
            handle: Owned {
                functions: Arc::clone(&functions),
                handle,
                destroy: |of| of.cublasLtDestroy,
            },
            makes: Makes { functions, device: context.name().to_owned() },
            workspace: Block::new(context, WORKSPACE)?,
            bias: Block::new(context, BIAS)?,
        })
    }

    /// Finds out how a product is done, where that is not known: before work is recorded.
    pub(super) fn prepare(&mut self, product: &GivenProduct) -> Result<(), CudaError> {
        let key = Key::of(product);
        if !is_empty(product) && !self.plans.contains_key(&key) {
            let plan = self.plan(product, key)?;
            self.plans.insert(key, plan);
        }
        Ok(())
    }

    fn plan(&self, product: &GivenProduct, key: Key) -> Result<Plan, CudaError> {
        let wrong = |reason: &str| {
            Err(CudaError::Work { what: described(product), reason: reason.to_owned() })
        };
        let (Some(factors), Some(out)) = (kind(key.factors), kind(key.out)) else {
            return wrong("values are float32 or bfloat16");
        };
        if product.b.element != key.factors || product.out.turned || product.depth == 0 {
            return wrong(
                "its factors are of one element, its depth is not 0, its result not turned",
            );
        }
        if product.columns.saturating_mul(key.out.bytes()) > BIAS && key.bias {
            return wrong("its bias is longer than any layer is wide");
        }
        let layouts = Layouts::new(key.sizes, key.turned[0], key.turned[1]);
        let description = self.makes.description(product, &layouts, self.bias_address(product))?;
        let first = self.makes.matrix(product, factors, layouts.first)?;
        let second = self.makes.matrix(product, factors, layouts.second)?;
        let out = self.makes.matrix(product, out, layouts.out)?;
        let described = Described { description, first, second, out };
        let chosen = self.chosen.get(&key.to_string());
        let found = match chosen.and_then(|algorithm| self.checked(&described, algorithm)) {
            Some(found) => Some(found),
            None => self.asked(product, key, &described)?,
        };
        let Some(Found { algorithm, workspace, .. }) = found else {
            return wrong(
                "cuBLASLt has no algorithm for it on this card (bfloat16 needs compute capability 8.0)",
            );
        };
        Ok(Plan { described, algorithm, workspace })
    }

    /// An algorithm with what it needs, where it can do this product.
    fn checked(&self, product: &Described, algorithm: &cublasLtMatmulAlgo_t) -> Option<Found> {
        let Described { description, first, second, out } = product;
        let mut found = NOTHING;
        // SAFETY: all of them live; `found` is a place to write, of the size that the library writes. Whether the
        // algorithm means anything is what it is asked.
        let status = unsafe {
            (self.makes.functions.cublasLtMatmulAlgoCheck)(
                self.handle.handle,
                description.handle,
                first.handle,
                second.handle,
                out.handle,
                out.handle,
                algorithm,
                (&raw mut found).cast(),
            )
        };
        let good = status == 0 && found.state == 0 && found.workspace <= WORKSPACE;
        good.then_some(Found { algorithm: *algorithm, ..found })
    }

    /// What the heuristic says, if it knows any.
    fn asked(
        &self,
        product: &GivenProduct,
        key: Key,
        Described { description, first, second, out }: &Described,
    ) -> Result<Option<Found>, CudaError> {
        let preference = self.makes.preference(product, key)?;
        let mut found = [NOTHING; 4];
        let mut count = 0;
        // SAFETY: all of them live; `found` has room for as many as told, `count` is a C int to write.
        let status = unsafe {
            (self.makes.functions.cublasLtMatmulAlgoGetHeuristic)(
                self.handle.handle,
                description.handle,
                first.handle,
                second.handle,
                out.handle,
                out.handle,
                preference.handle,
                found.len() as c_int,
                found.as_mut_ptr().cast(),
                &raw mut count,
            )
        };
        self.makes.check("cublasLtMatmulAlgoGetHeuristic", product, status)?;
        // The best comes first.
        let found = found.iter().take(usize::try_from(count).unwrap_or(0));
        let mut good = found.filter(|found| found.state == 0 && found.workspace <= WORKSPACE);
        Ok(good.next().copied())
    }

    /// How products are done that were met or chosen so far, in the order of their words.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let chosen = self.chosen.iter().map(|(product, algorithm)| (product.clone(), *algorithm));
        let met = self.plans.iter().map(|(key, plan)| (key.to_string(), plan.algorithm));
        // What was met counts: a choice that meant nothing was passed over.
        let all: BTreeMap<_, _> = chosen.chain(met).collect();
        let bytes = |of: cublasLtMatmulAlgo_t| of.data.map(u64::to_le_bytes).concat();
        all.into_iter().map(|(product, of)| Choice { product, how: bytes(of) }).collect()
    }

    /// Uses these algorithms for products of which none was done yet.
    pub(super) fn choose(&mut self, choices: &[Choice]) {
        for Choice { product, how } in choices {
            let (words, rest) = how.as_chunks::<8>();
            let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
            if let (Ok(data), []) = (words.try_into(), rest) {
                self.chosen.insert(product.clone(), cublasLtMatmulAlgo_t { data });
            }
        }
    }

    /// Where cuBLASLt finds a product's bias: where it is, unless it has another element or alignment.
    fn bias_address(&self, product: &GivenProduct) -> Address {
        match product.bias {
            Some(at) if product.out.element == Element::F32 && at % BIAS_ALIGNMENT == 0 => at,
            _ => self.bias.address,
        }
    }

    /// Hands a product over.
    ///
    /// # Safety
    /// Its addresses lie within blocks of the context, with as many values as its sizes say.
    pub(super) unsafe fn run(
        &mut self,
        product: &GivenProduct,
        queue: &Queue,
        modules: &Modules,
    ) -> Result<(), CudaError> {
        if is_empty(product) {
            return Ok(());
        }
        self.prepare(product)?;
        let Some(plan) = self.plans.get(&Key::of(product)) else { return Ok(()) };
        if let Some(from) = product.bias {
            let to = self.bias_address(product);
            if product.out.element == Element::Bf16 {
                // SAFETY: the caller's, and the plan compared its length with the room that there is.
                unsafe { round_bias(queue, modules, from, to, product.columns) }?;
            } else if to != from {
                // SAFETY: as above.
                unsafe { queue.copy(from, to, product.columns * size_of::<f32>()) }?;
            }
            let attribute = cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
            self.makes.describe(&plan.described.description, product, attribute, to)?;
        }
        let alpha = 1.0f32;
        let beta = if product.adds { 1.0f32 } else { 0.0 };
        let (out, told) = (product.out.at as *mut c_void, &plan.described);
        // SAFETY: all that the plan has lives and fits each other; the factors' places are the caller's; workspace and
        // algorithm are those that the heuristic was asked about. The numbers are of the scale's type, and are read
        // before this returns (the pointer mode is the host's by default).
        let status = unsafe {
            (self.makes.functions.cublasLtMatmul)(
                self.handle.handle,
                told.description.handle,
                (&raw const alpha).cast(),
                product.b.at as *const c_void,
                told.first.handle,
                product.a.at as *const c_void,
                told.second.handle,
                (&raw const beta).cast(),
                out,
                told.out.handle,
                out,
                told.out.handle,
                &raw const plan.algorithm,
                self.workspace.address as *mut c_void,
                plan.workspace,
                queue.raw().cast(),
            )
        };
        self.makes.check("cublasLtMatmul", product, status)
    }
}

/// Whether there is nothing to compute.
fn is_empty(product: &GivenProduct) -> bool {
    product.rows == 0 || product.columns == 0
}

/// Rounds a bias to bfloat16.
///
/// # Safety
/// Both places lie within blocks of the context, with so many values.
unsafe fn round_bias(
    queue: &Queue,
    modules: &Modules,
    from: Address,
    to: Address,
    count: usize,
) -> Result<(), CudaError> {
    const THREADS: u32 = 256;
    // (x, out, rows, columns, values): one column, which has nothing to turn.
    let mut values = [from, to, count as u64, 1, count as u64];
    let blocks = u32::try_from(count.div_ceil(THREADS as usize)).unwrap_or(u32::MAX);
    let kernel = modules.kernel("transposed<float, bf16>")?;
    // SAFETY: these are its parameters (windows.cu), and the places are the caller's. A C int is the first half of the
    // eight bytes on every machine that has such cards.
    unsafe { queue.launch(kernel, [blocks, 1, 1], [THREADS, 1, 1], &mut values) }
}

/// As cublasLtMatmulHeuristicResult_t, whose state may be a number that cudarc has no name for.
#[derive(Clone, Copy)]
#[repr(C)]
struct Found {
    algorithm: cublasLtMatmulAlgo_t,
    workspace: usize,
    state: u32,
    waves: f32,
    reserved: [c_int; 4],
}

const NOTHING: Found = Found {
    algorithm: cublasLtMatmulAlgo_t { data: [0; 8] },
    workspace: 0,
    state: u32::MAX,
    waves: 0.0,
    reserved: [0; 4],
};

const _: () = assert!(size_of::<Found>() == size_of::<cublasLtMatmulHeuristicResult_t>());

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::driver::GivenMatrix;

    fn random(seed: u64, len: usize) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f64 - (1 << 23) as f64
        };
        (0..len).map(|_| next()).collect()
    }

    /// What cuBLASLt does by its documentation: D = op(A) · op(B) + beta · C + bias, all column-major.
    fn column_major(
        layouts: &Layouts,
        first: &[f64],
        second: &[f64],
        bias: Option<&[f64]>,
        out: &mut [f64],
        beta: f64,
    ) {
        let size = |of: Layout| match of.transposed {
            true => [of.columns, of.rows],
            false => [of.rows, of.columns],
        };
        let at = |of: Layout, row: usize, column: usize| {
            let (row, column) = if of.transposed { (column, row) } else { (row, column) };
            assert!(row < of.rows && column < of.columns && of.leading >= of.rows);
            row + column * of.leading
        };
        let Layouts { first: a, second: b, out: d } = *layouts;
        let ([rows, depth], [same_depth, columns]) = (size(a), size(b));
        assert_eq!((depth, [rows, columns]), (same_depth, [d.rows, d.columns]));
        for row in 0..rows {
            for column in 0..columns {
                let terms = (0..depth).map(|k| first[at(a, row, k)] * second[at(b, k, column)]);
                let place = at(d, row, column);
                let bias = bias.map_or(0.0, |bias| bias[row]);
                out[place] = terms.sum::<f64>() + beta * out[place] + bias;
            }
        }
    }

    #[test]
    fn row_major_products_come_out_of_column_major_ones() {
        for sizes in [[3, 5, 7], [1, 6, 2], [4, 1, 3], [2, 3, 1], [4, 4, 4]] {
            let [rows, columns, depth] = sizes;
            for turned in 0..4 {
                let (a_turned, b_turned) = (turned & 1 != 0, turned & 2 != 0);
                let (a, b) = (random(1, rows * depth), random(2, depth * columns));
                let (bias, before) = (random(3, columns), random(4, rows * columns));
                let mut expected = before.clone();
                for row in 0..rows {
                    for column in 0..columns {
                        let sum: f64 = (0..depth)
                            .map(|k| {
                                let at = if a_turned { k * rows + row } else { row * depth + k };
                                let a = a[at];
                                let at = if b_turned {
                                    column * depth + k
                                } else {
                                    k * columns + column
                                };
                                a * b[at]
                            })
                            .sum();
                        expected[row * columns + column] += sum + bias[column];
                    }
                }
                let layouts = Layouts::new(sizes, a_turned, b_turned);
                let mut out = before;
                // b comes first.
                column_major(&layouts, &b, &a, Some(&bias), &mut out, 1.0);
                assert_eq!(out, expected, "{sizes:?} {a_turned} {b_turned}");
            }
        }
    }

    fn product() -> GivenProduct {
        let matrix = |at, element| GivenMatrix { at, element, turned: false };
        GivenProduct {
            rows: 2,
            columns: 3,
            depth: 4,
            a: matrix(0x1000, Element::Bf16),
            b: GivenMatrix { turned: true, ..matrix(0x2010, Element::Bf16) },
            bias: Some(0x3000),
            out: matrix(0x4004, Element::F32),
            adds: true,
        }
    }

    #[test]
    fn alignments_are_powers_of_two_up_to_256() {
        assert_eq!(Key::of(&product()).alignment, [256, 16, 4]);
        assert_eq!(alignment(0), 256);
        assert_eq!(alignment(0x1002), 2);
    }

    #[test]
    fn errors_name_the_sizes() {
        let text = "the product F32 [2, 3] = Bf16 [2, 4] · Bf16 [4, 3] turned + bias, added";
        assert_eq!(described(&product()), text);
    }

    #[test]
    fn what_the_heuristic_finds_lies_as_cudarc_has_it() {
        assert_eq!(
            [
                std::mem::offset_of!(Found, algorithm),
                std::mem::offset_of!(Found, workspace),
                std::mem::offset_of!(Found, state),
                std::mem::offset_of!(Found, waves),
            ],
            [
                std::mem::offset_of!(cublasLtMatmulHeuristicResult_t, algo),
                std::mem::offset_of!(cublasLtMatmulHeuristicResult_t, workspaceSize),
                std::mem::offset_of!(cublasLtMatmulHeuristicResult_t, state),
                std::mem::offset_of!(cublasLtMatmulHeuristicResult_t, wavesCount),
            ]
        );
    }

    #[test]
    #[ignore = "wants cuBLASLt"]
    fn the_library_opens_and_tells_its_version() {
        let folders = std::env::var_os("FCMAE_CUDA_LIBRARIES");
        // CI has NVRTC alone: cuBLASLt is half a gigabyte.
        let library = match Library::open(folders.as_deref().map(Path::new)) {
            Ok(library) => library,
            Err(error @ CudaError::Folder { .. }) => {
                eprintln!("not tried: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let version = library.version();
        assert!(version.starts_with("12.") || version.starts_with("13."), "{version}");
        println!("cuBLASLt {version}, of CUDA {}", library.cuda);
        let major = (library.cuda / 1000) as i32;
        library.check_driver((major, 0)).unwrap();
        assert!(matches!(library.check_driver((major - 1, 9)), Err(CudaError::Newer { .. })));
    }

    #[test]
    #[ignore = "wants cuBLASLt"]
    fn the_library_takes_descriptions_without_a_card() {
        let folders = std::env::var_os("FCMAE_CUDA_LIBRARIES");
        let Ok(library) = Library::open(folders.as_deref().map(Path::new)) else {
            eprintln!("not tried: there is no cuBLASLt");
            return;
        };
        let makes = Makes { functions: library.functions, device: "no card".to_owned() };
        for turned in [false, true] {
            let mut product = product();
            product.a.turned = turned;
            let key = Key::of(&product);
            let layouts = Layouts::new(key.sizes, key.turned[0], key.turned[1]);
            let description = makes.description(&product, &layouts, 0x3000).unwrap();
            for (attribute, expected) in [
                (cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA, TRANSPOSED),
                (cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSB, u32::from(turned)),
                (cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_EPILOGUE, 4),
            ] {
                let (mut value, mut written) = (u32::MAX, 0);
                // SAFETY: the description lives, `value` has as many bytes as told; the type is that of cublasLt.h.
                let status = unsafe {
                    let get = library::function::<
                        unsafe extern "C" fn(
                            cublasLtMatmulDesc_t,
                            cublasLtMatmulDescAttributes_t,
                            *mut c_void,
                            usize,
                            *mut usize,
                        ) -> u32,
                    >(
                        "libcublasLt", library.opened, "cublasLtMatmulDescGetAttribute"
                    )
                    .unwrap();
                    get(
                        description.handle,
                        attribute,
                        (&raw mut value).cast(),
                        size_of::<u32>(),
                        &raw mut written,
                    )
                };
                assert_eq!((status, value, written), (0, expected, 4), "{attribute:?}");
            }
            makes.matrix(&product, cudaDataType_t::CUDA_R_16BF, layouts.first).unwrap();
            makes.matrix(&product, cudaDataType_t::CUDA_R_32F, layouts.out).unwrap();
            makes.preference(&product, key).unwrap();
        }
    }
}
