//! The Hub as its clients meet it, played by a server in this process.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use fcmae_hub::{Error, Hub};

/// Serves files at `/OWNER/NAME/resolve/main/FILE`, with the headers of the Hub.
struct Server {
    endpoint: String,
    requests: Arc<AtomicUsize>,
    files: Arc<Mutex<BTreeMap<&'static str, &'static [u8]>>>,
    /// Lines of requests that name a token.
    tokens: Arc<Mutex<Vec<String>>>,
    /// So many requests for what is `limited` are refused from now on.
    refusals: Arc<AtomicUsize>,
}

impl Server {
    fn start(files: &[(&'static str, &'static [u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = Arc::new(Mutex::new(files.iter().copied().collect()));
        let requests = Arc::new(AtomicUsize::new(0));
        let tokens = Arc::new(Mutex::new(Vec::new()));
        let (shared, count) = (Arc::clone(&files), Arc::clone(&requests));
        let (sent, refusals) = (Arc::clone(&tokens), Arc::new(AtomicUsize::new(0)));
        let refused = Arc::clone(&refusals);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                answer(stream.unwrap(), &shared.lock().unwrap(), &sent, &refused);
            }
        });
        Self { endpoint, requests, files, tokens, refusals }
    }
}

fn answer(
    mut stream: TcpStream,
    files: &BTreeMap<&str, &[u8]>,
    tokens: &Mutex<Vec<String>>,
    refusals: &AtomicUsize,
) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let request = lines.next().unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let mut start = 0;
    let mut end = usize::MAX;
    for line in lines.take_while(|line| !line.is_empty()) {
        if line.to_ascii_lowercase().starts_with("authorization:") {
            tokens.lock().unwrap().push(line.clone());
        }
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            let (from, to) = range.split_once('-').unwrap();
            start = from.parse().unwrap();
            end = to.parse().map_or(usize::MAX, |last: usize| last + 1);
        }
    }
    let status = |status: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    };
    if path.starts_with("/broken/") {
        stream.write_all(status("503 Service Unavailable").as_bytes()).unwrap();
        return;
    }
    if path.starts_with("/gated/") {
        stream.write_all(status("403 Forbidden").as_bytes()).unwrap();
        return;
    }
    if path.starts_with("/busy/") {
        stream.write_all(status("429 Too Many Requests").as_bytes()).unwrap();
        return;
    }
    if path.starts_with("/loop/") {
        let status = status(&format!("302 Found\r\nLocation: {path}"));
        stream.write_all(status.as_bytes()).unwrap();
        return;
    }
    let refuse = |left: usize| left.checked_sub(1);
    let until = "Sun, 06 Nov 1994 08:49:38 GMT\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT";
    for (way, code, wait) in
        [("limited", 429, "1"), ("away", 503, "1"), ("dated", 429, until), ("full", 429, "3600")]
    {
        if path.starts_with(&format!("/{way}/"))
            && refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, refuse).is_ok()
        {
            let status = status(&format!("{code} Later\r\nRetry-After: {wait}"));
            stream.write_all(status.as_bytes()).unwrap();
            return;
        }
    }
    let file = path.rsplit_once("/resolve/main/").and_then(|(_, file)| files.get(file));
    let Some(content) = file else {
        stream.write_all(status("404 Not Found").as_bytes()).unwrap();
        return;
    };
    let part = &content[start..end.min(content.len())];
    let etag = match path.split('/').nth(1) {
        Some("large") => SHA256.to_owned(),
        Some("small") => BLOB.to_owned(),
        Some("mirror") => SHA1.to_owned(),
        Some("outside") => "../../../outside".to_owned(),
        Some("rooted") => "/tmp/fcmae-rooted".to_owned(),
        _ => path.len().to_string(),
    };
    let commit = if path.starts_with("/commit/") { "../../../../outside" } else { "c0ffee" };
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {commit}\r\n\
         Content-Range: bytes {start}-{}/{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        start + part.len() - 1,
        content.len(),
        part.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let stalls = path.starts_with("/stall/") && start == 0 && part.len() > 1;
    let cut = if stalls || path.starts_with("/cut/") { part.len() / 2 } else { part.len() };
    stream.write_all(&part[..cut]).unwrap();
    if stalls {
        stream.flush().unwrap();
        std::thread::sleep(std::time::Duration::from_secs(4));
    }
}

