//! Parts of a data set that are not to be mixed, and are no classes: train, validation, test.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization as _;

use crate::error::DataError;
use crate::words::printable;

/// The split that a file belongs to by its path, as the Hub has it: a usual word in its name or in
/// that of a folder, the nearest first; else what stands before `-00000-of-00005`.
pub(super) fn split(path: &Path, by_number: bool) -> Option<String> {
    let stem = path.file_stem().and_then(OsStr::to_str)?;
    let folders = path.parent().into_iter().flat_map(Path::components).rev();
    let names = folders.filter_map(|part| part.as_os_str().to_str());
    let usual = std::iter::once(stem).chain(names).find_map(usual_split);
    let by_number = || numbered(stem).filter(|_| by_number).map(|part| part.name);
    usual.or_else(by_number).map(str::to_owned)
}

/// A file that is one of several: `train-00000-of-00005`.
struct Numbered<'a> {
    name: &'a str,
    part: usize,
    of: usize,
}

/// What a stem says of that; the Hub may add a hash behind it.
fn numbered(stem: &str) -> Option<Numbered<'_>> {
    let number = |text: &str| {
        let digits = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let (before, after) = stem.rsplit_once("-of-")?;
    let (name, part) = before.rsplit_once('-')?;
    let (part, of) = (number(part)?, number(after.split('-').next()?)?);
    (!name.is_empty()).then_some(Numbered { name, part, of })
}

/// The split that a name has a usual word for: `pets_val`, `train2017`.
fn usual_split(name: &str) -> Option<&'static str> {
    name.split(|character: char| !character.is_ascii_alphanumeric()).find_map(|word| {
        named_split(word)
            .or_else(|| named_split(word.trim_end_matches(|c: char| c.is_ascii_digit())))
    })
}

/// The words of a name but for that of its split, numbers, and what any split's folder may be called.
fn beside_the_split(name: &str) -> String {
    const ANY: [&str; 14] = [
        "data", "dataset", "set", "split", "image", "images", "img", "imgs", "picture", "pictures",
        "photos", "files", "folder", "sample",
    ];
    let words = name.split(|character: char| !character.is_ascii_alphanumeric());
    let words = words.map(|word| word.trim_matches(|c: char| c.is_ascii_digit()).to_lowercase());
    let rest = words.filter(|word| {
        !word.is_empty() && named_split(word).is_none() && !ANY.contains(&word.as_str())
    });
    rest.collect::<Vec<_>>().join(" ")
}

/// The split that a name is, whatever its letters.
pub(super) fn named_split(name: &str) -> Option<&'static str> {
    let letters: String = name.trim().chars().filter(|c| !" _-".contains(*c)).collect();
    Some(match letters.to_ascii_lowercase().as_str() {
        "train" | "training" | "trainset" | "trainingset" | "trn" | "traindata"
        | "trainingdata" | "trainval" => "train",
        "test" | "testing" | "testset" | "testingset" | "tst" | "testdata" | "testingdata"
        | "publictest" | "privatetest" | "eval" | "evaluation" => "test",
        "validation" | "valid" | "val" | "dev" | "valset" | "validationset" | "devset" => {
            "validation"
        }
        "holdout" | "heldout" => "holdout",
        _ => return None,
    })
}

/// Further words for splits, which are such only where all folders are called by words of one line.
const VOCABULARIES: [&[&str]; 13] = [
    &["tr", "te", "ts", "va", "vl"],
    &["query", "gallery", "train", "boundingboxtrain", "boundingboxtest", "gtbbox", "gtquery"],
    &["seen", "unseen"],
    &["entrenamiento", "entreno", "prueba", "pruebas", "validacion", "validación", "test"],
    &[
        "apprentissage",
        "entrainement",
        "entraînement",
        "essai",
        "test",
        "tests",
        "validation",
        "evaluation",
        "évaluation",
    ],
    &[
        "training",
        "trainingsdaten",
        "trainingsbilder",
        "trainingsset",
        "trainingsmenge",
        "test",
        "testdaten",
        "testbilder",
        "testset",
        "testmenge",
        "validierung",
        "validierungsdaten",
        "validierungsset",
    ],
    &["addestramento", "prova", "test", "validazione", "convalida"],
    &["treino", "treinamento", "teste", "testes", "validacao", "validação"],
    &["training", "trainingsdata", "testdata", "test", "validatie"],
    &["обучение", "обучающая", "тест", "тестовая", "валидация", "проверка"],
    &["训练", "训练集", "测试", "测试集", "验证", "验证集"],
    &[
        "訓練",
        "学習",
        "テスト",
        "検証",
        "評価",
        "訓練データ",
        "学習データ",
        "テストデータ",
        "検証データ",
    ],
    &["uczenie", "treningowe", "trening", "testowe", "test", "walidacja", "walidacyjne"],
];

