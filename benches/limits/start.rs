//! Cold starts: the program starts, opens its storage and returns a flow.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::Arguments;
use crate::json_growth::filled;
use crate::postgres::Server;
use crate::program::Program;
use crate::report::{Report, Row, Samples};

const FLOWS: u64 = 10_000;
const STARTS: usize = 11;

pub(crate) async fn json(arguments: &Arguments, report: &mut Report) {
    let temporary = tempfile::tempdir_in(&arguments.directory).unwrap();
    filled(&temporary.path().join("flows.json"), FLOWS, 2_000).await.close().await.unwrap();
    let directory = temporary.path().to_str().unwrap().to_owned();
    report.add(measure("JSON", &["--data-dir", &directory], arguments).goal(0.150));
}

pub(crate) async fn postgres(server: &Server, arguments: &Arguments, report: &mut Report) {
    server.filled("strom_bench_start", FLOWS).await.close().await.unwrap();
    let url = server.url("strom_bench_start");
    report.add(measure("PostgreSQL", &["--database-url", &url], arguments).goal(0.200));
}

fn measure(subject: &'static str, storage: &[&str], arguments: &Arguments) -> Row {
    let mut samples = Samples::default();
    for _ in 0..arguments.rounds(STARTS) {
        let begin = Instant::now();
        let program = Program::start("start", storage);
        let mut stream = TcpStream::connect(&program.address).unwrap();
        let id = uuid::Uuid::from_u128(7);
        write!(stream, "GET /api/flows/{id} HTTP/1.1\r\nHost: {}\r\n\r\n", program.address).unwrap();
        let mut status = [0; 15];
        stream.read_exact(&mut status).unwrap();
        samples.add(begin.elapsed().as_secs_f64());
        assert_eq!(&status, b"HTTP/1.1 200 OK");
    }
    Row::new(subject, "cold start to the first flow", &samples).of(FLOWS, 2_000, 1)
}
