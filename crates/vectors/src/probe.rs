//! How well vectors separate classes: the vote of nearest neighbours, and logistic regression, with settings that are
//! chosen on a part of the rows that are learned from.

use crate::choice::COPY;
use crate::error::VectorError;
use crate::logistic::{self, Logistic, LogisticSettings};
use crate::neighbours::nearest;
use crate::validate::{Split, stratified};
use crate::vectors::Vectors;
use crate::vote::{self, Weight};

/// The part of each class that settings are chosen on.
const SHARE: f64 = 0.2;
/// Numbers of neighbours to choose from.
const KS: [usize; 6] = [1, 5, 10, 20, 50, 100];
/// What neighbours may weigh.
const WEIGHTS: [Weight; 3] =
    [Weight::Softmax { temperature: 0.07 }, Weight::Softmax { temperature: 0.2 }, Weight::Equal];
/// Inverse strengths of the penalty to choose from, ascending.
const CS: [f64; 6] = [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0];

/// Rows with the numbers of their classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    vectors: Vectors,
    labels: Vec<usize>,
}

impl Labelled {
    /// The class of each row is its label.
    ///
    /// # Errors
    /// Another number of labels than rows.
    pub fn new(vectors: Vectors, labels: Vec<usize>) -> Result<Self, VectorError> {
        if vectors.len() != labels.len() {
            let (found, rows) = (labels.len(), vectors.len());
            return Err(VectorError::Lengths { what: "labels", found, rows });
        }
        Ok(Self { vectors, labels })
    }

    /// The rows.
    pub fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    /// A class for each.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The rows at these places, in this order.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let labels = rows.iter().map(|&row| self.labels[row]).collect();
        Self { vectors: self.vectors.select(rows), labels }
    }
}

/// Rows that are learned from, and their parts that settings are chosen with.
#[derive(Clone, Debug)]
pub struct Probe<'a> {
    all: &'a Labelled,
    fitting: Labelled,
    validation: Labelled,
}

/// What nearest neighbours say.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighbourVote {
    /// How many vote.
    pub k: usize,
    /// What their voices weigh.
    pub weight: Weight,
    /// The accuracy where these were chosen; `None` where nothing could be chosen.
    pub validation: Option<f64>,
    /// A class for each row of the test.
    pub predicted: Vec<usize>,
    /// Rows of the test of which a copy is learned from.
    pub copies: usize,
}

/// What logistic regression says.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// The inverse strength of the penalty.
    pub c: f64,
    /// The accuracy where it was chosen; `None` where nothing could be chosen.
    pub validation: Option<f64>,
    /// Steps of the last fit.
    pub iterations: usize,
    /// Whether it was done before it had to end.
    pub converged: bool,
    /// A class for each row of the test.
    pub predicted: Vec<usize>,
}

impl<'a> Probe<'a> {
    /// Learns from all rows of `fitted`, of which `seed` decides on which ones settings are chosen.
    ///
    /// # Errors
    /// No rows.
    pub fn new(fitted: &'a Labelled, seed: u64) -> Result<Self, VectorError> {
        let Split { fitting, validation } = stratified(&fitted.labels, SHARE, seed)?;
        let [fitting, validation] = [fitting, validation].map(|rows| fitted.select(&rows));
        Ok(Self { all: fitted, fitting, validation })
    }

    /// Whether settings can be chosen: not where each class has one row alone.
    pub fn chooses(&self) -> bool {
        !self.validation.labels.is_empty()
    }

