//! What can go wrong, with what to do.

use std::path::PathBuf;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not `hf:OWNER/NAME`, with `@REVISION` and `:FILE` or without.
    #[error(
        "`{0}` is not a name on the Hub: write hf:OWNER/NAME, such as hf:timm/convnextv2_atto.fcmae_ft_in1k, \
         followed by @REVISION or :FILE if need be"
    )]
    Name(String),
    /// An environment variable or a token that cannot be used.
    #[error("the Hub's settings cannot be used: {0}")]
    Settings(String),
    /// A user without a home folder, and no variable that names another place.
    #[error(
        "this user has no home folder for the Hub's cache: set HF_HOME to a folder that can be written"
    )]
    Home,
    /// A cache that cannot be written.
    #[error(
        "{name} is not in the cache {}, which cannot be written: {reason}; set {variable} to another \
         folder, or fetch {url} elsewhere and give the path of the folder", cache.display()
    )]
    Cache {
        /// The name asked for.
        name: String,
        /// The cache's folder.
        cache: PathBuf,
        /// What the system says.
        reason: String,
        /// What says where the cache is.
        variable: &'static str,
        /// The repository's page.
        url: String,
    },
    /// Nothing in the cache, and no network allowed.
    #[error(
        "{name} is not in the cache {}, and {variable} forbids fetching it: unset it, or fetch {url} elsewhere \
         and give the path of the folder", cache.display()
    )]
    Offline {
        /// The name asked for.
        name: String,
        /// The cache's folder.
        cache: PathBuf,
        /// What forbids it.
        variable: &'static str,
        /// The repository's page.
        url: String,
    },
    /// No such repository, revision or file; or one that needs a login.
    #[error(
        "{name}: the Hub has {what}; look at {url} (it says the same if a login is needed: hf auth login, or \
         HF_TOKEN)"
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
        "{name}: the Hub refuses access; accept the terms on {url} and log in (hf auth login, or HF_TOKEN)"
    )]
    Refused {
        /// The name asked for.
        name: String,
        /// The repository's page.
        url: String,
    },
    /// No answer, or none that can be used, and nothing in the cache.
    #[error(
        "{name} is not in the cache, and the Hub at {server} {reason}. HF_ENDPOINT sets another server, \
         HTTPS_PROXY a proxy. Without a network, fetch {url} elsewhere and give the path of the folder"
    )]
    Unreachable {
        /// The name asked for.
        name: String,
        /// The server.
        server: String,
        /// What the network says.
        reason: String,
        /// The repository's page.
        url: String,
    },
    /// The Hub wants fewer questions in a time.
    #[error(
        "{name} is not in the cache, and the Hub at {server} limits requests from here (status 429): wait {}, \
         or log in (hf auth login, or HF_TOKEN), which allows more",
        wait.map_or("some minutes".to_owned(), |seconds| format!("{seconds} s"))
    )]
    Busy {
        /// The name asked for.
        name: String,
        /// The server.
        server: String,
        /// For how many seconds, where it says so.
        wait: Option<u64>,
    },
    /// A file that is not what the Hub says it is.
    #[error("{name}: {file} arrived damaged ({reason}); {remedy}")]
    Damaged {
        /// The name asked for.
        name: String,
        /// The file's name.
        file: String,
        /// What its checksum is, and what it should be.
        reason: String,
        /// Whether it was removed.
        remedy: String,
    },
    /// A list of files that is none, or names what is not a file beside it.
    #[error("{name}: {reason}; look at {url}")]
    Index {
        /// The name asked for.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// The repository's page.
        url: String,
    },
}
