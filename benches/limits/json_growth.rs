//! The cost of a save to the JSON file for several store sizes. The goal is that it does not grow. The sizes alternate
//! save by save. The floor is an append of the bytes that a save adds to the journal, and a sync.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use strom_server::clock;
use strom_store::FlowRepository;
use strom_store::internals::Chance;
use strom_store::json::{JsonRepository, Settings};

use crate::Arguments;
use crate::load::{edit, served, stamp, timed};
use crate::report::{Report, Row, Samples};

pub(crate) const APPEND: &str = "append + fdatasync";

/// The number of flows and the size of each.
const STORES: [(u64, usize); 7] =
    [(10, 2_000), (100, 2_000), (1_000, 2_000), (10_000, 2_000), (100_000, 2_000), (1_000, 20_000), (100, 200_000)];
const SAVES: usize = 200;
/// The approximate length of the line of a save without the document.
const ENVELOPE: usize = 200;

pub(crate) async fn measure(arguments: &Arguments, report: &mut Report) {
    let directory = tempfile::tempdir_in(&arguments.directory).unwrap();
    let mut stores = Vec::new();
    for (flows, bytes) in STORES.into_iter().filter(|(flows, _)| *flows <= arguments.flows) {
        stores.push(Store::open(directory.path(), flows, bytes).await);
    }
    for round in 0..arguments.rounds(SAVES) as u64 {
        for store in &mut stores {
            store.save(round).await;
        }
    }
    for store in stores {
        let row = Row::new("JSON", "durable save", &store.saves).of(store.flows, store.bytes, 1);
        let row = row.over(APPEND, &store.floors);
        report.add(if store.flows == 10_000 { row.goal(1.0) } else { row });
        store.repository.close().await.unwrap();
    }
    report.add_slope("JSON", "durable save", Some(0.05));
}

/// A store of one size and its samples.
struct Store {
    flows: u64,
    bytes: usize,
    repository: Arc<dyn FlowRepository>,
    chance: Chance,
    floor: Floor,
    saves: Samples,
    floors: Samples,
}

impl Store {
    async fn open(parent: &Path, flows: u64, bytes: usize) -> Self {
        let directory = parent.join(format!("{flows}-{bytes}"));
        std::fs::create_dir(&directory).unwrap();
        let repository = filled(&directory.join("flows.json"), flows, bytes).await;
        let floor = Floor::new(&directory.join("floor"));
        let (saves, floors) = <(Samples, Samples)>::default();
        Self { flows, bytes, repository, chance: Chance::new(flows), floor, saves, floors }
    }

    async fn save(&mut self, round: u64) {
        let change = edit(self.chance.below(self.flows), self.bytes, 1_000 + round);
        let length = change.flow().map_or(0, |flow| flow.document().get().len()) + ENVELOPE;
        // The second operation finds the disk warm, so the order alternates.
        if round.is_multiple_of(2) {
            self.floors.add(self.floor.append(length));
        }
        self.saves.add(timed(self.repository.apply_all(vec![change], stamp())).await);
        if !round.is_multiple_of(2) {
            self.floors.add(self.floor.append(length));
        }
    }
}

/// The minimal work of a durable save: an append and a sync.
pub(crate) struct Floor {
    file: File,
    end: u64,
}

impl Floor {
    pub(crate) fn new(path: &Path) -> Self {
        Self { file: File::create(path).unwrap(), end: 0 }
    }

    pub(crate) fn append(&mut self, length: usize) -> f64 {
        let bytes = vec![b'x'; length];
        let begin = std::time::Instant::now();
        self.file.write_all_at(&bytes, self.end).unwrap();
        self.file.sync_data().unwrap();
        self.end += length as u64;
        begin.elapsed().as_secs_f64()
    }
}

/// Opens a store with this number of flows. It makes no checkpoint after a quiet time, because that of the largest
/// store would disturb all measurements.
pub(crate) async fn filled(path: &Path, flows: u64, bytes: usize) -> Arc<dyn FlowRepository> {
    let settings = Settings::default().with_quiet(Duration::from_secs(3_600));
    let repository = served(Arc::new(JsonRepository::open_with(path, clock::now(), settings).await.unwrap()));
    for first in (0..flows).step_by(10_000) {
        let numbers = first..flows.min(first + 10_000);
        repository.apply_all(numbers.map(|number| edit(number, bytes, 0)).collect(), stamp()).await.unwrap();
    }
    repository
}
