//! Pictures of three shapes, and a tiny net trained on them, once for all tests that need it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use image::{Rgb, RgbImage};
use tempfile::TempDir;

use crate::command::fcmae;

pub(crate) const CLASSES: [&str; 3] = ["disc", "square", "stripes, wide"];
/// Side of the pictures.
const SIDE: u32 = 32;

/// Settings of a tiny net and two epochs; the patches are 8 pixels wide.
pub(crate) const PRETRAIN: &str = r#"
[model]
size = "custom"
depths = [1, 1, 1, 1]
widths = [8, 12, 16, 24]
stem_stride = 1
[decoder]
width = 16
[data]
image_size = [32, 32]
[optim]
epochs = 2
warmup_epochs = 1
batch = 8
[save]
every_epochs = 1
"#;

/// As [`PRETRAIN`].
pub(crate) const FINETUNE: &str = r#"
[model]
size = "custom"
depths = [1, 1, 1, 1]
widths = [8, 12, 16, 24]
stem_stride = 1
[data]
image_size = [32, 32]
[optim]
epochs = 2
warmup_epochs = 1
batch = 8
[finetune]
held_out = 0.2
evaluate_every = 1
[save]
every_epochs = 1
"#;

/// Draws `count` pictures of each class into `folder/<class>/`.
pub(crate) fn draw(folder: &Path, classes: &[&str], count: u32) {
    for class in classes {
        let class_folder = folder.join(class);
        fs::create_dir_all(&class_folder).unwrap();
        for number in 0..count {
            shape(class, number).save(class_folder.join(format!("{number:02}.png"))).unwrap();
        }
    }
}

fn shape(class: &str, number: u32) -> RgbImage {
    let (middle, size) = (12 + number % 8, 5 + number % 6);
    let ink = Rgb([(number * 37 % 256) as u8, 200, (number * 91 % 256) as u8]);
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let (dx, dy) = (x.abs_diff(middle), y.abs_diff(middle));
        let inside = match class {
            "disc" => dx * dx + dy * dy < size * size,
            "square" => dx.max(dy) < size,
            _ => ((x + number) / 4).is_multiple_of(2),
        };
        if inside { ink } else { Rgb([250, 250, 240]) }
    })
}

/// A pre-trained and a fine-tuned run, and what they were trained on.
pub(crate) struct Trained {
    folder: TempDir,
}

impl Trained {
    /// The one that other tests use too, or a new one.
    pub(crate) fn get() -> Arc<Self> {
        // The folder goes when the last test that uses it ends.
        static SHARED: Mutex<Weak<Trained>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let trained = Arc::new(Self::train());
            *shared = Arc::downgrade(&trained);
            trained
        })
    }

    fn train() -> Self {
        let trained = Self { folder: tempfile::tempdir().unwrap() };
        draw(&trained.pictures(), &CLASSES, 12);
        fs::write(trained.recipe("pretrain"), PRETRAIN).unwrap();
        fs::write(trained.recipe("finetune"), FINETUNE).unwrap();
        fcmae!(
            "pretrain",
            "--data",
            trained.pictures(),
            "--out",
            trained.pretrained(),
            "--config",
            trained.recipe("pretrain"),
        )
        .done();
        fcmae!(
            "finetune",
            "--data",
            trained.pictures(),
            "--from",
            trained.pretrained(),
            "--out",
            trained.finetuned(),
            "--config",
            trained.recipe("finetune"),
        )
        .done();
        trained
    }

    pub(crate) fn pictures(&self) -> PathBuf {
        self.folder.path().join("pictures")
    }

    /// One picture.
    pub(crate) fn picture(&self) -> PathBuf {
        self.pictures().join("square/03.png")
    }

    /// `pretrain` or `finetune`.
    pub(crate) fn recipe(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.toml"))
    }

    pub(crate) fn pretrained(&self) -> PathBuf {
        self.folder.path().join("pretrained")
    }

    pub(crate) fn finetuned(&self) -> PathBuf {
        self.folder.path().join("finetuned")
    }
}

/// Every file below a folder with its content, to tell whether anything in it changed. Not the
/// lock, which says who looked at the run last.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".lock") {
                files.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
