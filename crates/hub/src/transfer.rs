//! Files from the Hub's server: what it says of one, and its bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use httpdate::parse_http_date;
use indicatif::{ProgressBar, ProgressStyle};
use ureq::http::header::{self, HeaderMap, HeaderName};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

/// So many addresses lead to one file at most.
const REDIRECTS: usize = 10;
/// Of what is asked before the file itself.
const FIRST_BYTE: (u64, Option<u64>) = (0, Some(0));

/// Why something does not come.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The server refuses, and says for how many seconds.
    Status(u16, Option<u64>),
    /// It is not reached, or does not answer.
    Request(ureq::Error),
    /// It answers as the Hub does not.
    Answer(String),
    /// The file breaks off.
    Broken(io::Error),
    /// It cannot be written.
    File(io::Error),
}

/// What the server says of a file.
#[derive(Debug)]
pub(crate) struct About {
    /// Its name among the blobs.
    pub(crate) etag: String,
    /// What it is of.
    pub(crate) commit: String,
    /// Bytes.
    pub(crate) size: u64,
}

/// A way to the server.
#[derive(Clone)]
pub(crate) struct Transfer {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    bar: bool,
}

/// An answer, and the headers of the server that was asked: another may have the file.
struct Answer {
    response: Response<Body>,
    first: HeaderMap,
}

