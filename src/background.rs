//! Background tasks that are restarted when they end unexpectedly.

use std::any::Any;
use std::collections::BTreeMap;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Pause before a task is restarted.
const RESTART_AFTER: Duration = Duration::from_secs(5);
/// A task that has run for this long after a restart works again. The rounds of all tasks are shorter.
const WORKS_AFTER: Duration = Duration::from_secs(300);

/// Background tasks, aborted when their owner closes or drops. A task can be aborted at any point.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: Mutex<JoinSet<()>>,
    failures: Failures,
}

/// The tasks that have ended unexpectedly and do not work again yet, with the reason. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<BTreeMap<&'static str, String>>>);

/// Why a task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing remains to be done.
    Done,
    /// The task should still run.
    Unexpected,
}

impl Background {
    /// Runs a task, and starts it again after a pause if it panics or ends unexpectedly.
    pub(crate) fn spawn<F>(&self, task: &'static str, start: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = End> + Send + 'static,
    {
        let running = supervise(task, self.failures.clone(), start);
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(running);
    }

    /// Returns the tasks that do not work at present.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.failures.faults()
    }

    /// Aborts all tasks, and waits until they have released what they use.
    pub(crate) async fn shut_down(&self) {
        let mut tasks = mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

impl Failures {
    /// Returns the tasks that do not work at present.
    pub(crate) fn faults(&self) -> Vec<String> {
        let fault =
            |(task, reason): (&&str, &String)| format!("the background task `{task}` {reason}; it was restarted");
        self.lock().iter().map(fault).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a task until it is done. Restarts it after a pause if it panics or ends unexpectedly.
pub(crate) async fn supervise<F>(task: &'static str, failures: Failures, mut start: impl FnMut() -> F)
where
    F: Future<Output = End>,
{
    loop {
        let mut running = pin!(AssertUnwindSafe(start()).catch_unwind());
        let ended = match timeout(WORKS_AFTER, &mut running).await {
            Ok(ended) => ended,
            Err(_) => {
                failures.lock().remove(task);
                running.await
            }
        };
        let reason = match ended {
            Ok(End::Done) => {
                failures.lock().remove(task);
                return;
            }
            Ok(End::Unexpected) => "has ended".to_owned(),
            Err(panic) => format!("has panicked: {}", message(&*panic)),
        };
        tracing::error!(task, reason, "a background task has failed; it restarts");
        failures.lock().insert(task, reason);
        sleep(RESTART_AFTER).await;
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown reason")
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use tokio::sync::Notify;
    use tokio::time::sleep;

    use super::{Background, End, RESTART_AFTER, WORKS_AFTER};

    /// The time is paused: it advances by itself while every task waits.
    #[tokio::test(start_paused = true)]
    async fn failed_tasks_restart_and_are_faults_until_they_work_again() {
        let started = Arc::new(Notify::new());
        let background = Background::default();
        let (mut attempts, signal) = (0, Arc::clone(&started));
        background.spawn("test", move || {
            attempts += 1;
            let (number, signal) = (attempts, Arc::clone(&signal));
            async move {
                signal.notify_one();
                match number {
                    1 => panic!("expected by the test"),
                    2 => End::Unexpected,
                    _ => pending().await,
                }
            }
        });
        started.notified().await;
        sleep(RESTART_AFTER / 2).await;
        let faults = background.faults();
        assert!(faults.len() == 1 && faults[0].contains("expected by the test"), "{faults:?}");
        started.notified().await;
        sleep(RESTART_AFTER / 2).await;
        assert!(background.faults()[0].contains("has ended"), "{:?}", background.faults());
        started.notified().await;
        sleep(WORKS_AFTER / 2).await;
        assert_eq!(background.faults().len(), 1, "it may fail again");
        sleep(WORKS_AFTER).await;
        assert_eq!(background.faults(), [""; 0]);
        background.shut_down().await;
    }
}
