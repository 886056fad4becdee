//! A look at some of a set's pictures before they are used: whether they are what a network can learn from.

use fcmae_data::source::printable;
use fcmae_data::statistics::ChannelStatistics;
use fcmae_data::{Advice, DataError, Input, Limits, Normalization, PictureSet, Remark, Statistics};
use fcmae_words::plural;

use crate::weights::Description;

/// Pictures looked at, at most.
const MOST: usize = 64;
/// Of large files fewer: so many bytes of them take less than a second.
const BYTES: u64 = 32 << 20;
const FEWEST: usize = 4;
/// The network's input has mean 0 and deviation 1 where `data.mean` and `data.std` are the pictures'. With those of
/// other sets it keeps within a few times that; in another unit it is off by 255 at least. Between these, in orders of
/// magnitude, lies 16: beyond it either way something is wrong.
const FAR: f64 = 16.0;

/// What was noticed of pictures that weights of this description are used on, each with a count and an example; nothing of
/// ordinary pictures.
///
/// # Errors
/// Threads that cannot be started.
pub fn survey(set: &PictureSet, description: &Description) -> Result<Vec<String>, DataError> {
    let found = found(set, description, Advice::Pictures)?;
    let unfit = unfit_weights(&found, description);
    Ok(told(found, unfit))
}

/// The same of pictures that are no set: of some, where they are many. Pages that are not used are left out: who makes
/// inputs of files decides about their pages.
///
/// # Errors
/// As [`survey`].
pub fn survey_inputs(
    inputs: &[Input],
    description: &Description,
) -> Result<Vec<String>, DataError> {
    let (format, limits) = (description.format(), description.limits());
    let workers = rayon::current_num_threads();
    let mut found = Statistics::of_inputs(inputs, format, Some(MOST), workers, &limits)?;
    found.remarks.retain(|remarked| remarked.kind != Remark::PAGES);
    let unfit = unfit_weights(&found, description);
    Ok(told(found, unfit))
}

/// The same of pictures that a network of this description is to be trained on, with advice on its settings.
///
/// # Errors
/// As [`survey`].
pub(crate) fn survey_for_training(
    set: &PictureSet,
    description: &Description,
) -> Result<Vec<String>, DataError> {
    let found = found(set, description, Advice::Settings)?;
    let unfit = unfit(&found, &description.normalization()).map(|how| {
        format!(
            "`data.mean` and `data.std` do not fit the pictures: {how}; use the values that `fcmae stats` finds; if \
             you did, check that the pictures are not blank"
        )
    });
    Ok(told(found, unfit))
}

/// The same of pictures that it is to be tested on meanwhile, which the settings need not be made for.
///
/// # Errors
/// As [`survey`].
pub(crate) fn survey_held_out(
    set: &PictureSet,
    description: &Description,
) -> Result<Vec<String>, DataError> {
    Ok(told(found(set, description, Advice::Settings)?, None))
}

fn found(
    set: &PictureSet,
    description: &Description,
    advice: Advice,
) -> Result<Statistics, DataError> {
    let each = set.mean_bytes().max(1);
    let count = usize::try_from(BYTES / each).unwrap_or(MOST).clamp(FEWEST, MOST);
    let (format, workers) = (description.format(), rayon::current_num_threads());
    let limits = Limits { advice, ..description.limits() };
    Statistics::of(set, format, Some(count), workers, &limits)
}

fn unfit_weights(found: &Statistics, description: &Description) -> Option<String> {
    unfit(found, &description.normalization()).map(|how| {
        format!(
            "mean and deviation of the weights do not fit the pictures: {how}; results may mean little. Check `mean` \
             and `std` in the weights' config.json, and that the weights were trained on such pictures"
        )
    })
}

/// How a mean and deviation make of the pictures what a network learns, or sees, little in.
fn unfit(found: &Statistics, normalization: &Normalization) -> Option<String> {
    unfit_channels(&found.channels, found.pictures, normalization)
}

