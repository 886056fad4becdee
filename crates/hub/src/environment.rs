//! What the environment says of the Hub, in the variables of Python's huggingface_hub and with its precedence.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;

const SERVER: &str = "https://huggingface.co";
/// What switches a variable on, in any case of letters.
const TRUE: [&str; 4] = ["1", "ON", "YES", "TRUE"];

/// A server, a cache and a token.
pub(crate) struct Environment {
    /// Without a slash at its end.
    pub(crate) endpoint: String,
    pub(crate) cache: PathBuf,
    /// The variable that says where the cache is, or would.
    pub(crate) cache_variable: &'static str,
    pub(crate) token: Option<String>,
    /// So long a server may be silent.
    pub(crate) patience: Duration,
    /// The variable that forbids the network.
    pub(crate) offline: Option<&'static str>,
}

impl Environment {
    /// By what `variable` says and the user's home, where there is one.
    ///
    /// # Errors
    /// [`Error::Settings`] or [`Error::Home`].
    pub(crate) fn of(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<PathBuf>,
    ) -> Result<Self, Error> {
        // An empty one is as good as none.
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        let first =
            |names: &[&'static str]| names.iter().find_map(|&name| Some((name, value(name)?)));
        let is_on = |name: &str| {
            value(name)
                .and_then(|value| value.into_string().ok())
                .is_some_and(|value| TRUE.iter().any(|word| value.eq_ignore_ascii_case(word)))
        };
        let expanded = |path: OsString| expand(Path::new(&path), home.as_deref());
        let folder = || -> Result<(&'static str, PathBuf), Error> {
            match first(&["HF_HOME", "XDG_CACHE_HOME"]) {
                Some((name @ "HF_HOME", path)) => Ok((name, expanded(path)?)),
                Some((_, path)) => Ok(("HF_HOME", expanded(path)?.join("huggingface"))),
                None => {
                    let home = home.as_ref().ok_or(Error::Home)?;
                    Ok(("HF_HOME", home.join(".cache").join("huggingface")))
                }
            }
        };
        let (cache_variable, cache) = match first(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]) {
            Some((name, path)) => (name, expanded(path)?),
            None => folder().map(|(name, folder)| (name, folder.join("hub")))?,
        };
        let token = if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else if let Some((name, token)) = first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
            let token = token.into_string().map_err(|_| unfit(name))?;
            checked(&token, name)?
        } else {
            let file = match value("HF_TOKEN_PATH") {
                Some(path) => Some(expanded(path)?),
                // Where only the cache is named, there need be no home.
                None => folder().ok().map(|(_, folder)| folder.join("token")),
            };
            let read = file.and_then(|file| fcmae_files::text(&file, LIMIT).ok());
            read.map(|token| checked(&token, "the token's file")).transpose()?.flatten()
        };
        Ok(Self {
            endpoint: endpoint(value("HF_ENDPOINT"))?,
            cache,
            cache_variable,
            token,
            patience: patience(value("HF_HUB_DOWNLOAD_TIMEOUT"))?,
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
                .into_iter()
                .find(|name| is_on(name)),
        })
    }
}

/// Of a token.
const LIMIT: fcmae_files::Limit =
    fcmae_files::Limit { bytes: 64 << 10, remedy: "log in again (hf auth login)" };

/// `~` and `~/…` begin at the user's home.
fn expand(path: &Path, home: Option<&Path>) -> Result<PathBuf, Error> {
    match path.strip_prefix("~") {
        Ok(rest) => Ok(home.ok_or(Error::Home)?.join(rest)),
        Err(_) => Ok(path.to_owned()),
    }
}

/// Without the spaces around it and the line's end that copying leaves; `None` where nothing is left.
fn checked(token: &str, from: &str) -> Result<Option<String>, Error> {
    let token: String = token.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let token = token.trim();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unfit(from));
    }
    Ok((!token.is_empty()).then(|| token.to_owned()))
}

/// It is never shown.
fn unfit(from: &str) -> Error {
    Error::Settings(format!("{from} holds characters that no token has; copy the token again"))
}

fn endpoint(given: Option<OsString>) -> Result<String, Error> {
    let Some(given) = given else { return Ok(SERVER.to_owned()) };
    let wrong = || {
        Error::Settings(format!(
            "HF_ENDPOINT names no server; write it as {SERVER}, which is the usual one"
        ))
    };
    let given = given.into_string().map_err(|_| wrong())?;
    let given = given.trim().trim_end_matches('/');
    let rest = given.strip_prefix("https://").or_else(|| given.strip_prefix("http://"));
    let sound = rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(|b| b.is_ascii_graphic())
    });
    if sound { Ok(given.to_owned()) } else { Err(wrong()) }
}

