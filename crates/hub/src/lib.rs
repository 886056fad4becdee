//! Weights by their names on the Hugging Face Hub: `hf:timm/convnextv2_atto.fcmae_ft_in1k`.
//!
//! Files go through the Hub's own cache (`$HF_HOME`, else `~/.cache/huggingface`), which Python's
//! programs use too: what one has fetched the other need not. `$HF_ENDPOINT` names a mirror; for
//! weights behind a login the token of `huggingface-cli login` is sent.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

/// What a name on the Hub begins with.
pub const PREFIX: &str = "hf:";

/// What is said of weights and pictures, where a repository has it.
const BESIDE: [&str; 2] = ["config.json", "preprocessor_config.json"];
/// Weights, in the order in which they are looked for.
const MODELS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not `hf:OWNER/NAME`, with `@REVISION` and `:FILE` or without.
    #[error(
        "`{0}` is no name on the Hub: write hf:OWNER/NAME, such as \
         hf:timm/convnextv2_atto.fcmae_ft_in1k, and behind it @REVISION or :FILE if need be"
    )]
    Name(String),
    /// An environment variable or a token that cannot be used.
    #[error("the Hub's settings cannot be used (HF_ENDPOINT, HF_HOME, the token in it): {0}")]
    Settings(String),
    /// No such repository, revision or file; or one that needs a login.
    #[error(
        "{name}: the Hub has {what}; look at {url} (it answers the same where a login is needed: \
         huggingface-cli login)"
    )]
    NotFound {
        /// The name asked for.
        name: String,
        /// `no such repository`, or which files it lacks.
        what: String,
        /// The repository's page.
        url: String,
    },
    /// The Hub wants a login, or refuses this one.
    #[error(
        "{name}: the Hub refuses access; accept the terms on {url} and log in (huggingface-cli login)"
    )]
    Refused {
        /// The name asked for.
        name: String,
        /// The repository's page.
        url: String,
    },
    /// No answer, and nothing in the cache.
    #[error(
        "{name} is not in the cache, and the Hub cannot be reached: {reason}. Without a network, \
         fetch {url} elsewhere and give the path of the folder"
    )]
    Unreachable {
        /// The name asked for.
        name: String,
        /// What the network says.
        reason: String,
        /// The repository's page.
        url: String,
    },
}

/// Where files come from and where they are kept.
#[derive(Clone, Debug)]
pub struct Hub {
    api: Api,
    cache: Cache,
}

impl Hub {
    /// The Hub, cache and token that the environment names, with a bar on standard error while
    /// something is fetched.
    ///
    /// # Errors
    /// [`Error::Settings`] for an environment that cannot be used.
    pub fn from_env() -> Result<Self, Error> {
        Self::new(ApiBuilder::from_env(), Cache::from_env())
    }

    /// Another server and cache folder, and no token.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn at(endpoint: &str, cache: &Path) -> Result<Self, Error> {
        let cache = Cache::new(cache.to_owned());
        let builder = ApiBuilder::from_cache(cache.clone()).with_endpoint(endpoint.to_owned());
        Self::new(builder.with_token(None).with_progress(false), cache)
    }

    fn new(builder: ApiBuilder, cache: Cache) -> Result<Self, Error> {
        let api = builder.build().map_err(|error| Error::Settings(error.to_string()))?;
        Ok(Self { api, cache })
    }

    /// The path of the weights of `name`, `hf:OWNER/NAME[@REVISION][:FILE]`, in the cache: fetched
    /// where they are not there yet, with the files that describe them beside them.
    ///
    /// # Errors
    /// [`Error`], with what to do.
    pub fn fetch(&self, name: &str) -> Result<PathBuf, Error> {
        let Name { repository, revision, file } = Name::parse(name)?;
        let repo = Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned());
        let url = format!("https://huggingface.co/{repository}");
        let problem = |error| problem(error, name, &url);
        let source = Source { api: self.api.repo(repo.clone()), cache: self.cache.repo(repo) };

        let models = file.map_or_else(|| MODELS.to_vec(), |file| vec![file]);
        for model in &models {
            match source.get(model) {
                Ok((path, was_cached)) => {
                    for beside in BESIDE {
                        match source.get(beside) {
                            Err(error) if !was_cached && !is_missing(&error) => {
                                return Err(problem(error));
                            }
                            // There is none; or no network, where it was looked for before.
                            _ => {}
                        }
                    }
                    return Ok(path);
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(problem(error)),
            }
        }
        let what = format!("no such repository, or none with {}", models.join(" or "));
        Err(Error::NotFound { name: name.to_owned(), what, url })
    }
}

struct Source {
    api: ApiRepo,
    cache: CacheRepo,
}

impl Source {
    /// A file's path, and whether it was in the cache already.
    fn get(&self, file: &str) -> Result<(PathBuf, bool), ApiError> {
        match self.cache.get(file) {
            Some(path) => Ok((path, true)),
            None => Ok((self.api.download(file)?, false)),
        }
    }
}

/// The parts of `hf:OWNER/NAME[@REVISION][:FILE]`.
struct Name<'a> {
    repository: &'a str,
    revision: &'a str,
    file: Option<&'a str>,
}

impl<'a> Name<'a> {
    fn parse(name: &'a str) -> Result<Self, Error> {
        let wrong = || Error::Name(name.to_owned());
        let rest = name.strip_prefix(PREFIX).ok_or_else(wrong)?;
        let (rest, file) = match rest.split_once(':') {
            Some((rest, file)) => (rest, Some(file)),
            None => (rest, None),
        };
        let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
        // They become parts of paths and addresses.
        let is_part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let is_path = |path: &str| path.split('/').all(is_part);
        let sound = repository.split('/').count() == 2
            && is_path(repository)
            && is_path(revision)
            && file.is_none_or(is_path);
        if sound { Ok(Self { repository, revision, file }) } else { Err(wrong()) }
    }
}

fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        ApiError::TooManyRetries(error) => status(error),
        _ => None,
    }
}

fn is_missing(error: &ApiError) -> bool {
    status(error) == Some(404)
}

fn problem(error: ApiError, name: &str, url: &str) -> Error {
    let (name, url) = (name.to_owned(), url.to_owned());
    match status(&error) {
        // It does not say whether a repository that needs a login is there.
        Some(401) => {
            let what = "no such repository".to_owned();
            Error::NotFound { name, what, url }
        }
        Some(403) => Error::Refused { name, url },
        _ => Error::Unreachable { name, reason: error.to_string(), url },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_have_a_repository_a_revision_and_a_file() {
        let name = Name::parse("hf:timm/convnextv2_atto.fcmae").unwrap();
        assert_eq!((name.repository, name.revision), ("timm/convnextv2_atto.fcmae", "main"));
        assert_eq!(name.file, None);
        let name = Name::parse("hf:a/b@refs/pr/1:weights/old.pth").unwrap();
        assert_eq!((name.repository, name.revision), ("a/b", "refs/pr/1"));
        assert_eq!(name.file, Some("weights/old.pth"));
        for wrong in [
            "timm/atto",
            "hf:",
            "hf:atto",
            "hf:a/b/c",
            "hf:a/..",
            "hf:a/b:../../etc/passwd",
            "hf:a/b@",
            "hf:a/b c",
            "hf:a//b",
        ] {
            assert!(matches!(Name::parse(wrong), Err(Error::Name(_))), "{wrong}");
        }
    }
}
