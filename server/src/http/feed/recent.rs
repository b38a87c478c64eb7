//! The newest part of the feed, in memory.

use std::collections::VecDeque;

use strom_store::repository::FeedCursor;

use super::page::{FeedChange, FeedPage};

/// Maximum number of changes.
const MAX_CHANGES: usize = 4_096;
/// Maximum bytes of the changes without their documents.
const MAX_BYTES: usize = 4 << 20;
/// Maximum bytes of the documents. The newest changes have documents.
const MAX_DOCUMENT_BYTES: u64 = 32 << 20;

/// All changes of the feed between two cursors, without gaps. Empty before the first read.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// The cursor before the first change.
    start: Option<FeedCursor>,
    changes: VecDeque<FeedChange>,
    bytes: usize,
    /// Bytes of the loaded documents.
    document_bytes: u64,
}

impl Recent {
    /// Drops all changes and starts after this cursor.
    pub(super) fn restart(&mut self, start: FeedCursor) {
        *self = Self { start: Some(start), ..Self::default() };
    }

    /// Appends the changes that follow the last one. Drops the oldest documents first, then the oldest changes.
    pub(super) fn push(&mut self, page: FeedPage) {
        if page.changes.is_empty() && self.changes.is_empty() {
            self.start = Some(page.next);
        }
        for change in page.changes {
            self.bytes += change.weight();
            self.document_bytes += change.document.as_ref().map_or(0, |_| change.size);
            self.changes.push_back(change);
        }
        let mut with_documents = self.changes.iter_mut().filter(|change| change.document.is_some());
        while self.document_bytes > MAX_DOCUMENT_BYTES {
            let Some(oldest) = with_documents.next() else { break };
            oldest.document = None;
            self.document_bytes -= oldest.size;
        }
        while self.changes.len() > MAX_CHANGES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes -= oldest.weight();
            self.document_bytes -= oldest.document.as_ref().map_or(0, |_| oldest.size);
            self.start = Some(oldest.cursor);
        }
    }

    /// Returns at most `limit` changes after a cursor. Their documents have at most `documents` bytes together, but there is at
    /// least one change. Returns `None` if the cursor is unknown, or if wanted documents are not loaded.
    pub(super) fn after(&self, cursor: FeedCursor, limit: u32, documents: Option<u64>) -> Option<Vec<FeedChange>> {
        let first = match self.start? == cursor {
            true => 0,
            false => self.changes.binary_search_by_key(&cursor, |change| change.cursor).ok()? + 1,
        };
        let following = self.changes.range(first..).take(limit as usize);
        let Some(max_bytes) = documents else {
            return Some(following.map(FeedChange::without_document).collect());
        };
        let mut bytes = 0;
        let fitting = following.take_while(|change| {
            let is_first = bytes == 0;
            bytes += change.size;
            change.document.is_some() && (is_first || bytes <= max_bytes)
        });
        let fitting: Vec<_> = fitting.cloned().collect();
        let lacks_documents = fitting.is_empty() && first < self.changes.len();
        (!lacks_documents).then_some(fitting)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::{MAX_CHANGES, MAX_DOCUMENT_BYTES, Recent};
    use crate::http::feed::page::FeedPage;
    use crate::http::respond::kibibytes;
    use strom_store::flow::Flow;
    use strom_store::repository::{Author, Feed, FeedCursor, Operation, Record, Revision};

    /// Cursors have gaps, as in PostgreSQL.
    fn cursor(number: u64) -> FeedCursor {
        FeedCursor::new(1, 0, 10 * number)
    }

    /// A flow whose document has about this number of bytes.
    fn flow(bytes: usize) -> Flow {
        let text = "x".repeat(bytes);
        Flow::parse(&format!(r#"{{"id":"57130000-0000-4000-8000-000000000001","name":"a","x":"{text}"}}"#)).unwrap()
    }

    /// Changes of one flow with these numbers, with or without their documents.
    fn page(numbers: std::ops::Range<u64>, flow: &Flow, documents: bool, budget: &Arc<Semaphore>) -> FeedPage {
        let record = |number| {
            let (revision, at, author) = (Revision::new(number), chrono::DateTime::UNIX_EPOCH, Author::new("tester"));
            Record::new(cursor(number), Operation::Update, flow.clone(), revision, at, author)
        };
        let records: Vec<_> = numbers.clone().map(record).collect();
        let next = cursor(numbers.end - 1);
        let heads = records.iter().cloned().map(|record| record.map(|flow| flow.head().clone())).collect();
        let page = FeedPage::of(&Feed::new(heads, next, next));
        if !documents {
            return page;
        }
        let kibibytes = kibibytes(page.size());
        let memory = Arc::clone(budget).try_acquire_many_owned(kibibytes).unwrap();
        page.with_documents(Feed::new(records, next, next), memory)
    }

    fn after(recent: &Recent, number: u64, limit: u32, documents: Option<u64>) -> Option<Vec<u64>> {
        let changes = recent.after(cursor(number), limit, documents)?;
        Some(changes.iter().map(|change| change.cursor.number() / 10).collect())
    }

    #[test]
    fn changes_after_the_start_and_after_each_change_are_returned() {
        let budget = Arc::new(Semaphore::new(1_000));
        let mut recent = Recent::default();
        assert_eq!(after(&recent, 0, 9, None), None, "it has not started");
        recent.restart(cursor(3));
        assert_eq!(after(&recent, 3, 9, None), Some(vec![]));
        recent.push(page(4..6, &flow(0), false, &budget));
        recent.push(page(6..9, &flow(0), false, &budget));
        for (number, expected) in [(3, vec![4, 5, 6, 7, 8]), (4, vec![5, 6, 7, 8]), (6, vec![7, 8]), (8, vec![])] {
            assert_eq!(after(&recent, number, 9, None), Some(expected), "{number}");
        }
        assert_eq!(after(&recent, 4, 2, None), Some(vec![5, 6]));
        for unknown in [2, 9] {
            assert_eq!(after(&recent, unknown, 9, None), None, "{unknown}");
        }
        let between = FeedCursor::new(1, 0, 45);
        assert!(recent.after(between, 9, None).is_none(), "only the repository can tell");
        assert!(recent.after(FeedCursor::new(2, 0, 40), 9, None).is_none(), "another feed");
        recent.restart(cursor(20));
        assert_eq!((after(&recent, 8, 9, None), after(&recent, 20, 9, None)), (None, Some(vec![])));
    }

    #[test]
    fn the_oldest_changes_are_dropped() {
        let budget = Arc::new(Semaphore::new(1_000));
        let mut recent = Recent::default();
        recent.restart(cursor(0));
        let end = MAX_CHANGES as u64 + 100;
        let flow = flow(0);
        for first in (1..=end).step_by(7) {
            recent.push(page(first..(first + 7).min(end + 1), &flow, false, &budget));
        }
        assert_eq!(recent.changes.len(), MAX_CHANGES);
        assert_eq!((after(&recent, 99, 1, None), after(&recent, 100, 1, None)), (None, Some(vec![101])));
        assert_eq!(recent.bytes, recent.changes.iter().map(super::FeedChange::weight).sum::<usize>());
    }

    #[test]
    fn documents_are_dropped_first_and_release_their_memory() {
        const MIB: u64 = 1 << 20;
        let budget = Arc::new(Semaphore::new(100 << 10));
        let mut recent = Recent::default();
        recent.restart(cursor(0));
        // Parsed once: parsing forty documents would take seconds.
        let flow = flow(MIB as usize);
        recent.push(page(1..3, &flow, false, &budget));
        for number in 3..43 {
            recent.push(page(number..number + 1, &flow, true, &budget));
        }
        assert_eq!(after(&recent, 0, 99, None).unwrap().len(), 42, "the changes are still there");
        assert!(recent.document_bytes <= MAX_DOCUMENT_BYTES && recent.document_bytes > MAX_DOCUMENT_BYTES - 2 * MIB);
        let taken = (100 << 10) - budget.available_permits() as u64;
        assert_eq!(taken, 31 * 1_025, "31 documents of a mebibyte and a little");
        for number in [0, 2, 10] {
            assert_eq!(after(&recent, number, 99, Some(8 * MIB)), None, "{number}: without documents");
        }
        assert_eq!(after(&recent, 11, 99, Some(3 * MIB)), Some(vec![12, 13]));
        assert_eq!(after(&recent, 11, 99, Some(1)), Some(vec![12]), "at least one");
        assert_eq!(after(&recent, 42, 99, Some(1)), Some(vec![]));
        // A slow client keeps its document in memory.
        let held = recent.after(cursor(11), 1, Some(1)).unwrap();
        recent.restart(cursor(42));
        assert_eq!((100 << 10) - budget.available_permits(), 1_025);
        drop(held);
        assert_eq!(budget.available_permits(), 100 << 10);
    }
}
