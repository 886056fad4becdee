//! Numbers in the documentation are those in `experiments/results/`.
//!
//! Three forms are checked, in every page and recipe. A block between `<!-- results of NAME -->` and
//! `<!-- end of results -->` has an experiment's tables. `<!-- result NAME | BUDGET | VARIANT -->47.4 %` is one number of
//! it; a recipe writes `# result NAME | BUDGET | VARIANT: 47.4 %`. `<!-- difference NAME | BUDGET | VARIANT | OTHER -->+4.7 ±
//! 1.6` is a difference that the table does not have, in points. `UPDATE_RESULTS=1` writes the blocks anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

const BEGIN: &str = "<!-- results of ";
const END: &str = "<!-- end of results -->";
const NUMBERS: [&str; 2] = ["<!-- result ", "# result "];
const DIFFERENCE: &str = "<!-- difference ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A line of an experiment's `table.csv`.
struct Row {
    budget: String,
    variant: String,
    seeds: usize,
    /// Shares, as the others are.
    top1: Option<f64>,
    std: Option<f64>,
    difference: Option<f64>,
    standard_error: Option<f64>,
    p: Option<f64>,
    chosen: String,
}

fn table(name: &str) -> Vec<Row> {
    let path = root().join("experiments/results").join(name).join("table.csv");
    let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
    let columns = reader.headers().unwrap().clone();
    let rows = reader.records().map(|record| {
        let record = record.unwrap();
        let cell = |column: &str| {
            let place = columns.iter().position(|name| name == column).unwrap();
            record[place].to_owned()
        };
        Row {
            budget: cell("budget"),
            variant: cell("variant"),
            seeds: cell("seeds").parse().unwrap(),
            top1: cell("top1").parse().ok(),
            std: cell("std").parse().ok(),
            difference: cell("difference").parse().ok(),
            standard_error: cell("standard_error").parse().ok(),
            p: cell("p").parse().ok(),
            chosen: cell("chosen"),
        }
    });
    rows.collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A difference and its standard error, in points.
fn points(difference: f64, standard_error: Option<f64>) -> String {
    let signed = format!("{:+.1}", 100.0 * difference).replace('-', "−");
    signed + &spread(standard_error)
}

fn spread(of: Option<f64>) -> String {
    of.map_or(String::new(), |x| format!(" ± {:.1}", 100.0 * x))
}

/// The lines of an experiment's `results.jsonl`.
fn lines(name: &str) -> Vec<Value> {
    let path = root().join(format!("experiments/results/{name}/results.jsonl"));
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One variant against another, seed by seed and picture by picture, over the seeds that both have.
fn difference(name: &str, budget: &str, variants: [&str; 2]) -> String {
    let lines = lines(name);
    let right = |variant: &str| -> BTreeMap<u64, Vec<bool>> {
        let is_one = |line: &&Value| {
            line["purpose"] == "result"
                && line["variant"] == variant
                && line["budget"].as_str().unwrap_or_default() == budget
                && line["test"].is_object()
        };
        let mut found = BTreeMap::new();
        for line in lines.iter().filter(is_one) {
            let hits = fcmae_store::run::hits::deserialize(&line["test"]["right"]).unwrap();
            let before = found.insert(line["seed"].as_u64().unwrap(), hits);
            assert!(before.is_none(), "{name}, {budget}, {variant}: two results of one seed");
        }
        found
    };
    let [mut one, mut other] = variants.map(right);
    one.retain(|seed, _| other.contains_key(seed));
    other.retain(|seed, _| one.contains_key(seed));
    let [one, other] = [one, other].map(|found| found.into_values().collect::<Vec<_>>());
    let found = fcmae_report::paired::compare(&one, &other).unwrap();
    points(found.mean, Some(found.standard_error))
}

/// What one setting is called in a table that has no room.
fn short(setting: &str) -> String {
    let (key, value) = setting.split_once('=').unwrap();
    let key = key.rsplit('.').next().unwrap();
    if key == "rand_augment" { key.to_owned() } else { format!("{key}={value}") }
}

/// The feature distances in an experiment's lines, block by block: their table and figure. Nothing where there are
/// none.
fn distances(name: &str, lines: &[Value]) -> String {
    // By column and block, in the order of the lines: each seed's distance.
    let (mut columns, mut blocks) = (Vec::new(), Vec::new());
    let mut found: BTreeMap<(String, &str), Vec<f64>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["layers"].is_array()) {
        let variant = line["variant"].as_str().unwrap();
        let layers = line["layers"].as_array().unwrap();
        let has_grn = layers.iter().any(|layer| layer["after_gelu"] != layer["after_grn"]);
        let places: &[(&str, &str)] = match has_grn {
            true => &[(", before GRN", "after_gelu"), (", after GRN", "after_grn")],
            false => &[("", "after_gelu")],
        };
        for (place, field) in places {
            let column = format!("{variant}{place}");
            if !columns.contains(&column) {
                columns.push(column.clone());
            }
            for layer in layers {
                let block = layer["name"].as_str().unwrap();
                if !blocks.contains(&block) {
                    blocks.push(block);
                }
                let distance = layer[*field].as_f64().unwrap();
                found.entry((column.clone(), block)).or_default().push(distance);
            }
        }
    }
    if blocks.is_empty() {
        return String::new();
    }
    let mut text = format!("\n| block | {} |\n|---|", columns.join(" | "));
    text += &"---:|".repeat(columns.len());
    text.push('\n');
    for block in blocks {
        write!(text, "| `{block}`").unwrap();
        for column in &columns {
            let distances = found[&(column.clone(), block)].iter().copied();
            let (mean, deviation) = fcmae_report::mean_and_deviation(distances).unwrap();
            write!(text, " | {mean:.3}").unwrap();
            if let Some(deviation) = deviation {
                write!(text, " ± {deviation:.3}").unwrap();
            }
        }
        text += " |\n";
    }
    write!(
        text,
        "\nFeature distance: mean ± standard deviation over seeds.\n\n\
         ![feature distance of each block and seed](../experiments/results/{name}/distance.svg)\n"
    )
    .unwrap();
    text
}

/// The block of an experiment, without its markers.
fn block(name: &str) -> String {
    let rows = table(name);
    let definition = fs::read_to_string(root().join(format!("experiments/{name}.toml"))).unwrap();
    let definition: toml::Value = toml::from_str(&definition).unwrap();
    let baseline = definition["baseline"].as_str().unwrap();
    let paper = definition
        .get("paper")
        .map_or(String::new(), |paper| format!("The paper: {}.\n\n", paper.as_str().unwrap()));
    let lines = lines(name);
    let budgets = rows.iter().any(|row| !row.budget.is_empty());
    let chosen = rows.iter().any(|row| !row.chosen.is_empty());
    let mut columns = vec!["variant", "seeds:", "top-1:", "difference:", "p:"];
    if budgets {
        columns.insert(0, "labels");
    }
    if chosen {
        columns.push("settings chosen");
    }
    let mut text = format!("| {} |\n|", columns.join(" | ").replace(':', ""));
    for column in &columns {
        text += if column.ends_with(':') { "---:|" } else { "---|" };
    }
    text.push('\n');
    for row in rows {
        let top1 = row.top1.map_or("not run yet".to_owned(), |top1| {
            percent(top1).replace(" %", &format!("{} %", spread(row.std)))
        });
        let difference = row.difference.map_or("-".to_owned(), |x| points(x, row.standard_error));
        let p = row.p.map_or("-".to_owned(), |p| match p {
            ..0.001 => "< 0.001".to_owned(),
            p => format!("{p:.3}"),
        });
        let mut cells = vec![row.variant, row.seeds.to_string(), top1, difference, p];
        if budgets {
            cells.insert(0, row.budget.replace(" of the labels", ""));
        }
        if chosen {
            let settings: Vec<String> = row.chosen.split_whitespace().map(short).collect();
            cells.push(settings.join(", "));
        }
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    }
    let all = |field: &str| {
        let found = lines.iter().filter_map(|line| line[field].as_str());
        found.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
    };
    // What settings were chosen on is another set.
    let results = lines.iter().filter(|line| line["purpose"] == "result");
    let pictures = results.filter_map(|line| line["test"]["pictures"].as_u64()).next().unwrap();
    let hours = lines.iter().filter_map(|line| line["seconds"].as_f64()).sum::<f64>() / 3600.0;
    write!(
        text,
        "\nTop-1 on {pictures} pictures: mean ± standard deviation over seeds. Differences in points from \
         “{baseline}”, paired by seed and picture, ± standard error.\n\n\
         {paper}![top-1 of each variant and seed](../experiments/results/{name}/figure.svg)\n{}\n\
         To repeat it: `fcmae experiment experiments/{name}.toml --data SETS --out OUT`. Trained for {hours:.1} h in \
         all, with fcmae {} at {}, on {} (2 cores, often beside other work).\n",
        distances(name, &lines),
        all("version"),
        all("commit"),
        all("cpu"),
    )
    .unwrap();
    text
}

/// All pages and recipes.
fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "experiments", "recipes"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "md" || e == "toml")).collect()
}

