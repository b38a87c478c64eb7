//! An outage of the database from the view of a client: the times until the server returns the first 503, until it
//! returns each further one, and until saves work again. Tests check the behaviour, this benchmark measures the
//! durations.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use tokio::time::sleep;

use crate::Arguments;
use crate::postgres::Server;
use crate::program::Program;
use crate::report::{Report, Row, Samples};
use strom_test_support::proxy::Proxy;

const ROUNDS: usize = 5;
const REFUSALS: usize = 20;
/// The pause between two requests that wait for a change of state. It limits the precision of the figures.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) async fn measure(server: &Server, arguments: &Arguments, report: &mut Report) {
    server.create("strom_bench_outage", "strom_bench_empty").await;
    let proxy = Proxy::before(&server.url("strom_bench_outage")).await;
    let program = Program::start("outage", &["--database-url", &proxy.url()]);
    let saver = Saver { client: Client::new(), url: format!("http://{}/api/flows", program.address) };
    for (name, begin) in [("cut", Proxy::cut as fn(&Proxy)), ("silent", Proxy::black_hole)] {
        let [mut noticed, mut rejected, mut recovered] = std::array::from_fn(|_| Samples::default());
        for _ in 0..arguments.rounds(ROUNDS) {
            saver.until(StatusCode::CREATED).await;
            begin(&proxy);
            noticed.add(saver.until(StatusCode::SERVICE_UNAVAILABLE).await);
            for _ in 0..REFUSALS {
                let begin = Instant::now();
                assert_eq!(saver.save().await, StatusCode::SERVICE_UNAVAILABLE);
                rejected.add(begin.elapsed().as_secs_f64());
            }
            proxy.restore();
            recovered.add(saver.until(StatusCode::CREATED).await);
        }
        report.add(Row::new("Outage", format!("{name}: first 503"), &noticed));
        report.add(Row::new("Outage", format!("{name}: each further 503"), &rejected).goal(0.1));
        report.add(Row::new("Outage", format!("{name}: first save after the return"), &recovered).goal(2.0));
    }
}

struct Saver {
    client: Client,
    url: String,
}

impl Saver {
    async fn save(&self) -> StatusCode {
        let request = self.client.post(&self.url).header("content-type", "application/json");
        request.body(r#"{"name":"saved"}"#).send().await.unwrap().status()
    }

    /// Saves until the server responds with this status, and returns the seconds until then.
    async fn until(&self, status: StatusCode) -> f64 {
        let begin = Instant::now();
        while self.save().await != status {
            sleep(PAUSE).await;
        }
        begin.elapsed().as_secs_f64()
    }
}