/// Of `weights`.
const SHA256: &str = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";

/// By `printf '{}' | git hash-object --stdin`, and by `sha1sum`.
const BLOB: &str = "9e26dfeeb6e641a33dae4961196235bdb965b21b";
const SHA1: &str = "bf21a9e8fbc5a3846fb05b4fa0859e0917b2202f";

const NAME: &str = "hf:timm/convnextv2_atto.fcmae_ft_in1k";

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn weights_come_with_what_describes_them_and_then_from_the_cache() {
    let server = Server::start(&[("model.safetensors", b"weights"), ("config.json", b"{}")]);
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    let path = hub.fetch(NAME).unwrap();
    assert!(path.ends_with("model.safetensors"), "{path:?}");
    assert_eq!(read(&path), b"weights");
    assert_eq!(read(&path.with_file_name("config.json")), b"{}");
    assert!(!path.with_file_name("preprocessor_config.json").exists());

    // Without a network, what is in the cache is used.
    let asked = server.requests.load(Ordering::Relaxed);
    let offline = Hub::at("http://127.0.0.1:1", cache.path()).unwrap();
    assert_eq!(offline.fetch(NAME).unwrap(), path);
    assert_eq!(server.requests.load(Ordering::Relaxed), asked);
}

#[test]
fn a_pickle_is_taken_where_there_is_no_safetensors_file_and_files_can_be_named() {
    let server = Server::start(&[("pytorch_model.bin", b"pickle"), ("old.pth", b"older")]);
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    assert_eq!(read(&hub.fetch("hf:a/b").unwrap()), b"pickle");
    assert_eq!(read(&hub.fetch("hf:a/b:old.pth").unwrap()), b"older");
}

#[test]
fn what_is_not_there_is_told_with_the_remedy() {
    let server = Server::start(&[]);
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    let error = hub.fetch("hf:a/b").unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("model.safetensors or pytorch_model.bin"), "{text}");
    assert!(text.contains(&format!("{}/a/b", server.endpoint)), "{text}");

    let error = hub.fetch("hf:gated/b").unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");

    let offline = Hub::at("http://127.0.0.1:1", cache.path()).unwrap();
    let text = offline.fetch("hf:a/b").unwrap_err().to_string();
    assert!(text.contains("cannot be reached") && text.contains("give the path"), "{text}");

    // A file that comes later is found then: its absence was not kept.
    server.files.lock().unwrap().insert("model.safetensors", b"late");
    assert_eq!(read(&hub.fetch("hf:a/b").unwrap()), b"late");
}

#[test]
fn errors_of_the_network_name_the_server_and_the_variable() {
    let cache = tempfile::tempdir().unwrap();
    let offline = Hub::at("http://127.0.0.1:1", cache.path()).unwrap();
    let text = offline.fetch("hf:a/b").unwrap_err().to_string();
    assert!(text.contains("http://127.0.0.1:1") && text.contains("HF_ENDPOINT"), "{text}");
    let server = Server::start(&[]);
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    let text = hub.fetch("hf:broken/b").unwrap_err().to_string();
    assert!(text.contains("answers with the status 503"), "{text}");
    let text = hub.fetch("hf:busy/b").unwrap_err().to_string();
    assert!(text.contains("limits requests") && text.contains("log in"), "{text}");
}

