#![allow(clippy::unwrap_used)]
use super::*;

fn evaluation(confusion: Vec<Vec<u64>>) -> Evaluation {
    let images = confusion.iter().flatten().sum();
    let classes = (0..confusion.len()).map(|class| format!("c{class}")).collect();
    Evaluation {
        step: 1,
        epoch: 1.0,
        of: None,
        trained_on: Some(0),
        images,
        top1: 0.5,
        top5: None,
        loss: None,
        classes,
        confusion: confusion.into(),
        mistakes: Vec::new(),
        answers: None,
        held_out_answers: None,
        weights: None,
    }
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
fn a_table_that_does_not_fit_is_a_flaw() {
    let found = |change: fn(&mut Evaluation)| {
        let mut evaluation = evaluation(vec![vec![3, 1], vec![0, 4]]);
        change(&mut evaluation);
        flaw(&evaluation).unwrap()
    };
    assert!(found(|e| e.classes.push("more".to_owned())).contains("not 3 × 3"));
    assert!(found(|e| e.confusion = vec![vec![3, 1], vec![4]].into()).contains("not 2 × 2"));
    assert!(found(|e| e.images = 9).contains("9 pictures"));
    assert!(
        found(|e| e.confusion = vec![vec![u64::MAX, u64::MAX], vec![0, 4]].into())
            .contains("8 pictures")
    );
    assert!(found(|e| e.top1 = 86.0).contains("86"));
    let answers = |right: Vec<bool>| Some(Answers { pictures: "01".to_owned(), right });
    let mut sound = evaluation(vec![vec![3, 1], vec![0, 4]]);
    sound.answers = answers([[true; 7].as_slice(), &[false]].concat());
    assert_eq!(flaw(&sound), None);
    for wrong in [vec![true; 8], vec![true; 7]] {
        sound.answers = answers(wrong);
        assert!(flaw(&sound).unwrap().contains("answers"));
    }
}
