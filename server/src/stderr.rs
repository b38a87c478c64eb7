//! Writes to stderr that never fail and never block the caller for long. They may lose lines.
//!
//! A thread writes what callers put into a queue. If stderr is full, closed or stalled, lines are lost and counted, and the
//! next line that can be written reports their number. `eprintln!` would panic, and a direct write to a stalled pipe would
//! stop the caller forever. The crate `tracing-appender` has such a thread, but it uses `eprintln!` at exit.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, panic, thread};

/// Maximum bytes in the queue.
const CAPACITY: usize = 1 << 20;
/// Maximum time that a caller waits for a slow reader.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause before a write that a non-blocking stderr did not accept.
const RETRY: Duration = Duration::from_millis(10);
/// The system writes at most this number of bytes to a pipe at once, without bytes of other programs in between.
const PIPE_BUF: usize = 4096;

static QUEUE: Queue = Queue::new();

/// Starts the thread. Panics are written through the queue as well. Dropping the result writes what is in the queue.
pub(crate) fn start() -> io::Result<Flush> {
    // Without the lock of `io::Stderr`: the thread would hold it while a write is stalled.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    thread::Builder::new().name("stderr".to_owned()).spawn(move || QUEUE.serve(&stderr))?;
    panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => format!("{backtrace}\n"),
            _ => String::new(),
        };
        QUEUE.add(format!("thread '{}' {panic}\n{backtrace}", thread.name().unwrap_or("unnamed")).as_bytes());
    }));
    Ok(Flush)
}

/// Writes the text. Waits until it is written, at most for a second, so that it precedes later output to stdout.
pub(crate) fn print(text: &str) {
    QUEUE.add(text.as_bytes());
    QUEUE.flush();
}

/// Writes what is in the queue when it is dropped.
pub(crate) struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        QUEUE.flush();
    }
}

/// A writer for the log, which does not wait.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Queue {
    state: Mutex<State>,
    added: Condvar,
    taken: Condvar,
}

struct State {
    text: Vec<u8>,
    /// The number of lines that were lost since the last report.
    lost: usize,
    /// The number of bytes that were added to the queue, and the number of those that were written or lost since.
    added: u64,
    taken: u64,
    /// Whether the wait of a caller has timed out, and nothing was written since.
    is_stalled: bool,
}

impl State {
    const EMPTY: Self = Self { text: Vec::new(), lost: 0, added: 0, taken: 0, is_stalled: false };
}

impl Queue {
    const fn new() -> Self {
        Self { state: Mutex::new(State::EMPTY), added: Condvar::new(), taken: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, text: &[u8]) {
        let mut state = self.lock();
        if state.text.len() + text.len() > CAPACITY {
            state.lost += lines(text);
            return;
        }
        state.text.extend_from_slice(text);
        state.added += text.len() as u64;
        self.added.notify_one();
    }

    /// Waits until everything that was added so far is written or lost, at most for a second. Does not wait if nothing was
    /// written since the last such second.
    fn flush(&self) {
        let state = self.lock();
        let end = state.added;
        let is_waiting = |state: &mut State| state.taken < end && !state.is_stalled;
        let waited = self.taken.wait_timeout_while(state, PATIENCE, is_waiting);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_stalled |= timeout.timed_out();
    }

    /// Writes everything that is added, forever.
    fn serve(&self, stderr: &File) {
        loop {
            let waited = self.added.wait_while(self.lock(), |state| state.text.is_empty());
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            let (text, lost) = (mem::take(&mut state.text), mem::take(&mut state.lost));
            drop(state);
            if lost > 0 {
                let report = format!("{lost} lines were lost: stderr did not accept them\n");
                if write(stderr, report.as_bytes()).is_err() {
                    self.lock().lost += lost;
                }
            }
            let mut rest = &text[..];
            while !rest.is_empty() {
                let written = write(stderr, next_lines(rest)).unwrap_or(0);
                let taken = if written > 0 { written } else { rest.len() };
                let mut state = self.lock();
                state.lost += lines(&rest[written..taken]);
                state.taken += taken as u64;
                state.is_stalled = false;
                self.taken.notify_all();
                rest = &rest[taken..];
            }
        }
    }
}

/// Returns the text up to the end of the last line that fits into one write.
fn next_lines(text: &[u8]) -> &[u8] {
    let part = &text[..text.len().min(PIPE_BUF)];
    part.iter().rposition(|byte| *byte == b'\n').map_or(part, |end| &part[..=end])
}

fn write(mut stderr: &File, text: &[u8]) -> io::Result<usize> {
    loop {
        match stderr.write(text) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another program has made the pipe or the terminal non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            result => return result,
        }
    }
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead, BufReader, PipeReader, pipe};
    use std::os::fd::OwnedFd;
    use std::thread;

    use super::{CAPACITY, PIPE_BUF, Queue, next_lines};

    /// Returns a queue whose thread writes to a pipe, and the reader of the pipe.
    fn queue() -> (&'static Queue, PipeReader) {
        let queue: &Queue = Box::leak(Box::new(Queue::new()));
        let (reader, writer) = pipe().unwrap();
        let stderr = File::from(OwnedFd::from(writer));
        thread::spawn(move || queue.serve(&stderr));
        (queue, reader)
    }

    #[test]
    fn lost_lines_are_counted_and_reported() {
        let (queue, reader) = queue();
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        // The pipe and the queue are full after fewer lines.
        let count = 3 * CAPACITY / line.len();
        (0..count).for_each(|_| queue.add(&line));
        queue.flush();
        let is_stalled = queue.lock().is_stalled;
        assert!(is_stalled, "the flush has waited in vain");
        queue.flush();
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let mut all = Vec::new();
        while !queue.lock().text.is_empty() {
            all.push(lines.next().unwrap());
        }
        queue.add(b"last\n");
        all.extend(lines.take_while(|line| line != "last"));
        let (reports, written): (Vec<_>, Vec<_>) = all.into_iter().partition(|line| line.contains("were lost"));
        let lost: usize = reports.iter().map(|line| line.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
        assert!(lost > 0);
        assert_eq!(written.len() + lost, count);
        queue.flush();
        assert!(!queue.lock().is_stalled);
    }

    #[test]
    fn closed_pipe_costs_lines_only() {
        let (queue, reader) = queue();
        drop(reader);
        for _ in 0..3 {
            queue.add(b"line\n");
            queue.flush();
        }
        let state = queue.lock();
        assert_eq!((state.lost, state.taken, state.is_stalled), (3, state.added, false));
    }

    #[test]
    fn writes_end_with_a_line() {
        assert_eq!(next_lines(b"a\nb\nc"), b"a\nb\n");
        assert_eq!(next_lines(b"abc"), b"abc");
        assert_eq!(next_lines(&b"x".repeat(2 * PIPE_BUF)).len(), PIPE_BUF);
    }
}
