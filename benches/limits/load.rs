//! Work that is measured: one operation, or many tasks for a while.

use std::time::{Duration, Instant};

use strom::repository::{Author, Change, Precondition, Stamp};
use strom::{Flow, clock};

use crate::document::document;
use crate::report::Samples;

/// What many tasks did in a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// Of one operation: the time divided by their number.
    pub(crate) seconds: f64,
    /// The longest that one took.
    pub(crate) worst: f64,
}

pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> f64 {
    let begin = Instant::now();
    work.await;
    begin.elapsed().as_secs_f64()
}

/// Both take their turns, and neither is always the first.
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

/// Runs so many tasks for so long; each is given its number, and does one operation after the other.
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

/// What a task does again and again.
pub(crate) trait AsyncOperation {
    fn once(&mut self) -> impl Future<Output = ()> + Send;
}

/// Saves that are ready before the clock runs: two contents of each of some flows, in turns.
pub(crate) struct Edits {
    flows: Vec<Flow>,
    next: usize,
}

/// How many flows a task saves in turns.
const OWN: u64 = 32;

impl Edits {
    /// Those of one task: no other has its flows, as long as there are enough. Every call gives other contents.
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

/// A content that the flow did not have, if `content` is new.
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
