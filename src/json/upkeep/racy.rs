//! Detects edits that leave the identity of the file unchanged.

use std::io;
use std::time::Duration;

use crate::disk::durable::Identity;
use crate::json::file;
use crate::json::store::Store;
use crate::json::view::{Racy, Written};

/// The coarsest granularity of modification times: that of FAT.
pub(crate) const GRANULARITY: Duration = Duration::from_secs(2);

/// Whether another program has edited the file since the last read or write, although its identity may be the same. Then
/// the known identity is discarded. Compares the content only if it is at least this old, and only until one comparison was
/// later than the granularity of modification times.
pub(crate) fn is_edited_unnoticed(store: &Store, age: Duration) -> bool {
    let known = store.with_writer(|writer| writer.written.identity.zip(writer.written.racy)).flatten();
    let Some((identity, racy)) = known.filter(|(_, racy)| racy.since.elapsed() >= age) else { return false };
    let is_certain = racy.since.elapsed() >= GRANULARITY;
    let Ok(Some(is_same)) = is_same(store, identity, &racy) else { return false };
    if is_same && !is_certain {
        return false;
    }
    store.with_writer(|writer| {
        let Written { identity, racy, .. } = &mut writer.written;
        *racy = None;
        *identity = identity.filter(|_| is_same);
    });
    !is_same
}

/// Compares the content. Returns `None` if the identity is another one: then the edit is not unnoticed.
fn is_same(store: &Store, identity: Identity, racy: &Racy) -> io::Result<Option<bool>> {
    let Some((file, metadata)) = file::open(&store.path)? else { return Ok(None) };
    if Identity::of(&metadata) != identity {
        return Ok(None);
    }
    Ok(Some(file::digest(&file)? == racy.digest))
}