#[test]
fn a_file_that_breaks_off_is_told_so() {
    let server = Server::start(&[("model.safetensors", b"weights")]);
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    let text = hub.fetch("hf:cut/b").unwrap_err().to_string();
    assert!(text.contains("broke off in the middle") && text.contains("try again"), "{text}");
    assert!(!text.contains("cannot be reached"), "{text}");
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused() {
    let server = Server::start(&[("model.safetensors", b"weights")]);
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("a/b/c");
    let hub = Hub::at(&server.endpoint, &cache).unwrap();
    for (owner, header) in [("outside", "ETag"), ("rooted", "ETag"), ("commit", "X-Repo-Commit")] {
        let text = hub.fetch(&format!("hf:{owner}/b")).unwrap_err().to_string();
        assert!(text.contains(&server.endpoint) && text.contains("not a plain name"), "{text}");
        assert!(text.contains(header), "{text}");
    }
    assert!(!cache.exists() && std::fs::read_dir(folder.path()).unwrap().next().is_none());
    assert!(!Path::new("/tmp/fcmae-rooted").exists());
}

#[test]
fn redirects_without_an_end_are_left() {
    let server = Server::start(&[("model.safetensors", b"weights")]);
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    let text = hub.fetch("hf:loop/b").unwrap_err().to_string();
    assert!(text.contains("one address to the next, 10 times"), "{text}");
    assert_eq!(server.requests.load(Ordering::Relaxed), 11);
}

#[test]
fn a_server_that_falls_silent_is_left_and_what_came_is_gone_on_with() {
    let server = Server::start(&[("model.safetensors", b"weights")]);
    let cache = tempfile::tempdir().unwrap();
    let given = [
        ("HF_HUB_CACHE", cache.path().display().to_string()),
        ("HF_ENDPOINT", server.endpoint.clone()),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "1".to_owned()),
    ];
    let hub = Hub::from_variables(variables(&given)).unwrap();
    let began = std::time::Instant::now();
    let text = hub.fetch("hf:stall/b").unwrap_err().to_string();
    assert!(text.contains("broke off") && text.contains("is kept"), "{text}");
    assert!(began.elapsed().as_secs_f64() < 3.5);
    let wait = || std::thread::sleep(std::time::Duration::from_secs(4));
    wait();
    assert_eq!(read(&hub.fetch("hf:stall/b").unwrap()), b"weights");

    for wrong in ["soon", "0", "-1", "inf"] {
        let given = [given[0].clone(), ("HF_HUB_DOWNLOAD_TIMEOUT", wrong.to_owned())];
        let text = Hub::from_variables(variables(&given)).unwrap_err().to_string();
        assert!(text.contains("HF_HUB_DOWNLOAD_TIMEOUT"), "{wrong}: {text}");
    }
}

#[test]
fn a_large_file_that_comes_damaged_is_removed() {
    let server = Server::start(&[("model.safetensors", b"weighty")]);
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    for _ in 0..2 {
        let error = hub.fetch("hf:large/b").unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("model.safetensors") && text.contains(SHA256), "{text}");
        assert!(text.contains("removed; try again"), "{text}");
        assert!(!cache.path().join("models--large--b/blobs").join(SHA256).exists());
    }
    server.files.lock().unwrap().insert("model.safetensors", b"weights");
    assert_eq!(read(&hub.fetch("hf:large/b").unwrap()), b"weights");
}

#[test]
fn a_small_file_that_comes_damaged_is_removed() {
    for (owner, hash) in [("small", BLOB), ("mirror", SHA1)] {
        let server = Server::start(&[("model.safetensors", b"{]")]);
        let cache = tempfile::tempdir().unwrap();
        let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
        let text = hub.fetch(&format!("hf:{owner}/b")).unwrap_err().to_string();
        assert!(text.contains("hash by git") && text.contains(hash), "{text}");
        assert!(text.contains("removed; try again"), "{text}");
        server.files.lock().unwrap().insert("model.safetensors", b"{}");
        assert_eq!(read(&hub.fetch(&format!("hf:{owner}/b")).unwrap()), b"{}");
    }
}