/// Whether names are all words for splits in one language or habit.
fn are_of_one_vocabulary(names: &[&String]) -> bool {
    let words: Vec<String> = names
        .iter()
        .map(|name| {
            let letters = name.nfc().filter(|c| !" _-".contains(*c) && !c.is_ascii_digit());
            letters.flat_map(char::to_lowercase).collect()
        })
        .collect();
    VOCABULARIES.iter().any(|known| words.iter().all(|word| known.contains(&word.as_str())))
}

/// Refuses a folder with files of several splits: nobody means to train on the test pictures. `Err` is the reason.
/// What stands before `-00000-of-00005` counts as one where files are `numbered` so by the split, as the Hub does it.
pub(super) fn one_split(root: &Path, paths: &[PathBuf], numbered: bool) -> Result<(), String> {
    let mut splits = BTreeMap::<String, (usize, &Path)>::new();
    for path in paths {
        if let Some(split) = split(path.strip_prefix(root).unwrap_or(path), numbered) {
            splits.entry(split).or_insert((0, path)).0 += 1;
        }
    }
    if splits.len() < 2 {
        return Ok(());
    }
    let named: Vec<String> = splits
        .iter()
        .map(|(name, (count, _))| format!("{} ({count})", printable(Path::new(name))))
        .collect();
    let first = splits.get("train").or_else(|| splits.values().next());
    let first = first.map_or(String::new(), |(_, path)| printable(path));
    Err(format!(
        "it holds files of several splits: {}; name the files of those to use, such as {first}, or give \
         each split a folder of its own",
        named.join(", ")
    ))
}

/// A doubt where files are numbered as parts of more than there are: `-00000-of-00005`.
pub(super) fn missing_parts(paths: &[PathBuf]) -> Option<String> {
    let mut parts = BTreeMap::<(&Path, &str, usize), BTreeSet<usize>>::new();
    for path in paths {
        let folder = path.parent().unwrap_or(Path::new(""));
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        if let Some(Numbered { name, part, of }) = numbered(stem) {
            parts.entry((folder, name, of)).or_default().insert(part);
        }
    }
    let several = parts.keys().any(|(folder, ..)| Some(*folder) != paths[0].parent());
    let (&(folder, name, of), there) = parts.iter().find(|((.., of), there)| there.len() < *of)?;
    let first = (0..of).find(|part| !there.contains(part)).unwrap_or(0);
    let whole = if several { printable(&folder.join(name)) } else { name.to_owned() };
    Some(format!(
        "of {whole} {} of {of} parts are there; the first that is missing is {name}-{first:05}-of-{of:05}",
        there.len()
    ))
}

/// A doubt where the numbers of files leave some out, `train-000000` to `train-000003` without `train-000002`.
pub(super) fn gaps(paths: &[PathBuf]) -> Option<String> {
    let mut found = BTreeMap::<(&Path, &str, usize), BTreeSet<u64>>::new();
    for path in paths {
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let name = stem.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &stem[name.len()..];
        // As shards are numbered; years and days are other numbers.
        if let (Ok(number), true) = (digits.parse(), digits.len() >= 5 && !stem.contains("-of-")) {
            let folder = path.parent().unwrap_or(Path::new(""));
            found.entry((folder, name, digits.len())).or_default().insert(number);
        }
    }
    found.iter().find_map(|((folder, name, width), there)| {
        let (first, last) = (there.first()?, there.last()?);
        let gone = (last - first + 1) - there.len() as u64;
        let missing = (*first..=*last).find(|number| !there.contains(number))?;
        // Numbers far apart are no count.
        (gone < there.len() as u64).then(|| {
            format!(
                "between {name}{first:0width$} and {name}{last:0width$} in {}, {gone} of the numbers {} missing, the \
                 first {name}{missing:0width$}",
                printable(folder),
                if gone == 1 { "is" } else { "are" },
            )
        })
    })
}

/// The folders that pictures lie in, as far as they may be classes.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// Each with the folders in it.
    tops: BTreeMap<String, BTreeSet<String>>,
}

