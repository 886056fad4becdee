//! The Hub as its clients meet it, played by a server in this process.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fcmae_hub::{Error, Hub};

/// Serves files at `/OWNER/NAME/resolve/main/FILE`, with the headers of the Hub.
struct Server {
    endpoint: String,
    requests: Arc<AtomicUsize>,
    files: Arc<Mutex<BTreeMap<&'static str, &'static [u8]>>>,
}

impl Server {
    fn start(files: &[(&'static str, &'static [u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = Arc::new(Mutex::new(files.iter().copied().collect()));
        let requests = Arc::new(AtomicUsize::new(0));
        let (shared, count) = (Arc::clone(&files), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                answer(stream.unwrap(), &shared.lock().unwrap());
            }
        });
        Self { endpoint, requests, files }
    }
}

fn answer(mut stream: TcpStream, files: &BTreeMap<&str, &[u8]>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let request = lines.next().unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let mut start = 0;
    let mut end = usize::MAX;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            let (from, to) = range.split_once('-').unwrap();
            start = from.parse().unwrap();
            end = to.parse().map_or(usize::MAX, |last: usize| last + 1);
        }
    }
    let status = |status: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    };
    if path.starts_with("/gated/") {
        stream.write_all(status("403 Forbidden").as_bytes()).unwrap();
        return;
    }
    let file = path.rsplit_once("/resolve/main/").and_then(|(_, file)| files.get(file));
    let Some(content) = file else {
        stream.write_all(status("404 Not Found").as_bytes()).unwrap();
        return;
    };
    let part = &content[start..end.min(content.len())];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"{}\"\r\nX-Repo-Commit: c0ffee\r\n\
         Content-Range: bytes {start}-{}/{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        path.len(),
        start + part.len() - 1,
        content.len(),
        part.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(part).unwrap();
}

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
fn what_is_not_there_is_told_with_the_mend() {
    let server = Server::start(&[]);
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::at(&server.endpoint, cache.path()).unwrap();
    let error = hub.fetch("hf:a/b").unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("model.safetensors or pytorch_model.bin"), "{text}");
    assert!(text.contains("https://huggingface.co/a/b"), "{text}");

    let error = hub.fetch("hf:gated/b").unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");

    let offline = Hub::at("http://127.0.0.1:1", cache.path()).unwrap();
    let text = offline.fetch("hf:a/b").unwrap_err().to_string();
    assert!(text.contains("cannot be reached") && text.contains("give the path"), "{text}");

    // A file that comes later is found then: its absence was not kept.
    server.files.lock().unwrap().insert("model.safetensors", b"late");
    assert_eq!(read(&hub.fetch("hf:a/b").unwrap()), b"late");
}
