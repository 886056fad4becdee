//! What rows cost, and how the time is shared among them.

use std::collections::BTreeMap;

use anyhow::Result;
use fcmae::measure::bench::{Job, Work};

/// Steps, the warm-up among them, below which there is no median worth the name.
pub(super) const FEW_STEPS: f64 = 3.0;
/// Of a measurement of the machine's own rate.
pub(super) const MATRIX_SECONDS: f64 = 0.15;

/// Rows are left out, the costliest first, until the others have this much each, or what they want.
const LEAST_ROW_SECONDS: f64 = 3.0;
/// A row gains little from more time than this, where it has its steps.
const ROW_SECONDS: f64 = 6.0;
/// 10⁹ operations of a step, for each thread, that keep it around a second on a plain machine.
const STEP_GFLOP: f64 = 24.0;
const MOST_IMAGES: usize = 64;
/// Share of the machine's own rate that a step reaches, before any was measured.
const USUAL_SHARE: f64 = 0.5;
/// To start a process and make a network, and for each parameter of it.
const START_SECONDS: f64 = 0.3;
const PARAMETER_SECONDS: f64 = 5e-9;
/// AdamW and the gradients for each parameter, in each training step.
const UPDATE_SECONDS: f64 = 5e-9;
/// One pass over the pictures.
const LOAD_SECONDS: f64 = 0.5;

/// How many images a step takes by default: a power of two.
pub(super) fn batch(job: &Job, threads: usize) -> Result<usize> {
    let images = STEP_GFLOP * threads as f64 / job.gflop_per_image()?.max(1e-9);
    let images = (images as usize).clamp(1, MOST_IMAGES);
    Ok(1 << images.ilog2())
}

/// How fast the machine is, and each kind of work was.
pub(super) struct Rates {
    matrix: f64,
    gflops: BTreeMap<Work, f64>,
}

impl Rates {
    pub(super) fn new(matrix: f64) -> Self {
        Self { matrix, gflops: BTreeMap::new() }
    }

    /// Takes up how long a step of a row took. Larger networks are rather faster for their work, so
    /// that this errs on the safe side.
    pub(super) fn learn(&mut self, job: &Job, seconds: f64) -> Result<()> {
        let computing = (seconds - update(job)).max(0.5 * seconds);
        let gflops = job.batch as f64 * job.gflop_per_image()? / computing.max(1e-9);
        if gflops > 0.0 {
            self.gflops.insert(job.work, gflops);
        }
        Ok(())
    }

    fn gflops(&self, work: Work) -> f64 {
        self.gflops.get(&work).copied().unwrap_or(USUAL_SHARE * self.matrix)
    }
}

/// About how long a row of so many steps takes.
pub(super) fn seconds(job: &Job, rates: &Rates, steps: f64) -> Result<f64> {
    let step = match job.work {
        Work::Load => LOAD_SECONDS,
        _ => job.batch as f64 * job.gflop_per_image()? / rates.gflops(job.work),
    };
    let network = PARAMETER_SECONDS * job.parameters() as f64;
    Ok(START_SECONDS + 2.0 * MATRIX_SECONDS + network + steps * (step + update(job)))
}

/// The part of a step that depends on the network alone.
fn update(job: &Job) -> f64 {
    match job.work {
        Work::Pretrain | Work::Finetune => UPDATE_SECONDS * job.parameters() as f64,
        Work::Predict | Work::Load => 0.0,
    }
}

/// Seconds of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    /// For one step and a warm-up before it.
    pub(super) least: f64,
    /// For as many as are worth it.
    pub(super) wanted: f64,
}