/// What folders are, if they are no classes.
pub(super) enum Layout {
    /// Splits, which are to be given one by one: what there is, and where.
    Splits { what: String, given: Vec<String> },
    /// One folder around others.
    Wrapped { given: String, folders: Vec<String> },
}

impl Folders {
    /// Of pictures by their paths, of which the first `depth` folders are passed over.
    pub(super) fn of<'a>(paths: impl Iterator<Item = &'a Path>, depth: usize) -> Self {
        let mut folders = Self::default();
        let mut last = None;
        for path in paths {
            let parent = path.parent();
            // Most lie beside the one before.
            if last == Some(parent) {
                continue;
            }
            last = Some(parent);
            let mut parts = parent.into_iter().flat_map(Path::iter).skip(depth);
            let Some(top) = parts.next() else { continue };
            let below = folders.tops.entry(printable(Path::new(top))).or_default();
            if let Some(next) = parts.next() {
                below.insert(printable(Path::new(next)));
            }
        }
        folders
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.tops.len()
    }

    /// What they are, but for classes. What is among `classes` is a class.
    pub(super) fn layout(&self, classes: Option<&[String]>) -> Option<Layout> {
        let class = |name: &str| classes.is_some_and(|known| known.iter().any(|k| k == name));
        let split = |name: &String| named_split(name).filter(|_| !class(name));
        let wordy = |name: &String| usual_split(name).filter(|_| !class(name));
        let kinds = |names: &[&String]| -> BTreeSet<&str> {
            names.iter().filter_map(|name| wordy(name)).collect()
        };
        let tops: Vec<&String> = self.tops.keys().collect();
        if tops.len() > 1 && !tops.iter().any(|name| class(name)) && are_of_one_vocabulary(&tops) {
            let given = tops.iter().map(|name| (*name).clone()).collect();
            return Some(Layout::Splits { what: joined(&tops), given });
        }
        let named: Vec<&String> =
            tops.iter().copied().filter(|name| split(name).is_some()).collect();
        // `pets_train` and `pets_val`, but neither `train_station` nor `test_tube`.
        let rests: BTreeSet<String> = tops.iter().map(|name| beside_the_split(name)).collect();
        let all_wordy = rests.len() < 2 && tops.iter().all(|name| wordy(name).is_some());
        let splits = match (kinds(&named).len() >= 2, all_wordy && kinds(&tops).len() >= 2) {
            (true, _) => Some(named),
            (false, true) => Some(tops.clone()),
            // Alone, a split has classes in it.
            _ if tops.len() == 1 && !named.is_empty() && !self.tops[tops[0]].is_empty() => {
                Some(named)
            }
            _ => None,
        };
        if let Some(splits) = splits {
            let given = splits.iter().map(|name| (*name).clone()).collect();
            return Some(Layout::Splits { what: joined(&splits), given });
        }
        let below: BTreeSet<&String> = self.tops.values().flatten().collect();
        let below: Vec<&String> = below.into_iter().collect();
        let each = !tops.is_empty() && self.tops.values().all(|names| !names.is_empty());
        let all_splits = below.iter().all(|name| split(name).is_some());
        if each && all_splits && kinds(&below).len() >= 2 {
            let top = tops[0];
            let given = match tops.len() {
                1 => below.iter().map(|name| format!("{top}/{name}")).collect(),
                _ => Vec::new(),
            };
            return Some(Layout::Splits { what: joined(&below), given });
        }
        if let [top] = tops[..]
            && self.tops[top].len() >= 2
            && !class(top)
        {
            let folders = self.tops[top].iter().cloned().collect();
            return Some(Layout::Wrapped { given: top.clone(), folders });
        }
        None
    }

    /// Refuses splits where classes are looked for. Gives what to say where there is one folder around all others.
    ///
    /// # Errors
    /// [`DataError::Splits`].
    pub(super) fn check(
        &self,
        root: &Path,
        classes: Option<&[String]>,
        archive: bool,
    ) -> Result<Option<String>, DataError> {
        Ok(match self.layout(classes) {
            None => None,
            Some(Layout::Wrapped { given, folders }) => {
                let folders: Vec<&str> = folders.iter().map(String::as_str).take(5).collect();
                let given = printable(&root.join(given));
                Some(format!(
                    "give {given} if its folders are the classes ({})",
                    folders.join(", ")
                ))
            }
            Some(Layout::Splits { what, given }) => {
                let path = root.to_path_buf();
                return Err(DataError::Splits {
                    path,
                    what,
                    remedy: remedy(root, &given, archive),
                });
            }
        })
    }

    /// What to say of splits where no classes are looked for.
    pub(super) fn mixed(&self, root: &Path, archive: bool) -> Option<String> {
        let Some(Layout::Splits { what, given }) = self.layout(None) else { return None };
        if given.len() == 1 {
            return None;
        }
        let remedy = remedy(root, &given, archive);
        Some(format!(
            "{}: it holds {what}, and pictures of all of them are used; to leave some out, {remedy}",
            printable(root)
        ))
    }

    /// A doubt where every folder that is taken for a class has the same folders in it: those may be the classes, and
    /// the outer ones years, folds or kinds of pictures.
    pub(super) fn alike(&self) -> Option<String> {
        let mut below = self.tops.values();
        let first = below.next()?;
        let doubtful = self.tops.len() > 1 && first.len() > 1 && below.all(|names| names == first);
        doubtful.then(|| {
            let tops = joined(&self.tops.keys().collect::<Vec<_>>());
            let inner = joined(&first.iter().collect::<Vec<_>>());
            format!(
                "{tops} are taken for the classes, and each of them has the folders {inner}: if those are the \
                 classes, give each of the outer folders by itself"
            )
        })
    }
}

