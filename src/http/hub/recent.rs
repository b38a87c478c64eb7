//! The most recent piece of the feed, in memory.

use std::collections::VecDeque;

use super::page::{Change, Page};
use crate::repository::FeedCursor;

/// So many changes at most,
const CHANGES: usize = 4_096;
/// with so many bytes without their documents,
const BYTES: usize = 4 << 20;
/// and the documents of the last of them with so many. One document may be half of it.
const DOCUMENTS: u64 = 32 << 20;

/// All that the feed has from one place to another, without a gap; or nothing yet.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// The changes follow this place.
    from: Option<FeedCursor>,
    changes: VecDeque<Change>,
    bytes: usize,
    /// Bytes of the documents that are there.
    documents: u64,
}

impl Recent {
    /// Forgets what it has and begins here.
    pub(super) fn begin(&mut self, from: FeedCursor) {
        *self = Self { from: Some(from), ..Self::default() };
    }

    /// What follows the last change. Lets go of the oldest: of documents first, then of whole changes.
    pub(super) fn push(&mut self, page: Page) {
        if page.changes.is_empty() && self.changes.is_empty() {
            self.from = Some(page.next);
        }
        for change in page.changes {
            self.bytes += change.weight();
            self.documents += change.document.as_ref().map_or(0, |_| change.size);
            self.changes.push_back(change);
        }
        let mut with_documents = self.changes.iter_mut().filter(|change| change.document.is_some());
        while self.documents > DOCUMENTS {
            let Some(oldest) = with_documents.next() else { break };
            oldest.document = None;
            self.documents -= oldest.size;
        }
        while self.changes.len() > CHANGES || self.bytes > BYTES {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes -= oldest.weight();
            self.documents -= oldest.document.as_ref().map_or(0, |_| oldest.size);
            self.from = Some(oldest.cursor);
        }
    }

