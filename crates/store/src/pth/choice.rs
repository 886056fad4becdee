//! Which dictionary of a checkpoint holds the weights.

use std::collections::HashSet;

use super::flaw::{Flaw, shown};
use super::pickle::{Pickle, Value};

/// Keys under which training programs keep a model's tensors, the likeliest first: a moving average
/// before the weights that it is of, as timm's loader takes them.
const KEYS: [&str; 11] = [
    "state_dict_ema",
    "model_ema",
    "ema",
    "ema_state_dict",
    "state_dict",
    "model",
    "model_state",
    "model_state_dict",
    "module",
    "net",
    "weights",
];

/// The dictionary taken.
pub(super) struct Choice<'a> {
    /// Its keys from the top, joined by dots; empty for the top itself.
    pub(super) taken: String,
    /// The others that would have done, in the same form.
    pub(super) others: Vec<String>,
    /// Names and numbers of its tensors, in its order.
    pub(super) tensors: Vec<(&'a str, usize)>,
    /// What else stands among these tensors, by names that are not known here.
    pub(super) passed_over: Vec<String>,
}

/// Of a list in a message; more would bury it.
const SHOWN: usize = 20;

/// Dictionaries under one of [`KEYS`], or one level deeper (a wrapper around a moving average), come
/// before the top itself: beside a state dict there may lie a tensor such as the best accuracy.
pub(super) fn choose<'a>(pickle: &Pickle<'a>) -> Result<Choice<'a>, Flaw> {
    let mut found = Vec::new();
    for key in KEYS {
        let Some(value) = pickle.get(pickle.root, key) else { continue };
        let named = (key.to_owned(), value);
        let inner = KEYS
            .iter()
            .filter_map(|inner| Some((format!("{key}.{inner}"), pickle.get(value, inner)?)));
        found.extend(std::iter::once(named).chain(inner).find(|(_, v)| holds_tensors(pickle, *v)));
    }
    if holds_tensors(pickle, pickle.root) {
        found.push((String::new(), pickle.root));
    }
    let mut found = found.into_iter();
    let Some((taken, dictionary)) = found.next() else {
        // A whole network rather than its tensors, or tensors of a kind that is not known here.
        return Err(match pickle.foreign.first() {
            Some([module, name]) => Flaw::Global { name: shown(&format!("{module}.{name}")) },
            None => Flaw::NoTensors { keys: keys(pickle) },
        });
    };
    let tensors: Vec<_> = tensors(pickle, dictionary).collect();
    let mut names = HashSet::new();
    if let Some((name, _)) = tensors.iter().find(|(name, _)| !names.insert(name)) {
        return Err(Flaw::Duplicate { name: shown(name) });
    }
    let passed_over = pickle.dictionary(dictionary).into_iter().flatten();
    let passed_over = passed_over.filter_map(|pair| match pair {
        (Value::Text(key), Value::Foreign(number)) => {
            let [module, name] = pickle.foreign[number];
            Some(format!("`{}` ({})", shown(key), shown(&format!("{module}.{name}"))))
        }
        _ => None,
    });
    let passed_over = passed_over.take(SHOWN).collect();
    Ok(Choice { taken, others: found.map(|(key, _)| key).collect(), tensors, passed_over })
}

fn tensors<'a>(
    pickle: &Pickle<'a>,
    dictionary: Value<'a>,
) -> impl Iterator<Item = (&'a str, usize)> {
    pickle.dictionary(dictionary).into_iter().flatten().filter_map(|pair| match pair {
        (Value::Text(name), Value::Tensor(tensor)) => Some((name, tensor)),
        _ => None,
    })
}

fn holds_tensors<'a>(pickle: &Pickle<'a>, value: Value<'a>) -> bool {
    tensors(pickle, value).next().is_some()
}

/// The top's keys, for the message; those that lead to tensors are marked.
fn keys(pickle: &Pickle) -> Vec<String> {
    let pairs = pickle.dictionary(pickle.root).into_iter().flatten();
    let named = pairs.filter_map(|(key, value)| match key {
        Value::Text(key) if holds_tensors(pickle, value) => {
            Some(format!("{} (holds tensors)", shown(key)))
        }
        Value::Text(key) => Some(shown(key)),
        _ => None,
    });
    named.take(SHOWN).collect()
}
