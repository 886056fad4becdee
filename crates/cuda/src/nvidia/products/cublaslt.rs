//! cuBLASLt itself: its functions, its version, and what its answers mean.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::Arc;

use cudarc::cublaslt::sys::{
    self, cublasComputeType_t, cublasLtHandle_t, cublasLtMatmulAlgo_t, cublasLtMatmulDesc_t,
    cublasLtMatmulDescAttributes_t, cublasLtMatmulHeuristicResult_t, cublasLtMatmulPreference_t,
    cublasLtMatmulPreferenceAttributes_t, cublasLtMatrixLayout_t, cudaDataType_t, cudaStream_t,
};

use super::super::library::{self, Wanted, functions};
use crate::error::CudaError;

const CUBLASLT: Wanted = Wanted {
    library: "libcublasLt",
    stem: "cublasLt",
    wheel: "nvidia-cublas",
    older: "nvidia-cublas-cu12",
};

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
pub(in crate::nvidia) struct Library {
    pub(super) functions: Arc<Functions>,
    /// Its own version.
    pub(super) version: usize,
    /// That of CUDA for which it was made: 13050 is 13.5.
    pub(super) cuda: usize,
    /// For what tests alone ask.
    #[cfg(test)]
    pub(super) opened: &'static libloading::Library,
}

impl Library {
    pub(in crate::nvidia) fn open(folders: Option<&Path>) -> Result<Self, CudaError> {
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
    pub(in crate::nvidia) fn version(&self) -> String {
        let of = self.version;
        format!("{}.{}.{}", of / 10_000, of / 100 % 100, of % 100)
    }

    /// Refuses a driver of an older CUDA.
    pub(in crate::nvidia) fn check_driver(&self, driver: (i32, i32)) -> Result<(), CudaError> {
        let [major, minor] = [self.cuda / 1000, self.cuda % 1000 / 10]
            .map(|part| i32::try_from(part).unwrap_or(i32::MAX));
        library::check_driver(CUBLASLT, (major, minor), driver)
    }
}

/// What cuBLASLt's answers mean, by cublas_api.h.
pub(super) fn reason(status: u32) -> String {
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