fn remedy(root: &Path, given: &[String], archive: bool) -> String {
    let training = given.iter().find(|name| named_split(name) == Some("train"));
    match training.or_else(|| given.first()) {
        _ if archive => {
            "unpack it and give the folder of one of them, or write an archive of each".to_owned()
        }
        Some(first) => format!("give one of them: {}", printable(&root.join(first))),
        None => "give a list (.csv) of the pictures of one of them".to_owned(),
    }
}

fn joined(names: &[&String]) -> String {
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_two_words_are_no_splits() {
        let layout = |names: &[&str]| {
            let paths: Vec<PathBuf> =
                names.iter().map(|name| Path::new(name).join("1.png")).collect();
            let folders = Folders::of(paths.iter().map(PathBuf::as_path), 0);
            matches!(folders.layout(None), Some(Layout::Splits { .. }))
        };
        for names in [
            &["train_station", "test_pattern"][..],
            &["test_tube", "training_shoe"],
            &["test_tube", "training_shoe", "bottle"],
            &["test-tube", "val thorens"],
        ] {
            assert!(!layout(names), "{names:?}");
        }
        for names in [
            &["pets_train", "pets_val"][..],
            &["train2017", "val2017"],
            &["train_images", "test"],
            &["Train Data", "test_images_2"],
        ] {
            assert!(layout(names), "{names:?}");
        }
    }

    #[test]
    fn a_number_that_is_left_out_is_told() {
        let told = |names: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(|name| Path::new("d").join(name)).collect();
            gaps(&paths)
        };
        let note = told(&["t-000000.tar", "t-000001.tar", "t-000003.tar"]).unwrap_or_default();
        assert!(
            note.contains("1 of the numbers is missing") && note.ends_with("t-000002"),
            "{note}"
        );
        for names in [
            &["t-000001.tar", "t-000002.tar"][..],
            &["t-2019.tar", "t-2021.tar"],
            &["t-00001-of-00005.tar", "t-00003-of-00005.tar"],
            &["20240105.tar", "20240817.tar", "20240903.tar"],
        ] {
            assert_eq!(told(names), None, "{names:?}");
        }
    }

    #[test]
    fn splits_are_told_by_the_hubs_rules() {
        let cases = [
            ("data/train-00000-of-00005.parquet", Some("train")),
            ("train-00000-of-00005-a5f40523c7b11f2c.parquet", Some("train")),
            ("plain_text/validation/0000.parquet", Some("validation")),
            ("eval.parquet", Some("test")),
            ("data/pets_val.parquet", Some("validation")),
            ("train/test-0.parquet", Some("test")),
            ("unsupervised-00001-of-00002.parquet", Some("unsupervised")),
            ("x-train-0.tar", Some("train")),
            ("val2017.tar", Some("validation")),
            ("cats.parquet", None),
            ("trainer-of-cats.parquet", None),
        ];
        for (path, expected) in cases {
            assert_eq!(split(Path::new(path), true).as_deref(), expected, "{path}");
        }
    }
}
