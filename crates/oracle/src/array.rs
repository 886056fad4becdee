/// Numbers and their shape, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes of the dimensions; none for a single number.
    pub shape: Vec<usize>,
    /// The numbers, last dimension fastest.
    pub values: Vec<f64>,
}

impl Array {
    /// `values` (of either precision) in this shape.
    pub fn new(shape: &[usize], values: impl IntoIterator<Item = impl Into<f64>>) -> Self {
        let values: Vec<f64> = values.into_iter().map(Into::into).collect();
        assert_eq!(values.len(), shape.iter().product(), "values for the shape {shape:?}");
        Self { shape: shape.to_vec(), values }
    }

    /// All zero.
    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] }
    }

    /// The value at each offset.
    pub(crate) fn gather(&self, offsets: &[usize], shape: &[usize]) -> Self {
        Self::new(shape, offsets.iter().map(|&offset| self.values[offset]))
    }

    /// Each value added at its offset in zeros: the adjoint of [`gather`](Self::gather).
    pub(crate) fn scatter(&self, offsets: &[usize], shape: &[usize]) -> Self {
        let mut out = Self::zeros(shape);
        for (&offset, value) in offsets.iter().zip(&self.values) {
            out.values[offset] += value;
        }
        out
    }
}

/// How far apart neighbours along each dimension are in memory.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

/// Where each element of `shape` lies in memory with these strides, in row-major order of the
/// elements. A stride of 0 repeats a value along its dimension.
pub(crate) fn offsets(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    shape.iter().zip(strides).fold(vec![0], |offsets, (&size, &stride)| {
        offsets.iter().flat_map(|start| (0..size).map(move |i| start + i * stride)).collect()
    })
}

/// All indices into these sizes, the last fastest.
pub(crate) fn indices<const D: usize>(sizes: [usize; D]) -> impl Iterator<Item = [usize; D]> {
    (0..sizes.iter().product()).map(move |mut rest| {
        let mut index = [0; D];
        for (at, size) in index.iter_mut().zip(sizes).rev() {
            (*at, rest) = (rest % size, rest / size);
        }
        index
    })
}
