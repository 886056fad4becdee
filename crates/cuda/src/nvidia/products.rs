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

mod cublaslt;
mod description;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use cudarc::cublaslt::sys::{
    self, cublasLtMatmulAlgo_t, cublasLtMatmulDescAttributes_t, cublasLtMatmulHeuristicResult_t,
};

pub(super) use cublaslt::Library;
use cublaslt::reason;
use description::{Described, Key, Layouts, Makes, Owned, WORKSPACE, described, kind};

use super::context::{Block, Context, Queue};
use super::modules::Modules;
use crate::driver::{Address, Choice, GivenProduct};
use crate::error::CudaError;
use crate::work::Element;

/// For biases on their way: the widest layer has some thousands of values.
const BIAS: usize = 1 << 20;

/// A bias must begin at a multiple of so many bytes: its kernels load as much at once, and no preference tells them
/// otherwise.
const BIAS_ALIGNMENT: u64 = 16;

/// How it is done.
struct Plan {
    described: Described,
    algorithm: cublasLtMatmulAlgo_t,
    workspace: usize,
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
        (status == 0 && found.is_usable()).then_some(Found { algorithm: *algorithm, ..found })
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
        Ok(found.copied().find(Found::is_usable))
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

impl Found {
    /// Whether the product can be done so, in the workspace that there is.
    fn is_usable(&self) -> bool {
        self.state == 0 && self.workspace <= WORKSPACE
    }
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
    use super::*;

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
}
