//! The server over PostgreSQL, compared with the repository that it uses. The clients send prepared bytes and read only
//! the length of the response, so that the server dominates the measurement.

use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use strom_store::FlowRepository;
use strom_store::internals::Chance;
use strom_store::repository::ListQuery;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::Arguments;
use crate::load::{AsyncOperation, Edits, in_turns, stamp, tasks};
use crate::postgres::Server;
use crate::program::Program;
use crate::report::{Report, Row};

const FLOWS: u64 = 10_000;
const SLICES: usize = 7;
const SLICE: Duration = Duration::from_secs(2);
const CLIENTS: usize = 5;

#[derive(Debug, Clone, Copy)]
enum Operation {
    Get,
    List,
    Save,
}

pub(crate) async fn measure(server: &Server, arguments: &Arguments, report: &mut Report) {
    let repository = server.filled("strom_bench_http", FLOWS).await;
    let program = Program::start("bench", &["--database-url", &server.url("strom_bench_http")]);
    for (what, name, goal) in [
        (Operation::Get, "get", Some(1.5)),
        (Operation::List, "page of 50 summaries", None),
        (Operation::Save, "save", None),
    ] {
        let ours = async || {
            let mut clients = Vec::new();
            for task in 0..CLIENTS {
                clients.push(Some(Client::connect(&program.address, what, task).await));
            }
            let clients = std::sync::Mutex::new(clients);
            tasks(CLIENTS, SLICE, |task| clients.lock().unwrap()[task].take().unwrap()).await.seconds
        };
        let floor = async || {
            let caller = |task| Caller {
                repository: Arc::clone(&repository),
                what,
                chance: Chance::new(task as u64),
                edits: Edits::of(task, FLOWS, 2_000),
            };
            tasks(CLIENTS, SLICE, caller).await.seconds
        };
        let (ours, floor) = in_turns(arguments.rounds(SLICES), ours, floor).await;
        let row = Row::new("HTTP", name, &ours).of(FLOWS, 2_000, CLIENTS).over("the repository", &floor);
        report.add(match goal {
            Some(goal) => row.goal(goal),
            None => row,
        });
    }
    repository.close().await.unwrap();
}

struct Caller {
    repository: Arc<dyn FlowRepository>,
    what: Operation,
    chance: Chance,
    edits: Edits,
}

impl AsyncOperation for Caller {
    async fn once(&mut self) {
        let number = self.chance.below(FLOWS);
        match self.what {
            Operation::Get => {
                drop(self.repository.get(uuid::Uuid::from_u128(number.into()).into()).await.unwrap().unwrap())
            }
            Operation::List => {
                let query = ListQuery { limit: Some(50), ..ListQuery::default() };
                assert_eq!(self.repository.summaries(&query).await.unwrap().items.len(), 50);
            }
            Operation::Save => {
                self.repository.apply_all(vec![self.edits.next_change()], stamp()).await.unwrap();
            }
        }
    }
}

struct Client {
    what: Operation,
    chance: Chance,
    edits: Edits,
    host: String,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    answer: Vec<u8>,
}

impl Client {
    async fn connect(address: &str, what: Operation, task: usize) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        let (chance, host) = (Chance::new(1 << 32 | task as u64), address.to_owned());
        let edits = Edits::of(task, FLOWS, 2_000);
        Self { what, chance, edits, host, reader: BufReader::new(reader), writer, answer: Vec::new() }
    }

    fn request(&mut self) -> String {
        let number = self.chance.below(FLOWS);
        let id = uuid::Uuid::from_u128(number.into());
        let host = &self.host;
        match self.what {
            Operation::Get => format!("GET /api/flows/{id} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            Operation::List => format!("GET /api/flows?limit=50&view=summary HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            Operation::Save => {
                let flow = self.edits.next();
                let (id, body) = (flow.id(), flow.document().get());
                format!(
                    "PUT /api/flows/{id} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
        }
    }
}

impl AsyncOperation for Client {
    async fn once(&mut self) {
        let request = self.request();
        self.writer.write_all(request.as_bytes()).await.unwrap();
        let mut length = None;
        let mut line = String::new();
        self.reader.read_line(&mut line).await.unwrap();
        assert_eq!(line.trim_end(), "HTTP/1.1 200 OK", "{request}");
        while line != "\r\n" {
            line.clear();
            self.reader.read_line(&mut line).await.unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
        }
        self.answer.resize(length.expect("the response has a content length"), 0);
        self.reader.read_exact(&mut self.answer).await.unwrap();
    }
}
