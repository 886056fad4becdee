//! `fcmae settings`.

use anyhow::Result;
use clap::Args;
use fcmae::config::{FinetuneConfig, PretrainConfig, Setting, from_recipe, reference};
use fcmae_words::wrapped;

use crate::output;

/// List the settings of recipes and --set, or explain one
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae settings optim.base_lr
  fcmae settings mask
  fcmae pretrain --print-config > recipe.toml")]
pub(crate) struct Settings {
    /// A setting such as `optim.epochs`, or a group such as `optim` [default: all]
    #[arg(value_name = "KEY")]
    keys: Vec<String>,

    /// Print all settings as Markdown (docs/settings.md)
    #[arg(long, conflicts_with = "keys")]
    markdown: bool,
}

pub(super) fn run(args: &Settings) -> Result<()> {
    let all = Explained::all();
    if args.markdown {
        return output::print(&page(&all));
    }
    let mut found = Vec::new();
    for key in &args.keys {
        // Whoever copies an assignment wants to know of its setting.
        let key = key.split_once('=').map_or(key.as_str(), |(key, _)| key.trim());
        let below = format!("{key}.");
        let named = |of: &&Explained| of.key == key || of.key.starts_with(&below);
        let before = found.len();
        found.extend(all.iter().filter(named));
        if found.len() == before {
            return Err(unknown(key));
        }
    }
    let listed = if args.keys.is_empty() { all.iter().collect() } else { found };
    output::print(&listed.into_iter().map(text).collect::<Vec<_>>().join("\n"))
}

/// Says which setting was meant.
fn unknown(key: &str) -> anyhow::Error {
    let set = [format!("{key}=0")];
    let in_pretraining = from_recipe::<PretrainConfig>(None, &set).err();
    let in_finetuning = from_recipe::<FinetuneConfig>(None, &set).err();
    // Whichever knows the table.
    let of_finetuning = key.split('.').next() == Some("finetune");
    let error = if of_finetuning { in_finetuning } else { in_pretraining };
    error.map_or_else(|| anyhow::anyhow!("`{key}` is not a setting"), anyhow::Error::from)
}

/// A setting of either kind of run.
struct Explained {
    key: String,
    /// In pre-training and in fine-tuning.
    of: [Option<Setting>; 2],
}

const RUNS: [&str; 2] = ["pretrain", "finetune"];

impl Explained {
    /// Those of pre-training, then what fine-tuning adds.
    fn all() -> Vec<Self> {
        let mut finetuning = reference::<FinetuneConfig>();
        let mut all: Vec<Self> = Vec::new();
        for setting in reference::<PretrainConfig>() {
            let same = finetuning.iter().position(|of| of.key == setting.key);
            let other = same.map(|at| finetuning.remove(at));
            all.push(Self { key: setting.key.clone(), of: [Some(setting), other] });
        }
        all.extend(
            finetuning
                .into_iter()
                .map(|setting| Self { key: setting.key.clone(), of: [None, Some(setting)] }),
        );
        all
    }

    /// What each kind of run says of it, once where both say the same.
    fn texts(&self) -> Vec<String> {
        match &self.of {
            [Some(first), Some(second)] if first.text != second.text => {
                vec![first.text.clone(), format!("In fine-tuning: {}", second.text)]
            }
            of => of.iter().flatten().take(1).map(|setting| setting.text.clone()).collect(),
        }
    }

    /// The default, such as `200 (pretrain), 100 (finetune)`, with each value between `quotes`; `None` for a table.
    fn defaults(&self, quotes: &str) -> Option<String> {
        let default = |of: &Option<Setting>| of.as_ref().and_then(|of| of.default.clone());
        let quoted = |value: &str| format!("{quotes}{value}{quotes}");
        match [default(&self.of[0]), default(&self.of[1])] {
            [None, None] => None,
            [Some(first), Some(second)] if first == second => Some(quoted(&first)),
            of => {
                let named = of.into_iter().zip(RUNS);
                let named = named.filter_map(|(of, run)| Some(format!("{} ({run})", quoted(&of?))));
                Some(named.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn words(&self) -> impl Iterator<Item = &(String, String)> {
        self.of.iter().flatten().take(1).flat_map(|setting| &setting.words)
    }
}

/// For the terminal.
fn text(setting: &Explained) -> String {
    const WIDTH: usize = 90;
    let mut lines = vec![match setting.defaults("") {
        Some(default) => format!("{} = {default}", setting.key),
        None => format!("[{}]", setting.key),
    }];
    let mut add = |text: &str, indent: &str| {
        let wrapped = wrapped(text, WIDTH - indent.len()).into_iter();
        lines.extend(wrapped.map(|line| format!("{indent}{line}")));
    };
    for text in setting.texts() {
        add(&text, "    ");
    }
    for (word, text) in setting.words() {
        add(&format!("{word}: {text}"), "      ");
    }
    lines.join("\n") + "\n"
}

/// docs/settings.md.
fn page(all: &[Explained]) -> String {
    let mut page = "\
# Settings

All settings of recipes (`--config FILE`) and of `--set KEY=VALUE`, with their defaults. Written by
`fcmae settings --markdown`; don't edit it. `fcmae settings KEY` explains one, and `--print-config` of `fcmae pretrain`
and `fcmae finetune` prints them all as a recipe.

"
    .to_owned();
    for setting in all {
        let texts = setting.texts().join(" ");
        match setting.defaults("`") {
            None => page.push_str(&format!("\n## {}\n\n{texts}\n\n", setting.key)),
            Some(default) => {
                page.push_str(&format!("- `{}` = {default}: {texts}\n", setting.key));
            }
        }
        for (word, text) in setting.words() {
            page.push_str(&format!("  - `{word}`: {text}\n"));
        }
    }
    page
}