fn unfit_channels(
    found: &[ChannelStatistics],
    pictures: usize,
    normalization: &Normalization,
) -> Option<String> {
    let settings = normalization.mean.iter().zip(&normalization.std);
    let settings = settings.map(|(&mean, &std)| [f64::from(mean), f64::from(std)]);
    let mut channels = found.iter().zip(settings).enumerate();
    let unfit = channels.find_map(|(channel, (found, [mean, std]))| {
        let made = [(found.mean - mean) / std, found.std / std];
        // A channel that is the same everywhere is so with any numbers, and a single picture may be nearly blank.
        let spreads = made[1] >= 1.0 / FAR || pictures < FEWEST;
        let fits = made[0].abs() <= FAR && made[1] <= FAR && spreads;
        (!fits && found.std > 0.0).then_some((channel, [found.mean, found.std], [mean, std], made))
    });
    let (channel, [has_mean, has_std], [mean, std], [level, spread]) = unfit?;
    let [has_mean, has_std, mean, std, level, spread] =
        [has_mean, has_std, mean, std, level, spread].map(short);
    Some(format!(
        "in {} examined, channel {} has mean {has_mean} and standard deviation {has_std}, which {mean} and {std} turn \
         into {level} and {spread} in the network's input (0 and 1 are ideal)",
        plural(pictures, "picture"),
        channel + 1,
    ))
}

/// A number in three digits or so, small or large.
fn short(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && !(1e-3..1e6).contains(&size) => format!("{value:.1e}"),
        size if size < 10.0 => format!("{}", (value * 1000.0).round() / 1000.0),
        _ => format!("{}", (value * 10.0).round() / 10.0),
    }
}

/// `unfit`: what is said of mean and deviation.
fn told(found: Statistics, unfit: Option<String>) -> Vec<String> {
    let told = found.remarks.into_iter().map(|remarked| {
        let (of, first) = (found.looked_at, printable(&remarked.first));
        format!(
            "{} of {of} pictures examined, such as {first}: {}",
            remarked.pictures, remarked.text
        )
    });
    told.chain(unfit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_and_deviation_in_another_unit_are_told() {
        let channel = |mean, std| ChannelStatistics {
            mean,
            std,
            min: 0.0,
            max: 1.0,
            percentile_1: 0.0,
            percentile_99: 1.0,
        };
        let told = |has: &[(f64, f64)], mean: &[f32], std: &[f32]| {
            let channels: Vec<_> = has.iter().map(|&(mean, std)| channel(mean, std)).collect();
            unfit_channels(&channels, 9, &Normalization { mean: mean.to_vec(), std: std.to_vec() })
        };
        let pixels = [(0.31, 0.2), (0.4, 0.25)];
        for (mean, std) in [
            // Its own, and those of other sets: light, dark, of little contrast.
            ([0.31, 0.4], [0.2, 0.25]),
            ([0.485, 0.456], [0.229, 0.224]),
            ([0.9, 0.05], [0.1, 0.05]),
            ([0.0, 1.0], [1.0, 1.0]),
        ] {
            assert_eq!(told(&pixels, &mean, &std), None, "{mean:?} {std:?}");
        }
        for (mean, std) in
            [([79.0, 102.0], [51.0, 64.0]), ([20_316.0, 26_214.0], [13_107.0, 16_384.0])]
        {
            let text = told(&pixels, &mean, &std).unwrap_or_default();
            for says in ["channel 1", "0.31", "9 pictures"] {
                assert!(text.contains(says), "{says} is not in: {text}");
            }
            assert!(text.contains(&mean[0].to_string()), "{text}");
        }
        let other = [(20_316.0, 13_107.0), (26_214.0, 16_384.0)];
        let text = told(&other, &[0.31, 0.4], &[0.2, 0.25]).unwrap_or_default();
        assert!(text.contains("20316") && text.contains("65535"), "{text}");
        // One channel alone, by its mean alone.
        let text = told(&pixels, &[0.31, 102.0], &[0.2, 0.25]).unwrap_or_default();
        assert!(text.contains("channel 2") && text.contains("-406.4"), "{text}");
        // Where a channel is the same everywhere that is told otherwise.
        assert_eq!(told(&[(0.0, 0.0)], &[0.5], &[0.25]), None);
        let text = told(&[(0.001, 0.0003)], &[0.5], &[0.25]).unwrap_or_default();
        assert!(text.contains("3.0e-4"), "{text}");
    }
}
