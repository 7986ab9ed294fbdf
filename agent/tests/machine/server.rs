//! A server of one file, which can break off.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Answers requests of a file; knows ranges, if it shall.
pub struct Server {
    pub url: String,
    /// The first byte that each request asked for.
    pub asked: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    /// Serves bytes; each answer breaks off after so many.
    pub fn new(bytes: Vec<u8>, ranges: bool, after: usize) -> Self {
        Self::breaking(bytes, ranges, move |from| from.saturating_add(after))
    }

    /// Serves bytes; an answer breaks off where this says, which may take its time.
    pub fn breaking(
        bytes: Vec<u8>,
        ranges: bool,
        until: impl Fn(usize) -> usize + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/b", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut from = 0;
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    let line = line.to_lowercase();
                    if let Some(range) = line.strip_prefix("range: bytes=") {
                        from = range.trim_end_matches('-').parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                seen.lock().unwrap().push(from);
                let total = bytes.len();
                let (status, from) = if ranges && from > 0 {
                    (206, from)
                } else {
                    (200, 0)
                };
                let until = until(from).clamp(from, total);
                let rest = &bytes[from..];
                let head = format!(
                    "HTTP/1.1 {status} OK\r\ncontent-length: {}\r\ncontent-range: bytes {from}-{}/{total}\r\nconnection: close\r\n\r\n",
                    rest.len(),
                    total - 1
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&bytes[from..until]);
            }
        });
        Self { url, asked }
    }
}
