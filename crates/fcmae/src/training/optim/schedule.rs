//! The learning rate: linear warm-up from 0, then half a cosine, updated per iteration.

/// The learning rate at every fraction of an epoch.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// At the top.
    pub peak: f64,
    /// At the end of the cosine.
    pub min: f64,
    /// Epochs of warm-up.
    pub warmup: f64,
    /// Epochs in all.
    pub epochs: f64,
}

impl Schedule {
    /// The learning rate after `epoch` epochs, a fraction within an epoch.
    pub fn at(&self, epoch: f64) -> f64 {
        if epoch < self.warmup {
            return self.peak * epoch / self.warmup;
        }
        let length = self.epochs - self.warmup;
        let done = if length > 0.0 { ((epoch - self.warmup) / length).min(1.0) } else { 1.0 };
        self.min + (self.peak - self.min) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }
}
