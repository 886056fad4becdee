//! What a file for `fcmae experiment` says: an experiment, or a queue of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use fcmae_data::source::printable;
use fcmae_files::Limit;
use serde::Deserialize;

use crate::failure::Usage;
use crate::output;

/// Variants of a training, each with several seeds, tested on the same pictures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Experiment {
    /// The file's name without its ending.
    #[serde(skip)]
    pub(super) name: String,
    #[serde(skip)]
    pub(super) path: PathBuf,
    /// What is asked.
    pub(super) title: String,
    /// What is known from elsewhere.
    #[serde(default)]
    pub(super) paper: String,
    /// What is done.
    #[serde(default)]
    pub(super) about: String,
    /// Seeds of the runs that are reported.
    pub(super) seeds: Vec<u64>,
    /// The variant that the others are compared with.
    pub(super) baseline: String,
    pub(super) data: Data,
    /// Absent where every variant starts from scratch.
    pub(super) pretrain: Option<Pretrain>,
    /// Pre-trainings on other pictures, which variants begin from.
    #[serde(default)]
    pub(super) bases: Vec<Base>,
    pub(super) finetune: Stage,
    pub(super) search: Option<Search>,
    /// Pictures on which the feature distance of pre-trained networks is measured; 0 for none.
    #[serde(default)]
    pub(super) diversity: usize,
    #[serde(default = "one_budget")]
    pub(super) budgets: Vec<Budget>,
    pub(super) variants: Vec<Variant>,
}

/// Pictures, by their paths below `--data`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    pub(super) train: Vec<String>,
    /// What settings are chosen on.
    #[serde(default)]
    pub(super) validation: Vec<String>,
    /// What is reported.
    pub(super) test: Vec<String>,
}

/// A recipe and the settings that differ from it, as for `--config` and `--set`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stage {
    pub(super) recipe: String,
    #[serde(default)]
    pub(super) set: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pretrain {
    pub(super) recipe: String,
    #[serde(default)]
    pub(super) set: Vec<String>,
    /// One pre-training for all seeds; without it each seed has its own.
    pub(super) seed: Option<u64>,
}

/// A pre-training on pictures of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Base {
    pub(super) name: String,
    /// Its pictures, by their paths below `--data`.
    pub(super) data: Vec<String>,
    pub(super) recipe: String,
    #[serde(default)]
    pub(super) set: Vec<String>,
    /// One for all seeds; without it each seed has its own.
    pub(super) seed: Option<u64>,
}

/// Settings of which the best on the validation pictures are taken, for each variant and budget.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    /// Of fine-tunings, and others than those that are reported. They start from the pre-training of the first
    /// reported seed.
    pub(super) seeds: Vec<u64>,
    /// Settings of fine-tuning.
    pub(super) candidates: Vec<Vec<String>>,
}

/// How many labels or how much time every variant gets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budget {
    pub(super) name: String,
    #[serde(default)]
    pub(super) finetune: Vec<String>,
}

fn one_budget() -> Vec<Budget> {
    vec![Budget { name: String::new(), finetune: Vec::new() }]
}

/// Where a fine-tuning starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Start {
    /// From the variant's pre-training.
    #[default]
    Pretrained,
    /// From the variant's base as it is.
    Base,
    /// From random weights.
    Scratch,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variant {
    pub(super) name: String,
    #[serde(default)]
    pub(super) start: Start,
    /// The base that its pre-training begins from, or where `start` is `base` its fine-tuning.
    pub(super) base: Option<String>,
    #[serde(default)]
    pub(super) pretrain: Vec<String>,
    #[serde(default)]
    pub(super) finetune: Vec<String>,
    /// Factor on fine-tuning's epochs, warm-up included.
    #[serde(default = "once")]
    pub(super) times_epochs: u64,
    /// Takes the settings that were chosen for this other variant, in place of a search of its own.
    pub(super) chosen_for: Option<String>,
}

fn once() -> u64 {
    1
}

/// Experiments, the next first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Queue {
    queue: Vec<QueueEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueEntry {
    file: PathBuf,
    seeds: Option<usize>,
    budgets: Option<usize>,
}

/// The part of an experiment that is asked for; another entry of a queue may ask for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The first so many seeds.
    pub(super) seeds: usize,
    /// The first so many budgets.
    pub(super) budgets: usize,
}

impl Part {
    pub(super) const WHOLE: Self = Self { seeds: usize::MAX, budgets: usize::MAX };
}

/// An experiment, or a part of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) file: PathBuf,
    pub(super) part: Part,
}

