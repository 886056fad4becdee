//! What to look at in a run: rules over its numbers, in words and each with a remedy.

use fcmae_store::run::schema::{
    BlockFeatures, Change, Class, End, Ended, Evaluation, SHORT_PRETRAINING, StepFeatures,
    USUAL_PRETRAINING,
};
use fcmae_words::page::{number, percent};
use fcmae_words::{counted, grouped, list};

use crate::data::extremes;
use crate::evaluation::{by_class, standard_error};
use crate::run_folder::{Kind, Report};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Something went wrong, or is not worth much as it is.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something to look at.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) weight: Weight,
    /// In few words.
    pub(crate) title: &'static str,
    /// What was seen, what it means, what to do about it.
    pub(crate) text: String,
}

/// Fewer updates, or evaluations, tell nothing about a trend.
const FEWEST_UPDATES: u64 = 20;
/// A loss that ends above this share of its beginning did not fall.
const NOT_FALLEN: f64 = 0.98;
/// Overfitting: so many evaluations without a lower held-out loss, which has risen by this factor.
const EVALUATIONS_WITHOUT_GAIN: u64 = 2;
const RISEN: f64 = 1.05;
/// A class with fewer held-out pictures has an accuracy that one picture moves by a tenth.
const FEWEST_HELD_OUT: u64 = 10;
/// Shares from which waiting and skipping count.
const LONG_WAIT: f64 = 0.05;
const MANY_SKIPPED: f64 = 0.01;
/// So many times more pictures in the largest class than in the smallest are a lot.
const IMBALANCED: f64 = 5.0;
/// And so many are few.
const BALANCED: f64 = 1.5;

/// All findings, warnings first.
pub(crate) fn of(report: &Report) -> Vec<Finding> {
    let rules = [
        unfinished,
        ended_early,
        evaluated_before_the_end,
        changed,
        not_numbers,
        loss_not_falling,
        overfitting,
        no_better_than_guessing,
        collapsed,
        tested_on_training_pictures,
        never_predicted,
        warm_up_too_long,
        short_pretraining,
        waiting,
        skipped,
        unwatched,
        remarks,
        nothing_held_out,
        few_held_out,
        imbalance,
        empty_classes,
    ];
    let mut findings: Vec<Finding> = rules.iter().filter_map(|rule| rule(report)).collect();
    findings.sort_by_key(|finding| finding.weight);
    findings
}

fn warning(title: &'static str, text: String) -> Option<Finding> {
    Some(Finding { weight: Weight::Warning, title, text })
}

fn note(title: &'static str, text: String) -> Option<Finding> {
    Some(Finding { weight: Weight::Note, title, text })
}

fn unfinished(report: &Report) -> Option<Finding> {
    let planned = report.planned_epochs().filter(|_| !report.is_finished())?;
    if let Some(End { step, how: Ended::Failed, reason }) = &report.end {
        return warning(
            "The run ended with an error",
            format!(
                "After {} of training: {reason}. Once that is fixed, start the same command with `--resume`.",
                counted(*step, "step"),
            ),
        );
    }
    note(
        "The run is not finished",
        format!(
            "It has reached epoch {} of {}. If it is still running, write this page again later with \
             `fcmae report`; if it was stopped, start the same command with `--resume`.",
            number(report.epochs()),
            number(planned),
        ),
    )
}

fn ended_early(report: &Report) -> Option<Finding> {
    let end = report.end.as_ref().filter(|end| end.how == Ended::Finished)?;
    let planned = report.planned_epochs().filter(|&planned| report.epochs() < planned - 1e-6)?;
    note(
        "The run ended before its last epoch",
        format!(
            "{}, so it ended at epoch {} of {}. `export/best` has the best weights.",
            capitalized(&end.reason),
            number(report.epochs()),
            number(planned),
        ),
    )
}

fn evaluated_before_the_end(report: &Report) -> Option<Finding> {
    let evaluation = report.evaluation.as_ref().filter(|_| report.is_finished())?;
    let (last, _) = report.metrics.last?;
    // Earlier versions did not say it.
    (evaluation.step > 0 && evaluation.step < last).then_some(())?;
    warning(
        "The last weights were not evaluated",
        format!(
            "The numbers below are of step {}, and the run ended at step {}: after that, too many \
             of the held-out pictures could not be read. `log.txt` lists the evaluations without a result. To test the \
             last weights, put the pictures back and use `fcmae evaluate --held-out-of` with this run.",
            number(evaluation.step as f64),
            number(last as f64),
        ),
    )
}

