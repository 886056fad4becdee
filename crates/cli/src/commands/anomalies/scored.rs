//! Pictures with their scores, as a table and in a few lines.

use anyhow::Result;
use fcmae_vectors::auroc::auroc_interval;
use fcmae_words::{counted, grouped};

use super::kinds::Kinds;
use crate::list::List;

/// A picture of --data.
pub(super) struct Row {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) label: Option<String>,
    pub(super) score: f32,
    /// None where no normal picture has a score.
    pub(super) share: Option<f64>,
}

/// How many pictures look odd, and how well that tells the kinds apart where they are known.
pub(super) fn summary(
    found: &[Row],
    [compared, same]: [usize; 2],
    kinds: &Kinds,
    labels: &[Option<String>],
) -> Result<Vec<String>> {
    let mut lines = vec![];
    let within = |percent: usize| {
        let share = percent as f64 / 100.0;
        let count =
            found.iter().filter(|row| row.share.is_some_and(|found| found <= share)).count();
        format!("{} with a normal_share of at most {percent}%", grouped(count))
    };
    // With fewer normal pictures no share is so small.
    let reachable = [1, 5].into_iter().filter(|percent| percent * (compared + 1) >= 100);
    let within: Vec<String> = reachable.map(within).collect();
    if !within.is_empty() {
        lines.push(format!("{}: {}", counted(found.len(), "picture"), within.join(", ")));
    }
    let Some(normal) = &kinds.normal else { return Ok(lines) };
    let known = found.iter().filter_map(|row| Some((row.score, row.label.as_ref()?)));
    let (scores, anomalous): (Vec<f32>, Vec<bool>) =
        known.map(|(score, label)| (score, !normal.contains(label))).unzip();
    if same > 0 {
        lines.push("no AUROC: pictures of --data are among the normal ones".to_owned());
        return Ok(lines);
    }
    let positives = anomalous.iter().filter(|anomalous| **anomalous).count();
    let negatives = scores.len() - positives;
    if scores.is_empty() && labels.iter().any(Option::is_some) {
        lines.push("no AUROC: no labelled picture of --data has a score".to_owned());
        return Ok(lines);
    }
    if positives == 0 || negatives == 0 {
        if labels.iter().any(Option::is_some) {
            let kind = if positives == 0 { "normal" } else { "anomalous" };
            lines.push(format!("no AUROC: all labelled pictures of --data are {kind}"));
        }
        return Ok(lines);
    }
    let (area, interval) = auroc_interval(&scores, &anomalous)?;
    let interval = match interval {
        Some([low, high]) => format!("95% interval {low:.3} to {high:.3}"),
        None => "one picture of a kind allows no interval".to_owned(),
    };
    lines.push(format!(
        "AUROC {area:.3} ({interval}), {} and {} normal",
        counted(positives, "anomalous picture"),
        grouped(negatives)
    ));
    Ok(lines)
}

/// The scores as CSV.
pub(super) fn table(found: &[Row]) -> String {
    let mut list = List::new(["path", "label", "score", "normal_share"]);
    for Row { name, label, score, share, .. } in found {
        let share = share.map_or(String::new(), |share| format!("{share:.6}"));
        list.row([name, label.as_deref().unwrap_or_default(), &score.to_string(), &share]);
    }
    list.text()
}