impl Transfer {
    /// Gives up where nothing comes for `patience`. `bar`: whether standard error shows how much came.
    pub(crate) fn new(
        endpoint: String,
        token: Option<String>,
        patience: Duration,
        bar: bool,
    ) -> Self {
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .user_agent(concat!("fcmae/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into(), endpoint, token, bar }
    }

    /// Where a file is: `place` is its repository, `resolve`, the revision and its name.
    fn address(&self, place: &str) -> String {
        format!("{}/{place}", self.endpoint)
    }

    /// What the server says of a file.
    ///
    /// # Errors
    /// [`Trouble`]; names that would lead out of the cache.
    pub(crate) fn about(&self, place: &str) -> Result<About, Trouble> {
        let Answer { response, first } = self.ask(place, FIRST_BYTE)?;
        let etag = text(&first, HeaderName::from_static("x-linked-etag"))
            .or_else(|| text(&first, header::ETAG))
            .ok_or_else(|| lacks("ETag"))?;
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        let commit = text(&first, HeaderName::from_static("x-repo-commit"));
        let commit = commit.ok_or_else(|| lacks("X-Repo-Commit"))?.trim();
        // They become parts of paths.
        for (header, name) in [("ETag", etag), ("X-Repo-Commit", commit)] {
            if !is_part(name) || name.len() > 128 {
                return Err(Trouble::Answer(format!("its {header} {name:?} is not a plain name")));
            }
        }
        let size = range(response.headers()).map(|(_, size)| size);
        let size = size.ok_or_else(|| lacks("Content-Range"))?;
        Ok(About { etag: etag.to_owned(), commit: commit.to_owned(), size })
    }

    /// Fetches a file of `size` bytes into `part`, from where that breaks off.
    ///
    /// # Errors
    /// [`Trouble`]; what came stays.
    pub(crate) fn fetch(&self, place: &str, size: u64, part: &Path) -> Result<(), Trouble> {
        let open = OpenOptions::new().append(true).create(true).open(part);
        let mut file = open.map_err(Trouble::File)?;
        let mut start = file.metadata().map_err(Trouble::File)?.len();
        if start > size {
            start = 0;
            file.set_len(0).map_err(Trouble::File)?;
        }
        if start == size {
            return Ok(());
        }
        let Answer { response, .. } = self.ask(place, (start, None))?;
        match (response.status(), range(response.headers())) {
            (StatusCode::PARTIAL_CONTENT, Some((from, all))) if (from, all) == (start, size) => {}
            // It sends all of it, whatever it was asked for.
            (StatusCode::OK, _) => {
                file.set_len(0).map_err(Trouble::File)?;
                start = 0;
            }
            _ => return Err(Trouble::Answer("it sends another part than was asked for".into())),
        }
        let name = place.rsplit('/').next().unwrap_or(place);
        let bar = if self.bar { bar(size, name) } else { ProgressBar::hidden() };
        bar.set_position(start);
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let copied = copy(&mut body, &mut file, size - start, &bar);
        bar.finish_and_clear();
        copied
    }

    /// Asks for bytes of a file, the first and, unless it is the file's, the last.
    fn ask(&self, place: &str, (from, to): (u64, Option<u64>)) -> Result<Answer, Trouble> {
        let mut address = self.address(place);
        let own = origin(&address).to_owned();
        let to = to.map_or(String::new(), |to| to.to_string());
        let mut first: Option<HeaderMap> = None;
        for _ in 0..=REDIRECTS {
            let mut request = self
                .agent
                .get(&address)
                .header(header::RANGE, format!("bytes={from}-{to}"))
                .header(header::ACCEPT_ENCODING, "identity");
            // No other server learns of it.
            if let Some(token) = self.token.as_ref().filter(|_| origin(&address) == own) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call().map_err(Trouble::Request)?;
            let status = response.status();
            let next =
                text(response.headers(), header::LOCATION).filter(|_| status.is_redirection());
            let Some(next) = next else {
                if !status.is_success() {
                    return Err(Trouble::Status(status.as_u16(), wait(response.headers())));
                }
                let first = first.unwrap_or_else(|| response.headers().clone());
                return Ok(Answer { response, first });
            };
            let next = target(&address, next)
                .ok_or_else(|| Trouble::Answer(format!("it leads to {next:?}, no web address")))?;
            // A repository that was renamed is elsewhere on the same server.
            if origin(&next) != own {
                first.get_or_insert_with(|| response.headers().clone());
            }
            address = next;
        }
        Err(Trouble::Answer(format!("it leads from one address to the next, {REDIRECTS} times")))
    }
}

/// Copies `size` bytes.
fn copy(
    from: &mut impl io::Read,
    file: &mut File,
    size: u64,
    bar: &ProgressBar,
) -> Result<(), Trouble> {
    let mut buffer = vec![0; 1 << 16];
    let mut left = size;
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = match from.take(most as u64).read(&mut buffer) {
            Ok(0) => return Err(Trouble::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Trouble::Broken(error)),
        };
        file.write_all(&buffer[..read]).map_err(Trouble::File)?;
        left -= read as u64;
        bar.inc(read as u64);
    }
    Ok(())
}

fn bar(size: u64, name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    let bar = ProgressBar::new(size).with_message(name.to_owned());
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn lacks(header: &str) -> Trouble {
    Trouble::Answer(format!("it names no {header}"))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// For how many seconds the server asks to wait: it says so, or until when.
fn wait(headers: &HeaderMap) -> Option<u64> {
    let asked = text(headers, header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(seconds);
    }
    let time = |text: &str| parse_http_date(text.trim()).ok();
    // By its own clock, where it tells the time.
    let now = text(headers, header::DATE).and_then(time).unwrap_or_else(SystemTime::now);
    let left = time(asked)?.duration_since(now).unwrap_or_default();
    Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

/// The first byte of a part, and the bytes of the whole.
fn range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = text(headers, header::CONTENT_RANGE)?.trim().strip_prefix("bytes ")?;
    let (part, size) = text.split_once('/')?;
    Some((part.split_once('-')?.0.trim().parse().ok()?, size.trim().parse().ok()?))
}

/// Scheme, host and port of an address.
fn origin(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + 3);
    let end = address[host..].find(['/', '?', '#']).map_or(address.len(), |at| host + at);
    &address[..end]
}

/// Where `next`, as a redirect gives it, leads from `address`.
fn target(address: &str, next: &str) -> Option<String> {
    let is_web = |next: &str| next.starts_with("https://") || next.starts_with("http://");
    let scheme = address.split("//").next().unwrap_or_default();
    match next {
        _ if is_web(next) => Some(next.to_owned()),
        _ if next.starts_with("//") => Some(format!("{scheme}{next}")),
        _ if next.starts_with('/') => Some(format!("{}{next}", origin(address))),
        _ if next.is_empty() || next.split(['/', '?']).next()?.contains(':') => None,
        _ => {
            let path = address.split(['?', '#']).next()?;
            Some(format!("{}/{next}", path.rsplit_once('/')?.0))
        }
    }
}

/// One part of a path or an address.
pub(crate) fn is_part(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_wait_is_told_in_seconds_or_by_its_end() {
        let asked = |after: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, after.parse().unwrap());
            date.map(|date| headers.insert(header::DATE, date.parse().unwrap()));
            wait(&headers)
        };
        let [before, after] = ["Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT"];
        assert_eq!(asked(" 30 ", None), Some(30));
        assert_eq!(asked(after, Some(before)), Some(30));
        assert_eq!(asked(before, Some(after)), Some(0));
        // By this machine's clock.
        assert_eq!(asked(after, None), Some(0));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let soon = asked(&soon, None).unwrap();
        assert!((90..=100).contains(&soon), "{soon}");
        for none in ["soon", "-1", "", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(asked(none, Some(before)), None, "{none}");
        }
    }

    #[test]
    fn redirects_lead_to_web_addresses_alone() {
        let from = "https://h:1/a/b?c";
        for (next, expected) in [
            ("https://x/y", Some("https://x/y")),
            ("/y?z", Some("https://h:1/y?z")),
            ("//x/y", Some("https://x/y")),
            ("y", Some("https://h:1/a/y")),
            ("file:///etc/passwd", None),
            ("", None),
        ] {
            assert_eq!(target(from, next).as_deref(), expected, "{next}");
        }
        assert_eq!(origin("http://h"), "http://h");
    }
}
