//! Every command's help and the commonest errors, word for word: a change of what users read shows in the files of
//! `snapshots/`. `UPDATE_EXPECT=1` writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::expect_file;

use crate::command::{BINARY, Ran, fcmae};
use crate::trained::{Trained, copy_folder, draw};

fn snapshot(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots").join(name)
}

/// The names in the list of commands.
fn commands(help: &str) -> Vec<String> {
    let list = help.split_once("\nCommands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let names = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' ')).filter_map(|l| l.split(' ').next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn help_is_as_it_was_read() {
    let help = fcmae!("--help").done().stdout;
    expect_file![snapshot("fcmae.txt")].assert_eq(&help);
    let commands = commands(&help);
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let help = fcmae!(command, "--help").done().stdout;
        expect_file![snapshot(&format!("{command}.txt"))].assert_eq(&help);
    }
}

/// A folder with all that errors need, in which commands are run so that paths are short.
struct Errors {
    folder: PathBuf,
    /// What was called and said so far.
    page: String,
}

impl Errors {
    /// Runs a command that fails, and notes what it says. Words are separated by spaces.
    fn of(&mut self, about: &str, words: &str) {
        let mut command = Command::new(BINARY);
        command.args(words.split(' ')).current_dir(&self.folder).stdin(Stdio::null());
        let Ran { code, stderr, .. } = Ran::of(command);
        assert!(matches!(code, Some(1 | 2)), "{words}: {code:?}\n{stderr}");
        let code = code.unwrap();
        write!(self.page, "# {about}\n$ fcmae {words}\n{}[{code}]\n\n", stderr).unwrap();
    }
}

/// What goes wrong, and the words of the call, a line each.
const CALLS: &str = "\
A command that does not exist
pretrian
No pictures given
pretrain --out run
A folder that does not exist
pretrain --data pictrues --out run
A folder without pictures
pretrain --data empty --out run
Files that are no pictures
pretrain --data broken --out none --set optim.batch=1
A folder that holds something
pretrain --data pictures --out others --set optim.batch=2
A recipe that does not exist
pretrain --data pictures --out run --config small
A recipe with a mistake
pretrain --data pictures --out run --config typo.toml
A recipe of the other command
pretrain --data pictures --out run --config finetune-small
A number where a list is expected
pretrain --data pictures --out run --set data.image_size=64
A setting of the other command
finetune --data pictures --from scratch --out run --set mask.ratio=0.5
A setting that does not exist
pretrain --data pictures --out run --set optim.epoch=3
A value out of range
pretrain --data pictures --out run --set mask.ratio=60
Too few patches
pretrain --data pictures --out run --set data.image_size=[32,32]
A side that is no multiple
pretrain --data pictures --out run --set data.image_size=[100,100]
Fewer pictures than a batch
pretrain --data pictures --out run --config pretrain-small
Nothing to resume
pretrain --data pictures --out run --resume
A folder that is no run
report others
Vectors where pictures are expected
neighbours --data vectors.npy --weights pretrained
No start
finetune --data pictures --out run
No classes
finetune --data broken --from scratch --out run
One class
finetune --data others --from scratch --out run
Two splits
finetune --data split --from scratch --out run
A list without the column
finetune --data list.csv --from scratch --out run --set data.label_column=kind
Weights that are none
finetune --data pictures --from notes.txt --out run
Weights that do not exist
predict pictures/disc/00.png --weights run
Weights without classes
predict pictures/disc/00.png --weights pretrained
A picture that does not exist
predict disc.png --weights finetuned
Other classes
evaluate --data others --weights finetuned
Weights without a decoder
reconstruct pictures/disc/00.png --weights finetuned --out grid.png
A name without an ending
embed --data pictures --weights finetuned --out vectors
No labels
probe --data flat --weights finetuned
Nothing to compute with
neighbours --data pictures --sheet alike.html
A format that does not exist
export finetuned --format tensorflow --out exported
A device that does not exist
predict pictures/disc/00.png --weights finetuned --device gpu
A setting to explain
settings optim.lr
";

#[test]
fn common_errors_are_as_they_were_read() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    draw(&at("pictures"), &["disc", "square"], 4);
    draw(&at("split/train"), &["disc", "square"], 2);
    draw(&at("split/val"), &["disc", "square"], 2);
    draw(&at("others"), &["triangle"], 2);
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("flat")).unwrap();
    fs::copy(trained.picture(), at("flat/a.png")).unwrap();
    fs::create_dir_all(at("broken")).unwrap();
    for name in ["a.jpg", "b.jpg"] {
        fs::write(at("broken").join(name), "no picture").unwrap();
    }
    fs::write(at("notes.txt"), "weights?\n").unwrap();
    fs::write(at("typo.toml"), "[optim]\nepochs = \"ten\"\n").unwrap();
    fs::write(at("vectors.npy"), b"\x93NUMPY").unwrap();
    fs::write(at("list.csv"), "file,species\npictures/disc/00.png,owl\n").unwrap();
    for (run, name) in [(trained.pretrained(), "pretrained"), (trained.finetuned(), "finetuned")] {
        // Where the runs of other tests lie is nobody's business here.
        fs::create_dir(at(name)).unwrap();
        fs::copy(run.join("run.json"), at(name).join("run.json")).unwrap();
        copy_folder(&run.join("export"), &at(name).join("export"));
    }
    let mut errors = Errors { folder: folder.path().to_owned(), page: String::new() };

    let lines: Vec<&str> = CALLS.lines().collect();
    for call in lines.chunks_exact(2) {
        errors.of(call[0], call[1]);
    }
    expect_file![snapshot("errors.txt")].assert_eq(&errors.page);
}
