//! `fcmae embed`: pictures of every source to files of vectors.

use std::fs;
use std::path::Path;

use fcmae_vectors::Embeddings;
use fcmae_vectors::file::{Options, Writer};

use crate::command::{Ran, fcmae};
use crate::sources::archive;
use crate::trained::Trained;

fn embed(trained: &Trained, data: &Path, out: &Path) -> Ran {
    fcmae!("embed", "--data", data, "--weights", trained.finetuned(), "--out", out)
}

fn read(path: &Path) -> Embeddings {
    Embeddings::open(path).unwrap()
}

#[test]
fn every_form_and_every_source_has_the_same_vectors() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for form in ["parquet", "npy"] {
        embed(&trained, &trained.pictures(), &at("all").with_extension(form)).done();
    }
    embed(&trained, &trained.pictures(), &at("table.csv")).done();
    let found = read(&at("all.parquet"));
    assert_eq!((found.vectors.len(), found.vectors.width()), (36, 24));
    let origin = found.origin.clone().unwrap();
    assert_eq!((origin.features.as_str(), origin.image_size), ("pooled", [32, 32]));
    for form in ["all.npy", "table.csv"] {
        let other = read(&at(form));
        assert_eq!((&other.names, &other.labels), (&found.names, &found.labels), "{form}");
        assert_eq!((&other.vectors, &other.origin), (&found.vectors, &found.origin), "{form}");
    }
    let label = |name: &str| Path::new(name).parent().unwrap().file_name().unwrap().to_owned();
    for (name, found) in found.names.iter().zip(&found.labels) {
        assert_eq!(found.as_deref(), label(name).to_str());
    }

    // A tar of the folder, and a list of its files, half of them with labels.
    archive(&trained.pictures(), &at("all.tar"));
    embed(&trained, &at("all.tar"), &at("tar.npy")).done();
    assert_eq!(read(&at("tar.npy")).vectors, found.vectors);
    let rows = found.names.iter().map(|name| format!("\"{name}\"\n"));
    fs::write(at("list.csv"), format!("path\n{}", rows.collect::<String>())).unwrap();
    embed(&trained, &at("list.csv"), &at("listed.parquet")).done();
    let listed = read(&at("listed.parquet"));
    assert_eq!(listed.vectors, found.vectors);
    assert!(listed.labels.iter().all(Option::is_none));

    // Other features are other vectors, and told apart.
    let stage = fcmae!(
        "embed",
        "--data",
        trained.pictures(),
        "--weights",
        trained.pretrained(),
        "--features",
        "stage2",
        "--out",
        at("stage.parquet")
    );
    assert!(stage.done().stdout.contains("36 vectors of 12 values"));
    assert_eq!(read(&at("stage.parquet")).origin.unwrap().features, "stage2");
    fcmae!(
        "embed",
        "--data",
        trained.pictures(),
        "--weights",
        trained.pretrained(),
        "--features",
        "stage5",
        "--out",
        at("none.parquet")
    )
    .refused(2, &["stage5", "pooled"]);
}

