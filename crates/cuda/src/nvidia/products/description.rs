//! Products as cuBLASLt is told of them, for which no card is needed.

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use cudarc::cublaslt::sys::{
    self, cublasComputeType_t, cublasLtEpilogue_t, cublasLtMatmulDescAttributes_t,
    cublasLtMatmulPreferenceAttributes_t, cublasLtReductionScheme_t, cudaDataType_t,
};

use super::cublaslt::{Functions, reason};
use crate::driver::{Address, GivenProduct};
use crate::error::CudaError;
use crate::work::Element;

/// What NVIDIA advises for Hopper; older cards want less.
pub(super) const WORKSPACE: usize = 32 << 20;

/// `cublasOperation_t`, which cudarc has in another module.
const AS_IT_IS: u32 = 0;
const TRANSPOSED: u32 = 1;

/// A matrix as cuBLASLt sees it: column-major, and whether it transposes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// From a column to the next, in values.
    pub(super) leading: usize,
    pub(super) transposed: bool,
}

/// The three matrices of a product as cuBLASLt sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layouts {
    pub(super) first: Layout,
    pub(super) second: Layout,
    pub(super) out: Layout,
}

impl Layouts {
    /// For `out [rows, columns] = a [rows, depth] · b [depth, columns]`, row-major, each factor turned or not.
    pub(super) fn new([rows, columns, depth]: [usize; 3], a_turned: bool, b_turned: bool) -> Self {
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
pub(super) struct Key {
    /// Rows, columns, depth.
    pub(super) sizes: [usize; 3],
    pub(super) turned: [bool; 2],
    pub(super) factors: Element,
    pub(super) out: Element,
    pub(super) bias: bool,
    pub(super) adds: bool,
    /// The powers of two, up to 256, of which the addresses of `a`, `b` and `out` are multiples.
    pub(super) alignment: [u32; 3],
}

impl Key {
    pub(super) fn of(product: &GivenProduct) -> Self {
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

pub(super) fn alignment(address: Address) -> u32 {
    1 << address.trailing_zeros().min(8)
}

/// For errors: the product in words.
pub(super) fn described(product: &GivenProduct) -> String {
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

pub(super) fn kind(element: Element) -> Option<cudaDataType_t> {
    match element {
        Element::F32 => Some(cudaDataType_t::CUDA_R_32F),
        Element::Bf16 => Some(cudaDataType_t::CUDA_R_16BF),
        _ => None,
    }
}

/// Something of cuBLASLt's, given back when it is dropped.
pub(super) struct Owned<T> {
    pub(super) functions: Arc<Functions>,
    pub(super) handle: *mut T,
    pub(super) destroy: fn(&Functions) -> unsafe extern "C" fn(*mut T) -> u32,
}

// SAFETY: it is given to cuBLASLt alone, from one thread at a time, whichever that is: it is not bound to one.
unsafe impl<T> Send for Owned<T> {}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: it was made by this library, and nobody uses it later.
        unsafe { (self.destroy)(&self.functions)(self.handle) };
    }
}

pub(super) type Description = Owned<sys::cublasLtMatmulDescOpaque_t>;
pub(super) type Matrix = Owned<sys::cublasLtMatrixLayoutOpaque_t>;

/// A product of some shape, as cuBLASLt is told of it.
pub(super) struct Described {
    pub(super) description: Description,
    pub(super) first: Matrix,
    pub(super) second: Matrix,
    pub(super) out: Matrix,
}

/// Makes what describes a product to cuBLASLt, for which no card is needed.
pub(super) struct Makes {
    pub(super) functions: Arc<Functions>,
    /// As errors call the card.
    pub(super) device: String,
}

impl Makes {
    pub(super) fn check(
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

    pub(super) fn description(
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

    pub(super) fn describe<T: Copy>(
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

    pub(super) fn matrix(
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

    pub(super) fn preference(
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use cudarc::cublaslt::sys::cublasLtMatmulDesc_t;

    use super::super::cublaslt::Library;
    use super::*;
    use crate::driver::GivenMatrix;
    use crate::nvidia::library;

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