    /// What follows a place, at most `limit` changes whose documents have at most `bytes`, one at least. `None` when this
    /// does not know the place, or has not the documents that are wanted.
    pub(super) fn behind(&self, place: FeedCursor, limit: u32, documents: Option<u64>) -> Option<Vec<Change>> {
        let first = match self.from? == place {
            true => 0,
            false => self.changes.binary_search_by_key(&place, |change| change.cursor).ok()? + 1,
        };
        let following = self.changes.range(first..).take(limit as usize);
        let Some(most) = documents else {
            return Some(following.map(Change::without_document).collect());
        };
        let mut bytes = 0;
        let fitting = following.take_while(|change| {
            let is_first = bytes == 0;
            bytes += change.size;
            change.document.is_some() && (is_first || bytes <= most)
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

    use super::{CHANGES, DOCUMENTS, Recent};
    use crate::flow::Flow;
    use crate::http::hub::Page;
    use crate::http::room::kibibytes;
    use crate::repository::{Author, Feed, FeedCursor, Operation, Record, Revision};

    /// Places have gaps, as they have in PostgreSQL.
    fn place(number: u64) -> FeedCursor {
        FeedCursor { log: 1, transaction: 0, number: 10 * number }
    }

    /// The changes of these numbers, whose documents have about so many bytes; without a size they are left out.
    fn page(numbers: std::ops::Range<u64>, bytes: Option<usize>, room: &Arc<Semaphore>) -> Page {
        let text = "x".repeat(bytes.unwrap_or(0));
        let record = |number| Record {
            cursor: place(number),
            operation: Operation::Update,
            item: Flow::parse(&format!(
                r#"{{"id":"57130000-0000-4000-8000-000000000001","name":"{number}","x":"{text}"}}"#
            ))
            .unwrap(),
            revision: Revision::new(number),
            at: chrono::DateTime::UNIX_EPOCH,
            author: Author::new("tester"),
        };
        let records: Vec<_> = numbers.clone().map(record).collect();
        let next = place(numbers.end - 1);
        let heads = records.iter().cloned().map(|record| record.map(|flow| flow.head().clone())).collect();
        let page = Page::of(&Feed { changes: heads, next, newest: next });
        if bytes.is_none() {
            return page;
        }
        let kibibytes = kibibytes(page.size());
        let room = Arc::clone(room).try_acquire_many_owned(kibibytes).unwrap();
        page.with_documents(Feed { changes: records, next, newest: next }, room)
    }

    fn behind(recent: &Recent, number: u64, limit: u32, documents: Option<u64>) -> Option<Vec<u64>> {
        let changes = recent.behind(place(number), limit, documents)?;
        Some(changes.iter().map(|change| change.cursor.number / 10).collect())
    }

    #[test]
    fn it_goes_on_from_its_beginning_and_from_each_of_its_changes() {
        let room = Arc::new(Semaphore::new(1_000));
        let mut recent = Recent::default();
        assert_eq!(behind(&recent, 0, 9, None), None, "it has not begun");
        recent.begin(place(3));
        assert_eq!(behind(&recent, 3, 9, None), Some(vec![]));
        recent.push(page(4..6, None, &room));
        recent.push(page(6..9, None, &room));
        for (number, expected) in [(3, vec![4, 5, 6, 7, 8]), (4, vec![5, 6, 7, 8]), (6, vec![7, 8]), (8, vec![])] {
            assert_eq!(behind(&recent, number, 9, None), Some(expected), "{number}");
        }
        assert_eq!(behind(&recent, 4, 2, None), Some(vec![5, 6]));
        for unknown in [2, 9] {
            assert_eq!(behind(&recent, unknown, 9, None), None, "{unknown}");
        }
        let between = FeedCursor { number: 45, ..place(0) };
        assert!(recent.behind(between, 9, None).is_none(), "what is there is the repository's matter");
        assert!(recent.behind(FeedCursor { log: 2, ..place(4) }, 9, None).is_none(), "another log");
        recent.begin(place(20));
        assert_eq!((behind(&recent, 8, 9, None), behind(&recent, 20, 9, None)), (None, Some(vec![])));
    }

    #[test]
    fn it_lets_go_of_the_oldest() {
        let room = Arc::new(Semaphore::new(1_000));
        let mut recent = Recent::default();
        recent.begin(place(0));
        let end = CHANGES as u64 + 100;
        for first in (1..=end).step_by(7) {
            recent.push(page(first..(first + 7).min(end + 1), None, &room));
        }
        assert_eq!(recent.changes.len(), CHANGES);
        assert_eq!((behind(&recent, 99, 1, None), behind(&recent, 100, 1, None)), (None, Some(vec![101])));
        assert_eq!(recent.bytes, recent.changes.iter().map(super::Change::weight).sum::<usize>());
    }

    #[test]
    fn documents_go_first_and_give_back_their_room() {
        const MIB: u64 = 1 << 20;
        let room = Arc::new(Semaphore::new(100 << 10));
        let mut recent = Recent::default();
        recent.begin(place(0));
        recent.push(page(1..3, None, &room));
        for number in 3..43 {
            recent.push(page(number..number + 1, Some(MIB as usize), &room));
        }
        assert_eq!(behind(&recent, 0, 99, None).unwrap().len(), 42, "the changes are still there");
        assert!(recent.documents <= DOCUMENTS && recent.documents > DOCUMENTS - 2 * MIB);
        let taken = (100 << 10) - room.available_permits() as u64;
        assert_eq!(taken, 31 * 1_025, "31 documents of a mebibyte and a little");
        for number in [0, 2, 10] {
            assert_eq!(behind(&recent, number, 99, Some(8 * MIB)), None, "{number}: not with documents");
        }
        assert_eq!(behind(&recent, 11, 99, Some(3 * MIB)), Some(vec![12, 13]));
        assert_eq!(behind(&recent, 11, 99, Some(1)), Some(vec![12]), "one at least");
        assert_eq!(behind(&recent, 42, 99, Some(1)), Some(vec![]));
        // A reader who is slow keeps what he holds.
        let held = recent.behind(place(11), 1, Some(1)).unwrap();
        recent.begin(place(42));
        assert_eq!((100 << 10) - room.available_permits(), 1_025);
        drop(held);
        assert_eq!(room.available_permits(), 100 << 10);
    }
}