    /// The vote of the nearest rows, for each row of `test`.
    ///
    /// # Errors
    /// Rows of another width, or of zeros, which have no direction.
    pub fn neighbours(&self, test: &Vectors) -> Result<NeighbourVote, VectorError> {
        let Self { all, fitting, validation } = self;
        let (k, weight, accuracy) = if self.chooses() {
            let rows = fitting.labels.len();
            let ks: Vec<usize> = KS.into_iter().filter(|&k| k <= rows).collect();
            let most = ks.iter().copied().max().unwrap_or(1);
            let found = nearest(&fitting.vectors, &validation.vectors, most)?;
            let best = vote::choose(&found, &fitting.labels, &validation.labels, &ks, &WEIGHTS)?;
            (best.k, best.weight, Some(best.accuracy))
        } else {
            (1, WEIGHTS[0], None)
        };
        let found = nearest(&all.vectors, test, k)?;
        let copies =
            (0..found.len()).filter(|&query| found.cosines(query)[0] >= 1.0 - COPY).count();
        let voted = vote::vote(&found, &all.labels, k, weight)?;
        let predicted = voted.iter().map(|voted| voted.class).collect();
        Ok(NeighbourVote { k, weight, validation: accuracy, predicted, copies })
    }

    /// Logistic regression on the rows, for each row of `test`.
    ///
    /// # Errors
    /// As [`Logistic::fit`]: one class alone, and more classes than fit into memory, of which
    /// [`VectorError::ManyClasses`] tells.
    pub fn logistic(&self, test: &Vectors) -> Result<Linear, VectorError> {
        let Self { all, fitting, validation } = self;
        let settings = LogisticSettings::default();
        let (c, accuracy) = if self.chooses() {
            let fitting = (&fitting.vectors, fitting.labels.as_slice());
            let validation = (&validation.vectors, validation.labels.as_slice());
            let (best, accuracy, _) = logistic::choose(fitting, validation, &CS, &settings)?;
            (CS[best], Some(accuracy))
        } else {
            (1.0, None)
        };
        let fits = Logistic::fit(&all.vectors, &all.labels, &[c], &settings)?;
        let fit = &fits[0];
        let predicted = fit.logistic.predict(test)?;
        let (iterations, converged) = (fit.iterations, fit.converged);
        Ok(Linear { c, validation: accuracy, iterations, converged, predicted })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::clouds;
    use crate::validate::accuracy;

    fn labelled(name: &str, rows: usize) -> Labelled {
        let (vectors, labels) = clouds(name, rows, 8, 5, 1.2);
        Labelled::new(vectors, labels).unwrap()
    }

    #[test]
    fn settings_are_chosen_on_a_part_and_all_rows_are_learned_from() {
        let (fitted, test) = (labelled("fit", 150), labelled("test", 60));
        let probe = Probe::new(&fitted, 3).unwrap();
        assert!(probe.chooses());
        let neighbours = probe.neighbours(test.vectors()).unwrap();
        let found = nearest(fitted.vectors(), test.vectors(), neighbours.k).unwrap();
        let voted = vote::vote(&found, fitted.labels(), neighbours.k, neighbours.weight).unwrap();
        assert!(voted.iter().map(|voted| voted.class).eq(neighbours.predicted.iter().copied()));
        let linear = probe.logistic(test.vectors()).unwrap();
        assert!(linear.converged && CS.contains(&linear.c));
        for (predicted, validation) in
            [(&neighbours.predicted, neighbours.validation), (&linear.predicted, linear.validation)]
        {
            assert!(accuracy(predicted, test.labels()).unwrap() > 0.4);
            assert!(validation.unwrap() > 0.4);
        }
        assert_eq!(neighbours.copies, 0);
        assert_eq!(probe.neighbours(fitted.vectors()).unwrap().copies, 150);
    }

    #[test]
    fn without_two_rows_of_a_class_nothing_is_chosen() {
        let (vectors, _) = clouds("fit", 4, 8, 5, 1.2);
        let fitted = Labelled::new(vectors, vec![0, 1, 2, 3]).unwrap();
        let probe = Probe::new(&fitted, 0).unwrap();
        assert!(!probe.chooses());
        let neighbours = probe.neighbours(fitted.vectors()).unwrap();
        assert_eq!((neighbours.k, neighbours.validation), (1, None));
        assert_eq!(neighbours.predicted, [0, 1, 2, 3]);
        assert_eq!(probe.logistic(fitted.vectors()).unwrap().validation, None);
        let one = fitted.select(&[2]);
        assert!(Probe::new(&one, 0).unwrap().logistic(fitted.vectors()).is_err());
        assert!(Labelled::new(fitted.vectors().clone(), vec![0]).is_err());
    }
}