/// Of seconds; where none are given a minute.
fn patience(given: Option<OsString>) -> Result<Duration, Error> {
    let Some(given) = given else { return Ok(Duration::from_secs(60)) };
    let seconds = given.to_str().and_then(|given| given.trim().parse().ok());
    let seconds = seconds.filter(|&seconds: &f64| seconds > 0.0);
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        Error::Settings(
            "HF_HUB_DOWNLOAD_TIMEOUT is not a number of seconds; write it as 60".to_owned(),
        )
    })
}

/// A server's address as it may be shown: without what stands before an `@`, a name and a password.
pub(crate) fn shown(endpoint: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Environment, Error> {
        let variables: Vec<(String, OsString)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let get = move |name: &str| {
            variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        Environment::of(get, Some(PathBuf::from("/home/u")))
    }

    fn cache(variables: &[(&str, &str)]) -> PathBuf {
        of(variables).unwrap().cache
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_has_it() {
        assert_eq!(cache(&[]), Path::new("/home/u/.cache/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Path::new("/h/hub"));
        assert_eq!(cache(&[("HF_HOME", "~/h")]), Path::new("/home/u/h/hub"));
        let old = ("HUGGINGFACE_HUB_CACHE", "/old");
        assert_eq!(cache(&[("HF_HOME", "/h"), old]), Path::new("/old"));
        assert_eq!(cache(&[old, ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
        assert_eq!(cache(&[("HF_HUB_CACHE", ""), ("HF_HOME", "")]), cache(&[]));
    }

    #[test]
    fn a_user_without_a_home_is_told_what_to_set() {
        let none = |variables: &'static [(&str, &str)]| {
            let get = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, v)| OsString::from(v))
            };
            Environment::of(get, None)
        };
        let said = none(&[]).err().unwrap().to_string();
        assert!(said.contains("no home") && said.contains("HF_HOME"), "{said}");
        assert_eq!(none(&[("HF_HOME", "/h")]).unwrap().cache, Path::new("/h/hub"));
        assert_eq!(none(&[("HF_HUB_CACHE", "/c")]).unwrap().cache, Path::new("/c"));
    }

    #[test]
    fn variables_switch_the_network_off_in_any_spelling() {
        for (name, value, offline) in [
            ("HF_HUB_OFFLINE", "1", true),
            ("HF_HUB_OFFLINE", "true", true),
            ("HF_HUB_OFFLINE", "On", true),
            ("TRANSFORMERS_OFFLINE", "yes", true),
            ("HF_HUB_OFFLINE", "0", false),
            ("HF_HUB_OFFLINE", "", false),
        ] {
            assert_eq!(of(&[(name, value)]).unwrap().offline, offline.then_some(name), "{value}");
        }
    }

    #[test]
    fn tokens_come_from_variables_before_files() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("token"), "hf_filed\n").unwrap();
        std::fs::write(folder.path().join("other"), " hf_other\n").unwrap();
        let token =
            |more: &[(&str, &str)]| of(&[&[("HF_HOME", home)], more].concat()).unwrap().token;
        let is = |found: Option<String>, expected| assert_eq!(found.as_deref(), expected);
        is(token(&[]), Some("hf_filed"));
        let other = folder.path().join("other");
        is(token(&[("HF_TOKEN_PATH", other.to_str().unwrap())]), Some("hf_other"));
        is(token(&[("HUGGING_FACE_HUB_TOKEN", "hf_old")]), Some("hf_old"));
        is(
            token(&[("HUGGING_FACE_HUB_TOKEN", "hf_old"), ("HF_TOKEN", "hf_new\n")]),
            Some("hf_new"),
        );
        is(token(&[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        is(token(&[("HF_TOKEN_PATH", "/none")]), None);
    }

    #[test]
    fn what_cannot_be_used_names_its_variable_and_no_secret() {
        let said = of(&[("HF_TOKEN", "hf_sec ret")]).err().unwrap().to_string();
        assert!(said.contains("HF_TOKEN") && !said.contains("hf_sec"), "{said}");
        for wrong in ["huggingface.co", "ftp://a", "https://", "https:///a", "http://a b"] {
            let said = of(&[("HF_ENDPOINT", wrong)]).err().unwrap().to_string();
            assert!(said.contains("HF_ENDPOINT"), "{wrong}: {said}");
        }
        assert_eq!(of(&[("HF_ENDPOINT", "http://m/x/")]).unwrap().endpoint, "http://m/x");
        assert_eq!(of(&[]).unwrap().endpoint, SERVER);
        assert_eq!(shown("https://me:secret@mirror:8080/hf"), "https://mirror:8080/hf");
        assert_eq!(shown("http://mirror"), "http://mirror");
    }
}