#[test]
fn tables_are_those_of_the_experiments() {
    let update = std::env::var_os("UPDATE_RESULTS").is_some();
    let mut blocks = 0;
    for path in documents() {
        let page = fs::read_to_string(&path).unwrap();
        let mut parts = page.split(BEGIN);
        let mut new = parts.next().unwrap().to_owned();
        for part in parts {
            blocks += 1;
            let (name, rest) = part.split_once(" -->\n").unwrap();
            let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("no end of {name}"));
            write!(new, "{BEGIN}{name} -->\n{}{END}{after}", block(name)).unwrap();
        }
        if update && new != page {
            fs::write(&path, &new).unwrap();
        }
        assert!(
            update || new == page,
            "{} is not what experiments/results say: UPDATE_RESULTS=1 cargo test --release -p fcmae-cli \
             --test cli results:: writes it anew",
            path.display()
        );
    }
    assert!(blocks > 0, "docs/results.md has blocks");
}

#[test]
fn numbers_in_sentences_are_those_of_the_experiments() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for path in documents() {
        let page = fs::read_to_string(&path).unwrap();
        let found = NUMBERS.iter().flat_map(|mark| page.match_indices(mark));
        for (place, mark) in found {
            let rest = &page[place + mark.len()..];
            let line = rest.split('\n').next().unwrap();
            let fields: Vec<&str> = line.splitn(3, " | ").collect();
            let number = match fields.as_slice() {
                [name, budget, last] => {
                    let parts = last.split_once(" -->").or(last.split_once(": "));
                    parts.map(|(variant, shown)| (name, budget, variant, shown))
                }
                _ => None,
            };
            let Some((name, budget, variant, shown)) = number else {
                // In a recipe it may be an ordinary word.
                assert!(mark.starts_with('#'), "{}: {line}: not a number's mark", path.display());
                continue;
            };
            count += 1;
            let rows = table(name);
            let row = rows.iter().find(|row| row.budget == *budget && row.variant == variant);
            let row = row.unwrap_or_else(|| panic!("{name} has no {budget} | {variant}"));
            let expected = percent(row.top1.unwrap_or_else(|| panic!("{name}: no {variant} yet")));
            if !shown.starts_with(&expected) {
                wrong.push(format!("{}: {line}: it is {expected}", path.display()));
            }
        }
    }
    for path in documents() {
        let page = fs::read_to_string(&path).unwrap();
        for rest in page.split(DIFFERENCE).skip(1) {
            let (what, shown) = rest.split_once(" -->").unwrap();
            let fields: Vec<&str> = what.split(" | ").collect();
            let [name, budget, one, other] = fields[..] else {
                panic!("{}: {what}: not a difference's mark", path.display());
            };
            count += 1;
            let expected = difference(name, budget, [one, other]);
            if !shown.starts_with(&expected) {
                wrong.push(format!("{}: {what}: it is {expected}", path.display()));
            }
        }
    }
    assert!(count > 0, "docs/results.md has numbers");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