/// The experiments that a file asks for: itself, or those of a queue in their order.
///
/// # Errors
/// A file that cannot be read or is no TOML.
pub(super) fn entries(file: &Path) -> Result<Vec<Entry>> {
    let text = text(file)?;
    let table: toml::Table = parse(file, &text)?;
    if !table.contains_key("queue") {
        return Ok(vec![Entry { file: file.to_owned(), part: Part::WHOLE }]);
    }
    let Queue { queue } = parse(file, &text)?;
    if queue.is_empty() {
        return Err(Usage(format!("{}: the queue is empty", printable(file))).into());
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let entry = |QueueEntry { file, seeds, budgets }| Entry {
        file: folder.join(file),
        part: Part { seeds: seeds.unwrap_or(usize::MAX), budgets: budgets.unwrap_or(usize::MAX) },
    };
    Ok(queue.into_iter().map(entry).collect())
}

impl Experiment {
    /// Reads and checks an experiment.
    ///
    /// # Errors
    /// A file that cannot be read, is no experiment, or contradicts itself, with the remedy.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let mut experiment: Self = parse(file, &text(file)?)?;
        experiment.path = file.to_owned();
        experiment.name =
            file.file_stem().map(|name| printable(Path::new(name))).unwrap_or_default();
        if experiment.name.starts_with('.') {
            let text = "results go to a folder named after the file, so its name must not begin with a dot";
            return Err(Usage(format!("{}: {text}", printable(file))).into());
        }
        if let Err(flaw) = experiment.check() {
            return Err(Usage(format!("{}: {flaw}", printable(file))).into());
        }
        Ok(experiment)
    }

    /// The position of the variant of this name.
    pub(super) fn variant(&self, name: &str) -> Option<usize> {
        self.variants.iter().position(|variant| variant.name == name)
    }

    /// The base of this name.
    pub(super) fn base(&self, name: &str) -> Option<usize> {
        self.bases.iter().position(|base| base.name == name)
    }

    /// No setting is given in two places of which one would win in silence.
    fn check_settings(&self) -> Result<(), String> {
        let stages = self.pretrain.iter().flat_map(|stage| &stage.set).chain(&self.finetune.set);
        let stages = stages.chain(self.bases.iter().flat_map(|base| &base.set));
        let budgets = self.budgets.iter().flat_map(|budget| &budget.finetune);
        let variants = || self.variants.iter().flat_map(|v| v.pretrain.iter().chain(&v.finetune));
        let candidates: Vec<&String> =
            self.search.iter().flat_map(|search| search.candidates.iter().flatten()).collect();
        let mut all = stages.chain(budgets).chain(variants()).chain(candidates.iter().copied());
        if let Some(seed) = all.find(|setting| key(setting) == "seed") {
            return Err(format!("{seed:?}: `seeds = [...]` sets the seeds of all runs; remove it"));
        }
        let chosen = |setting: &&String| candidates.iter().any(|other| key(other) == key(setting));
        let own =
            self.variants.iter().flat_map(|v| v.finetune.iter().map(move |set| (&v.name, set)));
        match own.into_iter().find(|(_, setting)| chosen(setting)) {
            Some((name, setting)) => Err(format!(
                "variant {name:?} sets {setting:?}, and the search sets {} too; drop one",
                key(setting)
            )),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), String> {
        distinct("seeds", &self.seeds)?;
        distinct("variants", &self.variants.iter().map(|v| &v.name).collect::<Vec<_>>())?;
        if !self.bases.is_empty() {
            distinct("bases", &self.bases.iter().map(|base| &base.name).collect::<Vec<_>>())?;
        }
        distinct("budgets", &self.budgets.iter().map(|budget| &budget.name).collect::<Vec<_>>())?;
        if self.variant(&self.baseline).is_none() {
            let baseline = &self.baseline;
            return Err(format!("baseline = {baseline:?} is {}", self.none_of_the_variants()));
        }
        self.check_data()?;
        self.check_settings()?;
        self.check_search()?;
        if self.diversity > 0 && self.data.test.len() > 1 {
            return Err("diversity is measured on one set, and data.test names several".to_owned());
        }
        self.variants.iter().try_for_each(|variant| {
            self.check_variant(variant).map_err(|flaw| format!("variant {:?}{flaw}", variant.name))
        })
    }

    /// To follow the name of a variant that does not exist.
    fn none_of_the_variants(&self) -> String {
        let names: Vec<_> = self.variants.iter().map(|v| format!("{:?}", v.name)).collect();
        format!("none of the variants; they are {}", names.join(", "))
    }

    /// There is something to train on and something to test on, and no picture is in two parts.
    fn check_data(&self) -> Result<(), String> {
        let data = &self.data;
        let unseen = |set: &&String| data.test.contains(set) || data.validation.contains(set);
        for base in &self.bases {
            if let Some(both) = base.data.iter().find(unseen) {
                return Err(format!(
                    "{both:?} is in the data of base {:?} and is tested on; keep their pictures apart",
                    base.name
                ));
            }
        }
        if let Some(base) = self.bases.iter().find(|base| base.data.is_empty()) {
            return Err(format!(
                "base {:?} has no data; name a folder, an archive or a list",
                base.name
            ));
        }
        for (what, sets) in [("train", &data.train), ("test", &data.test)] {
            if sets.is_empty() {
                return Err(format!("data.{what} is empty; name a folder, an archive or a list"));
            }
        }
        for (one, sets, other, others) in [
            ("train", &data.train, "test", &data.test),
            ("train", &data.train, "validation", &data.validation),
            ("validation", &data.validation, "test", &data.test),
        ] {
            if let Some(both) = sets.iter().find(|set| others.contains(set)) {
                return Err(format!(
                    "{both:?} is in data.{one} and in data.{other}; keep their pictures apart"
                ));
            }
        }
        Ok(())
    }

    /// Settings are chosen on pictures and with seeds of which nothing is reported.
    fn check_search(&self) -> Result<(), String> {
        let Some(search) = &self.search else { return Ok(()) };
        distinct("search.seeds", &search.seeds)?;
        distinct("search.candidates", &search.candidates)?;
        if let Some(seed) = search.seeds.iter().find(|seed| self.seeds.contains(seed)) {
            return Err(format!(
                "search.seeds has {seed}, which is reported too; choose settings with other seeds"
            ));
        }
        if self.data.validation.is_empty() {
            return Err("search chooses settings on data.validation, which is missing".to_owned());
        }
        Ok(())
    }

    /// The flaw of a variant, to follow its name.
    fn check_variant(&self, variant: &Variant) -> Result<(), String> {
        if !(1..=1000).contains(&variant.times_epochs) {
            let times = variant.times_epochs;
            return Err(format!(": times_epochs = {times}; it is 1 to 1000"));
        }
        match (variant.start, &self.pretrain) {
            (Start::Pretrained, None) => {
                return Err(" starts pre-trained, but there is no [pretrain]; add it, or set start = \"scratch\""
                    .to_owned());
            }
            (Start::Scratch | Start::Base, _) if !variant.pretrain.is_empty() => {
                return Err(" has settings for pre-training but does none; remove them".to_owned());
            }
            (Start::Scratch, _) if variant.base.is_some() => {
                return Err(" starts from scratch but has a base; remove one of the two".to_owned());
            }
            (Start::Base, _) if variant.base.is_none() => {
                return Err(" starts from its base and names none; add base = \"NAME\"".to_owned());
            }
            _ => {}
        }
        if let Some(base) = variant.base.as_ref().filter(|base| self.base(base).is_none()) {
            let names: Vec<_> = self.bases.iter().map(|base| format!("{:?}", base.name)).collect();
            let names =
                if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
            return Err(format!(": base = {base:?} is none of [[bases]]: {names}"));
        }
        let Some(other) = &variant.chosen_for else { return Ok(()) };
        match self.variant(other).map(|place| &self.variants[place]) {
            Some(found) if found.chosen_for.is_none() && self.search.is_some() => Ok(()),
            Some(_) => {
                Err(format!(": chosen_for = {other:?}, but no settings are searched for it"))
            }
            None => Err(format!(": chosen_for = {other:?} is {}", self.none_of_the_variants())),
        }
    }
}

/// What `KEY=VALUE` sets.
fn key(setting: &str) -> &str {
    setting.split('=').next().unwrap_or_default().trim()
}

fn distinct<T: Ord + std::fmt::Debug>(what: &str, values: &[T]) -> Result<(), String> {
    if values.is_empty() {
        return Err(format!("{what} is empty; there must be one at least"));
    }
    let mut seen = BTreeSet::new();
    match values.iter().find(|value| !seen.insert(*value)) {
        Some(twice) => Err(format!("{what} has {twice:?} twice")),
        None => Ok(()),
    }
}

/// Of a file of an experiment.
const LIMIT: Limit = Limit { bytes: 1 << 20, remedy: "check that it is a file of an experiment" };

fn text(file: &Path) -> Result<String> {
    output::refuse_missing(file, "file")?;
    if file.is_dir() {
        let text = format!("{}: a folder; name a file of an experiment in it", printable(file));
        return Err(Usage(text).into());
    }
    fcmae_files::text(file, LIMIT).map_err(output::cannot_read(file))
}

fn parse<T: serde::de::DeserializeOwned>(file: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        Usage(format!("{}: {}", printable(file), error.to_string().trim_end())).into()
    })
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    pub(in crate::experiment) const WHOLE: &str = r#"
title = "Sparse or dense"
seeds = [0, 1]
baseline = "sparse"
[data]
train = ["train"]
validation = ["validation"]
test = ["test"]
[pretrain]
recipe = "pretrain-tiles"
[finetune]
recipe = "finetune-tiles"
set = ["finetune.held_out=0"]
[search]
seeds = [100]
candidates = [["optim.base_lr=1e-3"], ["optim.base_lr=2e-3"]]
[[budgets]]
name = "1 %"
finetune = ["finetune.labels=0.01"]
[[variants]]
name = "sparse"
[[variants]]
name = "scratch"
start = "scratch"
[[variants]]
name = "scratch, longer"
start = "scratch"
times_epochs = 3
chosen_for = "scratch"
"#;

    fn flaw(from: &str, to: &str) -> String {
        assert!(WHOLE.contains(from), "{from}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sparse-or-dense.toml");
        fs::write(&file, WHOLE.replacen(from, to, 1)).unwrap();
        let error = Experiment::read(&file).unwrap_err().to_string();
        assert!(error.contains("sparse-or-dense.toml"), "the file is named: {error}");
        error
    }

    #[test]
    fn a_whole_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sparse-or-dense.toml");
        fs::write(&file, WHOLE).unwrap();
        let experiment = Experiment::read(&file).unwrap();
        assert_eq!(experiment.name, "sparse-or-dense");
        assert_eq!(experiment.variants[2].times_epochs, 3);
        assert_eq!(entries(&file).unwrap().len(), 1);
    }

    #[test]
    fn contradictions_are_refused_with_the_value_and_the_remedy() {
        for (from, to, expected) in [
            (
                "\"sparse\"\n[data]",
                "\"spares\"\n[data]",
                "is none of the variants; they are \"sparse\", \"scratch\"",
            ),
            ("seeds = [0, 1]", "seeds = []", "seeds is empty"),
            ("seeds = [0, 1]", "seeds = [0, 0]", "seeds has 0 twice"),
            ("seeds = [0, 1]", "seeds = [0, 100]", "search.seeds has 100"),
            ("[\"validation\"]", "[]", "data.validation, which is missing"),
            ("[\"validation\"]", "[\"test\"]", "in data.validation and in data.test"),
            ("train = [\"train\"]", "train = [\"test\"]", "in data.train and in data.test"),
            ("set = [\"finetune", "set = [\"seed=3\", \"finetune", "seed=3"),
            (
                "start = \"scratch\"\n[[",
                "start = \"scratch\"\nfinetune = [\"optim.base_lr=1\"]\n[[",
                "the search sets optim.base_lr too",
            ),
            ("times_epochs = 3", "times_epochs = 1000000", "times_epochs = 1000000"),
            ("test = [\"test\"]", "test = []", "data.test is empty"),
            ("times_epochs = 3", "times_epochs = 0", "times_epochs = 0"),
            ("chosen_for = \"scratch\"", "chosen_for = \"dense\"", "\"dense\" is none of"),
            ("[pretrain]\nrecipe = \"pretrain-tiles\"\n", "", "there is no [pretrain]"),
            (
                "name = \"scratch\"\n",
                "name = \"scratch\"\npretrain = [\"mask.ratio=0.5\"]\n",
                "does none; remove them",
            ),
            ("seeds = [0, 1]", "seed = [0, 1]", "unknown field `seed`"),
            ("name = \"sparse\"\n", "name = \"sparse\"\nbase = \"photos\"\n", "there are none"),
            ("name = \"sparse\"\n", "name = \"sparse\"\nstart = \"base\"\n", "names none"),
            ("start = \"scratch\"\n", "start = \"scratch\"\nbase = \"photos\"\n", "remove one"),
            (
                "[search]",
                "[[bases]]\nname = \"b\"\ndata = []\nrecipe = \"r\"\n[search]",
                "has no data",
            ),
            (
                "[search]",
                "[[bases]]\nname = \"b\"\ndata = [\"test\"]\nrecipe = \"r\"\n[search]",
                "is tested on",
            ),
        ] {
            let error = flaw(from, to);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_queue_names_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.toml");
        fs::write(&file, "[[queue]]\nfile = \"a.toml\"\nseeds = 1\n[[queue]]\nfile = \"b.toml\"\n")
            .unwrap();
        let entries = entries(&file).unwrap();
        assert_eq!(entries[0].file, folder.path().join("a.toml"));
        assert_eq!(entries[0].part, Part { seeds: 1, ..Part::WHOLE });
        assert_eq!(entries[1].part, Part::WHOLE);
    }
}
