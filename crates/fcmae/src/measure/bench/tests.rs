#![allow(clippy::unwrap_used)]
use super::*;

fn job(work: Work, size: Size) -> Job {
    let decoder = DecoderConfig::default();
    Job { work, size, image: 224, batch: 1, mask_ratio: 0.6, decoder }
}

#[track_caller]
fn gflop(job: &Job, expected: f64) {
    let found = job.gflop_per_image().unwrap();
    assert!((found / expected - 1.0).abs() < 1e-6, "{job:?}: {found}, not {expected}");
}

/// Expected: PyTorch's operation counter on timm's networks, half of it being the multiply-adds
/// that the paper's table of sizes gives.
#[test]
fn operations_of_the_classifier() {
    let expected = [
        (Size::Atto, 1.09466496),
        (Size::Femto, 1.559259648),
        (Size::Pico, 2.73411072),
        (Size::Nano, 4.89105664),
        (Size::Tiny, 8.911062528),
        (Size::Base, 30.709458944),
        (Size::Large, 68.7228672),
        (Size::Huge, 229.84420096),
    ];
    assert_eq!(expected.map(|(size, _)| size), Size::ALL);
    for (size, forward) in expected {
        gflop(&job(Work::Predict, size), forward);
        // 56 · 56 sites of 4 · 4 · 3 values each.
        let stem = 2e-9 * (3136 * 48 * size.widths()[0]) as f64;
        gflop(&job(Work::Finetune, size), 3.0 * forward - stem);
    }
    // All but the head grows with the area.
    let head = 2e-9 * (320 * CLASSES) as f64;
    let larger = Job { image: 448, ..job(Work::Predict, Size::Atto) };
    gflop(&larger, 4.0 * (1.09466496 - head) + head);
}

/// Expected: PyTorch's operation counter on the masked-dense reference, its encoder on an image of
/// 19 patches, its prediction on 30.
#[test]
fn operations_of_the_masked_autoencoder() {
    let expected = [
        (Size::Atto, 2.19370368),
        (Size::Femto, 2.736803328),
        (Size::Pico, 4.108772352),
        (Size::Nano, 6.62317824),
        (Size::Tiny, 11.304817152),
        (Size::Base, 36.672746496),
        (Size::Large, 80.913647616),
        (Size::Huge, 268.393560576),
    ];
    assert_eq!(expected.map(|(size, _)| size), Size::ALL);
    for (size, step) in expected {
        let job = job(Work::Pretrain, size);
        assert_eq!(job.visible().unwrap(), [19, 49]);
        gflop(&job, step);
    }
}

#[test]
fn what_cannot_be_cut_or_masked_is_refused() {
    let odd = Job { image: 100, ..job(Work::Predict, Size::Atto) };
    assert!(odd.check().unwrap_err().to_string().contains("100×100"));
    let all = Job { mask_ratio: 1.0, ..job(Work::Pretrain, Size::Atto) };
    assert!(all.check().unwrap_err().to_string().contains("mask ratio of 1"));
    assert!(Bench::network(&all, &Backend::Cpu).is_err());
    assert!(Bench::network(&job(Work::Load, Size::Atto), &Backend::Cpu).is_err());
    assert!("fly".parse::<Work>().unwrap_err().to_string().contains("pretrain, finetune"));
}

#[test]
fn every_kind_of_network_steps() {
    for work in [Work::Pretrain, Work::Finetune, Work::Predict] {
        let job = Job { image: 64, batch: 2, ..job(work, Size::Atto) };
        let mut bench = Bench::network(&job, &Backend::Cpu).unwrap();
        assert_eq!(bench.images(), 2);
        for _ in 0..2 {
            assert!(bench.step().unwrap() > 0.0, "{work}");
        }
        assert!(job.memory_estimate(&Backend::Cpu).unwrap() > 4 * job.parameters() as u64);
    }
}

#[test]
fn loading_takes_evenly_spaced_pictures_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path(), 5).unwrap();
    let mut bench = Bench::load(folder.path(), 3, 32, 2).unwrap();
    assert_eq!(bench.images(), 3);
    for _ in 0..2 {
        assert!(bench.step().unwrap() > 0.0);
    }
    assert_eq!(Bench::load(folder.path(), 100, 32, 0).unwrap().images(), 5);
    let picture = image::open(folder.path().join("0004.jpg")).unwrap();
    assert_eq!((picture.width(), picture.height()), (533, 400));
}
