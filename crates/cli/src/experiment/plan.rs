//! From an experiment to its jobs, in the order in which they are made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use fcmae::config::{FinetuneConfig, ModelConfig, PretrainConfig, Settings, from_recipe};
use fcmae::training;
use fcmae_data::source::printable;
use fcmae_data::{Labels, PictureSet};
use fcmae_report::experiment::{Budget, Cell, Distances, Score};
use fcmae_words::counted;
use fcmae_words::terminal::duration;
use serde_json::{Value, json};

use super::definition::{Base, Experiment, Part, Start};
use super::outcome::{Kind, Line, Outcome, Purpose};
use super::places::Places;
use crate::failure::Usage;
use crate::progress::Listing;
use crate::recipes;

/// An experiment with its recipes at hand.
pub(super) struct Plan {
    pub(super) experiment: Experiment,
    pretrain: Option<Recipe>,
    /// Those of the bases.
    bases: Vec<Recipe>,
    finetune: Recipe,
    /// The fingerprints of sets, once they were looked at.
    fingerprints: BTreeMap<Vec<String>, String>,
}

struct Recipe {
    origin: String,
    text: String,
}

/// Something to be made that takes time: a normal run and what is measured of it.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// A hash of what its result follows from: settings, pictures, and the pre-training before it.
    pub(super) key: String,
    pub(super) work: Work,
    pub(super) seed: u64,
    pub(super) variant: usize,
    pub(super) budget: usize,
    pub(super) purpose: Purpose,
    /// Position of its settings among the search's candidates.
    pub(super) candidate: Option<usize>,
    /// Settings that are not as by default.
    pub(super) settings: BTreeMap<String, Value>,
    pub(super) trained_on: Vec<String>,
    pub(super) tested_on: Vec<String>,
    /// Whether its settings are still to be chosen: those of the first candidate stand in.
    pub(super) undecided: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Work {
    /// `from`: the key of the pre-training that it goes on from; from scratch where there is none.
    Pretrain { config: Box<PretrainConfig>, from: Option<String> },
    /// `from`: the key of the pre-training; from scratch where there is none.
    Finetune { config: Box<FinetuneConfig>, from: Option<String> },
    /// The feature distance of a pre-training, over so many pictures.
    Diversity { of: String, pictures: usize },
}

impl Job {
    pub(super) fn kind(&self) -> Kind {
        match self.work {
            Work::Pretrain { .. } => Kind::Pretrain,
            Work::Finetune { .. } => Kind::Finetune,
            Work::Diversity { .. } => Kind::Diversity,
        }
    }

    /// The pre-training that it needs.
    pub(super) fn from(&self) -> Option<&str> {
        match &self.work {
            Work::Pretrain { from, .. } | Work::Finetune { from, .. } => from.as_deref(),
            Work::Diversity { of, .. } => Some(of),
        }
    }
}

/// Outcomes by their jobs' keys.
pub(super) type Outcomes = BTreeMap<String, Outcome>;