fn changed(report: &Report) -> Option<Finding> {
    let told: Vec<String> = report
        .changes
        .iter()
        .map(|Change { step, setting, was, is }| {
            format!("after step {step} `{setting}` went from {was} to {is}")
        })
        .collect();
    let told = (!told.is_empty()).then(|| capitalized(&told.join("; ")))?;
    note(
        "Settings were changed during the run",
        format!(
            "{told}. The settings below are the final ones; a new run with them would not reproduce it."
        ),
    )
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn not_numbers(report: &Report) -> Option<Finding> {
    let bad = report.metrics.not_numbers;
    (bad > 0).then_some(())?;
    warning(
        "Updates were skipped",
        format!(
            "The loss or the gradient of {} was not a number (NaN or infinite), so no weight was \
             changed by {}. The pictures are kept in the run’s folder `diverged`. Look at them, lower \
             `optim.base_lr`, or set `optim.clip_norm`.",
            counted(bad, "update"),
            if bad == 1 { "it" } else { "them" },
        ),
    )
}

fn loss_not_falling(report: &Report) -> Option<Finding> {
    let loss = &report.metrics.loss;
    let (first, last) = (loss.first_tenth()?, loss.last_tenth()?);
    (loss.count() >= FEWEST_UPDATES && last > NOT_FALLEN * first).then_some(())?;
    warning(
        "The loss did not fall",
        format!(
            "It was {} in the first tenth of the updates and is {} in the last: the network has \
             learned next to nothing. Train for more epochs, or change `optim.base_lr` (lower it where \
             the loss jumps about, raise it where the curve is flat).",
            number(first),
            number(last),
        ),
    )
}

fn overfitting(report: &Report) -> Option<Finding> {
    let metrics = &report.metrics;
    let (lowest, since) = metrics.lowest?;
    let (low, last) = (lowest.loss?, metrics.latest?.loss?);
    let (then, now) = (metrics.loss.tenth_before(lowest.epoch)?, metrics.loss.last_tenth()?);
    let rising = since >= EVALUATIONS_WITHOUT_GAIN && last > RISEN * low && now < then;
    rising.then_some(())?;
    let still_better = metrics.best.is_some_and(|best| best.epoch > lowest.epoch);
    warning(
        "The network learns its training pictures by heart",
        format!(
            "Since epoch {} the loss on held-out pictures has risen from {} to {}, while the training \
             loss fell from {} to {} (overfitting). Fewer epochs, more pictures, stronger augmentation \
             or a higher `finetune.drop_path` help.{}",
            number(lowest.epoch),
            number(low),
            number(last),
            number(then),
            number(now),
            if still_better {
                " More pictures were still recognized afterwards, so what grew is mostly the certainty \
                 with which the network is wrong: its probabilities are too high."
            } else {
                " The weights of the best evaluation are in `export/best`."
            },
        ),
    )
}

fn no_better_than_guessing(report: &Report) -> Option<Finding> {
    let evaluation = report.evaluation.as_ref().filter(|evaluation| evaluation.images > 0)?;
    let (classes, which) = (by_class(evaluation), which(evaluation));
    let (name, largest) = classes.iter().max_by_key(|(_, fate)| fate.pictures)?;
    let share = largest.pictures as f64 / evaluation.images as f64;
    let margin = 2.0 * standard_error(share, evaluation.images);
    (classes.len() > 1 && evaluation.top1 < share + margin).then_some(())?;
    let as_large = classes.iter().filter(|(_, fate)| fate.pictures == largest.pictures).count();
    let answer = match as_large {
        1 => format!("“{name}”, the largest class,"),
        all if all == classes.len() => "any one class".to_owned(),
        _ => "one of the largest classes".to_owned(),
    };
    warning(
        "Hardly better than always naming one class",
        format!(
            "{} of the {which} pictures are recognized; always answering {answer} would give {}. \
             Train for more epochs, start from pre-trained weights, and check that the \
             folders hold what their names say.",
            percent(evaluation.top1),
            percent(share),
        ),
    )
}

fn collapsed(report: &Report) -> Option<Finding> {
    let StepFeatures { step, blocks, .. } = &report.features.as_ref()?.last;
    let found: Vec<&BlockFeatures> = blocks.iter().filter(|block| block.has_collapsed()).collect();
    let least =
        found.iter().copied().reduce(|a, b| if b.after_grn < a.after_grn { b } else { a })?;
    warning(
        "Features have collapsed",
        format!(
            "At step {}, {} of {} had channels that show much the same, most of all `{}`: the mean cosine distance between \
             two of its channels is {} (0.5 if they have nothing in common), and {} % of them are dead or saturated. \
             Such weights are a poor start. V1 blocks are known for it: use `model.block = \"v2\"`, which has GRN. \
             With V2, try a lower `optim.base_lr`. `fcmae diversity` draws the maps.",
            number(*step as f64),
            number(found.len() as f64),
            counted(blocks.len(), "block"),
            least.name,
            number((least.after_grn * 1000.0).round() / 1000.0),
            number((100.0 * least.idle_share()).round()),
        ),
    )
}

/// What the pictures of an evaluation are called.
fn which(evaluation: &Evaluation) -> &'static str {
    if evaluation.of.is_some() { "test" } else { "held-out" }
}

