#![allow(clippy::unwrap_used)]
use super::*;

fn evaluation(confusion: Vec<Vec<u64>>) -> Evaluation {
    let images = confusion.iter().flatten().sum();
    let classes = (0..confusion.len()).map(|class| format!("c{class}")).collect();
    Evaluation { epoch: 1.0, images, top1: 0.5, classes, confusion, mistakes: Vec::new() }
}

/// `statsmodels.stats.proportion.proportion_confint(right, all, method="wilson")`.
#[test]
fn intervals_are_those_of_statsmodels() {
    let cases = [
        (0, 1, 0.0, 0.793_450_685_622_762_7),
        (1, 1, 0.206_549_314_377_237_4, 1.0),
        (5, 8, 0.305_742_394_602_629_3, 0.863_155_714_176_402_7),
        (0, 16, 0.0, 0.193_607_680_534_436_55),
        (10, 10, 0.722_467_200_137_110_6, 1.0),
        (236, 273, 0.818_774_974_409_311, 0.900_047_996_859_920_7),
        (4500, 10_000, 0.440_270_355_608_599_95, 0.459_768_044_228_467_6),
    ];
    for (right, all, low, high) in cases {
        let [from, to] = interval(right, all);
        assert!((from - low).abs() < 1e-12, "{right} of {all}: {from}, not {low}");
        assert!((to - high).abs() < 1e-12, "{right} of {all}: {to}, not {high}");
    }
    assert_eq!(interval(0, 0), [0.0, 1.0]);
}

#[test]
fn classes_are_counted_by_rows_and_columns() {
    let evaluation = evaluation(vec![vec![8, 1, 1], vec![0, 3, 0], vec![2, 5, 0]]);
    assert_eq!(evaluation.flaw(), None);
    assert_eq!(evaluation.right(), 11);
    let classes = evaluation.by_class();
    let numbers: Vec<_> = classes.iter().map(|c| (c.pictures, c.right, c.predicted)).collect();
    assert_eq!(numbers, [(10, 8, 10), (3, 3, 9), (7, 0, 1)]);
    let confused: Vec<_> = classes.iter().map(|class| class.confused_with).collect();
    assert_eq!(confused, [Some(("c1", 1)), None, Some(("c1", 5))]);
}

#[test]
fn the_most_frequent_confusions_come_first() {
    let evaluation = evaluation(vec![vec![8, 1, 1], vec![0, 3, 0], vec![2, 5, 0]]);
    let all: Vec<_> =
        evaluation.confusions(3).iter().map(|c| (c.truth, c.predicted, c.count, c.of)).collect();
    assert_eq!(all, [("c2", "c1", 5, 7), ("c2", "c0", 2, 7), ("c0", "c1", 1, 10)]);
}

#[test]
fn a_table_that_does_not_fit_is_a_flaw() {
    let flaw = |change: fn(&mut Evaluation)| {
        let mut evaluation = evaluation(vec![vec![3, 1], vec![0, 4]]);
        change(&mut evaluation);
        evaluation.flaw().unwrap()
    };
    assert!(flaw(|e| e.classes.push("more".to_owned())).contains("not 3 × 3"));
    assert!(flaw(|e| e.confusion[1] = vec![4]).contains("not 2 × 2"));
    assert!(flaw(|e| e.images = 9).contains("9 pictures"));
    assert!(flaw(|e| e.confusion[0] = vec![u64::MAX, u64::MAX]).contains("8 pictures"));
    assert!(flaw(|e| e.top1 = 86.0).contains("86"));
}
