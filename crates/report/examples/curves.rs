//! Draws what runs logged, one line a run, as an SVG: the mean of a value over each epoch.
//!
//! ```text
//! cargo run --release -p fcmae-report --example curves -- loss curves.svg RUN [RUN…]
//! ```
//! The value is one that `metrics.jsonl` holds: `loss`, `lr`, `top1`, `images_per_second`, …

use std::collections::BTreeMap;
use std::path::Path;

use fcmae_report::plots::{Chart, Series};
use fcmae_store::run::files::METRICS;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [value, out, runs @ ..] = arguments.as_slice() else {
        return Err("give a value, a file to write, and one run or more".into());
    };
    let mut chart = Chart::new(format!("{value} over epochs"), "epoch", value.as_str());
    for run in runs {
        let name = Path::new(run).file_name().unwrap_or_default().to_string_lossy();
        chart = chart.series(Series::new(name, epoch_means(Path::new(run), value)?));
    }
    chart.save(Path::new(out))?;
    Ok(())
}

/// The value's mean over each epoch of a run.
fn epoch_means(run: &Path, value: &str) -> Result<Vec<(f64, f64)>, Failure> {
    let path = run.join(METRICS);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut epochs: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        if let (Some(epoch), Some(number)) = (line["epoch"].as_f64(), line[value].as_f64()) {
            // The step that ends an epoch belongs to it.
            epochs.entry(epoch.ceil() as u64).or_default().push(number);
        }
    }
    let mean = |numbers: &Vec<f64>| numbers.iter().sum::<f64>() / numbers.len() as f64;
    Ok(epochs.iter().map(|(&epoch, numbers)| (epoch as f64, mean(numbers))).collect())
}
