//! Mixup and cutmix: pictures of a batch mixed in pairs, and their labels with them.

use serde::{Deserialize, Serialize};

use crate::augment::Crop;
use crate::error::DataError;
use crate::loader::Batch;
use crate::random::{self, Rng};

/// Greatest α. Far below it, every λ is already ½ to two places.
const MAX_ALPHA: f64 = 1e6;

/// timm's `Mixup` in its mode `batch`: one choice and one λ for all pictures of a batch, each mixed
/// with its partner in the batch's reverse order. With both α at 0 only labels are smoothed.
///
/// In a batch of odd size the picture in the middle is its own partner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// α of mixup, which blends pictures by λ from Beta(α, α); 0 is without. (Zhang et al. 2017)
    pub mixup: f64,
    /// α of cutmix, which puts a box of the partner into each picture, of share 1 − λ with λ from
    /// Beta(α, α); 0 is without. (Yun et al. 2019)
    pub cutmix: f64,
    /// Probability of cutmix where there are both.
    pub switch_probability: f64,
    /// Probability that a batch is mixed at all.
    pub probability: f64,
    /// Label smoothing: this share of each target is spread over all classes.
    pub smoothing: f64,
}

/// What is done to one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mixing {
    /// Nothing.
    Unmixed,
    /// λ · picture + (1 − λ) · partner.
    Mixup {
        /// λ, the picture's own share.
        lambda: f64,
    },
    /// The partner's pixels in a box.
    Cutmix {
        /// The box, which may be empty.
        area: Crop,
    },
}

impl Mix {
    /// With the published settings of the sizes tiny to huge: mixup 0.8, cutmix 1, either half of
    /// the time, always; label smoothing 0.1.
    pub fn new() -> Self {
        Self { mixup: 0.8, cutmix: 1.0, switch_probability: 0.5, probability: 1.0, smoothing: 0.1 }
    }

    /// Draws what is done to a batch of pictures of a size.
    pub fn draw(&self, height: u32, width: u32, rng: &mut impl Rng) -> Mixing {
        if random::unit(rng) >= self.probability || (self.mixup == 0.0 && self.cutmix == 0.0) {
            return Mixing::Unmixed;
        }
        let cuts =
            self.mixup == 0.0 || (self.cutmix > 0.0 && random::unit(rng) < self.switch_probability);
        if cuts {
            let lambda = random::beta(rng, self.cutmix);
            let row = random::below(rng, u64::from(height)) as u32;
            let column = random::below(rng, u64::from(width)) as u32;
            return Mixing::Cutmix { area: cut_box(lambda, (row, column), (height, width)) };
        }
        Mixing::Mixup { lambda: random::beta(rng, self.mixup) }
    }

    /// Mixes a batch in place, and gives its soft targets, `[N, classes]`: a function of seed, epoch
    /// and number of the batch alone.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range, a batch without labels, or a label that
    /// is not below `classes`.
    pub fn apply(
        &self,
        batch: &mut Batch,
        classes: usize,
        seed: u64,
    ) -> Result<Vec<f32>, DataError> {
        // Targets first: where anything is refused, the batch stays as it was.
        let (mixing, targets) = self.plan(batch, classes, seed)?;
        mixing.mix(batch)?;
        Ok(targets)
    }

    /// As [`apply`](Self::apply), but for the pictures: how they are to be mixed, and the targets then.
    ///
    /// # Errors
    /// As there.
    pub fn plan<I>(
        &self,
        batch: &Batch<I>,
        classes: usize,
        seed: u64,
    ) -> Result<(Mixing, Vec<f32>), DataError> {
        self.check()?;
        let rng = &mut random::keyed(seed, "mix", batch.epoch, batch.number);
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let mixing = self.draw(side(batch.height), side(batch.width), rng);
        let targets = mixing.targets(batch, classes, self.smoothing)?;
        Ok((mixing, targets))
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for settings out of range.
    pub fn check(&self) -> Result<(), DataError> {
        let refused = |what, value: f64, remedy: String| {
            Err(DataError::Parameter { what, value: value.to_string(), remedy })
        };
        for (what, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if !(0.0..=MAX_ALPHA).contains(&alpha) {
                let remedy = format!("use 0 (without) to {MAX_ALPHA}, such as 0.8");
                return refused(what, alpha, remedy);
            }
        }
        for (what, probability) in [
            ("probability of cutmix instead of mixup", self.switch_probability),
            ("probability of mixing", self.probability),
            ("label smoothing", self.smoothing),
        ] {
            if !(0.0..=1.0).contains(&probability) {
                return refused(what, probability, "use 0 to 1".to_owned());
            }
        }
        Ok(())
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self::new()
    }
}

impl Mixing {
    /// λ, each picture's own share of its target; for cutmix the share of its pixels that stay.
    pub fn lambda(&self, height: usize, width: usize) -> f64 {
        match self {
            Self::Unmixed => 1.0,
            Self::Mixup { lambda } => *lambda,
            Self::Cutmix { area } => {
                let cut = f64::from(area.height) * f64::from(area.width);
                1.0 - cut / (height as f64 * width as f64).max(1.0)
            }
        }
    }

    /// Mixes the images of a batch.
    ///
    /// # Errors
    /// As [`mix_values`](Self::mix_values).
    pub fn mix(&self, batch: &mut Batch) -> Result<(), DataError> {
        let shape = [batch.len(), batch.height, batch.width, batch.channels];
        self.mix_values(&mut batch.images, shape)
    }

