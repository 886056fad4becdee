//! `fcmae predict`.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use fcmae::inference::predict::{Guess, Predictor};
use fcmae_data::Input;
use fcmae_data::source::printable;
use fcmae_words::counted;
use serde::Serialize;

use crate::failure::joined;
use crate::list::List;
use crate::options::{DeviceArg, TakenArg, WeightsArg};
use crate::output;
use crate::picture_arguments::PicturesArg;
use crate::picture_sets;
use crate::text_table::{Align, Table};

/// Predict the classes of pictures
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae predict cat.jpg dog.png --weights runs/fine
  fcmae predict photos/new --weights runs/fine --top 1 --format csv > answers.csv
  fcmae predict new.tar --weights runs/fine --top 1 --format csv > answers.csv")]
pub(crate) struct Predict {
    #[command(flatten)]
    pictures: PicturesArg,

    #[command(flatten)]
    weights: WeightsArg,

    #[command(flatten)]
    taken: TakenArg,

    #[command(flatten)]
    device: DeviceArg,

    /// Classes to print per picture, most probable first
    #[arg(long, value_name = "N", default_value = "5")]
    top: NonZeroUsize,

    /// Format of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text to read
    Table,
    /// An array with one object per picture
    Json,
    /// A header, then one line per picture and class
    Csv,
}

pub(super) fn run(args: &Predict) -> Result<()> {
    let backend = args.device.told()?;
    args.pictures.refuse_missing()?;
    let predictor = Predictor::of(&args.weights.open(&args.taken)?, &backend)?;
    let description = predictor.description();
    let pictures = args.pictures.pictures("predict", description.pages, Some("--pages all"))?;
    let lost = pictures.lost();
    for set in &pictures.sets {
        picture_sets::look(set, description)?;
    }
    let inputs = pictures.inputs;
    let single = inputs.iter().filter(|input| !matches!(input, Input::Sample { .. })).cloned();
    let single: Vec<Input> = single.collect();
    picture_sets::look_at_each(&single, description)?;
    let mut answers = Answers::new(args.format);
    let mut failed = lost;
    let all = lost + inputs.len() + pictures.unusable.len();
    let predictions = predictor.predict_all(inputs.clone(), args.top.get())?;
    let predicted = inputs.iter().zip(predictions).map(|(input, guesses)| match guesses {
        Err(error) if !error.is_of_picture() => Err(error),
        guesses => Ok((input.name(), guesses.map_err(|error| joined(&error.into())))),
    });
    let unusable = pictures.unusable.into_iter().map(|(file, why)| Ok((file, Err(why))));
    for answer in predicted.chain(unusable) {
        let Ok((name, guesses)) = answer else {
            // Of what computes them all: programs get a whole list of what there is.
            output::print(answers.end())?;
            return answer.map(|_| ()).map_err(Into::into);
        };
        output::print(&answers.next(&name, &guesses)?)?;
        if let Err(why) = guesses {
            failed += 1;
            output::note(&format!("no answer: {why}"));
        }
    }
    output::print(answers.end())?;
    if failed > 0 {
        bail!("{failed} of {} could not be used", counted(all, "picture"));
    }
    Ok(())
}

/// The text of one answer after the other, so that the first is printed before the last is known.
struct Answers {
    format: Format,
    count: usize,
}

impl Answers {
    fn new(format: Format) -> Self {
        Self { format, count: 0 }
    }

    /// The text for one picture, with what has to stand before it. A picture without an answer is
    /// listed in JSON only; the others keep to what a reader of them expects.
    fn next(&mut self, image: &Path, guesses: &Result<Vec<Guess>, String>) -> Result<String> {
        let first = self.count == 0;
        let image = printable(image);
        let mut text = match self.format {
            Format::Table if first || guesses.is_err() => String::new(),
            Format::Table => String::from("\n"),
            Format::Json => String::from(if first { "[\n" } else { ",\n" }),
            Format::Csv => String::from(if first { CSV_HEAD } else { "" }),
        };
        match (self.format, guesses) {
            (Format::Json, _) => text.push_str(&serde_json::to_string(&Answer {
                image: &image,
                classes: guesses.as_deref().ok(),
                error: guesses.as_ref().err().map(String::as_str),
            })?),
            (Format::Table, Ok(guesses)) => text.push_str(&table(&image, guesses)),
            (Format::Csv, Ok(guesses)) => text.push_str(&csv(&image, guesses)),
            (Format::Table | Format::Csv, Err(_)) => {}
        }
        self.count += usize::from(self.format != Format::Table || guesses.is_ok());
        Ok(text)
    }

    /// What has to stand after the last answer.
    fn end(&self) -> &'static str {
        match self.format {
            Format::Table | Format::Csv => "",
            Format::Json if self.count == 0 => "[]\n",
            Format::Json => "\n]\n",
        }
    }
}

const CSV_HEAD: &str = "image,rank,class,probability\n";

#[derive(Serialize)]
struct Answer<'a> {
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<&'a [Guess]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

fn table(image: &str, guesses: &[Guess]) -> String {
    let mut table = Table::new([("class", Align::Left), ("probability", Align::Right)]);
    for Guess { class, probability } in guesses {
        table.row([class.clone(), format!("{:.1}%", 100.0 * probability)]);
    }
    let text = table.text();
    // The line of headings would stand under every picture.
    let lines = text.lines().skip(1).map(|line| format!("  {line}\n"));
    std::iter::once(format!("{image}\n")).chain(lines).collect()
}

fn csv(image: &str, guesses: &[Guess]) -> String {
    let mut list = List::without_header();
    for (index, Guess { class, probability }) in guesses.iter().enumerate() {
        let (rank, probability) = ((index + 1).to_string(), probability.to_string());
        list.row([image, &rank, class, &probability]);
    }
    list.text()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(format: Format) -> String {
        let guess = |class: &str, probability| Guess { class: class.to_owned(), probability };
        let mut answers = Answers::new(format);
        let mut text = String::new();
        for (image, guesses) in [
            ("a.png", Ok(vec![guess("cat", 0.75), guess("dog, wet", 0.25)])),
            ("b.png", Err("b.png: cut short".to_owned())),
            ("c.png", Ok(vec![guess("dog, wet", 1.0)])),
        ] {
            text.push_str(&answers.next(Path::new(image), &guesses).unwrap());
        }
        text + answers.end()
    }

    #[test]
    fn answers_in_each_form() {
        assert_eq!(
            text(Format::Table),
            "a.png\n  cat             75.0%\n  dog, wet        25.0%\n\nc.png\n  dog, wet       100.0%\n"
        );
        assert_eq!(
            text(Format::Csv),
            "image,rank,class,probability\na.png,1,cat,0.75\na.png,2,\"dog, wet\",0.25\n\
             c.png,1,\"dog, wet\",1\n"
        );
        let json: serde_json::Value = serde_json::from_str(&text(Format::Json)).unwrap();
        assert_eq!(json[0]["classes"][1]["class"], "dog, wet");
        assert_eq!(json[1]["error"], "b.png: cut short");
        assert_eq!(json.as_array().unwrap().len(), 3);
    }
}
