//! A stand-in for the cluster's API server: it answers joining nodes as authentication and RBAC of a
//! real one do, keeps connections open, and records who asked what.

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::receiver::{Authority, read};

/// How far `kubeadm init` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Init {
    /// The API server starts.
    Starting,
    /// The API server is ready.
    Serving,
    /// The bootstrap tokens exist.
    Tokens,
    /// Tokens may request certificates, and anybody may read cluster-info.
    Done,
}

/// What the cluster has so far, and whom it answers.
#[derive(Debug, Clone, Copy)]
pub struct Cluster {
    pub init: Init,
    /// Whether requests without credentials are answered.
    pub anonymous: bool,
    /// Whether the tokens have expired.
    pub expired: bool,
}

impl Cluster {
    /// A cluster that answers nobody without credentials.
    pub const fn closed(init: Init) -> Self {
        Self {
            init,
            anonymous: false,
            expired: false,
        }
    }

    /// The status of the answer to a request, with or without a token.
    fn answer(self, path: &str, token: &str) -> u16 {
        let Self { init, .. } = self;
        match (path, token.is_empty()) {
            (_, true) if !self.anonymous => 401,
            (_, false) if self.expired || init < Init::Tokens => 401,
            ("/readyz", _) if init >= Init::Serving => 200,
            ("/readyz", _) => 500,
            (CLUSTER_INFO, true) | (REQUESTS, false) if init == Init::Done => 200,
            (path, false) if path.starts_with("/api/v1/nodes/") => 404,
            _ => 403,
        }
    }
}

const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests?limit=1";

/// A question somebody asked.
#[derive(Debug, Clone)]
pub struct Question {
    pub at: Instant,
    pub path: String,
    /// The bootstrap token; empty without one.
    pub token: String,
}

/// The API server; lives as long as the test.
pub struct ApiServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    cluster: Mutex<Cluster>,
    connections: AtomicUsize,
    questions: Mutex<Vec<Question>>,
}

impl ApiServer {
    pub fn start(authority: &Authority, cluster: Cluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            cluster: Mutex::new(cluster),
            connections: AtomicUsize::new(0),
            questions: Mutex::default(),
        });
        let (tls, all) = (authority.server(), shared.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, tls, shared) = (stream.unwrap(), tls.clone(), all.clone());
                shared.connections.fetch_add(1, Ordering::Relaxed);
                // Whoever asked hangs up in the end.
                thread::spawn(move || serve(stream, tls, &shared));
            }
        });
        Self { address, shared }
    }

    /// The cluster is another one from now on.
    pub fn set(&self, cluster: Cluster) {
        *self.shared.cluster.lock().unwrap() = cluster;
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// All questions so far.
    pub fn questions(&self) -> Vec<Question> {
        self.shared.questions.lock().unwrap().clone()
    }

    /// When somebody with this token looked whether the API is ready, every time.
    pub fn looks(&self, token: &str) -> Vec<Instant> {
        let questions = self.questions().into_iter();
        questions
            .filter(|question| question.path == "/readyz" && question.token == token)
            .map(|question| question.at)
            .collect()
    }
}

fn serve(stream: TcpStream, tls: Arc<ServerConfig>, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(tls).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let request = read(&mut stream)?;
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let token = request.headers.iter();
        let token = token.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let token = token.filter_map(|(_, value)| value.strip_prefix("Bearer "));
        let question = Question {
            at: request.at,
            path: path.to_owned(),
            token: token.collect(),
        };
        let status = shared.cluster.lock().unwrap().answer(path, &question.token);
        shared.questions.lock().unwrap().push(question);
        let stream = stream.get_mut();
        // A refusal has a body, as a real API server's has.
        write!(
            stream,
            "HTTP/1.1 {status} Something\r\nContent-Length: 3\r\n\r\n{{}}\n"
        )?;
        stream.flush()?;
    }
}
