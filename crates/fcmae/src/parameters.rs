//! A module's parameters by name: to visit, to replace, to write and to read.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};
use fcmae_store::{HostTensor, Mismatch, NamedTensors};

use crate::model::names;

/// Calls `f` with every parameter's file name, shape and values (flat, without autodiff).
pub fn visit<M: Module>(module: &M, f: impl FnMut(&str, &[usize], Tensor<1>)) {
    module.visit(&mut ValueVisitor { path: Vec::new(), f });
}

/// Every parameter's gradient by file name, flat, taken out of `grads`. Parameters without one
/// (frozen, or not part of the loss) are absent.
pub fn gradients<M: Module>(module: &M, grads: &mut Gradients) -> BTreeMap<String, Tensor<1>> {
    let mut found = BTreeMap::new();
    let f = |name: &str, _: &[usize], grad: Tensor<1>| {
        found.insert(name.to_owned(), grad);
    };
    module.visit(&mut GradientVisitor { path: Vec::new(), f, grads });
    found
}

/// The module with every parameter replaced by what `f` makes of its file name, shape and values
/// (flat, without autodiff); whether it wants a gradient stays.
pub fn map<M: Module>(module: M, f: impl FnMut(&str, &[usize], Tensor<1>) -> Tensor<1>) -> M {
    module.map(&mut Mapper { path: Vec::new(), f })
}

/// How many parameters the module has.
pub fn count<M: Module>(module: &M) -> usize {
    shapes(module).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// File names and shapes of all parameters.
pub fn shapes<M: Module>(module: &M) -> Vec<(String, Vec<usize>)> {
    let mut visitor = ShapeVisitor { path: Vec::new(), shapes: Vec::new() };
    module.visit(&mut visitor);
    visitor.shapes
}

/// A copy of all parameters in host memory.
pub fn to_host<M: Module>(module: &M) -> NamedTensors {
    let mut tensors = NamedTensors::default();
    visit(module, |name, shape, value| {
        tensors.insert(name.to_owned(), HostTensor { shape: shape.to_vec(), data: host(value) });
    });
    tensors
}

/// The module with all its parameters taken from `tensors`, which must hold exactly these.
///
/// # Errors
/// Every missing, unexpected and wrongly shaped name.
pub fn from_host<M: Module>(module: M, tensors: &NamedTensors) -> Result<M, Mismatch> {
    let mismatch = tensors.difference(&shapes(&module));
    if mismatch.is_empty() { Ok(replace(module, tensors)) } else { Err(mismatch) }
}

/// The module with those parameters that `tensors` holds taken from there.
pub fn replace<M: Module>(module: M, tensors: &NamedTensors) -> M {
    map(module, |name, _, value| match tensors.get(name) {
        Some(tensor) => device_tensor(&tensor.data, &value),
        None => value,
    })
}

/// A flat tensor of `data` where `like` is.
pub fn device_tensor(data: &[f32], like: &Tensor<1>) -> Tensor<1> {
    Tensor::from_data(TensorData::new(data.to_vec(), [data.len()]), &like.device())
}

/// The values of a flat tensor in host memory.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec().expect("the data was just converted to float32")
}

struct ShapeVisitor {
    path: Vec<String>,
    shapes: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for ShapeVisitor {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // Values that are not there yet stay so.
        let shape = param.lazy_shape().to_vec();
        self.shapes.push((names::in_files(&self.path.join(".")), shape));
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }
}

struct ValueVisitor<F> {
    path: Vec<String>,
    f: F,
}

impl<F: FnMut(&str, &[usize], Tensor<1>)> ModuleVisitor for ValueVisitor<F> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().inner();
        let shape = value.dims();
        let flat = value.reshape([shape.iter().product::<usize>()]);
        (self.f)(&names::in_files(&self.path.join(".")), &shape, flat);
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }
}

struct GradientVisitor<'a, F> {
    path: Vec<String>,
    f: F,
    grads: &'a mut Gradients,
}

impl<F: FnMut(&str, &[usize], Tensor<1>)> ModuleVisitor for GradientVisitor<'_, F> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = param.val().grad_remove(self.grads) {
            let shape = grad.dims();
            let flat = grad.reshape([shape.iter().product::<usize>()]);
            (self.f)(&names::in_files(&self.path.join(".")), &shape, flat);
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }
}

struct Mapper<F> {
    path: Vec<String>,
    f: F,
}

impl<F: FnMut(&str, &[usize], Tensor<1>) -> Tensor<1>> ModuleMapper for Mapper<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = names::in_files(&self.path.join("."));
        let (id, value, mapper) = param.consume();
        let (autodiff, wants_grad) = (value.is_autodiff(), value.is_require_grad());
        let shape = value.dims();
        let flat = value.inner().reshape([shape.iter().product::<usize>()]);
        let mut value = (self.f)(&name, &shape, flat).reshape(shape);
        if autodiff {
            value = value.autodiff().set_require_grad(wants_grad);
        }
        Param::from_mapped_value(id, value, mapper)
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }
}
