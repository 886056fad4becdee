//! Pictures and vectors in the forms that commands take.

use std::fs;
use std::path::Path;

use crate::command::fcmae;
use crate::trained::CLASSES;

/// Puts all of a folder into an archive.
pub(crate) fn archive(folder: &Path, file: &Path) {
    let mut archive = tar::Builder::new(fs::File::create(file).unwrap());
    archive.append_dir_all(".", folder).unwrap();
    archive.finish().unwrap();
}

/// Lists the first `count` pictures of each class that [`draw`](crate::trained::draw) drew into a folder.
pub(crate) fn write_list(folder: &Path, count: u32, file: &Path) {
    let mut rows = "path,label\n".to_owned();
    for class in CLASSES {
        for number in 0..count {
            let picture = folder.join(format!("{class}/{number:02}.png"));
            rows += &format!("\"{}\",\"{class}\"\n", picture.display());
        }
    }
    fs::write(file, rows).unwrap();
}

/// The vectors of pictures, as `fcmae embed` writes them.
pub(crate) fn embed(data: &Path, weights: &Path, out: &Path) {
    fcmae!("embed", "--data", data, "--weights", weights, "--out", out).done();
}

/// CSV of vectors: the rows of a name, a label and values.
pub(crate) fn vectors(file: &Path, rows: &[(&str, &str, [f32; 2])]) {
    let row = |(name, label, [x, y]): &(&str, &str, [f32; 2])| format!("{name},{label},{x},{y}\n");
    let rows: String = rows.iter().map(row).collect();
    fs::write(file, format!("path,label,v0,v1\n{rows}")).unwrap();
}