impl Cost {
    /// Of a row with its usual batch, which may shrink if it is not `fixed`, and so many steps to warm up.
    pub(super) fn new(job: &Job, fixed: bool, warmup: usize, rates: &Rates) -> Result<Self> {
        let batch = if fixed { job.batch } else { 1 };
        let smallest = Job { batch, ..job.clone() };
        let warmup = warmup as f64;
        let least = seconds(&smallest, rates, warmup + 1.0)?;
        let wanted = seconds(job, rates, warmup + FEW_STEPS)?;
        Ok(Self { least, wanted: wanted.max(ROW_SECONDS).max(least) })
    }

    /// What it gets where all may have `level`.
    fn share(self, level: f64) -> f64 {
        level.clamp(self.least, self.wanted)
    }
}

/// Shares `time` among the rows: all get equally much, but none less than it needs or more than it
/// wants. The costliest rows get none where the others would have too little.
pub(super) fn allot(rows: &[Cost], time: f64) -> Vec<Option<f64>> {
    let mut fitting: Vec<usize> = (0..rows.len()).collect();
    fitting.sort_by(|&a, &b| rows[a].least.total_cmp(&rows[b].least));
    while let Some(&costliest) = fitting.last() {
        let sum = |level| fitting.iter().map(|&row| rows[row].share(level)).sum::<f64>();
        // At this level, all that want more would have it.
        let enough = LEAST_ROW_SECONDS.min(time);
        if sum(0.0) <= time && (rows[costliest].least <= enough || sum(enough) <= time) {
            break;
        }
        fitting.pop();
    }

    let sum = |level| fitting.iter().map(|&row| rows[row].share(level)).sum::<f64>();
    let (mut low, mut high) = (0.0, time.max(0.0));
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if sum(middle) <= time { low = middle } else { high = middle }
    }
    let mut shares = vec![None; rows.len()];
    for &row in &fitting {
        shares[row] = Some(rows[row].share(low));
    }
    shares
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fcmae::config::{DecoderConfig, Size};

    use super::*;

    fn cost(least: f64, wanted: f64) -> Cost {
        Cost { least, wanted }
    }

    #[test]
    fn time_is_shared_equally_between_need_and_want() {
        let rows = [cost(1.0, 10.0), cost(8.0, 20.0), cost(1.0, 2.0)];
        let shares: Vec<f64> = allot(&rows, 15.0).into_iter().map(Option::unwrap).collect();
        for (share, expected) in shares.iter().zip([5.0, 8.0, 2.0]) {
            assert!((share - expected).abs() < 1e-6, "{shares:?}");
        }
        let ample: Vec<f64> = allot(&rows, 1000.0).into_iter().map(Option::unwrap).collect();
        assert_eq!(ample, [10.0, 20.0, 2.0]);
    }

    #[test]
    fn the_costliest_rows_are_left_out_first() {
        let rows = [cost(3.0, 6.0), cost(50.0, 90.0), cost(20.0, 40.0)];
        let shares = allot(&rows, 30.0);
        assert!(shares[0].is_some() && shares[2].is_some());
        assert_eq!(shares[1], None);
        assert_eq!(allot(&rows, -1.0), [None; 3]);
        // A row that would leave the others a second each gives way.
        let mut rows = [cost(0.5, 6.0); 11];
        rows[10] = cost(20.0, 40.0);
        let shares = allot(&rows, 30.0);
        assert!(shares[0].is_some_and(|share| (share - 3.0).abs() < 1e-6) && shares[10].is_none());
        assert!(allot(&rows[9..], 30.0)[1].is_some());
    }

    #[test]
    fn batches_shrink_with_the_network() {
        let batch = |work, size| {
            let decoder = DecoderConfig::default();
            batch(&Job { work, size, image: 224, batch: 1, mask_ratio: 0.6, decoder }, 2).unwrap()
        };
        assert_eq!(batch(Work::Pretrain, Size::Atto), 16);
        assert_eq!(batch(Work::Finetune, Size::Tiny), 1);
        assert_eq!(batch(Work::Predict, Size::Atto), 32);
        assert_eq!(batch(Work::Predict, Size::Huge), 1);
    }
}
