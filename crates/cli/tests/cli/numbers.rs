//! Pictures and masks at the edges of what arithmetic takes.

use std::fs;

use image::{Rgb, RgbImage};

use crate::command::fcmae;
use crate::trained::{CLASSES, Trained};

/// Fault 21: pictures without any variance, alone and with the least and the most hidden that can be:
/// every loss and gradient is a number, in pre-training and in fine-tuning.
#[test]
fn constant_pictures_give_finite_losses_at_both_ends_of_masking() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (number, class) in CLASSES.into_iter().enumerate() {
        fs::create_dir_all(at("pictures").join(class)).unwrap();
        for shade in 0..6 {
            // Black and white are among them.
            let mut pixel = [shade * 51; 3];
            pixel[number] = if shade == 5 { 255 } else { pixel[number] / 2 };
            let picture = RgbImage::from_pixel(32, 32, Rgb(pixel));
            picture.save(at("pictures").join(class).join(format!("{shade}.png"))).unwrap();
        }
    }
    let (pictures, pretrain, finetune) =
        (at("pictures"), trained.recipe("pretrain"), trained.recipe("finetune"));
    // One of 16 patches hidden, and one visible.
    for ratio in ["0.01", "0.6", "0.9375"] {
        let (pre, fine) = (at(&format!("pre-{ratio}")), at(&format!("fine-{ratio}")));
        let set = format!("mask.ratio={ratio}");
        fcmae!("pretrain", "--data", pictures, "--out", pre, "--config", pretrain, "--set", set)
            .done();
        fcmae!("finetune", "--data", pictures, "--from", pre, "--out", fine, "--config", finetune)
            .done();
        for run in [&pre, &fine] {
            let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
            let mut updates = 0;
            for line in metrics.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                // What is not a number is written as null.
                let values = ["loss", "grad_norm", "top1", "held_out_loss"];
                let null = values.iter().find(|&&name| line.get(name).is_some_and(|v| v.is_null()));
                assert!(null.is_none(), "{null:?} at {ratio}: {line}");
                updates += usize::from(line["loss"].is_number());
            }
            assert!(updates >= 2, "{metrics}");
        }
    }
    for ratio in ["0", "0.94", "1", "-0.5", "nan"] {
        let (none, set) = (at("none"), format!("mask.ratio={ratio}"));
        fcmae!("pretrain", "--data", pictures, "--out", none, "--config", pretrain, "--set", set)
            .refused(2, &["mask.ratio"]);
        assert!(!none.exists(), "{ratio} left a folder behind");
    }
}
