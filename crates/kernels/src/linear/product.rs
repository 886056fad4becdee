//! One matrix product on one thread, by the `gemm` crate.

use gemm::Parallelism;

/// A view of a row-major matrix, perhaps transposed or some columns of it.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// All of `values`, in rows of `cols`; what doesn't fill a row is left out.
    pub(super) fn new(values: &'a [f32], cols: usize) -> Self {
        Self { values, rows: values.len() / cols, cols, row_stride: cols, col_stride: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        let Self { values, rows, cols, row_stride, col_stride } = self;
        Self { values, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }

    /// Columns `first..first + count` of a view that isn't transposed.
    pub(super) fn columns(self, first: usize, count: usize) -> Self {
        assert!(self.col_stride == 1 && first + count <= self.cols, "columns within the matrix");
        Self { values: self.values.get(first..).unwrap_or(&[]), cols: count, ..self }
    }

    /// Whether the last element lies within `values`, and so all do.
    fn is_inside(&self) -> bool {
        self.rows == 0
            || self.cols == 0
            || (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride
                < self.values.len()
    }
}

/// out = scale · a · b, added to what `out` holds if `add`. `out` is row-major, `cols` columns.
pub(super) fn multiply(
    out: &mut [f32],
    cols: usize,
    add: bool,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
) {
    let rows = out.len() / cols;
    assert!(a.rows == rows && b.cols == cols && a.cols == b.rows, "matrix sizes fit");
    assert!(a.is_inside() && b.is_inside(), "matrices within their values");
    // SAFETY: `out` holds rows · cols values, written through the only reference to them. The
    // elements of `a` and `b` lie within their slices, asserted above (strides are not negative, so
    // the last element is the farthest), and their sizes are those passed. Without `add`, `out`
    // isn't read.
    unsafe {
        gemm::gemm(
            rows,
            cols,
            a.cols,
            out.as_mut_ptr(),
            1,
            cols as isize,
            add,
            a.values.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
