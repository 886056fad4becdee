"""Expected values for the tests of crates/vectors, by NumPy, SciPy and scikit-learn.

    python reference/vectors.py

Vectors follow the fill rule (README.md): `clouds` as in crates/vectors/src/fill.rs.
"""

import numpy as np
from fill import uniform
from scipy.stats import binomtest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier


def clouds(name, rows, width, classes, spread):
    """Rows in clouds, row i of class i % classes."""
    centres = uniform("centres", classes * width).reshape(classes, width)
    noise = uniform(name, rows * width).reshape(rows, width)
    labels = np.arange(rows) % classes
    return (centres[labels] + spread * noise).astype(np.float32).astype(np.float64), labels


def votes():
    x, y = clouds("fit", 150, 8, 5, 1.6)
    test, _ = clouds("test", 60, 8, 5, 1.6)
    for name, k, weights in [("EQUAL", 9, "uniform"), ("SOFT", 12, lambda d: np.exp((1 - d) / 0.1))]:
        knn = KNeighborsClassifier(k, metric="cosine", weights=weights, algorithm="brute").fit(x, y)
        print("vote.rs", name, "".join(map(str, knn.predict(test))))


def logistic():
    for classes, width, scaled in [(2, 5, False), (5, 8, False), (5, 8, True)]:
        x, y = clouds("fit", 150, width, classes, 1.6)
        test, expected = clouds("test", 60, width, classes, 1.6)
        scale = 3.0 ** np.arange(width) if scaled else np.ones(width)
        x, test = [((v + 1) * scale).astype(np.float32).astype(np.float64) for v in (x, test)]
        if scaled:
            mean, std = x.mean(0), x.std(0)
            x, test = (x - mean) / std, (test - mean) / std
        for c in (0.01, 1.0, 100.0):
            model = LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(x, y)
            p = model.predict_proba(x)
            # scikit-learn's two-class form has one vector of weights.
            loss = -np.log(p[np.arange(len(y)), y]).sum() * c + (model.coef_**2).sum() / 2
            right = (model.predict(test) == expected).sum()
            first = model.predict_proba(test)[0, 0]
            print("logistic.rs", (classes, width, scaled, c, float(f"{loss:.9g}"), int(right), float(f"{first:.7g}")))


def scores():
    positive = np.arange(80) % 3 == 0
    s = np.floor((uniform("scores", 80) + 0.3 * positive) * 8) / 8
    print("auroc.rs", roc_auc_score(positive, s), average_precision_score(positive, s))
    print("auroc.rs", [(q, float(np.quantile(s, q))) for q in (0.0, 0.33, 0.5, 0.99, 1.0)])
    for right, of in [(0, 10), (87, 100), (500, 500)]:
        found = binomtest(right, of).proportion_ci(method="wilson")
        print("validate.rs", (right, of, float(found.low), float(found.high)))


def pca():
    for rows, width in [(200, 12), (9, 30)]:
        x, _ = clouds("fit", rows, width, 4, 0.5)
        model = PCA(3, svd_solver="full").fit(x)
        sign = np.sign(model.components_[np.arange(3), np.abs(model.components_).argmax(1)])[:, None]
        components = model.components_ * sign
        print("project.rs", rows, width, "ratios", [float(f"{v:.9g}") for v in model.explained_variance_ratio_])
        print("project.rs", "variances", [float(f"{v:.9g}") for v in model.explained_variance_])
        print("project.rs", "components", [[float(f"{v:.7g}") for v in c[:4]] for c in components])
        last = (x[-1] - model.mean_) @ components.T
        print("project.rs", "last row", [float(f"{v:.7g}") for v in last])


def ranks():
    for rows, width in [(200, 12), (9, 30)]:
        x, _ = clouds("fit", rows, width, 4, 0.5)
        for centred in (False, True):
            s = np.linalg.svd(x - x.mean(0) * centred, compute_uv=False)
            p = s / s.sum()
            p = p[p > 1e-12]
            print("rank.rs", (rows, width, centred, float(f"{np.exp(-(p * np.log(p)).sum()):.9g}")))


def tsne():
    x, _ = clouds("fit", 300, 10, 6, 0.6)
    model = TSNE(perplexity=20, init="pca", random_state=0, learning_rate="auto").fit(x)
    print("tsne.rs: Kullback-Leibler divergence", model.kl_divergence_)


if __name__ == "__main__":
    votes()
    logistic()
    scores()
    pca()
    ranks()
    tsne()