    /// Mixes pictures, `[N, height, width, channels]`.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for values that are not as many as the shape says, or a box that is
    /// not inside the pictures.
    pub fn mix_values(&self, values: &mut [f32], shape: [usize; 4]) -> Result<(), DataError> {
        self.check(values.len(), shape)?;
        let [count, height, width, channels] = shape;
        let (length, stride) = (height * width * channels, width * channels);
        // Pictures i and N − 1 − i are each other's partners.
        let (front, back) = values.split_at_mut(count.div_ceil(2) * length);
        let pairs =
            front.chunks_exact_mut(length.max(1)).zip(back.chunks_exact_mut(length.max(1)).rev());
        match *self {
            Self::Unmixed => {}
            Self::Mixup { lambda } => {
                let (own, other) = (lambda as f32, (1.0 - lambda) as f32);
                for (first, second) in pairs {
                    for (a, b) in first.iter_mut().zip(second) {
                        (*a, *b) = (*a * own + *b * other, *b * own + *a * other);
                    }
                }
                if count % 2 == 1 {
                    for value in &mut front[count / 2 * length..] {
                        *value = *value * own + *value * other;
                    }
                }
            }
            Self::Cutmix { area } => {
                let from = area.left as usize * channels;
                let columns = from..from + area.width as usize * channels;
                let rows = area.top as usize..(area.top + area.height) as usize;
                for (first, second) in pairs {
                    for row in rows.clone() {
                        let columns = row * stride + columns.start..row * stride + columns.end;
                        first[columns.clone()].swap_with_slice(&mut second[columns]);
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks that pictures of this shape, with so many values in all, can be mixed.
    ///
    /// # Errors
    /// As [`mix_values`](Self::mix_values).
    pub fn check(&self, values: usize, shape: [usize; 4]) -> Result<(), DataError> {
        let refused =
            |what, value: String, remedy: String| Err(DataError::Parameter { what, value, remedy });
        let [count, height, width, channels] = shape.map(|side| side as u128);
        let fits = [height, width, channels]
            .into_iter()
            .try_fold(count, u128::checked_mul)
            .is_some_and(|wanted| wanted == values as u128);
        if !fits {
            return refused(
                "batch to mix",
                format!("{count} × {height}×{width}×{channels} with {values} values"),
                "values must be pictures · height · width · channels".to_owned(),
            );
        }
        let Self::Cutmix { area } = self else { return Ok(()) };
        let end = |from: u32, length: u32| u128::from(from) + u128::from(length);
        if end(area.left, area.width) > width || end(area.top, area.height) > height {
            return refused(
                "box of cutmix",
                format!("{area:?}"),
                format!("it must lie inside the pictures of {height}×{width} (height × width)"),
            );
        }
        Ok(())
    }

    /// The soft targets of a batch, `[N, classes]`: λ · own + (1 − λ) · partner's, each smoothed
    /// (`smoothing` / classes everywhere, and 1 − `smoothing` more at the label).
    ///
    /// # Errors
    /// [`DataError::Parameter`] for a batch without labels, or a label that is not below `classes`.
    pub fn targets<I>(
        &self,
        batch: &Batch<I>,
        classes: usize,
        smoothing: f64,
    ) -> Result<Vec<f32>, DataError> {
        let refused =
            |what, value: String, remedy: String| DataError::Parameter { what, value, remedy };
        let labels = &batch.labels;
        if labels.len() != batch.len() {
            return Err(refused(
                "number of labels of the batch",
                labels.len().to_string(),
                format!("it has {} pictures; open the folder with labels", batch.len()),
            ));
        }
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
            let remedy = format!("there are {classes} classes; labels must be below that");
            return Err(refused("label", label.to_string(), remedy));
        }
        let lambda = self.lambda(batch.height, batch.width);
        let (own, other) = (lambda as f32, (1.0 - lambda) as f32);
        let off = smoothing / classes.max(1) as f64;
        let (on, off) = ((1.0 - smoothing + off) as f32, off as f32);
        let value = |class: usize, label: u32| if class == label as usize { on } else { off };
        let mut targets = Vec::new();
        let length = labels.len().checked_mul(classes);
        if length.is_none_or(|length| targets.try_reserve_exact(length).is_err()) {
            let remedy = "there are too many for a batch's targets; use fewer".to_owned();
            return Err(refused("number of classes", classes.to_string(), remedy));
        }
        for (&label, &partner) in labels.iter().zip(labels.iter().rev()) {
            let target = |class| value(class, label) * own + value(class, partner) * other;
            targets.extend((0..classes).map(target));
        }
        Ok(targets)
    }
}

/// The box of cutmix about a centre (row, column), in a picture of (height, width): √(1 − λ) of
/// both sides, cut off at the edges.
pub fn cut_box(lambda: f64, (row, column): (u32, u32), (height, width): (u32, u32)) -> Crop {
    let share = (1.0 - lambda).max(0.0).sqrt();
    let along = |centre: u32, side: u32| {
        let length = (f64::from(side) * share) as u32;
        let from = centre.saturating_sub(length / 2).min(side);
        let to = centre.saturating_add(length.div_ceil(2)).min(side);
        (from, to.saturating_sub(from))
    };
    let ((top, height), (left, width)) = (along(row, height), along(column, width));
    Crop { left, top, width, height }
}