fn tested_on_training_pictures(report: &Report) -> Option<Finding> {
    let evaluation = report.evaluation.as_ref()?;
    match evaluation.trained_on {
        Some(0) => None,
        Some(count) => warning(
            "Test pictures that were trained on",
            format!(
                "{} of the {} test pictures were trained on, and the network has seen those: the accuracy on them says \
                 little about new pictures. Test on others, or with `fcmae evaluate --held-out-of` and this run, which \
                 takes those that it held out.",
                grouped(count),
                grouped(evaluation.images),
            ),
        ),
        None => warning(
            "Test pictures that may have been trained on",
            "When they were tested, it could not be told whether the network had been trained on some of them: what the \
             run recorded of its pictures, or the pictures themselves, could not be read."
                .to_owned(),
        ),
    }
}

fn never_predicted(report: &Report) -> Option<Finding> {
    let evaluation = report.evaluation.as_ref()?;
    let classes = by_class(evaluation);
    let never: Vec<&str> = classes
        .iter()
        .filter(|(_, fate)| fate.predicted == 0 && fate.pictures > 0)
        .map(|(name, _)| *name)
        .collect();
    (!never.is_empty()).then_some(())?;
    let remedy = match imbalance_of(report) {
        Some((_, _, ratio)) if ratio < BALANCED => format!(
            "All classes have about as many training pictures, so that is not the reason. The run made {}: train for more \
             epochs (`optim.epochs`), and look whether these folders hold what their names say.",
            counted(report.metrics.updates, "update"),
        ),
        _ => "Such a class usually has too few pictures: add some, or set `finetune.balanced = true`.".to_owned(),
    };
    warning(
        "Classes that are never predicted",
        format!("No {} picture was taken for {}. {remedy}", which(evaluation), list(&never)),
    )
}

fn warm_up_too_long(report: &Report) -> Option<Finding> {
    let warm_up = report.settings.number("optim.warmup_epochs").filter(|&epochs| epochs > 0.0)?;
    let planned = report.planned_epochs()?;
    (2.0 * warm_up > planned).then_some(())?;
    warning(
        if warm_up < planned {
            "Most of the run was warm-up"
        } else {
            "The learning rate never reached its peak"
        },
        format!(
            "Its warm-up takes {} epochs (`optim.warmup_epochs`), but the whole run has {}. Make the \
             warm-up a tenth of the run or so.",
            number(warm_up),
            number(planned),
        ),
    )
}

fn short_pretraining(report: &Report) -> Option<Finding> {
    // How many it is to make is not known before; and weights that a run began with may need few.
    let ends = report.kind == Kind::Pretraining
        && report.is_finished()
        && report.knows_start
        && report.start.is_none();
    let (updates, epochs) = report.metrics.last.filter(|_| ends)?;
    (updates < SHORT_PRETRAINING).then_some(())?;
    let warm_up = report.settings.number("optim.warmup_epochs").unwrap_or(0.0).min(epochs);
    let warming = match 2.0 * warm_up > epochs {
        true => ", most of them in the warm-up of the learning rate",
        false => "",
    };
    let enough = (USUAL_PRETRAINING as f64 * epochs / updates.max(1) as f64).ceil();
    warning(
        "A very short pre-training",
        format!(
            "It made {}{warming}. After so few, the features are little better than those of an untrained network, so \
             they do not show what pre-training is worth here. Train for more epochs (`optim.epochs`): plan for about \
             {} updates, which are {} on these pictures.",
            counted(updates, "update"),
            number(USUAL_PRETRAINING as f64),
            counted(enough as u64, "epoch"),
        ),
    )
}

