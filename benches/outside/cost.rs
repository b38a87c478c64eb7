//! The cost of a slice: bytes of WAL, and the CPU time of a service and of the database server.

use std::fs;

use sqlx::{Connection, PgConnection};

/// Counters that only grow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) wal_bytes: f64,
    pub(crate) cpu_seconds: f64,
}

impl std::ops::Sub for Cost {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { wal_bytes: self.wal_bytes - earlier.wal_bytes, cpu_seconds: self.cpu_seconds - earlier.cpu_seconds }
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, more: Self) {
        self.wal_bytes += more.wal_bytes;
        self.cpu_seconds += more.cpu_seconds;
    }
}

/// Reads the counters. The CPU time is meaningless unless the database runs on this machine, outside of a container.
pub(crate) struct Meter {
    connection: PgConnection,
    postmaster: Option<u32>,
}

impl Meter {
    pub(crate) async fn connect(url: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
        let postmaster = stat(backend.unsigned_abs()).map(|stat| stat.parent);
        Self { connection, postmaster }
    }

    pub(crate) async fn read(&mut self, service: u32) -> Cost {
        let wal = "SELECT (pg_current_wal_insert_lsn() - '0/0')::FLOAT8";
        let wal_bytes = sqlx::query_scalar(wal).fetch_one(&mut self.connection).await.unwrap();
        let own = stat(service).map_or(0, |stat| stat.ticks);
        let of_database = |postmaster| {
            let processes = fs::read_dir("/proc").unwrap().flatten();
            let ids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
            let children = ids.filter_map(stat).filter(|stat| stat.parent == postmaster);
            children.map(|stat| stat.ticks).sum::<u64>() + stat(postmaster).map_or(0, |stat| stat.ticks_of_children)
        };
        let ticks = own + self.postmaster.map_or(0, of_database);
        // `USER_HZ` is 100 on every platform that this benchmark supports: proc(5).
        Cost { wal_bytes, cpu_seconds: ticks as f64 / 100.0 }
    }
}

/// The fields of `/proc/PID/stat` that the meter needs: proc(5).
struct Stat {
    parent: u32,
    ticks: u64,
    ticks_of_children: u64,
}

fn stat(process: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<_> = text.rsplit_once(") ")?.1.split(' ').collect();
    let number = |index: usize| fields[index].parse::<u64>().ok();
    Some(Stat {
        parent: fields[1].parse().ok()?,
        ticks: number(11)? + number(12)?,
        ticks_of_children: number(13)? + number(14)?,
    })
}
