//! Values that know how they came about, and gradients by what they came from.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Add, Div, Mul, Sub};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::array::{Array, indices, offsets, strides};
use crate::{erf, erfc};

/// An array and what it was computed from; a clone is the same node of the graph.
///
/// The operators `+ − · /` broadcast as numpy does: shapes are aligned at their last dimensions, and
/// a size of 1 repeats. A number stands for an array without dimensions.
#[derive(Clone)]
pub struct Var(Rc<Node>);

struct Node {
    /// Larger than that of every source.
    number: u64,
    value: Array,
    sources: Vec<Var>,
    backward: Backward,
}

/// From sources and the gradient by the value, the gradients by the sources.
type Backward = Box<dyn Fn(&[Var], &Array) -> Vec<Array>>;

/// A function of two numbers.
type Binary = fn(f64, f64) -> f64;

/// The gradients of one number by everything that it was computed from.
pub struct Gradients(HashMap<u64, Array>);

impl Gradients {
    /// The gradient by `var`; zeros where the number doesn't depend on it.
    pub fn of(&self, var: &Var) -> Array {
        self.0.get(&var.0.number).cloned().unwrap_or_else(|| Array::zeros(var.shape()))
    }
}

impl Var {
    /// `values` in this shape, computed from nothing.
    pub fn new(shape: &[usize], values: impl IntoIterator<Item = impl Into<f64>>) -> Self {
        Self::node(Array::new(shape, values), Vec::new(), |_, _| Vec::new())
    }

    fn node(
        value: Array,
        sources: Vec<Var>,
        backward: impl Fn(&[Var], &Array) -> Vec<Array> + 'static,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(Rc::new(Node { number, value, sources, backward: Box::new(backward) }))
    }