impl Plan {
    /// Reads an experiment and its recipes, and checks every variant's settings.
    ///
    /// # Errors
    /// A file that contradicts itself, a recipe or a setting that does not exist, with its place.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let experiment = Experiment::read(file)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let recipe = |name: &str| {
            let (origin, text) =
                recipes::built_in_or_beside(name, folder).with_context(|| printable(file))?;
            Ok::<_, anyhow::Error>(Recipe { origin, text })
        };
        let pretrain =
            experiment.pretrain.as_ref().map(|stage| recipe(&stage.recipe)).transpose()?;
        let bases =
            experiment.bases.iter().map(|base| recipe(&base.recipe)).collect::<Result<_>>()?;
        let finetune = recipe(&experiment.finetune.recipe)?;
        let plan = Self { experiment, pretrain, bases, finetune, fingerprints: BTreeMap::new() };
        plan.check_networks(&plan.jobs(&Outcomes::new(), Part::WHOLE)?)?;
        Ok(plan)
    }

    /// Refuses a variant from scratch whose network is another than that of the pre-trained ones, unless it
    /// says so itself: fine-tuning takes the network of its weights, training from scratch its own recipe's.
    fn check_networks(&self, jobs: &[Job]) -> Result<()> {
        let start = jobs.iter().find_map(|job| match &job.work {
            // A base may be of another network.
            Work::Pretrain { config, .. } if self.base_of(job).is_none() => Some(config),
            _ => None,
        });
        let Some(start) = start else { return Ok(()) };
        for job in jobs {
            let Work::Finetune { config, from: None } = &job.work else { continue };
            let variant = &self.experiment.variants[job.variant];
            let own = |key: &str| variant.finetune.iter().any(|setting| setting.starts_with(key));
            let network = |model: &ModelConfig| {
                (model.depths, model.widths, model.channels, model.stem_stride)
            };
            let other = if network(&config.model) != network(&start.model) && !own("model.") {
                "model"
            } else if config.data.image_size != start.data.image_size && !own("data.image_size") {
                "data.image_size"
            } else {
                continue;
            };
            let (file, name) = (printable(&self.experiment.path), &variant.name);
            return Err(Usage(format!(
                "{file}: variant {name:?} starts from scratch, but its {other} in [finetune] differs from that \
                 in [pretrain]: set both alike, or set it in the variant"
            ))
            .into());
        }
        Ok(())
    }

    /// Looks at the pictures: from here on jobs are named by what there is, so that a set with other pictures
    /// has results of its own.
    ///
    /// # Errors
    /// Pictures that are not there, or have no labels.
    pub(super) fn look(&mut self, places: &Places) -> Result<()> {
        self.fingerprints.clear();
        let data = &self.experiment.data;
        let settings: FinetuneConfig =
            self.finetune.settings(&[&self.experiment.finetune.set], self.experiment.seeds[0])?;
        let mut classes = Vec::new();
        for (name, sets) in
            [("train", &data.train), ("validation", &data.validation), ("test", &data.test)]
        {
            if sets.is_empty() {
                continue;
            }
            let file = || format!("{}, data.{name}", printable(&self.experiment.path));
            let mut listing = Listing::new("experiment");
            let mut told = |looked_at| listing.told(looked_at);
            let opening = settings.data.opening(Labels::Required, Some(&mut told));
            let found = PictureSet::open_all(&places.pictures(sets), opening).with_context(file)?;
            if classes.is_empty() {
                classes.clone_from(&found.classes);
            }
            if let Some(unknown) = found.classes.iter().find(|class| !classes.contains(class)) {
                let text =
                    format!("the class {unknown:?} is not in data.train; add it there, or drop it");
                return Err(Usage(format!("{}: {text}", file())).into());
            }
            let fingerprint = found.fingerprint();
            if self.fingerprints.values().any(|other| *other == fingerprint) {
                let text = "the same pictures are in another part of data; keep the parts apart";
                return Err(Usage(format!("{}: {text}", file())).into());
            }
            self.fingerprints.insert(sets.clone(), fingerprint);
        }
        for base in &self.experiment.bases {
            let file = || format!("{}, base {:?}", printable(&self.experiment.path), base.name);
            let mut listing = Listing::new("experiment");
            let mut told = |looked_at| listing.told(looked_at);
            let opening = settings.data.opening(Labels::Ignored, Some(&mut told));
            let found =
                PictureSet::open_all(&places.pictures(&base.data), opening).with_context(file)?;
            // Opened otherwise, such as with labels, the same files have another fingerprint.
            self.fingerprints.entry(base.data.clone()).or_insert_with(|| found.fingerprint());
        }
        Ok(())
    }

    /// All jobs, those before that others need: for each seed, each budget and each variant, so that an
    /// experiment that is not done yet has whole comparisons.
    ///
    /// # Errors
    /// Settings that cannot be run, with the variant.
    pub(super) fn jobs(&self, outcomes: &Outcomes, part: Part) -> Result<Vec<Job>> {
        let experiment = &self.experiment;
        let mut jobs = Jobs::default();
        for &seed in experiment.seeds.iter().take(part.seeds) {
            for budget in 0..experiment.budgets.len().min(part.budgets) {
                for variant in 0..experiment.variants.len() {
                    self.of_result(&mut jobs, outcomes, variant, budget, seed).with_context(
                        || {
                            let name = &experiment.variants[variant].name;
                            format!("{}, variant {name:?}", printable(&experiment.path))
                        },
                    )?;
                }
            }
        }
        Ok(jobs.list)
    }

    /// A reported fine-tuning and all that comes before it.
    fn of_result(
        &self,
        jobs: &mut Jobs,
        outcomes: &Outcomes,
        variant: usize,
        budget: usize,
        seed: u64,
    ) -> Result<()> {
        let experiment = &self.experiment;
        let chosen = self.choice(jobs, outcomes, variant, budget)?;
        let (candidate, undecided) = match chosen {
            Choice::Nothing => (None, false),
            Choice::Of(candidate) => (Some(candidate), false),
            Choice::Undecided => (Some(0), true),
        };
        let from = self.start(jobs, variant, budget, seed)?;
        if experiment.diversity > 0 && from.is_some() {
            jobs.add(from.clone().map(|of| self.diversity(of, variant, budget, seed)));
        }
        let test = &experiment.data.test;
        let mut job = self.finetuning(variant, budget, seed, candidate, from, test)?;
        (job.purpose, job.undecided) = (Purpose::Result, undecided);
        jobs.add(Some(job));
        Ok(())
    }

    /// Adds the jobs that choose settings for a variant with a budget, and says what they chose.
    fn choice(
        &self,
        jobs: &mut Jobs,
        outcomes: &Outcomes,
        variant: usize,
        budget: usize,
    ) -> Result<Choice> {
        let experiment = &self.experiment;
        let Some(search) = &experiment.search else { return Ok(Choice::Nothing) };
        let other = experiment.variants[variant].chosen_for.as_deref();
        let variant = other.and_then(|name| experiment.variant(name)).unwrap_or(variant);
        // The pre-training of the first seed serves, so that choosing costs fine-tunings alone.
        let from = self.start(jobs, variant, budget, experiment.seeds[0])?;
        let mut best = (f64::NEG_INFINITY, 0);
        let mut undecided = false;
        for candidate in 0..search.candidates.len() {
            let mut sum = 0.0;
            for &seed in &search.seeds {
                let validation = &experiment.data.validation;
                let job = self.finetuning(
                    variant,
                    budget,
                    seed,
                    Some(candidate),
                    from.clone(),
                    validation,
                )?;
                match outcomes.get(&job.key) {
                    None => undecided = true,
                    // One that came to nothing is never chosen.
                    Some(outcome) => {
                        sum += outcome.test.as_ref().map_or(f64::NEG_INFINITY, |test| test.top1);
                    }
                }
                jobs.add(Some(job));
            }
            if sum > best.0 {
                best = (sum, candidate);
            }
        }
        Ok(if undecided { Choice::Undecided } else { Choice::Of(best.1) })
    }

    /// Adds the pre-trainings before a variant's fine-tuning; the key of the one that it starts from, none from
    /// scratch.
    fn start(
        &self,
        jobs: &mut Jobs,
        variant: usize,
        budget: usize,
        seed: u64,
    ) -> Result<Option<String>> {
        let experiment = &self.experiment;
        let of = &experiment.variants[variant];
        let job = |config: PretrainConfig, seed, trained_on: &[String], from: Option<String>| {
            let settings = changed(&config);
            Job {
                key: self.key(Kind::Pretrain, &settings, trained_on, &[], from.as_deref()),
                work: Work::Pretrain { config: Box::new(config), from },
                seed,
                variant,
                budget,
                purpose: Purpose::Start,
                candidate: None,
                settings,
                trained_on: trained_on.to_vec(),
                tested_on: Vec::new(),
                undecided: false,
            }
        };
        let mut from = None;
        if let Some(place) = of.base.as_deref().and_then(|name| experiment.base(name)) {
            let (base, recipe) = (&experiment.bases[place], &self.bases[place]);
            let seed = base.seed.unwrap_or(seed);
            let base = job(recipe.settings(&[&base.set], seed)?, seed, &base.data, None);
            from = Some(base.key.clone());
            jobs.add(Some(base));
        }
        if let (Start::Pretrained, Some(stage), Some(recipe)) =
            (of.start, &experiment.pretrain, &self.pretrain)
        {
            let seed = stage.seed.unwrap_or(seed);
            let config = recipe.settings(&[&stage.set, &of.pretrain], seed)?;
            let own = job(config, seed, &experiment.data.train, from);
            from = Some(own.key.clone());
            jobs.add(Some(own));
        }
        Ok(from)
    }

    fn finetuning(
        &self,
        variant: usize,
        budget: usize,
        seed: u64,
        candidate: Option<usize>,
        from: Option<String>,
        tested_on: &[String],
    ) -> Result<Job> {
        let experiment = &self.experiment;
        let of = &experiment.variants[variant];
        let candidates = experiment.search.as_ref().map(|search| &search.candidates);
        let chosen = candidates.zip(candidate).map(|(all, place)| all[place].as_slice());
        let set = [
            experiment.finetune.set.as_slice(),
            &experiment.budgets[budget].finetune,
            &of.finetune,
            chosen.unwrap_or_default(),
        ];
        let mut config: FinetuneConfig = self.finetune.settings(&set, seed)?;
        config.optim.epochs *= of.times_epochs;
        config.optim.warmup_epochs *= of.times_epochs as f64;
        let settings = changed(&config);
        let trained_on = experiment.data.train.clone();
        let tested_on = tested_on.to_vec();
        Ok(Job {
            key: self.key(Kind::Finetune, &settings, &trained_on, &tested_on, from.as_deref()),
            work: Work::Finetune { config: Box::new(config), from },
            seed,
            variant,
            budget,
            purpose: Purpose::Choice,
            candidate,
            settings,
            trained_on,
            tested_on,
            undecided: false,
        })
    }

    fn diversity(&self, of: String, variant: usize, budget: usize, seed: u64) -> Job {
        let pictures = self.experiment.diversity;
        let settings = BTreeMap::from([("pictures".to_owned(), Value::from(pictures))]);
        let tested_on = self.experiment.data.test.clone();
        Job {
            key: self.key(Kind::Diversity, &settings, &[], &tested_on, Some(&of)),
            work: Work::Diversity { of, pictures },
            seed,
            variant,
            budget,
            purpose: Purpose::Result,
            candidate: None,
            settings,
            trained_on: Vec::new(),
            tested_on,
            undecided: false,
        }
    }

    /// Names a job by what its result follows from.
    fn key(
        &self,
        kind: Kind,
        settings: &BTreeMap<String, Value>,
        trained_on: &[String],
        tested_on: &[String],
        from: Option<&str>,
    ) -> String {
        // By their content where it is known: a set that is called otherwise is the same set.
        let pictures = |sets: &[String]| match self.fingerprints.get(sets) {
            Some(fingerprint) => vec![fingerprint.clone()],
            None => sets.to_vec(),
        };
        let settings: BTreeMap<_, _> =
            settings.iter().filter(|(name, _)| !training::changes_no_number(name)).collect();
        let all = json!([kind, settings, pictures(trained_on), pictures(tested_on), from]);
        blake3::hash(all.to_string().as_bytes()).to_hex()[..12].to_owned()
    }

    /// What a job is, in words, whatever its seed.
    pub(super) fn describe(&self, job: &Job) -> String {
        let experiment = &self.experiment;
        let variant = &experiment.variants[job.variant].name;
        let budget = &experiment.budgets[job.budget].name;
        let with = if budget.is_empty() { String::new() } else { format!(", {budget}") };
        match (&job.work, job.purpose) {
            (Work::Pretrain { .. }, _) => match self.base_of(job) {
                Some(base) => format!("pre-train the base {}", base.name),
                None => format!("pre-train {variant}"),
            },
            (Work::Diversity { .. }, _) => format!("feature distance of {variant}"),
            (_, Purpose::Choice) => format!("choose for {variant}{with}"),
            _ => format!("fine-tune {variant}{with}"),
        }
    }

    /// The base that a pre-training is, where it is no variant's own.
    fn base_of(&self, job: &Job) -> Option<&Base> {
        let Work::Pretrain { from: None, .. } = job.work else { return None };
        let base = self.experiment.variants[job.variant].base.as_deref()?;
        self.experiment.base(base).map(|place| &self.experiment.bases[place])
    }

    /// The same with its seed, and with the settings that it tries.
    pub(super) fn describe_one(&self, job: &Job) -> String {
        let text = format!("{}, seed {}", self.describe(job), job.seed);
        let candidates = self.experiment.search.as_ref().map(|search| &search.candidates);
        match (job.purpose, candidates.zip(job.candidate)) {
            (Purpose::Choice, Some((all, place))) => format!("{text}: {}", all[place].join(" ")),
            _ => text,
        }
    }

    /// The lines of `results.jsonl`: the jobs that are done, in their order.
    pub(super) fn lines(&self, jobs: &[Job], outcomes: &Outcomes) -> Vec<Line> {
        let done = |job: &Job| {
            let outcome = outcomes.get(&job.key)?.clone();
            Some(Line {
                variant: self.experiment.variants[job.variant].name.clone(),
                // A pre-training has no labels and so no budget.
                budget: match job.kind() {
                    Kind::Finetune => self.experiment.budgets[job.budget].name.clone(),
                    _ => String::new(),
                },
                purpose: job.purpose,
                outcome,
            })
        };
        jobs.iter().filter(|job| !job.undecided).filter_map(done).collect()
    }

    /// What was found so far, for the table, the page and the figure.
    pub(super) fn findings(&self, jobs: &[Job], outcomes: &Outcomes) -> fcmae_report::Experiment {
        let experiment = &self.experiment;
        let variants = experiment.variants.len();
        let mut budgets: Vec<Budget> = experiment
            .budgets
            .iter()
            .map(|budget| Budget {
                name: budget.name.clone(),
                cells: vec![Cell::default(); variants],
            })
            .collect();
        let mut distances = Vec::new();
        for job in jobs.iter().filter(|job| job.purpose == Purpose::Result && !job.undecided) {
            let Some(outcome) = outcomes.get(&job.key) else { continue };
            let cell = &mut budgets[job.budget].cells[job.variant];
            match (&outcome.test, &outcome.failed) {
                (Some(test), _) => {
                    cell.scores.push(Score { seed: job.seed, right: test.right.clone() });
                    let candidates = experiment.search.as_ref().map(|search| &search.candidates);
                    if let (Some(all), Some(place)) = (candidates, job.candidate) {
                        cell.chosen.clone_from(&all[place]);
                    }
                }
                (None, Some(why)) if job.kind() == Kind::Finetune => {
                    cell.failures.push((job.seed, why.clone()));
                }
                (None, Some(_)) => {}
                (None, None) => distances.push(Distances {
                    variant: job.variant,
                    seed: job.seed,
                    points: outcome.layers.iter().map(|at| (at.depth, at.after_grn)).collect(),
                }),
            }
        }
        fcmae_report::Experiment {
            title: experiment.title.clone(),
            paper: experiment.paper.clone(),
            about: experiment.about.clone(),
            baseline: experiment.variant(&experiment.baseline).unwrap_or_default(),
            seeds: experiment.seeds.len(),
            variants: experiment.variants.iter().map(|variant| variant.name.clone()).collect(),
            budgets,
            distances,
            facts: self.facts(jobs, outcomes),
        }
    }

    fn facts(&self, jobs: &[Job], outcomes: &Outcomes) -> Vec<(String, String)> {
        let experiment = &self.experiment;
        let done: Vec<&Outcome> = jobs.iter().filter_map(|job| outcomes.get(&job.key)).collect();
        let several = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join("; ");
        let seconds = done.iter().map(|outcome| outcome.seconds).sum::<f64>();
        let stage = |recipe: &str, set: &[String]| {
            std::iter::once(recipe.to_owned())
                .chain(set.iter().cloned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let shared = |seed: Option<u64>| {
            seed.map_or(String::new(), |seed| {
                format!(
                    " (one for all seeds, of seed {seed}; another one may give other differences)"
                )
            })
        };
        let mut facts = Vec::new();
        if let Some(pretrain) = &experiment.pretrain {
            let stage = stage(&pretrain.recipe, &pretrain.set);
            facts.push(("Pre-training".to_owned(), stage + &shared(pretrain.seed)));
        }
        for base in &experiment.bases {
            let of = format!("{} on {}", stage(&base.recipe, &base.set), base.data.join(" "));
            facts.push((format!("Base {}", base.name), of + &shared(base.seed)));
        }
        let finetune = &experiment.finetune;
        facts.push(("Fine-tuning".to_owned(), stage(&finetune.recipe, &finetune.set)));
        for budget in experiment.budgets.iter().filter(|budget| !budget.finetune.is_empty()) {
            facts.push((format!("Budget {}", budget.name), budget.finetune.join(" ")));
        }
        for variant in &experiment.variants {
            let mut own = [variant.pretrain.as_slice(), &variant.finetune].concat().join(" ");
            match (&variant.start, &variant.base) {
                (Start::Scratch, _) => own = format!("from scratch {own}"),
                (Start::Base, Some(base)) => own = format!("from the base {base} alone {own}"),
                (_, Some(base)) => own = format!("goes on from the base {base} {own}"),
                (_, None) => {}
            }
            if variant.times_epochs > 1 {
                own = format!("{own} {} × the epochs", variant.times_epochs);
            }
            if !own.trim().is_empty() {
                facts.push((format!("Variant {}", variant.name), own.trim().to_owned()));
            }
        }
        let data = &experiment.data;
        facts.push(("Trained on".to_owned(), data.train.join(" ")));
        if experiment.search.is_some() {
            facts.push(("Settings chosen on".to_owned(), data.validation.join(" ")));
        }
        facts.push(("Tested on".to_owned(), data.test.join(" ")));
        if !done.is_empty() {
            let cpus = done
                .iter()
                .map(|o| format!("{} ({})", o.made.cpu, counted(o.made.threads, "thread")));
            facts.push(("Processor".to_owned(), several(cpus.collect())));
            let program = |o: &&Outcome| match &o.made.commit {
                Some(commit) => format!("{} ({commit})", o.made.version),
                None => o.made.version.clone(),
            };
            facts.push(("fcmae".to_owned(), several(done.iter().map(program).collect())));
            let time = duration(Duration::from_secs_f64(seconds));
            facts.push(("Training of all runs".to_owned(), time));
        }
        facts
    }
}

/// What fine-tuning's settings are completed with.
enum Choice {
    /// There is nothing to choose.
    Nothing,
    /// This candidate.
    Of(usize),
    /// Not all candidates have been tried.
    Undecided,
}

/// Jobs in their order.
#[derive(Default)]
struct Jobs {
    list: Vec<Job>,
    /// Keys, and the variants and budgets that are reported.
    seen: BTreeSet<(String, Option<usize>, Option<usize>)>,
}

impl Jobs {
    /// A run stands once for all that start from it or choose by it, and once for each row of the table that
    /// it is reported in: two variants may come to the same settings.
    fn add(&mut self, job: Option<Job>) {
        let Some(job) = job else { return };
        let reported = (job.purpose == Purpose::Result).then_some(job.variant);
        let budget = reported.filter(|_| job.kind() == Kind::Finetune).map(|_| job.budget);
        if job.undecided || self.seen.insert((job.key.clone(), reported, budget)) {
            self.list.push(job);
        }
    }
}

impl Recipe {
    /// The recipe with settings over it, later ones over earlier ones, and a seed over all.
    fn settings<T: Settings>(&self, set: &[&[String]], seed: u64) -> Result<T> {
        let mut overrides = set.concat();
        overrides.push(format!("seed={seed}"));
        let settings: T = from_recipe(Some((&self.origin, &self.text)), &overrides)?;
        settings.check_new()?;
        Ok(settings)
    }
}

/// Settings that are not as by default, by their dotted names. A setting that a later version adds
/// changes nothing here, so that results stay those of their jobs.
fn changed<T: Settings>(config: &T) -> BTreeMap<String, Value> {
    let flat = |config: &T| {
        let mut values = BTreeMap::new();
        let value =
            serde_json::to_value(config).expect("settings are plain tables of plain values");
        flatten("", value, &mut values);
        values
    };
    let usual = flat(&T::default());
    flat(config).into_iter().filter(|(name, value)| usual.get(name) != Some(value)).collect()
}

fn flatten(name: &str, value: Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(&format!("{name}{dot}{key}"), value, into);
            }
        }
        leaf => {
            into.insert(name.to_owned(), leaf);
        }
    }
}

#[cfg(test)]
mod tests;