#[test]
fn a_hub_that_asks_to_wait_is_asked_again() {
    let server = Server::start(&[("model.safetensors", b"weights")]);
    for (owner, refusals) in [("limited", 3), ("away", 2), ("dated", 1)] {
        let cache = tempfile::tempdir().unwrap();
        let (tell, told) = mpsc::channel();
        let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
        let hub = hub.telling(move |note| tell.send(note.to_owned()).unwrap());
        server.refusals.store(refusals, Ordering::Relaxed);
        let began = std::time::Instant::now();
        assert_eq!(read(&hub.fetch(&format!("hf:{owner}/b")).unwrap()), b"weights");
        assert!(began.elapsed().as_secs_f64() >= 1.0);
        drop(hub);
        let told: Vec<String> = told.iter().collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&server.endpoint) && told[0].contains("wait 1 s"), "{told:?}");
    }
}

#[test]
fn a_hub_that_asks_to_wait_for_long_is_told_at_once() {
    let server = Server::start(&[("model.safetensors", b"weights")]);
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    server.refusals.store(usize::MAX, Ordering::Relaxed);
    let text = hub.fetch("hf:full/b").unwrap_err().to_string();
    assert!(text.contains("wait 3600 s") && text.contains("log in"), "{text}");
    // Nor for ever where it asks for little each time.
    let began = std::time::Instant::now();
    let text = hub.fetch("hf:limited/b").unwrap_err().to_string();
    assert!(text.contains("wait 1 s"), "{text}");
    assert!(began.elapsed().as_secs() < 30);
}

/// As [`a_cache_without_links_is_filled_without_them`].
#[cfg(unix)]
#[test]
fn a_damaged_file_is_known_without_links_too() {
    let server = Server::start(&[("model.safetensors", b"weighty")]);
    let cache = tempfile::tempdir().unwrap();
    let snapshot = cache.path().join("models--large--b/snapshots/c0ffee");
    std::fs::create_dir_all(&snapshot).unwrap();
    let path = snapshot.join("model.safetensors");
    std::os::unix::fs::symlink("nothing", &path).unwrap();
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    let error = hub.fetch("hf:large/b").unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(!path.exists());
}

fn variables(
    given: &[(&'static str, String)],
) -> impl Fn(&str) -> Option<std::ffi::OsString> + use<> {
    let given = given.to_vec();
    move |name| given.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
}

#[test]
fn the_environments_cache_token_and_ban_are_kept_to() {
    let server = Server::start(&[("model.safetensors", b"weights"), ("config.json", b"{}")]);
    let cache = tempfile::tempdir().unwrap();
    let place = |name| (name, cache.path().display().to_string());
    let endpoint = ("HF_ENDPOINT", server.endpoint.clone());
    let token = ("HF_TOKEN", "hf_secret".to_owned());
    let ban = ("HF_HUB_OFFLINE", "1".to_owned());

    let given = [place("HF_HUB_CACHE"), endpoint.clone(), token, ban.clone()];
    let hub = Hub::from_variables(variables(&given)).unwrap();
    let text = hub.fetch(NAME).unwrap_err().to_string();
    assert!(text.contains("HF_HUB_OFFLINE") && text.contains("is not in the cache"), "{text}");
    assert!(text.contains(&given[0].1) && !text.contains("hf_secret"), "{text}");
    assert_eq!(server.requests.load(Ordering::Relaxed), 0);

    let hub = Hub::from_variables(variables(&given[..3])).unwrap();
    let path = hub.fetch(NAME).unwrap();
    assert!(path.starts_with(cache.path().join("models--timm--convnextv2_atto.fcmae_ft_in1k")));
    let sent = server.tokens.lock().unwrap().clone();
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|line| line.ends_with("Bearer hf_secret")), "{sent:?}");
    assert!(!format!("{hub:?}").contains("hf_secret"), "{hub:?}");
    let text = hub.fetch("hf:gated/b").unwrap_err().to_string();
    assert!(!text.contains("hf_secret"), "{text}");

    // What is there needs no network.
    let asked = server.requests.load(Ordering::Relaxed);
    let hub = Hub::from_variables(variables(&given)).unwrap();
    assert_eq!(hub.fetch(NAME).unwrap(), path);
    assert_eq!(server.requests.load(Ordering::Relaxed), asked);

    assert!(matches!(Hub::from_variables(|_| None), Err(Error::Home)));
}