    /// Sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.0.value.shape
    }

    /// Sizes of as many dimensions as the caller takes apart.
    pub(crate) fn sizes<const D: usize>(&self) -> [usize; D] {
        let sizes = self.shape().try_into();
        sizes.unwrap_or_else(|_| panic!("{:?} has not {D} dimensions", self.shape()))
    }

    /// The numbers, last dimension fastest.
    pub fn values(&self) -> &[f64] {
        &self.0.value.values
    }

    /// The gradients of this one number.
    pub fn backward(&self) -> Gradients {
        assert_eq!(self.values().len(), 1, "only a single number has gradients");
        self.backward_along(&[1.0])
    }

    /// The gradients of `Σ self · probe`.
    pub fn backward_along(&self, probe: &[f64]) -> Gradients {
        let seed = Array::new(self.shape(), probe.iter().copied());
        // A node's number is larger than its sources', so the largest pending one has its whole
        // gradient.
        let mut pending = BTreeMap::from([(self.0.number, (self.clone(), seed))]);
        let mut done = HashMap::new();
        while let Some((number, (Var(node), grad))) = pending.pop_last() {
            for (source, part) in node.sources.iter().zip((node.backward)(&node.sources, &grad)) {
                assert_eq!(part.shape, source.shape(), "a gradient has its source's shape");
                let zeros = || (source.clone(), Array::zeros(source.shape()));
                let (_, sum) = pending.entry(source.0.number).or_insert_with(zeros);
                sum.values.iter_mut().zip(part.values).for_each(|(sum, part)| *sum += part);
            }
            done.insert(number, grad);
        }
        Gradients(done)
    }

    /// `value` of each number, whose derivative is `slope`.
    fn map(&self, value: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64 + 'static) -> Self {
        let out = Array::new(self.shape(), self.values().iter().map(|&x| value(x)));
        Self::node(out, vec![self.clone()], move |sources, grad| {
            let slopes = sources[0].values().iter().zip(&grad.values).map(|(&x, g)| g * slope(x));
            vec![Array::new(&grad.shape, slopes)]
        })
    }

    /// `value` of both operands' numbers, broadcast; `slopes` are its derivatives by the two.
    fn combine(&self, other: &Self, value: Binary, slopes: [Binary; 2]) -> Self {
        let (a, b) = (self.expand(other.shape()), other.expand(self.shape()));
        assert_eq!(a.shape(), b.shape(), "shapes that don't broadcast");
        let out = a.values().iter().zip(b.values()).map(|(&a, &b)| value(a, b));
        Self::node(Array::new(a.shape(), out), vec![a.clone(), b], move |sources, grad| {
            let by = |slope: Binary| {
                let values = sources[0].values().iter().zip(sources[1].values()).zip(&grad.values);
                Array::new(&grad.shape, values.map(|((&a, &b), g)| g * slope(a, b)))
            };
            slopes.map(by).into()
        })
    }

    /// eˣ.
    pub fn exp(&self) -> Self {
        self.map(f64::exp, f64::exp)
    }

    /// The natural logarithm.
    pub fn ln(&self) -> Self {
        self.map(f64::ln, f64::recip)
    }

    /// The square root; its gradient at 0 is infinite.
    pub fn sqrt(&self) -> Self {
        self.map(f64::sqrt, |x| 0.5 / x.sqrt())
    }

    /// The error function.
    pub fn erf(&self) -> Self {
        self.map(erf, |x| std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp())
    }

    /// `1 − erf`.
    pub fn erfc(&self) -> Self {
        self.map(erfc, |x| -std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp())
    }

    /// The absolute value; its gradient at 0 is 0.
    pub fn abs(&self) -> Self {
        self.map(f64::abs, |x| if x == 0.0 { 0.0 } else { x.signum() })
    }

    /// The larger of each number and `least`; no gradient where that is `least`.
    pub fn clamp_min(&self, least: f64) -> Self {
        self.map(move |x| x.max(least), move |x| if x > least { 1.0 } else { 0.0 })
    }

    /// The same numbers in another shape of as many.
    pub fn reshape(&self, shape: &[usize]) -> Self {
        self.gather((0..self.values().len()).collect(), shape)
    }

    fn gather(&self, offsets: Vec<usize>, shape: &[usize]) -> Self {
        let out = self.0.value.gather(&offsets, shape);
        Self::node(out, vec![self.clone()], move |sources, grad| {
            vec![grad.scatter(&offsets, sources[0].shape())]
        })
    }

    fn scatter(&self, offsets: Vec<usize>, shape: &[usize]) -> Self {
        let out = self.0.value.scatter(&offsets, shape);
        Self::node(out, vec![self.clone()], move |sources, grad| {
            vec![grad.gather(&offsets, sources[0].shape())]
        })
    }

    /// Repeated along every dimension that is 1 or missing here and larger in `shape`.
    fn expand(&self, shape: &[usize]) -> Self {
        let dims = shape.len().max(self.shape().len());
        let align = |shape: &[usize]| [&vec![1; dims - shape.len()], shape].concat();
        let mut sizes = align(self.shape());
        let mut steps = strides(&sizes);
        for (axis, size) in align(shape).into_iter().enumerate() {
            if sizes[axis] == 1 && size > 1 {
                (sizes[axis], steps[axis]) = (size, 0);
            }
        }
        let same = sizes == self.shape();
        if same { self.clone() } else { self.gather(offsets(&sizes, &steps), &sizes) }
    }

    /// Dimension i of the result is dimension `axes[i]`.
    pub fn permute(&self, axes: &[usize]) -> Self {
        assert_eq!(axes.len(), self.shape().len(), "an axis for each dimension");
        let (shape, strides) = (self.shape(), strides(self.shape()));
        let sizes: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        let steps: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
        self.gather(offsets(&sizes, &steps), &sizes)
    }

    /// The sum over these dimensions, which stay with a size of 1.
    pub fn sum(&self, axes: &[usize]) -> Self {
        let mut sizes = self.shape().to_vec();
        axes.iter().for_each(|&axis| sizes[axis] = 1);
        let mut steps = strides(&sizes);
        axes.iter().for_each(|&axis| steps[axis] = 0);
        self.scatter(offsets(self.shape(), &steps), &sizes)
    }

    /// The mean over these dimensions, which stay with a size of 1.
    pub fn mean(&self, axes: &[usize]) -> Self {
        let count: usize = axes.iter().map(|&axis| self.shape()[axis]).product();
        self.sum(axes) / count as f64
    }

    /// The sum of all numbers, without dimensions.
    pub fn total(&self) -> Self {
        self.reshape(&[self.values().len()]).sum(&[0]).reshape(&[])
    }

    /// The places of `rows` along the first dimension, and the shape of `count` of them.
    fn places(&self, rows: &[usize], count: usize) -> (Vec<usize>, Vec<usize>) {
        let width: usize = self.shape()[1..].iter().product();
        let places = rows.iter().flat_map(|row| row * width..(row + 1) * width).collect();
        (places, [&[count], &self.shape()[1..]].concat())
    }

    /// These rows along the first dimension, in that order; a row may come more than once.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let (places, shape) = self.places(rows, rows.len());
        self.gather(places, &shape)
    }

    /// `count` rows along the first dimension: row i of this added at `rows[i]`, zeros elsewhere.
    pub fn scatter_rows(&self, rows: &[usize], count: usize) -> Self {
        assert_eq!(rows.len(), self.shape()[0], "a place for each row");
        let (places, shape) = self.places(rows, count);
        self.scatter(places, &shape)
    }

    /// The rows of this along the first dimension, then those of `other`.
    pub fn concat(&self, other: &Self) -> Self {
        let (first, count) = (self.shape()[0], self.shape()[0] + other.shape()[0]);
        let places: Vec<usize> = (0..count).collect();
        self.scatter_rows(&places[..first], count) + other.scatter_rows(&places[first..], count)
    }

    /// A bilinear map: `products` calls what it is given with the places in the result, in this and in
    /// `other` of every product that the result sums.
    fn sum_products(
        &self,
        other: &Self,
        shape: &[usize],
        products: impl Fn(&mut dyn FnMut(usize, usize, usize)) + 'static,
    ) -> Self {
        let mut out = Array::zeros(shape);
        let (a, b) = (self.values(), other.values());
        products(&mut |o, i, j| out.values[o] += a[i] * b[j]);
        Self::node(out, vec![self.clone(), other.clone()], move |sources, grad| {
            let [mut by_a, mut by_b] = [0, 1].map(|i| Array::zeros(sources[i].shape()));
            let (a, b, grad) = (sources[0].values(), sources[1].values(), &grad.values[..]);
            let (to_a, to_b) = (&mut by_a.values[..], &mut by_b.values[..]);
            products(&mut |o, i, j| {
                to_a[i] += grad[o] * b[j];
                to_b[j] += grad[o] * a[i];
            });
            vec![by_a, by_b]
        })
    }

    /// `[m, k]` times `[k, n]`.
    pub fn matmul(&self, other: &Self) -> Self {
        let ([m, k], [inner, n]) = (self.sizes(), other.sizes());
        assert_eq!(k, inner, "columns of the left matrix, rows of the right one");
        self.sum_products(other, &[m, n], move |visit| {
            for [i, l] in indices([m, k]) {
                (0..n).for_each(|j| visit(i * n + j, i * k + l, l * n + j));
            }
        })
    }

    /// The convolution of `[N, C, H, W]` by `weight [O, C/groups, K, L]`, with this much zero padding
    /// on all sides: `[N, O, ..]`.
    pub fn conv2d(&self, weight: &Self, stride: usize, padding: usize) -> Self {
        let ([n, c, h, w], [o, i, k, l]) = (self.sizes(), weight.sizes());
        let groups = c / i;
        assert!(c == groups * i && o % groups == 0, "{c} channels by {:?}", weight.shape());
        let [height, width] =
            [(h, k), (w, l)].map(|(size, k)| (size + 2 * padding - k) / stride + 1);
        // The place in the input, unless it is padding.
        let source = move |at: usize, tap: usize, size: usize| {
            (at * stride + tap).checked_sub(padding).filter(|&source| source < size)
        };
        self.sum_products(weight, &[n, o, height, width], move |visit| {
            for [image, output, input, tap_y, tap_x, y] in indices([n, o, i, k, l, height]) {
                let Some(from_y) = source(y, tap_y, h) else { continue };
                let channel = output / (o / groups) * i + input;
                let to = ((image * o + output) * height + y) * width;
                let from = ((image * c + channel) * h + from_y) * w;
                let tap = ((output * i + input) * k + tap_y) * l + tap_x;
                for x in 0..width {
                    if let Some(from_x) = source(x, tap_x, w) {
                        visit(to + x, from + from_x, tap);
                    }
                }
            }
        })
    }
}

impl From<f64> for Var {
    fn from(value: f64) -> Self {
        Self::new(&[], [value])
    }
}

impl From<&Var> for Var {
    fn from(var: &Var) -> Self {
        var.clone()
    }
}

macro_rules! operators {
    ($($operator:ident, $method:ident, $value:expr, $slopes:expr;)+) => {$(
        impl<T: Into<Var>> $operator<T> for &Var {
            type Output = Var;

            fn $method(self, other: T) -> Var {
                self.combine(&other.into(), $value, $slopes)
            }
        }

        impl<T: Into<Var>> $operator<T> for Var {
            type Output = Var;

            fn $method(self, other: T) -> Var {
                $operator::$method(&self, other)
            }
        }
    )+};
}

// The value, and its derivatives by both operands.
operators! {
    Add, add, |a, b| a + b, [|_, _| 1.0, |_, _| 1.0];
    Sub, sub, |a, b| a - b, [|_, _| 1.0, |_, _| -1.0];
    Mul, mul, |a, b| a * b, [|_, b| b, |a, _| a];
    Div, div, |a, b| a / b, [|_, b| 1.0 / b, |a, b| -a / (b * b)];
}