#[test]
fn shards_are_the_whole_set_and_a_run_goes_on_to_the_same_bytes() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (whole, pictures) = (at("whole.parquet"), trained.pictures());
    embed(&trained, &pictures, &whole).done();
    let found = read(&whole);
    let shards = [1, 2, 3, 4, 5].map(|number| {
        let (shard, out) = (format!("{number}/5"), at(&format!("{number}.parquet")));
        fcmae!(
            "embed",
            "--data",
            &pictures,
            "--weights",
            trained.finetuned(),
            "--shard",
            &shard,
            "--out",
            &out
        )
        .done();
        out
    });
    let together = Embeddings::open_all(&shards).unwrap();
    assert_eq!((together.names, together.vectors), (found.names.clone(), found.vectors.clone()));

    // A run that was killed after 10 rows.
    let again = at("again.parquet");
    let origin = found.origin.clone().unwrap();
    let mut writer = Writer::begin(&again, &origin, Options::default()).unwrap();
    let values = &found.vectors.values()[..10 * found.vectors.width()];
    writer.append(&found.names[..10], &found.labels[..10], values).unwrap();
    drop(writer);
    embed(&trained, &pictures, &again)
        .refused(2, &["again.parquet.partial", "--resume", "--overwrite"]);
    let resume = |weights: &Path| {
        fcmae!("embed", "--data", &pictures, "--weights", weights, "--out", &again, "--resume")
    };
    resume(&trained.pretrained()).refused(1, &["different weights"]);
    let resumed = resume(&trained.finetuned()).done();
    assert!(resumed.stderr.contains("resuming after 10 pictures"), "{}", resumed.stderr);
    assert_eq!(fs::read(&again).unwrap(), fs::read(&whole).unwrap());
    let complete = resume(&trained.finetuned()).done();
    assert!(complete.stderr.contains("is complete already"), "{}", complete.stderr);
    embed(&trained, &pictures, &again).refused(2, &["again.parquet", "--overwrite"]);
}

#[test]
fn what_is_read_is_not_written_over() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.csv");
    let text = format!("path,label\n{},disc\n", trained.picture().display());
    fs::write(&list, &text).unwrap();
    for out in ["list.csv", "list.npy"] {
        let out = folder.path().join(out);
        fcmae!(
            "embed",
            "--data",
            list,
            "--weights",
            trained.pretrained(),
            "--out",
            out,
            "--overwrite"
        )
        .refused(2, &["list.csv", "is read by this command", "--out"]);
    }
    fcmae!("stats", "--data", list, "--recipe", list, "--overwrite")
        .refused(2, &["list.csv", "is read by this command", "--recipe"]);
    assert_eq!(fs::read_to_string(&list).unwrap(), text);
}

#[test]
fn a_picture_that_cannot_be_used_costs_no_other() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("mixed")).unwrap();
    for number in 0..3 {
        fs::copy(trained.picture(), at(&format!("mixed/{number}.png"))).unwrap();
    }
    fs::write(at("mixed/1.png"), b"no picture").unwrap();
    let ran = embed(&trained, &at("mixed"), &at("some.csv"));
    ran.refused(1, &["1 of 3 pictures could not be used"]);
    let found = read(&at("some.csv"));
    assert_eq!(found.vectors.len(), 2);
    assert_eq!(found.vectors.row(0), found.vectors.row(1));
    fs::remove_file(at("mixed/0.png")).unwrap();
    fs::remove_file(at("mixed/2.png")).unwrap();
    embed(&trained, &at("mixed"), &at("none.csv")).refused(1, &["none of 1 picture"]);
    assert!(!at("none.csv").exists());
    embed(&trained, &at("mixed"), &at("out.txt")).refused(1, &["out.txt", ".parquet"]);
    embed(&trained, &at("nowhere"), &at("out.csv")).refused(2, &["nowhere"]);
}

#[test]
fn lists_that_name_other_pictures_alike_keep_their_own_labels() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let lists = ["cat", "dog"].map(|class| {
        let own = folder.path().join(class);
        fs::create_dir(&own).unwrap();
        for number in [1, 2] {
            fs::copy(trained.picture(), own.join(format!("{number}.png"))).unwrap();
        }
        let list = own.join("list.csv");
        fs::write(&list, format!("path,label\n1.png,{class}\n2.png,other {class}\n")).unwrap();
        list
    });
    let out = folder.path().join("both.csv");
    let [cats, dogs] = &lists;
    fcmae!("embed", "--data", cats, dogs, "--weights", trained.finetuned(), "--out", &out).done();
    let found = read(&out);
    for (name, label) in found.names.iter().zip(&found.labels) {
        let class = Path::new(name).parent().unwrap().file_name().unwrap().to_str().unwrap();
        assert!(label.as_deref().unwrap().ends_with(class), "{name}: {label:?}");
    }
    assert_eq!(found.names.len(), 4);
}