#[test]
fn a_file_that_another_program_fetches_is_waited_for() {
    let server = Server::start(&[("model.safetensors", b"weights")]);
    let there = tempfile::tempdir().unwrap();
    // What the first program will have made of it.
    let first = Hub::at(&server.endpoint, there.path()).unwrap().fetch("hf:a/b").unwrap();
    let made = first.ancestors().nth(3).unwrap().to_owned();

    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("models--a--b");
    std::fs::create_dir_all(folder.join("blobs")).unwrap();
    let etag = "/a/b/resolve/main/model.safetensors".len();
    let lock = std::fs::File::create(folder.join(format!("blobs/{etag}.lock"))).unwrap();
    lock.lock().unwrap();
    let (endpoint, place) = (server.endpoint.clone(), cache.path().to_owned());
    let (tell, told) = mpsc::channel();
    let second = std::thread::spawn(move || {
        let hub = Hub::at(&endpoint, &place).unwrap();
        hub.telling(move |note| tell.send(note.to_owned()).unwrap()).fetch("hf:a/b").unwrap()
    });
    let note = told.recv().unwrap();
    assert!(note.contains("model.safetensors") && note.contains(".lock"), "{note}");
    assert!(!second.is_finished());
    let asked = server.requests.load(Ordering::Relaxed);
    std::fs::copy(made.join(format!("blobs/{etag}")), folder.join(format!("blobs/{etag}")))
        .unwrap();
    std::fs::create_dir_all(folder.join("snapshots/c0ffee")).unwrap();
    std::fs::copy(&first, folder.join("snapshots/c0ffee/model.safetensors")).unwrap();
    std::fs::create_dir_all(folder.join("refs")).unwrap();
    std::fs::write(folder.join("refs/main"), "c0ffee").unwrap();
    drop(lock);
    assert_eq!(read(&second.join().unwrap()), b"weights");
    // What describes it is looked for and its checksum, as it is no link; it is not fetched once more.
    assert!(server.requests.load(Ordering::Relaxed) <= asked + 3);
}