fn waiting(report: &Report) -> Option<Finding> {
    let share = report.metrics.waiting().filter(|&share| share > LONG_WAIT)?;
    note(
        "Training waits for pictures",
        format!(
            "{} of the training time was spent waiting for pictures to be decoded and augmented. Raise \
             `data.workers`, store smaller pictures, or raise `data.cache_mib` so that all fit.",
            percent(share),
        ),
    )
}

fn skipped(report: &Report) -> Option<Finding> {
    let data = report.data.as_ref()?;
    let skipped = report.skipped_count();
    let all = data.pictures + data.held_out + data.unused + skipped;
    (skipped as f64 > MANY_SKIPPED * all as f64).then_some(())?;
    warning(
        "Many pictures cannot be read",
        format!(
            "{} of {} were left out. The list below says why: repair these pictures, or remove them.",
            counted(skipped, "picture"),
            number(all as f64),
        ),
    )
}

fn unwatched(report: &Report) -> Option<Finding> {
    let left_out = report.watch_left_out()?;
    warning(
        "The watched pictures could no longer be used",
        format!(
            "After epoch {} the run went on without them: {}. The training does not depend on them. To watch the \
             run again, put the pictures back and resume it; if they have moved, name their new place with `--watch`.",
            number(left_out.epoch as f64),
            left_out.why.trim_end_matches('.')
        ),
    )
}

fn remarks(report: &Report) -> Option<Finding> {
    let remarks = &report.data.as_ref()?.remarks;
    (!remarks.is_empty()).then_some(())?;
    warning("The pictures may not be what they should be", remarks.join(". ") + ".")
}

fn nothing_held_out(report: &Report) -> Option<Finding> {
    let nothing = report.kind == Kind::Finetuning
        && report.settings.number("finetune.held_out") == Some(0.0)
        && report.metrics.evaluations == 0
        && report.evaluation.is_none();
    nothing.then_some(())?;
    note(
        "No pictures were held out",
        "Nothing says how well the network does on pictures it has not seen (`finetune.held_out = 0`). \
         Use `fcmae evaluate --report` with other pictures."
            .to_owned(),
    )
}

fn few_held_out(report: &Report) -> Option<Finding> {
    let evaluation = report.evaluation.as_ref()?;
    let (classes, which) = (by_class(evaluation), which(evaluation));
    let few: Vec<&str> = classes
        .iter()
        .filter(|(_, fate)| fate.pictures < FEWEST_HELD_OUT)
        .map(|(name, _)| *name)
        .collect();
    (!few.is_empty()).then_some(())?;
    note(
        if evaluation.of.is_some() { "Few test pictures" } else { "Few held-out pictures" },
        format!(
            "{} {} fewer than {FEWEST_HELD_OUT} {which} pictures: one picture more or less moves such \
             an accuracy a lot. Look at the interval beside it, not at the number.",
            list(&few),
            if few.len() == 1 { "has" } else { "have" },
        ),
    )
}

/// The largest and the smallest class, and how many times more training pictures the first has.
fn imbalance_of(report: &Report) -> Option<(&Class, &Class, f64)> {
    let (largest, smallest) = extremes(report.data.as_ref()?)?;
    Some((largest, smallest, largest.training as f64 / smallest.training.max(1) as f64))
}

fn imbalance(report: &Report) -> Option<Finding> {
    let (largest, smallest, ratio) = imbalance_of(report)?;
    let balanced = report.settings.is_on("finetune.balanced");
    (report.kind == Kind::Finetuning && ratio >= IMBALANCED && !balanced).then_some(())?;
    note(
        "The classes differ a lot in size",
        format!(
            "“{}” has {} training pictures, “{}” {}. Networks then favour the large classes. Compare \
             the accuracies by class; `finetune.balanced = true` samples all classes equally often.",
            largest.name,
            number(largest.training as f64),
            smallest.name,
            number(smallest.training as f64),
        ),
    )
}

fn empty_classes(report: &Report) -> Option<Finding> {
    let empty = &report.data.as_ref()?.empty_classes;
    (!empty.is_empty()).then_some(())?;
    let names: Vec<&str> = empty.iter().map(String::as_str).collect();
    note(
        "Folders without pictures",
        match names.as_slice() {
            [one] => format!(
                "“{one}” holds no picture that can be read, and is not a class of this run."
            ),
            names => {
                let names = list(names);
                format!(
                    "{names} hold no picture that can be read, and are not classes of this run."
                )
            }
        },
    )
}

#[cfg(test)]
mod tests;
