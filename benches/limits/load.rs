//! The measured work: one operation, or many tasks for a limited time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use strom_server::clock;
use strom_server::stack::Stack;
use strom_store::repository::{Author, Change, Precondition, Stamp};
use strom_store::{Flow, FlowRepository};

use crate::document::document;
use crate::report::Samples;

/// Builds the decorators of the server over a backend, so that the measurement includes them.
pub(crate) fn served(backend: Arc<dyn FlowRepository>) -> Arc<dyn FlowRepository> {
    Arc::clone(Stack::over(backend).ephemeral(clock::now()).build().repository())
}

/// The result of many tasks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// The time of one operation: the total time divided by the number of operations.
    pub(crate) seconds: f64,
    /// The longest operation.
    pub(crate) worst: f64,
}

pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> f64 {
    let begin = Instant::now();
    work.await;
    begin.elapsed().as_secs_f64()
}

/// Runs both operations alternately. Also alternates which one is first.
pub(crate) async fn in_turns(
    rounds: usize,
    mut ours: impl AsyncFnMut() -> f64,
    mut floor: impl AsyncFnMut() -> f64,
) -> (Samples, Samples) {
    let (mut our_samples, mut floor_samples) = (Samples::default(), Samples::default());
    for round in 0..rounds {
        if round % 2 == 0 {
            our_samples.add(ours().await);
        }
        floor_samples.add(floor().await);
        if round % 2 == 1 {
            our_samples.add(ours().await);
        }
    }
    (our_samples, floor_samples)
}

/// Runs this number of tasks for this time. Each task receives its number and repeats its operation.
pub(crate) async fn tasks<F>(count: usize, time: Duration, start: impl Fn(usize) -> F) -> Done
where
    F: AsyncOperation + Send + 'static,
{
    let operations: Vec<_> = (0..count).map(start).collect();
    let begin = Instant::now();
    let running: Vec<_> = operations
        .into_iter()
        .map(|mut operation| {
            tokio::spawn(async move {
                let (mut operations, mut worst) = (0_u64, 0.0_f64);
                while begin.elapsed() < time {
                    worst = worst.max(timed(operation.once()).await);
                    operations += 1;
                }
                (operations, worst)
            })
        })
        .collect();
    let (mut operations, mut worst) = (0, 0.0_f64);
    for task in running {
        let (more, longest) = task.await.unwrap();
        operations += more;
        worst = worst.max(longest);
    }
    Done { seconds: begin.elapsed().as_secs_f64() / operations as f64, worst }
}

/// An operation that a task repeats.
pub(crate) trait AsyncOperation {
    fn once(&mut self) -> impl Future<Output = ()> + Send;
}

/// Saves that are prepared before the measurement: alternately two contents for each of some flows.
pub(crate) struct Edits {
    flows: Vec<Flow>,
    next: usize,
}

/// The number of flows that a task saves.
const OWN: u64 = 32;

impl Edits {
    /// Returns the saves of one task. With enough flows, tasks do not share flows. Every call has new contents.
    pub(crate) fn of(task: usize, flows: u64, bytes: usize) -> Self {
        let seed = clock::now().timestamp_micros() as u64;
        let numbers = (0..OWN).map(|number| (task as u64 * OWN + number) % flows);
        let rounds = [seed, seed + 1];
        let flows = rounds.into_iter().flat_map(|content| numbers.clone().map(move |n| edited(n, bytes, content)));
        Self { flows: flows.collect(), next: 0 }
    }

    pub(crate) fn next(&mut self) -> Flow {
        self.next += 1;
        self.flows[(self.next - 1) % self.flows.len()].clone()
    }

    pub(crate) fn next_change(&mut self) -> Change {
        Change::Put(self.next(), Precondition::Any)
    }
}

/// Returns a put with a new content, if `content` is new.
pub(crate) fn edit(number: u64, bytes: usize, content: u64) -> Change {
    Change::Put(edited(number, bytes, content), Precondition::Any)
}

fn edited(number: u64, bytes: usize, content: u64) -> Flow {
    let text = document(u128::from(number), bytes).replace("\"links\":[]", &format!("\"links\":[],\"edit\":{content}"));
    Flow::parse(&text).unwrap()
}

pub(crate) fn stamp() -> Stamp {
    Stamp::new(clock::now(), Author::new("bench"))
}