#[test]
fn a_first_program_that_gives_up_is_stood_in_for() {
    let server = Server::start(&[("model.safetensors", b"weights")]);
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("models--a--b/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let etag = "/a/b/resolve/main/model.safetensors".len();
    let lock = std::fs::File::create(blobs.join(format!("{etag}.lock"))).unwrap();
    lock.lock().unwrap();
    let (endpoint, place) = (server.endpoint.clone(), cache.path().to_owned());
    let (tell, told) = mpsc::channel();
    let second = std::thread::spawn(move || {
        let hub = Hub::at(&endpoint, &place).unwrap();
        hub.telling(move |_| tell.send(()).unwrap()).fetch("hf:a/b").unwrap()
    });
    told.recv().unwrap();
    drop(lock);
    assert_eq!(read(&second.join().unwrap()), b"weights");
}

/// Where a link cannot be made: a link to nothing stands in its place.
#[cfg(unix)]
#[test]
fn a_cache_without_links_is_filled_without_them() {
    let server = Server::start(&[("model.safetensors", b"weights"), ("config.json", b"{}")]);
    let cache = tempfile::tempdir().unwrap();
    let snapshot = cache.path().join("models--a--b/snapshots/c0ffee");
    std::fs::create_dir_all(&snapshot).unwrap();
    for file in ["model.safetensors", "config.json"] {
        std::os::unix::fs::symlink("nothing", snapshot.join(file)).unwrap();
    }
    let path = Hub::at(&server.endpoint, cache.path()).unwrap().fetch("hf:a/b").unwrap();
    assert_eq!(read(&path), b"weights");
    assert!(!path.is_symlink() && path.with_file_name("config.json").is_file());
    let offline = Hub::at("http://127.0.0.1:1", cache.path()).unwrap();
    assert_eq!(offline.fetch("hf:a/b").unwrap(), path);
}

/// From now on links are refused to this thread with this error.
#[cfg(target_os = "linux")]
fn refuse_links(error: i32) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
    let calls = [
        #[cfg(target_arch = "x86_64")]
        libc::SYS_symlink,
        libc::SYS_symlinkat,
    ];
    let filter = SeccompFilter::new(
        calls.into_iter().map(|call| (call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(error.unsigned_abs()),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    apply_filter(&BpfProgram::try_from(filter.unwrap()).unwrap()).unwrap();
}

/// What FAT, exFAT and shares give whoever wants a link: nothing stands in its place.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_refuses_links_has_the_files_themselves() {
    for refusal in [libc::EPERM, libc::EACCES, libc::EOPNOTSUPP, libc::ENOSYS] {
        let server = Server::start(&[("model.safetensors", b"weights"), ("config.json", b"{}")]);
        let cache = tempfile::tempdir().unwrap();
        let (endpoint, place) = (server.endpoint.clone(), cache.path().to_owned());
        let fetched = std::thread::spawn(move || {
            refuse_links(refusal);
            let link = std::os::unix::fs::symlink("nothing", place.join("link"));
            assert_eq!(link.unwrap_err().raw_os_error(), Some(refusal));
            Hub::at(&endpoint, &place).unwrap().fetch("hf:a/b")
        });
        let path = fetched.join().unwrap().unwrap_or_else(|error| panic!("{refusal}: {error}"));
        assert_eq!(read(&path), b"weights");
        assert_eq!(read(&path.with_file_name("config.json")), b"{}");
        assert!(!path.is_symlink());
        // They are there once, and found again without the Hub, where there are links too.
        let blobs = std::fs::read_dir(cache.path().join("models--a--b/blobs")).unwrap();
        let names = blobs.map(|blob| blob.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> = names.filter(|name| !name.ends_with(".lock")).collect();
        assert!(left.is_empty(), "{left:?}");
        let offline = Hub::at("http://127.0.0.1:1", cache.path()).unwrap();
        assert_eq!(offline.fetch("hf:a/b").unwrap(), path);
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let server = Server::start(&[("model.safetensors", b"weights")]);
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("file");
    std::fs::write(&cache, "").unwrap();
    let place = ("HF_HUB_CACHE", cache.display().to_string());
    let given = [place, ("HF_ENDPOINT", server.endpoint.clone())];
    let hub = Hub::from_variables(variables(&given)).unwrap();
    let error = hub.fetch("hf:a/b").unwrap_err();
    assert!(matches!(error, Error::Cache { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("HF_HUB_CACHE") && text.contains(&given[0].1), "{text}");
    assert!(!text.contains("cannot be reached"), "{text}");
}

#[test]
fn weights_in_several_files_come_whole() {
    let index = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-22.safetensors"}}"#;
    for name in ["model.safetensors.index.json", "pytorch_model.bin.index.json"] {
        let server = Server::start(&[
            (name, index),
            ("model-1.safetensors", b"one"),
            ("model-22.safetensors", b"two"),
        ]);
        let cache = tempfile::tempdir().unwrap();
        let path = Hub::at(&server.endpoint, cache.path()).unwrap().fetch("hf:a/b").unwrap();
        assert!(path.ends_with(name), "{path:?}");
        assert_eq!(read(&path.with_file_name("model-1.safetensors")), b"one");
        assert_eq!(read(&path.with_file_name("model-22.safetensors")), b"two");
    }
}

#[test]
fn an_index_that_names_what_is_no_file_beside_it_is_refused() {
    let name = "model.safetensors.index.json";
    let of = |file| format!(r#"{{"weight_map": {{"a": "{file}"}}}}"#);
    let hostile =
        ["../../x", "/etc/passwd", "a/b", ".x", "", "a\\\\b", "x.json", "a b", "a?b"].map(of);
    for text in hostile.into_iter().chain(["{}".to_owned(), "weights".to_owned()]) {
        let server = Server::start(&[(name, text.clone().leak().as_bytes())]);
        let cache = tempfile::tempdir().unwrap();
        let error = Hub::at(&server.endpoint, cache.path()).unwrap().fetch("hf:a/b").unwrap_err();
        assert!(matches!(error, Error::Index { .. }), "{text}: {error}");
    }
}
