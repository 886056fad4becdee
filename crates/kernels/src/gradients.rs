/// Where the backward pass of an operation with `gamma` and `beta` (layer norm, GRN) writes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// With respect to `x`, as long as it.
    pub x: &'a mut [f32],
    /// With respect to `gamma`, `[C]`.
    pub gamma: &'a mut [f32],
    /// With respect to `beta`, `[C]`.
    pub beta: &'a mut [f32],
}
